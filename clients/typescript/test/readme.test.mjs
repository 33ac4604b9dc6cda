// What readers copy from the README and from the documentation runs, against a fake and SDKs that answer at once.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Bookholder } from "../dist/esm/index.js";

const top = join(import.meta.dirname, "../../..");
const CONTENT = {
    messages: [
        { role: "system", content: "You help the customers of {{shop}}." },
        { type: "placeholder", name: "history" },
    ],
    model: { name: "m", parameters: { temperature: 0.2 } },
};
const AsyncFunction = (async () => undefined).constructor;

for (const [page, count] of [
    ["clients/typescript/README.md", 2],
    ["docs/tasks/applications.md", 1],
]) {
    test(`the code of ${page} runs`, async () => {
        const blocks = [...readFileSync(join(top, page), "utf8").matchAll(/```(?:ts|typescript)\n([^]*?)```/g)]
            .map(([, block]) => block)
            // Declarations are checked by test/types.
            .filter((block) => !block.includes("declare module"));
        assert.equal(blocks.length, count);
        const asked = [];
        const create = async (request) => {
            asked.push(request);
            return { id: "r1", model: "m", usage: { prompt_tokens: 9 }, text: "" };
        };
        const names = {
            Bookholder: function () {
                return Bookholder.fake({ "support/agent": CONTENT }, { strict: false });
            },
            user: { id: "user-17" },
            history: [{ role: "user", content: "Hi" }],
            openai: { chat: { completions: { create } } },
            generateText: create,
            model: "m",
        };
        names.p = await new names.Bookholder().prompt("support/agent");
        for (const block of blocks) {
            const code = `{${block.replace(/^import .*$/gm, "")}}`;
            await new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
        }
        assert.equal(asked.length, blocks.length);
        for (const request of asked) {
            assert.equal(request.model, "m");
            assert.match(JSON.stringify(request), /customers of Globe/);
        }
    });
}
