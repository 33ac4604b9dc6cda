/**
 * The prompts that an application ships: the folder that `bookholder pull --inline` wrote, or an answer of
 * `POST /v1/resolve` as a value, where there are no files.
 */

import { parseLockfile } from "./lockfile.js";
import type { Lockfile } from "./lockfile.js";
import { parsePromptFile } from "./prompt-file.js";
import { partsOf } from "./reference.js";
import { nodeModule } from "./runtime.js";
import type { Resolved, Telemetry } from "./types.js";

/** An answer of `POST /v1/resolve`, such as one that was saved as JSON. */
export interface BakedAnswers {
    answers: readonly { reference: string; resolved?: Resolved }[];
}

/** Prompts to answer from when nothing else does. */
export interface Baked {
    /** The prompt that a reference means, and otherwise the reason why there is none. */
    find(reference: string): Promise<Resolved | string>;
}

/** Prompts in memory. */
export function bakedAnswers({ answers }: BakedAnswers): Baked {
    const all = answers.flatMap(({ resolved }) => (resolved ? [resolved] : []));
    return {
        find: async (reference) => {
            const found = all.find((resolved) => means(reference, resolved));
            return found ?? "the baked answers do not have it";
        },
    };
}

interface Files {
    readFileSync(path: string, encoding: "utf8"): string;
    statSync(path: string): { isDirectory(): boolean };
}

/** A folder with a lock file, or the path of the lock file; it is read when it is first needed. */
export function bakedFolder(path: string): Baked {
    let loading: Promise<{ files: Files; lockfile: Lockfile; folder: string }> | undefined;
    const known = new Map<string, Resolved>();
    const load = async () => {
        const files = (await nodeModule("node:fs")) as Files | undefined;
        if (!files) throw new Error("this runtime has no files; pass `baked` as a value");
        const file = files.statSync(path).isDirectory() ? `${path.replace(/\/$/, "")}/bookholder.lock` : path;
        const folder = file.replace(/[^/\\]*$/, "");
        return { files, lockfile: parseLockfile(files.readFileSync(file, "utf8")), folder };
    };
    return {
        find: async (reference) => {
            const { name } = partsOf(reference);
            try {
                loading ??= load();
                const { files, lockfile, folder } = await loading;
                const locked = lockfile.prompts.get(name);
                if (!locked) return `${path} does not have it`;
                let resolved = known.get(name);
                if (!resolved) {
                    const content = parsePromptFile(files.readFileSync(folder + locked.file, "utf8"));
                    resolved = describe(name, locked.version, locked.contentId, lockfile.label ?? null, content);
                    known.set(name, resolved);
                }
                if (means(reference, resolved)) return resolved;
                return `${path} has \`${name}@${locked.version}\`, of ${lockfile.label ?? "no label"}`;
            } catch (error) {
                loading = undefined;
                return `cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`;
            }
        },
    };
}

/** Whether a reference can be answered by this version. */
function means(reference: string, resolved: Resolved): boolean {
    const { name, selector } = partsOf(reference);
    if (name !== resolved.name) return false;
    if (/^\d+$/.test(selector)) return Number(selector) === resolved.version;
    if (selector.startsWith("b3:")) return resolved.content_id.startsWith(selector);
    return selector === resolved.label;
}

/** A version as the node would describe it. */
export function describe(
    name: string,
    version: number,
    contentId: string,
    label: string | null,
    content: Resolved["content"],
): Resolved {
    const stamp = `${name}@${version}+${contentId.replace(/^b3:/, "").slice(0, 12)}`;
    const telemetry = telemetryOf({
        "gen_ai.prompt.name": name,
        "gen_ai.prompt.version": String(version),
        "bookholder.stamp": stamp,
        ...(label === null ? {} : { "bookholder.label": label }),
    });
    return { name, version, content_id: contentId, label, content, stamp, assignment: null, telemetry };
}

/** Attributes and the same as baggage. */
function telemetryOf(attributes: { [key: string]: string }): Telemetry {
    const encoded = (value: string) =>
        encodeURIComponent(value)
            .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
            .replace(/%2F/g, "/")
            .replace(/%40/g, "@")
            .replace(/%3A/g, ":");
    const baggage = Object.entries(attributes).map(([key, value]) => `${key}=${encoded(value)}`).join(",");
    return { attributes, baggage };
}
