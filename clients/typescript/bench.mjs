// Speed of the client beside `fetch`, `node:http` and @langfuse/client, against one small local server, in one run.
//
//   npm ci && node build.mjs && node bench.mjs
//
// What counts are the ratios: the absolute figures are those of the machine and of its load.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const TEXT = "You answer the customers of {{shop}}. Be brief and kind. ".repeat(20);

/** The server: the same prompt, as a Bookholder node and as Langfuse answer. */
function serve() {
    const resolved = JSON.stringify({
        name: "support/agent",
        version: 7,
        content_id: `b3:${"3f9a".repeat(16)}`,
        label: "production",
        content: { syntax: "mustache", text: TEXT, variables: [{ name: "shop", required: true }] },
        stamp: "support/agent@7+3f9a3f9a3f9a",
        assignment: null,
        telemetry: {
            attributes: { "gen_ai.prompt.name": "support/agent" },
            baggage: "gen_ai.prompt.name=support/agent",
        },
    });
    const langfuse = JSON.stringify({
        id: "x",
        type: "text",
        name: "support/agent",
        version: 7,
        config: {},
        labels: ["production"],
        tags: [],
        prompt: TEXT,
        createdAt: "2026-01-01T00:00:00Z",
        updatedAt: "2026-01-01T00:00:00Z",
        createdBy: "x",
        projectId: "x",
        isActive: true,
    });
    const answer = (message, response) => {
        if (message.url === "/v1/events") {
            response.writeHead(200, { "content-type": "text/event-stream" });
            response.write("retry: 2000\nid: 1.1\n\n");
            return;
        }
        const headers = {
            "content-type": "application/json",
            "bookholder-position": "1.1",
            "bookholder-age": "0",
            "bookholder-stale": "false",
        };
        if (message.url.startsWith("/api/")) {
            response.writeHead(200, headers).end(langfuse);
        } else if (message.headers["if-none-match"] === '"7-3f9a"') {
            response.writeHead(304, { ...headers, etag: '"7-3f9a"' }).end();
        } else {
            response.writeHead(200, { ...headers, etag: '"7-3f9a"' }).end(resolved);
        }
    };
    const tcp = createServer({ keepAliveTimeout: 60_000 }, answer).listen(0, "127.0.0.1");
    createServer({ keepAliveTimeout: 60_000 }, answer).listen(process.argv[3], () => console.log(tcp.address().port));
}

/** Time per call in nanoseconds: one after the other, and with 32 at a time. */
async function measure(call, { calls = 3_000, warm = 500 } = {}) {
    for (let index = 0; index < warm; index++) await call();
    const times = new Float64Array(calls);
    for (let index = 0; index < calls; index++) {
        const start = process.hrtime.bigint();
        await call();
        times[index] = Number(process.hrtime.bigint() - start);
    }
    times.sort();
    let left = calls;
    const start = process.hrtime.bigint();
    await Promise.all(
        Array.from({ length: 32 }, async () => {
            while (left-- > 0) await call();
        }),
    );
    const perSecond = (calls * 1e9) / Number(process.hrtime.bigint() - start);
    return { p50: times[calls >> 1], p99: times[Math.floor(calls * 0.99)], perSecond };
}

/** For calls that take less than the clock: many between two looks at it. */
async function measureShort(call) {
    const BATCH = 1_000;
    const times = [];
    for (let round = 0; round < 400; round++) {
        const start = process.hrtime.bigint();
        for (let index = 0; index < BATCH; index++) await call();
        times.push(Number(process.hrtime.bigint() - start) / BATCH);
    }
    times.sort((a, b) => a - b);
    return { p50: times[200], p99: times[396], perSecond: 1e9 / times[200] };
}

/** How long a new process takes to load a module, in milliseconds: the median of nine. */
function importTime(module) {
    const program = `const start = performance.now();
        await import(${JSON.stringify(module)});
        console.log(performance.now() - start);`;
    const run = () => Number(execFileSync(process.execPath, ["--input-type=module", "--eval", program]));
    return Array.from({ length: 9 }, run).sort((a, b) => a - b)[4];
}

async function main() {
    const folder = mkdtempSync(join(tmpdir(), "bookholder-bench-"));
    const socket = join(folder, "node.sock");
    const server = spawn(process.execPath, [fileURLToPath(import.meta.url), "serve", socket], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    const [port] = await once(server.stdout, "data");
    const url = `http://127.0.0.1:${String(port).trim()}`;
    const rows = [];
    const row = async (name, measuring) => {
        const found = await measuring;
        rows.push({ name, ...found });
        console.error(`  ${name}`);
    };
    try {
        const { Bookholder } = await import("./dist/esm/index.js");
        const path = "/v1/resolve/support/agent";
        await row(
            "fetch, JSON",
            measure(async () => (await fetch(url + path)).json()),
        );
        const raw = (options) => {
            const agent = new Agent({ keepAlive: true, maxSockets: 64 });
            return () =>
                new Promise((resolve, reject) => {
                    request({ agent, path, ...options }, (response) => {
                        let text = "";
                        response
                            .setEncoding("utf8")
                            .on("data", (piece) => (text += piece))
                            .on("end", () => resolve(JSON.parse(text)));
                    })
                        .on("error", reject)
                        .end();
                });
        };
        await row("node:http, TCP, JSON", measure(raw({ port: new URL(url).port, host: "127.0.0.1" })));
        await row("node:http, socket, JSON", measure(raw({ socketPath: socket })));
        const clients = [];
        const client = (options) =>
            clients[clients.push(new Bookholder({ baked: false, timeoutMs: 10_000, ...options })) - 1];
        const tcp = client({ url });
        await row(
            "bookholder, TCP",
            measure(() => tcp.prompt("support/agent")),
        );
        const local = client({ socket });
        await row(
            "bookholder, socket",
            measure(() => local.prompt("support/agent")),
        );
        await row(
            "bookholder, socket, and text()",
            measure(async () => (await local.prompt("support/agent")).text({ shop: "Globe" })),
        );
        const hot = client({ socket, cache: "events" });
        while ((await hot.prompt("support/agent")).source !== "memory")
            await new Promise((resolve) => setTimeout(resolve, 5));
        await row(
            "bookholder, memory of events",
            measureShort(() => hot.prompt("support/agent")),
        );
        const prompt = await hot.prompt("support/agent");
        await row(
            "bookholder, text()",
            measureShort(() => prompt.text({ shop: "Globe" })),
        );

        const modules = join(here, "node_modules", ".bench");
        mkdirSync(modules, { recursive: true });
        writeFileSync(join(modules, "package.json"), '{ "private": true }');
        const install = spawnSync("npm", [
            "install",
            "--prefix",
            modules,
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            "@langfuse/client@5.11.1",
            "@opentelemetry/api@1.10.0",
        ]);
        const langfuseModule = pathToFileURL(
            join(modules, "node_modules", "@langfuse", "client", "dist", "index.mjs"),
        ).href;
        if (install.status === 0) {
            const { LangfuseClient } = await import(langfuseModule);
            const langfuse = new LangfuseClient({ publicKey: "pk", secretKey: "sk", baseUrl: url });
            await row(
                "@langfuse/client, uncached",
                measure(() => langfuse.prompt.get("support/agent", { cacheTtlSeconds: 0 }), { calls: 1_000 }),
            );
            await row(
                "@langfuse/client, cached 60 s",
                measureShort(() => langfuse.prompt.get("support/agent")),
            );
        } else {
            console.log("SKIPPED: @langfuse/client, which npm could not install");
        }
        const base = rows[0];
        console.log("| one call | p50 | p99 | calls/s, 32 at a time | p50 beside fetch |\n|---|---:|---:|---:|---:|");
        const time = (ns) => (ns < 1_000 ? `${ns.toFixed(0)} ns` : `${(ns / 1_000).toFixed(ns < 100_000 ? 1 : 0)} µs`);
        for (const { name, p50, p99, perSecond } of rows) {
            console.log(
                `| ${name} | ${time(p50)} | ${time(p99)} | ${Math.round(perSecond).toLocaleString("en")} | ${(p50 / base.p50).toPrecision(2)} |`,
            );
        }
        const imports = [
            ["bookholder", pathToFileURL(join(here, "dist/node.mjs")).href],
            ["@langfuse/client", langfuseModule],
        ];
        for (const [name, module] of install.status === 0 ? imports : imports.slice(0, 1)) {
            console.log(`import of ${name}: ${importTime(module).toFixed(0)} ms`);
        }
        await Promise.all(clients.map((made) => made.close()));
    } finally {
        server.kill();
        rmSync(folder, { recursive: true, force: true });
    }
}

if (process.argv[2] === "serve") serve();
else await main();
