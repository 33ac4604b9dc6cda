// Every vector of fixtures/render, which the server, Python and this client render alike.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { InvalidVariables, RenderFailed } from "../dist/esm/index.js";
import { parseExact } from "../dist/esm/json.js";
import { render } from "../dist/esm/render.js";

const file = new URL("../../../fixtures/render/vectors.json", import.meta.url);
/** Cases that the node and the Python client rendered alike (`FUZZ_OUT` of clients/python/tests/test_fuzz.py). */
const fuzzed = process.env.FUZZED_VECTORS;

/** Texts that the file abbreviates as `{"$repeat": ["x", 1000]}`. */
function written(value) {
    if (Array.isArray(value)) return value.map(written);
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    if (value.$repeat) return value.$repeat[0].repeat(Number(value.$repeat[1]));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, written(inner)]));
}

function outcome({ content, variables = {}, messages = {}, strict = false }) {
    try {
        const { remarks, ...rendered } = render(content, variables, messages, strict);
        return { ...rendered, ...(remarks.length > 0 && { remarks }) };
    } catch (error) {
        if (error instanceof InvalidVariables) {
            const lists = {
                missing: error.missing,
                unknown: error.unknown,
                wrong_type: error.wrongType,
                missing_placeholders: error.missingPlaceholders,
                unknown_placeholders: error.unknownPlaceholders,
                wrong_messages: error.wrongMessages,
            };
            const filled = Object.entries(lists).filter(([, list]) => list.length > 0);
            return { error: { kind: "variables", message: error.message, ...Object.fromEntries(filled) } };
        }
        if (error instanceof RenderFailed) return { error: { kind: "failed", message: error.message } };
        throw error;
    }
}

const read = (path) => written(parseExact(readFileSync(path, "utf8")));
const vectors = read(file);

test("there are at least 200 vectors", () => assert.ok(vectors.length >= 200, `${vectors.length}`));

for (const vector of [...vectors, ...(fuzzed ? read(fuzzed) : [])]) {
    test(vector.name, () => {
        const expected = JSON.parse(JSON.stringify(vector.expected));
        const found = JSON.parse(JSON.stringify(outcome(vector)));
        if (expected.error && expected.error.kind !== "variables") {
            expected.error = { kind: "failed", message: expected.error.message };
        }
        assert.deepEqual(found, expected);
        // Models read the keys of a message in this order.
        assert.equal(JSON.stringify(found.messages), JSON.stringify(expected.messages));
    });
}
