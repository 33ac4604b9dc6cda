/**
 * Reports of responses and scores: queued, sent in batches, and never in the way of the application.
 *
 * Nothing here throws into the application or waits for the node. What does not fit the queue, or the node refuses, is
 * dropped and counted.
 */

import { currentSpan } from "./otel.js";
import type { Prompt } from "./prompt.js";
import { beforeExit } from "./runtime.js";
import { unref } from "./transport.js";
import type { Transport } from "./transport.js";

/** What to record about a response; every field is optional. */
export interface RecordFields {
    /** The ID of the response, as the provider or the application calls it. The same ID again changes nothing. */
    responseId?: string | undefined;
    /** Who runs the model, for example `openai`. */
    provider?: string | undefined;
    /** The model that answered. */
    model?: string | undefined;
    /** The model that was requested. */
    modelRequested?: string | undefined;
    /** `usage` as OpenAI, Anthropic or the AI SDK give it. */
    usage?: object | null | undefined;
    /** Tokens that the model read, cached ones included. */
    inputTokens?: number | undefined;
    cacheReadTokens?: number | undefined;
    cacheWriteTokens?: number | undefined;
    /** Tokens that the model wrote, reasoning included. */
    outputTokens?: number | undefined;
    reasoningTokens?: number | undefined;
    latencyMs?: number | undefined;
    firstTokenMs?: number | undefined;
    /** Only if the provider says so; otherwise it is computed from the price table. */
    costUsd?: number | undefined;
    /** The kind of error, if the call failed, for example `rate_limited`. */
    error?: string | undefined;
    /** The conversation. */
    session?: string | undefined;
    user?: string | undefined;
    environment?: string | undefined;
    /** The trace of the call; by default that of the current span of OpenTelemetry. */
    traceId?: string | undefined;
    spanId?: string | undefined;
    /** When the response was complete; now by default. */
    ended?: Date | string | undefined;
    /** What was sent and answered; recorded only where the node records content. */
    input?: unknown;
    output?: unknown;
}

/** What a response is of: a prompt, or its stamp. */
export type RecordedPrompt = string | Pick<Prompt, "name" | "stamp" | "label" | "assignment">;

/** A score of exactly one of: a response, a trace (or a span of it), a session, a version. */
export interface ScoreFields {
    /** For example `helpfulness`. */
    name: string;
    /** A number, `true` or `false`, or one of a few words. */
    value: number | boolean | string;
    responseId?: string | undefined;
    traceId?: string | undefined;
    spanId?: string | undefined;
    session?: string | undefined;
    /** The stamp of a version, for a score of the version as a whole. */
    stamp?: string | undefined;
    /** Who or what scored. */
    evaluator?: string | undefined;
    explanation?: string | undefined;
    /** Scoring with the same ID again changes nothing. */
    id?: string | undefined;
    at?: Date | string | undefined;
}

/** Most reports that wait. */
const QUEUE_MAX = 10_000;
/** Most reports and characters in one request. */
const BATCH_MAX = 500;
const BATCH_CHARACTERS_MAX = 1024 * 1024;
/** How long a report waits for others. */
const DELAY_MS = 1_000;
/** Longest time between attempts while the node does not answer. */
const RETRY_MAX_MS = 30_000;
/** The node has to answer within this time. */
const TIMEOUT_MS = 5_000;

type Kind = "responses" | "scores";
interface Report {
    kind: Kind;
    json: string;
}

/** The queue of reports of one client. */
export class Reports {
    /** Reports that were not sent: the queue was full, or the node refused them. */
    dropped = 0;

    private queue: Report[] = [];
    private timer: ReturnType<typeof setTimeout> | undefined;
    private sending: Promise<void> | undefined;
    private failures = 0;
    private stopWatching: (() => void) | undefined;

    constructor(
        private readonly transport: () => Transport,
        private readonly warn: (message: string) => void,
    ) {}

    record(recorded: RecordedPrompt, fields: RecordFields): void {
        this.add("responses", () => {
            const isStamp = typeof recorded === "string";
            const prompt = isStamp ? { name: "", stamp: recorded, label: null, assignment: null } : recorded;
            const span = fields.traceId === undefined && fields.spanId === undefined ? currentSpan() : undefined;
            const of = prompt.stamp === null ? { prompt: prompt.name } : { stamp: prompt.stamp };
            return {
                id: fields.responseId,
                ...of,
                label: prompt.label ?? undefined,
                assignment: prompt.assignment ?? undefined,
                ended: timeOf(fields.ended),
                provider: fields.provider,
                model: fields.model,
                model_requested: fields.modelRequested,
                ...tokensOf(fields.usage),
                ...given({
                    input_tokens: fields.inputTokens,
                    cache_read_tokens: fields.cacheReadTokens,
                    cache_write_tokens: fields.cacheWriteTokens,
                    output_tokens: fields.outputTokens,
                    reasoning_tokens: fields.reasoningTokens,
                }),
                latency_ms: fields.latencyMs,
                first_token_ms: fields.firstTokenMs,
                cost_usd: fields.costUsd,
                error: fields.error,
                session: fields.session,
                user: fields.user,
                environment: fields.environment,
                trace_id: fields.traceId ?? span?.traceId,
                span_id: fields.spanId ?? span?.spanId,
                input: fields.input,
                output: fields.output,
            };
        });
    }

    score(fields: ScoreFields): void {
        this.add("scores", () => ({
            id: fields.id,
            response: fields.responseId,
            trace_id: fields.traceId,
            span_id: fields.spanId,
            session: fields.session,
            stamp: fields.stamp,
            name: fields.name,
            value: fields.value,
            evaluator: fields.evaluator,
            explanation: fields.explanation,
            at: timeOf(fields.at),
        }));
    }

    /** Sends what waits; whether all was sent. Never rejects. */
    async flush(): Promise<boolean> {
        await this.sending;
        if (this.queue.length > 0) await this.send();
        return this.queue.length === 0;
    }

    /** Ends the timer; what waits is sent by {@link Reports.flush}. */
    stop(): void {
        clearTimeout(this.timer);
        this.timer = undefined;
        this.stopWatching?.();
        this.stopWatching = undefined;
    }

    private add(kind: Kind, body: () => object): void {
        try {
            const json = JSON.stringify(body());
            if (this.queue.length >= QUEUE_MAX || json.length > BATCH_CHARACTERS_MAX) {
                this.drop(1, "the queue is full");
                return;
            }
            this.queue.push({ kind, json });
            this.watch();
            this.schedule(this.queue.length >= BATCH_MAX && this.failures === 0 ? 0 : this.delayMs());
        } catch {
            // A circular input, for example.
            this.drop(1, "it cannot be written as JSON");
        }
    }

    /** Counts what is dropped, and says so the first time. */
    private drop(count: number, why: string): void {
        const isFirst = this.dropped === 0 && count > 0;
        this.dropped += count;
        if (!isFirst) return;
        try {
            this.warn(`a report was dropped: ${why}; \`droppedReports\` counts them`);
        } catch {
            // Nothing that reports do reaches the application.
        }
    }

    private delayMs(): number {
        return Math.min(DELAY_MS * 2 ** this.failures, RETRY_MAX_MS);
    }

    private schedule(ms: number): void {
        if (this.timer !== undefined && ms > 0) return;
        clearTimeout(this.timer);
        this.timer = unref(
            setTimeout(() => {
                this.timer = undefined;
                void this.flush();
            }, ms),
        );
    }

    /** Flushes once more when nothing else is left to do; a node that does not answer does not hold the program. */
    private watch(): void {
        if (this.stopWatching) return;
        let failures = -1;
        this.stopWatching = beforeExit(() => {
            if (this.queue.length === 0 || this.failures === failures) return;
            failures = this.failures + 1;
            void this.flush();
        });
    }

    private send(): Promise<void> {
        this.sending ??= this.sendAll().finally(() => {
            this.sending = undefined;
            if (this.queue.length > 0) this.schedule(this.delayMs());
        });
        return this.sending;
    }

    private async sendAll(): Promise<void> {
        while (this.queue.length > 0) {
            const batch = this.batch();
            if (!(await this.post(batch, crypto.randomUUID()))) {
                this.failures += 1;
                const room = Math.max(QUEUE_MAX - this.queue.length, 0);
                this.drop(Math.max(batch.length - room, 0), "the queue is full");
                this.queue.unshift(...batch.slice(0, room));
                return;
            }
            this.failures = 0;
        }
    }

    /** Takes the next reports of one kind. */
    private batch(): Report[] {
        const kind = this.queue[0]?.kind;
        let characters = 0;
        let count = 0;
        for (const report of this.queue) {
            characters += report.json.length;
            if (report.kind !== kind || count >= BATCH_MAX || (count > 0 && characters > BATCH_CHARACTERS_MAX)) break;
            count += 1;
        }
        return this.queue.splice(0, count);
    }

    /** Whether the node has these reports, or will never take them. */
    private async post(batch: Report[], key: string): Promise<boolean> {
        const kind = batch[0]?.kind ?? "responses";
        let status: number;
        try {
            const reply = await this.transport().exchange({
                method: "POST",
                path: `/v1/${kind}`,
                headers: { "content-type": "application/json", "idempotency-key": key },
                body: `{"${kind}":[${batch.map((report) => report.json).join(",")}]}`,
                timeoutMs: TIMEOUT_MS,
            });
            status = reply.status;
        } catch {
            return false;
        }
        if (status < 300) return true;
        if (status >= 500 || [404, 408, 421, 429].includes(status)) return false;
        if (batch.length === 1 || status === 401 || status === 403) {
            this.drop(batch.length, `the node refused it with status ${status}`);
            return true;
        }
        // One wrong report refuses all: find it.
        const middle = Math.ceil(batch.length / 2);
        const halves = [batch.slice(0, middle), batch.slice(middle)];
        for (const [index, half] of halves.entries()) {
            if (await this.post(half, `${key}/${index}`)) continue;
            this.drop(half.length, "the node did not answer");
        }
        return true;
    }
}

const timeOf = (moment: Date | string | undefined) =>
    typeof moment === "string" ? moment : (moment ?? new Date()).toISOString();

type Usage = { readonly [name: string]: unknown };

/** Token counts from the `usage` of an SDK. */
function tokensOf(usage: object | null | undefined): object {
    const from = (usage ?? {}) as Usage;
    const number = (...places: (readonly [string, string?])[]) => {
        for (const [name, inner] of places) {
            const value = inner === undefined ? from[name] : (from[name] as Usage | undefined)?.[inner];
            if (typeof value === "number" && Number.isFinite(value)) return value;
        }
        return undefined;
    };
    const anthropicRead = number(["cache_read_input_tokens"]);
    const anthropicWrite = number(["cache_creation_input_tokens"]);
    const input = number(["prompt_tokens"], ["input_tokens"], ["inputTokens"], ["promptTokens"]);
    // Anthropic counts cached tokens apart from the others.
    const isApart = anthropicRead !== undefined || anthropicWrite !== undefined;
    return given({
        input_tokens: isApart && input !== undefined ? input + (anthropicRead ?? 0) + (anthropicWrite ?? 0) : input,
        cache_read_tokens:
            anthropicRead ??
            number(
                ["prompt_tokens_details", "cached_tokens"],
                ["input_tokens_details", "cached_tokens"],
                ["inputTokenDetails", "cacheReadTokens"],
                ["cachedInputTokens"],
            ),
        cache_write_tokens: anthropicWrite ?? number(["inputTokenDetails", "cacheWriteTokens"]),
        output_tokens: number(["completion_tokens"], ["output_tokens"], ["outputTokens"], ["completionTokens"]),
        reasoning_tokens: number(
            ["completion_tokens_details", "reasoning_tokens"],
            ["output_tokens_details", "reasoning_tokens"],
            ["outputTokenDetails", "reasoningTokens"],
            ["reasoningTokens"],
        ),
    });
}

/** The fields that have a value. */
function given(fields: { [name: string]: number | undefined }): object {
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
