/**
 * Numbers as the node writes them, where JavaScript alone would lose how they were written.
 *
 * `JSON.parse` reads `1.0` as 1. The node prints a default of `1.0` as `1.0`, so numbers that a template can print are
 * read with their digits.
 */

/** A number that JavaScript would write in another way, such as `1.0`. */
export class NumberText {
    private constructor(
        /** The number as the node prints it. */
        readonly text: string,
    ) {}

    /** A number from its digits; a plain number where JavaScript writes the same. */
    static from(digits: string): number | NumberText {
        const value = Number(digits);
        const isInteger = /^-?\d+$/.test(digits) && isInteger64(digits);
        const text = isInteger ? digits : printFloat(value);
        return String(value) === text ? value : new NumberText(text);
    }

    toJSON(): number {
        return Number(this.text);
    }
}

const isInteger64 = (digits: string) =>
    digits.length < 19 || (BigInt(digits) < 2n ** 64n && BigInt(digits) >= -(2n ** 63n));

/** Strings and numbers; every other character of JSON is outside of both. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;

/**
 * Parses JSON like `JSON.parse`, but a number that JavaScript would write in another way is a {@link NumberText}.
 * The text must be JSON that `JSON.parse` accepts.
 */
export function parseExact(json: string): unknown {
    // Such a number becomes a string with a mark that no string of the JSON begins with.
    for (let mark = "#"; ; mark += "#") {
        let isTaken = false;
        const marked = json.replace(TOKEN, (token) => {
            if (token.startsWith('"')) {
                isTaken ||= /^"(?:#|\\u)/.test(token) && (JSON.parse(token) as string).startsWith(mark);
                return token;
            }
            return NumberText.from(token) instanceof NumberText ? `"${mark}${token}"` : token;
        });
        if (isTaken) continue;
        return JSON.parse(marked, (_, value: unknown) => {
            const isMarked = typeof value === "string" && value.startsWith(mark);
            return isMarked ? NumberText.from(value.slice(mark.length)) : value;
        });
    }
}

/** The text of a number as the node prints it: that of JSON, with the shortest digits that say the number. */
export function printNumber(value: number): string {
    return Number.isSafeInteger(value) ? String(value) : printFloat(value);
}

/** The text of a number that is not an integer to the node; `1.0` has a fraction. */
function printFloat(value: number): string {
    const [digits = "", exponent = ""] = Math.abs(value).toExponential().replace(".", "").split("e");
    const sign = value < 0 || Object.is(value, -0) ? "-" : "";
    const point = Number(exponent) + 1;
    if (point > 16 || point < -4) {
        const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
        return `${sign}${digits[0]}${fraction}e${point > 0 ? "+" : ""}${point - 1}`;
    }
    if (point >= digits.length) return `${sign}${digits.padEnd(point, "0")}.0`;
    if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
    return `${sign}0.${"0".repeat(-point)}${digits}`;
}

/** A value that can be changed without changing the original. */
export function copied<T>(value: T): T {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(copied) as T;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copied(inner)])) as T;
}

/** The value, which nobody can change any more. */
export function frozen<T>(value: T): T {
    if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
    for (const inner of Object.values(value)) frozen(inner);
    return Object.freeze(value);
}

/** Number of bytes of a text in UTF-8. */
export function byteLength(text: string): number {
    let bytes = text.length;
    if (!/[^\0-\x7f]/.test(text)) return bytes;
    for (let at = 0; at < text.length; at++) {
        const unit = text.charCodeAt(at);
        if (unit < 0x80) continue;
        if (unit < 0x800) bytes += 1;
        else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
            bytes += 2;
            at += 1;
        } else bytes += 2;
    }
    return bytes;
}

/** Orders texts by code points, as their bytes in UTF-8 are ordered. */
export function byCodePoint(a: string, b: string): number {
    const length = Math.min(a.length, b.length);
    for (let at = 0; at < length; at++) {
        let x = a.charCodeAt(at);
        let y = b.charCodeAt(at);
        if (x === y) continue;
        // Surrogates stand for the highest code points, and have lower numbers than U+E000 to U+FFFF.
        if (x >= 0xd800 && y >= 0xd800) {
            x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
            y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
        }
        return x - y;
    }
    return a.length - b.length;
}
