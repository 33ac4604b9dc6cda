// Runs the assertions of cases.mjs through promptfoo and writes what it says of each to the table that
// crates/evaluation/src/score/tests.rs compares with ours:
//
//   cd tests/promptfoo && npm ci --omit=optional && npm run table
//
// What asks a model (judged.mjs) is answered by a server in this process, with the answers that are listed there.
//
// Also writes stems by `natural`, whose stemmer promptfoo's METEOR uses.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { register } from "node:module";
import natural from "natural";
import { cases, words } from "./cases.mjs";
import { judged } from "./judged.mjs";

register("./hooks.mjs", import.meta.url);
const { default: promptfoo } = await import("promptfoo");
const folder = new URL("../../fixtures/evaluation/", import.meta.url);

/** What the OpenAI provider of promptfoo makes of an answer. */
function output(type, { text = "", tool_calls = [] }) {
  if (tool_calls.length === 0) return text;
  if (/function-call$/.test(type)) return tool_calls[0].function;
  return text === "" ? tool_calls : { role: "assistant", content: text, tool_calls };
}

async function verdict({ scorer, answer, variables, tools }) {
  const provider = await promptfoo.loadApiProvider("openai:gpt-4o", {
    options: { config: { tools, functions: tools?.map((tool) => tool.function) } },
  });
  try {
    const { pass, score } = await promptfoo.assertions.runAssertion({
      assertion: structuredClone(scorer),
      provider,
      test: { vars: variables ?? {} },
      latencyMs: answer.cached ? undefined : answer.latency_ms,
      providerResponse: {
        output: output(scorer.type, answer),
        finishReason: answer.finish_reason,
        cost: answer.usage?.cost === undefined ? undefined : Number(answer.usage.cost),
        logProbs: answer.logprobs,
      },
    });
    return { pass, score };
  } catch (error) {
    return { error: error.message.replace(/^Invariant failed: /, "") };
  }
}

/** What the judge answers next. */
let replies = [];

/** How often each letter is in a text: as the test server of crates/evaluation embeds it. */
function embedding(text) {
  const letters = [...text.toLowerCase()];
  return [..."abcdefghijklmnopqrstuvwxyz"].map((letter) => letters.filter((one) => one === letter).length);
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const { model, input } = JSON.parse(body);
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const message = { role: "assistant", content: replies.shift() ?? "There is no answer left." };
  const answer = request.url.endsWith("/embeddings")
    ? { model, data: [input].flat().map((text, index) => ({ index, embedding: embedding(text) })), usage }
    : { model, choices: [{ index: 0, message, finish_reason: "stop" }], usage };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const config = { apiBaseUrl: `http://127.0.0.1:${server.address().port}/v1`, apiKey: "none" };
promptfoo.cache.disableCache();

async function judgedVerdict({ scorer: { model, ...assertion }, answer: { text }, judge, other }) {
  replies = [...(judge.promptfoo ?? judge)];
  const kind = /similar/.test(assertion.type) ? "embedding" : "chat";
  const provider = { id: `openai:${kind}:judge`, config };
  try {
    if (other !== undefined) {
      const [{ pass, score }] = await promptfoo.assertions.matchesComparisonBoolean(assertion.value, [text, other], { provider }, {});
      return { pass, score };
    }
    const { pass, score } = await promptfoo.assertions.runAssertion({
      prompt: "Hello",
      assertion: { ...structuredClone(assertion), provider },
      test: { vars: {} },
      providerResponse: { output: text },
    });
    return { pass, score };
  } catch (error) {
    return { error: error.message.replace(/^Invariant failed: /, "") };
  }
}

const rows = [];
for (const row of cases) rows.push({ ...row, expected: await verdict(row) });
const judgedRows = [];
for (const row of judged) judgedRows.push({ ...row, expected: await judgedVerdict(row) });
const lines = (list) => list.map((row) => JSON.stringify(row)).join(",\n");
const { version } = JSON.parse(readFileSync(new URL("node_modules/promptfoo/package.json", import.meta.url)));
writeFileSync(new URL("promptfoo.json", folder), `{"promptfoo":"${version}","rows":[\n${lines(rows)}\n],"judged":[\n${lines(judgedRows)}\n]}\n`);
const stems = [...new Set(words)].map((word) => `${word} ${natural.PorterStemmer.stem(word)}`);
writeFileSync(new URL("stems.txt", folder), `${stems.join("\n")}\n`);
console.log(`${rows.length} rows, ${judgedRows.length} judged, ${stems.length} stems`);
process.exit(0);
