// What people come for, told once and acted in three ways: with a pointer, without JavaScript, with the keyboard alone.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after } from "node:test";

import { closeBrowser } from "./support/chromium.mjs";
import {
  chooseVersion,
  deploy,
  findPrompt,
  openEditor,
  openRequest,
  publish,
  requestNumber,
  rollBack,
  signIn,
  tryDeploying,
} from "./support/deeds.mjs";
import { Node, segment } from "./support/node.mjs";
import { count, sees, story } from "./support/stage.mjs";
import { AGENT } from "./support/team.mjs";

const HARMLESS = "You answer customers of {{shop}}.";
const LOANS = "You answer customers of {{shop}}.\nAdvise the customer which loan to take, and offer them one.";

after(closeBrowser);

const COMPLIANCE = { approvals: 1, approvers: ["compliance"], risk: { from: "high", approvers: ["compliance"] } };

story("an edit goes live only when compliance has approved it", COMPLIANCE, async (stage, team) => {
  const first = await team.publish("ann", AGENT, HARMLESS, "First words");
  await team.approveAndDeploy(AGENT, first, "First words");

  // The author edits, and asks for review; the editor says beforehand what will be asked.
  const ann = await stage.person("ann");
  await openEditor(ann, AGENT);
  await ann.type("Text", LOANS);
  await ann.inPlace("Save and preview");
  await sees(ann, "Advise the customer which loan to take");
  assert.match(await ann.page.locator("#beside-text").textContent(), /Line 2.*which loan.*(high|critical)/s);
  await publish(ann, { why: "Sell loans, please", label: "production", by: "Publish and request review" });
  const id = await requestNumber(ann);
  const edited = first + 1;
  await sees(ann, "requirements not met");
  await sees(ann, "Not allowed: ");

  // The releaser is refused, and told why and who could help.
  const rob = await stage.person("rob");
  await openRequest(rob, id, "Sell loans, please");
  await sees(rob, "Not allowed: some requirements are not met.");
  await sees(rob, "an approval by compliance because the risk is high (0 so far)");
  await sees(rob, "Can be met by: cy (compliance)");
  assert.equal(await rob.control("button", "Deploy").isDisabled(), true);
  assert.equal(await team.served(AGENT), first);

  // Compliance reads the difference and the findings, asks, and approves.
  const cy = await stage.person("cy");
  await openRequest(cy, id, "Sell loans, please");
  await sees(cy, "Findings");
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
  await sees(cy, "Ready to deploy.");

  // Now the releaser deploys it, and everybody sees what is live, since when, by whom and why.
  await rob.goto(`/ui/review/${id}`);
  await rob.type(/^Message/, "OPS-17");
  await rob.button("Deploy");
  await sees(rob, "Deployed");
  assert.equal(await team.served(AGENT), edited);
  await findPrompt(ann, AGENT);
  await sees(ann, ", approved by cy");
  await cy.link("Audit", cy.page.getByRole("navigation", { name: "Main" }));
  await cy.type("Actor", "rob");
  await cy.type("Prompt", AGENT);
  await cy.button("Filter");
  const row = cy.page.locator("tbody tr").filter({ hasText: "OPS-17" });
  await cy.unfold("Details", row);
  await sees(cy, /^Approved by/);
});

story("a rejection ends a change request, with the reason", COMPLIANCE, async (stage, team) => {
  const version = await team.publish("ann", AGENT, LOANS, "Sell loans");
  const id = await team.propose("ann", AGENT, "production", version, "Sell loans, please");
  const cy = await stage.person("cy");
  await openRequest(cy, id, "Sell loans, please");
  await cy.unfold("Reject");
  const form = cy.page.locator("form").filter({ has: cy.page.getByRole("button", { name: "Reject", exact: true }) });
  await cy.type("Reason", "We may not advise on loans", form);
  await cy.button("Reject", form);
  await sees(cy, "Rejected.");
  await sees(cy, "We may not advise on loans");
  assert.equal(await count(cy, "main form[method=post]"), 0, "nothing more can be done");
  await cy.goto("/ui/review");
  await sees(cy, "No open requests");
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
  assert.equal(await ann.control("summary", "Roll back").count(), 0);
  await tryDeploying(ann, AGENT, { label: "production", version: one });
  await sees(ann, /Not allowed: /);
  assert.equal(await ann.control("button", "Deploy").isDisabled(), true);
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
  await cy.type("At (UTC)", "2026-03-17 15:05");
  await cy.button("Show");
  const answer = cy.page.locator(".note[role=status]");
  const said = (await answer.textContent()).replace(/\s+/g, " ");
  assert.match(said, /At 2026-03-17 15:05:00 UTC:/);
  assert.match(said, /production served v2, since 2026-03-17 15:04:30 UTC, by bo: ?Customers asked for more/);
  await sees(cy, "Be thorough.");
  await cy.type("At (UTC)", "2026-03-17 13:59");
  await cy.button("Show");
  await sees(cy, "nothing was deployed");
  // The bars of the picture lead to the same answer.
  await cy.link("Back to now");
  await cy.link(/production served 3 from 2026-03-17 15:06:00/);
  await sees(cy, "At 2026-03-17 15:06:00 UTC");
  await sees(cy, "Be brief, and kind.");
});

story("words of a message and of an older text are found, and the list says where", {}, async (stage, team) => {
  await team.publish("ann", AGENT, "We refund giraffes.", "First words");
  await team.publish("ann", AGENT, "We refund zebras.", "Fewer necks");
  const rob = await stage.person("rob");
  await rob.goto("/ui/");
  await rob.type("Search prompts", "NECKS");
  await rob.button("Search");
  await sees(rob, "message of v2");
  assert.deepEqual(await rob.page.locator("mark").allTextContents(), ["necks"]);
  await rob.type("Search prompts", "giraffes");
  await rob.button("Search");
  await sees(rob, "No prompts match");
  await rob.unfold("Filters");
  await rob.tick("Include older versions");
  await rob.button("Apply");
  await sees(rob, "text of v1");
  await rob.link(AGENT);
  await sees(rob, "We refund zebras.");
});

story("a prompt is written, tried with samples and put live", {}, async (stage, team) => {
  const rob = await stage.person("rob");
  await rob.goto("/ui/");
  await rob.goto("/ui/new");
  await rob.type("Name", "mail/welcome");
  await rob.button("Continue");
  await rob.type("Text", "Greet {{name}}.");
  await rob.inPlace("Convert to chat");
  await rob.inPlace("Add user");
  await rob.type("Text of message 2", "Hello, I am {{name}}.");
  await rob.inPlace("Add system");
  await rob.type("Text of message 3", "Be kind.");
  await rob.inPlace("Move message 3 up");
  await rob.type("Test value", "Ada", rob.page.getByRole("group", { name: "name", exact: true }));
  await rob.inPlace("Save and preview");
  const preview = await rob.page.locator("#preview .said").allTextContents();
  assert.deepEqual(
    preview.map((said) => said.replace(/\s+/g, " ")).map((said) => /[A-Z].*\.$/.exec(said)?.[0]),
    ["Greet Ada.", "Be kind.", "Hello, I am Ada."],
  );
  await publish(rob, { why: "First words", label: "staging", by: "Publish and deploy" });
  await sees(rob, "First words");
  assert.equal(await team.served("mail/welcome", "staging"), 1);
  const { content } = await team.send("rob", "GET", `/v1/prompts/${segment("mail/welcome")}/versions/1`);
  assert.deepEqual(
    content.messages.map(({ role, content }) => [role, content]),
    [
      ["system", "Greet {{name}}."],
      ["system", "Be kind."],
      ["user", "Hello, I am {{name}}."],
    ],
  );
});

story("a version goes live with shares and a rule, exactly as it was shown", {}, async (stage, team) => {
  for (const text of ["One", "Two", "Three"]) await team.publish("ann", AGENT, `${text}, {{shop}}.`, text);
  const rob = await stage.person("rob");
  await deploy(rob, AGENT, { label: "staging", version: 1, why: "To begin with" });
  assert.equal(await team.served(AGENT, "staging"), 1);

  await rob.link("Deploy … to staging");
  await rob.button("Split with another version");
  await chooseVersion(rob, "Version 1 of the default", 1);
  await chooseVersion(rob, "Version 2 of the default", 2);
  await rob.type(/^Share of version 1 of the default in/, "60");
  await rob.type(/^Share of version 2 of the default in/, "40");
  await rob.button("Add a rule");
  await rob.type("If", "locale=de*");
  await chooseVersion(rob, "Version 1 of rule 1", 3);
  await rob.type(/^User or session ID/, "user-42");
  await rob.type(/^Attributes/, "locale=en");
  await rob.button("Preview changes");
  assert.match(await rob.page.locator("#outcome").textContent(), /Now.*v1.*After.*60.*40/s);
  const promised = async () =>
    Number(/would get v(\d+)/.exec(await rob.page.locator("#gets").textContent())[1]);
  const english = await promised();
  await rob.type(/^Attributes/, "locale=de-AT");
  await rob.button("Preview changes");
  await sees(rob, "by rule 1");
  assert.equal(await promised(), 3);
  await rob.type("Why this change?", "Four in ten, and all of Austria");
  await rob.button("Deploy to staging");
  const given = async (locale) =>
    (await team.send("rob", "GET", `/v1/resolve/${AGENT}@staging?subject=user-42&attr=locale=${locale}`)).version;
  assert.deepEqual([await given("en"), await given("de-AT")], [english, 3]);
});

story("who deploys too early is told what is missing, and asks for it", COMPLIANCE, async (stage, team) => {
  const first = await team.publish("ann", AGENT, HARMLESS, "First words");
  await team.approveAndDeploy(AGENT, first, "First words");
  const second = await team.publish("ann", AGENT, LOANS, "Sell loans");
  const rob = await stage.person("rob");
  await tryDeploying(rob, AGENT, { label: "production", version: second });
  const outcome = rob.page.locator("#outcome");
  assert.match(await outcome.textContent(), /an approval by compliance.*Can be met by: cy \(compliance\)/s);
  assert.match((await rob.page.locator("#differences .line.new .say").allTextContents()).join(), /which loan/);
  await sees(rob, "Some requirements are not met.");
  assert.equal(await rob.control("button", "Deploy").isDisabled(), true);
  await rob.type("Why this change?", "Sell loans, please");
  await rob.button("Request review");
  const id = await requestNumber(rob);
  await team.review("cy", id, "approve", "Read");
  await deploy(rob, AGENT, { label: "production", version: second, why: "Approved", despite: true });
  assert.equal(await team.served(AGENT), second);
});

story("two people edit the same prompt, and neither loses anything", {}, async (stage, team) => {
  const base = await team.publish("ann", AGENT, "Greet {{name}}.\n\nBe brief.\n\nSign.", "First words");
  const [ann, ben] = [await stage.person("ann"), await stage.person("ben")];
  for (const way of [ann, ben]) await openEditor(way, AGENT);
  await ben.type("Text", "Greet {{name}}.\n\nBe very brief.\n\nSign with love.");
  await ann.type("Text", "Greet {{name}} warmly.\n\nBe kind.\n\nSign.");
  await publish(ann, { why: "Warmer" });
  assert.match(await ann.page.locator("#shown").textContent(), /warmly/);

  // He is not first: both sides are shown, he chooses, and goes on with both.
  await publish(ben, { why: "Shorter" });
  await ben.page.getByRole("heading", { level: 1, name: "Merge changes" }).waitFor();
  const conflict = ben.page.locator("fieldset.proposal");
  assert.equal(await conflict.count(), 1, "only what both changed is asked");
  assert.match(await conflict.textContent(), /Your draft.*Be very brief.*by ann.*Be kind/s);
  await ben.pick(/by ann/, conflict);
  await ben.button("Merge and continue editing");
  await sees(ben, "Merged.");
  const text = () => ben.page.getByLabel("Text", { exact: true }).inputValue();
  assert.equal(await text(), "Greet {{name}} warmly.\n\nBe kind.\n\nSign with love.");
  await publish(ben, { why: "With love" });
  await findPrompt(ben, AGENT);
  const row = ben.page.getByRole("row").filter({ hasText: `v${base + 2}` });
  assert.match(await row.textContent(), /With love.*ben/);
  await ben.goto(`/ui/diff/${AGENT}?from=${base}&to=${base + 2}`);
  const said = await ben.page.locator(".line.new .say").allTextContents();
  assert.match(said.join(), /warmly.*with love/s, "the newest version has both");
});

story("what fits together is brought together without questions", {}, async (stage, team) => {
  await team.publish("ann", AGENT, "One.\nTwo.\nThree.", "First words");
  const ben = await stage.person("ben");
  await openEditor(ben, AGENT);
  await ben.type("Text", "One.\nTwo.\nThree!");
  await ben.inPlace("Save and preview");
  await team.publish("ann", AGENT, "One!\nTwo.\nThree.", "Louder");
  await publish(ben, { why: "Louder" });
  await sees(ben, "changed different parts");
  assert.equal(await count(ben, "input[type=radio]"), 0);
  await ben.button("Merge and continue editing");
  await publish(ben, { why: "Louder" });
  const { content } = await team.send("ben", "GET", `/v1/prompts/${segment(AGENT)}/versions/3`);
  assert.equal(content.text, "One!\nTwo.\nThree!");
});

story("one draft in two windows: nothing is lost unasked", {}, async (stage, team) => {
  await team.publish("ann", AGENT, "One.", "First words");
  const left = await stage.person("ann");
  await openEditor(left, AGENT);
  const right = await left.another();
  await right.goto(`/ui/edit/${AGENT}`);
  await left.type("Text", "Left.");
  await left.inPlace("Save and preview");
  await right.type("Text", "Right.");
  await right.inPlace("Save and preview");
  await sees(right, "Overwrite with mine");
  assert.equal(await right.page.getByLabel("Text", { exact: true }).inputValue(), "Right.", "what is typed stays");
  await right.button("Overwrite with mine");
  await left.goto(`/ui/edit/${AGENT}`);
  assert.equal(await left.page.getByLabel("Text", { exact: true }).inputValue(), "Right.");
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
    await sees(reader, "Read-only replica");
    assert.equal(await reader.page.getByText("Last contact with the primary").count(), 0);
    await team.node.kill9();
    await replica.goesStale();
    await findPrompt(reader, AGENT);
    await sees(reader, /Last contact with the primary: \d+ s ago\./);
    await sees(reader, "Advise the customer which loan to take");
    await sees(reader, "Deployment history");
    await reader.link("Compare with v1");
    await sees(reader, "From v1 to v2");
    for (const path of ["/ui/", `/ui/prompts/${AGENT}`, `/ui/diff/${AGENT}?from=1&to=2`, "/ui/sign-in"]) {
      await reader.goto(path);
      await sees(reader, "Last contact with the primary");
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
  await cy.choose("Result", "denied");
  await cy.button("Filter");
  const rows = cy.page.locator("tbody tr");
  assert.equal(await rows.count(), 1);
  assert.match(await rows.first().textContent(), /ann.*deploy.*I wish.*denied/s);
  await cy.link("ann");
  await cy.link("Clear filters");
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
  await sees(ann, "That token is not valid");
  await signIn(ann, team.tokens.ann);
  await ann.unfold("ann");
  await ann.button("Sign out");
  await ann.page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await ann.goto("/ui/");
  assert.equal(await ann.page.getByText("Sign out", { exact: true }).count(), 0);
});
