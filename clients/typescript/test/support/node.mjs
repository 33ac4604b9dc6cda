// Real `bookholder` processes, each on a free port and a Unix socket, in a directory that goes away with it.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** The program that is tested. */
export const PROGRAM = resolve(
    process.env.BOOKHOLDER ?? join(import.meta.dirname, "../../../../target/debug/bookholder"),
);
/** The admin access token of every primary here. */
export const ADMIN = "bh_test_0123456789abcdef0123456789";
/** Longest wait for anything that a node does on its own, on a busy machine, in milliseconds. */
const PATIENCE_MS = 60_000;
/** How often something is looked at that cannot be waited for, in milliseconds. */
const LOOK_MS = 10;

const run = promisify(execFile);
const left = new Set();
process.on("exit", () => {
    for (const node of left) {
        node.child?.kill("SIGKILL");
        rmSync(node.home, { recursive: true, force: true });
    }
});

/** Looks until there is something; fails with `what` when the time is up. */
export async function until(what, look) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        const found = await look();
        if (found) return found;
        if (Date.now() > deadline) throw new Error(`never: ${what}`);
        await new Promise((again) => setTimeout(again, LOOK_MS));
    }
}

const environment = (more) => ({ PATH: process.env.PATH, HOME: tmpdir(), ...more });

/** Runs the command line; its standard output. */
export async function bookholder(args, more = {}) {
    const { stdout } = await run(PROGRAM, args, { env: environment(more), maxBuffer: 64 * 1024 * 1024 });
    return stdout;
}

/** A node, which can be killed and started again on the same port and socket. */
export class Node {
    constructor(verb, args, env) {
        if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}: run \`cargo build\`, or set BOOKHOLDER`);
        this.home = mkdtempSync(join(tmpdir(), "bookholder-client-"));
        this.data = join(this.home, "data");
        this.socket = join(this.home, "node.sock");
        this.start = () => this.#start([verb, ...args], env);
        left.add(this);
    }

    static async primary(args = []) {
        const node = new Node("serve", args, { BOOKHOLDER_ADMIN_TOKEN: ADMIN });
        await node.start();
        return node;
    }

    /** A replica that holds what the primary holds now. */
    static async replicaOf(primary) {
        const { root_key } = JSON.parse(await bookholder(["keys", "show", "--json", "--data", primary.data]));
        const node = new Node("replica", ["--root-key", root_key, "--upstream", primary.url], {});
        await node.start();
        await node.follows(primary);
        return node;
    }

    async #start([verb, ...args], env) {
        const log = join(this.home, "stderr");
        const addressFile = join(this.data, "address");
        rmSync(addressFile, { force: true });
        const listen = this.url?.slice("http://".length) ?? "127.0.0.1:0";
        const line = [verb, "--data", this.data, "--listen", listen, "--socket", this.socket, ...args];
        this.child = spawn(PROGRAM, line, { env: environment(env), stdio: ["ignore", "ignore", openSync(log, "a")] });
        this.ended = once(this.child, "exit");
        const address = await until(`${verb} listens`, () => {
            if (this.child.exitCode !== null) throw new Error(`${verb} ended: ${readFileSync(log, "utf8")}`);
            return existsSync(addressFile) && readFileSync(addressFile, "utf8").trim();
        });
        this.url = `http://${address}`;
        await until("it answers", () =>
            fetch(`${this.url}/healthz`).then(
                (answer) => answer.ok,
                () => false,
            ),
        );
    }

    async send(method, path, body) {
        const headers = { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" };
        const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
        const text = await answer.text();
        assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
        return text ? JSON.parse(text) : null;
    }

    /** Publishes a content as the next version, and deploys it. */
    publish(name, content, labels = ["production"]) {
        return this.send("POST", `/v1/prompts/${encodeURIComponent(name)}/versions`, {
            content,
            message: "test",
            labels,
            allow_major: true,
        });
    }

    rollback(name, label = "production") {
        return this.send("POST", `/v1/prompts/${encodeURIComponent(name)}/labels/${label}/rollback`, {
            message: "test",
        });
    }

    command(...args) {
        return bookholder(args, { BOOKHOLDER_SERVER: this.url, BOOKHOLDER_TOKEN: ADMIN });
    }

    /** Waits until this node holds what another one holds now. */
    async follows(primary) {
        const there = await primary.send("GET", "/v1/status");
        await until("it follows", async () => {
            const here = await fetch(`${this.url}/v1/status`).then((answer) => answer.json());
            return here.position === there.position && here.freshness === "fresh";
        });
    }

    /** Kills the process, as a power cut would. */
    async kill() {
        this.child.kill("SIGKILL");
        await this.ended;
    }

    /** Ends the process for good. */
    async stop() {
        this.child.kill("SIGKILL");
        await this.ended;
        left.delete(this);
        rmSync(this.home, { recursive: true, force: true });
    }
}
