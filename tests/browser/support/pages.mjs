// Every page there is. A new page is one more line here; `accessibility.test.mjs` fails when a route is missing.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { ROOT } from "./node.mjs";

/** The page that would let production serve the newest version, for which something is missing. */
const wanted = (sample) => `/ui/deploy/support/agent?label=production&version=${sample.newest}`;

/** Publishes what stands in the editor with this configuration. */
async function published(page, config) {
  await page.locator("#more").evaluate((folded) => (folded.open = true));
  await page.locator("#config").fill(config);
  await page.locator("#message").fill("Wider");
  const arrived = page.waitForEvent("load");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await arrived;
}

/** Brings in two files, one of which is none. */
async function brought(page) {
  const file = (name, text) => ({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  const files = [file("opening-hours.prompt", "We open at {{hour}}.\n"), file("a@b.prompt", "x")];
  await page.locator("#bring-files").setInputFiles(files);
  await page.locator("#bring-why").fill("From the handbook");
  const arrived = page.waitForEvent("load");
  await page.getByRole("button", { name: "Import folder" }).click();
  await arrived;
}

/** Submits a form of the page by a button; what answers may be a page with what is wrong. */
async function sent(page, button) {
  const arrived = page.waitForEvent("load");
  await page.getByRole("button", { name: button, exact: true }).last().click();
  await arrived;
}

/** Imports a configuration of promptfoo, a part of which is not supported. */
async function importedSuite(page) {
  const config = [
    "providers: [openai:gpt-5-mini]",
    "prompts: ['{{question}}']",
    "tests:",
    "  - description: refund",
    "    vars: { question: Can I get my money back? }",
    "    assert: [{ type: icontains, value: 30 days }]",
    "  - description: coded",
    "    assert: [{ type: javascript, value: output.length < 500 }]",
  ].join("\n");
  await page.locator("#import-name").fill("imported");
  const file = { name: "promptfooconfig.yaml", mimeType: "text/yaml", buffer: Buffer.from(config) };
  await page.locator("#import-file").setInputFiles(file);
  await sent(page, "Check the file");
}

/** Saves a case with something wrong in it. */
async function wrongCase(page) {
  await page.locator("#weight").fill("heavy");
  await sent(page, "Save");
}

/** Starts a run of a prompt that is not there, which is refused. */
async function wrongRun(page) {
  await sent(page, "Start");
}

/**
 * Each page: a name for files and messages, its route, and its path. `path` may be a function of the sample. `as` is who
 * looks (nobody who has signed in where it is missing), `on` the node (`primary`, `replica`, or `empty`), `status` what
 * it is answered with where that is not 200, `menu` opens what is behind one's own name, and `act` does something on the
 * page that leads to the one that is meant.
 */
export const PAGES = [
  { name: "prompts", route: "/ui/", path: "/ui/", as: "priya" },
  { name: "prompts-folder", route: "/ui/", path: "/ui/?folder=support/", as: "priya" },
  { name: "prompts-found", route: "/ui/", path: "/ui/?q=customer+maya", as: "priya" },
  { name: "prompts-none", route: "/ui/", path: "/ui/?q=nothing-is-called-this", as: "priya" },
  { name: "first-run", route: "/ui/", path: "/ui/", on: "empty" },
  { name: "prompt", route: "/ui/prompts/{*name}", path: "/ui/prompts/support/agent", as: "priya" },
  {
    name: "prompt-newest",
    route: "/ui/prompts/{*name}",
    path: (sample) => `/ui/prompts/support/agent?version=${sample.newest}`,
    as: "maya",
  },
  { name: "prompt-chat", route: "/ui/prompts/{*name}", path: "/ui/prompts/triage/classifier", as: "priya" },
  {
    name: "prompt-done",
    route: "/ui/prompts/{*name}",
    path: "/ui/prompts/onboarding/welcome-mail?done=rollback",
    as: "priya",
  },
  {
    name: "prompt-then",
    route: "/ui/prompts/{*name}",
    path: (sample) => `/ui/prompts/support/agent?at=${sample.then}`,
    as: "elena",
  },
  { name: "prompt-removed", route: "/ui/prompts/{*name}", path: "/ui/prompts/internal/haiku-of-the-day", as: "priya" },
  { name: "prompt-local", route: "/ui/prompts/{*name}", path: "/ui/prompts/onboarding/welcome-mail" },
  { name: "prompt-use", route: "/ui/prompts/{*name}", path: "/ui/prompts/support/agent?since=30d", as: "priya" },
  { name: "usage", route: "/ui/usage", path: "/ui/usage?since=30d", as: "priya" },
  { name: "usage-local", route: "/ui/usage", path: "/ui/usage?since=24h" },
  { name: "usage-none", route: "/ui/usage", path: "/ui/usage", on: "empty" },
  { name: "replica-usage", route: "/ui/usage", path: "/ui/usage", on: "replica", status: 403 },
  { name: "response", route: "/ui/responses/{id}", path: "/ui/responses/chat-9-2", as: "priya" },
  { name: "response-unattributed", route: "/ui/responses/{id}", path: "/ui/responses/chat-9-3", as: "priya" },
  { name: "trace", route: "/ui/responses/{id}", path: "/ui/responses/00000000000000000000000000000009", as: "priya" },
  { name: "session", route: "/ui/sessions/{id}", path: "/ui/sessions/chat-9", as: "priya" },
  { name: "response-none", route: "/ui/responses", path: "/ui/responses?id=no-such", as: "priya", status: 404 },
  { name: "replica-response", route: "/ui/responses/{id}", path: "/ui/responses/chat-9-2", on: "replica", status: 403 },
  { name: "diff", route: "/ui/diff/{*name}", path: "/ui/diff/support/agent?from=4&to=5", as: "priya" },
  { name: "diff-same", route: "/ui/diff/{*name}", path: "/ui/diff/support/agent?from=4&to=4", as: "priya" },
  {
    name: "diff-split",
    route: "/ui/diff/{*name}",
    path: "/ui/diff/support/agent?from=3&to=5&view=split&context=all",
    as: "priya",
  },
  { name: "prompts-tag", route: "/ui/", path: "/ui/?tag=customers", as: "priya" },
  { name: "bring", route: "/ui/bring", path: "/ui/bring", as: "maya" },
  { name: "bring-local", route: "/ui/bring", path: "/ui/bring" },
  { name: "brought", route: "/ui/bring", path: "/ui/bring", as: "maya", act: brought },
  { name: "replica-bring", route: "/ui/bring", path: "/ui/bring", on: "replica" },
  { name: "review", route: "/ui/review", path: "/ui/review", as: "elena" },
  { name: "review-applied", route: "/ui/review", path: "/ui/review?state=applied", as: "elena" },
  { name: "review-expired", route: "/ui/review", path: "/ui/review?state=expired", as: "elena" },
  { name: "request", route: "/ui/review/{id}", path: (sample) => `/ui/review/${sample.open}`, as: "elena" },
  {
    name: "request-mine",
    route: "/ui/review/{id}",
    path: (sample) => `/ui/review/${sample.open}?done=missing`,
    as: "maya",
  },
  { name: "request-admin", route: "/ui/review/{id}", path: (sample) => `/ui/review/${sample.open}`, as: "admin" },
  {
    name: "request-rejected",
    route: "/ui/review/{id}",
    path: (sample) => `/ui/review/${sample.rejected}`,
    as: "priya",
  },
  { name: "new", route: "/ui/new", path: "/ui/new", as: "maya" },
  { name: "new-wrong", route: "/ui/new", path: "/ui/new?name=support%40agent", as: "maya" },
  { name: "edit-new", route: "/ui/edit/{*name}", path: "/ui/edit/support/opening-hours", as: "maya" },
  { name: "edit-findings", route: "/ui/edit/{*name}", path: "/ui/edit/support/agent", as: "maya" },
  { name: "edit-chat", route: "/ui/edit/{*name}", path: "/ui/edit/triage/classifier", as: "jonas" },
  { name: "edit-moved", route: "/ui/edit/{*name}", path: "/ui/edit/sales/objections", as: "jonas" },
  {
    name: "edit-problem",
    route: "/ui/edit/{*name}",
    path: "/ui/edit/legal/clause-finder",
    as: "maya",
    act: (page) => published(page, "{"),
  },
  { name: "merge-conflict", route: "/ui/merge/{*name}", path: "/ui/merge/sales/objections?draft=jonas", as: "jonas" },
  { name: "merge-clean", route: "/ui/merge/{*name}", path: "/ui/merge/sales/offer?draft=jonas", as: "jonas" },
  { name: "merge-none", route: "/ui/merge/{*name}", path: "/ui/merge/sales/recap?draft=jonas", as: "jonas" },
  {
    name: "deploy",
    route: "/ui/deploy/{*name}",
    path: "/ui/deploy/onboarding/welcome-mail?label=staging&version=4",
    as: "tomas",
  },
  {
    name: "deploy-split",
    route: "/ui/deploy/{*name}",
    path: "/ui/deploy/triage/classifier?label=production&subject=user-42&attributes=locale%3Dde-AT",
    as: "priya",
  },
  { name: "deploy-missing", route: "/ui/deploy/{*name}", path: wanted, as: "priya" },
  { name: "deploy-barred", route: "/ui/deploy/{*name}", path: wanted, as: "maya" },
  { name: "deploy-glass", route: "/ui/deploy/{*name}", path: wanted, as: "admin" },
  { name: "deploy-wrong", route: "/ui/deploy/{*name}", path: "/ui/deploy/support/agent?version=99", as: "priya" },
  { name: "promote", route: "/ui/promote", path: "/ui/promote?pattern=**&from=latest&to=staging", as: "priya" },
  { name: "promote-empty", route: "/ui/promote", path: "/ui/promote", as: "priya" },
  { name: "promote-wrong", route: "/ui/promote", path: "/ui/promote?pattern=**&from=staging&to=staging", as: "priya" },
  { name: "people", route: "/ui/access", path: "/ui/access", as: "admin" },
  { name: "person", route: "/ui/access/who/{name}", path: "/ui/access/who/maya", as: "admin" },
  { name: "tokens", route: "/ui/access/tokens", path: "/ui/access/tokens", as: "admin" },
  { name: "token", route: "/ui/access/tokens/{name}", path: "/ui/access/tokens/maya-laptop", as: "admin" },
  { name: "roles", route: "/ui/access/roles", path: "/ui/access/roles", as: "admin" },
  { name: "role", route: "/ui/access/roles/{name}", path: "/ui/access/roles/author", as: "admin" },
  { name: "policies", route: "/ui/access/policies", path: "/ui/access/policies", as: "admin" },
  { name: "policy", route: "/ui/access/policies/{name}", path: "/ui/access/policies/production", as: "admin" },
  { name: "rule-sets", route: "/ui/access/rules", path: "/ui/access/rules", as: "admin" },
  { name: "rule-set", route: "/ui/access/rules/{name}", path: "/ui/access/rules/house", as: "admin" },
  { name: "webhooks", route: "/ui/access/webhooks", path: "/ui/access/webhooks", as: "admin" },
  { name: "webhook", route: "/ui/access/webhooks/{name}", path: "/ui/access/webhooks/deploy-bot", as: "admin" },
  { name: "archive", route: "/ui/access/archive", path: "/ui/access/archive?unused_days=365", as: "admin" },
  { name: "policy-new", route: "/ui/access/new-policy", path: "/ui/access/new-policy", as: "admin" },
  {
    name: "why",
    route: "/ui/access/why",
    path: "/ui/access/why?who=maya&permission=deploy&prompt=support%2Fagent&label=production",
    as: "admin",
  },
  { name: "observed", route: "/ui/observed", path: "/ui/observed", as: "priya" },
  { name: "observed-one", route: "/ui/observed/{id}", path: (sample) => `/ui/observed/${sample.observed}`, as: "priya" },
  { name: "observed-missing", route: "/ui/observed/{id}", path: "/ui/observed/0000000000000001", as: "priya", status: 404 },
  { name: "replica-observed", route: "/ui/observed", path: "/ui/observed", on: "replica", status: 403 },
  { name: "alerts", route: "/ui/alerts", path: "/ui/alerts", as: "admin" },
  { name: "alert", route: "/ui/alerts/{name}", path: "/ui/alerts/support-spend", as: "admin" },
  { name: "alert-missing", route: "/ui/alerts/{name}", path: "/ui/alerts/none", as: "priya", status: 404 },
  { name: "alerts-none", route: "/ui/alerts", path: "/ui/alerts", on: "empty" },
  { name: "evaluations", route: "/ui/evaluations", path: "/ui/evaluations", as: "admin" },
  { name: "evaluations-none", route: "/ui/evaluations", path: "/ui/evaluations", on: "empty" },
  { name: "evaluation", route: "/ui/evaluations/{id}", path: (sample) => `/ui/evaluations/${sample.run}?verdict=all`, as: "admin" },
  { name: "evaluation-missing", route: "/ui/evaluations/{id}", path: "/ui/evaluations/999", as: "priya", status: 404 },
  { name: "suite", route: "/ui/suites/{name}", path: "/ui/suites/regress?done=saved", as: "admin" },
  { name: "suite-read", route: "/ui/suites/{name}", path: "/ui/suites/regress?version=1", as: "priya" },
  { name: "suite-new", route: "/ui/new-suite", path: "/ui/new-suite", as: "admin" },
  { name: "suite-new-wrong", route: "/ui/new-suite", path: "/ui/new-suite?name=A%20b", as: "admin" },
  { name: "suite-import", route: "/ui/new-suite", path: "/ui/new-suite", as: "admin", act: importedSuite },
  { name: "suite-case", route: "/ui/suites/{name}/case", path: "/ui/suites/regress/case?case=angry%20customer", as: "admin" },
  { name: "suite-case-new", route: "/ui/suites/{name}/case", path: "/ui/suites/regress/case", as: "admin" },
  {
    name: "suite-case-wrong",
    route: "/ui/suites/{name}/case",
    path: "/ui/suites/regress/case?case=opening%20hours",
    as: "admin",
    act: wrongCase,
  },
  { name: "suite-case-barred", route: "/ui/suites/{name}/case", path: "/ui/suites/regress/case", as: "maya", status: 403 },
  { name: "suite-settings", route: "/ui/suites/{name}/settings", path: "/ui/suites/regress/settings", as: "admin" },
  { name: "suite-text", route: "/ui/suites/{name}/text", path: "/ui/suites/regress/text", as: "admin" },
  { name: "new-run", route: "/ui/new-run", path: "/ui/new-run?suite=regress&prompt=support/agent%40latest", as: "priya" },
  { name: "new-run-wrong", route: "/ui/new-run", path: "/ui/new-run?suite=regress&prompt=nothing", as: "priya", act: wrongRun },
  { name: "playground", route: "/ui/playground", path: "/ui/playground", as: "admin" },
  {
    name: "playground-version",
    route: "/ui/playground",
    path: "/ui/playground?prompt=support/agent%40latest",
    as: "priya",
  },
  { name: "replica-evaluations", route: "/ui/evaluations", path: "/ui/evaluations", on: "replica", status: 403 },
  { name: "replicas", route: "/ui/replicas", path: "/ui/replicas", as: "admin" },
  { name: "replica-replicas", route: "/ui/replicas", path: "/ui/replicas", on: "replica" },
  { name: "audit", route: "/ui/audit", path: "/ui/audit", as: "elena" },
  { name: "audit-refused", route: "/ui/audit", path: "/ui/audit?refused=yes", as: "elena" },
  { name: "sign-in", route: "/ui/sign-in", path: "/ui/sign-in" },
  { name: "sign-in-link-used", route: "/ui/sign-in-link", path: "/ui/sign-in-link?key=bh_0123456789abcdef0123456789", status: 404 },
  { name: "problem-404", route: "/ui/prompts/{*name}", path: "/ui/prompts/nothing", as: "priya", status: 404 },
  { name: "problem-403", route: "/ui/audit", path: "/ui/audit", as: "maya", status: 403 },
  { name: "menu", route: "/ui/review", path: "/ui/review?state=withdrawn", as: "elena", menu: true },
  { name: "replica-prompts", route: "/ui/", path: "/ui/", on: "replica" },
  { name: "replica-prompt", route: "/ui/prompts/{*name}", path: "/ui/prompts/support/agent", on: "replica" },
  { name: "replica-sign-in", route: "/ui/sign-in", path: "/ui/sign-in", on: "replica" },
];

/** What is answered under `/ui` and is no page. */
export const NO_PAGES = ["/ui", "/ui/app.css", "/ui/app.js", "/ui/icon.svg", "/ui/live", "/ui/evaluations/{id}/report"];

/** The path of a page in a sample. */
export const pathOf = (page, sample) => (typeof page.path === "function" ? page.path(sample) : page.path);

/** Every route of the pages that answers to `GET`, as the program's own table has them. */
export async function routes() {
  const table = await readFile(join(ROOT, "src/http/ui/routes.rs"), "utf8");
  return [...table.matchAll(/\(\s*"GET",\s*"([^"]+)"/g)].map(([, route]) => route);
}
