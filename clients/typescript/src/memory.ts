/**
 * The last good answers, without any expiry: the replica is asked each time, so what it said last is what it served
 * until it stopped answering. They are also what it is asked about: "did this change?"
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

/** Most references, and most subjects and attributes where a split or rules choose. */
const REFERENCES_MAX = 10_000;
const CHOSEN_MAX = 10_000;

/** The last good answers, by reference, and by subject and attributes where these matter. */
export class Memory {
    /** Of each reference, the last answer that is not only for callers whom a rule names. */
    private readonly general = new Map<string, Answer>();
    /** Chosen by a split or rules. */
    private readonly chosen = new Map<string, Answer>();

    /** The last answer to this question; for a new subject, that to another one. */
    get(reference: string, subject: string): Answer | undefined {
        return this.exact(reference, subject) ?? this.general.get(reference);
    }

    /** The last answer to exactly this question. */
    exact(reference: string, subject: string): Answer | undefined {
        const general = this.general.get(reference);
        // Without a split the same is served to everyone.
        if (general?.resolved.assignment === null) return general;
        return this.chosen.size > 0 ? this.chosen.get(keyOf(reference, subject)) : undefined;
    }

    /**
     * Keeps an answer, unless a newer one arrived since it was asked for; returns the one to use. So answers that
     * overtake each other never lead back.
     */
    put(reference: string, subject: string, answer: Answer, sentOrder: number): Answer {
        const overtook = (known: Answer | undefined) =>
            known !== undefined && known.order > sentOrder && isOlder(answer.position, known.position);
        const known = this.exact(reference, subject);
        if (known && overtook(known)) return known;
        const general = this.general.get(reference);
        if (overtook(general)) return answer;
        const { assignment } = answer.resolved;
        if (assignment !== null) {
            insert(this.chosen, keyOf(reference, subject), answer, CHOSEN_MAX);
            if (assignment.rule !== null) {
                // The label has rules now, so what everyone got before is out of date.
                if (general?.resolved.assignment === null) this.general.delete(reference);
                return answer;
            }
        }
        insert(this.general, reference, answer, REFERENCES_MAX);
        return answer;
    }

    /** Forgets a prompt that the node says is not there. */
    forget(reference: string): void {
        this.general.delete(reference);
        for (const key of this.chosen.keys()) {
            if (key.startsWith(keyOf(reference, ""))) this.chosen.delete(key);
        }
    }
}

/** References have no control characters. */
const keyOf = (reference: string, subject: string) => `${reference}\0${subject}`;

function insert(entries: Map<string, Answer>, key: string, answer: Answer, most: number): void {
    entries.delete(key);
    if (entries.size >= most) {
        for (const oldest of entries.keys()) {
            entries.delete(oldest);
            break;
        }
    }
    entries.set(key, answer);
}

/** Whether a position, such as `1.4529`, is before another; an epoch counts more than what follows. */
function isOlder(position: string | undefined, other: string | undefined): boolean {
    if (position === other) return false;
    const [epoch = 0, seq = 0] = (position ?? "").split(".").map(Number);
    const [otherEpoch = 0, otherSeq = 0] = (other ?? "").split(".").map(Number);
    return epoch < otherEpoch || (epoch === otherEpoch && seq < otherSeq);
}
