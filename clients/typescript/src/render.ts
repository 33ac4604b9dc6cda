/**
 * Renders a content with the values of a caller, exactly as the node does.
 *
 * A port of `crates/rules/src/template/render.rs` for the syntaxes mustache and plain; jinja is rendered by the node.
 * `fixtures/render/vectors.json` holds both to the same answers. A value is never read as a template.
 */

import { InvalidVariables, RenderFailed, excerpt, list } from "./errors.js";
import type { Problems, WrongMessage, WrongType } from "./errors.js";
import { NumberText, byCodePoint, byteLength, printNumber } from "./json.js";
import { isPlaceholder, mapTexts, messageProblem } from "./messages.js";
import { segments } from "./mustache.js";
import type { Segment } from "./mustache.js";
import type { Content, Message, Remark, Variable } from "./types.js";

/** Longest output of a rendering, in bytes. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Most bytes of the values of one rendering, and of its placeholders' messages. */
const INPUT_BYTES_MAX = 4 * 1024 * 1024;
/** Most names that are listed under one heading. */
const NAMES_MAX = 256;

/** Values by name of their variable. */
export type Values = { readonly [name: string]: unknown };
/** Lists of messages by name of their placeholder. */
export type Lists = { readonly [name: string]: readonly unknown[] };

/** A rendered content: `text` of a text prompt, `messages` of a chat prompt. */
export interface Rendered {
    text?: string;
    messages?: Message[];
    /** What was ignored or left empty. */
    remarks: Remark[];
}

/** The names of the placeholders of a content, in order. */
export function placeholders(content: Content): string[] {
    return (content.messages ?? []).filter(isPlaceholder).map((placeholder) => placeholder.name);
}

/**
 * Checks the values of a caller; returns those that are given, and remarks on what is ignored or left empty.
 *
 * @throws {InvalidVariables} A required variable is missing, or a value or message has another type. With `strict`
 * also where the caller gave too much, or left a placeholder empty.
 */
export function checkValues(content: Content, values: Values, lists: Lists, strict: boolean) {
    const given = new Map<string, unknown>();
    for (const [name, value] of Object.entries(values)) {
        if (value !== undefined) given.set(name, plain(value));
    }
    const problems = check(declaredBy(content), content.syntax, given, lists);
    const remarks = remarksOf(problems);
    const isFatal = problems.missing.length + problems.wrongType.length + problems.wrongMessages.length > 0;
    if (isFatal || (strict && remarks.length > 0)) {
        // Unknown names are always listed: one may be a missing variable, misspelt.
        throw new InvalidVariables(strict ? problems : { ...problems, missingPlaceholders: [] });
    }
    return { given, remarks };
}

/**
 * Renders a content.
 *
 * @throws {InvalidVariables} As {@link checkValues}.
 * @throws {RenderFailed} The syntax is jinja, an include was not filled in, or a limit is exceeded.
 */
export function render(content: Content, values: Values, lists: Lists = {}, strict = false): Rendered {
    const { given, remarks } = checkValues(content, values, lists, strict);
    if (content.syntax === "jinja") {
        throw new RenderFailed("a jinja prompt is rendered by the node: use `await prompt.render(…)`");
    }
    let input = 0;
    for (const value of given.values()) input += weight(value);
    for (const messages of Object.values(lists)) {
        for (const message of messages) input += weight(message);
    }
    if (input > INPUT_BYTES_MAX) {
        throw new RenderFailed(`the values and messages exceed the limit of ${INPUT_BYTES_MAX} bytes`);
    }
    for (const variable of content.variables ?? []) {
        if (variable.default === undefined || given.has(variable.name)) continue;
        given.set(variable.name, defaultTexts.get(variable) ?? variable.default);
    }
    return { ...fill(content, given, lists), remarks };
}

/** Defaults that JavaScript would write in another way. */
const defaultTexts = new WeakMap<Variable, NumberText>();

/** Remembers how the defaults of variables were written, from the same variables with exact numbers. */
export function rememberDefaults(variables: readonly Variable[], exact: readonly Variable[]): void {
    for (const [index, variable] of variables.entries()) {
        const text = exact[index]?.default;
        if (text instanceof NumberText) defaultTexts.set(variable, text);
    }
}

function fill(content: Content, values: Map<string, unknown>, lists: Lists): { text?: string; messages?: Message[] } {
    let left = OUTPUT_BYTES_MAX;
    const take = (bytes: number) => {
        left -= bytes;
        if (left < 0) throw new RenderFailed(`the result exceeds the limit of ${OUTPUT_BYTES_MAX} bytes`);
    };
    let index = 0;
    const change = (text: string) => {
        index += 1;
        const output = content.syntax === "plain" ? text : fillText(text, values, index);
        take(byteLength(output));
        return output;
    };
    if (content.text !== undefined) return { text: change(content.text) };
    const said = content.messages ?? [];
    const filled = said.map((message) => (isPlaceholder(message) ? message : mapTexts(message, change)));
    const messages: Message[] = [];
    for (const message of filled) {
        if (!isPlaceholder(message)) {
            messages.push(message);
            continue;
        }
        for (const given of own(lists, message.name) ?? []) {
            take(weight(given));
            messages.push(given as Message);
        }
    }
    return { messages };
}

/** Most characters of templates that stay parsed. */
const PARSED_CHARACTERS_MAX = 8 * 1024 * 1024;
const parsed = new Map<string, Segment[]>();
let parsedCharacters = 0;

/** The segments of a text, parsed once. */
function segmentsOf(text: string): Segment[] {
    const known = parsed.get(text);
    if (known) return known;
    const found = segments(text);
    if (parsedCharacters + text.length > PARSED_CHARACTERS_MAX) {
        parsed.clear();
        parsedCharacters = 0;
    }
    parsed.set(text, found);
    parsedCharacters += text.length;
    return found;
}

function fillText(text: string, values: Map<string, unknown>, index: number): string {
    let output = "";
    for (const segment of segmentsOf(text)) {
        if (segment.kind === "text") output += segment.text;
        else if (segment.kind === "variable") output += print(values.get(segment.name));
        else {
            const place = placeOf(text, segment.at, index);
            throw new RenderFailed(
                `${place}: the include of \`${excerpt(segment.reference)}\` was not replaced by its text`,
            );
        }
        if (output.length > OUTPUT_BYTES_MAX) {
            throw new RenderFailed(`the result exceeds the limit of ${OUTPUT_BYTES_MAX} bytes`);
        }
    }
    return output;
}

function placeOf(text: string, at: number, index: number): string {
    const lines = text.slice(0, at).split("\n");
    const column = Array.from(lines.at(-1) ?? "").length + 1;
    return `${index > 1 ? `text ${index}, ` : ""}line ${lines.length}, column ${column}`;
}

/** A value as text. */
function print(value: unknown): string {
    if (typeof value === "string") return value;
    if (typeof value === "number") return printNumber(value);
    if (value === undefined) return "";
    if (value instanceof NumberText) return value.text;
    if (typeof value === "bigint") return value.toString();
    return JSON.stringify(value);
}

/** What JSON would say of a value, such as a date. */
function plain(value: unknown): unknown {
    if (typeof value !== "object" || value === null || value instanceof NumberText) return value;
    const { toJSON } = value as { toJSON?: unknown };
    return typeof toJSON === "function" ? (toJSON.call(value) as unknown) : value;
}

/** What a content declares. */
interface Declared {
    variables: ReadonlyMap<string, Variable>;
    required: readonly string[];
    /** The names of placeholders, sorted. */
    placeholders: ReadonlySet<string>;
}

const declarations = new WeakMap<Content, Declared>();

/** What a content declares, read once. */
function declaredBy(content: Content): Declared {
    let declared = declarations.get(content);
    if (!declared) {
        const variables = content.variables ?? [];
        declared = {
            variables: new Map(variables.map((variable) => [variable.name, variable])),
            required: variables.filter((variable) => variable.required).map((variable) => variable.name),
            placeholders: new Set(placeholders(content).sort(byCodePoint)),
        };
        declarations.set(content, declared);
    }
    return declared;
}

/** Compares the given values with the content. */
function check(declared: Declared, syntax: Content["syntax"], values: Map<string, unknown>, lists: Lists): Problems {
    const wrongType: WrongType[] = [];
    for (const [name, value] of values) {
        const variable = declared.variables.get(name);
        if (variable && !fits(variable, syntax, value) && wrongType.length < NAMES_MAX) {
            wrongType.push({ name, expected: expected(variable, syntax), found: kindName(value) });
        }
    }
    const wrongMessages: WrongMessage[] = [];
    const listNames = Object.keys(lists).sort(byCodePoint);
    for (const name of listNames) {
        if (!declared.placeholders.has(name)) continue;
        for (const [index, message] of (own(lists, name) ?? []).entries()) {
            const reason = messageProblem(message);
            if (reason !== undefined && wrongMessages.length < NAMES_MAX) wrongMessages.push({ name, index, reason });
        }
    }
    return {
        missing: names(declared.required, (name) => !values.has(name)),
        unknown: names(values.keys(), (name) => !declared.variables.has(name)),
        wrongType,
        missingPlaceholders: names(declared.placeholders, (name) => own(lists, name) === undefined),
        unknownPlaceholders: names(listNames, (name) => !declared.placeholders.has(name)),
        wrongMessages,
    };
}

/** Names that are short and few enough for an error message. */
function names(all: Iterable<string>, fits: (name: string) => boolean): string[] {
    const found: string[] = [];
    for (const name of all) {
        if (found.length < NAMES_MAX && fits(name)) found.push(excerpt(name));
    }
    return found;
}

function remarksOf(problems: Problems): Remark[] {
    const remark = (code: Remark["code"], names: string[], what: string): Remark[] =>
        names.length === 0 ? [] : [{ code, names, message: `${what} ${list(names)}` }];
    return [
        ...remark("unknown_variables", problems.unknown, "ignored, as this version has no such variable:"),
        ...remark(
            "unknown_placeholders",
            problems.unknownPlaceholders,
            "messages ignored, as this version has no such placeholder:",
        ),
        ...remark(
            "missing_placeholders",
            problems.missingPlaceholders,
            "left empty, as no messages were given for the placeholder:",
        ),
    ];
}

/** Whether a value is valid for a variable in this syntax. */
function fits(variable: Variable, syntax: Content["syntax"], value: unknown): boolean {
    const isNumber = isJsonNumber(value);
    switch (variable.type ?? "any") {
        case "any":
            return syntax === "jinja" || typeof value === "string" || typeof value === "boolean" || isNumber;
        case "string":
            return typeof value === "string";
        case "number":
            return isNumber;
        case "boolean":
            return typeof value === "boolean";
        case "array":
            return syntax === "jinja" && Array.isArray(value);
        case "object":
            return syntax === "jinja" && kindName(value) === "object";
    }
}

const isJsonNumber = (value: unknown) =>
    (typeof value === "number" && Number.isFinite(value)) || typeof value === "bigint" || value instanceof NumberText;

function expected(variable: Variable, syntax: Content["syntax"]): string {
    const type = variable.type ?? "any";
    return type === "any" && (syntax ?? "mustache") === "mustache" ? "string, number or boolean" : type;
}

/** The name of a value's type in JSON. */
export function kindName(value: unknown): string {
    if (value === null) return "null";
    if (isJsonNumber(value)) return "number";
    if (typeof value === "number") return String(value);
    return Array.isArray(value) ? "array" : typeof value;
}

/** The approximate size of a value as JSON, in bytes. */
function weight(value: unknown): number {
    if (typeof value === "string") return byteLength(value) + 2;
    if (typeof value !== "object" || value === null || value instanceof NumberText) return 8;
    let bytes = 2;
    if (Array.isArray(value)) {
        for (const item of value) bytes += weight(item);
    } else {
        for (const [key, field] of Object.entries(value)) bytes += weight(field) + byteLength(key) + 4;
    }
    return bytes;
}

/** A list by name; a name such as `constructor` is not inherited. */
function own(lists: Lists, name: string): readonly unknown[] | undefined {
    return Object.hasOwn(lists, name) ? lists[name] : undefined;
}
