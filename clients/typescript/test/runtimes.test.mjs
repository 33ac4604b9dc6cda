// The same application under Node, Deno and Bun, where they are there: `run-tests` installs the last two.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Node, until } from "./support/node.mjs";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const application = join(import.meta.dirname, "runtimes", "application.mjs");
const installed = process.env.RUNTIMES ?? join(root, "node_modules", ".runtimes");
const program = (name) => join(installed, "node_modules", ".bin", name);
const baked = mkdtempSync(join(tmpdir(), "bookholder-baked-"));
let primary;

before(async () => {
    primary = await Node.primary();
    await primary.publish("support/agent", { text: "Hi {{shop}}" });
    await primary.command("pull", "--label", "production", "--out", baked, "--inline");
});

after(async () => {
    await primary?.stop();
    rmSync(baked, { recursive: true, force: true });
});

for (const [name, command, args] of [
    ["node", process.execPath, []],
    ["deno", program("deno"), ["run", "--quiet", "--allow-all"]],
    ["bun", program("bun"), ["run"]],
]) {
    test(`${name} runs the client`, { skip: existsSync(command) ? false : `${name} is not installed` }, async () => {
        const env = {
            PATH: process.env.PATH,
            HOME: baked,
            SOCKET: primary.socket,
            URL: primary.url,
            BAKED: baked,
            RUNTIME: name,
            NO_COLOR: "1",
        };
        const { stdout } = await run(command, [...args, application], { env, timeout: 60_000 });
        const answers = ["Hi Globe", "replica", "replica", "latest"];
        assert.deepEqual(JSON.parse(stdout), [...answers, ...answers, ...answers, "baked"]);
        for (const id of [4, 8, 12, "exit"])
            await until(`${name}-${id} arrived`, () => primary.command("trace", `${name}-${id}`).catch(() => false));
    });
}

test("an edge runtime without a process runs the client, with baked answers as a value", async () => {
    const answers = await primary.send("POST", "/v1/resolve", { references: ["support/agent"] });
    const env = { PATH: process.env.PATH, URL: primary.url, BAKED: JSON.stringify(answers) };
    const { stdout } = await run(process.execPath, [join(import.meta.dirname, "runtimes", "edge.mjs")], {
        env,
        timeout: 60_000,
    });
    assert.deepEqual(JSON.parse(stdout), [
        "Hi Globe",
        "replica",
        "replica",
        true,
        "baked",
        "no answer for `support/agent`: unix:/a.sock: this runtime has no Unix sockets; set `url`; memory has no earlier answer",
    ]);
    await until("it arrived", () => primary.command("trace", "edge-1").catch(() => false));
});
