/**
 * The prompts that an application ships: the folder that `bookholder pull --inline` wrote, or an answer of
 * `POST /v1/resolve` as a value, where there are no files.
 */

import { copied, frozen } from "./json.js";
import { parseLockfile } from "./lockfile.js";
import type { LockedPrompt, Lockfile } from "./lockfile.js";
import { parsePromptFile } from "./prompt-file.js";
import { matches, partsOf } from "./reference.js";
import { nodeModule } from "./runtime.js";
import type { Resolved, Telemetry } from "./types.js";

/** An answer of `POST /v1/resolve`, such as one that was saved as JSON. */
export interface BakedAnswers {
    answers: readonly { reference: string; resolved?: Resolved }[];
}

/** Prompts to answer from when nothing else does. */
export interface Baked {
    /** The prompt that a reference means; otherwise why there is none, or nothing if there are no baked prompts. */
    find(reference: string): Promise<Resolved | string | undefined>;
    /** The prompts of a label whose names match a pattern. */
    matching(label: string, pattern: string): Promise<Resolved[] | string | undefined>;
}

/** Prompts in memory. */
export function bakedAnswers({ answers }: BakedAnswers): Baked {
    const all = answers.flatMap(({ resolved }) => (resolved ? [frozen(copied(resolved))] : []));
    return {
        find: async (reference) => {
            const found = all.find((known) =>
                means(reference, known.name, known.version, known.content_id, known.label),
            );
            return found ?? "the baked answers do not have it";
        },
        matching: async (label, pattern) =>
            all.filter((resolved) => resolved.label === label && matches(pattern, resolved.name)),
    };
}

interface Files {
    readFileSync(path: string, encoding: "utf8"): string;
    statSync(path: string): { isDirectory(): boolean; mtimeMs: number; size: number };
}

interface Folder {
    /** The path of the lock file. */
    path: string;
    signature: string;
    lockfile: Lockfile;
    known: Map<string, Resolved>;
}

const LOCKFILE_NAME = "bookholder.lock";
const DEFAULT = `prompts/${LOCKFILE_NAME}`;

/**
 * The folder with a lock file, or the path of the lock file; by default `prompts`, if it is there. Files are read when
 * they are first needed, and again when the lock file changes.
 */
export function bakedFolder(given: string | undefined): Baked {
    let folder: Folder | undefined;
    const load = (files: Files): Folder => {
        let path = given ?? DEFAULT;
        let found = files.statSync(path);
        if (found.isDirectory()) {
            path = `${path.replace(/\/$/, "")}/${LOCKFILE_NAME}`;
            found = files.statSync(path);
        }
        const signature = `${found.mtimeMs} ${found.size}`;
        if (folder?.signature !== signature) {
            folder = { path, signature, lockfile: parseLockfile(files.readFileSync(path, "utf8")), known: new Map() };
        }
        return folder;
    };
    const read = (files: Files, { path, lockfile, known }: Folder, locked: LockedPrompt): Resolved => {
        const { name, version, contentId, file } = locked;
        let resolved = known.get(name);
        if (!resolved) {
            const content = parsePromptFile(files.readFileSync(path.replace(/[^/\\]*$/, "") + file, "utf8"));
            resolved = describe(name, version, contentId, lockfile.label ?? null, content);
            known.set(name, resolved);
        }
        return resolved;
    };
    const inFolder = async <T>(act: (files: Files, folder: Folder) => T): Promise<T | string | undefined> => {
        const files = (await nodeModule("node:fs")) as Files | undefined;
        if (!files) return given === undefined ? undefined : "this runtime has no files: pass `baked` as a value";
        try {
            return act(files, load(files));
        } catch (error) {
            if (given === undefined && (error as { code?: string }).code === "ENOENT") return undefined;
            return `cannot read ${given ?? DEFAULT}: ${error instanceof Error ? error.message : String(error)}`;
        }
    };
    return {
        find: (reference) =>
            inFolder<Resolved | string>((files, folder) => {
                const { path, lockfile } = folder;
                const { name } = partsOf(reference);
                const locked = lockfile.prompts.get(name);
                if (!locked) return `${path} does not have \`${name}\``;
                const label = lockfile.label ?? null;
                if (means(reference, name, locked.version, locked.contentId, label)) return read(files, folder, locked);
                return `${path} has \`${name}@${locked.version}\`, of ${label ?? "no label"}`;
            }),
        matching: (label, pattern) =>
            inFolder<Resolved[] | string>((files, folder) => {
                if (folder.lockfile.label !== label)
                    return `${folder.path} is of ${folder.lockfile.label ?? "no label"}`;
                const found = [...folder.lockfile.prompts.values()].filter(({ name }) => matches(pattern, name));
                return found.map((locked) => read(files, folder, locked));
            }),
    };
}

/** Whether a reference can be answered by this version. */
function means(reference: string, name: string, version: number, contentId: string, label: string | null): boolean {
    const parts = partsOf(reference);
    if (parts.name !== name) return false;
    if (/^\d+$/.test(parts.selector)) return Number(parts.selector) === version;
    return parts.selector.startsWith("b3:") ? contentId === parts.selector : parts.selector === label;
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
    return frozen({ name, version, content_id: contentId, label, content, stamp, assignment: null, telemetry });
}

/** Attributes and the same as baggage. */
function telemetryOf(attributes: { [key: string]: string }): Telemetry {
    const encoded = (value: string) =>
        encodeURIComponent(value)
            .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
            .replace(/%2F/g, "/")
            .replace(/%40/g, "@")
            .replace(/%3A/g, ":");
    const baggage = Object.entries(attributes)
        .map(([key, value]) => `${key}=${encoded(value)}`)
        .join(",");
    return { attributes, baggage };
}
