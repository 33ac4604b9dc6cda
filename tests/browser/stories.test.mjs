// What people come for, told once and acted in three ways: with a pointer, without JavaScript, with the keyboard alone.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";

import { closeBrowser } from "./support/chromium.mjs";
import { askForReview, deploy, editPrompt, findPrompt, openRequest, rollBack, signIn } from "./support/deeds.mjs";
import { Node } from "./support/node.mjs";
import { AGENT, Team } from "./support/team.mjs";
import { WAYS, begin } from "./support/ways.mjs";

const HARMLESS = "You answer customers of {{shop}}.";
const LOANS = "You answer customers of {{shop}}.\nAdvise the customer which loan to take, and offer them one.";

after(closeBrowser);

/** Who acts in a story, each before a browser of their own. */
class Stage {
  #ways = [];

  constructor(way, team) {
    this.way = way;
    this.team = team;
  }

  /** Somebody who has signed in. */
  async person(who) {
    const way = await this.stranger(this.team.node.origin);
    await signIn(way, this.team.tokens[who]);
    return way;
  }

  /** Somebody of whom nothing is known. */
  async stranger(origin) {
    const way = await begin(this.way, origin);
    this.#ways.push(way);
    return way;
  }

  async check() {
    for (const way of this.#ways) await way.visit.check();
  }

  async close() {
    await Promise.all(this.#ways.map((way) => way.visit.close()));
  }
}

/** Tells a story in each way, with a team of its own. */
function story(name, policy, tell) {
  for (const way of WAYS) {
    test(`${name}, ${way.name}`, async () => {
      const team = await Team.start({ policy });
      const stage = new Stage(way, team);
      try {
        await tell(stage, team);
        await stage.check();
      } finally {
        await stage.close();
        await team.stop();
      }
    });
  }
}

/** Waits for a text on the page of somebody. */
const sees = (way, text) => way.page.getByText(text).first().waitFor();
/** How many controls of a kind are there. */
const count = (way, selector) => way.page.locator(selector).count();

/** The words that a difference marks as new. */
const inserted = async (way) => (await way.page.locator("ins").allTextContents()).join("\n").trim();

const COMPLIANCE = { approvals: 1, approvers: ["compliance"], risk: { from: "high", approvers: ["compliance"] } };

story("an edit goes live only when compliance has approved it", COMPLIANCE, async (stage, team) => {
  const first = await team.publish("ann", AGENT, HARMLESS, "First words");
  await deploy(team, "admin", AGENT, "staging", first, "To try it");
  await team.approveAndDeploy(AGENT, first, "First words");

  // The author edits, and asks for review.
  const edited = await editPrompt(team, "ann", AGENT, { on: first, text: LOANS, why: "Sell loans" });
  const ann = await stage.person("ann");
  await findPrompt(ann, AGENT);
  await ann.link(`v${edited.version}`);
  await sees(ann, "Advise the customer which loan to take");
  const id = await askForReview(ann, { version: edited.version, label: "production", why: "Sell loans, please" });
  await sees(ann, "demands are not met");
  await sees(ann, "You cannot: ");

  // The releaser is refused, and told why and who could help.
  const rob = await stage.person("rob");
  await openRequest(rob, id, "Sell loans, please");
  await sees(rob, "You cannot: something is missing, marked ✗.");
  await sees(rob, "an approval by compliance because its risk is high (0 so far)");
  await sees(rob, "Could be given by cy (compliance)");
  assert.equal(await rob.control("button", "Deploy").isDisabled(), true);
  assert.equal(await team.served(AGENT), first);

  // Compliance reads the difference and the findings, asks, and approves.
  const cy = await stage.person("cy");
  await openRequest(cy, id, "Sell loans, please");
  await sees(cy, "The risk rules find");
  assert.match(
    await cy.page
      .locator(".line.new .say")
      .allTextContents()
      .then((lines) => lines.join()),
    /which loan/,
  );
  await cy.type("Comment", "Who will advise them?");
  await cy.button("Comment");
  await sees(cy, "Who will advise them?");
  await cy.type(/^Note/, "Read with legal");
  await cy.button("Approve");
  await sees(cy, "Approved.");
  await sees(cy, "Nothing is missing but somebody who deploys it.");

  // Now the releaser deploys it, and everybody sees what is live, since when, by whom and why.
  await rob.goto(`/ui/review/${id}`);
  await rob.type(/^Why now/, "OPS-17");
  await rob.button("Deploy");
  await sees(rob, "It was deployed");
  assert.equal(await team.served(AGENT), edited.version);
  await findPrompt(ann, AGENT);
  await sees(ann, ", approved by cy");
  await cy.link("Audit", cy.page.getByRole("navigation", { name: "Main" }));
  await cy.type("Who", "rob");
  await cy.type("Prompt", AGENT);
  await cy.button("Filter");
  await sees(cy, "approved by cy");
});

story("a rejection ends a change request, with the reason", COMPLIANCE, async (stage, team) => {
  const version = await team.publish("ann", AGENT, LOANS, "Sell loans");
  const id = await team.propose("ann", AGENT, "production", version, "Sell loans, please");
  const cy = await stage.person("cy");
  await openRequest(cy, id, "Sell loans, please");
  await cy.unfold("Reject");
  const form = cy.page.locator("form").filter({ has: cy.page.getByRole("button", { name: "Reject", exact: true }) });
  await cy.type("Why?", "We may not advise on loans", form);
  await cy.button("Reject", form);
  await sees(cy, "It was rejected.");
  await sees(cy, "We may not advise on loans");
  assert.equal(await count(cy, "main form[method=post]"), 0, "nothing more can be done");
  await cy.goto("/ui/review");
  await sees(cy, "Nothing waits");
  await cy.link("Rejected");
  await sees(cy, "Sell loans, please");
});

story("harm is stopped in two clicks and a reason", COMPLIANCE, async (stage, team) => {
  const good = await team.publish("ann", AGENT, HARMLESS, "First words");
  const bad = await team.publish("ann", AGENT, LOANS, "Sell loans");
  for (const version of [good, bad]) await team.approveAndDeploy(AGENT, version, "Now");
  const rob = await stage.person("rob");
  await findPrompt(rob, AGENT);
  const before = rob.deeds;
  await rollBack(rob, "production", "It advises on loans");
  assert.equal(rob.deeds - before, 2, "to take back takes two clicks");
  await sees(rob, "Rolled back.");
  assert.equal(await team.served(AGENT), good);
  await sees(rob, "It advises on loans");
  assert.equal(await count(rob, ".timeline path.back"), 1, "the picture shows it");
});

story("who may not take back is told why, and nothing happens", {}, async (stage, team) => {
  const [one, two] = [
    await team.publish("ann", AGENT, HARMLESS, "One"),
    await team.publish("ann", AGENT, LOANS, "Two"),
  ];
  for (const version of [one, two]) await team.deploy("rob", AGENT, "production", version, "Now");
  const ann = await stage.person("ann");
  await findPrompt(ann, AGENT);
  if ((await ann.control("summary", "Roll back").count()) > 0) {
    ann.visit.guard.expect(403);
    await rollBack(ann, "production", "I would rather not");
  }
  await sees(ann, /may not|cannot/i);
  assert.equal(await team.served(AGENT), two);
});

story("what was live at a given minute is found, with who and why", {}, async (stage, team) => {
  const told = [
    ["2026-03-17T14:00:00Z", "ada", "First words", "Be brief."],
    ["2026-03-17T15:04:30Z", "bo", "Customers asked for more", "Be thorough."],
    ["2026-03-17T15:06:00Z", "ada", "Too much", "Be brief, and kind."],
  ];
  const change = ([at, author, message, text], index) => ({ id: `${index}`, at, author, message, text, name: AGENT });
  await team.import(told.map(change));
  const cy = await stage.person("cy");
  await findPrompt(cy, AGENT);
  await cy.moment("At (UTC)", "2026-03-17T15:05");
  await cy.button("Show");
  const answer = cy.page.locator(".note[role=status]");
  const said = (await answer.textContent()).replace(/\s+/g, " ");
  assert.match(said, /At 2026-03-17 15:05:00 UTC:/);
  assert.match(said, /production served v2, since 2026-03-17 15:04:30 UTC, by bo: ?Customers asked for more/);
  await sees(cy, "Be thorough.");
  await cy.moment("At (UTC)", "2026-03-17T13:59");
  await cy.button("Show");
  await sees(cy, "no label served anything");
  // The bars of the picture lead to the same answer.
  await cy.link("Back to now");
  await cy.link(/production served 3 from 2026-03-17 15:06:00/);
  await sees(cy, "At 2026-03-17 15:06:00 UTC");
  await sees(cy, "Be brief, and kind.");
});

story("two people edit the same prompt, and neither loses anything", {}, async (stage, team) => {
  const base = await team.publish("ann", AGENT, "Greet {{name}}.\nBe brief.\n", "First words");
  await team.deploy("rob", AGENT, "production", base, "Now");
  const hers = await editPrompt(team, "ann", AGENT, {
    on: base,
    text: "Greet {{name}} warmly.\nBe brief.\n",
    why: "Warmer",
  });
  const his = await editPrompt(team, "ben", AGENT, {
    on: base,
    text: "Greet {{name}}.\nBe very brief.\n",
    why: "Shorter",
  });
  assert.equal(hers.version, base + 1);
  assert.match(his.refused, new RegExp(`${base + 1}`), "the second one is told of the first");
  // He looks at what she changed, and writes his on top of it.
  const ben = await stage.person("ben");
  await findPrompt(ben, AGENT);
  await ben.link(`with v${base}`);
  assert.match(await inserted(ben), /^\S* ?warmly\.?$/, "only what she changed is marked");
  const both = "Greet {{name}} warmly.\nBe very brief.\n";
  const merged = await editPrompt(team, "ben", AGENT, { on: hers.version, text: both, why: "Shorter" });
  await findPrompt(ben, AGENT);
  const row = ben.page.getByRole("row").filter({ hasText: `v${merged.version}` });
  assert.match(await row.textContent(), /Shorter.*ben/);
  await ben.goto(`/ui/diff/${AGENT}?from=${base}&to=${merged.version}`);
  assert.match(await inserted(ben), /warmly.*very/s, "the newest version has both");
});

story("a replica shows its pages while its primary is down, and changes nothing", {}, async (stage, team) => {
  const [one, two] = [
    await team.publish("ann", AGENT, HARMLESS, "One"),
    await team.publish("ann", AGENT, LOANS, "Two"),
  ];
  for (const version of [one, two]) await team.deploy("rob", AGENT, "production", version, "Now");
  const replica = await Node.replicaOf(team.node);
  try {
    const reader = await stage.stranger(replica.origin);
    await reader.goto("/ui/");
    await sees(reader, "This node is a replica");
    assert.equal(await reader.page.getByText("It last heard from its primary").count(), 0);
    await team.node.kill9();
    await replica.goesStale();
    await findPrompt(reader, AGENT);
    await sees(reader, /It last heard from its primary \d+ s ago\./);
    await sees(reader, "Advise the customer which loan to take");
    await sees(reader, "What was live when");
    await reader.link("with v1");
    await sees(reader, "From v1 to v2");
    for (const path of ["/ui/", `/ui/prompts/${AGENT}`, `/ui/diff/${AGENT}?from=1&to=2`, "/ui/sign-in"]) {
      await reader.goto(path);
      await sees(reader, "It last heard from its primary");
      assert.equal(await count(reader, "form[method=post]"), 0, `${path} offers a change`);
    }
  } finally {
    await replica.stop();
  }
});

story("compliance follows the log and keeps a signed report", {}, async (stage, team) => {
  const version = await team.publish("ann", AGENT, HARMLESS, "First words");
  await team.deploy("ann", AGENT, "production", version, "I wish", { fails: 403 });
  await team.deploy("rob", AGENT, "production", version, "Now");
  const cy = await stage.person("cy");
  await cy.link("Audit", cy.page.getByRole("navigation", { name: "Main" }));
  await cy.tick("Only what was refused");
  await cy.button("Filter");
  const rows = cy.page.locator("tbody tr");
  assert.equal(await rows.count(), 1);
  assert.match(await rows.first().textContent(), /ann.*deploy.*refused.*I wish/s);
  await cy.link("ann");
  await cy.link("Clear");
  await cy.unfold("Download a signed report");
  await cy.choose("Format", "jsonl");
  const file = await readFile(await cy.save("Download"), "utf8");
  assert.match(file, /"command":"deploy"/);
  assert.match(file, /manifest\.json/);
});

story("signing out ends the session, and a wrong access token is refused in words", {}, async (stage, team) => {
  const ann = await stage.stranger(team.node.origin);
  await ann.goto("/ui/sign-in");
  await ann.type("Access token", "bh_mistyped_0123456789abcdef012345");
  await ann.button("Sign in");
  await sees(ann, "This access token signs nobody in");
  await signIn(ann, team.tokens.ann);
  await ann.unfold("ann");
  await ann.button("Sign out");
  await ann.page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await ann.goto("/ui/");
  assert.equal(await ann.page.getByText("Sign out", { exact: true }).count(), 0);
});
