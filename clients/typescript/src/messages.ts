/**
 * Which values are messages, and where their texts are.
 *
 * A port of `crates/model/src/model/message.rs`: what the node refuses, with the same words.
 */

import { copied } from "./json.js";
import type { Message, MessagePart, Placeholder } from "./types.js";

type Fields = { readonly [field: string]: unknown };

const ROLES = ["system", "developer", "user", "assistant", "model", "tool", "function"];

const isFields = (value: unknown): value is Fields =>
    typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether an entry of a content is a placeholder. */
export function isPlaceholder(message: Message | Placeholder): message is Placeholder {
    return message["type"] === "placeholder";
}

/** For a part type, the field that can contain variables, and the nested field inside it. */
const TEMPLATE_PLACES: { readonly [kind: string]: readonly [string, string?] } = {
    text: ["text"],
    input_text: ["text"],
    output_text: ["text"],
    image: ["url"],
    image_url: ["image_url", "url"],
    input_image: ["image_url"],
};

/** A copy of a message with each of its texts replaced. */
export function mapTexts(message: Message, change: (text: string) => string): Message {
    const { role, content, ...fields } = message;
    if (content === undefined) return { role, ...copied(fields) };
    if (typeof content === "string") return { role, content: change(content), ...copied(fields) };
    if (content === null) return { role, content, ...copied(fields) };
    return { role, content: content.map((part) => mapPart(part, change)), ...copied(fields) };
}

function mapPart(part: MessagePart, change: (text: string) => string): MessagePart {
    const copy = copied(part);
    const [key, inner] = (Object.hasOwn(TEMPLATE_PLACES, part.type) && TEMPLATE_PLACES[part.type]) || [];
    if (key === undefined) return copy;
    const value = copy[key];
    if (typeof value === "string") copy[key] = change(value);
    else if (inner && isFields(value) && typeof value[inner] === "string") {
        copy[key] = { ...value, [inner]: change(value[inner]) };
    }
    return copy;
}

/** Why a value is not a message that can take the place of a placeholder; `undefined` if it is one. */
export function messageProblem(value: unknown): string | undefined {
    if (!isFields(value)) return "is not an object with `role` and `content`";
    if (value["type"] === "placeholder") {
        const isWhole = typeof value["name"] === "string" && names(value).length === 2;
        if (isWhole) return "is a placeholder; pass the messages themselves";
    }
    const problem = fault(value);
    return problem === undefined ? undefined : `is not a message: ${problem}`;
}

const names = (fields: Fields) => Object.keys(fields).filter((name) => fields[name] !== undefined);

const form = (what: string) =>
    'a message must have `role` and `content`, or be {"type":"placeholder","name":…}; this one ' + what;

const INVALID_CONTENT =
    "the content of a message must be a string, null with tool calls, or a list of parts; " +
    "a part must be an object with `type`";

function fault(message: Fields): string | undefined {
    if (message["type"] === "placeholder") return form("is a placeholder with fields other than `name`");
    if (message["type"] !== undefined && message["type"] !== "message") return form("has an unsupported `type`");
    const { role, content, ...others } = message;
    if (role === undefined) return form("has no `role`");
    if (typeof role !== "string") return "the field `role` of a message is not a string";
    if (!ROLES.includes(role)) {
        const shown = Array.from(role)
            .slice(0, 60)
            .join("")
            .replace(/\p{Cc}/gu, "\ufffd");
        return `unknown message role \`${shown}\`: use system, developer, user, assistant, model, tool or function`;
    }
    if (Array.isArray(content)) {
        for (const part of content as unknown[]) {
            const problem = partFault(part);
            if (problem !== undefined) return problem;
        }
    } else if (content !== undefined && content !== null && typeof content !== "string") {
        return INVALID_CONTENT;
    }
    for (const field of ["name", "tool_call_id"]) {
        const value = others[field];
        if (value !== undefined && value !== null && typeof value !== "string") {
            return `the field \`${field}\` of a message is not a string`;
        }
    }
    const calls = others["tool_calls"];
    if (calls !== undefined && calls !== null && !Array.isArray(calls)) {
        return "the field `tool_calls` of a message is not a list";
    }
    if (content !== undefined && content !== null) return undefined;
    const says = Object.entries(others).some(([field, value]) => {
        const isEmpty = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
        return !isEmpty && !["type", "name", "tool_call_id"].includes(field);
    });
    if (says) return undefined;
    return form(
        content === null
            ? "has a null `content` and neither `tool_calls` nor another field with content"
            : "has no `content`",
    );
}

function partFault(part: unknown): string | undefined {
    if (!isFields(part) || typeof part["type"] !== "string") return INVALID_CONTENT;
    const kind = part["type"];
    const wrong = (expected: string) => `a part of type \`${kind}\` must have ${expected}`;
    switch (kind) {
        case "text":
        case "input_text":
        case "output_text":
            return typeof part["text"] === "string" ? undefined : wrong("`text`, a string");
        case "image":
            // Anthropic uses this name too, with the URL in `source`.
            return typeof part["url"] === "string" || isFields(part["source"])
                ? undefined
                : wrong("`url`, a string, or `source`");
        case "image_url": {
            const place = part["image_url"];
            const hasUrl = typeof place === "string" || (isFields(place) && typeof place["url"] === "string");
            return hasUrl ? undefined : wrong("`image_url`, with the URL of an image in `url`");
        }
        default:
            return undefined;
    }
}
