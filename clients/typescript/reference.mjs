// Writes docs/reference/typescript.md from the declarations in dist and their comments: node reference.mjs
// With --check it writes nothing, and fails if the page is out of date.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const page = join(here, "..", "..", "docs", "reference", "typescript.md");
const read = (module) => readFileSync(join(here, "dist", "esm", `${module}.d.ts`), "utf8");

/** What comes first; the rest follows in the order of the index. */
const FIRST = [
    "Bookholder",
    "BookholderOptions",
    "PromptOptions",
    "Caller",
    "Fallback",
    "PromptFilter",
    "Prompt",
    "Filled",
];

/** Cuts lines into statements, each with the comment above it: a statement ends where its brackets are closed. */
function statements(lines) {
    const found = [];
    let [doc, text, depth, isComment] = ["", "", 0, false];
    for (const line of lines) {
        isComment ||= line.trimStart().startsWith("/**");
        const opens = isComment ? [] : (line.match(/[{([]/g) ?? []);
        const closes = isComment ? [] : (line.match(/[})\]]/g) ?? []);
        if (isComment && text === "") doc += `${line}\n`;
        else text += `${line}\n`;
        if (line.trimEnd().endsWith("*/")) isComment = false;
        depth += opens.length - closes.length;
        if (text !== "" && depth === 0 && /[;}]$/.test(line) && !isComment) {
            found.push({ doc: doc.replace(/^\s*\/\*\*|\*\/\s*$/g, ""), text });
            [doc, text] = ["", ""];
        }
    }
    return found;
}

/** The declarations of a module, each with its comment. */
function declarations(module) {
    return statements(read(module).split("\n")).flatMap(({ doc, text }) => {
        const [, kind, name] = /^export (?:declare )?(?:abstract )?(class|interface|type) (\w+)/.exec(text) ?? [];
        return kind ? [{ name, kind, doc, text }] : [];
    });
}

/** The names that the package exports, and their declarations. */
function exported() {
    const found = [];
    for (const [, names, module] of read("index").matchAll(
        /^export (?:type )?(?:\*|\{([^}]*)\}) from "\.\/([\w-]+)\.js";/gm,
    )) {
        const wanted = names
            ?.split(",")
            .map((name) => name.trim())
            .filter(Boolean);
        found.push(...declarations(module).filter(({ name }) => !wanted || wanted.includes(name)));
    }
    const rank = ({ name }) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
    return found.sort((a, b) => rank(a) - rank(b));
}

/** A comment as Markdown. */
function markdown(comment = "") {
    const text = comment.replace(/^\s*\* ?/gm, "").trim();
    const links = text.replace(/\{@link ([\w.]+)\}/g, "`$1`");
    const throws = [...links.matchAll(/^@throws \{(\w+)\} ([^@]*)/gm)].map(
        ([, name, why]) => `- Throws \`${name}\`: ${why.trim().replace(/\s*\n\s*/g, " ")}`,
    );
    const body = links
        .replace(/^@throws [^@]*/gm, "")
        .replace(/^@example\n/gm, "")
        .trim();
    return [body, throws.join("\n")].filter(Boolean).join("\n\n");
}

const isHidden = ({ doc = "", text }) => doc.includes("@internal") || /^(?:private|protected) /.test(text);

/** The public members of a class. */
function members({ text }) {
    return statements(
        text
            .trimEnd()
            .split("\n")
            .slice(1, -1)
            .map((line) => line.replace(/^ {4}/, "")),
    ).filter((member) => !isHidden(member));
}

const code = (text) => `\`\`\`typescript\n${text.replace(/^export (?:declare )?/, "").trim()}\n\`\`\``;

function section(declaration) {
    const { name, kind, doc, text } = declaration;
    const parts = [`## ${name}`, markdown(doc)];
    if (kind !== "class") parts.push(code(text));
    else for (const { doc, text } of members(declaration)) parts.push(code(text), markdown(doc));
    return parts.filter(Boolean).join("\n\n");
}

const intro = `# TypeScript library

What the package \`bookholder\` exports, as \`node clients/typescript/reference.mjs\` reads it from the sources.
[Use prompts in an application](../tasks/applications.md) shows how it is used.`;
const written = `${[intro, ...exported().map(section)].join("\n\n")}\n`;

if (!process.argv.includes("--check")) {
    writeFileSync(page, written);
} else if (readFileSync(page, "utf8") !== written) {
    console.error("docs/reference/typescript.md is out of date: run `node clients/typescript/reference.mjs`");
    process.exit(1);
}
