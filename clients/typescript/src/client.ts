/** The client: prompts from the replica, and reports to it. */

import {
    NoAnswer,
    answerOf,
    detailsOf,
    fallbackOf,
    fresh,
    itemsOf,
    nextOf,
    queryOf,
    subjectKey,
    unasked,
} from "./answers.js";
import type { Details, Item } from "./answers.js";
import { bakedAnswers, bakedFolder } from "./baked.js";
import type { Baked } from "./baked.js";
import {
    InvalidReference,
    InvalidVariables,
    NO_PROBLEMS,
    PromptNotFound,
    PromptUnavailable,
    RenderFailed,
} from "./errors.js";
import { Events } from "./events.js";
import { FakeNode } from "./fake.js";
import type { FakePrompts } from "./fake.js";
import { HotPrompts } from "./hot.js";
import { Memory } from "./memory.js";
import type { Answer } from "./memory.js";
import { addressOf } from "./options.js";
import type { BookholderOptions, PromptFilter, PromptOptions, WarnKind } from "./options.js";
import { markSpan } from "./otel.js";
import { Prompt } from "./prompt.js";
import type { Provenance } from "./prompt.js";
import { PRODUCTION, canonical, inPath } from "./reference.js";
import { checkValues } from "./render.js";
import type { Lists, Rendered, Values } from "./render.js";
import { Reports } from "./reports.js";
import type { RecordFields, RecordedPrompt, ScoreFields } from "./reports.js";
import { environment } from "./runtime.js";
import { transportTo } from "./transport.js";
import type { Address, Exchange, Reply, Transport } from "./transport.js";
import type { PromptReference, Resolved, Source } from "./types.js";

const TIMEOUT_MS = 250;
const PATIENCE_MS = 5_000;
/**
 * The node looked and there is no such thing, or the question itself is wrong; everything else says something about the
 * node, the way to it, or the access token. docs/tasks/applications.md has the same list.
 */
const ABSENT = new Set([
    "prompt_not_found",
    "prompt_removed",
    "version_not_found",
    "label_not_found",
    "version_archived",
]);
const WRONG = new Set([400, 413, 414, 422]);
/** Of all other statuses below 500, these pass by themselves. */
const PASSING = new Set([408, 429]);
/** How often `warn` is told that the node refuses the application. */
const REFUSED_EVERY_MS = 300_000;
/** How often pages begin again, and most lists that stay in memory. */
const ATTEMPTS_MAX = 5;
const LISTS_MAX = 1_000;
/** Most references in one batch. */
const BATCH_MAX = 1_000;
/**
 * Prompts from the replica beside the application.
 *
 * Each call asks the replica, so that a rollback holds from the next call. If it does not answer in time, the last good
 * answer in memory does; then the baked files; then the `fallback` of the call; and then there is one error that says
 * what was tried. Make one client for the whole application.
 *
 * @example
 * ```ts
 * const bookholder = new Bookholder();
 * const prompt = await bookholder.prompt("support/agent", { subject: user.id });
 * const response = await openai.chat.completions.create(prompt.openai({ shop: "Globe" }));
 * bookholder.record(prompt, { responseId: response.id, model: response.model, usage: response.usage });
 * ```
 */
export class Bookholder {
    private readonly options: BookholderOptions;
    private readonly memory = new Memory();
    private readonly reports = new Reports(
        () => this.transport(),
        (message) => this.tell(message, "dropped"),
    );
    private readonly listeners = new Set<(names: readonly string[]) => void>();
    private readonly lists = new Map<string, string[]>();
    private connection: Transport | undefined;
    private place: Address | undefined;
    /** What `warn` was told since the node answered last, and when. */
    private readonly told = new Map<WarnKind, number>();
    private bakedPrompts: Baked | undefined;
    private events: Events | undefined;
    private readonly hot = new HotPrompts();
    /** Counts what was sent and received. */
    private order = 0;

    constructor(options: BookholderOptions = {}) {
        if (options.socket !== undefined && options.url !== undefined) {
            throw new TypeError("give either the URL of a node or its socket, not both");
        }
        this.options = options;
    }

    /** The node that is asked, as `unix:/run/bookholder/replica.sock` or `http://127.0.0.1:7071`. */
    get address(): string {
        this.place ??= addressOf(this.options);
        return this.place.socket === undefined ? this.place.url : `unix:${this.place.socket}`;
    }

    /**
     * A client for tests of an application: answers from these prompts, and keeps what is recorded. It is strict:
     * values that a prompt does not use are an error.
     *
     * @example
     * ```ts
     * const bookholder = Bookholder.fake({ "support/agent": "Hi {{shop}}" });
     * await answer(bookholder, "Where is my order?");
     * assert.equal(bookholder.recorded[0]?.responseId, "chatcmpl-9x");
     * ```
     */
    static fake(prompts: FakePrompts, options: { strict?: boolean } = {}): FakeBookholder {
        return new FakeBookholder(prompts, options.strict ?? true);
    }

    /** Reports that were not sent: the queue was full, or the node refused them. */
    get droppedReports(): number {
        return this.reports.dropped;
    }

    /**
     * The version that a reference means now: `name` (production), `name@label`, `name@7` or `name@b3:…`.
     *
     * @throws {PromptNotFound} The node has no such prompt, version or label.
     * @throws {PromptUnavailable} Nothing answered.
     * @throws {InvalidReference} The node cannot read the reference.
     */
    prompt<const R extends PromptReference>(reference: R, options?: PromptOptions): Promise<Prompt<R>> {
        const hot = this.hot.find(reference, options);
        if (hot !== undefined) {
            if (this.options.markSpans !== false) markSpan(() => hot.prompt.spanAttributes());
            return hot.promise as Promise<Prompt<R>>;
        }
        const asked = this.ask(reference, options ?? {}) as Promise<Prompt<R>>;
        if (this.options.markSpans === false) return asked;
        return asked.then((prompt) => {
            markSpan(() => prompt.spanAttributes());
            return prompt;
        });
    }

    /**
     * Many prompts from one consistent state: by reference, in this order, or all that a label serves.
     *
     * @example
     * ```ts
     * const [agent, router] = await bookholder.prompts(["support/agent", "support/router"]);
     * const all = await bookholder.prompts({ label: "production", pattern: "support/**" });
     * ```
     */
    prompts<const R extends readonly PromptReference[]>(
        references: R,
        options?: Omit<PromptOptions, "fallback">,
    ): Promise<{ -readonly [K in keyof R]: Prompt<R[K]> }>;
    prompts(filter: PromptFilter): Promise<Prompt[]>;
    async prompts(which: readonly string[] | PromptFilter, options: PromptOptions = {}): Promise<Prompt[]> {
        return Array.isArray(which)
            ? this.askAll(which as readonly string[], options)
            : this.askMatching(which as PromptFilter);
    }

    /**
     * Tells which prompts changed, from the node's stream of events; without names, any may have. Returns how to stop.
     * What changed while the stream was interrupted is told when it is open again.
     */
    on(event: "changed", act: (names: readonly string[]) => void): () => void {
        if (event !== "changed") throw new TypeError(`there is no event \`${String(event)}\`: use "changed"`);
        this.listeners.add(act);
        this.listen();
        return () => this.listeners.delete(act);
    }

    /**
     * Records a response of a model for this version. It returns at once and never throws: reports are sent in batches,
     * and what cannot be sent is counted in {@link Bookholder.droppedReports}.
     */
    record(prompt: RecordedPrompt, fields: RecordFields = {}): void {
        this.reports.record(prompt, fields);
    }

    /** Records how good a response was; as {@link Bookholder.record}. */
    score(fields: ScoreFields): void {
        this.reports.score(fields);
    }

    /**
     * Sends the reports that wait, as before `process.exit()`; at a normal end they are sent anyway. Whether all were
     * sent; it never rejects.
     */
    flush(): Promise<boolean> {
        return this.reports.flush();
    }

    /** Sends the reports that wait, and closes all connections. */
    async close(): Promise<void> {
        this.events?.stop();
        this.events = undefined;
        this.hot.lost();
        this.listeners.clear();
        await this.reports.flush();
        this.reports.stop();
        this.connection?.close();
        this.connection = undefined;
    }

    /** @internal Where requests go. */
    protected connect(): Transport {
        this.place ??= addressOf(this.options);
        return transportTo(this.place, this.options.fetch);
    }

    private transport(): Transport {
        this.connection ??= this.connect();
        return this.connection;
    }

    private async ask(reference: string, options: PromptOptions): Promise<Prompt> {
        if (this.options.cache === "events") this.tryToListen();
        const subject = subjectKey(options);
        const known = this.memory.exact(canonical(reference), subject);
        const { timeoutMs = known ? this.timeoutMs() : await this.patienceFor(reference, options) } = options;
        const asked = this.hot.asking();
        const sentOrder = ++this.order;
        const path = `/v1/resolve/${inPath(reference)}${queryOf(options)}`;
        const headers = known?.etag === undefined ? {} : { "if-none-match": known.etag };
        const reply = await this.exchange({ method: "GET", path, headers, timeoutMs });
        if (reply instanceof NoAnswer) return this.withoutReplica(reference, options, reply);
        if (reply.status === 200 || reply.status === 304) {
            const read = answerOf(reply, known, ++this.order);
            if (!read) return this.withoutReplica(reference, options, this.unlike());
            this.told.clear();
            const answer = this.memory.put(canonical(reference), subject, read, sentOrder);
            if (this.options.cache === "events") this.hot.keep(reference, options, asked, this.kept(reference, answer));
            return this.finish(reference, answer, "replica");
        }
        const problem = this.problemOf([reference], reply.status, detailsOf(reply));
        if (problem instanceof NoAnswer) return this.withoutReplica(reference, options, problem);
        if (problem instanceof PromptNotFound && options.fallback !== undefined) {
            return this.finish(reference, unasked(fallbackOf(reference, options.fallback)), "fallback");
        }
        throw problem;
    }

    private timeoutMs(): number {
        return this.options.timeoutMs ?? TIMEOUT_MS;
    }

    private patienceMs(): number {
        return Math.max(this.options.patienceMs ?? PATIENCE_MS, this.timeoutMs());
    }

    /** How long to wait for an answer that is not in memory: longer, if nobody else has one. */
    private async patienceFor(reference: string, options: PromptOptions): Promise<number> {
        const hasOther =
            options.fallback !== undefined ||
            this.memory.get(canonical(reference), subjectKey(options)) !== undefined ||
            typeof (await this.baked()?.find(reference)) === "object";
        return hasOther ? this.timeoutMs() : this.patienceMs();
    }

    /** The reply, or why there is none. */
    private async exchange(exchange: Exchange): Promise<Reply | NoAnswer> {
        try {
            return await this.transport().exchange(exchange);
        } catch (error) {
            return new NoAnswer(`${this.address}: ${error instanceof Error ? error.message : String(error)}`);
        }
    }

    private unlike(): NoAnswer {
        return new NoAnswer(`${this.address}: its answer is not that of a Bookholder node`);
    }

    /** What an error of the node means: that there is no such thing, or why it does not answer. */
    private problemOf(references: readonly string[], status: number, details: Details): Error | NoAnswer {
        const { code, detail, hint } = details;
        const reference = references.slice(0, 3).join(", ");
        if (code !== undefined && ABSENT.has(code)) {
            for (const absent of references) this.memory.forget(canonical(absent));
            return new PromptNotFound(reference, [detail ?? code]);
        }
        if (code !== undefined && WRONG.has(status)) {
            return new InvalidReference(`the node refused \`${reference}\`: ${detail}`);
        }
        const said = (detail === undefined ? "" : `: ${detail}`) + (hint === undefined ? "" : ` (${hint})`);
        const why = `${this.address}: it answered with status ${status}${said}`;
        return new NoAnswer(why, status >= 400 && status < 500 && !PASSING.has(status));
    }

    /** Memory, then the baked files, then the fallback. */
    private async withoutReplica(reference: string, options: PromptOptions, none: NoAnswer): Promise<Prompt> {
        const reasons = [none.why];
        const known = this.memory.get(canonical(reference), subjectKey(options));
        if (known) {
            this.warn("the last answer of each prompt", none);
            return this.finish(reference, known, "memory");
        }
        reasons.push("memory has no earlier answer");
        const baked = await this.baked()?.find(reference);
        if (typeof baked === "object") {
            this.warn("baked prompts", none);
            return this.finish(reference, unasked(baked), "baked");
        }
        if (baked !== undefined) reasons.push(baked);
        if (options.fallback === undefined) throw new PromptUnavailable(reference, reasons);
        this.warn("fallbacks", none);
        return this.finish(reference, unasked(fallbackOf(reference, options.fallback)), "fallback");
    }

    /** Once for each outage, not for each call. Of a refusal again and again, until it is fixed. */
    private warn(what: string, { why, isRefused }: NoAnswer): void {
        const kind = isRefused ? "refused" : "away";
        const last = this.told.get(kind);
        if (last !== undefined && !(isRefused && Date.now() - last >= REFUSED_EVERY_MS)) return;
        this.told.set(kind, Date.now());
        const problem = isRefused
            ? `the node refuses this application; until that is fixed it uses ${what}`
            : `the node does not answer; using ${what}`;
        this.tell(`${problem} (${why})`, kind);
    }

    private tell(message: string, kind: WarnKind): void {
        (this.options.warn ?? warnOnConsole)(`bookholder: ${message}`, kind);
    }

    private baked(): Baked | undefined {
        if (this.bakedPrompts) return this.bakedPrompts;
        const { baked } = this.options;
        if (baked === false) return undefined;
        this.bakedPrompts =
            typeof baked === "object" ? bakedAnswers(baked) : bakedFolder(baked ?? environment("BOOKHOLDER_BAKED"));
        return this.bakedPrompts;
    }

    private finish(reference: string, answer: Answer, source: Source): Prompt {
        const provenance: Provenance = {
            source,
            stale: source === "replica" ? answer.stale : true,
            ageAtReceipt: answer.ageS,
            receivedAt: answer.receivedAt,
        };
        const prompt = this.make(reference, answer.resolved, provenance);
        if (source === "replica") this.hot.saw(prompt);
        return prompt;
    }

    private make(reference: string, resolved: Resolved, provenance: Provenance): Prompt {
        const strict = this.options.strict ?? false;
        return new Prompt(reference, resolved, provenance, { strict, render: (...given) => this.render(...given) });
    }

    /** An answer as hot callers get it later. */
    private kept(reference: string, { resolved, stale, ageS, receivedAt }: Answer): Prompt {
        return this.make(reference, resolved, { source: "memory", stale, ageAtReceipt: ageS, receivedAt });
    }

    private tryToListen(): void {
        try {
            this.listen();
        } catch {
            // Asking says why there is no way to the node.
        }
    }

    private listen(): void {
        this.events ??= new Events(this.transport(), {
            opened: () => this.hot.opened(),
            lost: () => this.hot.lost(),
            changed: (names) => {
                this.hot.changed(names);
                for (const act of this.listeners) {
                    try {
                        act(names);
                    } catch (error) {
                        // As for an event target: the other listeners are told, and the error is not lost.
                        queueMicrotask(() => {
                            throw error;
                        });
                    }
                }
            },
        });
    }

    private async askAll(references: readonly string[], options: PromptOptions): Promise<Prompt[]> {
        if (references.length === 0) return [];
        if (references.length > BATCH_MAX) {
            throw new RangeError(`${references.length} references in one read: the limit is ${BATCH_MAX}`);
        }
        const sentOrder = ++this.order;
        const { subject: forSubject, attributes } = options;
        const reply = await this.exchange({
            method: "POST",
            path: "/v1/resolve",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ references, subject: forSubject, attributes }),
            timeoutMs: options.timeoutMs ?? this.patienceMs(),
        });
        const instead = (none: NoAnswer) =>
            Promise.all(references.map((reference) => this.withoutReplica(reference, options, none)));
        if (reply instanceof NoAnswer) return instead(reply);
        if (reply.status !== 200) {
            const problem = this.problemOf(references, reply.status, detailsOf(reply));
            if (problem instanceof NoAnswer) return instead(problem);
            throw problem;
        }
        const items = itemsOf(reply);
        if (items?.length !== references.length) return instead(this.unlike());
        const problem = this.problemIn(items);
        if (problem !== undefined) return instead(problem);
        return items.map((item, index) => this.answered(references[index] ?? "", options, item, reply, sentOrder));
    }

    /** What is wrong with some of many answers. */
    private problemIn(items: readonly Item[]): NoAnswer | undefined {
        const wrong = items.filter((item) => item.problem);
        const [first] = wrong;
        if (!first?.problem) return undefined;
        const detail = wrong.map((item) => item.problem?.detail).join("; ");
        const references = wrong.map((item) => item.reference);
        const problem = this.problemOf(references, first.problem.status ?? 500, { code: first.problem.code, detail });
        if (problem instanceof NoAnswer) return problem;
        throw problem;
    }

    /** One of many answers. */
    private answered(reference: string, caller: PromptOptions, item: Item, reply: Reply, sentOrder: number): Prompt {
        this.told.clear();
        // Without an entity tag: it comes with the next answer to this reference alone.
        const read = { ...fresh(reply, ++this.order), etag: undefined, resolved: item.resolved as Resolved };
        this.memory.put(canonical(reference), subjectKey(caller), read, sentOrder);
        return this.finish(reference, read, "replica");
    }

    private async askMatching(filter: PromptFilter): Promise<Prompt[]> {
        const { label = PRODUCTION, pattern = "**" } = filter;
        const key = JSON.stringify([label, pattern, subjectKey(filter)]);
        const found = await this.pages(filter, label, pattern);
        if (!(found instanceof NoAnswer)) {
            this.lists.delete(key);
            if (this.lists.size >= LISTS_MAX) this.lists.clear();
            this.lists.set(
                key,
                found.map((prompt) => prompt.reference),
            );
            return found;
        }
        const known = this.lists.get(key);
        if (known) return Promise.all(known.map((reference) => this.withoutReplica(reference, filter, found)));
        const baked = await this.baked()?.matching(label, pattern);
        if (typeof baked === "object" && baked.length > 0) {
            this.warn("baked prompts", found);
            return baked.map((resolved) => this.finish(`${resolved.name}@${label}`, unasked(resolved), "baked"));
        }
        const reasons = [found.why, "memory has no earlier answer"];
        if (baked !== undefined) reasons.push(typeof baked === "string" ? baked : "no baked prompt matches");
        throw new PromptUnavailable(`${pattern}@${label}`, reasons);
    }

    /** All pages of one state, or why there are none. */
    private async pages(filter: PromptFilter, label: string, pattern: string): Promise<Prompt[] | NoAnswer> {
        const timeoutMs = filter.timeoutMs ?? this.patienceMs();
        const which = `label=${encodeURIComponent(label)}&pattern=${encodeURIComponent(pattern)}&limit=${BATCH_MAX}`;
        const base = `/v1/resolve?${which}${queryOf(filter).replace("?", "&")}`;
        for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
            const found: Prompt[] = [];
            for (let cursor = ""; ;) {
                const sentOrder = ++this.order;
                const path = cursor === "" ? base : `${base}&cursor=${encodeURIComponent(cursor)}`;
                const reply = await this.exchange({ method: "GET", path, timeoutMs });
                if (reply instanceof NoAnswer) return reply;
                // The node began again with another state: so does this.
                if (reply.status === 410) break;
                if (reply.status !== 200) {
                    const problem = this.problemOf([`${pattern}@${label}`], reply.status, detailsOf(reply));
                    if (problem instanceof NoAnswer) return problem;
                    throw problem;
                }
                const items = itemsOf(reply);
                if (!items) return this.unlike();
                const problem = this.problemIn(items);
                if (problem !== undefined) return problem;
                found.push(...items.map((item) => this.answered(item.reference, filter, item, reply, sentOrder)));
                cursor = nextOf(reply) ?? "";
                if (cursor === "") return found;
            }
        }
        return new NoAnswer(`${this.address}: its state kept changing`);
    }

    private async render(resolved: Resolved, values: Values, lists: Lists): Promise<Rendered> {
        checkValues(resolved.content, values, lists, this.options.strict ?? false);
        if (resolved.version === 0) {
            throw new RenderFailed(`\`${resolved.name}\` is a fallback in jinja, which the node renders: use mustache`);
        }
        const reference = `${resolved.name}@${resolved.version}`;
        let body: string;
        try {
            body = JSON.stringify({ variables: values, messages: lists, strict: this.options.strict ?? false });
        } catch (error) {
            throw new RenderFailed("a value is not JSON", { cause: error });
        }
        const headers = { "content-type": "application/json" };
        const path = `/v1/render/${inPath(reference)}`;
        const reply = await this.exchange({ method: "POST", path, headers, body, timeoutMs: this.patienceMs() });
        const unrendered = ({ why }: NoAnswer) =>
            new PromptUnavailable(reference, [why, "jinja is rendered by the node alone"]);
        if (reply instanceof NoAnswer) throw unrendered(reply);
        if (reply.status !== 200) {
            const details = detailsOf(reply);
            if (details.code === "invalid_variables") throw new InvalidVariables(NO_PROBLEMS, details.detail);
            if (reply.status === 422) throw new RenderFailed(details.detail ?? "the template failed");
            const problem = this.problemOf([reference], reply.status, details);
            throw problem instanceof NoAnswer ? unrendered(problem) : problem;
        }
        const { text, messages, remarks = [] } = JSON.parse(reply.body) as Partial<Rendered>;
        return { ...(text !== undefined && { text }), ...(messages && { messages }), remarks };
    }
}

function warnOnConsole(message: string, kind: WarnKind): void {
    if (kind === "refused") console.error(message);
    else console.warn(message);
}

/** A client for tests; see {@link Bookholder.fake}. */
export class FakeBookholder extends Bookholder {
    private readonly node: FakeNode;

    constructor(prompts: FakePrompts, strict: boolean) {
        super({ baked: false, strict, warn: () => undefined });
        this.node = new FakeNode(prompts);
    }

    /** What was recorded, as it was given. */
    readonly recorded: (RecordFields & { prompt: RecordedPrompt })[] = [];
    /** What was scored, as it was given. */
    readonly scored: ScoreFields[] = [];

    override record(prompt: RecordedPrompt, fields: RecordFields = {}): void {
        this.recorded.push({ ...fields, prompt });
    }

    override score(fields: ScoreFields): void {
        this.scored.push(fields);
    }

    /** Publishes and deploys a new version, or a prompt that was not there. */
    set(reference: string, prompt: FakePrompts[string]): void {
        this.node.set(reference, prompt);
    }

    /** Whether the node answers; `down` and `up` again. */
    setDown(isDown: boolean): void {
        this.node.isDown = isDown;
    }

    protected override connect(): Transport {
        return this.node;
    }
}
