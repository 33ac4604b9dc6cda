// The last good answers, in the order of what was asked and answered.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Memory } from "../dist/esm/memory.js";

let order = 0;
const answer = (version, position, assignment = null) => ({
    resolved: { version, assignment },
    etag: undefined,
    position,
    stale: false,
    ageS: 0,
    receivedAt: 0,
    order: ++order,
});
const version = (found) => found?.resolved.version;
const split = (bucket) => ({ rule: null, bucket, sticky: true });
const rule = { rule: 0, bucket: null, sticky: true };

test("answers that overtake each other never lead back", () => {
    const memory = new Memory();
    const first = ++order;
    const second = ++order;
    memory.put("a", "", answer(2, "1.9"), second);
    // Asked before the newer answer arrived: whoever asked gets the newer one.
    assert.equal(version(memory.put("a", "", answer(1, "1.8"), first)), 2);
    assert.equal(version(memory.get("a", "")), 2);
    // Asked afterwards: the registry began again, and this is what it says now.
    assert.equal(version(memory.put("a", "", answer(1, "1.3"), ++order)), 1);
    assert.equal(version(memory.get("a", "")), 1);
    // Positions are numbers, and the epoch counts first.
    const sent = ++order;
    memory.put("a", "", answer(3, "2.1"), ++order);
    assert.equal(version(memory.put("a", "", answer(4, "1.10"), sent)), 3);
    assert.equal(version(memory.put("a", "", answer(5, "2.10"), sent)), 5);
});

test("a split is remembered by subject, and a new subject gets what another one got", () => {
    const memory = new Memory();
    memory.put("a", "ada", answer(1, "1.1", split(7)), ++order);
    memory.put("a", "bob", answer(2, "1.1", split(8)), ++order);
    assert.deepEqual(
        ["ada", "bob", "eve"].map((subject) => version(memory.get("a", subject))),
        [1, 2, 2],
    );
    assert.equal(memory.exact("a", "eve"), undefined);
    // Without the split everyone gets the same.
    memory.put("a", "eve", answer(3, "1.2"), ++order);
    assert.deepEqual(
        ["ada", "bob", "new"].map((subject) => version(memory.get("a", subject))),
        [3, 3, 3],
    );
});

test("what a rule gives to some is not given to others", () => {
    const memory = new Memory();
    memory.put("a", "de", answer(8, "1.1", rule), ++order);
    assert.equal(version(memory.get("a", "de")), 8);
    assert.equal(memory.get("a", "fr"), undefined);
    memory.put("a", "fr", answer(7, "1.1", { rule: null, bucket: null, sticky: true }), ++order);
    assert.deepEqual([version(memory.get("a", "de")), version(memory.get("a", "it"))], [8, 7]);
});

test("a prompt that is not there is forgotten", () => {
    const memory = new Memory();
    memory.put("a", "", answer(1, "1.1"), ++order);
    memory.put("ab", "", answer(1, "1.1"), ++order);
    memory.put("a", "ada", answer(1, "1.1", split(1)), ++order);
    memory.forget("a");
    assert.equal(memory.get("a", ""), undefined);
    assert.equal(memory.get("a", "ada"), undefined);
    assert.equal(version(memory.get("ab", "")), 1);
});
