/**
 * Reads the YAML of prompt files: the front matter that `bookholder pull` writes, and what people write by hand.
 *
 * Maps and lists as blocks and in brackets, strings in every style, comments. What the node refuses is not read either:
 * anchors, aliases, tags, several documents. Other forms that are not read are errors with their line.
 */

import { NumberText } from "./json.js";

type Fields = { [key: string]: unknown };

/** A map; empty text is an empty map. */
export function parseYaml(text: string): Fields {
    const reader = new Reader(text.split(/\r\n|\n/));
    const value = reader.document();
    if (value === null) return {};
    if (typeof value !== "object" || Array.isArray(value) || value instanceof NumberText) {
        throw new SyntaxError("front matter is a map of keys; write `key: value`");
    }
    return value as Fields;
}

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** A key and its colon at the start of a line. */
const KEY =
    /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s\-?:,[\]{}#&*!|>'"%@`][^\n]*?|[-?:](?=\S)[^\n]*?))\s*:(?=\s|$)/;
const ESCAPES: Fields = {
    0: "\0",
    a: "\x07",
    b: "\b",
    t: "\t",
    "\t": "\t",
    n: "\n",
    v: "\v",
    f: "\f",
    r: "\r",
    e: "\x1b",
    " ": " ",
    '"': '"',
    "/": "/",
    "\\": "\\",
    N: "\x85",
    _: "\xa0",
    L: "\u2028",
    P: "\u2029",
};

class Reader {
    private at = 0;

    constructor(private readonly lines: string[]) {}

    document(): unknown {
        if (!this.skip()) return null;
        const value = this.block(this.indent());
        if (this.skip()) throw this.fault("is not indented like the lines before it");
        return value;
    }

    private fault(what: string): SyntaxError {
        return new SyntaxError(`line ${this.at + 1} of the front matter ${what}`);
    }

    private line(): string {
        return this.lines[this.at] ?? "";
    }

    private indent(): number {
        return this.line().length - this.line().trimStart().length;
    }

    /** Goes to the next line with a value; whether there is one. */
    private skip(): boolean {
        while (this.at < this.lines.length && /^\s*(?:#|$)/.test(this.line())) this.at += 1;
        return this.at < this.lines.length;
    }

    /** The map, list or value at this line. */
    private block(indent: number): unknown {
        const text = this.line().slice(indent);
        if (/^-(?=\s|$)/.test(text)) return this.list(indent);
        if (/^\?(?=\s|$)/.test(text)) throw this.fault("has a key in the form `? key`, which is not read");
        if (KEY.test(text)) return this.map(indent);
        return this.value(indent, indent - 1);
    }

    private list(indent: number): unknown[] {
        const items: unknown[] = [];
        while (this.skip() && this.indent() === indent && /^-(?=\s|$)/.test(this.line().slice(indent))) {
            const rest = this.line().slice(indent + 1);
            if (/^\s*(?:#|$)/.test(rest)) {
                this.at += 1;
                items.push(this.skip() && this.indent() > indent ? this.block(this.indent()) : null);
                continue;
            }
            // The item begins on this line: read it as a block that is indented further.
            this.lines[this.at] = `${" ".repeat(indent + 1)}${rest}`;
            const inner = this.indent();
            const text = this.line().slice(inner);
            const isBlock = /^-(?=\s|$)/.test(text) || KEY.test(text);
            items.push(isBlock ? this.block(inner) : this.value(inner, indent));
        }
        return items;
    }

    private map(indent: number): Fields {
        const fields = new Map<string, unknown>();
        while (this.skip() && this.indent() === indent) {
            const text = this.line().slice(indent);
            const found = KEY.exec(text);
            if (!found) throw this.fault("is not `key: value`");
            const [whole, double, single, bare] = found;
            const key = double !== undefined ? this.unescape(double) : (single?.replaceAll("''", "'") ?? bare ?? "");
            if (fields.has(key)) throw this.fault(`repeats the key \`${key}\``);
            if (/^\s*(?:#|$)/.test(text.slice(whole.length))) {
                this.at += 1;
                const isThere = this.skip();
                // The items of a list can be indented like its key.
                const isList = isThere && this.indent() === indent && /^-(?=\s|$)/.test(this.line().slice(indent));
                fields.set(key, isThere && (this.indent() > indent || isList) ? this.block(this.indent()) : null);
                continue;
            }
            const start = indent + whole.length;
            const blanks = this.line().slice(start).length - this.line().slice(start).trimStart().length;
            fields.set(key, this.value(start + blanks, indent));
        }
        if (this.at < this.lines.length && this.indent() > indent) throw this.fault("is indented further than its key");
        return Object.fromEntries(fields);
    }

    /** The value that begins in this line, below a key or item at `parent`; goes to the line after it. */
    private value(start: number, parent: number): unknown {
        const text = this.line().slice(start);
        switch (text[0]) {
            case "|":
            case ">":
                return this.scalar(text, parent);
            case "[":
            case "{":
            case '"':
            case "'":
                return this.flow(start);
            case "&":
            case "*":
            case "!":
            case "%":
            case "@":
            case "`":
                throw this.fault(`has a value that begins with ${text[0]}, which is not read; put it into quotes`);
        }
        const parts = [bare(text)];
        this.at += 1;
        while (this.at < this.lines.length && this.line().trim() !== "" && this.indent() > parent) {
            if (/^\s*#/.test(this.line())) break;
            parts.push(bare(this.line().trim()));
            this.at += 1;
        }
        const whole = parts.join(" ");
        if (/^[-?:](?:\s|$)|:(?:\s|$)/.test(whole)) {
            this.at -= 1;
            throw this.fault("has a text with `: ` or a leading `- `; put it into quotes");
        }
        return plain(whole);
    }

    /** A block scalar, whose header is `|` or `>`. */
    private scalar(header: string, parent: number): string {
        const found = /^([|>])(?:([1-9])?([+-])?|([+-])([1-9]))\s*(?:#.*)?$/.exec(header);
        if (!found) throw this.fault("has a header of a text that is not read");
        const [, style, before, chompAfter, chompBefore, after] = found;
        const chomp = chompAfter ?? chompBefore;
        this.at += 1;
        const first = this.at;
        const lines: string[] = [];
        let indent = (before ?? after) ? Math.max(parent, 0) + Number(before ?? after) : 0;
        for (; this.at < this.lines.length; this.at++) {
            const line = this.line();
            const isBlank = /^ *$/.test(line);
            if (!isBlank && indent === 0) indent = this.indent();
            if (!isBlank && (line.length - line.trimStart().length < indent || indent <= parent)) break;
            lines.push(isBlank ? line.slice(indent || line.length) : line.slice(indent));
        }
        let end = lines.length;
        while (end > 0 && lines[end - 1] === "") end -= 1;
        // Blank lines that end the text are not part of the next value, and comments may follow them.
        this.at = first + lines.length;
        const text = style === "|" ? lines.slice(0, end).join("\n") : fold(lines.slice(0, end));
        if (chomp === "-") return text;
        if (chomp === "+") return text + "\n".repeat(lines.length - end + (end > 0 ? 1 : 0));
        return end > 0 ? `${text}\n` : "";
    }

    /** A value in quotes or brackets, which can go on in the next lines. */
    private flow(start: number): unknown {
        const first = this.at;
        const rest = [this.line().slice(start), ...this.lines.slice(first + 1)].join("\n");
        const flow = new Flow(
            rest,
            (what) => this.fault(what),
            (text) => this.unescape(text),
        );
        const value = flow.value();
        const before = rest.slice(0, flow.at);
        this.at = first + (before.match(/\n/g)?.length ?? 0);
        const tail = rest.slice(flow.at).split("\n", 1)[0] ?? "";
        if (!/^\s*(?:$|#)/.test(tail)) throw this.fault("has text after a value; put the whole value into quotes");
        this.at += 1;
        return value;
    }

    private unescape(text: string): string {
        return unescape(text, (what) => this.fault(what));
    }
}

/** Values in brackets and quotes. */
class Flow {
    at = 0;

    constructor(
        private readonly text: string,
        private readonly fault: (what: string) => Error,
        private readonly unescape: (text: string) => string,
    ) {}

    value(): unknown {
        this.blanks();
        switch (this.text[this.at]) {
            case "[":
                return this.list();
            case "{":
                return this.map();
            case '"':
            case "'":
                return this.quoted();
        }
        return plain(this.bare(/[^,[\]{}\n]*?(?=\s*(?:[,[\]{}\n]|\s#|:\s|$))/y));
    }

    private blanks(): void {
        const pattern = /(?:\s|(?<=\s)#[^\n]*)*/y;
        pattern.lastIndex = this.at;
        pattern.test(this.text);
        this.at = pattern.lastIndex;
    }

    private bare(pattern: RegExp): string {
        pattern.lastIndex = this.at;
        const found = pattern.exec(this.text)?.[0] ?? "";
        this.at += found.length;
        if (/^[&*!|>%@`]/.test(found)) throw this.fault(`has a value that begins with ${found[0]}, which is not read`);
        return found;
    }

    private quoted(): string {
        const double = this.text[this.at] === '"';
        const pattern = double ? /"([^"\\]*(?:\\.[^"\\]*)*)"/sy : /'([^']*(?:''[^']*)*)'/y;
        pattern.lastIndex = this.at;
        const found = pattern.exec(this.text);
        if (!found) throw this.fault("has a quote that is not closed");
        this.at = pattern.lastIndex;
        const inside = found[1] ?? "";
        const text = inside.includes("\n") ? joined(inside) : inside;
        return double ? this.unescape(text) : text.replaceAll("''", "'");
    }

    private list(): unknown[] {
        const items: unknown[] = [];
        this.at += 1;
        for (;;) {
            this.blanks();
            if (this.text[this.at] === "]") break;
            items.push(this.value());
            this.separator("]");
        }
        this.at += 1;
        return items;
    }

    private map(): Fields {
        const fields: [string, unknown][] = [];
        this.at += 1;
        for (;;) {
            this.blanks();
            if (this.text[this.at] === "}") break;
            const isQuoted = /["']/.test(this.text[this.at] ?? "");
            const key = isQuoted ? this.quoted() : this.bare(/[^,[\]{}\n]*?(?=\s*(?:[,[\]{}\n]|:(?:\s|,|\}|$)))/y);
            this.blanks();
            let value: unknown = null;
            if (this.text[this.at] === ":") {
                this.at += 1;
                this.blanks();
                value = /[,}]/.test(this.text[this.at] ?? "") ? null : this.value();
            }
            fields.push([key, value]);
            this.separator("}");
        }
        this.at += 1;
        return Object.fromEntries(fields);
    }

    private separator(close: string): void {
        this.blanks();
        if (this.text[this.at] === ",") this.at += 1;
        else if (this.text[this.at] !== close) throw this.fault(`has brackets without their ${close}`);
    }
}

/** A text without quotes, without the comment behind it. */
const bare = (text: string) => text.replace(/\s#.*$/, "").trimEnd();

/** A value without quotes. */
function plain(text: string): unknown {
    if (/^(?:|~|null|Null|NULL)$/.test(text)) return null;
    if (/^(?:true|True|TRUE)$/.test(text)) return true;
    if (/^(?:false|False|FALSE)$/.test(text)) return false;
    return NUMBER.test(text) ? NumberText.from(text) : text;
}

/** Lines of a quoted text: a break is a space, and an empty line a break. */
const joined = (text: string) =>
    text.replace(
        /[ \t]*\n((?:[ \t]*\n)*)[ \t]*/g,
        (_, more: string) => "\n".repeat(more.split("\n").length - 1) || " ",
    );

function unescape(text: string, fault: (what: string) => Error): string {
    return text.replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g, (whole, x, u, U, one) => {
        const code = (x ?? u ?? U) as string | undefined;
        if (code !== undefined)
            return u ? String.fromCharCode(parseInt(code, 16)) : String.fromCodePoint(parseInt(code, 16));
        const meant = ESCAPES[one as string];
        if (meant === undefined) throw fault(`has the escape ${whole}, which is not read`);
        return meant as string;
    });
}

/** A folded text: a line break between two lines is a space, unless one of them is indented. */
function fold(lines: string[]): string {
    let text = "";
    let breaks = 0;
    let wasIndented = true;
    for (const [index, line] of lines.entries()) {
        if (line === "") {
            breaks += 1;
            continue;
        }
        const isIndented = /^\s/.test(line);
        if (index === breaks) text = "\n".repeat(breaks);
        else if (isIndented || wasIndented) text += "\n".repeat(breaks + 1);
        else text += breaks === 0 ? " " : "\n".repeat(breaks);
        text += line;
        breaks = 0;
        wasIndented = isIndented;
    }
    return text;
}
