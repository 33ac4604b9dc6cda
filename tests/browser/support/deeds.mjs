// What people do with prompts, in any way of acting.

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
  await way.type("Search prompts", name);
  await way.button("Search");
  await way.link(name);
  await way.page.getByRole("heading", { level: 1, name: last, exact: true }).waitFor();
}

/** Opens the editor of a prompt that is there. */
export async function openEditor(way, name) {
  await findPrompt(way, name);
  await way.link("Edit");
  await way.page.getByRole("heading", { level: 1, name: `Edit ${name}`, exact: true }).waitFor();
}

/** Publishes what stands in the editor, by one of its buttons. */
export async function publish(way, { why, label, by = "Publish" }) {
  await way.type("Why this change?", why);
  if (label) await way.type(/^Label/, label);
  await way.button(by);
}

/** Writes another text in the editor and publishes it; the number of the version. */
export async function editPrompt(way, name, { text, ...more }) {
  await openEditor(way, name);
  await way.type("Text", text);
  await publish(way, more);
  return Number(new URL(way.page.url()).searchParams.get("version"));
}

/** Publishes another text and asks for it on a label; the number of the change request. */
export async function askForReview(way, name, { text, label, why }) {
  await editPrompt(way, name, { text, label, why, by: "Publish and request review" });
  return requestNumber(way);
}

/** The number of the change request that is shown. */
export async function requestNumber(way) {
  await way.page.locator("#standing").waitFor();
  return Number(/\/review\/(\d+)/.exec(way.page.url())[1]);
}

/** Chooses a version by its number, whatever the list says of it. */
export async function chooseVersion(way, label, version) {
  const option = way.field(label).locator(`option[value="${version}"]`);
  await way.choose(label, await option.textContent());
}

/** Chooses a label by its name, or makes it. */
export async function chooseLabel(way, label) {
  const option = way.page.locator(`#label option[value="${label}"]`);
  if ((await option.count()) > 0) return way.choose("Label", await option.textContent());
  await way.unfold("New label");
  await way.type("Label name", label);
  await way.button("Use this label");
}

/** Looks at what it would mean if a label served a version. */
export async function tryDeploying(way, name, { label, version }) {
  await findPrompt(way, name);
  await way.link("Deploy");
  await chooseLabel(way, label);
  await chooseVersion(way, "Version 1 of the default", version);
  await way.button("Preview changes");
}

/** Lets a label serve a version; one with grave findings only where they are meant. */
export async function deploy(way, name, { label, version, why, despite = false }) {
  await tryDeploying(way, name, { label, version });
  if (despite) await way.tick("Deploy despite findings of severity high or critical");
  await way.type("Why this change?", why);
  await way.button(`Deploy to ${label}`);
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
  await way.type("Reason", why, life);
  await way.button(`Roll back ${label}`, life);
}
