/** A version of a prompt, ready to be filled in. */

import { BookholderError, InvalidVariables, NO_PROBLEMS } from "./errors.js";
import type { WrongType } from "./errors.js";
import { withBaggage } from "./otel.js";
import { kindName, placeholders, render } from "./render.js";
import type { Rendered } from "./render.js";
import { ai, aiSchema, anthropic, openai, textOfResponse } from "./sdk.js";
import type { AiArguments, AnthropicArguments, OpenAIArguments, OpenAISettings, Said } from "./sdk.js";
import type {
    Assignment, Content, FilledMessage, Model, Output, Remark, Resolved, Source, Telemetry, VariableArguments, Variables,
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
export type RenderRemotely = (resolved: Resolved, values: object, lists: object) => Promise<Rendered>;

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
    /** The content as it was published. */
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

    /** Seconds since the replica last had contact with its primary; null where nobody said. */
    get age(): number | null {
        const { source, ageAtReceipt, receivedAt } = this.provenance;
        if (ageAtReceipt === undefined) return null;
        return source === "memory" ? ageAtReceipt + Math.max(0, Math.floor((Date.now() - receivedAt) / 1000)) : ageAtReceipt;
    }

    /** The model and its parameters. */
    get model(): Model | undefined {
        return this.content.model;
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

    /** Attributes for a span, and the same as baggage. */
    get tags(): Telemetry {
        return this.resolved.telemetry;
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
        return openai(variables === undefined ? this.said() : { ...this.said(), messages: messagesOf(this.fill(variables)) });
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
     * prompt.tags.attributes`). Langfuse links the prompt by it, too.
     */
    telemetry(): {
        isEnabled: true;
        functionId: string;
        metadata: { [key: string]: string };
        includeRuntimeContext: { [key: string]: true };
    } {
        const { attributes } = this.tags;
        const langfusePrompt = JSON.stringify({ name: this.name, version: this.version, isFallback: this.version === null });
        const keys = Object.keys(attributes).map((key) => [key, true as const]);
        return {
            isEnabled: true,
            functionId: this.name,
            metadata: { ...attributes, langfusePrompt },
            includeRuntimeContext: Object.fromEntries(keys) as { [key: string]: true },
        };
    }

    /** Runs `act` with baggage that names this version, for spans and services below it. */
    linked<T>(act: () => T): T {
        return withBaggage(this.tags, act);
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

    private said(): Said {
        const { name, model, tools, responseSchema } = this;
        return { name: name.split("/").at(-1) ?? name, model, tools, responseSchema };
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
