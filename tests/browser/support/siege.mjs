// A registry in which others wrote hostile texts wherever a text goes.

import { CONTENT, EVERYTHING, LONG, NAMES, PAYLOADS, UNSEEN, UNSEEN_MESSAGE } from "./hostile.mjs";
import { Team } from "./team.mjs";

/** Longest author of an imported change, and longest message, in characters; well within the limits. */
const AUTHOR_MAX = 90;
const MESSAGE_MAX = 1_900;

const MESSAGE = EVERYTHING.slice(0, MESSAGE_MAX);

/** A rule that finds something in all of them, and says something hostile of it. */
const RULES = `[[rule]]
id = "hostile.everything"
version = 1
description = ${JSON.stringify(PAYLOADS[1])}
category = "injection"
severity = "high"
keywords = ["script"]
regex = "script"
test_pos = ["script"]
test_neg = ["text"]
`;

/** The changes of one prompt: three versions, by three hostile authors; those of the first prompt end with a long text. */
function changes(name, index) {
  const payload = (offset) => PAYLOADS[(index + offset) % PAYLOADS.length];
  const texts = [EVERYTHING, `${payload(0)}\n${EVERYTHING}`, index === 0 ? LONG : `${EVERYTHING} ${payload(0)}`];
  return texts.map((text, version) => ({
    id: `hostile-${index}-${version}`,
    at: new Date(Date.UTC(2026, 2, 1 + version, index)).toISOString(),
    author: payload(version).slice(0, AUTHOR_MAX),
    message: `${payload(version + 3)} ${Object.keys(UNSEEN).join("")}`,
    name,
    text,
  }));
}

/** What hostile applications report: models, environments, errors, scores and categories with payloads for names. */
async function reported(team) {
  const word = (index) => PAYLOADS[index % PAYLOADS.length].slice(0, 100);
  const unknown = { id: PAYLOADS[1], session: PAYLOADS[2], prompt: PAYLOADS[3], stamp: PAYLOADS[4] };
  const observed = NAMES.map((_, index) => ({
    id: `observed-${index}`,
    model: word(index),
    input: [{ role: "system", content: `${EVERYTHING.slice(0, 4_000)} ${PAYLOADS[index % PAYLOADS.length]}` }],
  }));
  const responses = NAMES.map((prompt, index) => ({
    id: `hostile-${index}`,
    prompt,
    version: "1",
    model: word(index),
    environment: word(index + 1),
    error: word(index + 2),
    model_requested: word(index + 3),
    provider: word(index + 4),
    user: word(index + 5),
    session: word(index),
    trace_id: `${index + 1}`.padStart(32, "0"),
    span_id: "1".padStart(16, "0"),
    latency_ms: 900 + index,
    cost_usd: 0.01 * index,
  }));
  await team.node.send("POST", "/v1/responses", { responses: [...responses, unknown, ...observed] });
  const scores = NAMES.flatMap((_, index) => [
    { response: `hostile-${index}`, name: word(index), value: 0.5, evaluator: word(index + 2), explanation: EVERYTHING },
    { response: `hostile-${index}`, name: word(index), value: word(index + 1) },
  ]);
  await team.node.send("POST", "/v1/scores", { scores });
}

/** Starts it; the team, with the numbers of what it made. */
export async function besieged() {
  const team = await Team.start({ args: ["--record-content"] });
  await team.node.send("PUT", "/v1/rules/hostile", { toml: RULES });
  for (const [index, name] of NAMES.entries()) await team.import(changes(name, index), { syntax: "plain" });
  const freeze = [{ from: "2020-01-01T00:00:00Z", to: "2100-01-01T00:00:00Z", why: PAYLOADS[1] }];
  const policy = { name: "hostile", prompts: "hostile/**", labels: "production", message: "<img.*>" };
  await team.node.send("PUT", "/v1/policies/hostile", { ...policy, approvals: 1, freeze });

  const [first] = NAMES;
  team.version = await team.publish("ann", first, CONTENT, MESSAGE);
  const rules = [{ when: { "<img/onerror>": "<svg*" }, version: 1 }];
  await team.deploy("rob", first, "staging", { version: team.version, rules }, PAYLOADS[0]);
  team.request = await team.propose("ann", first, "production", team.version, MESSAGE);
  for (const kind of ["comment", "approve"]) await team.review("cy", team.request, kind, MESSAGE);
  team.rejected = await team.propose("ann", NAMES[6], "production", 1, UNSEEN_MESSAGE);
  await team.review("cy", team.rejected, "reject", PAYLOADS[1]);
  await team.deploy("rob", first, "production", team.version, PAYLOADS[2], { fails: 403 });
  await reported(team);
  team.observed = (await team.node.send("GET", "/v1/observed")).prompts[0].id;
  const alert = { metric: "spend", threshold: 1, prompts: `hostile/${PAYLOADS[1].slice(0, 150)}`, per_s: 3_600 };
  await team.node.send("PUT", "/v1/alerts/hostile", alert);
  const cases = PAYLOADS.slice(0, 3).map((payload, index) => ({
    name: `${index} ${payload.slice(0, 150).replace(/\p{Cc}/gu, "")}`,
    variables: { question: payload },
    tags: [payload.slice(0, 50)],
    scorers: [{ type: "contains", value: payload }],
  }));
  await team.node.send("PUT", "/v1/suites/hostile", { suite: { description: PAYLOADS[0], cases }, message: MESSAGE });
  const results = cases.map((one, index) => ({
    case: one.name,
    model: "hostile:<img src=x>",
    repeat: 0,
    verdict: "failed",
    score: 0,
    answer: { text: PAYLOADS[index], model: PAYLOADS[index].slice(0, 100), latency_ms: 1, usage: {} },
    scorers: [{ scorer: PAYLOADS[index].slice(0, 50), weight: 1, verdict: "failed", score: 0, reason: PAYLOADS[index] }],
  }));
  const run = { prompt: first, at: "@latest", suite: "hostile", tool: PAYLOADS[1].slice(0, 90), results };
  team.run = (await team.node.send("POST", "/v1/runs/import", run)).id;
  return team;
}
