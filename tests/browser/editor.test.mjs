// The editor with its script: what is typed is saved and shown by itself, stays whatever happens, and is never left
// unasked.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Visit, closeBrowser } from "./support/chromium.mjs";
import { segment } from "./support/node.mjs";
import { Team } from "./support/team.mjs";

const LOANS = "Be kind.\nBe brief.\nAdvise the customer which loan to take.\nSign.";
/** What the page says of a draft that is saved; "Not saved" is something else. */
const SAVED = /^Saved$/;

let team;
let ann;

before(async () => {
  team = await Team.start();
  ann = await Visit.open(team.node.origin);
  await ann.signIn(team.tokens.ann);
});

after(async () => {
  await ann?.close();
  await closeBrowser();
  await team?.stop();
});

const field = (name) => ann.page.getByLabel(name, { exact: true });
const press = (name) => ann.page.getByRole("button", { name, exact: true }).click();
const told = (words) => ann.page.locator("#state").filter({ hasText: words }).waitFor();
const focused = () =>
  ann.page.evaluate(() => {
    const { activeElement } = document;
    const label = activeElement.labels?.[0]?.textContent.trim();
    return activeElement.getAttribute("aria-label") ?? label ?? activeElement.id;
  });

/** Opens the editor of a prompt with this content. */
async function edit(name, content) {
  if (content) await team.publish("ann", name, content, "First words");
  await ann.goto(`/ui/edit/${name}`);
}

/** What the draft says now. */
const draft = (name) => team.send("ann", "GET", `/v1/prompts/${segment(name)}/drafts/ann`);

test("what is typed is saved, previewed with samples, and there after a reload", async () => {
  await edit("edit/saved", "Be kind.");
  await field("Text").fill("Be kind to {{name}}.");
  await told(SAVED);
  await ann.page.locator("#preview").getByText("Be kind to ⟨name⟩.").waitFor();
  await field("Test value").fill("Ada");
  await ann.page.locator("#preview").getByText("Be kind to Ada.").waitFor();
  await ann.page.locator("#change ins").first().waitFor();
  // Which variables there are follows what is typed elsewhere, and what was typed there stays.
  await field("Description").fill("Whom we greet");
  await field("Text").fill("Be kind to {{name}} from {{city}}.");
  await ann.page.getByRole("group", { name: "city", exact: true }).waitFor();
  const name = ann.page.getByRole("group", { name: "name", exact: true });
  assert.equal(await name.getByLabel("Test value").inputValue(), "Ada");
  await ann.page.locator("#preview").getByText("Be kind to Ada from ⟨city⟩.").waitFor();
  await told(SAVED);
  await ann.page.reload();
  assert.equal(await field("Text").inputValue(), "Be kind to {{name}} from {{city}}.");
  assert.equal(await name.getByLabel("Description").inputValue(), "Whom we greet");
  await ann.page.locator("#preview").getByText("Be kind to Ada from ⟨city⟩.").waitFor();
  await ann.check();
});

test("what is typed while it is being saved is saved too, and nothing of it is lost", async () => {
  await edit("edit/slow", "Hello {{name}}.");
  let answered;
  const answers = new Promise((go) => (answered = go));
  const sent = ann.page.waitForRequest((request) => request.method() === "POST");
  await ann.page.route("**/ui/edit/edit/slow?*", async (route) => {
    await answers;
    await route.continue();
  });
  await field("Test value").fill("Ad");
  await sent;
  await field("Test value").fill("Ada");
  await field("Text").fill("Hello, {{name}}.");
  answered();
  await ann.page.locator("#preview").getByText("Hello, Ada.").waitFor();
  assert.equal(await field("Test value").inputValue(), "Ada");
  await told(SAVED);
  assert.equal((await draft("edit/slow")).content.text, "Hello, {{name}}.");
  await ann.page.unroute("**/ui/edit/edit/slow?*");
  await ann.check();
});

test("findings stand beside their lines, and lead to them", async () => {
  await edit("edit/findings", "Be kind.");
  await field("Text").fill(LOANS);
  const line = ann.page.locator("#beside-text").getByRole("link", { name: "Line 3", exact: true });
  await line.click();
  const marked = () =>
    field("Text").evaluate((text) => text.value.slice(text.selectionStart, text.selectionEnd));
  assert.equal(await marked(), "Advise the customer which loan to take.");
  assert.equal(await focused(), "Text");
  // By the keyboard as well; and nobody loses their place by it.
  await field("Text").press("Home");
  await told(SAVED);
  await line.focus();
  await ann.page.keyboard.press("Enter");
  assert.equal(await marked(), "Advise the customer which loan to take.");
  await ann.page.keyboard.type("Ask a colleague.");
  await line.waitFor({ state: "detached" });
  assert.equal(await field("Text").inputValue(), "Be kind.\nBe brief.\nAsk a colleague.\nSign.");
  await told(SAVED);
  await ann.check();
});

test("messages are added, moved and taken out in place, and the focus goes with them", async () => {
  await edit("edit/chat", "Be kind.");
  await field("Why this change?").fill("A conversation");
  await press("Convert to chat");
  await field("Text of message 1").waitFor();
  assert.equal(await focused(), "Text of message 1");
  for (const [button, where] of [
    ["Add user", "Text of message 2"],
    ["Add assistant", "Text of message 3"],
  ]) {
    await press(button);
    await field(where).waitFor();
    assert.equal(await focused(), where);
    await ann.page.keyboard.type(`Typed into ${where}`);
  }
  for (const [button, where] of [
    ["Move message 3 up", "Move message 2 up"],
    ["Move message 2 up", "Move message 1 down"],
    ["Move message 1 down", "Move message 2 down"],
    ["Remove message 2", "Text of message 2"],
    ["Add placeholder", "Name of placeholder 3"],
  ]) {
    const answered = ann.page.waitForResponse((response) => response.request().method() === "GET");
    await press(button);
    await answered;
    await ann.page.waitForFunction((where) => {
      const { activeElement } = document;
      const label = activeElement.getAttribute("aria-label") ?? activeElement.labels?.[0]?.textContent.trim();
      return label === where;
    }, where);
  }
  await ann.page.keyboard.type("history");
  await told(SAVED);
  const { content } = await draft("edit/chat");
  assert.deepEqual(
    content.messages.map((message) => message.content ?? message.name),
    ["Be kind.", "Typed into Text of message 2", "history"],
  );
  assert.equal(await field("Why this change?").inputValue(), "A conversation", "which is no part of the draft");
  // Enter saves, and stays in its field.
  await ann.page.keyboard.press("Enter");
  await told(SAVED);
  assert.equal(await focused(), "Name of placeholder 3");
  await ann.check();
});

test("a field that is wrong says so beside it and loses nothing; leaving then asks", async () => {
  await edit("edit/wrong", "Be kind.");
  await ann.page.getByText("Model, tools, response and configuration").click();
  const configuration = field("Configuration, as a JSON object");
  await configuration.fill('{"team": ');
  await field("Text").fill("Be brief.");
  await ann.page.locator("#wrong-config").getByRole("alert").waitFor();
  await told("Not saved");
  assert.equal(await configuration.inputValue(), '{"team": ');
  assert.equal(await field("Text").inputValue(), "Be brief.");
  ann.guard.expectQuestion();
  const asked = ann.page.waitForEvent("dialog");
  await ann.page.getByRole("link", { name: "edit/wrong" }).click({ noWaitAfter: true });
  assert.equal((await asked).type(), "beforeunload");
  assert.equal(await configuration.inputValue(), '{"team": ', "somebody who stays has everything");
  await configuration.fill('{"team": "support"}');
  await told(SAVED);
  assert.equal(await ann.page.locator("#wrong-config").textContent(), "");
  assert.deepEqual((await draft("edit/wrong")).content.config, { team: "support" });
  // What is saved is left without a question.
  await ann.page.getByRole("link", { name: "edit/wrong" }).click();
  await ann.page.getByRole("heading", { level: 1, name: "wrong", exact: true }).waitFor();
  await ann.check();
});

test("where the node is away, or somebody was signed out, the page says so and keeps what is typed", async () => {
  await edit("edit/away", "Be kind.");
  const drafts = "**/ui/edit/edit/away?*";
  await ann.page.route(drafts, (route) => route.abort("aborted"));
  await field("Text").fill("Be brief.");
  await told("Not saved: the server is unreachable");
  await press("Convert to chat");
  await told("Not saved: the server is unreachable");
  assert.equal(await field("Text").inputValue(), "Be brief.");
  await ann.page.unroute(drafts);
  // As if the session had ended: its form is answered with the way to sign in.
  await ann.page.route(drafts, (route) => route.continue({ url: `${team.node.origin}/ui/sign-in`, method: "GET" }));
  await field("Text").fill("Be very brief.");
  await told("Not saved: you are signed out");
  assert.equal(await field("Text").inputValue(), "Be very brief.");
  await ann.page.unroute(drafts);
  await press("Save and preview");
  await told(SAVED);
  assert.equal((await draft("edit/away")).content.text, "Be very brief.");
  await ann.check();
});

test("one draft in two windows: the second one is told, and keeps what it says", async () => {
  await edit("edit/twice", "One.");
  const other = await ann.another();
  await other.goto("/ui/edit/edit/twice");
  await field("Text").fill("Left.");
  await told(SAVED);
  await other.page.getByLabel("Text", { exact: true }).fill("Right.");
  await other.page.locator("#problem").getByRole("button", { name: "Overwrite with mine" }).waitFor();
  assert.equal(await other.page.getByLabel("Text", { exact: true }).inputValue(), "Right.");
  assert.equal((await draft("edit/twice")).content.text, "Left.");
  await other.page.getByRole("button", { name: "Overwrite with mine" }).click();
  await other.page.waitForLoadState();
  await ann.page.reload();
  assert.equal(await field("Text").inputValue(), "Right.");
  await other.page.close();
  await ann.check();
});
