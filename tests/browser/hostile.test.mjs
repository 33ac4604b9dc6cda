// Whatever others wrote is text: on every page and in what is downloaded, nothing of it runs, fetches, hides or breaks
// out; first for what was made up to do that, then for the real history of a real library.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

import { Visit, closeBrowser, visiting } from "./support/chromium.mjs";
import { NAMES, PAYLOADS, REFUSED_NAMES, UNSEEN, UNSEEN_MESSAGE, question, wrongs } from "./support/hostile.mjs";
import { NARROW, WIDE, sticksOut } from "./support/layout.mjs";
import { ROOT, segment } from "./support/node.mjs";
import { besieged } from "./support/siege.mjs";
import { Team } from "./support/team.mjs";

const HISTORY = join(ROOT, "fixtures/history/prompts-chat.jsonl.zst");
/** Prompts of the real history whose pages are opened; those of all others are read without being shown. */
const OPENED_MAX = 40;
/** Pages that are fetched at once. */
const AT_ONCE = 4;

after(closeBrowser);

/** A path of a prompt, as pages write it. */
const path = (kind, name, query = "") => `/ui/${kind}/${name.split("/").map(segment).join("/")}${query}`;

/** Opens a path, and fails on whatever a text did there. */
async function open(visit, at, { status } = {}) {
  if (status) visit.guard.expect(status);
  await visit.goto(at);
  await visit.page.evaluate(() => document.querySelectorAll("details").forEach((folded) => (folded.open = true)));
  assert.deepEqual(await visit.page.evaluate(wrongs, question()), [], at);
  await visit.check();
}

/** Downloads a report as somebody who is signed in; the text of the document. */
async function report(visit, format, from = "2000-01-01T00:00") {
  await visit.goto("/ui/audit");
  await visit.page.locator("summary", { hasText: "Download a signed report" }).click();
  await visit.page.locator("form[action=\"/ui/report\"] input[name=from]").fill(from);
  await visit.page.locator("select[name=format]").selectOption(format);
  const file = visit.page.waitForEvent("download");
  await visit.page.getByRole("button", { name: "Download", exact: true }).click();
  const archive = await readFile(await (await file).path());
  // The document is the archive's first file: behind a head of 512 bytes, which says its size in octal.
  const size = parseInt(archive.toString("latin1", 124, 136), 8);
  return archive.toString("utf8", 512, 512 + size);
}

/** Opens a report from a file, with JavaScript, where no policy of a server protects it. */
async function openReport(html) {
  const home = await mkdtemp(join(tmpdir(), "bookholder-report-"));
  try {
    const file = join(home, "report.html");
    await writeFile(file, html);
    await visiting("null", { baseURL: undefined }, async (visit) => {
      await visit.goto(pathToFileURL(file).href);
      assert.deepEqual(await visit.page.evaluate(wrongs, question({ report: true })), []);
    });
  } finally {
    await rm(home, { recursive: true });
  }
}

/** One registry is enough for all that is made up. */
let team;
/** Its admin, who sees all of it. */
let visit;

before(async () => {
  team = await besieged();
  visit = await Visit.open(team.node.origin);
  await visit.signIn(team.tokens.admin);
});

after(async () => {
  await visit?.close();
  await team?.stop();
});

for (const [index, name] of NAMES.entries()) {
  test(`a prompt called ${JSON.stringify(name.slice(0, 60))} is text on all of its pages`, async () => {
    for (const query of ["", "?version=1", "?version=3", "?at=2026-03-02T12:00", "?done=rollback"]) {
      await open(visit, path("prompts", name, query));
    }
    await open(visit, path("diff", name, "?from=1&to=2"));
    await open(visit, path("diff", name, "?from=1&to=3"));
    if (index === 0) await open(visit, path("diff", name, `?from=3&to=${team.version}`));
    await visit.page.setViewportSize(NARROW);
    for (const kind of ["prompts", "diff"]) {
      await open(visit, path(kind, name, kind === "diff" ? "?from=1&to=2" : ""));
      assert.equal(await visit.page.evaluate(sticksOut), "", "and does not make the page wider");
    }
    await visit.page.setViewportSize(WIDE);
  });
}

test("characters that nobody sees are shown by their numbers, and the rest as it was written", async () => {
  await open(visit, path("prompts", NAMES[1], "?version=1"));
  const said = await visit.page.locator(".talk").innerText();
  for (const payload of PAYLOADS) assert.ok(said.includes(payload), `${payload} is shown in ${said}`);
  const odd = await visit.page.locator(".talk .odd").allTextContents();
  assert.deepEqual(new Set(odd), new Set(Object.values(UNSEEN)));
});

test("a name that wants to be more than text is refused everywhere, and is text where that is said", async () => {
  for (const name of REFUSED_NAMES) {
    const content = { content: { syntax: "plain", text: "a" }, message: "b" };
    const refused = await team.node.send("POST", `/v1/prompts/${segment(name)}/versions`, content, { fails: 400 });
    assert.equal(refused.code, "invalid_name", name);
    await open(visit, `/ui/new?name=${segment(name)}`);
    await visit.page.getByRole("alert").filter({ hasText: "use a-z, 0-9" }).waitFor();
    await open(visit, path("prompts", name), { status: 404 });
  }
});

test("lists, searches, the queue, change requests and the log show hostile texts as texts", async () => {
  const asked = segment(PAYLOADS[1]);
  for (const at of [
    "/ui/",
    "/ui/?folder=hostile/",
    `/ui/?q=${asked}`,
    `/ui/?q=${segment(UNSEEN_MESSAGE)}`,
    `/ui/?folder=${asked}`,
    "/ui/usage",
    "/ui/alerts",
    "/ui/alerts/hostile",
    "/ui/evaluations",
    `/ui/evaluations/${team.run}`,
    "/ui/suites/hostile",
    "/ui/suites/hostile/case",
    `/ui/suites/hostile/case?case=${segment(`1 ${PAYLOADS[1].slice(0, 150)}`)}`,
    "/ui/suites/hostile/settings",
    "/ui/suites/hostile/text",
    `/ui/new-run?suite=${asked}&prompt=${asked}&draft=${asked}`,
    "/ui/observed",
    `/ui/observed/${team.observed}`,
    ...NAMES.map((_, index) => `/ui/responses/hostile-${index}`),
    `/ui/responses/${asked}`,
    ...PAYLOADS.slice(0, 2).map((payload) => `/ui/sessions/${segment(payload.slice(0, 100))}`),
    path("prompts", NAMES[1], "?since=24h"),
    "/ui/review",
    "/ui/review?state=rejected",
    `/ui/review/${team.request}`,
    `/ui/review/${team.rejected}`,
    "/ui/audit",
    "/ui/audit?refused=yes",
    `/ui/audit?who=${asked}&prompt=${segment(NAMES[0])}`,
  ]) {
    await open(visit, at);
    await visit.page.setViewportSize(NARROW);
    assert.equal(await visit.page.evaluate(sticksOut), "", at);
    await visit.page.setViewportSize(WIDE);
  }
});

test("every page of the log is text", async () => {
  await open(visit, "/ui/audit");
  const older = visit.page.getByRole("link", { name: "Older entries" });
  while ((await older.count()) > 0) await open(visit, await older.getAttribute("href"));
});

test("what is asked for in the address is text where it is refused", async () => {
  for (const [at, status] of [
    [path("prompts", `${PAYLOADS[1]}/x`), 404],
    [path("prompts", "a", `?version=${segment(PAYLOADS[1])}`), 400],
    [path("prompts", "a", `?${segment(PAYLOADS[1])}=1`), 404],
    [`/ui/?label=${segment(PAYLOADS[1])}`, 400],
    [`/ui/?cursor=${segment(PAYLOADS[1])}`, undefined],
    [`/ui/review/${segment(PAYLOADS[1])}`, 400],
    [`/ui/responses?id=${segment(PAYLOADS[12])}`, 404],
    [`/ui/sessions/${segment(PAYLOADS[12])}`, 404],
    [`/ui/${segment(PAYLOADS[1])}`, 404],
    [`/ui/review/1?done=${segment(PAYLOADS[1])}`, undefined],
  ]) {
    await open(visit, at, { status });
  }
});

test("the form for signing in leads nowhere else", async () => {
  await visiting(team.node.origin, {}, async (stranger) => {
    const away = ["javascript:alert(1)", "//elsewhere.example/", "http://elsewhere.example/"];
    for (const next of [...away, '/ui/"><script data-injected>']) {
      await open(stranger, `/ui/sign-in?next=${segment(next)}`);
    }
    await stranger.page.getByLabel("Access token").fill(team.tokens.ann);
    await stranger.page.getByRole("button", { name: "Sign in", exact: true }).click();
    await stranger.page.getByText("Sign out", { exact: true }).waitFor({ state: "attached" });
    assert.equal(new URL(stranger.page.url()).origin, team.node.origin);
  });
});

test("downloaded reports are texts too", async () => {
  const html = await report(visit, "html");
  assert.ok(html.includes("U+202E") && html.includes("&lt;img data-injected"), "the report has what was written");
  await openReport(html);
  const csv = await report(visit, "csv");
  assert.match(csv, /HYPERLINK/);
  assert.equal(/(^|[,;\t\n\r])[" ]*=HYPERLINK/m.test(csv), false, "no cell is a formula");
  await visit.check();
});

test("three years of a real library of prompts are text on its pages", async (t) => {
  const library = await Team.start();
  const reader = await Visit.open(library.node.origin);
  try {
    await library.node.command("import", HISTORY);
    await reader.signIn(library.tokens.cy);
    const names = [];
    for (let cursor = ""; cursor !== undefined;) {
      const page = await library.node.send(
        "GET",
        `/v1/prompts?removed=true&limit=1000${cursor && `&cursor=${segment(cursor)}`}`,
      );
      names.push(...page.items.map((item) => item.name));
      cursor = page.next;
    }
    // Every prompt's page is read; the worst are also opened, where what is wrong would run.
    const suspicious = /&lt;(script|img|svg|style|iframe|a )|U\+[0-9A-F]{4}|javascript:|onerror|\{\{/g;
    const met = [];
    const left = [...names];
    const reading = Array.from({ length: AT_ONCE }, async () => {
      for (let name = left.pop(); name; name = left.pop()) {
        const html = await fetch(library.node.origin + path("prompts", name)).then((answer) => answer.text());
        assert.deepEqual(await reader.page.evaluate(wrongs, question({ html })), [], name);
        met.push([new Set(html.match(suspicious)).size, html.length, name]);
      }
    });
    await Promise.all(reading);
    met.sort((one, other) => other[0] - one[0] || other[1] - one[1]);
    const worst = met.slice(0, OPENED_MAX).map(([, , name]) => name);
    for (const name of worst) await open(reader, path("prompts", name));
    for (const name of worst.slice(0, 10)) {
      const { latest } = await library.node.send("GET", `/v1/prompts/${segment(name)}`);
      await open(reader, path("diff", name, `?from=1&to=${latest}`));
    }
    const others = ["/ui/?q=script", "/ui/audit", "/ui/audit?who=contributor-0001"];
    for (const at of others) await open(reader, at);
    const next = reader.page.getByRole("link", { name: "Next page" });
    for (await open(reader, "/ui/"); (await next.count()) > 0;) await open(reader, await next.getAttribute("href"));
    await openReport(await report(reader, "html"));
    t.diagnostic(`${names.length} prompts read, ${worst.length} opened`);
  } finally {
    await reader.close();
    await library.stop();
  }
});
