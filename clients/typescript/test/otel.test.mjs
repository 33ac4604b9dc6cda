// Spans and baggage of OpenTelemetry, through its own API.
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";

import { ROOT_CONTEXT, context, propagation, trace } from "@opentelemetry/api";

import { Bookholder } from "../dist/esm/index.js";

const storage = new AsyncLocalStorage();
context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, act, self, ...args) => storage.run(active, () => act.call(self, ...args)),
    bind: (_, target) => target,
    enable() {
        return this;
    },
    disable() {
        return this;
    },
});

/** A span that keeps its attributes. */
function recording() {
    const attributes = {};
    const spanContext = { traceId: "5b8efff798038103d269b633813fc60c", spanId: "eee19b7ec3c1b174", traceFlags: 1 };
    const span = Object.assign(trace.wrapSpanContext(spanContext), {
        setAttributes: (more) => Object.assign(attributes, more),
    });
    return { attributes, span };
}

test("the current span gets the attributes of the prompt, and a record the trace", async () => {
    const bookholder = Bookholder.fake({ "support/agent": "Hi" });
    const { attributes, span } = recording();
    const prompt = await context.with(trace.setSpan(ROOT_CONTEXT, span), () => bookholder.prompt("support/agent"));
    assert.deepEqual(attributes, prompt.spanAttributes());
    assert.equal(attributes["bookholder.stamp"], "support/agent@1+000000000000");
    // Without a span nothing happens.
    await bookholder.prompt("support/agent");
    // A span has room for one.
    const several = recording();
    await context.with(trace.setSpan(ROOT_CONTEXT, several.span), () => bookholder.prompts(["support/agent"]));
    assert.deepEqual(several.attributes, {});
});

test("linked runs with baggage that names the version, beside what was there", async () => {
    const prompt = await Bookholder.fake({ "support/agent": "Hi" }).prompt("support/agent");
    const before = propagation.createBaggage({ tenant: { value: "globe" } });
    const inside = context.with(propagation.setBaggage(ROOT_CONTEXT, before), () =>
        prompt.linked(() => propagation.getActiveBaggage()),
    );
    assert.equal(inside.getEntry("tenant").value, "globe");
    assert.equal(inside.getEntry("gen_ai.prompt.name").value, "support/agent");
    assert.equal(prompt.linked(() => propagation.getActiveBaggage()).getEntry("bookholder.label").value, "production");
    assert.equal(propagation.getActiveBaggage(), undefined);
    const { attributes, span } = recording();
    context.with(trace.setSpan(ROOT_CONTEXT, span), () => prompt.linked(() => undefined));
    assert.equal(attributes["langfuse.observation.prompt.version"], "1");
});

test("a report has the trace and span of the current span", async () => {
    let body = "";
    const answer = async (url, init) => {
        if (init.method === "POST") body = init.body;
        return Response.json({ recorded: 1, duplicates: 0 });
    };
    const bookholder = new Bookholder({ url: "http://localhost", fetch: answer });
    const prompt = await Bookholder.fake({ a: "x" }).prompt("a");
    context.with(trace.setSpan(ROOT_CONTEXT, recording().span), () => bookholder.record(prompt, { responseId: "r" }));
    await bookholder.close();
    const [report] = JSON.parse(body).responses;
    assert.deepEqual([report.trace_id, report.span_id], ["5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"]);
});
