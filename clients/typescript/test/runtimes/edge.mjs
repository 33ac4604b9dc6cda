// As on an edge runtime: no process, no modules of Node, only what browsers have.
const { URL: url, BAKED } = globalThis.process.env;
delete globalThis.process;
delete globalThis.setImmediate;
const { Bookholder } = await import("../../dist/esm/index.js");

const bookholder = new Bookholder({ url, timeoutMs: 30_000, cache: "events" });
const prompt = await bookholder.prompt("support/agent");
const said = [prompt.text({ shop: "Globe" }), prompt.source, (await bookholder.prompt("support/agent@1")).source];
bookholder.record(prompt, { responseId: "edge-1" });
const isSent = await bookholder.flush();
await bookholder.close();

const answers = JSON.parse(BAKED);
const offline = new Bookholder({ url: "http://127.0.0.1:1", baked: answers, warn: () => undefined });
said.push(isSent, (await offline.prompt("support/agent")).source);
said.push(await new Bookholder({ socket: "/a.sock" }).prompt("support/agent").catch((error) => error.message));
console.log(JSON.stringify(said));
