/**
 * Reads prompt files (`NAME.prompt`, see docs/reference/prompt-files.md) as contents.
 *
 * A port of the reading half of `src/files/prompt.rs` and `markers.rs`. It does not check what the node checked when
 * the file was published.
 */

import { NumberText, byCodePoint, copied } from "./json.js";
import { isPlaceholder, mapTexts } from "./messages.js";
import { segments } from "./mustache.js";
import { rememberDefaults } from "./render.js";
import type { Content, Message, MessagePart, Model, Placeholder, Variable } from "./types.js";
import { parseYaml } from "./yaml.js";

type Fields = { [key: string]: unknown };

/** Reads a prompt file. */
export function parsePromptFile(file: string): Content {
    const text = file.startsWith("\ufeff") ? file.slice(1) : file;
    const { front, body } = split(text);
    const form = parseYaml(front);
    const content: Content = { syntax: (form["syntax"] as Content["syntax"]) ?? "mustache" };
    if (form["messages"]) content.messages = withNumbers(form["messages"]) as (Message | Placeholder)[];
    else Object.assign(content, parseBody(body));
    const variables = completed(content, declared(form["variables"]));
    if (variables.length > 0) content.variables = variables;
    const model = modelOf(form);
    if (model) content.model = model;
    for (const key of ["tools", "response_schema", "config"] as const) {
        const value = withNumbers(form[key]);
        if (value !== undefined && value !== null) Object.assign(content, { [key]: value });
    }
    return content;
}

const isFence = (line: string) => line.replace(/[ \t\r\n]+$/, "") === "---";

function split(file: string): { front: string; body: string } {
    const lines = file.split(/(?<=\n)/);
    if (!isFence(lines[0] ?? "")) return { front: "", body: file };
    const end = lines.findIndex((line, index) => index > 0 && isFence(line));
    if (end < 0) throw new SyntaxError("the front matter is not closed by a line `---`");
    return { front: lines.slice(1, end).join(""), body: lines.slice(end + 1).join("") };
}

function modelOf(form: Fields): Model | undefined {
    const model = withNumbers(form["model"]);
    if (typeof model !== "string") return (model as Model | null | undefined) ?? undefined;
    const parameters = withNumbers(form["parameters"]) as Fields | undefined;
    return parameters && Object.keys(parameters).length > 0 ? { name: model, parameters } : { name: model };
}

/** Declared variables. */
function declared(form: unknown): Variable[] {
    return Object.entries((form ?? {}) as Fields).map(([name, value]) => {
        const { required, ...more } = (value ?? {}) as Partial<Variable>;
        const exact: Variable = { name, required: required ?? false, ...more };
        const variable = withNumbers(exact) as Variable;
        rememberDefaults([variable], [exact]);
        return variable;
    });
}

/** A content from a text, messages or a content, whose list of variables is completed. */
export function contentFrom(given: string | readonly Message[] | Content): Content {
    const content: Content =
        typeof given === "string"
            ? { text: given }
            : Array.isArray(given)
              ? { messages: copied(given as Message[]) }
              : copied(given as Content);
    const variables = completed(content, [...(content.variables ?? [])]);
    return variables.length > 0 ? { ...content, variables } : content;
}

/** The list of variables as the node completes it: those that are only used are required. */
function completed(content: Content, variables: Variable[]): Variable[] {
    const known = new Set(variables.map((variable) => variable.name));
    if ((content.syntax ?? "mustache") === "mustache") {
        const note = (text: string) => {
            for (const segment of segments(text)) {
                if (segment.kind !== "variable" || known.has(segment.name)) continue;
                known.add(segment.name);
                variables.push({ name: segment.name, required: true });
            }
            return text;
        };
        if (content.text !== undefined) note(content.text);
        for (const message of content.messages ?? []) if (!isPlaceholder(message)) mapTexts(message, note);
    }
    return variables.sort((a, b) => byCodePoint(a.name, b.name));
}

/** The value with plain numbers. */
function withNumbers(value: unknown): unknown {
    if (value instanceof NumberText) return value.toJSON();
    if (Array.isArray(value)) return value.map(withNumbers);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withNumbers(inner)]));
}

type Marker =
    | { kind: "role"; role: Message["role"] }
    | { kind: "placeholder"; name: string }
    | { kind: "media"; url: string }
    // Text that looks like a marker, which the server writes with a backslash, too.
    | { kind: "wrong" };

interface Found {
    marker: Marker;
    start: number;
    end: number;
}

const BLANK = "[ \\t]*";
const QUOTED = `(?:"([^"\\n]*)"|'([^'\\n]*)')`;
const ROLE = new RegExp(`\\{\\{${BLANK}role[ \\t]+${QUOTED}${BLANK}\\}\\}`, "y");
const PLACEHOLDER = new RegExp(`\\{\\{${BLANK}placeholder[ \\t]+${QUOTED}${BLANK}\\}\\}`, "y");
const HISTORY = new RegExp(`\\{\\{${BLANK}history${BLANK}\\}\\}`, "y");
const MEDIA = new RegExp(
    `\\{\\{${BLANK}media[ \\t]+url=(?:${QUOTED}|([\\p{Alphabetic}\\p{N}_.]+))${BLANK}\\}\\}`,
    "uy",
);
const WRONG = new RegExp(
    `\\{\\{${BLANK}(?:role|placeholder|media|section)[ \\t]+` +
        `(?:["']|(?!(?:if|else|is|in|not|and|or)(?![\\p{Alphabetic}\\p{N}_]))[\\p{Alphabetic}\\p{N}_])`,
    "uy",
);

/** The markers of a text, in order; `{{history}}` is one only in a conversation. */
function markersOf(text: string, isChat: boolean): Found[] {
    const found: Found[] = [];
    let at = text.indexOf("{{");
    while (at >= 0) {
        let run = at;
        while (text[run] === "{") run += 1;
        const marker = run - at === 2 ? markerAt(text, at, isChat) : undefined;
        if (marker) found.push(marker);
        at = text.indexOf("{{", marker ? marker.end : run);
    }
    return found;
}

function markerAt(text: string, start: number, isChat: boolean): Found | undefined {
    const match = (pattern: RegExp) => {
        pattern.lastIndex = start;
        return pattern.exec(text);
    };
    const at = (found: RegExpExecArray, marker: Marker) => ({ marker, start, end: start + found[0].length });
    const role = match(ROLE);
    if (role) return at(role, { kind: "role", role: (role[1] ?? role[2]) as Message["role"] });
    const placeholder = match(PLACEHOLDER);
    if (placeholder) return at(placeholder, { kind: "placeholder", name: placeholder[1] ?? placeholder[2] ?? "" });
    const media = match(MEDIA);
    if (media) return at(media, { kind: "media", url: media[1] ?? media[2] ?? `{{${media[3]}}}` });
    const history = isChat ? match(HISTORY) : null;
    if (history) return at(history, { kind: "placeholder", name: "history" });
    // Text that is not a marker can be followed by one.
    return match(WRONG) ? { marker: { kind: "wrong" }, start, end: start + 2 } : undefined;
}

function parseBody(body: string): { text: string } | { messages: (Message | Placeholder)[] } {
    const isEscaped = (found: Found) => body[found.start - 1] === "\\";
    const isChat = markersOf(body, false).some((found) => !isEscaped(found) && found.marker.kind === "role");
    const messages: (Message | Placeholder)[] = [];
    let open: { role: Message["role"]; text: string; parts: MessagePart[] } | undefined;
    let text = "";
    let from = 0;
    const closeText = () => {
        if (!open) return;
        // Blank lines around images are only layout.
        if (open.text.trim() !== "") open.parts.push({ type: "text", text: withoutLastBreak(open.text) });
        open.text = "";
    };
    const close = () => {
        if (!open) return;
        if (open.parts.length > 0) closeText();
        const content = open.parts.length > 0 ? open.parts : withoutLastBreak(open.text);
        messages.push({ role: open.role, content });
        open = undefined;
    };
    for (const found of markersOf(body, isChat)) {
        if (isEscaped(found)) {
            text += body.slice(from, found.start - 1) + body.slice(found.start, found.end);
            from = found.end;
            continue;
        }
        if (found.marker.kind === "wrong") continue;
        text += body.slice(from, found.start);
        // Spaces beside a marker belong to it, and so does the end of its line if nothing follows.
        const behind = /^[ \t]*\r*\n|^[ \t]*/.exec(body.slice(found.end))?.[0] ?? "";
        from = found.end + behind.length;
        text = text.replace(/[ \t]+$/, "");
        if (open) open.text += text;
        text = "";
        const marker = found.marker;
        if (marker.kind === "media") {
            closeText();
            open?.parts.push({ type: "image", url: marker.url });
            continue;
        }
        close();
        if (marker.kind === "role") open = { role: marker.role, text: "", parts: [] };
        else messages.push({ type: "placeholder", name: marker.name });
    }
    text += body.slice(from);
    if (!isChat) return { text: withoutLastBreak(text) };
    if (open) open.text += text;
    close();
    return { messages };
}

const withoutLastBreak = (text: string) => text.replace(/\r?\n$/, "");
