// Many prompts by label and pattern: pages of one state, and what answers without the node.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Bookholder, PromptUnavailable } from "../dist/esm/index.js";
import { matches } from "../dist/esm/reference.js";

const resolved = (name, version = 1) => ({
    name,
    version,
    content_id: `b3:${"0".repeat(64)}`,
    label: "production",
    content: { text: name },
    stamp: `${name}@${version}+000000000000`,
    assignment: null,
    telemetry: { attributes: {}, baggage: "" },
});
const item = (name, version) => ({ reference: `${name}@production`, resolved: resolved(name, version) });

test("a fake lists what its label serves", async () => {
    const bookholder = Bookholder.fake({ "support/a": "a", "support/b@staging": "b", "sales/c": "c" });
    const names = async (filter) => (await bookholder.prompts(filter)).map((prompt) => prompt.reference);
    assert.deepEqual(await names({ label: "production", pattern: "support/**" }), ["support/a@production"]);
    assert.deepEqual(await names({ label: "staging" }), ["support/b@staging"]);
    assert.deepEqual(await names({}), ["support/a@production", "sales/c@production"]);
    bookholder.setDown(true);
    assert.deepEqual(await names({ label: "staging" }), ["support/b@staging"]);
    assert.equal((await bookholder.prompts({ label: "staging" }))[0].source, "memory");
    assert.equal((await bookholder.prompt("sales/c")).source, "memory");
    await assert.rejects(bookholder.prompts({ label: "other" }), (error) => {
        assert.ok(error instanceof PromptUnavailable);
        assert.match(error.message, /^no answer for `\*\*@other`: .*memory has no earlier answer$/);
        return true;
    });
});

test("pages are of one state: a list begins again where the node did", async () => {
    let epoch = 1;
    const asked = [];
    const bookholder = new Bookholder({
        url: "http://localhost",
        fetch: async (url) => {
            const { searchParams } = new URL(url);
            const [cursor, label, pattern] = ["cursor", "label", "pattern"].map((name) => searchParams.get(name));
            asked.push([cursor, label, pattern, searchParams.getAll("attr"), searchParams.get("subject")]);
            if (cursor === null)
                return Response.json({ position: `${epoch}.1`, answers: [item("a", epoch)], next: `${epoch}.1:a` });
            if (epoch === 1) {
                epoch = 2;
                return Response.json({ code: "cursor_expired", detail: "begin again" }, { status: 410 });
            }
            // A page can be empty and have a next one.
            if (cursor === "2.1:a") return Response.json({ position: "2.1", answers: [], next: "2.1:b" });
            return Response.json({ position: "2.1", answers: [item("b", 2)] });
        },
    });
    const prompts = await bookholder.prompts({
        label: "production",
        pattern: "a b/**",
        subject: "ada",
        attributes: { locale: "de-AT" },
    });
    assert.deepEqual(
        prompts.map((prompt) => [prompt.reference, prompt.version]),
        [
            ["a@production", 2],
            ["b@production", 2],
        ],
    );
    assert.deepEqual(
        asked.map(([cursor]) => cursor),
        [null, "1.1:a", null, "2.1:a", "2.1:b"],
    );
    assert.deepEqual(asked[0].slice(1), ["production", "a b/**", ["locale=de-AT"], "ada"]);
    await bookholder.close();
});

test("baked answers are listed by label and pattern", async () => {
    const bookholder = new Bookholder({
        url: "http://127.0.0.1:1",
        warn: () => undefined,
        baked: { answers: [item("support/a"), item("sales/b"), { reference: "c", problem: {} }] },
    });
    const prompts = await bookholder.prompts({ pattern: "support/*" });
    assert.deepEqual(
        prompts.map((prompt) => [prompt.name, prompt.source, prompt.text()]),
        [["support/a", "baked", "support/a"]],
    );
    await assert.rejects(bookholder.prompts({ pattern: "other/*" }), /no baked prompt matches$/);
});

test("patterns match names as on the node", () => {
    for (const [pattern, name, expected] of [
        ["**", "a/b", true],
        ["*", "a", true],
        ["*", "a/b", false],
        ["support/*", "support/a", true],
        ["support/*", "support/a/b", false],
        ["support/**", "support/a/b", true],
        ["support/**", "support", false],
        ["a.b", "axb", false],
        ["a.b", "a.b", true],
        ["*/agent", "support/agent", true],
        ["**agent", "x/y/agent", true],
        ["a*c*", "abcd", true],
        ["", "a", false],
        ["(a)+", "(a)+", true],
    ]) {
        assert.equal(matches(pattern, name), expected, `${pattern} ${name}`);
    }
});
