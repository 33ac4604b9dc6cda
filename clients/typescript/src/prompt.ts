/** A version of a prompt, ready to be filled in. */

import { BookholderError, InvalidVariables, NO_PROBLEMS } from "./errors.js";
import type { WrongType } from "./errors.js";
import { copied } from "./json.js";
import { markSpan, withBaggage } from "./otel.js";
import { kindName, placeholders, render } from "./render.js";
import type { Lists, Rendered, Values } from "./render.js";
import { ai, aiSchema, anthropic, openai, responses, textOfResponse } from "./sdk.js";
import type {
    AiArguments,
    AnthropicArguments,
    OpenAIArguments,
    OpenAISettings,
    ResponsesArguments,
    ResponsesSettings,
    Said,
} from "./sdk.js";
import type {
    Assignment,
    Content,
    FilledMessage,
    Output,
    Remark,
    Resolved,
    Source,
    Variable,
    VariableArguments,
    Variables,
} from "./types.js";

/** Where an answer is from, and how current it was. */
export interface Provenance {
    source: Source;
    stale: boolean;
    /** Age of the node's state when it answered, in seconds. */
    ageAtReceipt: number | undefined;
    /** When the answer was received, in milliseconds since 1970. */
    receivedAt: number;
}

/** Renders on the node, for jinja. */
export type RenderRemotely = (resolved: Resolved, values: Values, lists: Lists) => Promise<Rendered>;

/** A version of a prompt. */
export class Prompt<R extends string = string> {
    /** The name, for example `support/agent`. */
    readonly name: string;
    /** The number of the version; null for a `fallback`. */
    readonly version: number | null;
    /** The content ID; null for a `fallback`. */
    readonly contentId: string | null;
    /** The label that was asked for; null where a version was. */
    readonly label: string | null;
    /** What to log with each response, for example `support/agent@7+3f9a1c2b7d41`; null for a `fallback`. */
    readonly stamp: string | null;
    /** How a split or rules chose the version. */
    readonly assignment: Assignment | null;
    /** Where this answer is from. */
    readonly source: Source;
    /** Whether it may be older than what the primary serves: the replica said so, or did not answer. */
    readonly stale: boolean;
    /** The content as it was published; it is frozen. */
    readonly content: Content;

    /** @internal */
    constructor(
        /** The reference that was asked for. */
        readonly reference: R,
        private readonly resolved: Resolved,
        private readonly provenance: Provenance,
        private readonly settings: { strict: boolean; render: RenderRemotely },
    ) {
        const isFallback = provenance.source === "fallback";
        this.name = resolved.name;
        this.version = isFallback ? null : resolved.version;
        this.contentId = isFallback ? null : resolved.content_id;
        this.label = resolved.label;
        this.stamp = isFallback ? null : resolved.stamp;
        this.assignment = resolved.assignment;
        this.source = provenance.source;
        this.stale = provenance.stale;
        this.content = resolved.content;
    }

    /** Seconds since the replica last had contact with its primary, at most; null for baked prompts and fallbacks. */
    get age(): number | null {
        const { ageAtReceipt, receivedAt } = this.provenance;
        return ageAtReceipt === undefined ? null : ageAtReceipt + Math.max(0, Date.now() - receivedAt) / 1000;
    }

    /** `mustache`, `jinja` or `plain`. */
    get syntax(): NonNullable<Content["syntax"]> {
        return this.content.syntax ?? "mustache";
    }

    /** The variables. */
    get variables(): readonly Variable[] {
        return this.content.variables ?? [];
    }

    /** The placeholders for lists of messages. */
    get placeholders(): readonly string[] {
        return placeholders(this.content);
    }

    /** The model that the version is written for. */
    get model(): string | undefined {
        return this.content.model?.name;
    }

    /** Parameters of the model, such as the temperature. */
    get parameters(): { readonly [name: string]: unknown } {
        return this.content.model?.parameters ?? {};
    }

    /** Tools, as they were published. */
    get tools(): readonly unknown[] {
        return this.content.tools ?? [];
    }

    /** The JSON Schema of the response. */
    get responseSchema(): unknown {
        return this.content.response_schema;
    }

    /** Anything else that was published with the prompt. */
    get config(): { readonly [key: string]: unknown } {
        return this.content.config ?? {};
    }

    /** Attributes that name this version on a span. */
    spanAttributes(): { [key: string]: string } {
        const { attributes } = this.resolved.telemetry;
        if (this.version === null) return { ...attributes };
        // So that a Langfuse project links it, too.
        return {
            ...attributes,
            "langfuse.observation.prompt.name": this.name,
            "langfuse.observation.prompt.version": String(this.version),
        };
    }

    /** The same as the value of a W3C `baggage` header, for calls of other services. */
    get baggage(): string {
        return this.resolved.telemetry.baggage;
    }

    /**
     * The messages, with variables filled in and the lists of placeholders put in their places. A text prompt is one
     * message of the user.
     *
     * @example
     * ```ts
     * prompt.messages({ shop: "Globe", history: [{ role: "user", content: "Hi" }] });
     * ```
     * @throws {InvalidVariables} Names everything that is missing or has the wrong type.
     * @throws {RenderFailed} The prompt is in jinja, which the node renders: use {@link Prompt.render}.
     */
    messages(...[variables]: VariableArguments<R>): FilledMessage[] {
        return messagesOf(this.fill(variables));
    }

    /**
     * The text of a text prompt, with variables filled in.
     *
     * @throws {InvalidVariables} Names everything that is missing or has the wrong type.
     * @throws {RenderFailed} The prompt is in jinja, which the node renders: use {@link Prompt.render}.
     */
    text(...[variables]: VariableArguments<R>): string {
        return textOf(this.fill(variables), this.name);
    }

    /**
     * Fills in a prompt of any syntax: jinja is rendered by the node, the others here.
     *
     * @example
     * ```ts
     * const filled = await prompt.render({ products });
     * await openai.chat.completions.create(filled.openai());
     * ```
     */
    async render(...[variables]: VariableArguments<R>): Promise<Filled> {
        if (this.content.syntax !== "jinja") return new Filled(this.fill(variables), this.said(), this.name);
        const { values, lists } = this.sorted(variables);
        return new Filled(await this.settings.render(this.resolved, values, lists), this.said(), this.name);
    }

    /** Arguments of `openai.chat.completions.create`; with variables also the messages. */
    openai(): OpenAISettings;
    openai(variables: Variables<R>): OpenAIArguments;
    openai(variables?: Variables<R>): OpenAISettings {
        return openai(
            variables === undefined ? this.said() : { ...this.said(), messages: messagesOf(this.fill(variables)) },
        );
    }

    /** Arguments of OpenAI's `responses.create`; with variables also the messages, as `input`. */
    responses(): ResponsesSettings;
    responses(variables: Variables<R>): ResponsesArguments;
    responses(variables?: Variables<R>): ResponsesSettings {
        return responses(
            variables === undefined ? this.said() : { ...this.said(), messages: messagesOf(this.fill(variables)) },
        );
    }

    /** Arguments of `anthropic.messages.create`: the system text split off, tools in its shape. */
    anthropic(...[variables]: VariableArguments<R>): AnthropicArguments {
        return anthropic({ ...this.said(), messages: messagesOf(this.fill(variables)) });
    }

    /** Arguments of the AI SDK's `generateText` and `streamText`, beside `model`. */
    ai(...[variables]: VariableArguments<R>): AiArguments {
        return ai({ ...this.said(), messages: messagesOf(this.fill(variables)) });
    }

    /** The response schema for the AI SDK: `Output.object({ schema: prompt.aiSchema() })`. */
    aiSchema(): object {
        return aiSchema(this.responseSchema ?? {});
    }

    /**
     * For `experimental_telemetry` of the AI SDK 5 and 6, or `telemetry` of 7 (beside `runtimeContext:
     * prompt.spanAttributes()`). Langfuse links the prompt by it, too.
     */
    telemetry(): {
        isEnabled: true;
        functionId: string;
        metadata: { [key: string]: string };
        includeRuntimeContext: { [key: string]: true };
    } {
        const { attributes } = this.resolved.telemetry;
        const langfusePrompt = JSON.stringify({
            name: this.name,
            version: this.version,
            isFallback: this.version === null,
        });
        const keys = Object.keys(this.spanAttributes()).map((key) => [key, true as const]);
        return {
            isEnabled: true,
            functionId: this.name,
            metadata: { ...attributes, langfusePrompt },
            includeRuntimeContext: Object.fromEntries(keys) as { [key: string]: true },
        };
    }

    /** Names this version on the current span of OpenTelemetry, and in the baggage of everything inside of `act`. */
    linked<T>(act: () => T): T {
        markSpan(() => this.spanAttributes());
        return withBaggage(this.resolved.telemetry.attributes, act);
    }

    /**
     * The structured output of a response: its text, or the response of one of the SDKs.
     *
     * @throws {BookholderError} It is not JSON.
     */
    parse(response: unknown): Output<R> {
        const text = textOfResponse(response);
        if (text === undefined) throw new BookholderError("the response has no text to parse");
        try {
            return JSON.parse(text) as Output<R>;
        } catch (error) {
            throw new BookholderError(`the response to \`${this.name}\` is not JSON`, { cause: error });
        }
    }

    toString(): string {
        return `<Prompt ${this.stamp ?? this.reference} from ${this.source}${this.stale ? ", stale" : ""}>`;
    }

    private said(): Said {
        const { name, content } = this;
        return {
            name: name.split("/").at(-1) ?? name,
            model: copied(content.model),
            tools: copied(content.tools ?? []),
            responseSchema: copied(content.response_schema),
        };
    }

    private fill(variables: object | undefined): Rendered {
        const { values, lists } = this.sorted(variables);
        return render(this.content, values, lists, this.settings.strict);
    }

    /** Values of variables, and lists for placeholders. */
    private sorted(variables: object | undefined) {
        const values: { [name: string]: unknown } = {};
        const lists: { [name: string]: readonly unknown[] } = {};
        const open = placeholders(this.content);
        const wrongType: WrongType[] = [];
        for (const [name, value] of Object.entries(variables ?? {})) {
            if (value === undefined) continue;
            if (!open.includes(name)) values[name] = value;
            else if (Array.isArray(value)) lists[name] = value;
            else wrongType.push({ name, expected: "list of messages", found: kindName(value) });
        }
        if (wrongType.length > 0) throw new InvalidVariables({ ...NO_PROBLEMS, wrongType });
        return { values, lists };
    }
}

// In logs, Node and Deno show the version and not the whole prompt.
for (const inspect of [Symbol.for("nodejs.util.inspect.custom"), Symbol.for("Deno.customInspect")]) {
    Object.defineProperty(Prompt.prototype, inspect, { value: Prompt.prototype.toString });
}

/** A prompt with its variables filled in. */
export class Filled {
    /** The messages; those of a text prompt are one message of the user. */
    readonly messages: FilledMessage[];
    /** What was ignored or left empty. */
    readonly remarks: readonly Remark[];

    /** @internal */
    constructor(
        private readonly rendered: Rendered,
        private readonly said: Said,
        private readonly name: string,
    ) {
        this.messages = messagesOf(rendered);
        this.remarks = rendered.remarks;
    }

    /** The text of a text prompt. */
    get text(): string {
        return textOf(this.rendered, this.name);
    }

    /** As {@link Prompt.openai}. */
    openai(): OpenAIArguments {
        return openai({ ...this.said, messages: this.messages });
    }

    /** As {@link Prompt.responses}. */
    responses(): ResponsesArguments {
        return responses({ ...this.said, messages: this.messages });
    }

    /** As {@link Prompt.anthropic}. */
    anthropic(): AnthropicArguments {
        return anthropic({ ...this.said, messages: this.messages });
    }

    /** As {@link Prompt.ai}. */
    ai(): AiArguments {
        return ai({ ...this.said, messages: this.messages });
    }
}

function messagesOf(rendered: Rendered): FilledMessage[] {
    return (rendered.messages as FilledMessage[] | undefined) ?? [{ role: "user", content: rendered.text ?? "" }];
}

function textOf(rendered: Rendered, name: string): string {
    if (rendered.text !== undefined) return rendered.text;
    throw new BookholderError(`\`${name}\` is a chat prompt: use \`messages\``);
}
