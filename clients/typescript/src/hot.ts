/**
 * Answers that hold until the node says that they changed, for callers that cannot spend a request on each.
 *
 * Invariant: a prompt is here only while the stream of events is open, and only if no event that names it came after it
 * was asked for, and no newer answer to the same reference.
 */

import { subjectKey } from "./answers.js";
import type { Caller } from "./answers.js";
import type { Prompt } from "./prompt.js";
import { PRODUCTION, partsOf } from "./reference.js";

/** Most subjects of one reference. */
const SUBJECTS_MAX = 1_000;
/** Most references. */
const REFERENCES_MAX = 10_000;
/** The key of an answer that is the same for every subject; no subject has it. */
const EVERYONE = "*";

/** A prompt, and the promise of it that every caller gets. */
export interface HotPrompt {
    prompt: Prompt;
    promise: Promise<Prompt>;
}

/** The prompts of one client. */
export class HotPrompts {
    /** By reference, then by subject; absent while no stream is open. */
    private prompts: Map<string, Map<string, HotPrompt>> | undefined;
    /** Counts what may have changed an answer since it was asked for. */
    private generation = 0;

    /** The answer to this question. */
    find(reference: string, caller: Caller | undefined): HotPrompt | undefined {
        const found = this.prompts?.get(reference);
        if (found === undefined) return undefined;
        return found.get(EVERYONE) ?? found.get(caller ? subjectKey(caller) : "");
    }

    /** What {@link HotPrompts.keep} needs to know about the moment at which a question is asked. */
    asking(): number {
        return this.generation;
    }

    /** Keeps an answer, if nothing can have changed since it was asked for; `prompt` is how it is given out. */
    keep(reference: string, caller: Caller, asked: number, prompt: Prompt): void {
        const { assignment } = prompt;
        const isRandom = assignment !== null && !assignment.sticky && assignment.bucket !== null;
        if (!this.prompts || asked !== this.generation || isRandom) return;
        let found = this.prompts.get(reference);
        if (!found || found.size >= SUBJECTS_MAX) {
            if (this.prompts.size >= REFERENCES_MAX) this.prompts.clear();
            this.prompts.set(reference, (found = new Map()));
        }
        const key = assignment === null ? EVERYONE : subjectKey(caller);
        found.set(key, { prompt, promise: Promise.resolve(prompt) });
    }

    /** Forgets what an answer shows to be out of date, when the event about it is still on its way. */
    saw(prompt: Prompt): void {
        if (!this.prompts || this.prompts.size === 0) return;
        const { name, selector } = partsOf(prompt.reference);
        const same = selector === PRODUCTION ? [name, `${name}@${PRODUCTION}`] : [prompt.reference];
        for (const reference of same) {
            const found = this.prompts.get(reference);
            const known = found?.get(EVERYONE);
            const isOther = known ? known.prompt.stamp !== prompt.stamp : prompt.assignment === null;
            if (found && isOther) this.prompts.delete(reference);
        }
    }

    /** The stream is open: from now on every change is told. */
    opened(): void {
        this.generation += 1;
        this.prompts = new Map();
    }

    /** These prompts changed; any may have if there are no names. */
    changed(names: readonly string[]): void {
        this.generation += 1;
        if (names.length === 0) this.prompts?.clear();
        const changed = new Set(names);
        for (const reference of this.prompts?.keys() ?? []) {
            if (changed.has(partsOf(reference).name)) this.prompts?.delete(reference);
        }
    }

    /** The stream broke, or is not needed any more. */
    lost(): void {
        this.generation += 1;
        this.prompts = undefined;
    }
}
