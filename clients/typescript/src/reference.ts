/** References: `name`, `name@label`, `name@7`, `name@b3:…`. */

/** The label of a name alone. */
export const PRODUCTION = "production";

/** The name of a reference, and the label, version or content ID. */
export function partsOf(reference: string): { name: string; selector: string } {
    const at = reference.indexOf("@");
    if (at < 0) return { name: reference, selector: PRODUCTION };
    return { name: reference.slice(0, at), selector: reference.slice(at + 1) };
}

/** The reference in a path. */
export function inPath(reference: string): string {
    return reference.split("/").map(encodeURIComponent).join("/").replaceAll("%40", "@").replaceAll("%3A", ":");
}
