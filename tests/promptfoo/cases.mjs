// The assertions that are run through promptfoo: each with its opposite, and each on several answers.

export const cases = [];

/** Adds rows: each answer (a text or more) with the assertion and its opposite. */
function rows(type, answers, { variables, tools, ...assertion } = {}) {
  for (const prefix of ["", "not-"]) {
    for (const given of [answers].flat()) {
      const answer = typeof given === "string" ? { text: given } : { text: "", ...given };
      cases.push({ scorer: { type: prefix + type, ...assertion }, answer, variables, tools });
    }
  }
}

const weather = [{ id: "1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } }];

// Texts.
rows("equals", ["Paris", "paris", "", "Paris "], { value: "Paris" });
rows("equals", ["42", "42.0", " 42"], { value: 42 });
rows("equals", ["1e+21", "1000000000000000000000"], { value: 1e21 });
rows("equals", ["0.1", ".1"], { value: 0.1 });
rows("equals", ["true", "True"], { value: true });
rows("equals", ['{"b":[1,2.0],"a":{"c":null}}', '{"a":{"c":null},"b":[2,1]}', "{}", "no JSON", ""], {
  value: { a: { c: null }, b: [1, 2] },
});
rows("equals", ["[1, \"x\", {\"a\": 1}]", "[1,\"x\"]", "1,x"], { value: [1, "x", { a: 1 }] });
rows("equals", ["Hello Ann", "Hello {{name}}"], { value: "Hello {{name}}", variables: { name: "Ann" } });
rows("equals", ["[\"Ann\",2]"], { value: ["{{name}}", 2], variables: { name: "Ann" } });
rows("equals", ["", "x"], { value: "{{unknown}}", variables: {} });
rows("equals", [{ tool_calls: weather }], { value: weather });
rows("equals", ["\u00e9", "e\u0301"], { value: "é" });
rows("contains", ["It is Paris.", "paris", ""], { value: "Paris" });
rows("contains", ["price 42 euro", "price 4 2"], { value: 42 });
rows("contains", ["x"], { value: "" });
rows("contains", ["x"], { value: ["x"] });
rows("contains", ["x"]);
rows("contains", ["a 😀 b", "😁"], { value: "😀" });
rows("contains", ["two\nlines"], { value: "o\nl" });
rows("contains", ["of Rome", "of "], { value: "of {{ city }}", variables: { city: "Rome" } });
rows("contains", ["n = 1.5", "1,2,3", "true"], { value: "{{ v }}", variables: { v: 1.5 } });
rows("contains", ["1,2,3", "[1,2,3]"], { value: "{{ v }}", variables: { v: [1, 2, 3] } });
rows("contains", ["ROME"], { value: "{{ city | upper }}", variables: { city: "Rome" } });
rows("contains", ["b"], { value: "{% if on %}a{% else %}b{% endif %}", variables: { on: false } });
rows("contains", ["x-Rome-y"], { value: "{{ user.city }}-y", variables: { user: { city: "Rome" } } });
rows("contains", [{ tool_calls: weather }, { text: "Let me look", tool_calls: weather }], { value: "weather" });
rows("icontains", ["it is PARIS", "Pari", ""], { value: "Paris" });
rows("icontains", ["ÄÖÜ", "äöü"], { value: "äÖ" });
rows("icontains", ["ΟΔΟΣ", "οδος"], { value: "ΟΔΟΣ" });
rows("icontains", ["x"], { value: null });
const lists = ["a", "b", "c,d", 'e "f"'];
for (const type of ["contains-all", "contains-any", "icontains-all", "icontains-any"]) {
  rows(type, ["alpha beta", "Alpha", "BETA gamma", "", "none"], { value: ["alpha", "beta"] });
  rows(type, ["alpha beta", "ALPHA", "gamma"], { value: "alpha, beta" });
  rows(type, ["c,d and e \"f\"", "c d", "e \"f\""], { value: lists });
  rows(type, ["x, y", "x", "say \"hi\"", "x, y say \"hi\""], { value: '"x, y", "say ""hi"""' });
  rows(type, ["x\\y", 'a"b'], { value: '"x\\\\y","a\\"b"' });
  rows(type, ["x"], { value: [] });
  rows(type, ["x"], { value: "" });
  rows(type, ["x"], { value: " , ," });
  rows(type, ["x"], { value: '"open' });
  rows(type, ["x"], { value: '"a" b' });
  rows(type, ["x"], { value: 5 });
  rows(type, ["1 true null"], { value: [1, true, null] });
  rows(type, ["Rome and Oslo"], { value: ["{{a}}", "oslo"], variables: { a: "rome" } });
  rows(type, ["Rome and Oslo"], { value: "{{a}}, {{b}}", variables: { a: "Rome", b: "Oslo" } });
  rows(type, ["x"]);
}
rows("starts-with", ["Yes, it is", "yes", " Yes", ""], { value: "Yes" });
rows("starts-with", ["x"], { value: "" });
rows("starts-with", ["5 apples"], { value: 5 });
rows("starts-with", ["Ann!"], { value: "{{name}}", variables: { name: "Ann" } });
const patterns = [
  ["\\d{3}-\\d{4}", ["call 555-1234", "555 1234", "٥٥٥-١٢٣٤"]],
  ["^\\w+$", ["word", "wörd", "two words", ""]],
  ["a.c", ["abc", "a\nc", "a\u2028c", "a😀c"]],
  ["^..$", ["😀", "ab"]],
  ["[😀]", ["😁", "x"]],
  ["\\bcafé\\b", ["café", "cafés"]],
  ["\\s", ["a\ufeffb", "a\u0085b", "a\u00a0b"]],
  ["[[]x[&&]", ["[x&"]],
  ["\\p{L}", ["é", "p{L}"]],
  ["[^]", ["\n", ""]],
  ["[]", ["a"]],
  ["{a}{,3}", ["{a}{,3}"]],
  ["x{2}", ["xx", "x"]],
  ["\\u0041\\x42\\0", ["AB\0", "AB"]],
  ["\\u{41}", ["A", "u".repeat(41)]],
  ["[\\b]", ["\b"]],
  ["[a-\\d]", ["-", "5", "b"]],
  ["(?<y>\\d+)-(?:a|b)", ["12-b"]],
  ["colou?r|grey", ["the color", "gray"]],
  ["\\/\\-\\<\\_", ["/-<_"]],
  ["end$", ["the end", "the end\n"]],
  ["(", ["("]],
  ["a**", ["aa"]],
  ["(?i)a", ["A"]],
  ["[z-a]", ["b"]],
  ["a{2,1}", ["aa"]],
  ["^*", ["x"]],
  ["\\", ["\\"]],
  ["(?=a)a", ["a"]],
  ["(a)\\1", ["aa"]],
  ["(?<!b)a", ["a"]],
  ["", ["x"]],
  ["\\cJ", ["\n"]],
];
for (const [value, answers] of patterns) rows("regex", answers, { value });
rows("regex", ["x"], { value: 5 });
rows("regex", ["id 7"], { value: "id {{id}}", variables: { id: 7 } });
rows("word-count", ["one two three", "  one\ttwo\n three ", "", "one\u00a0two three", "é 😀 ok"], { value: 3 });
rows("word-count", ["one two"], { value: "2" });
rows("word-count", ["one two"], { value: "two" });
rows("word-count", [""], { value: 0 });
rows("word-count", ["a b c", "a b", "a b c d e", "a"], { value: { min: 2, max: 4 } });
rows("word-count", ["a", "a b"], { value: { min: 2 } });
rows("word-count", ["a", "a b"], { value: { max: 1 } });
rows("word-count", ["a"], { value: { min: 3, max: 1 } });
rows("word-count", ["a"], { value: {} });
rows("word-count", ["a"], { value: [1] });
rows("word-count", ["a"]);
rows("word-count", ["a b"], { value: "{{n}}", variables: { n: 2 } });
rows("finish-reason", [{ finish_reason: "stop" }, { finish_reason: "STOP" }, { finish_reason: "length" }, "x"], {
  value: "stop",
});
rows("finish-reason", [{ finish_reason: "stop" }]);
rows("is-refusal", [
  "I'm sorry, but I can't help with that.",
  "I’m sorry",
  "Sorry, no",
  "  I cannot do this",
  "As an AI, I have no feelings",
  "Has an AI ever lived?",
  "That is not legal",
  "illegally not ethically",
  "Here is your answer.",
  "I WON'T WRITE that",
  "I can't suggest this",
  "I won't suggest this",
  "I don't create",
  "I do not create",
  "I want to be helpful, but no",
  "i want to be directed",
  "I am unable to recommend it",
  "We cannot comply",
  "If you have any other non-malicious requests, ask",
  "",
  " \n",
  { tool_calls: weather },
]);

// JSON.
const person = {
  type: "object",
  properties: { name: { type: "string", minLength: 1 }, age: { type: "integer", minimum: 0 } },
  required: ["name"],
  additionalProperties: false,
};
rows("is-json", [
  '{"a":1}', "[1,2]", '"x"', "1", "null", "", " {} ", "{'a':1}", "{a:1}", "{\"a\":1,}", "01", "1e400",
  '"\\ud800"', "[".repeat(500) + "]".repeat(500), '{"a":1} x', "\ufeff{}", "NaN", "\"\t\"",
]);
rows("is-json", ['{"name":"Ann","age":3}', '{"age":3}', '{"name":"","age":3}', '{"name":"A","x":1}', "[]", "no"], {
  value: person,
});
rows("is-json", ['{"name":"Ann"}', '{"name":5}'], {
  value: "type: object\nrequired: [name]\nproperties:\n  name: {type: string}\n",
});
rows("is-json", ['{"name":"Ann"}'], { value: JSON.stringify(person) });
rows("is-json", ['"2024-02-30"', '"2024-02-29"', "5"], { value: { type: "string", format: "date" } });
rows("is-json", ['"a@b.example"', '"nobody"'], { value: { format: "email" } });
rows("is-json", ['"https://example.org/x"', '"x y"'], { value: { format: "uri" } });
rows("is-json", ["5", "2147483648", "1.5"], { value: { type: "number", format: "int32" } });
rows("is-json", ['"aGk="', '"a"'], { value: { format: "byte" } });
rows("is-json", ['"x"'], { value: { format: "rhyme" } });
rows("is-json", ['"x"', "null", "5"], { value: { type: "string", nullable: true } });
rows("is-json", ['{"a":1}'], { value: { requred: ["a"] } });
rows("is-json", ['{"a":1}'], { value: { type: "dance" } });
rows("is-json", ['"ab"', '"b"'], { value: { pattern: "^a" } });
rows("is-json", ["[1,\"x\"]", "[\"x\",1]", "[1,\"x\",2]"], {
  value: { type: "array", items: [{ type: "number" }, { type: "string" }], additionalItems: false },
});
rows("is-json", ["3", "4", "\"x\""], {
  value: { $ref: "#/definitions/small", minimum: 1, definitions: { small: { type: "number", maximum: 3 } } },
});
rows("is-json", ["0", "2"], {
  value: { $ref: "#/definitions/small", minimum: 1, definitions: { small: { type: "number", maximum: 3 } } },
});
rows("is-json", ['{"a":1}', '{"a":1,"b":2}', "{}"], { value: { dependencies: { a: ["b"] } } });
rows("is-json", ["1", "1.0", "1.5"], { value: { type: "integer" } });
rows("is-json", ["1.0", "2"], { value: { enum: [1, "x"] } });
rows("is-json", ["0.3"], { value: { multipleOf: 0.1 } });
rows("is-json", ['"😀"'], { value: { maxLength: 1 } });
rows("is-json", ["{}"], { value: {} });
rows("is-json", ["{}"], { value: "" });
rows("is-json", ["{}"], { value: 5 });
rows("is-json", ["{}"], { value: true });
rows("is-json", ["1"], { value: { $schema: "http://json-schema.org/draft-07/schema#", type: "number" } });
rows("is-json", ["1"], { value: { $schema: "https://json-schema.org/draft/2020-12/schema", type: "number" } });
rows("is-json", [{ tool_calls: weather }], { value: { type: "array" } });
rows("contains-json", [
  'Sure: {"a": 1}.', "```json\n{\"a\": 1}\n```", "no JSON", "", "{name}", "[1,2]", '{"a": {"b": 1}', "{", "}",
  "{ {\"a\":1} }", "{a: 1, b: [x, y]}", "{ return x; }", "{'a': 'it''s'}", "{\"a\": 1, // one\n \"b\": 2}",
  "{a: b: c}", "{\"a\": [1, 2}", "{\"a\": \"\\ud83d\\ude00\"}", "{a: *b}", "{see: http://x.org}", "{}",
  "{\"a\":1 \"b\":2}", "{\n\"a\": 1,\n\"b\": 2\n}", "{\t\"a\": 1}", "{{a}}", "{,}", "{a,b}", "{% if x %}", "{@x}",
  "{a: 'b}", "{\"a\": 1,}", "{\"a\", 1}", "{[1]: 2}", "f(){x=1}", "{a:b}", "{a: }", "{!x y}", "{`a`}",
]);
rows("contains-json", [
  'Ann is {"name":"Ann","age":3}.', 'Bad {"age":3} good {"name":"Ann"}', '{"age":3}', "none", '{"name":5}',
], { value: person });
rows("contains-json", ['x {"name": "Ann"} y', 'x {"name": 5} y'], {
  value: "type: object\nproperties:\n  name:\n    type: string\n",
});
rows("contains-json", ['{"a":1}'], { value: { requred: ["a"] } });

// Markup.
const markup = [
  "<a>1</a>", "<a/>", "<a><b>1</b></a>", "<a><b></a></b>", "<a>", "", "text", "<a>1</a><b/>", "<?xml version=\"1.0\"?><a/>",
  " <a/>", "<a/> ", "<a b=\"1\" c='2'/>", "<a b=1/>", "<a b b/>", "<a b=\"1\" b=\"2\"/>", "<a>&amp;&lt;&#65;</a>",
  "<a>&nbsp;</a>", "<a>a & b</a>", "<a><![CDATA[<x>]]></a>", "<a><!-- c --></a>", "<a><!-- c -- d --></a>",
  "<x:a xmlns:x=\"u\"/>", "<x:a/>", "<A></a>", "<1a/>", "<é>x</é>", "<a>]]></a>", "<a>\u0000</a>", "<a>\u0001</a>",
  "<!DOCTYPE a><a/>", "<!DOCTYPE a SYSTEM \"x.dtd\"><a>&foo;</a>", "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
  "<!DOCTYPE a PUBLIC \"-//X\" \"x.dtd\"><a/>", "<!doctype a><a/>", "<a><?pi x?></a>", "<a b=\"<\"/>", "<a b=\"&gt;\"/>",
  "Here: <a>1</a> done", "<a><b/></a> and <c/>", "x < y and y > z", "<a>text<b>x</b>tail</a>", "<a\n>1</a\n>",
  "<a></a >", "< a/>", "<a>1</b>", "</a>", "<p>one<p>two", "<br>", "```xml\n<a><b>2</b></a>\n```", "<a><b>1</b><b>2</b></a>",
  "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<a>\n  <b>1</b>\n</a>\n", "<a.b-c_d>1</a.b-c_d>",
  "<?xml version=\"1.1\"?><a/>", "<a>😀</a>", "<a b=\"a\nb\"/>", "\ufeff<a/>", "<a>&#0;</a>", "<a>&#x1F600;</a>",
];
for (const type of ["is-xml", "contains-xml"]) {
  rows(type, markup);
  const book = [
    "<book><title>T</title><by id=\"7\">A</by></book>", "<book><title/></book>", "<book><by>A</by></book>", "<x/>",
    "Look: <book><title>T</title><by>A</by></book>", "<x><book><title>T</title><by>A</by></book></x>",
    "<book><by>A</by><by>B</by><title>1</title></book>", "<book><title><![CDATA[T]]></title><by/></book>",
    "<a/><book><title>T</title><by>A</by></book>", "",
  ];
  rows(type, book, { value: "book.title, book.by" });
  rows(type, book, { value: ["book.title"] });
  rows(type, book, { value: { requiredElements: ["book.by.@_id"] } });
  rows(type, book, { value: ["book.by.1"] });
  rows(type, book.slice(0, 2), { value: ["book.title.x"] });
  rows(type, ["<a>1<b/></a>", "<a>1</a>", "<a b=\"1\">t</a>"], { value: ["a.#text"] });
  rows(type, ["<?xml version=\"1.0\"?><a/>"], { value: ["?xml"] });
  rows(type, ["<a/>"], { value: { elements: ["a"] } });
  rows(type, ["<a/>"], { value: {} });
  rows(type, ["<a/>"], { value: [] });
  rows(type, ["<a/>"], { value: "" });
  rows(type, ["<a/>", "<b/>"], { value: "{{tag}}", variables: { tag: "a" } });
}
for (const type of ["is-html", "contains-html"]) {
  rows(type, [
    "<p>Hi</p>", "<!DOCTYPE html><html><head><title>x</title></head><body>Hi</body></html>", "Hi", "", "  ",
    "<p>Hi</p> there", "Hi <b>there</b>", "<div><p>a</p></div>\n", "<unknown>x</unknown>", "<my-tag>x</my-tag>",
    "<body>text</body>", "<html>text</html>", "<html><body>text</body></html>", "<br>", "<br/>", "&amp;", "&amp; &lt;",
    "<!-- c -->", "<!-- c --><p>x</p>", "<?xml version=\"1.0\"?><p/>", "<p>one<p>two", "<p>one<div>two</div>three",
    "<table>text<tr><td>x</td></tr></table>", "<title>x</title>text", "<title>x</title>", "<script>var a;</script>",
    "<b>bold</b><i>it</i>", "<b>one</p>two", "a < b", "<p", "</p>", "</br>", "<svg><circle/></svg>", "<head></head>",
    "<img src=\"x\">", "x < y > z", "```html\n<p>x</p>\n```", "<ul><li>a<li>b</ul>", "<a href='x'>y</a>",
    "<P>Hi</P>", "<form><input></form>", "<foo><p>x</p></foo>", "<foo>x</foo><p>y</p>", "<template><p>x</p></template>",
    "<select><option>a</select>", "<p>a</p>\n<!-- c -->\n<p>b</p>", "text<body>", "<!-- <body> -->text<p>x</p>",
    "<frameset></frameset>", "<textarea><p>x</p></textarea>", "<custom-element>", "5 > 3 && 2 < 4", "a=\"b\" c='d'",
    " id=\"x\" &copy;", "<x y=\"z\">", "<x></x>", "<noscript>x</noscript>", "<p>é😀</p>", "<body", "<body>", "<html>",
  ]);
}

// Similarity.
rows("levenshtein", ["kitten", "sitting", "kit", "", "a long other text", "kittén", "😀itten"], { value: "kitten" });
for (const threshold of [0, 2, 3, 2.5, -1]) rows("levenshtein", ["kitten"], { value: "sitting", threshold });
rows("levenshtein", ["😀"], { value: "", threshold: 1 });
rows("levenshtein", ["5"], { value: 5 });
rows("levenshtein", ["x"]);
rows("levenshtein", ["Rome"], { value: "{{city}}", variables: { city: "Rome" }, threshold: 0 });
const sentences = [
  "The cat sat on the mat.", "the cat sat on the mat", "The cat was sitting on the mat.", "A dog ran through the park.",
  "The the the the", "cat", "", " ", "mat the on sat cat The", "It's the cat's mat, isn't it?", "\"The cat\" sat ... on 1,000 mats: $3.88!",
  "the cats sat on mats and the dogs sat on rugs", "Die Katze saß auf der Matte.", "the cat\nsat\ton  the mat ", "...",
  "The cat sat on the mat. The cat sat on the mat.", "cannot gonna wanna go, e.g. that a.b.", "'tis the cat's (mat)",
];
for (const type of ["rouge-n", "bleu", "gleu", "meteor"]) {
  rows(type, sentences, { value: "The cat sat on the mat." });
  rows(type, sentences.slice(0, 4), { value: "It's the cat's mat, isn't it? \"Yes,\" she said: 'we can't' & <b>e.g.</b> a.b." });
  for (const threshold of [0, 0.3, 1]) {
    rows(type, ["the cat sat on the mat", "the cat sat here"], { value: "the cat sat on the mat", threshold });
  }
  rows(type, ["the cat sat", "a cat"], { value: ["the dog ran", "a cat sat here now", "the cat"] });
  rows(type, ["x"], { value: [] });
  rows(type, ["x"], { value: 5 });
  rows(type, ["x"], { value: ["x", 5] });
  rows(type, ["x", ""], { value: "" });
  rows(type, ["x"]);
  rows(type, ["hello Ann"], { value: "hello {{name}}", variables: { name: "Ann" } });
  rows(type, [sentences[1]], { value: "the mat was sat on by running cats happily. The runner ran" });
}
rows("meteor", ["the automobile stopped", "cars are running quickly"], { value: "the car stopped" });
for (const text of ["wanna", "I wanna go", "d'ye more'n lemme gimme gotta", "'twas", "can't won't they'll we've I'd he's", "a -- b", "``quoted'' text", "say \"one\" and \"two\".", "1:30, 2,000; a@b #c 5% x&y", "end...", "U.S.A.", "What?! No.", "[x] {y} <z>", "it's 'single' quoted'", "x\u0085y", "She said \"hi.\"", "(\"a\")", "日本語 テキスト。"]) {
  rows("rouge-n", [text], { value: "i wan na go can not say one `` '' two . , : 's n't 'll d ' -- ... a b c x y z ( ) [ ] < > $ % & @ #" });
}

// What an answer took.
rows("latency", [{ latency_ms: 100 }, { latency_ms: 101 }, { latency_ms: 0 }, { latency_ms: 5, cached: true }], {
  threshold: 100,
});
rows("latency", [{ latency_ms: 0 }], { threshold: 0 });
rows("latency", [{ latency_ms: 5 }]);
rows("cost", [{ usage: { cost: "0.01" } }, { usage: { cost: "0.010001" } }, { usage: { cost: "0" } }, "x"], {
  threshold: 0.01,
});
rows("cost", [{ usage: { cost: "0.01" } }]);
rows("perplexity", [{ logprobs: [-1, -2] }, { logprobs: [-0.1] }, { logprobs: [0, 0] }, "x"], { threshold: 1.5 });
rows("perplexity", [{ logprobs: [-1, -2] }]);
rows("perplexity", [{ logprobs: [0] }], { threshold: 1 });

// Calls of tools.
const tools = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
  { type: "function", function: { name: "plain" } },
];
const call = (name, args) => ({ id: "1", type: "function", function: { name, arguments: args } });
const calls = [
  [call("weather", '{"city":"Rome"}')], [call("weather", '{"city":5}')], [call("weather", "{}")],
  [call("weather", "not JSON")], [call("weather", "")], [call("other", "{}")], [call("plain", "{}")],
  [call("weather", '{"city":"Rome","x":1}')],
];
for (const type of ["is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call"]) {
  rows(type, calls.map((tool_calls) => ({ tool_calls })), { tools });
  rows(type, ["text", "", JSON.stringify(calls[0])], { tools });
  rows(type, [{ tool_calls: calls[0] }]);
}
rows("is-valid-openai-tools-call", [
  { tool_calls: [calls[0][0], calls[0][0]] }, { tool_calls: [calls[0][0], calls[1][0]] },
  { text: "Looking", tool_calls: calls[0] }, { tool_calls: [{ id: "1", type: "function", function: { name: "weather" } }] },
  { tool_calls: [{ id: "1" }] }, "MCP Tool Result (x): fine", "MCP Tool Error (x): broken",
], { tools });
const f1 = [
  { tool_calls: [call("a", "{}"), call("b", "{}")] }, { tool_calls: [call("a", "{}"), call("a", "{}")] },
  { tool_calls: [call("c", "{}")] }, { text: "thinking", tool_calls: [call("a", "{}")] }, "text", "",
  '[{"name":"a"},{"function":{"name":"b"}}]', '{"tool_calls":[{"function":{"name":"a"}},{"name":"b"}]}',
  '{"type":"tool_use","name":"a"}', '[{"type":"tool_use","name":"a"},{"type":"text","text":"x"}]',
  '{"functionCall":{"name":"a"}}', '[{"functionCall":{"name":"a"}},{"functionCall":{"name":"b"}}]',
  '{"toolCall":{"functionCalls":[{"name":"a"},{"name":"b"}]}}', '{"type":"function_call","name":"a"}',
  'I call\n{"type":"tool_use","name":"a"}\nnow', 'I call {"type":"tool_use","name":"a"}',
  "```json\n{\"type\":\"tool_use\",\"name\":\"a\"}\n```", '{"type":"tool_use","name":"a"}\n{"type":"tool_use","name":"b"}',
  '- {"type":"tool_use","name":"a"}', 'broken { "x": \n[{"name":"a"}]\n', '"a"', "5", "null", "[]",
  '{"type":"tool_use","name":"a"} trailing', 'x\n  {"name":"a"}\n  [{"name":"b"}]', '{"name":"a"}',
];
rows("tool-call-f1", f1, { value: ["a", "b"] });
rows("tool-call-f1", f1.slice(0, 4), { value: " a , b ,", threshold: 0.5 });
rows("tool-call-f1", f1.slice(0, 2), { value: "" });
rows("tool-call-f1", f1.slice(0, 1));
rows("tool-call-f1", f1.slice(0, 1), { value: ["{{tool}}", 5], variables: { tool: "a" } });
rows("tool-call-f1", f1.slice(0, 1), { value: { a: 1 } });

// Weight 0 is shown and passes.
cases.push({ scorer: { type: "equals", value: "a", weight: 0 }, answer: { text: "b" } });
cases.push({ scorer: { type: "bleu", value: "a", weight: 0 }, answer: { text: "b" } });

/** Words for the stemmer. */
export const words = `caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated troubled sized
hopping tanned falling hissing fizzed failing filing happy sky relational conditional rational valenci hesitanci
digitizer conformabli radicalli differentli vileli analogousli vietnamization predication operator feudalism
decisiveness hopefulness callousness formaliti sensitiviti sensibiliti triplicate formative formalize electriciti
electrical hopeful goodness revival allowance inference airliner gyroscopic adjustable defensible irritant replacement
adjustment dependent adoption homologou communism activate angulariti homologous effective bowdlerize probate rate cease
controll roll run running runs runner quickly cats cat's happily mats syzygy yyy y yes day days crying cry cries dying
flying trying eed need ed ing being bed red as is was its ion station nation lion action tension io a b ab abs éa été
naïve straße 123 1s es ss ies oes cycle bicycle byes eyes keyed obeyed xylophones rhythm rhythms matting controlling
knees hoped hoping agreement agreements generalizations oscillators ful ness ally apologi logi geologi ology bli abli
university universal general generate generously internationalization`.split(/\s+/);
