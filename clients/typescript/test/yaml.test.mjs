// Front matter as people write it by hand; what `pull` writes is compared in node.test.mjs.
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseLockfile } from "../dist/esm/lockfile.js";
import { parsePromptFile } from "../dist/esm/prompt-file.js";
import { parseYaml } from "../dist/esm/yaml.js";

for (const [yaml, expected] of [
    ["", {}],
    ["# only a comment\n", {}],
    [
        "a: 1\nb:\n  c: [x, {y: 2}]\n  d: {e: , f: 'it''s'}",
        { a: 1, b: { c: ["x", { y: 2 }], d: { e: null, f: "it's" } } },
    ],
    [
        "a:\n- 1\n-\n  b: 2\n  c: 3\n- d: 4\n  e: 5\n- - 6\n  - 7\nz: 8",
        { a: [1, { b: 2, c: 3 }, { d: 4, e: 5 }, [6, 7]], z: 8 },
    ],
    [
        "a: |\n  one\n    two\n\n  three\n\nb: |-\n  x\nc: |+\n  y\n\nd: 1",
        { a: "one\n  two\n\nthree\n", b: "x", c: "y\n\n", d: 1 },
    ],
    ["a: >\n  one\n  two\n\n  three\n    four\n  five\nb: >-\n  x", { a: "one two\nthree\n  four\nfive\n", b: "x" }],
    [
        "a: plain text # comment\nb: a#b\nc: 'x' # y\nd: https://example.com:80",
        { a: "plain text", b: "a#b", c: "x", d: "https://example.com:80" },
    ],
    ["a: goes\n  on\n  here\nb: 1", { a: "goes on here", b: 1 }],
    ['a: "\\u00e9\\U0001f701\\x41\\n\\"\\/"\n"b: c": 1', { a: 'é🜁A\n"/', "b: c": 1 }],
    ['a: "one\n  two\n\n  three"', { a: "one two\nthree" }],
    ["a: {b: 1,\n  c: [2,\n    3]}\nd: 4", { a: { b: 1, c: [2, 3] }, d: 4 }],
    [
        "a: [~, null, true, False, -0.5, 1e3, 2001-01-01, 1.2.3, '010']",
        { a: [null, null, true, false, -0.5, 1000, "2001-01-01", "1.2.3", "010"] },
    ],
    ['__proto__: {"constructor": 1}', Object.fromEntries([["__proto__", { constructor: 1 }]])],
    ["a: -\nb: - x", undefined],
    ["a: *b", undefined],
    ["a: &b 1", undefined],
    ["a: !!str 1", undefined],
    ["a: 1\na: 2", undefined],
    ["a: [1", undefined],
    ["a: 'x", undefined],
    ["a: 1\n  b: 2", undefined],
    ["- a", undefined],
]) {
    test(`front matter: ${JSON.stringify(yaml)}`, () => {
        if (expected === undefined) assert.throws(() => parseYaml(yaml), SyntaxError);
        else assert.equal(JSON.stringify(parseYaml(yaml)), JSON.stringify(expected));
    });
}

test("a file that a person wrote reads as a content", () => {
    const file = `---
# Who answers
model: gpt-5
parameters: {temperature: 0.2}
variables:
  tone: {default: friendly}
  limit:
    type: number
    default: 1.0
labels: [staging]
---
{{role "system"}}
You speak for <shop>{{shop}}</shop>. Be {{tone}}, in {{limit}}.
{{placeholder "examples"}}
{{role "user"}} {{question}} \\{{history}} {{media url=photo}}
`;
    assert.deepEqual(parsePromptFile(file), {
        syntax: "mustache",
        messages: [
            { role: "system", content: "You speak for <shop>{{shop}}</shop>. Be {{tone}}, in {{limit}}." },
            { type: "placeholder", name: "examples" },
            {
                role: "user",
                content: [
                    { type: "text", text: "{{question}} {{history}}" },
                    { type: "image", url: "{{photo}}" },
                ],
            },
        ],
        variables: [
            { name: "history", required: true },
            { name: "limit", required: false, type: "number", default: 1 },
            { name: "photo", required: true },
            { name: "question", required: true },
            { name: "shop", required: true },
            { name: "tone", required: false, default: "friendly" },
        ],
        model: { name: "gpt-5", parameters: { temperature: 0.2 } },
    });
});

test("text that looks like a marker is read without its backslash", () => {
    for (const text of [
        "{{role system}}",
        '{{section "x"}}',
        "{{media url=}} {{placeholder x}}",
        '{{role "a" b}}',
        '{{role "user"}}',
    ])
        assert.equal(parsePromptFile(`${text.replaceAll("{{", "\\{{")}\n`).text, text);
    // What a template can say is no marker, and keeps its backslash.
    for (const text of ["\\{{role}}", "\\{{role if x}}", "\\{{ section }}"])
        assert.equal(parsePromptFile(`${text}\n`).text, text);
});

test("a lock file that leads out of its folder, or of another version, is refused", () => {
    const lock = (file, version = 1) =>
        `# Written\nversion = ${version}\nlabel = "production"\n\n[[prompt]]\nname = 'a "b"'\nversion = 7\ncontent_id = "b3:00"\nfile = "${file}"\n`;
    assert.equal(parseLockfile(lock("a.prompt")).prompts.get('a "b"').version, 7);
    for (const file of ["../a.prompt", "a/../../b.prompt", "/etc/passwd", "C:/a.prompt", "a\\\\..\\\\b"]) {
        assert.throws(() => parseLockfile(lock(file)), /pull again/);
    }
    assert.throws(() => parseLockfile(lock("a.prompt", 2)), /upgrade/);
    assert.throws(() => parseLockfile("version: 1"), /line 1 of the lock file/);
});
