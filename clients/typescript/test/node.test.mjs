// The client against real processes: a primary, a replica, kills and restarts, over the Unix socket and TCP.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import fs, { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Bookholder, InvalidReference, PromptNotFound, PromptUnavailable, RenderFailed } from "../dist/esm/index.js";
import { ADMIN, Node, bookholder as cli, until } from "./support/node.mjs";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "bookholder-baked-"));
const clients = [];
const warnings = [];
let primary;
let replica;

/** A client of the replica that waits as long as a busy machine needs, unless it is about not waiting. */
function client(options = {}) {
    const made = new Bookholder({
        socket: replica.socket,
        baked: false,
        timeoutMs: 30_000,
        warn: (message) => warnings.push(message),
        ...options,
    });
    clients.push(made);
    return made;
}

const AGENT = {
    messages: [
        { role: "system", content: "You speak for {{shop}}." },
        { type: "placeholder", name: "history" },
    ],
    model: { name: "gpt-5", parameters: { temperature: 0.2 } },
};

before(async () => {
    primary = await Node.primary();
    await primary.publish("support/agent", AGENT);
    await primary.publish("support/tone", { text: "one" });
    replica = await Node.replicaOf(primary);
});

after(async () => {
    await Promise.all(clients.map((made) => made.close()));
    await Promise.all([primary?.stop(), replica?.stop()]);
    rmSync(folder, { recursive: true, force: true });
});

for (const way of ["socket", "url"]) {
    test(`prompts are resolved over the ${way}`, async () => {
        const options = way === "socket" ? { socket: replica.socket } : { url: replica.url };
        const bookholder = client({ socket: undefined, ...options });
        const prompt = await bookholder.prompt("support/agent");
        const asked = await replica
            .send("GET", "/v1/resolve/support/agent")
            .catch(() => primary.send("GET", "/v1/resolve/support/agent"));
        assert.equal(prompt.name, "support/agent");
        assert.equal(prompt.version, 1);
        assert.equal(prompt.contentId, asked.content_id);
        assert.equal(prompt.stamp, asked.stamp);
        assert.equal(prompt.label, "production");
        assert.deepEqual([prompt.source, prompt.stale], ["replica", false]);
        assert.equal(typeof prompt.age, "number");
        assert.equal(prompt.baggage, asked.telemetry.baggage);
        for (const [key, value] of Object.entries(asked.telemetry.attributes))
            assert.equal(prompt.spanAttributes()[key], value);
        const history = [{ role: "user", content: "Hi" }];
        assert.deepEqual(prompt.messages({ shop: "Globe", history }), [
            { role: "system", content: "You speak for Globe." },
            ...history,
        ]);
        // The second time the node says that nothing changed.
        const again = await bookholder.prompt("support/agent");
        assert.deepEqual([again.stamp, again.source], [prompt.stamp, "replica"]);
        assert.equal(again.content, prompt.content);
        const byVersion = await bookholder.prompt("support/agent@1");
        assert.deepEqual([byVersion.version, byVersion.label], [1, null]);
        assert.equal((await bookholder.prompt(`support/agent@${prompt.contentId}`)).version, 1);
        assert.equal((await bookholder.prompt("support/agent@latest")).label, "latest");
        await assert.rejects(bookholder.prompt("support/agnet"), (error) => {
            assert.ok(error instanceof PromptNotFound, String(error));
            assert.match(error.message, /^no answer for `support\/agnet`: /);
            return true;
        });
        await assert.rejects(bookholder.prompt("support/agent@nowhere"), PromptNotFound);
        assert.equal((await bookholder.prompt("support/agent@nowhere", { fallback: "x" })).source, "fallback");
        await assert.rejects(bookholder.prompt("support/agent@NO"), InvalidReference);
        assert.equal(bookholder.address, way === "socket" ? `unix:${replica.socket}` : replica.url);
    });
}

test("a wrong token is one error that says so, and what to do", async () => {
    await assert.rejects(client({ token: ADMIN }).prompt("support/agent"), (error) => {
        assert.ok(error instanceof PromptUnavailable && !(error instanceof PromptNotFound));
        assert.match(error.message, /it answered with status 401: .*token.*unset BOOKHOLDER_TOKEN/);
        return true;
    });
});

test("an access token that is revoked leaves the last answer, and an error in the log", async (t) => {
    const token = (await primary.command("token", "create", "checkout", "--role", "reader")).trim();
    const logged = t.mock.method(console, "error", () => undefined);
    const bookholder = client({ socket: primary.socket, token, warn: undefined });
    assert.equal((await bookholder.prompt("support/tone")).source, "replica");
    await primary.command("token", "revoke", "checkout");
    for (let call = 0; call < 2; call++) {
        const prompt = await bookholder.prompt("support/tone");
        assert.deepEqual([prompt.source, prompt.stale, prompt.text()], ["memory", true, "one"]);
    }
    assert.equal(logged.mock.callCount(), 1);
    const [message] = logged.mock.calls[0].arguments;
    assert.match(
        message,
        /^bookholder: the node refuses this application; until that is fixed it uses the last answer/,
    );
    assert.match(message, /status 401/);
    await assert.rejects(bookholder.prompt("support/agent"), PromptUnavailable);
});

test("a prompt that was removed is not served from memory later", async () => {
    await primary.publish("test/removed", { text: "x" });
    const bookholder = client({ socket: primary.socket });
    await bookholder.prompt("test/removed");
    await primary.command("remove", "test/removed", "-m", "test", "--yes");
    await assert.rejects(bookholder.prompt("test/removed"), PromptNotFound);
    assert.equal(bookholder.memory.get("test/removed", ""), undefined);
});

test("the socket and the URL of a node exclude each other", () => {
    assert.throws(() => new Bookholder({ socket: "/a.sock", url: "http://127.0.0.1:1" }), /not both/);
});

test("CommonJS has the same client", async () => {
    const { Bookholder: Required } = createRequire(import.meta.url)("../dist/cjs/index.js");
    const bookholder = new Required({ url: replica.url, baked: false, timeoutMs: 30_000 });
    assert.equal((await bookholder.prompt("support/tone")).text(), "one");
    await bookholder.close();
});

test("fetch does where there is no node:http", async () => {
    const bookholder = client({ socket: undefined, url: `${replica.url}/`, fetch });
    assert.equal((await bookholder.prompt("support/tone")).source, "replica");
    assert.equal((await bookholder.prompt("support/tone")).text(), "one");
    const [tone] = await bookholder.prompts(["support/tone@1"]);
    assert.equal(tone.text(), "one");
});

test("the node is where the documentation says", (t) => {
    const page = readFileSync(join(root, "../../docs/tasks/applications.md"), "utf8");
    // The list that both clients are held to.
    const section = page.split("### Where they look for the node")[1].split("###")[0];
    const [first, second, ...places] = [...section.matchAll(/^\d\. `([^`]+)`/gm)].map(([, place]) => place);
    assert.deepEqual([first, second, places.length], ["BOOKHOLDER_SOCKET", "BOOKHOLDER_URL", 3]);
    const there = new Set(places.filter((place) => place.startsWith("/")));
    t.mock.method(fs, "existsSync", (path) => there.has(path));
    for (const socket of [...there]) {
        assert.equal(new Bookholder().address, `unix:${socket}`);
        there.delete(socket);
    }
    assert.equal(new Bookholder().address, places.at(-1));
    there.add(places[0]);
    t.after(() => ["BOOKHOLDER_URL", "BOOKHOLDER_SOCKET"].forEach((name) => delete process.env[name]));
    process.env.BOOKHOLDER_URL = "http://127.0.0.1:1";
    assert.equal(new Bookholder().address, "http://127.0.0.1:1");
    process.env.BOOKHOLDER_SOCKET = "/a.sock";
    assert.equal(new Bookholder().address, "unix:/a.sock");
});

test("environment variables say where the node is", async () => {
    const program = `
        import { Bookholder } from ${JSON.stringify(join(root, "dist/esm/index.js"))};
        const prompt = await new Bookholder({ timeoutMs: 30000 }).prompt("support/tone");
        console.log(prompt.text(), prompt.source);`;
    for (const env of [
        { BOOKHOLDER_SOCKET: replica.socket },
        { BOOKHOLDER_URL: replica.url },
        { BOOKHOLDER_URL: `unix:${replica.socket}` },
    ]) {
        const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], {
            env: { PATH: process.env.PATH, ...env },
        });
        assert.equal(stdout, "one replica\n");
    }
});

test("many prompts are of one state, in the order that was asked for", async () => {
    const bookholder = client();
    const prompts = await bookholder.prompts(["support/tone", "support/agent", "support/tone@1"]);
    assert.deepEqual(
        prompts.map((prompt) => prompt.reference),
        ["support/tone", "support/agent", "support/tone@1"],
    );
    assert.deepEqual(
        prompts.map((prompt) => prompt.source),
        ["replica", "replica", "replica"],
    );
    await assert.rejects(bookholder.prompts(["support/tone", "nope", "nor/this"]), (error) => {
        assert.ok(error instanceof PromptNotFound);
        assert.match(error.message, /nope.*nor\/this/s);
        return true;
    });
    assert.deepEqual(await bookholder.prompts([]), []);
});

test("all prompts of a label that match a pattern are read, page by page", async () => {
    for (const name of ["listed/a", "listed/b/c", "other/a"]) await primary.publish(name, { text: name }, ["listing"]);
    await replica.follows(primary);
    const bookholder = client();
    const names = async (filter) =>
        (await bookholder.prompts(filter)).map((prompt) => [prompt.reference, prompt.source]);
    assert.deepEqual(await names({ label: "listing" }), [
        ["listed/a@listing", "replica"],
        ["listed/b/c@listing", "replica"],
        ["other/a@listing", "replica"],
    ]);
    assert.deepEqual(await names({ label: "listing", pattern: "listed/*" }), [["listed/a@listing", "replica"]]);
    assert.deepEqual(await names({ label: "listing", pattern: "nothing/**" }), []);
    assert.equal((await bookholder.prompts({ pattern: "support/**" })).length, 2);
    await assert.rejects(bookholder.prompts({ label: "NO" }), InvalidReference);
});

test("a split gives a subject always the same version", async () => {
    const name = "test/split";
    await primary.publish(name, { text: "a" });
    await primary.publish(name, { text: "b" });
    await primary.command("deploy", `${name}@1=50`, `${name}@2=50`, "--to", "production", "-m", "try");
    await replica.follows(primary);
    const bookholder = client({ cache: "events" });
    const versions = new Map();
    for (let turn = 0; turn < 3; turn++) {
        for (let subject = 0; subject < 20; subject++) {
            const prompt = await bookholder.prompt(name, { subject: `user-${subject}` });
            assert.ok(prompt.assignment?.sticky);
            assert.equal(versions.get(subject) ?? prompt.version, prompt.version);
            versions.set(subject, prompt.version);
        }
    }
    assert.deepEqual(new Set(versions.values()), new Set([1, 2]));
    // Without a subject each call is assigned at random, also where answers stay in memory.
    const random = new Set();
    await until(
        "both versions were served",
        async () => random.add((await bookholder.prompt(name)).version).size === 2,
    );
});

test("numbers are printed as the node prints them", async () => {
    const variables = [1.0, 0.1, 1e21, -0.000001].map((value, index) => ({
        name: `v${index}`,
        type: "number",
        default: value,
    }));
    const given = [7, 0.1, 1.5e300, 1e21, 0.00001, 0.000001, 1e-7, -0, 2 ** 53 - 1, 100000.5];
    const names = given.map((_, index) => `{{g${index}}}`).join(" ");
    const content = { text: `${variables.map(({ name }) => `{{${name}}}`).join(" ")} ${names}`, variables };
    // JavaScript cannot write `1.0`.
    const body = JSON.stringify({ content, message: "test", labels: ["production"] }).replace(
        '"default":1}',
        '"default":1.0}',
    );
    const answer = await fetch(`${primary.url}/v1/prompts/test%2Fnumbers/versions`, {
        method: "POST",
        headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" },
        body,
    });
    assert.ok(answer.ok, await answer.text());
    const values = Object.fromEntries(given.map((value, index) => [`g${index}`, value]));
    const prompt = await client({ socket: undefined, url: primary.url }).prompt("test/numbers");
    const rendered = await primary.send("POST", "/v1/render/test/numbers", { variables: values });
    assert.equal(prompt.text(values), rendered.text);
    assert.match(rendered.text, /^1\.0 0\.1 /);
    assert.equal(prompt.content.variables.find(({ name }) => name === "v0").default, 1);
});

test("random templates are rendered as by the node", async () => {
    // A seed of its own for each run, which a failure prints.
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31) >>> 0;
    let state = seed;
    const random = (below) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
    };
    const pieces = [
        "{",
        "}",
        "{{",
        "}}",
        "{{{",
        " ",
        "\n",
        "\t",
        "\u00a0",
        "\u0085",
        "\ufeff",
        "\u200b",
        "\u3000",
        "a",
        "größe",
        "_x1",
        "b.c-d",
        "1",
        "-",
        ".",
        "#",
        "/",
        "!",
        "&",
        "^",
        ">}}",
        "é",
        "e\u0301",
        "🜁",
        "ⅷ",
        "²",
        "\u05b0",
        "名前",
        "{%",
        "%}",
        "{{a}}",
        "{{ größe }}",
        '"',
        "\\",
        "<",
        "\0",
    ];
    const values = [7, -0.5, 1e-7, true, false, "", "{{a}}", "x\ny", "🜁\u0301", "\\", "ab".repeat(50)];
    const text = () => Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join("");
    const online = client({ socket: undefined, url: primary.url });
    for (let round = 0; round < 20; round++) {
        const messages = Array.from({ length: 50 }, () => ({ role: "user", content: text() }));
        await primary.publish("test/random", { messages });
        const prompt = await online.prompt("test/random");
        const given = Object.fromEntries(prompt.variables.map(({ name }) => [name, values[random(values.length)]]));
        const rendered = await primary.send("POST", "/v1/render/test/random", { variables: given });
        for (const [index, message] of prompt.messages(given).entries()) {
            assert.deepEqual(
                message,
                rendered.messages[index],
                JSON.stringify([messages[index], given, `SEED=${seed}`]),
            );
        }
    }
});

test("jinja is rendered by the node", async () => {
    const text = "{% for p in products %}- {{ p.name }}\n{% endfor %}";
    await primary.publish("test/list", {
        syntax: "jinja",
        text,
        variables: [{ name: "products", type: "array", required: true }],
    });
    await replica.follows(primary);
    const prompt = await client().prompt("test/list");
    assert.throws(() => prompt.text({ products: [] }), RenderFailed);
    const filled = await prompt.render({ products: [{ name: "tea" }, { name: "cup" }] });
    assert.equal(filled.text, "- tea\n- cup\n");
    assert.deepEqual(filled.openai().messages, [{ role: "user", content: "- tea\n- cup\n" }]);
    await assert.rejects(
        prompt.render({ produce: [] }),
        /^InvalidVariables: missing variables: `products`; unknown variables: `produce`$/,
    );
});

test("a rollback holds from the next call", async () => {
    await primary.publish("test/rolled", { text: "good" });
    await primary.publish("test/rolled", { text: "bad" });
    const bookholder = client({ socket: primary.socket });
    assert.equal((await bookholder.prompt("test/rolled")).text(), "bad");
    await primary.rollback("test/rolled");
    assert.equal((await bookholder.prompt("test/rolled")).text(), "good");
});

test("changes are told, and memory answers hot callers until then", async () => {
    await primary.publish("test/hot", { text: "one" });
    await replica.follows(primary);
    const bookholder = client({ cache: "events" });
    const told = [];
    bookholder.on("changed", (names) => told.push(...names));
    await until("memory answers", async () => (await bookholder.prompt("test/hot")).source === "memory");
    const hot = await bookholder.prompt("test/hot");
    assert.deepEqual([hot.text(), hot.stale], ["one", false]);
    assert.equal(await bookholder.prompt("test/hot"), hot);
    await primary.publish("test/hot", { text: "two" });
    await until("the change is told", () => told.includes("test/hot"));
    assert.equal((await bookholder.prompt("test/hot")).text(), "two");
    await until("memory answers again", async () => (await bookholder.prompt("test/hot")).source === "memory");
    assert.equal((await bookholder.prompt("test/hot")).text(), "two");
});

test("what is recorded and scored is found by `bookholder trace`", async () => {
    const bookholder = client();
    const prompt = await bookholder.prompt("support/agent");
    const usage = { prompt_tokens: 812, completion_tokens: 95, prompt_tokens_details: { cached_tokens: 12 } };
    bookholder.record(prompt, {
        responseId: "ts-1",
        model: "gpt-5-mini",
        usage,
        latencyMs: 1240.5,
        session: "ts-chat",
    });
    // Anthropic counts cached tokens apart.
    const apart = { input_tokens: 100, cache_read_input_tokens: 20, cache_creation_input_tokens: 3, output_tokens: 7 };
    bookholder.record(prompt, { responseId: "ts-2", model: "claude", usage: apart });
    bookholder.score({ responseId: "ts-1", name: "helpfulness", value: 0.8, evaluator: "judge" });
    // One report that the node refuses does not take the others with it.
    bookholder.record(prompt, { responseId: "ts-3", traceId: "not a trace" });
    bookholder.record(prompt, { responseId: "ts-4" });
    // And one that is no JSON.
    const circular = {};
    circular.self = circular;
    bookholder.record(prompt, { input: circular });
    await bookholder.flush();
    assert.equal(bookholder.droppedReports, 2);
    const found = async (id) => JSON.parse(await primary.command("trace", id, "--json").catch(() => "null"));
    const first = await until("the score arrived", async () => {
        const trace = await found("ts-1");
        return trace && JSON.stringify(trace).includes("helpfulness") && trace;
    });
    const text = JSON.stringify(first);
    for (const part of ['"support/agent"', '"gpt-5-mini"', "812", "95", "ts-chat", "0.8", "judge"])
        assert.ok(text.includes(part), `${part} in ${text}`);
    const second = await until("the second arrived", () => found("ts-2"));
    assert.ok(JSON.stringify(second).includes('"input_tokens":123'), JSON.stringify(second));
    assert.ok(await until("the fourth arrived", () => found("ts-4")));
    assert.equal(await found("ts-3"), null);
});

test("a program that ends sends what waits, and does not wait for a node that is away", async () => {
    const program = (socket) => `
        import { Bookholder } from ${JSON.stringify(join(root, "dist/esm/index.js"))};
        const bookholder = new Bookholder({ socket: ${JSON.stringify(socket)}, cache: "events", timeoutMs: 30000 });
        const prompt = await bookholder.prompt("support/agent", { fallback: "x" });
        bookholder.record(prompt, { responseId: "ts-exit" });`;
    const evaluate = (socket) =>
        run(process.execPath, ["--input-type=module", "--eval", program(socket)], { timeout: 60_000 });
    await evaluate(replica.socket);
    await until("it arrived", () => primary.command("trace", "ts-exit").catch(() => false));
    await evaluate("/nowhere.sock");
});

test("replica, memory, baked files, fallback, one error; and the newest version when all is back", async () => {
    await replica.follows(primary);
    await primary.command("pull", "--label", "production", "--out", folder, "--inline");
    const options = { baked: folder };
    const bookholder = client(options);
    assert.equal((await bookholder.prompt("support/tone")).source, "replica");

    await primary.kill();
    const offline = await bookholder.prompt("support/tone");
    assert.deepEqual([offline.text(), offline.source], ["one", "replica"]);
    await until("the replica says so", async () => (await bookholder.prompt("support/tone")).stale);

    await replica.kill();
    warnings.length = 0;
    const known = await bookholder.prompt("support/tone");
    await bookholder.prompt("support/tone");
    assert.equal(warnings.length, 1);
    assert.match(
        warnings[0],
        /^bookholder: the node does not answer; using the last answer of each prompt \(unix:.*node\.sock: /,
    );
    assert.deepEqual([known.text(), known.source, known.stale, known.version], ["one", "memory", true, 1]);
    assert.ok(known.age >= 0);

    const later = client(options);
    const baked = await later.prompt("support/agent");
    assert.deepEqual([baked.source, baked.stale, baked.version, baked.age], ["baked", true, 1, null]);
    assert.equal(baked.messages({ shop: "Globe" })[0].content, "You speak for Globe.");
    assert.deepEqual(
        (await later.prompts(["support/tone", "support/agent@1"])).map((prompt) => prompt.source),
        ["baked", "baked"],
    );
    assert.equal(
        (await client({ ...options, baked: join(folder, "bookholder.lock") }).prompt("support/tone")).source,
        "baked",
    );
    assert.equal((await later.prompt("support/tone@staging", { fallback: "Hi" })).source, "fallback");
    await assert.rejects(later.prompt("support/tone@staging"), (error) => {
        assert.ok(error instanceof PromptUnavailable);
        assert.match(
            error.message,
            /^no answer for `support\/tone@staging`: unix:.*node\.sock: .*; memory has no earlier answer; .* has `support\/tone@1`, of production$/,
        );
        return true;
    });
    assert.match(await later.prompt("nope").catch((error) => error.message), /does not have `nope`$/);
    assert.match(
        await client({ ...options, baked: "/nowhere" })
            .prompt("nope")
            .catch((error) => error.message),
        /cannot read \/nowhere: ENOENT/,
    );

    await primary.start();
    await primary.publish("support/tone", { text: "two" });
    await replica.start();
    await replica.follows(primary);
    for (const made of [bookholder, later]) {
        const newest = await made.prompt("support/tone");
        assert.deepEqual([newest.text(), newest.source, newest.stale, newest.version], ["two", "replica", false, 2]);
    }
});

for (const [way, cache] of [
    ["socket", undefined],
    ["url", undefined],
    ["socket", "events"],
]) {
    test(`1,000 callers over the ${way} get through a kill and restart${cache ? " with a memory of events" : ""}`, async () => {
        const name = `test/callers-${way}-${cache ?? "asked"}`;
        let published = 1;
        const publish = async () => {
            await primary.publish(name, { text: String(published + 1) });
            published += 1;
        };
        await primary.publish(name, { text: "1" });
        await replica.follows(primary);
        const at = way === "socket" ? { socket: replica.socket } : { socket: undefined, url: replica.url };
        const bookholder = client({ ...at, cache });
        await bookholder.prompt(name);
        // The newest version that the replica has said, to anyone.
        let said = 0;
        let isOver = false;
        const sources = { replica: 0, memory: 0 };
        const caller = async () => {
            while (!isOver) {
                const before = said;
                const prompt = await bookholder.prompt(name);
                assert.ok(prompt.version >= before, `version ${prompt.version} after the replica said ${before}`);
                assert.equal(prompt.text(), String(prompt.version));
                said = Math.max(said, prompt.version);
                sources[prompt.source] += 1;
                // Lets the others, and timers, have their turn.
                await new Promise((resolve) => setImmediate(resolve));
            }
        };
        const callers = Promise.all(Array.from({ length: 1_000 }, caller));
        const asked = async (source, count) => {
            const goal = sources[source] + count;
            await Promise.race([callers, until(`${count} answers of ${source}`, () => sources[source] >= goal)]);
        };
        try {
            await asked(cache ? "memory" : "replica", 1_000);
            await publish();
            await Promise.race([callers, until("the new version arrives", () => said >= published)]);
            await replica.kill();
            await asked("memory", 1_000);
            await publish();
            await replica.start();
            await Promise.race([callers, until("the newest version arrives", () => said >= published)]);
            await asked(cache ? "memory" : "replica", 1_000);
        } finally {
            isOver = true;
        }
        await callers;
        assert.equal(said, published);
    });
}

test("contents that are pulled read as they are served", async () => {
    const out = mkdtempSync(join(tmpdir(), "bookholder-pulled-"));
    try {
        const contents = JSON.parse(readFileSync(join(root, "test", "contents.json"), "utf8"));
        for (const [index, content] of contents.entries())
            await primary.publish(`pulled/c${index}`, content, ["shipped"]);
        await cli(["pull", "--label", "shipped", "--out", out, "--inline"], {
            BOOKHOLDER_SERVER: primary.url,
            BOOKHOLDER_TOKEN: ADMIN,
        });
        const online = client({ socket: primary.socket });
        const offline = client({ socket: "/nowhere.sock", baked: out });
        for (const index of contents.keys()) {
            const served = await online.prompt(`pulled/c${index}@shipped`);
            const read = await offline.prompt(`pulled/c${index}@shipped`);
            assert.equal(read.source, "baked");
            assert.deepEqual(read.content, served.content);
            assert.deepEqual(
                [read.stamp, read.contentId, read.baggage, read.spanAttributes()],
                [served.stamp, served.contentId, served.baggage, served.spanAttributes()],
            );
        }
    } finally {
        rmSync(out, { recursive: true, force: true });
    }
});
