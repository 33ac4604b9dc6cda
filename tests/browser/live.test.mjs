// Pages that keep themselves up to date while somebody has them open, and what that must never do: lose what somebody
// types, change what somebody decides on behind their back, or listen where nobody looks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Visit, closeBrowser } from "./support/chromium.mjs";
import { Team } from "./support/team.mjs";

let team;
const visits = [];

before(async () => {
  team = await Team.start();
  await team.protect({ approvals: 1, approvers: ["compliance"] });
});

after(async () => {
  for (const visit of visits) await visit.close();
  await closeBrowser();
  await team?.stop();
});

/** Somebody who has signed in, at a page. */
async function at(who, path) {
  const visit = await Visit.open(team.node.origin);
  visits.push(visit);
  await visit.signIn(team.tokens[who]);
  // A page that is loaded anew says so.
  visit.loads = 0;
  visit.page.on("load", () => (visit.loads += 1));
  await visit.goto(path);
  return visit;
}

/** Waits until a part of the page says something, which must come without loading the page. */
async function shows(visit, part, text) {
  await visit.page.locator(part).filter({ hasText: text }).first().waitFor();
  assert.equal(visit.loads, 1, "without loading the page");
}

/** A prompt with some versions. */
async function prompt(name, ...texts) {
  for (const text of texts) await team.publish("ann", name, text, `Say ${text}`);
  return `/ui/prompts/${name}`;
}

test("a prompt's page shows a deployment, a version and a request as they come", async () => {
  const cy = await at("cy", await prompt("live/one", "One", "Two"));
  await shows(cy, "#lives", "Not deployed to any label");
  await team.deploy("rob", "live/one", "staging", 1, "To begin with");
  await shows(cy, "#life-staging", "To begin with");
  await shows(cy, "#history", "Deployment history");
  await team.deploy("rob", "live/one", "staging", 2, "Better");
  await shows(cy, "#life-staging", "Better");
  await shows(cy, "#all-versions tr:has(a.version:text-is('v2'))", "staging");
  await team.publish("ann", "live/one", "Three", "Say Three");
  await shows(cy, "#all-versions", "Say Three");
  const id = await team.propose("ann", "live/one", "staging", 3, "Please");
  await shows(cy, "#head", `request ${id} open`);
  await cy.check();
});

test("what changes before the page listens is not missed", async () => {
  const path = await prompt("live/gap", "One");
  const cy = await at("cy", "/ui/");
  // The stream comes later than the deployment.
  let begin;
  const held = new Promise((go) => (begin = go));
  await cy.page.route("**/ui/live?*", async (route) => {
    await held;
    await route.continue();
  });
  cy.loads = 0;
  await cy.goto(path);
  await team.deploy("rob", "live/gap", "staging", 1, "In between");
  begin();
  await shows(cy, "#life-staging", "In between");
});

test("an approval appears on the page of somebody else, and so does that nothing is missing", async () => {
  await prompt("support/asked", "One");
  const id = await team.propose("ann", "support/asked", "production", 1, "Please");
  const rob = await at("rob", `/ui/review/${id}`);
  const queue = await at("ben", "/ui/review");
  await shows(rob, "#standing", "1 requirement not met");
  await shows(queue, "#queue", "1 requirement left");
  await rob.page.getByLabel(/^Comment/).fill("I would like to");
  await rob.page.locator("h1").click();
  await team.review("cy", id, "approve", "Read with legal");
  await shows(rob, "#discussion", "Read with legal");
  await shows(rob, "#standing", "Ready to deploy");
  await shows(rob, "#standing", "Met:");
  await shows(queue, "#queue", "ready");
  assert.equal(await rob.page.getByLabel(/^Comment/).inputValue(), "I would like to", "what is typed stays");
  // Whoever has nothing typed gets the button that came with it.
  await rob.page.getByLabel(/^Comment/).fill("");
  await rob.page.locator("h1").click();
  await shows(rob, "#desk", "Message");
  await team.send("rob", "POST", `/v1/requests/${id}/application`, { message: "Now" });
  await shows(rob, "#head", "applied");
  await queue.page.getByRole("link", { name: "support/asked", exact: true }).waitFor({ state: "detached" });
  await rob.check();
});

test("somebody who reads is not asked to approve what was put in its place", async () => {
  await prompt("support/swapped", "One", "Two");
  const id = await team.propose("ann", "support/swapped", "production", 1, "Please");
  const cy = await at("cy", `/ui/review/${id}`);
  await shows(cy, "#moves", "v1");
  const moves = [{ name: "support/swapped", label: "production", serving: { version: 2 } }];
  await team.send("ann", "POST", `/v1/requests/${id}/amendments`, { moves, message: "Rather this" });
  await shows(cy, "#discussion", "amended the proposal");
  await shows(cy, "#desk", "This changed since you opened the page.");
  assert.match(await cy.page.locator("#moves").textContent(), /Proposed\s*v1/, "what was read stays");
  await cy.page.getByRole("link", { name: "Refresh", exact: true }).click();
  await cy.page.locator("#moves").filter({ hasText: /Proposed\s*v2/ }).waitFor();
  assert.equal(await cy.page.locator("#desk").getByText("This changed").count(), 0);
  await cy.check();
});

test("whoever is about to take back sees that somebody was faster, and takes back nothing else", async () => {
  const path = await prompt("live/back", "One", "Two", "Three");
  for (const version of [1, 2]) await team.deploy("rob", "live/back", "staging", version, `Now ${version}`);
  const rob = await at("rob", path);
  const life = rob.page.locator("#life-staging");
  await life.getByText("Roll back", { exact: true }).click();
  await life.getByLabel("Reason").fill("It is wr");
  await team.deploy("admin", "live/back", "staging", 3, "Mended already");
  await shows(rob, "#serves-staging", "Mended already");
  await shows(rob, "#all-versions tr:has(a.version:text-is('v3'))", "staging");
  await life.getByLabel("Reason").press("End");
  await rob.page.keyboard.type("ong");
  assert.equal(await life.getByLabel("Reason").inputValue(), "It is wrong", "no letter is lost");
  await life.getByRole("button", { name: "Roll back staging" }).click();
  await rob.page.getByText(/someone else deployed to this label/).waitFor();
  assert.equal(await team.served("live/back", "staging"), 3);
  await rob.check();
});

test("the focus stays where it is when a part is replaced", async () => {
  const path = await prompt("live/focus", "One", "Two");
  for (const version of [1, 2]) await team.deploy("rob", "live/focus", "staging", version, `Now ${version}`);
  const rob = await at("rob", path);
  const focused = () => rob.page.evaluate(() => document.activeElement.textContent.trim());
  await rob.page.locator("#life-staging summary").focus();
  await team.deploy("admin", "live/focus", "staging", 1, "Back and");
  await shows(rob, "#life-staging", "Back and");
  assert.equal(await focused(), "Roll back");
  await rob.page.keyboard.press("Space");
  await team.deploy("admin", "live/focus", "staging", 2, "forth");
  await shows(rob, "#life-staging", "forth");
  const open = await rob.page.locator("#back-staging").evaluate((folded) => folded.open);
  assert.equal(open, true, "what is open stays open");
  await rob.page.locator("#all-versions a.version").last().focus();
  await team.publish("ann", "live/focus", "Three", "Say Three");
  await shows(rob, "#all-versions", "Say Three");
  assert.equal(await focused(), "v1");
  await rob.check();
});

test("a page in the background does not listen, and catches up when somebody looks again", async () => {
  const path = await prompt("live/hidden", "One", "Two");
  const [hidden, seen] = [await at("cy", path), await at("ben", path)];
  const asked = [];
  hidden.page.on("request", (request) => asked.push(request.url()));
  const visible = (yes) =>
    hidden.page.evaluate((yes) => {
      for (const [name, value] of [
        ["hidden", !yes],
        ["visibilityState", yes ? "visible" : "hidden"],
      ]) {
        Object.defineProperty(document, name, { value, configurable: true });
      }
      document.dispatchEvent(new Event("visibilitychange"));
    }, yes);
  await team.deploy("rob", "live/hidden", "staging", 1, "First");
  for (const visit of [hidden, seen]) await shows(visit, "#life-staging", "First");
  const closed = hidden.page.waitForEvent("requestfailed", (request) => request.url().includes("/ui/live"));
  await visible(false);
  await closed;
  asked.length = 0;
  await team.deploy("rob", "live/hidden", "staging", 2, "Second");
  await shows(seen, "#life-staging", "Second");
  assert.deepEqual(asked, [], "it asks for nothing");
  assert.match(await hidden.page.locator("#life-staging").textContent(), /First/);
  await visible(true);
  await shows(hidden, "#life-staging", "Second");
  for (const visit of [hidden, seen]) await visit.check();
});

test("who chooses what to deploy sees it at once, and deploys exactly that", async () => {
  await prompt("live/chosen", "One", "Two", "Three");
  await team.deploy("rob", "live/chosen", "staging", 1, "To begin with");
  const rob = await at("rob", "/ui/deploy/live/chosen?label=staging");
  await shows(rob, "#outcome", "v3");
  await rob.page.getByLabel("Why this change?", { exact: true }).fill("Better");
  await rob.page.getByRole("combobox", { name: "Version 1 of the default", exact: true }).selectOption("2");
  const enabled = await rob.page.locator("#buttons button:enabled").count();
  assert.equal(enabled, 0, "until it is shown nothing can be decided");
  await shows(rob, "#differences", "Content");
  await rob.page.getByLabel(/^User or session ID/).fill("user-42");
  await shows(rob, "#gets", "user-42 would get v2");
  assert.match(rob.page.url(), /d\.0\.version=2.*subject=user-42/, "the address says the same");
  // Others deploy meanwhile: elsewhere that changes nothing, here it stops the hand.
  await team.deploy("admin", "live/chosen", "elsewhere", 1, "No matter");
  await team.deploy("admin", "live/chosen", "staging", 3, "I was faster");
  await shows(rob, "#buttons", "This changed since you opened the page.");
  await rob.page.getByRole("button", { name: "Deploy to staging" }).click();
  await rob.page.getByText(/staging changed/).waitFor();
  assert.equal(await team.served("live/chosen", "staging"), 3);
  assert.equal(await rob.page.getByLabel("Why this change?", { exact: true }).inputValue(), "Better", "what is typed comes back");
  await rob.check();
});

test("sliders of shares always sum to 100 percent", async () => {
  await prompt("live/shared", "One", "Two", "Three");
  const split = "label=staging&d.0.version=1&d.0.share=50&d.1.version=2&d.1.share=30&d.2.version=3&d.2.share=20";
  const rob = await at("rob", `/ui/deploy/live/shared?${split}`);
  const shares = () => rob.page.locator("input.share").evaluateAll((all) => all.map((one) => Number(one.value)));
  await rob.page.getByRole("slider").first().fill("75");
  assert.deepEqual(await shares(), [75, 15, 10]);
  await shows(rob, "#outcome", "75%");
  await rob.page.locator("input.share").last().fill("40");
  const now = await shares();
  assert.equal(Math.round(now.reduce((sum, share) => sum + share, 0) * 100), 10_000, `${now}`);
  assert.equal(now[2], 40);
  await rob.check();
});
