/**
 * The arguments of other SDKs, made from a version: model, parameters, tools, response format, messages.
 *
 * Nothing of these SDKs is loaded. What a version stores in the shape of one provider is converted to another where
 * both have the same thing, and passed on unchanged where not.
 */

import type { Message, MessagePart, Model } from "./types.js";

type Fields = { [field: string]: unknown };

/** What a version says to a model, with its values filled in. */
export interface Said {
    /** The last segment of the prompt's name, for a schema that needs a name. */
    name: string;
    model: Model | undefined;
    tools: readonly unknown[];
    responseSchema: unknown;
    messages?: readonly Message[] | undefined;
}

// These fit the types of every version of the SDKs, which is why some are `any`.

/** Arguments of `openai.chat.completions.create` beside the messages. */
export interface OpenAISettings {
    model: string;
    tools?: any[];
    response_format?: any;
    [parameter: string]: any;
}

/** Arguments of `openai.chat.completions.create`. */
export interface OpenAIArguments extends OpenAISettings {
    messages: any[];
}

/** Arguments of `anthropic.messages.create`. */
export interface AnthropicArguments {
    model: string;
    max_tokens: number;
    system?: any;
    messages: any[];
    tools?: any[];
    [parameter: string]: any;
}

/** Arguments of `generateText` and `streamText` of the AI SDK, without the model. */
export interface AiArguments {
    system?: string;
    messages: any[];
    tools?: any;
    temperature?: number;
    topP?: number;
    topK?: number;
    maxOutputTokens?: number;
    presencePenalty?: number;
    frequencyPenalty?: number;
    stopSequences?: string[];
    seed?: number;
}

/** What Anthropic's API requires, where the version names no limit. */
const MAX_TOKENS_DEFAULT = 4096;

const isFields = (value: unknown): value is Fields =>
    typeof value === "object" && value !== null && !Array.isArray(value);

const isSystem = (message: Message) => message.role === "system" || message.role === "developer";

/** Chat Completions of OpenAI, and of everything that speaks like it. */
export function openai(said: Said): OpenAIArguments {
    const { name, model, tools, responseSchema, messages } = said;
    const call: Fields = { ...(model && { model: model.name }), ...model?.parameters };
    if (tools.length > 0) call["tools"] = tools.map(openaiTool);
    if (responseSchema !== undefined && call["response_format"] === undefined) {
        call["response_format"] = { type: "json_schema", json_schema: namedSchema(name, responseSchema) };
    }
    if (messages) call["messages"] = messages.map(openaiMessage);
    return call as unknown as OpenAIArguments;
}

function openaiTool(tool: unknown): unknown {
    if (!isFields(tool) || tool["function"] !== undefined) return tool;
    const parameters = tool["input_schema"] ?? tool["parameters"];
    if (typeof tool["name"] !== "string" || parameters === undefined) return tool;
    const { name, description, strict } = tool;
    const described = { name, ...(description !== undefined && { description }), parameters };
    return { type: "function", function: strict === undefined ? described : { ...described, strict } };
}

function openaiMessage(message: Message): Message {
    const role = message.role === "model" ? "assistant" : message.role;
    if (!Array.isArray(message.content)) return { ...message, role };
    return { ...message, role, content: (message.content as MessagePart[]).map(openaiPart) };
}

function openaiPart(part: MessagePart): MessagePart {
    switch (part.type) {
        case "input_text":
        case "output_text":
            return { ...part, type: "text" };
        case "image":
            return typeof part["url"] === "string" ? { type: "image_url", image_url: { url: part["url"] } } : part;
        case "image_url":
        case "input_image":
            return typeof part["image_url"] === "string"
                ? { type: "image_url", image_url: { url: part["image_url"] } }
                : part;
        default:
            return part;
    }
}

/** Arguments of OpenAI's `responses.create` beside the messages. */
export interface ResponsesSettings {
    model: string;
    tools?: any[];
    text?: any;
    [parameter: string]: any;
}

/** Arguments of OpenAI's `responses.create`. */
export interface ResponsesArguments extends ResponsesSettings {
    input: any[];
}

/** Responses of OpenAI: messages as `input`, tools and response format in its shape. */
export function responses(said: Said): ResponsesArguments {
    const { name, model, tools, responseSchema, messages } = said;
    const { max_tokens, max_completion_tokens, reasoning_effort, response_format, ...parameters } =
        model?.parameters ?? {};
    const call: Fields = { ...(model && { model: model.name }), ...parameters };
    const limit = max_tokens ?? max_completion_tokens;
    if (limit !== undefined) call["max_output_tokens"] ??= limit;
    if (reasoning_effort !== undefined) call["reasoning"] ??= { effort: reasoning_effort };
    if (tools.length > 0)
        call["tools"] = tools.map(openaiTool).map((tool) => {
            return isFields(tool) && isFields(tool["function"]) ? { type: "function", ...tool["function"] } : tool;
        });
    if (responseSchema !== undefined) {
        const text = isFields(call["text"]) ? call["text"] : {};
        call["text"] = { ...text, format: { type: "json_schema", ...namedSchema(name, responseSchema) } };
    }
    if (messages) call["input"] = messages.flatMap(responsesItems);
    return call as unknown as ResponsesArguments;
}

function responsesItems(message: Message): unknown[] {
    const { content } = message;
    if (message.role === "tool" || message.role === "function") {
        return [{ type: "function_call_output", call_id: message["tool_call_id"], output: textOf(content) }];
    }
    const role = message.role === "model" ? "assistant" : message.role;
    const isSaid = Array.isArray(content) || (typeof content === "string" && content !== "");
    const said = Array.isArray(content) ? (content as MessagePart[]).map((part) => responsesPart(part, role)) : content;
    const calls = Array.isArray(message["tool_calls"]) ? (message["tool_calls"] as unknown[]) : [];
    return [
        ...(isSaid ? [{ role, content: said }] : []),
        ...calls.map((call) => {
            const { id, called } = calledBy(call);
            const { name, arguments: given = "" } = called;
            return {
                type: "function_call",
                call_id: id,
                name,
                arguments: typeof given === "string" ? given : JSON.stringify(given),
            };
        }),
    ];
}

function responsesPart(part: MessagePart, role: string): MessagePart {
    if (["text", "input_text", "output_text"].includes(part.type)) {
        return { ...part, type: role === "assistant" ? "output_text" : "input_text" };
    }
    const url = urlOf(part);
    if (url === undefined) return part;
    const place = part["image_url"];
    const detail = isFields(place) ? place["detail"] : part["detail"];
    return { type: "input_image", image_url: url, ...(detail !== undefined && { detail }) };
}

/** Messages of Anthropic: the system text apart, tools and tool calls in its shape. */
export function anthropic(said: Said): AnthropicArguments {
    const { model, tools, responseSchema, messages = [] } = said;
    const { max_tokens, max_completion_tokens, max_output_tokens, response_format, stop, ...parameters } =
        model?.parameters ?? {};
    const call: Fields = { ...(model && { model: model.name }), ...parameters };
    call["max_tokens"] = max_tokens ?? max_completion_tokens ?? max_output_tokens ?? MAX_TOKENS_DEFAULT;
    if (stop !== undefined && call["stop_sequences"] === undefined) {
        call["stop_sequences"] = typeof stop === "string" ? [stop] : stop;
    }
    const system = systemOf(messages);
    if (system !== undefined) call["system"] = system;
    if (tools.length > 0) call["tools"] = tools.map(anthropicTool);
    if (responseSchema !== undefined && call["output_config"] === undefined) {
        call["output_config"] = { format: { type: "json_schema", schema: responseSchema } };
    }
    call["messages"] = merged(messages.filter((message) => !isSystem(message)).map(anthropicMessage));
    return call as unknown as AnthropicArguments;
}

/** The system messages as one text; as parts where one has more than text, such as cache control. */
function systemOf(messages: readonly Message[]): unknown {
    const system = messages.filter(isSystem);
    if (system.length === 0) return undefined;
    if (system.every((message) => typeof message.content === "string")) {
        return system.map((message) => message.content).join("\n\n");
    }
    return system.flatMap((message) => anthropicParts(message.content));
}

/** A content as parts. */
function anthropicParts(content: unknown): unknown[] {
    if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
    return Array.isArray(content) ? (content as MessagePart[]).map(anthropicPart) : [];
}

function anthropicTool(tool: unknown): unknown {
    const inner = isFields(tool) ? tool["function"] : undefined;
    if (!isFields(inner)) return tool;
    const { name, description, parameters } = inner;
    return { name, ...(description !== undefined && { description }), input_schema: parameters ?? { type: "object" } };
}

function anthropicMessage(message: Message): { role: string; content: unknown } {
    if (message.role === "tool" || message.role === "function") {
        const said = typeof message.content === "string" ? message.content : anthropicParts(message.content);
        const result = { type: "tool_result", tool_use_id: message["tool_call_id"], content: said };
        return { role: "user", content: [result] };
    }
    const role = message.role === "model" || message.role === "assistant" ? "assistant" : "user";
    const calls = Array.isArray(message["tool_calls"]) ? (message["tool_calls"] as unknown[]) : [];
    const { content } = message;
    if (calls.length === 0 && typeof content === "string") return { role, content };
    return { role, content: [...anthropicParts(content), ...calls.map(toolUse)] };
}

function anthropicPart(part: MessagePart): unknown {
    const url = urlOf(part);
    if (part.type === "input_text" || part.type === "output_text") return { ...part, type: "text" };
    if (url === undefined) return part;
    const data = /^data:([^;,]+);base64,(.*)$/s.exec(url);
    const source = data ? { type: "base64", media_type: data[1], data: data[2] } : { type: "url", url };
    return {
        type: "image",
        source,
        ...(part["cache_control"] !== undefined && { cache_control: part["cache_control"] }),
    };
}

/** The URL of a part that is an image. */
function urlOf(part: MessagePart): string | undefined {
    const place = part.type === "image" ? part["url"] : part["image_url"];
    const url = isFields(place) ? place["url"] : place;
    const isImage = part.type === "image" || part.type === "image_url" || part.type === "input_image";
    return isImage && typeof url === "string" ? url : undefined;
}

function toolUse(call: unknown): unknown {
    const { id, called } = calledBy(call);
    return { type: "tool_use", id, name: called["name"], input: json(called["arguments"]) };
}

function calledBy(call: unknown): { id: unknown; called: Fields } {
    const fields = isFields(call) ? call : {};
    return { id: fields["id"], called: isFields(fields["function"]) ? fields["function"] : fields };
}

/** The arguments of a tool call, which are an object. */
function json(text: unknown): unknown {
    if (typeof text !== "string") return isFields(text) ? text : {};
    try {
        const value = JSON.parse(text) as unknown;
        return isFields(value) ? value : {};
    } catch {
        return {};
    }
}

/** Neighbours of one role together, since roles have to alternate. */
function merged(messages: { role: string; content: unknown }[]): unknown[] {
    // The parts are converted already.
    const parts = (content: unknown) =>
        typeof content === "string" ? anthropicParts(content) : (content as unknown[]);
    const all: { role: string; content: unknown }[] = [];
    for (const message of messages) {
        const last = all.at(-1);
        if (last?.role === message.role) last.content = [...parts(last.content), ...parts(message.content)];
        else all.push({ ...message });
    }
    return all;
}

/** Names of parameters in the AI SDK. */
const AI_PARAMETERS: { readonly [name: string]: string } = {
    temperature: "temperature",
    top_p: "topP",
    top_k: "topK",
    max_tokens: "maxOutputTokens",
    max_completion_tokens: "maxOutputTokens",
    max_output_tokens: "maxOutputTokens",
    presence_penalty: "presencePenalty",
    frequency_penalty: "frequencyPenalty",
    stop: "stopSequences",
    stop_sequences: "stopSequences",
    seed: "seed",
};

/** The AI SDK: the system text apart, tools by name with schemas as it takes them. */
export function ai(said: Said): AiArguments {
    const { model, tools, messages = [] } = said;
    const call: Fields = {};
    for (const [name, value] of Object.entries(model?.parameters ?? {})) {
        const known = Object.hasOwn(AI_PARAMETERS, name) ? AI_PARAMETERS[name] : undefined;
        if (known) call[known] = known === "stopSequences" && typeof value === "string" ? [value] : value;
    }
    const isPlain = (message: Message) => isSystem(message) && typeof message.content === "string";
    const system = messages.filter(isPlain).map((message) => message.content);
    if (system.length > 0) call["system"] = system.join("\n\n");
    call["messages"] = aiMessages(messages.filter((message) => !isPlain(message)));
    if (tools.length > 0) call["tools"] = Object.fromEntries(tools.flatMap(aiTool));
    return call as unknown as AiArguments;
}

function aiTool(tool: unknown): [string, unknown][] {
    const inner = isFields(tool) && isFields(tool["function"]) ? tool["function"] : tool;
    if (!isFields(inner) || typeof inner["name"] !== "string") return [];
    const schema = inner["parameters"] ?? inner["input_schema"] ?? { type: "object", properties: {} };
    const { description } = inner;
    return [[inner["name"], { ...(description !== undefined && { description }), inputSchema: aiSchema(schema) }]];
}

/** A JSON Schema as the AI SDK knows one; it finds them by this symbol. */
export function aiSchema(schema: unknown): object {
    const validate = (value: unknown) => ({ success: true, value });
    return { [Symbol.for("vercel.ai.schema")]: true, _type: undefined, validate, jsonSchema: schema };
}

function aiMessages(messages: readonly Message[]): unknown[] {
    // A result of a tool has the name of the tool, which only the call before it says.
    const toolNames = new Map<unknown, unknown>();
    return messages.map((message) => {
        const { role, content } = message;
        if (isSystem(message)) return { role: "system", content: textOf(content) };
        if (role === "tool" || role === "function") {
            const toolCallId = message["tool_call_id"];
            const toolName = toolNames.get(toolCallId) ?? message["name"] ?? "";
            const output = { type: "text", value: textOf(content) };
            return { role: "tool", content: [{ type: "tool-result", toolCallId, toolName, output }] };
        }
        const parts = typeof content === "string" ? [{ type: "text", text: content }] : (content ?? []).map(aiPart);
        if (role === "user") return { role, content: typeof content === "string" ? content : parts };
        const calls = (Array.isArray(message["tool_calls"]) ? (message["tool_calls"] as unknown[]) : []).map((call) => {
            const { id, called } = calledBy(call);
            toolNames.set(id, called["name"]);
            return { type: "tool-call", toolCallId: id, toolName: called["name"], input: json(called["arguments"]) };
        });
        const isText = calls.length === 0 && typeof content === "string";
        return {
            role: "assistant",
            content: isText ? content : [...parts.filter((part) => part["text"] !== ""), ...calls],
        };
    });
}

function aiPart(part: MessagePart): MessagePart {
    if (part.type === "input_text" || part.type === "output_text") return { ...part, type: "text" };
    const url = urlOf(part);
    return url === undefined ? part : { type: "image", image: url };
}

function textOf(content: Message["content"]): string {
    if (typeof content === "string") return content;
    return (content ?? []).map((part) => (typeof part["text"] === "string" ? part["text"] : "")).join("");
}

function namedSchema(name: string, schema: unknown): Fields {
    return { name: schemaName(name), schema, ...(isStrict(schema) && { strict: true }) };
}

/** Whether OpenAI takes a schema as strict: every object names all its fields as required, and allows no other. */
function isStrict(schema: unknown): boolean {
    if (Array.isArray(schema)) return schema.every(isStrict);
    if (!isFields(schema)) return true;
    if (schema["type"] === "object" || schema["properties"] !== undefined) {
        const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
        const properties = Object.keys(isFields(schema["properties"]) ? schema["properties"] : {});
        if (schema["additionalProperties"] !== false || required.size !== properties.length) return false;
        if (!properties.every((property) => required.has(property))) return false;
    }
    return Object.values(schema).every(isStrict);
}

/** A name as OpenAI allows it for a schema. */
const schemaName = (name: string) => name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64) || "response";

/** The text of a response of one of these SDKs. */
export function textOfResponse(response: unknown): string | undefined {
    if (typeof response === "string") return response;
    if (!isFields(response)) return undefined;
    // OpenAI's Responses API; then Chat Completions, Anthropic, the AI SDK.
    if (typeof response["output_text"] === "string") return response["output_text"];
    const choice = Array.isArray(response["choices"]) ? (response["choices"][0] as unknown) : undefined;
    const message = isFields(choice) ? choice["message"] : undefined;
    if (isFields(message) && typeof message["content"] === "string") return message["content"];
    if (Array.isArray(response["content"])) return textOf(response["content"] as MessagePart[]);
    return typeof response["text"] === "string" ? response["text"] : undefined;
}
