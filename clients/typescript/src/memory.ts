/**
 * The last good answer to each reference, without any expiry: used only while the replica does not answer, and to ask
 * whether it changed.
 */

import type { Resolved } from "./types.js";

/** An answer of the node. */
export interface Answer {
    resolved: Resolved;
    etag: string | undefined;
    /** The position of the state that it is from. */
    position: string | undefined;
    stale: boolean;
    ageS: number | undefined;
    /** When it was received: in milliseconds since 1970, and in the order of all that was sent and received. */
    receivedAt: number;
    order: number;
}

/** Most references, and most subjects of one. */
const REFERENCES_MAX = 10_000;
const SUBJECTS_MAX = 1_000;

interface Entry {
    last: Answer;
    /** Where a split or rules choose by subject and attributes. */
    bySubject: Map<string, Answer>;
}

/** Answers by reference, and by subject where it matters. */
export class Memory {
    private readonly entries = new Map<string, Entry>();

    /** The last answer to this reference and subject; else to the reference alone. */
    get(reference: string, subject: string): Answer | undefined {
        const entry = this.entries.get(reference);
        // Without a split the same is served to everyone.
        if (!entry || entry.last.resolved.assignment === null) return entry?.last;
        return entry.bySubject.get(subject) ?? entry.last;
    }

    /** The last answer to exactly this reference and subject. */
    exact(reference: string, subject: string): Answer | undefined {
        const found = this.get(reference, subject);
        return found && (found.resolved.assignment === null || this.entries.get(reference)?.bySubject.get(subject) === found)
            ? found
            : undefined;
    }

    /** All last answers. */
    *all(): Iterable<[string, Answer]> {
        for (const [reference, { last }] of this.entries) yield [reference, last];
    }

    /**
     * Keeps an answer, unless a newer one arrived since it was asked for; returns the one to use. So answers that
     * overtake each other never lead back.
     */
    put(reference: string, subject: string, answer: Answer, sentOrder: number): Answer {
        const known = this.exact(reference, subject);
        if (known && known.order > sentOrder && isOlder(answer.position, known.position)) return known;
        let entry = this.entries.get(reference);
        if (!entry) {
            if (this.entries.size >= REFERENCES_MAX) dropFirst(this.entries);
            entry = { last: answer, bySubject: new Map() };
            this.entries.set(reference, entry);
        }
        if (!(entry.last.order > sentOrder && isOlder(answer.position, entry.last.position))) entry.last = answer;
        if (answer.resolved.assignment === null) {
            entry.bySubject.clear();
        } else {
            entry.bySubject.delete(subject);
            if (entry.bySubject.size >= SUBJECTS_MAX) dropFirst(entry.bySubject);
            entry.bySubject.set(subject, answer);
        }
        return answer;
    }
}

function dropFirst(map: Map<string, unknown>): void {
    for (const key of map.keys()) {
        map.delete(key);
        return;
    }
}

/** Whether a position, such as `1.4529`, is before another; an epoch counts more than what follows. */
function isOlder(position: string | undefined, other: string | undefined): boolean {
    const [epoch = 0, seq = 0] = (position ?? "").split(".").map(Number);
    const [otherEpoch = 0, otherSeq = 0] = (other ?? "").split(".").map(Number);
    return epoch < otherEpoch || (epoch === otherEpoch && seq < otherSeq);
}
