// Runs the assertions of cases.mjs through promptfoo and writes what it says of each to the table that
// crates/evaluation/src/score/tests.rs compares with ours:
//
//   cd tests/promptfoo && npm ci --omit=optional && npm run table
//
// Also writes stems by `natural`, whose stemmer promptfoo's METEOR uses.
import { readFileSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import natural from "natural";
import { cases, words } from "./cases.mjs";

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

const rows = [];
for (const row of cases) rows.push({ ...row, expected: await verdict(row) });
const lines = rows.map((row) => JSON.stringify(row)).join(",\n");
const { version } = JSON.parse(readFileSync(new URL("node_modules/promptfoo/package.json", import.meta.url)));
writeFileSync(new URL("promptfoo.json", folder), `{"promptfoo":"${version}","rows":[\n${lines}\n]}\n`);
const stems = [...new Set(words)].map((word) => `${word} ${natural.PorterStemmer.stem(word)}`);
writeFileSync(new URL("stems.txt", folder), `${stems.join("\n")}\n`);
console.log(`${rows.length} rows, ${stems.length} stems`);
process.exit(0);
