// Names, variables and outputs are checked by `tsc`, in ES modules and in CommonJS.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

const root = join(import.meta.dirname, "..");
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
// Below the package, so that the SDKs are found.
mkdirSync(join(root, "dist"), { recursive: true });
const folder = mkdtempSync(join(root, "dist", "types-"));
after(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, "node_modules"));
symlinkSync(root, join(folder, "node_modules", "bookholder"), "dir");

/** What `tsc` says of these files, in a project of this kind of module. */
function compile(name, type, files, options = {}) {
    const project = join(folder, name);
    mkdirSync(project, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(project, file), text);
    writeFileSync(join(project, "package.json"), JSON.stringify({ type }));
    const compilerOptions = {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2023", "dom"],
        types: [],
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        ...options,
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const { stdout, status } = spawnSync(process.execPath, [tsc, "--project", project], { encoding: "utf8" });
    return { status, stdout };
}

const sample = (name) => readFileSync(join(root, "test", "types", name), "utf8");
const passes = (result) => assert.deepEqual(result, { status: 0, stdout: "" });

for (const type of ["module", "commonjs"]) {
    test(`declared prompts are checked (${type})`, () =>
        passes(compile(`declared-${type}`, type, { "a.ts": sample("declared.ts") })));
    test(`without declarations all is accepted (${type})`, () =>
        passes(compile(`undeclared-${type}`, type, { "a.ts": sample("undeclared.ts") })));
}

test("the arguments fit the SDKs", () => {
    // Their own declarations do not pass strict checks.
    passes(
        compile(
            "sdks",
            "module",
            { "a.ts": sample("sdks.ts") },
            { skipLibCheck: true, types: ["node"], exactOptionalPropertyTypes: false },
        ),
    );
});

test("the examples of the README and of the comments compile", () => {
    const blocks = (file, fence) =>
        [...readFileSync(join(root, file), "utf8").matchAll(fence)].map(([, block]) => block);
    const readme = blocks("README.md", /^```ts\n(.*?)^```$/gms);
    const comments = ["src/client.ts", "src/prompt.ts", "src/types.ts"]
        .flatMap((file) => blocks(file, /^ *\* ```ts\n(.*?)^ *\* ```$/gms))
        .map((block) => block.replace(/^ *\* ?/gm, ""));
    assert.ok(readme.length === 3 && comments.length >= 5, `${readme.length} and ${comments.length}`);
    const isDeclaration = (block) => /^declare module/m.test(block);
    // What an application has around an example.
    const surroundings = `
        import assert from "node:assert/strict";
        import type { generateText as Generate, LanguageModel } from "ai";
        import { Bookholder, Prompt } from "bookholder";
        import type { Message } from "bookholder";
        import type OpenAI from "openai";
        declare const openai: OpenAI, generateText: typeof Generate, model: LanguageModel;
        declare const bh: Bookholder, bookholder: Bookholder, p: Prompt, prompt: Prompt;
        declare const user: { id: string }, history: Message[], products: unknown[];
        declare function answer(bookholder: Bookholder, question: string): Promise<void>;
    `;
    const examples = [...readme, ...comments]
        .filter((block) => !isDeclaration(block))
        .map((block, index) => {
            const body = block.replace(/^import .*$/gm, "");
            return [`e${index}.ts`, `${surroundings}export async function example() {\n${body}}`];
        });
    const options = { skipLibCheck: true, types: ["node"], exactOptionalPropertyTypes: false };
    passes(compile("examples", "module", Object.fromEntries(examples), options));
    for (const [index, text] of [...readme, ...comments].filter(isDeclaration).entries()) {
        passes(compile(`declaration${index}`, "module", { "a.ts": text }));
    }
});

test("a wrong name is an error that says so", () => {
    const wrong = sample("declared.ts").replace(/^.*@ts-expect-error: not a prompt$/m, "");
    const { status, stdout } = compile("wrong", "module", { "a.ts": wrong });
    assert.notEqual(status, 0);
    assert.match(stdout, /'"support\/agnet"' is not assignable/);
});
