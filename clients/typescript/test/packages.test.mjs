// The npm packages, built and installed from local files: the command, and the client in both kinds of modules.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { Node, PROGRAM, until } from "./support/node.mjs";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "bookholder-npm-"));
const target = `${process.platform}-${process.arch}`;
const env = { PATH: process.env.PATH, HOME: folder };
const run = (program, args) =>
    execFileSync(program, args, { cwd: folder, encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });

before(() => {
    const out = join(folder, "packages");
    // What only debuggers read takes long to pack.
    const program = join(folder, "program");
    const { status } = spawnSync("strip", ["-o", program, PROGRAM]);
    const packed = execFileSync(
        join(root, "build-packages"),
        ["--out", out, `${target}=${status === 0 ? program : PROGRAM}`],
        { encoding: "utf8" },
    );
    writeFileSync(join(folder, "package.json"), "{}");
    // Nothing may come from a registry.
    run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...packed.trim().split("\n")]);
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("npx bookholder demo", () => {
    assert.match(run("npx", ["--offline", "bookholder", "demo"]), /the replica never stopped answering/);
});

test("the command passes on arguments, exit codes and signals", async () => {
    assert.match(run("npx", ["--offline", "bookholder", "--version"]), /^bookholder \d/);
    assert.throws(() => run(join(folder, "node_modules/.bin/bookholder"), ["no-such-verb"]), { status: 2 });
    const data = join(folder, "data");
    const serve = spawn(
        join(folder, "node_modules/.bin/bookholder"),
        ["serve", "--data", data, "--listen", "127.0.0.1:0"],
        { env },
    );
    await until("it listens", () => existsSync(join(data, "address")) && readFileSync(join(data, "address"), "utf8"));
    serve.kill("SIGTERM");
    assert.deepEqual(await once(serve, "exit"), [0, null]);
});

test("without a program for this machine the command says what to install", () => {
    const command = join(folder, "node_modules/bookholder/bin/bookholder.cjs");
    const program = `Object.defineProperty(process, "arch", { value: "m68k" }); require(${JSON.stringify(command)});`;
    assert.throws(
        () => execFileSync(process.execPath, ["--eval", program], { env, stdio: "pipe" }),
        (error) => {
            assert.equal(error.status, 2);
            assert.match(
                String(error.stderr),
                /no bookholder program for \w+-m68k\nhint: install .*@bookholder\/\w+-m68k/,
            );
            return true;
        },
    );
});

for (const [name, text] of [
    ["a.mjs", 'import { Bookholder } from "bookholder";'],
    ["a.cjs", 'const { Bookholder } = require("bookholder");'],
]) {
    test(`the client of the package answers in ${name}`, () => {
        const application = `${text}
            Bookholder.fake({ greeting: "Hi {{who}}" }).prompt("greeting").then((prompt) => console.log(prompt.text({ who: "Ada" })));`;
        writeFileSync(join(folder, name), application);
        assert.equal(run(process.execPath, [name]), "Hi Ada\n");
    });
}

test("applications live through the end of both nodes", async () => {
    const primary = await Node.primary();
    await primary.publish("support/agent", { text: "You help {{shop}}." });
    const replica = await Node.replicaOf(primary);
    const baked = join(folder, "prompts");
    await primary.command("pull", "--label", "production", "--out", baked, "--inline");
    writeFileSync(
        join(folder, "application.mjs"),
        `import { createInterface } from "node:readline";
        import { Bookholder } from "bookholder";
        const bookholder = new Bookholder({ timeoutMs: 10_000 });
        for await (const _ of createInterface({ input: process.stdin })) {
            const prompt = await bookholder.prompt("support/agent");
            console.log(prompt.source, prompt.text({ shop: "Globe" }));
        }`,
    );
    const running = [];
    const begin = () => {
        for (const place of [{ BOOKHOLDER_SOCKET: replica.socket }, { BOOKHOLDER_URL: replica.url }]) {
            const application = spawn(process.execPath, ["application.mjs"], {
                cwd: folder,
                env: { ...env, BOOKHOLDER_BAKED: baked, ...place },
                stdio: ["pipe", "pipe", "ignore"],
            });
            running.push({ application, lines: createInterface({ input: application.stdout }) });
        }
    };
    const answers = () =>
        Promise.all(
            running.map(async ({ application, lines }) => {
                const line = once(lines, "line");
                application.stdin.write("\n");
                return (await line)[0];
            }),
        );
    const all = (count, answer) => Array(count).fill(answer);
    try {
        begin();
        assert.deepEqual(await answers(), all(2, "replica You help Globe."));
        await primary.kill();
        assert.deepEqual(await answers(), all(2, "replica You help Globe."));
        await replica.kill();
        assert.deepEqual(await answers(), all(2, "memory You help Globe."));
        begin();
        assert.deepEqual(await answers(), [...all(2, "memory You help Globe."), ...all(2, "baked You help Globe.")]);
        await primary.start();
        await primary.publish("support/agent", { text: "You help {{shop}} better." });
        await replica.start();
        await replica.follows(primary);
        assert.deepEqual(await answers(), all(4, "replica You help Globe better."));
    } finally {
        for (const { application } of running) application.kill();
        await replica.stop();
        await primary.stop();
    }
});

test("both kinds of modules share one client, so that its errors are the same classes", () => {
    writeFileSync(
        join(folder, "b.mjs"),
        `import { PromptUnavailable } from "bookholder";
        import { createRequire } from "node:module";
        console.log(createRequire(import.meta.url)("bookholder").PromptUnavailable === PromptUnavailable);`,
    );
    assert.equal(run(process.execPath, ["b.mjs"]), "true\n");
});

test("the package has what it needs and no dependency", () => {
    const manifest = JSON.parse(readFileSync(join(folder, "node_modules/bookholder/package.json"), "utf8"));
    assert.equal(manifest.dependencies, undefined);
    assert.deepEqual(Object.keys(manifest.optionalDependencies), [`@bookholder/${target}`]);
    for (const file of [
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "dist/esm/index.d.ts",
        "dist/cjs/index.d.ts",
        "dist/cjs/package.json",
    ]) {
        assert.ok(existsSync(join(folder, "node_modules/bookholder", file)), file);
    }
});
