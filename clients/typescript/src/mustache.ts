/**
 * The mustache syntax of Bookholder: `{{name}}` is a variable, `{{> prompt}}` an include, everything else is literal.
 *
 * A port of `crates/rules/src/template/mustache.rs`; `fixtures/render/vectors.json` holds both to the same answers.
 */

/** Longest name of a variable, in bytes. */
const NAME_BYTES_MAX = 100;
/** Longest reference of an include, in bytes. */
const REFERENCE_BYTES_MAX = 300;

/** A piece of a text: literal, the value of a variable, or an include. */
export type Segment =
    | { kind: "text"; text: string }
    | { kind: "variable"; name: string }
    | { kind: "include"; reference: string; at: number };

// As in Rust: `White_Space`, `Alphabetic`, and the categories of numbers. JavaScript's own `\s` and `trim` differ.
const BLANK = /\p{White_Space}*/uy;
const NAME = /[_\p{Alphabetic}][_\p{Alphabetic}\p{N}.-]*/uy;
const EDGES = /^\p{White_Space}+|\p{White_Space}+$/gu;

/** Splits a text into segments, in time linear in its length. */
export function segments(text: string): Segment[] {
    const found: Segment[] = [];
    let literal = 0;
    let at = text.indexOf("{");
    while (at >= 0) {
        const open = at;
        while (text.charCodeAt(at) === 0x7b) at += 1;
        const tag = at - open === 2 ? tagAt(text, at) : undefined;
        if (tag) {
            if (open > literal) found.push({ kind: "text", text: text.slice(literal, open) });
            found.push(
                tag.include === undefined
                    ? { kind: "variable", name: tag.name }
                    : { kind: "include", reference: tag.include, at: open },
            );
            literal = at = tag.end;
        }
        at = text.indexOf("{", at);
    }
    if (literal < text.length) found.push({ kind: "text", text: text.slice(literal) });
    return found;
}

type Tag = { name: string; include?: undefined; end: number } | { include: string; end: number };

/** Parses the text after `{{`: its meaning, and where its `}}` ends. */
function tagAt(text: string, start: number): Tag | undefined {
    const inner = after(BLANK, text, start);
    if (text[inner] === ">") {
        const end = referenceEnd(text, inner + 1);
        const include = end === undefined ? "" : text.slice(inner + 1, end).replace(EDGES, "");
        return include && end !== undefined && text.startsWith("}}", end) ? { include, end: end + 2 } : undefined;
    }
    const nameEnd = after(NAME, text, inner);
    if (nameEnd === inner || !isWithin(text, inner, nameEnd)) return undefined;
    const close = after(BLANK, text, nameEnd);
    return text.startsWith("}}", close) ? { name: text.slice(inner, nameEnd), end: close + 2 } : undefined;
}

/** Where a sticky pattern that begins here ends. */
function after(pattern: RegExp, text: string, start: number): number {
    pattern.lastIndex = start;
    return pattern.test(text) ? pattern.lastIndex : start;
}

/** The first brace or line break among the first bytes of a reference. */
function referenceEnd(text: string, start: number): number | undefined {
    let bytes = 0;
    for (let at = start; at < text.length && bytes < REFERENCE_BYTES_MAX; at++) {
        const unit = text.charCodeAt(at);
        if (unit === 0x7b || unit === 0x7d || unit === 0x0a) return at;
        // A surrogate is half of a character of four bytes.
        bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
    }
    return undefined;
}

/** Whether a name has at most {@link NAME_BYTES_MAX} bytes. */
function isWithin(text: string, start: number, end: number): boolean {
    if (end - start > NAME_BYTES_MAX) return false;
    if (3 * (end - start) <= NAME_BYTES_MAX) return true;
    let bytes = 0;
    for (let at = start; at < end; at++) {
        const unit = text.charCodeAt(at);
        bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
    }
    return bytes <= NAME_BYTES_MAX;
}
