// Real `bookholder` processes, each on a free port and in a directory that goes away with it.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The project's folder. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** The program that is tested. */
const PROGRAM = resolve(process.env.BOOKHOLDER ?? join(ROOT, "target/debug/bookholder"));
/** The admin access token of every primary here. */
export const ADMIN = "bh_test_0123456789abcdef0123456789";
/** Longest wait for anything that a node does on its own, on a machine that is busy with other tests, in milliseconds. */
const PATIENCE_MS = 60_000;
/** How often something is looked at that cannot be waited for, in milliseconds. */
const LOOK_MS = 20;

const run = promisify(execFile);
/** Every node that was not stopped, so that nothing outlives the tests. */
const left = new Set();
process.on("exit", () => {
  for (const node of left) {
    node.child.kill("SIGKILL");
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

/** The environment of the program: nothing of whoever runs the tests but the way to other programs. */
const surroundings = (more) => ({ PATH: process.env.PATH, HOME: tmpdir(), ...more });

/** Runs the command line; its standard output. */
export async function bookholder(args, environment = {}) {
  const { stdout } = await run(PROGRAM, args, { env: surroundings(environment), maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}

/** A node that runs, or did. */
export class Node {
  /** Starts a primary, with more arguments, environment and a file of settings where they are given. */
  static primary({ args = [], env = {}, config } = {}) {
    return Node.#start("serve", args, { BOOKHOLDER_ADMIN_TOKEN: ADMIN, ...env }, config);
  }

  /** Starts a replica of a primary under a name, and waits until it holds what the primary holds now. */
  static async replicaOf(primary, name = "beside-the-shop") {
    const shown = JSON.parse(await bookholder(["keys", "show", "--json", "--data", primary.data]));
    const replica = await Node.#start("replica", ["--root-key", shown.root_key, "--upstream", primary.origin], {
      BOOKHOLDER_REPLICA_NAME: name,
    });
    await replica.follows(primary);
    return replica;
  }

  static async #start(verb, args, env, config) {
    if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}: run \`cargo build\`, or set BOOKHOLDER`);
    const node = new Node();
    node.home = await mkdtemp(join(tmpdir(), "bookholder-browser-"));
    node.data = join(node.home, "data");
    node.log = join(node.home, "stderr");
    const line = [verb, "--data", node.data, "--listen", "127.0.0.1:0", ...args];
    if (config) {
      const file = join(node.home, "bookholder.toml");
      await writeFile(file, config);
      line.push("--config", file);
    }
    const stdio = ["ignore", "ignore", openSync(node.log, "a")];
    node.child = spawn(PROGRAM, line, { env: surroundings(env), stdio });
    left.add(node);
    node.ended = once(node.child, "exit").then(([code]) => code);
    const address = await until(`${verb} listens`, async () => {
      if (node.child.exitCode !== null) throw new Error(`${verb} ended: ${await readFile(node.log, "utf8")}`);
      return readFile(join(node.data, "address"), "utf8").catch(() => "");
    });
    node.origin = `http://${address.trim()}`;
    return node;
  }

  /** Sends a request as somebody; the answer's JSON, which must be a success unless `fails` names another status. */
  async send(method, path, body, { token = ADMIN, fails } = {}) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(this.origin + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (fails ? answer.status !== fails : !answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Runs the command line against this node, as the admin. */
  command(...args) {
    return bookholder(args, { BOOKHOLDER_SERVER: this.origin, BOOKHOLDER_TOKEN: ADMIN });
  }

  /** Waits until this node holds what another one holds now, and says that it is fresh. */
  async follows(primary) {
    const there = await primary.send("GET", "/v1/status");
    await until("it follows", async () => {
      const here = await fetch(`${this.origin}/v1/status`).then((answer) => answer.json());
      return here.position === there.position && here.state === there.state && here.freshness === "fresh";
    });
  }

  /** Waits until this replica says that it no longer hears from its primary. */
  async goesStale() {
    const freshness = () => fetch(`${this.origin}/v1/status`).then((answer) => answer.json());
    await until("it goes stale", async () => (await freshness()).freshness === "stale");
  }

  /** Kills the process, as a power cut would. */
  async kill9() {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  /** Ends the process, which must drain and have panicked nowhere, and takes its directory away. */
  async stop() {
    const killed = this.child.signalCode !== null;
    this.child.kill("SIGTERM");
    const code = await this.ended;
    const said = await readFile(this.log, "utf8");
    await rm(this.home, { recursive: true, force: true });
    left.delete(this);
    if ((!killed && code !== 0) || said.includes("panicked")) throw new Error(`a node ended with ${code}: ${said}`);
  }
}

/** A text as one segment of a path. */
export const segment = (text) => encodeURIComponent(text);
