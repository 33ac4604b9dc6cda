/** Reads `bookholder.lock`: which version each pulled file has. */

/** One pulled prompt. */
export interface LockedPrompt {
    name: string;
    version: number;
    contentId: string;
    /** The path of its file, relative to the lock file. */
    file: string;
}

/** What `bookholder pull` wrote. */
export interface Lockfile {
    label: string | undefined;
    prompts: Map<string, LockedPrompt>;
}

/** The version of the format that is read. */
const VERSION = 1;

/** Reads a lock file: keys and values of TOML, and `[[prompt]]` tables. */
export function parseLockfile(text: string): Lockfile {
    const head: { [key: string]: unknown } = {};
    const tables: { [key: string]: unknown }[] = [];
    for (const [index, line] of text.split(/\r?\n/).entries()) {
        const trimmed = line.trim();
        if (trimmed === "" || trimmed.startsWith("#")) continue;
        if (trimmed === "[[prompt]]") {
            tables.push({});
            continue;
        }
        const found = /^([a-z_]+) = (.+)$/.exec(trimmed);
        if (!found) throw new SyntaxError(`line ${index + 1} of the lock file cannot be read; pull again`);
        (tables.at(-1) ?? head)[found[1] ?? ""] = value(found[2] ?? "", index + 1);
    }
    if (head["version"] !== VERSION) {
        throw new SyntaxError(
            `the lock file has version ${head["version"]}, but this client reads ${VERSION}; upgrade bookholder`,
        );
    }
    const prompts = tables.map((table) => ({
        name: String(table["name"]),
        version: Number(table["version"]),
        contentId: String(table["content_id"]),
        file: String(table["file"]),
    }));
    const outside = prompts.find(({ file }) => /^\/|\\|^[A-Za-z]:|(?:^|\/)\.\.(?:\/|$)/.test(file));
    if (outside) throw new SyntaxError(`the lock file lists \`${outside.name}\` at \`${outside.file}\`; pull again`);
    const label = head["label"];
    return {
        label: typeof label === "string" ? label : undefined,
        prompts: new Map(prompts.map((prompt) => [prompt.name, prompt])),
    };
}

function value(text: string, line: number): unknown {
    if (/^'[^']*'$/.test(text)) return text.slice(1, -1);
    if (/^-?\d+$/.test(text)) return Number(text);
    if (text === "true" || text === "false") return text === "true";
    try {
        // A basic string of TOML is one of JSON, but for \e and \U, which are not written.
        return JSON.parse(text) as unknown;
    } catch {
        throw new SyntaxError(`line ${line} of the lock file cannot be read; pull again`);
    }
}
