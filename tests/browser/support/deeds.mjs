// What people do with prompts, in any way of acting.
//
// `editPrompt` and `deploy` go through the HTTP interface until there are pages for them; stories call only these.

import { segment } from "./node.mjs";

/** Signs somebody in by the page. */
export async function signIn(way, token) {
  await way.goto("/ui/sign-in");
  await way.type("Access token", token);
  await way.button("Sign in");
  await way.page.getByText("Sign out", { exact: true }).waitFor({ state: "attached" });
}

/** Opens a prompt as people find it: by searching the list. */
export async function findPrompt(way, name) {
  const last = name.split("/").at(-1);
  await way.goto("/ui/");
  await way.type("Name", name);
  await way.button("Filter");
  await way.link(name);
  await way.page.getByRole("heading", { level: 1, name: last, exact: true }).waitFor();
}

/**
 * Writes a version on top of the one that was read; `{ version }`, or `{ refused }` with the reason when somebody else
 * was faster.
 */
export async function editPrompt(team, who, name, { on, text, why }) {
  const path = `/v1/prompts/${segment(name)}/versions`;
  const body = { content: { syntax: "mustache", text }, message: why, expected_parent: on };
  const headers = { authorization: `Bearer ${team.tokens[who]}`, "content-type": "application/json" };
  const answer = await fetch(team.node.origin + path, { method: "POST", headers, body: JSON.stringify(body) });
  const said = await answer.json();
  return answer.ok ? { version: said.version.number } : { refused: said.detail };
}

/** Lets a label serve a version that needs nobody's approval. */
export async function deploy(team, who, name, label, version, why) {
  await team.deploy(who, name, label, version, why);
}

/** Asks for the version that the page shows on a label; the number of the change request. */
export async function askForReview(way, { version, label, why }) {
  await way.unfold(`Ask for v${version} on a label`);
  await way.type("Label", label, way.page.locator("form[action='/ui/propose']"));
  await way.type("Why?", why, way.page.locator("form[action='/ui/propose']"));
  await way.button("Ask for review");
  const heading = await way.page.getByRole("heading", { level: 1 }).textContent();
  return Number(/^Change request (\d+)$/.exec(heading)[1]);
}

/** Opens a change request from the queue. */
export async function openRequest(way, id, message) {
  await way.page.getByRole("navigation", { name: "Main" }).waitFor();
  await way.link(/^Review/, way.page.getByRole("navigation", { name: "Main" }));
  await way.link(`${id} ${message}`);
}

/** Takes back what a label serves, with a reason. */
export async function rollBack(way, label, why) {
  const life = way.page.locator(".life").filter({ has: way.page.getByRole("heading", { name: label, exact: true }) });
  await way.unfold("Roll back", life);
  await way.type("Why?", why, life);
  await way.button(`Roll back ${label}`, life);
}
