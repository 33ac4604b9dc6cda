/** What is asked, and what answers of the node mean: no I/O. */

import { describe } from "./baked.js";
import { frozen, parseExact } from "./json.js";
import type { Answer } from "./memory.js";
import { contentFrom } from "./prompt-file.js";
import { inPath, partsOf } from "./reference.js";
import { rememberDefaults } from "./render.js";
import type { Reply } from "./transport.js";
import type { Content, Message, Resolved } from "./types.js";

/** Who an answer is for. */
export interface Caller {
    /** A user or conversation that should always get the same arm of a split. */
    subject?: string | undefined;
    /** Attributes for rules, for example `{ locale: "de-AT" }`. */
    attributes?: { readonly [name: string]: string } | undefined;
}

/** What a call can bring along. */
export type Fallback = string | readonly Message[] | Content;

/** A subject and its attributes as one text; empty without. */
export function subjectKey({ subject, attributes }: Caller): string {
    if (attributes === undefined) return subject === undefined ? "" : `s${subject}`;
    return JSON.stringify([subject ?? null, ...Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** The same as a query. */
export function queryOf({ subject, attributes }: Caller): string {
    const parts = subject === undefined ? [] : [`subject=${encodeURIComponent(subject)}`];
    for (const [name, value] of Object.entries(attributes ?? {})) {
        parts.push(`attr=${encodeURIComponent(`${name}=${value}`)}`);
    }
    return parts.length > 0 ? `?${parts.join("&")}` : "";
}

/** What the headers say about an answer. */
export function fresh(reply: Reply, order: number): Omit<Answer, "resolved"> {
    const age = reply.header("bookholder-age");
    return {
        etag: reply.header("etag"),
        position: reply.header("bookholder-position"),
        stale: reply.header("bookholder-stale") === "true",
        ageS: age === undefined ? undefined : Number(age),
        receivedAt: Date.now(),
        order,
    };
}

/** The answer in a reply; absent if it is not one, as from another server at this address. */
export function answerOf(reply: Reply, known: Answer | undefined, order: number): Answer | undefined {
    if (reply.status === 304) return known && { ...fresh(reply, order), etag: known.etag, resolved: known.resolved };
    const resolved = resolvedOf(reply.body);
    return resolved && { ...fresh(reply, order), resolved };
}

function resolvedOf(json: string): Resolved | undefined {
    try {
        return withDefaults(JSON.parse(json) as Resolved, () => parseExact(json) as Resolved);
    } catch {
        return undefined;
    }
}

/** The answer, which remembers how the defaults of its variables were written; absent if it is none. */
function withDefaults(resolved: Resolved, exact: () => Resolved): Resolved | undefined {
    const { content } = resolved;
    if (typeof resolved.name !== "string" || typeof content !== "object") return undefined;
    const { variables } = content;
    if (variables?.some((variable) => typeof variable.default === "number")) {
        rememberDefaults(variables, exact().content.variables ?? []);
    }
    return frozen(resolved);
}

/** The answer to one of many questions. */
export interface Item {
    reference: string;
    resolved?: Resolved;
    problem?: Details;
}

/** The cursor of the next page. */
export function nextOf(reply: Reply): string | undefined {
    const { next } = JSON.parse(reply.body) as { next?: string };
    return next;
}

/** The answers in a reply to many questions. */
export function itemsOf(reply: Reply): Item[] | undefined {
    try {
        const { answers } = JSON.parse(reply.body) as { answers?: Item[] };
        if (!Array.isArray(answers)) return undefined;
        let exact: { answers: Item[] } | undefined;
        for (const [index, { resolved, problem }] of answers.entries()) {
            if (problem) continue;
            const read =
                resolved &&
                withDefaults(resolved, () => {
                    exact ??= parseExact(reply.body) as { answers: Item[] };
                    return exact.answers[index]?.resolved as Resolved;
                });
            if (!read) return undefined;
        }
        return answers;
    } catch {
        return undefined;
    }
}

/** Why the node does not answer a question. */
export class NoAnswer {
    constructor(
        readonly why: string,
        /** Whether it refuses the application, which says nothing about the prompt and does not pass by itself. */
        readonly isRefused = false,
    ) {}
}

/** What a problem of the node says. */
export interface Details {
    status?: number | undefined;
    code: string | undefined;
    detail: string | undefined;
    hint?: string | undefined;
}

/** What a problem of the node says. */
export function detailsOf(reply: Reply): Details {
    try {
        const { code, detail, hint } = JSON.parse(reply.body) as Details;
        return { code, detail, hint };
    } catch {
        return { code: undefined, detail: undefined };
    }
}

/** An answer that no node gave. */
export function unasked(resolved: Resolved): Answer {
    return {
        resolved,
        etag: undefined,
        position: undefined,
        stale: true,
        ageS: undefined,
        receivedAt: Date.now(),
        order: 0,
    };
}

/** The application's own text, as a version that no registry has. */
export function fallbackOf(reference: string, fallback: Fallback): Resolved {
    const { name, selector } = partsOf(reference);
    const label = /^(?:\d+$|b3:)/.test(selector) ? null : selector;
    const content = contentFrom(fallback);
    const resolved = describe(name, 0, "", label, content);
    return {
        ...resolved,
        telemetry: { attributes: { "gen_ai.prompt.name": name }, baggage: `gen_ai.prompt.name=${inPath(name)}` },
    };
}
