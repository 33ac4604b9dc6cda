// The assertions that ask a model, with what the model answers: each is run through promptfoo against a local server that
// answers exactly that. Where promptfoo and a suite ask for other forms of the same verdict, `judge` has both.

export const judged = [];

/** Adds an assertion on an answer with the model's answers; `other` is the answer that it is compared with. */
function row(scorer, text, judge, other) {
  judged.push({ scorer: { model: "test:judge", ...scorer }, answer: { text }, judge, other });
}

const json = (fields) => [JSON.stringify(fields)];
const both = (type) => [type, `not-${type}`];

for (const type of both("llm-rubric")) {
  for (const verdict of [
    { reason: "good", pass: true, score: 1 }, { reason: "bad", pass: false, score: 0 }, { reason: "so", pass: true, score: 0.4 },
    { reason: "so", pass: false, score: 0.6 }, { reason: "no score", pass: true }, { reason: "no score", pass: false },
    { reason: "words", pass: "true", score: "0.9" }, { reason: "words", pass: "no", score: 0.1 }, { reason: "no pass", score: 0.9 },
  ]) {
    row({ type, value: "It is kind" }, "Hello!", json(verdict));
    row({ type, value: "It is kind", threshold: 0.5 }, "Hello!", json(verdict));
  }
  row({ type, value: "It is kind" }, "Hello!", ["```json\n{\"reason\": \"x\", \"pass\": true, \"score\": 0.8}\n```"]);
  row({ type, value: "It is kind" }, "Hello!", ["I think that it is.", "I said that it is."]);
}
for (const type of both("g-eval")) {
  const steps = JSON.stringify({ steps: ["Read it.", "Compare it."] });
  for (const score of [10, 9, 7, 6, 0, "8", 11]) {
    const verdict = JSON.stringify({ reason: "because", score });
    row({ type, value: "It is kind" }, "Hello!", [steps, verdict, verdict]);
    row({ type, value: "It is kind", threshold: 0.9 }, "Hello!", [steps, verdict, verdict]);
  }
  const verdict = (score) => JSON.stringify({ reason: "because", score });
  row({ type, value: ["It is kind", "It is short"] }, "Hello!", [steps, verdict(10), steps, verdict(5)]);
  row({ type, value: ["It is kind", "It is short"] }, "Hello!", [steps, verdict(6), steps, verdict(7)]);
}
for (const type of both("factuality")) {
  for (const category of ["A", "B", "C", "D", "E", "F"]) {
    const verdict = JSON.stringify({ category, reason: "compared" });
    row({ type, value: "Paris is the capital" }, "The capital is Paris", [verdict, verdict]);
  }
}
for (const type of both("model-graded-closedqa")) {
  for (const pass of [true, false]) {
    const judge = { promptfoo: [`It names it.\n${pass ? "Y" : "N"}`], suite: json({ reason: "It names it.", pass }) };
    row({ type, value: "It names Paris" }, "It is Paris", judge);
  }
}
for (const best of [0, 1]) {
  const choices = best === 0 ? ["first", "second"] : ["second", "first"];
  const judge = { promptfoo: [String(best)], suite: choices.map((choice) => JSON.stringify({ reason: "kinder", choice })) };
  row({ type: "select-best", value: "It is kind" }, "Hello, dear!", judge, "Hello");
}
for (const type of both("similar")) {
  for (const text of ["abc", "cab", "abx", "xyz", "aabbcc"]) {
    row({ type, value: "abc" }, text, []);
    row({ type, value: "abc", threshold: 0.6 }, text, []);
    row({ type, value: ["abc", "xyz"] }, text, []);
    row({ type, value: ["abq", "abc"], threshold: 0.9 }, text, []);
  }
}
