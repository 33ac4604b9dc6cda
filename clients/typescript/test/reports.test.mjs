// The queue of reports: bounded, in batches, and never in the way.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Bookholder } from "../dist/esm/index.js";

/** A node that answers each request as `answer` says, and what it was sent. */
function node(answer) {
    const requests = [];
    const warnings = [];
    const bookholder = new Bookholder({
        url: "http://localhost",
        warn: (...told) => warnings.push(told),
        fetch: async (url, { headers, body }) => {
            const request = { path: new URL(url).pathname, key: headers["idempotency-key"], ...JSON.parse(body) };
            requests.push(request);
            return answer(request, requests.length);
        },
    });
    return { bookholder, requests, warnings };
}

const ok = () => Response.json({ recorded: 1, duplicates: 0 });
const prompt = await Bookholder.fake({ a: "x" }).prompt("a");

test("reports are sent in batches of one kind, in their order", async () => {
    const { bookholder, requests } = node(ok);
    for (let index = 0; index < 600; index++) bookholder.record(prompt, { responseId: `r${index}` });
    bookholder.score({ responseId: "r0", name: "thumbs", value: true });
    await bookholder.flush();
    assert.deepEqual(
        requests.map(({ path, responses, scores }) => [path, (responses ?? scores).length]),
        [
            ["/v1/responses", 500],
            ["/v1/responses", 100],
            ["/v1/scores", 1],
        ],
    );
    assert.equal(requests[1].responses[99].id, "r599");
    assert.equal(new Set(requests.map(({ key }) => key)).size, 3);
    const { id, stamp, label, ended } = requests[0].responses[0];
    assert.deepEqual([id, stamp, label], ["r0", "a@1+000000000000", "production"]);
    assert.match(ended, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.equal(bookholder.droppedReports, 0);
    await bookholder.close();
});

test("what the node does not take now is kept, in order and within the limit", async () => {
    let isDown = true;
    const { bookholder, requests } = node((request) => (isDown ? new Response("", { status: 503 }) : ok(request)));
    for (let index = 0; index < 10_050; index++) bookholder.record(prompt, { responseId: `r${index}` });
    assert.equal(bookholder.droppedReports, 50);
    await bookholder.flush();
    isDown = false;
    await bookholder.flush();
    const ids = requests.slice(1).flatMap(({ responses }) => responses.map(({ id }) => id));
    assert.equal(ids.length, 10_000);
    assert.equal(ids[0], "r0");
    assert.equal(ids.at(-1), "r9999");
    assert.equal(bookholder.droppedReports, 50);
    await bookholder.close();
});

test("a wrong report is found and dropped alone", async () => {
    const refuse = ({ responses }) =>
        responses.some(({ id }) => id === "r7") ? new Response("{}", { status: 422 }) : ok();
    const { bookholder, requests } = node(refuse);
    for (let index = 0; index < 20; index++) bookholder.record(prompt, { responseId: `r${index}` });
    await bookholder.flush();
    assert.equal(bookholder.droppedReports, 1);
    const isRefused = ({ responses }) => responses.some(({ id }) => id === "r7");
    const taken = requests.filter((request) => !isRefused(request)).flatMap(({ responses }) => responses);
    assert.equal(taken.length, 19);
    await bookholder.close();
});

test("a node that does not allow reports is not asked one by one", async () => {
    const { bookholder, requests, warnings } = node(() => new Response("{}", { status: 401 }));
    for (let turn = 0; turn < 2; turn++) {
        for (let index = 0; index < 20; index++) bookholder.record(prompt, {});
        await bookholder.flush();
    }
    assert.deepEqual([requests.length, bookholder.droppedReports], [2, 40]);
    // Said once.
    assert.deepEqual(warnings, [
        [
            "bookholder: a report was dropped: the node refused it with status 401; `droppedReports` counts them",
            "dropped",
        ],
    ]);
    await bookholder.close();
});

test("token counts are read from the usage of each SDK", async () => {
    const { bookholder, requests } = node(ok);
    const counts = { input_tokens: 123, cache_read_tokens: 20, output_tokens: 7, reasoning_tokens: 2 };
    const openai = {
        prompt_tokens: 123,
        completion_tokens: 7,
        prompt_tokens_details: { cached_tokens: 20 },
        completion_tokens_details: { reasoning_tokens: 2 },
    };
    const responses = {
        input_tokens: 123,
        output_tokens: 7,
        input_tokens_details: { cached_tokens: 20 },
        output_tokens_details: { reasoning_tokens: 2 },
    };
    const ai = { inputTokens: 123, outputTokens: 7, cachedInputTokens: 20, reasoningTokens: 2 };
    const newer = {
        inputTokens: 123,
        outputTokens: 7,
        inputTokenDetails: { cacheReadTokens: 20 },
        outputTokenDetails: { reasoningTokens: 2 },
    };
    for (const usage of [openai, responses, ai, newer]) bookholder.record(prompt, { usage });
    bookholder.record(prompt, {
        usage: { input_tokens: 100, output_tokens: 7, cache_read_input_tokens: 20, cache_creation_input_tokens: null },
    });
    bookholder.record(prompt, { usage: openai, outputTokens: 8 });
    bookholder.record(prompt, { usage: null });
    await bookholder.flush();
    const sent = requests[0].responses.map((report) =>
        Object.fromEntries(Object.entries(report).filter(([name]) => name.endsWith("_tokens"))),
    );
    assert.deepEqual(sent.slice(0, 4), [counts, counts, counts, counts]);
    assert.deepEqual(sent[4], { input_tokens: 120, cache_read_tokens: 20, output_tokens: 7 });
    assert.equal(sent[5].output_tokens, 8);
    assert.deepEqual(sent[6], {});
    await bookholder.close();
});
