// Run by Node, Deno and Bun alike: what an application does, against the node in the environment.
import { Bookholder } from "../../dist/esm/index.js";

const environment = globalThis.process.env;
const said = [];
for (const options of [{ socket: environment.SOCKET }, { url: environment.URL }, { url: environment.URL, fetch }]) {
    const bookholder = new Bookholder({ ...options, baked: environment.BAKED, timeoutMs: 30_000, cache: "events" });
    const prompt = await bookholder.prompt("support/agent");
    const again = await bookholder.prompt("support/agent@1");
    said.push(prompt.text({ shop: "Globe" }), prompt.source, again.source);
    const [first] = await bookholder.prompts(["support/agent@latest"]);
    said.push(first.label);
    for (let turn = 0; (await bookholder.prompt("support/agent")).source !== "memory"; turn++) {
        if (turn > 1_000) throw new Error("events never opened");
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    bookholder.record(prompt, { responseId: `${environment.RUNTIME}-${said.length}` });
    await bookholder.close();
}
const offline = new Bookholder({ url: "http://127.0.0.1:1", baked: environment.BAKED });
said.push((await offline.prompt("support/agent")).source);
// What waits is sent at the end, and an open stream of events does not put it off.
const last = new Bookholder({ url: environment.URL, timeoutMs: 30_000 });
last.on("changed", () => undefined);
last.record(await last.prompt("support/agent"), { responseId: `${environment.RUNTIME}-exit` });
console.log(JSON.stringify(said));
