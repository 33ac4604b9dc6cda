/** References: `name`, `name@label`, `name@7`, `name@b3:…`. */

/** The label of a name alone. */
export const PRODUCTION = "production";

/** The name of a reference, and the label, version or content ID. */
export function partsOf(reference: string): { name: string; selector: string } {
    const at = reference.indexOf("@");
    if (at < 0) return { name: reference, selector: PRODUCTION };
    return { name: reference.slice(0, at), selector: reference.slice(at + 1) };
}

/** The reference with its label written out, so that a name alone is the same as that of `production`. */
export function canonical(reference: string): string {
    return reference.includes("@") ? reference : `${reference}@${PRODUCTION}`;
}

/** Whether a name matches a pattern: `*` stands for any text between slashes, `**` for any text. */
export function matches(pattern: string, name: string): boolean {
    const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const parts = pattern.split("**").map((part) => part.split("*").map(literal).join("[^/]*"));
    return new RegExp(`^${parts.join(".*")}$`, "su").test(name);
}

/** The reference in a path. */
export function inPath(reference: string): string {
    return reference.split("/").map(encodeURIComponent).join("/").replaceAll("%40", "@").replaceAll("%3A", ":");
}
