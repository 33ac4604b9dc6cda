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
        strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["es2023", "dom"], types: [],
        exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, ...options,
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    const { stdout, status } = spawnSync(process.execPath, [tsc, "--project", project], { encoding: "utf8" });
    return { status, stdout };
}

const sample = (name) => readFileSync(join(root, "test", "types", name), "utf8");
const passes = (result) => assert.deepEqual(result, { status: 0, stdout: "" });

for (const type of ["module", "commonjs"]) {
    test(`declared prompts are checked (${type})`, () => passes(compile(`declared-${type}`, type, { "a.ts": sample("declared.ts") })));
    test(`without declarations all is accepted (${type})`, () => passes(compile(`undeclared-${type}`, type, { "a.ts": sample("undeclared.ts") })));
}

test("the arguments fit the SDKs", () => {
    // Their own declarations do not pass strict checks.
    passes(compile("sdks", "module", { "a.ts": sample("sdks.ts") }, { skipLibCheck: true, types: ["node"], exactOptionalPropertyTypes: false }));
});

test("a wrong name is an error that says so", () => {
    const wrong = sample("declared.ts").replace(/^.*@ts-expect-error: not a prompt$/m, "");
    const { status, stdout } = compile("wrong", "module", { "a.ts": wrong });
    assert.notEqual(status, 0);
    assert.match(stdout, /'"support\/agnet"' is not assignable/);
});
