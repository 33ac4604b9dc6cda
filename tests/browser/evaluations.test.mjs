// Evaluations, told once and acted in three ways: suites, runs, gates, judges and the playground. The models answer by
// rule (support/models.mjs).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after } from "node:test";

import { closeBrowser } from "./support/chromium.mjs";
import { findPrompt, tryDeploying } from "./support/deeds.mjs";
import { Models } from "./support/models.mjs";
import { segment, until } from "./support/node.mjs";
import { count, sees, story } from "./support/stage.mjs";
import { Team } from "./support/team.mjs";

after(closeBrowser);

const SUMS = "support/sums";
/** Eve writes suites, ann prompts; rob releases. */
const PEOPLE = { eve: "evaluator", ann: "author", rob: "releaser" };

/** A team whose primary asks models that answer by rule. */
async function evaluating() {
  const models = await Models.start();
  const team = await Team.start({ people: PEOPLE, config: models.config() });
  const stop = team.stop.bind(team);
  Object.assign(team, {
    models,
    stop: async () => {
      await stop();
      await models.stop();
    },
  });
  return team;
}

/** A content that adds numbers, with this system text. */
const adds = (system, model = "sum") => ({
  syntax: "mustache",
  model: { name: model },
  messages: [
    { role: "system", content: system },
    { role: "user", content: "{{question}}" },
  ],
});

/** Pushes a suite of sums; the first three tell the prompt to guess, if it has a place for hints. */
async function pushSums(team, more = {}) {
  const sum = (left, right, hint) => ({
    name: `${left} and ${right}`,
    variables: { question: `${left} + ${right}`, hint },
    expected: `${left + right}`,
  });
  const hinted = [sum(1, 1, "guess"), sum(2, 2, "guess"), sum(3, 4, "guess")];
  const suite = { scorers: [{ type: "equals" }], cases: [...hinted, sum(5, 6, "think")], ...more };
  await team.send("eve", "PUT", "/v1/suites/sums", { suite, message: "Four sums" });
}

/** Starts a run by the form that is open, and waits until it is over. */
async function run(way, verdict) {
  await way.button("Start");
  await sees(way, "The run was started.");
  await way.page.getByRole("heading", { level: 1, name: new RegExp(`^Run \\d+ ${verdict}$`) }).waitFor();
}

/** The form for a new suite; both ways on its page ask for its name. */
const writing = (way) => way.page.locator("form").filter({ has: way.page.getByRole("button", { name: "Continue" }) });

story("a suite is written case by case, and then as text", evaluating, async (stage, team) => {
  const eve = await stage.person("eve");
  await eve.goto("/ui/evaluations");
  await eve.link("New suite");
  await eve.type("Name of the suite", "sums", writing(eve));
  await eve.button("Continue");
  await sees(eve, "The first version of sums.");
  await eve.type("Name", "one and one");
  await eve.type("Name of the variable", "question");
  await eve.type("Value", "1 + 1");
  await eve.type("Expected answer", "2");
  await eve.button("Save");
  await sees(eve, "Not saved.");
  await sees(eve, "has no scorer");
  await eve.choose("What it checks by scorer 1", "equals");
  await eve.button("Save");
  await sees(eve, "Saved. Runs from now on use this version.");

  // The next case asks for the same variables.
  await eve.link("Add a case");
  await eve.type("Name", "two and two");
  await eve.type("Variable question", "2 + 2");
  await eve.choose("What it checks by scorer 1", "contains-any");
  await eve.type(/^Compared with by scorer 1/, "4\nfour");
  await eve.tick("Must pass: if it fails, the run fails");
  await eve.button("Add a scorer");
  await eve.choose("What it checks by scorer 2", "not-contains");
  await eve.type(/^Compared with by scorer 2/, "As an AI");
  await eve.type("Metric of scorer 2", "safety");
  await eve.type("Why this change?", "Another sum");
  await eve.button("Save");
  await sees(eve, "Another sum");
  const suite = async () => (await team.send("eve", "GET", "/v1/suites/sums")).suite;
  assert.deepEqual((await suite()).cases[1], {
    name: "two and two",
    variables: { question: "2 + 2" },
    must_pass: true,
    scorers: [
      { type: "contains-any", value: ["4", "four"] },
      { type: "not-contains", value: "As an AI", metric: "safety" },
    ],
  });

  await eve.link("Settings");
  await eve.type("Share of cases that must pass", "much");
  await eve.button("Save");
  await sees(eve, "much: invalid float literal");
  await eve.type("Share of cases that must pass", "0.5");
  await eve.type("Number of times to run each case", "2");
  await eve.button("Save");
  await sees(eve, "Saved. Runs from now on use this version.");
  assert.deepEqual([(await suite()).repeats, (await suite()).gate], [2, { pass_rate: 0.5 }]);

  await eve.link("Edit as text");
  const text = await eve.page.getByLabel("Suite", { exact: true }).inputValue();
  assert.match(text, /name: two and two/);
  await eve.type("Suite", `${text}- name: three\n  expects: 3\n`);
  await eve.button("Save");
  await sees(eve, /unknown field .*expects/);
  await eve.type("Suite", `${text}- name: three and three\n  scorers: [{type: equals, value: "6"}]\n`);
  await eve.button("Save");
  await sees(eve, "three and three");

  // What is not needed any more is removed; what another one changed meanwhile stays.
  const other = await eve.another();
  await other.goto(`/ui/suites/sums/case?case=${segment("two and two")}`);
  await eve.unfold("one and one");
  await eve.link("Change one and one");
  await eve.button("Remove the case");
  await sees(eve, "Saved. Runs from now on use this version.");
  await other.type("Expected answer", "4");
  await other.button("Save");
  await sees(other, "someone else changed this suite since you opened it");
  await other.button("Save");
  const names = (await suite()).cases.map(({ name, expected }) => [name, expected]);
  assert.deepEqual(names, [["two and two", "4"], ["three and three", undefined]]);
});

story("cases of promptfoo are imported, and what is not supported is said before", evaluating, async (stage, team) => {
  const config = `prompts: ['{{question}}']
providers: [openai:gpt-5-mini]
tests:
  - description: refund
    vars: { question: 1 + 1 }
    assert: [{ type: equals, value: '2' }]
  - description: coded
    vars: { question: 2 + 2 }
    assert: [{ type: javascript, value: output.length < 5 }]
  - file://more.yaml
`;
  const more = "- description: beside\n  vars: { question: 3 + 3 }\n  assert: [{ type: contains, value: '6' }]\n";
  const file = (name, text) => ({ name, mimeType: "text/yaml", buffer: Buffer.from(text) });
  const eve = await stage.person("eve");
  const choose = async () => {
    await eve.goto("/ui/new-suite");
    const form = eve.page.locator("form[enctype]");
    await eve.type("Name of the suite", "imported", form);
    await eve.choose("Format", "promptfoo configuration (YAML)");
    await eve.page.locator("#import-file").setInputFiles(file("promptfooconfig.yaml", config));
  };
  await choose();
  await eve.button("Check the file");
  await sees(eve, /Nothing was saved\..*more\.yaml.*choose it as well/);
  await choose();
  await eve.page.locator("#import-beside").setInputFiles(file("more.yaml", more));
  await eve.button("Check the file");
  await sees(eve, "cannot be judged as they are and are left out");
  await sees(eve, /tests\[1\].*javascript.*the case is left out/);
  await team.send("eve", "GET", "/v1/suites/imported", undefined, { fails: 404 });
  await eve.tick("Save without what is left out");
  await eve.button("Save");
  await sees(eve, "Saved. Runs from now on use this version.");
  const { suite } = await team.send("eve", "GET", "/v1/suites/imported");
  assert.deepEqual(
    suite.cases.map(({ name, scorers }) => [name, scorers[0].type]),
    [
      ["refund", "equals"],
      ["beside", "contains"],
    ],
  );
  await sees(eve, "Import promptfooconfig.yaml");
});

story("a gate refuses a worse version by name, and the fix goes live by itself", evaluating, async (stage, team) => {
  await pushSums(team);
  await team.protect({ gates: ["sums"] });
  await team.publish("ann", SUMS, adds("You add numbers."), "First words");
  const rob = await stage.person("rob");
  await findPrompt(rob, SUMS);
  await sees(rob, "no run");
  await rob.link("Run sums");
  await run(rob, "passed");
  await sees(rob, "100% of cases pass (4 of 4)");
  await tryDeploying(rob, SUMS, { label: "production", version: 1 });
  await rob.link("run 1");
  await tryDeploying(rob, SUMS, { label: "production", version: 1 });
  await rob.type("Why this change?", "Go live");
  await rob.button("Deploy to production");
  assert.equal(await team.served(SUMS), 1);

  // The next version follows hints: three cases are wrong, on every door.
  await team.publish("ann", SUMS, adds("You add numbers. {{hint}}"), "Follow hints");
  await rob.goto(`/ui/prompts/${SUMS}?version=2`);
  await rob.link("Run sums");
  await rob.type("Compare with", "@production");
  await run(rob, "failed");
  const worse = rob.page.getByRole("region", { name: /^Compared with/ });
  assert.deepEqual(await worse.locator("li").allTextContents(), ["1 and 1", "2 and 2", "3 and 4"]);
  await rob.unfold("Download");
  const file = rob.page.waitForEvent("download");
  await rob.press(rob.control("link", "Report for people (HTML)"), "Enter");
  assert.match(await readFile(await (await file).path(), "utf8"), /3 and 4/);
  await tryDeploying(rob, SUMS, { label: "production", version: 2 });
  await sees(rob, /gate sums to pass \(failed in run 2.*1 and 1, 2 and 2, 3 and 4/);
  assert.equal(await rob.control("button", "Deploy").isDisabled(), true);
  await team.deploy("rob", SUMS, "production", 2, "Anyway", { fails: 403 });
  assert.equal(await team.served(SUMS), 1);

  // The fix deploys itself when it has passed.
  await team.publish("ann", SUMS, adds("You add numbers, whatever the hint."), "Ignore hints");
  await rob.goto(`/ui/new-run?suite=sums&prompt=${SUMS}@3`);
  await rob.type("Compare with", "@production");
  await rob.type("Deploy to label", "production");
  await rob.type("Why this change?", "Ignore hints");
  await run(rob, "passed");
  await until("the fix is live", async () => (await team.served(SUMS)) === 3);
  await findPrompt(rob, SUMS);
  assert.match(await rob.page.locator("aside").textContent(), /Evaluations.*passed sums run 3/s);

  // A changed suite makes what it decided stale.
  const eve = await stage.person("eve");
  await eve.goto("/ui/suites/sums/settings");
  await eve.type("What it is for", "Sums that everybody knows");
  await eve.button("Save");
  await rob.goto(`/ui/prompts/${SUMS}?version=3`);
  await sees(rob, "the suite has changed");
  await rob.link("Run again sums");
  await run(rob, "passed");
});

story("another snapshot of a model makes a gate stale, and a new run renews it", evaluating, async (stage, team) => {
  await pushSums(team);
  await team.protect({ gates: ["sums"], fresh_gates: true });
  await team.publish("ann", SUMS, adds("You add numbers."), "First words");
  const rob = await stage.person("rob");
  await rob.goto(`/ui/new-run?suite=sums&prompt=${SUMS}@1`);
  await run(rob, "passed");
  await team.deploy("rob", SUMS, "production", 1, "Go live");

  // The next version is answered by another snapshot, so what was decided before does not hold any more.
  team.models.snapshot = "2026-12-01";
  await team.publish("ann", SUMS, adds("You add numbers well."), "Other words");
  await rob.goto(`/ui/new-run?suite=sums&prompt=${SUMS}@2`);
  await run(rob, "passed");
  const gates = `/v1/prompts/${segment(SUMS)}/versions/1/gates`;
  await until("the gate is stale", async () => (await team.send("rob", "GET", gates))[0].stale);
  await team.deploy("rob", SUMS, "production", 2, "Other words");
  await team.deploy("rob", SUMS, "production", 1, "Back", { fails: 403 });
  await rob.goto(`/ui/prompts/${SUMS}?version=1`);
  await sees(rob, "local:sum is answered by sum-2026-12-01 now");
  await rob.link("Run again sums");
  await run(rob, "passed");
  await until("the gate is renewed", async () => !(await team.send("rob", "GET", gates))[0].stale);
  await team.deploy("rob", SUMS, "production", 1, "Back");
  assert.equal(await team.served(SUMS), 1);
});

story("a draft is evaluated, a run is watched and canceled", evaluating, async (stage, team) => {
  await pushSums(team);
  await team.publish("ann", SUMS, adds("You add numbers."), "First words");
  const draft = { content: adds("You add numbers. {{hint}}"), expected_revision: 0 };
  await team.send("ann", "PUT", `/v1/prompts/${segment(SUMS)}/drafts/ann`, draft);
  const ann = await stage.person("ann");
  await ann.goto(`/ui/new-run?prompt=${SUMS}`);
  await ann.choose("Suite", "sums");
  await ann.type("Draft", "nobody");
  await ann.button("Start");
  await sees(ann, "Nothing was started.");
  await ann.type("Draft", "ann");
  await ann.type("Compare with", "@latest");
  await run(ann, "failed");
  await sees(ann, "not published");
  assert.equal((await team.send("ann", "GET", `/v1/prompts/${segment(SUMS)}`)).latest, 1, "nothing is published");

  await ann.goto(`/ui/new-run?prompt=${SUMS}&suite=sums&models=local:waits`);
  await ann.button("Start");
  await sees(ann, "The run was started.");
  await ann.page.getByRole("progressbar").waitFor();
  await ann.button("Cancel the run");
  await sees(ann, "canceled");
  await ann.page.getByRole("heading", { level: 1, name: "Run 2 canceled" }).waitFor();
  team.models.release();
});

story("people check a judge, and the suite says how far it agrees with them", evaluating, async (stage, team) => {
  const cases = ["Thanks", "Sorry", "Hello", "Bye"].map((word) => ({ name: word, variables: { question: word } }));
  const scorers = [{ type: "llm-rubric", value: 'The answer contains "o".', model: "local:judge", metric: "tone" }];
  const suite = { models: ["local:echo"], scorers, cases };
  await team.send("eve", "PUT", "/v1/suites/sums", { suite, message: "Words" });
  await team.publish("ann", SUMS, adds("You repeat."), "First words");
  const eve = await stage.person("eve");
  await eve.goto("/ui/suites/sums");
  await sees(eve, "not checked by people yet");
  await eve.goto(`/ui/new-run?suite=sums&prompt=${SUMS}`);
  await run(eve, "failed");
  // The judge passes Sorry and Hello; people disagree about one of the four.
  for (const [word, says] of [["Thanks", "fails"], ["Sorry", "passes"], ["Hello", "fails"], ["Bye", "fails"]]) {
    await eve.goto("/ui/evaluations/1?verdict=all");
    const result = eve.page.locator("details.result").filter({ has: eve.page.getByText(word, { exact: true }) });
    await eve.unfold(word, result);
    await eve.button(`It ${says} ${word}, local:echo`, result);
    await sees(eve, "Your verdict was stored.");
  }
  assert.equal(await eve.page.getByText("labeled", { exact: true }).count(), 4);
  await eve.goto("/ui/suites/sums");
  const judges = eve.page.getByRole("region", { name: "Judges and people" });
  const row = (await judges.locator("tbody tr").textContent()).replace(/\s+/g, " ");
  assert.match(row, /llm-rubric by local:judge tone ?4 ?75% ?0\.50 ?4 labels say little/);
});

story("the playground compares two models, keeps a case, and stops at the limit", evaluating, async (stage, team) => {
  await team.publish("ann", SUMS, adds("You add numbers."), "First words");
  await team.join("sue", { role: "admin" });
  const sue = await stage.person("sue");
  await sue.goto(`/ui/playground?prompt=${SUMS}@latest`);
  await sue.type(/^question/, "2 + 3");
  await sue.type("Models, separated by spaces", "local:sum local:upper");
  await sue.button("Ask");
  const answers = sue.page.locator(".sides pre.answer");
  assert.deepEqual(await answers.allTextContents(), ["5", "2 + 3"]);
  const boxes = await answers.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top));
  assert.equal(boxes[0], boxes[1], "they are side by side");
  await sees(sue, "Differences of the first two answers");
  await sue.type("Suite", "kept");
  await sue.type("Name of the case", "two and three");
  await sue.button("Keep");
  await sees(sue, "Kept as a case.");
  const { suite } = await team.send("eve", "GET", "/v1/suites/kept");
  assert.deepEqual([suite.cases[0].expected, suite.cases[0].variables], ["5", { question: "2 + 3" }]);

  // With a price, an answer could cost more than what sue may spend on a day.
  const rate = { input: 1_000_000_000, output: 1_000_000_000 };
  const prices = { schema: 1, updated: "2026-11-20", currency: "USD", unit: "pico_usd_per_token" };
  const models = [{ id: "sum", tiers: [{ when: {}, rate }] }];
  await team.send("admin", "PUT", "/v1/prices/overrides", { ...prices, models });
  const asked = team.models.asked;
  await sue.goto(`/ui/playground?prompt=${SUMS}@latest`);
  await sue.type(/^question/, "2 + 3");
  await sue.type("Models, separated by spaces", "local:sum");
  await sue.button("Ask");
  await sees(sue, /this can cost .* of your .* for today are left/);
  assert.equal(team.models.asked, asked, "nothing was asked");
  assert.equal(await count(sue, "form[action='/ui/playground/keep']"), 0);
});
