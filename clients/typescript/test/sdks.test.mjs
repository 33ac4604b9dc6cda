// The SDKs themselves, given the arguments of a prompt and a model that answers at once.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { Bookholder } from "../dist/esm/index.js";

const schema = {
    type: "object",
    properties: { reply: { type: "string" } },
    required: ["reply"],
    additionalProperties: false,
};
const tool = {
    type: "function",
    function: { name: "look_up", description: "Finds", parameters: { type: "object", properties: {} } },
};
const bookholder = Bookholder.fake({
    "support/agent": {
        messages: [
            { role: "system", content: "You speak for {{shop}}." },
            { role: "user", content: "{{question}}" },
        ],
        model: { name: "some-model", parameters: { temperature: 0.2, max_tokens: 100 } },
        tools: [tool],
        response_schema: schema,
    },
});
const prompt = await bookholder.prompt("support/agent");
const values = { shop: "Globe", question: "Why?" };

/** A `fetch` that answers with this, and keeps what was sent. */
function model(answer) {
    const sent = [];
    const fetch = async (url, { body }) => {
        sent.push([new URL(url).pathname, JSON.parse(body)]);
        return Response.json(answer);
    };
    return { sent, fetch };
}

test("OpenAI, Chat Completions", async () => {
    const message = { role: "assistant", content: '{"reply":"so"}' };
    const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
    const { sent, fetch } = model({
        id: "c1",
        object: "chat.completion",
        model: "m",
        choices: [{ index: 0, finish_reason: "stop", message }],
        usage,
    });
    const openai = new OpenAI({ apiKey: "x", fetch });
    const response = await openai.chat.completions.create(prompt.openai(values));
    assert.deepEqual(sent, [
        [
            "/v1/chat/completions",
            {
                model: "some-model",
                temperature: 0.2,
                max_tokens: 100,
                tools: [tool],
                response_format: { type: "json_schema", json_schema: { name: "agent", schema, strict: true } },
                messages: [
                    { role: "system", content: "You speak for Globe." },
                    { role: "user", content: "Why?" },
                ],
            },
        ],
    ]);
    assert.deepEqual(prompt.parse(response), { reply: "so" });
});

test("OpenAI, Responses", async () => {
    const content = [{ type: "output_text", text: '{"reply":"so"}', annotations: [] }];
    const { sent, fetch } = model({
        id: "r1",
        object: "response",
        output: [{ type: "message", role: "assistant", content }],
    });
    const response = await new OpenAI({ apiKey: "x", fetch }).responses.create(prompt.responses(values));
    assert.equal(sent[0][0], "/v1/responses");
    assert.deepEqual(sent[0][1].text, { format: { type: "json_schema", name: "agent", schema, strict: true } });
    assert.deepEqual(sent[0][1].input, [
        { role: "system", content: "You speak for Globe." },
        { role: "user", content: "Why?" },
    ]);
    assert.deepEqual(prompt.parse(response), { reply: "so" });
});

test("Anthropic, Messages", async () => {
    const usage = { input_tokens: 9, output_tokens: 3 };
    const { sent, fetch } = model({
        id: "m1",
        type: "message",
        role: "assistant",
        content: [{ type: "text", text: '{"reply":"so"}' }],
        usage,
    });
    const response = await new Anthropic({ apiKey: "x", fetch }).messages.create(prompt.anthropic(values));
    assert.deepEqual(sent, [
        [
            "/v1/messages",
            {
                model: "some-model",
                temperature: 0.2,
                max_tokens: 100,
                system: "You speak for Globe.",
                tools: [{ name: "look_up", description: "Finds", input_schema: tool.function.parameters }],
                output_config: { format: { type: "json_schema", schema } },
                messages: [{ role: "user", content: "Why?" }],
            },
        ],
    ]);
    assert.deepEqual(prompt.parse(response), { reply: "so" });
});

test("the AI SDK", async (t) => {
    let sdk;
    try {
        sdk = { ...(await import("ai")), ...(await import("ai/test")) };
    } catch (error) {
        return t.skip(`this Node is too old for it: ${error.message}`);
    }
    const calls = [];
    const languageModel = new sdk.MockLanguageModelV4({
        doGenerate: async (options) => {
            calls.push(options);
            return {
                content: [{ type: "text", text: '{"reply":"so"}' }],
                finishReason: { unified: "stop", raw: "stop" },
                warnings: [],
                usage: { inputTokens: { total: 9 }, outputTokens: { total: 3 } },
            };
        },
    });
    const output = sdk.Output.object({ schema: prompt.aiSchema() });
    const response = await sdk.generateText({
        model: languageModel,
        ...prompt.ai(values),
        output,
        experimental_telemetry: prompt.telemetry(),
    });
    const [{ prompt: said, temperature, maxOutputTokens, tools, responseFormat }] = calls;
    assert.deepEqual(
        said.map(({ role }) => role),
        ["system", "user"],
    );
    assert.equal(said[0].content, "You speak for Globe.");
    assert.deepEqual([temperature, maxOutputTokens], [0.2, 100]);
    assert.deepEqual(
        tools.map(({ name, inputSchema }) => [name, inputSchema]),
        [["look_up", tool.function.parameters]],
    );
    assert.deepEqual(responseFormat.schema, schema);
    assert.deepEqual(response.output, { reply: "so" });
    assert.deepEqual(prompt.parse(response), { reply: "so" });
});
