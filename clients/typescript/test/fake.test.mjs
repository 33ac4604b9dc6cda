// The client for tests of applications, and with it what needs no node.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { Bookholder, InvalidVariables, PromptNotFound, PromptUnavailable, RenderFailed } from "../dist/esm/index.js";

const CHAT = [
    { role: "system", content: "You speak for {{shop}}." },
    { type: "placeholder", name: "history" },
    {
        role: "user",
        content: [
            { type: "text", text: "Read {{what}}" },
            { type: "image", url: "{{url}}" },
        ],
    },
];

test("a fake answers like a replica, and keeps what is recorded", async () => {
    const bookholder = Bookholder.fake({ "support/agent": "Hi {{shop}}", "support/agent@staging": "Hello {{shop}}" });
    const prompt = await bookholder.prompt("support/agent");
    assert.equal(prompt.text({ shop: "Globe" }), "Hi Globe");
    assert.deepEqual(prompt.messages({ shop: "Globe" }), [{ role: "user", content: "Hi Globe" }]);
    assert.deepEqual([prompt.version, prompt.label, prompt.source, prompt.stale], [1, "production", "replica", false]);
    assert.ok(prompt.age >= 0 && prompt.age < 60);
    assert.deepEqual((await bookholder.prompt("support/agent@canary")).label, "canary");
    assert.deepEqual((await bookholder.prompt("support/agent@7")).version, 7);
    assert.equal((await bookholder.prompt("support/agent@staging")).text({ shop: "Globe" }), "Hello Globe");
    bookholder.record(prompt, { responseId: "r" });
    bookholder.score({ responseId: "r", name: "thumbs", value: 1 });
    assert.equal(bookholder.recorded[0].prompt, prompt);
    assert.deepEqual(bookholder.scored, [{ responseId: "r", name: "thumbs", value: 1 }]);
    await assert.rejects(bookholder.prompt("support/agnet"), (error) => {
        assert.ok(error instanceof PromptNotFound && error instanceof PromptUnavailable);
        assert.equal(error.message, "no answer for `support/agnet`: there is no prompt `support/agnet`");
        return true;
    });
    const other = await bookholder.prompt("support/agnet", { fallback: "Hi" });
    assert.deepEqual([other.source, other.text()], ["fallback", "Hi"]);
    assert.throws(() => prompt.text({ shop: "Globe", tone: "kind" }), /^InvalidVariables: unknown variables: `tone`$/);
});

test("missing and unknown variables are named at once", async () => {
    const bookholder = Bookholder.fake({ a: "{{b}} {{c}}", chat: CHAT });
    const prompt = await bookholder.prompt("a");
    assert.throws(
        () => prompt.text({ d: 1, e: 2 }),
        (error) => {
            assert.ok(error instanceof InvalidVariables);
            assert.equal(error.message, "missing variables: `b`, `c`; unknown variables: `d`, `e`");
            return true;
        },
    );
    const chat = await bookholder.prompt("chat");
    const values = { shop: "Globe", what: "this", url: "https://example.com/a.png" };
    assert.throws(
        () => chat.messages({ ...values, history: "Hi" }),
        /`history` must have type list of messages, not string/,
    );
    assert.throws(
        () => chat.messages({ ...values, history: [{ role: "user" }] }),
        /message 0 for `history` is not a message/,
    );
    assert.throws(() => chat.text({ ...values, history: [] }), /is a chat prompt/);
    assert.throws(() => chat.messages(values), /missing placeholders: `history`/);
    const lenient = await Bookholder.fake({ chat: CHAT }, { strict: false }).prompt("chat");
    const filled = await lenient.render(values);
    assert.deepEqual(
        filled.remarks.map((remark) => remark.code),
        ["missing_placeholders"],
    );
});

test("without the replica, memory, then the fallback, then one error", async () => {
    const bookholder = Bookholder.fake({ a: "one" });
    await bookholder.prompt("a");
    bookholder.setDown(true);
    const known = await bookholder.prompt("a");
    assert.deepEqual([known.text(), known.source, known.stale], ["one", "memory", true]);
    const other = await bookholder.prompt("b", { fallback: "Hi {{who}}" });
    assert.deepEqual(
        [other.text({ who: "Ada" }), other.source, other.version, other.stamp],
        ["Hi Ada", "fallback", null, null],
    );
    assert.throws(() => other.text(), InvalidVariables);
    await assert.rejects(bookholder.prompt("b"), (error) => {
        assert.ok(error instanceof PromptUnavailable);
        assert.equal(error.reference, "b");
        assert.match(error.message, /^no answer for `b`: .*the fake node is down; memory has no earlier answer$/);
        return true;
    });
    bookholder.setDown(false);
    bookholder.set("a", "two");
    const now = await bookholder.prompt("a");
    assert.deepEqual([now.text(), now.source, now.version], ["two", "replica", 2]);
});

test("jinja is not rendered here", async () => {
    const bookholder = Bookholder.fake({
        a: { syntax: "jinja", text: "{{ a }}", variables: [{ name: "a", required: true }] },
    });
    const prompt = await bookholder.prompt("a");
    assert.throws(() => prompt.text({ a: 1 }), RenderFailed);
    await assert.rejects(prompt.render({ a: 1 }), /a fake has none/);
});

test("arguments of OpenAI, Anthropic and the AI SDK", async () => {
    const look = {
        type: "function",
        function: { name: "look_up", description: "Finds", parameters: { type: "object", properties: {} } },
    };
    const schema = { type: "object", properties: { reply: { type: "string" } } };
    const bookholder = Bookholder.fake({
        "support/agent": {
            messages: CHAT,
            model: { name: "gpt-5", parameters: { temperature: 0.2, max_tokens: 100, stop: "END" } },
            tools: [look],
            response_schema: schema,
        },
    });
    const prompt = await bookholder.prompt("support/agent");
    const call = { id: "c1", type: "function", function: { name: "look_up", arguments: '{"sku":"7"}' } };
    const history = [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "", tool_calls: [call] },
        { role: "tool", tool_call_id: "c1", content: "42" },
    ];
    const values = { shop: "Globe", what: "this", url: "https://example.com/a.png", history };

    const settings = prompt.openai();
    assert.deepEqual(settings, {
        model: "gpt-5",
        temperature: 0.2,
        max_tokens: 100,
        stop: "END",
        tools: [look],
        response_format: { type: "json_schema", json_schema: { name: "agent", schema } },
    });
    assert.deepEqual(prompt.openai(values).messages, [
        { role: "system", content: "You speak for Globe." },
        ...history,
        {
            role: "user",
            content: [
                { type: "text", text: "Read this" },
                { type: "image_url", image_url: { url: "https://example.com/a.png" } },
            ],
        },
    ]);

    assert.deepEqual(prompt.responses(values), {
        model: "gpt-5",
        temperature: 0.2,
        max_output_tokens: 100,
        stop: "END",
        tools: [{ type: "function", ...look.function }],
        text: { format: { type: "json_schema", name: "agent", schema } },
        input: [
            { role: "system", content: "You speak for Globe." },
            { role: "user", content: "Hi" },
            { type: "function_call", call_id: "c1", name: "look_up", arguments: '{"sku":"7"}' },
            { type: "function_call_output", call_id: "c1", output: "42" },
            {
                role: "user",
                content: [
                    { type: "input_text", text: "Read this" },
                    { type: "input_image", image_url: "https://example.com/a.png" },
                ],
            },
        ],
    });

    assert.deepEqual(prompt.anthropic(values), {
        model: "gpt-5",
        temperature: 0.2,
        max_tokens: 100,
        stop_sequences: ["END"],
        system: "You speak for Globe.",
        tools: [{ name: "look_up", description: "Finds", input_schema: { type: "object", properties: {} } }],
        output_config: { format: { type: "json_schema", schema } },
        messages: [
            { role: "user", content: "Hi" },
            { role: "assistant", content: [{ type: "tool_use", id: "c1", name: "look_up", input: { sku: "7" } }] },
            {
                role: "user",
                content: [
                    { type: "tool_result", tool_use_id: "c1", content: "42" },
                    { type: "text", text: "Read this" },
                    { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
                ],
            },
        ],
    });

    const { tools, ...ai } = prompt.ai(values);
    assert.deepEqual(ai, {
        temperature: 0.2,
        maxOutputTokens: 100,
        stopSequences: ["END"],
        system: "You speak for Globe.",
        messages: [
            { role: "user", content: "Hi" },
            {
                role: "assistant",
                content: [{ type: "tool-call", toolCallId: "c1", toolName: "look_up", input: { sku: "7" } }],
            },
            {
                role: "tool",
                content: [
                    {
                        type: "tool-result",
                        toolCallId: "c1",
                        toolName: "look_up",
                        output: { type: "text", value: "42" },
                    },
                ],
            },
            {
                role: "user",
                content: [
                    { type: "text", text: "Read this" },
                    { type: "image", image: "https://example.com/a.png" },
                ],
            },
        ],
    });
    assert.equal(tools.look_up.description, "Finds");
    assert.deepEqual(tools.look_up.inputSchema.jsonSchema, { type: "object", properties: {} });
    assert.equal(tools.look_up.inputSchema[Symbol.for("vercel.ai.schema")], true);

    assert.deepEqual(prompt.telemetry().metadata, {
        "gen_ai.prompt.name": "support/agent",
        "gen_ai.prompt.version": "1",
        "bookholder.stamp": "support/agent@1+000000000000",
        "bookholder.label": "production",
        langfusePrompt: '{"name":"support/agent","version":1,"isFallback":false}',
    });
});

test("a schema is strict where OpenAI takes it as strict", async () => {
    const strict = async (schema) => {
        const prompt = await Bookholder.fake({ a: { text: "x", response_schema: schema } }).prompt("a");
        return prompt.openai().response_format.json_schema.strict;
    };
    const inner = {
        type: "object",
        properties: { b: { type: "string" } },
        required: ["b"],
        additionalProperties: false,
    };
    assert.equal(await strict(inner), true);
    assert.equal(
        await strict({ type: "object", properties: { a: inner }, required: ["a"], additionalProperties: false }),
        true,
    );
    assert.equal(await strict({ ...inner, required: [] }), undefined);
    assert.equal(await strict({ ...inner, additionalProperties: true }), undefined);
    assert.equal(
        await strict({
            type: "object",
            properties: { a: { type: "object" } },
            required: ["a"],
            additionalProperties: false,
        }),
        undefined,
    );
});

test("the structured output is read from the response of each SDK", async () => {
    const prompt = await Bookholder.fake({ a: "x" }).prompt("a");
    const text = '{"reply":"hi"}';
    for (const response of [
        text,
        { choices: [{ message: { role: "assistant", content: text } }] },
        { output_text: text },
        {
            content: [
                { type: "thinking", thinking: "…" },
                { type: "text", text },
            ],
        },
        { text },
    ]) {
        assert.deepEqual(prompt.parse(response), { reply: "hi" });
    }
    assert.throws(() => prompt.parse("hi"), /the response to `a` is not JSON/);
    assert.throws(() => prompt.parse({}), /no text/);
});

test("changes are told, and a memory of events answers until then", async () => {
    const bookholder = Bookholder.fake({ a: "one", b: "b" });
    const told = [];
    const stop = bookholder.on("changed", (names) => told.push(...names));
    bookholder.set("a", "two");
    assert.deepEqual(told, ["a"]);
    stop();
    bookholder.set("a", "three");
    assert.deepEqual(told, ["a"]);
    await bookholder.close();
});

test("a value that is no JSON, and a fallback in jinja, fail with a reason", async () => {
    const content = { syntax: "jinja", text: "{{ a }}", variables: [{ name: "a" }] };
    const prompt = await Bookholder.fake({ a: content }).prompt("a");
    const circular = {};
    circular.self = circular;
    await assert.rejects(prompt.render({ a: circular }), /^RenderFailed: a value is not JSON$/);
    const fallback = await Bookholder.fake({}).prompt("b", { fallback: content });
    await assert.rejects(fallback.render({ a: 1 }), /`b` is a fallback in jinja, which the node renders: use mustache/);
});

test("what a caller changes does not change the prompt", async () => {
    const audio = { type: "input_audio", input_audio: { data: "AA==" } };
    const bookholder = Bookholder.fake({
        a: {
            messages: [{ role: "user", content: [audio], tool_calls: [{ id: "c" }] }],
            tools: [{ name: "f" }],
            model: { name: "m", parameters: { stop: ["x"] } },
        },
    });
    const prompt = await bookholder.prompt("a");
    const before = JSON.stringify([prompt.messages(), prompt.openai({})]);
    const [message] = prompt.messages();
    message.content[0].input_audio.data = "";
    message.tool_calls[0].id = "other";
    message.content.push({ type: "text", text: "more" });
    const call = prompt.openai({});
    call.stop.push("y");
    call.tools[0].name = "g";
    assert.equal(JSON.stringify([prompt.messages(), prompt.openai({})]), before);
    assert.throws(() => prompt.content.messages.pop(), TypeError);
    assert.equal(audio.input_audio.data, "AA==");
    assert.equal(inspect(prompt), "<Prompt a@1+000000000000 from replica>");
    assert.equal(String(prompt), inspect(prompt));
});
