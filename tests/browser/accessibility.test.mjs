// Every page, in light and dark, wide and narrow: what axe-core finds, whether the page scrolls sideways, and whether
// the keyboard reaches everything and shows where it is.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import axe from "axe-core";

import { Visit, closeBrowser } from "./support/chromium.mjs";
import { NOWHERE, focusFault } from "./support/focus.mjs";
import { NARROW, PHONE, WIDE, sticksOut } from "./support/layout.mjs";
import { ROOT } from "./support/node.mjs";
import { NO_PAGES, PAGES, pathOf, routes } from "./support/pages.mjs";
import { Sample } from "./support/sample.mjs";

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** What axe-core looks for. Dark is light in other colours, which a test below makes sure of. */
const RULES = {
  light: { type: "tag", values: TAGS },
  dark: { type: "rule", values: ["color-contrast", "link-in-text-block"] },
};
/** Most findings that are written out. */
const FINDINGS_MAX = 12;
/** Most presses of Tab on one page. */
const TABS_MAX = 500;

let sample;
const visits = new Map();

before(async () => {
  sample = await Sample.start({ replicas: ["checkout-eu"], empty: true });
});

after(async () => {
  await closeBrowser();
  await sample?.stop();
});

/** The window of somebody, who has signed in where they are somebody. */
async function windowOf({ as, on = "primary" }) {
  const key = `${as} ${on}`;
  if (!visits.has(key)) {
    const visit = await Visit.open(sample.origin(on));
    if (as) await visit.signIn(sample.team.tokens[as]);
    visits.set(key, visit);
  }
  return visits.get(key);
}

/** Opens a page with everything on it unfolded. */
async function open(page) {
  const visit = await windowOf(page);
  await show(visit, "light", WIDE);
  if (page.status) visit.guard.expect(page.status);
  await visit.goto(pathOf(page, sample));
  await page.act?.(visit.page);
  await visit.page.evaluate(
    (foldable) => {
      for (const folded of document.querySelectorAll(foldable)) folded.open = true;
    },
    page.menu ? "details" : "main details",
  );
  return visit;
}

/** Shows what is open in a scheme of colours and a size. */
async function show(visit, colorScheme, size) {
  await visit.page.emulateMedia({ colorScheme });
  await visit.page.setViewportSize(size);
}

/** What axe-core finds, a line each. */
async function findings(visit, scheme, where) {
  if (!(await visit.page.evaluate(() => "axe" in globalThis))) await visit.page.evaluate(axe.source);
  const { violations } = await visit.page.evaluate(
    (runOnly) => globalThis.axe.run(document, { runOnly, resultTypes: ["violations"] }),
    RULES[scheme],
  );
  return violations.flatMap(({ impact, id, nodes }) =>
    nodes.map(({ html, any }) => `${where}: ${impact} ${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ""}`),
  );
}

/** Throws findings, each once, and not more than can be read. */
function fails(found) {
  const lines = [...new Set(found)];
  if (lines.length > 0) throw new Error(`${lines.length} findings:\n  ${lines.slice(0, FINDINGS_MAX).join("\n  ")}`);
}

/** Everything that Tab must reach; of several to choose from only what is chosen, from where arrows lead on. */
const CONTROLS = `a[href], button:not([disabled]):not([aria-hidden]), select, textarea, summary, [tabindex='0'],
  input:not([type=hidden]):not([type=radio]:not(:checked))`;

test("no route is forgotten", async () => {
  const known = new Set([...PAGES.map((page) => page.route), ...NO_PAGES]);
  const found = await routes();
  assert.ok(found.length > 10, "the table of routes is read");
  assert.deepEqual(
    found.filter((route) => !known.has(route)),
    [],
    "each is in support/pages.mjs",
  );
  assert.deepEqual(
    [...known].filter((route) => !found.includes(route)),
    [],
    "and none there is gone",
  );
});

test("dark is nothing but other colours", async () => {
  const style = await readFile(join(ROOT, "crates/ui/src/ui.css"), "utf8");
  const blocks = [...style.matchAll(/prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}\s*\}/g)];
  assert.equal(blocks.length, style.split("prefers-color-scheme").length - 1, "each is a list of colours");
  for (const [, colours] of blocks) {
    for (const one of colours
      .split(";")
      .map((part) => part.trim())
      .filter(Boolean))
      assert.match(one, /^--[\w-]+: /);
  }
});

/** Looks at a page in both schemes of colours and all widths; what is found, a line each. */
async function look(page, visit) {
  const found = [];
  const [title, headings] = await visit.page.evaluate(() => [document.title, document.querySelectorAll("h1").length]);
  assert.match(title, /^\S.* · \S+$/, "it has a title");
  assert.equal(headings, 1, "it has one h1");
  for (const scheme of ["light", "dark"]) {
    for (const size of [WIDE, PHONE]) {
      await show(visit, scheme, size);
      found.push(...(await findings(visit, scheme, `${scheme}, ${size.width} px`)));
    }
  }
  for (const size of [PHONE, NARROW]) {
    await visit.page.setViewportSize(size);
    const out = await visit.page.evaluate(sticksOut);
    if (out) found.push(`${size.width} px: the page scrolls sideways by ${out}`);
  }
  return found;
}

/** Walks through a page with Tab; what is found, a line each. */
async function walk(visit, where) {
  const found = [];
  await visit.page.evaluate((controls) => {
    // The walk begins above the first control, wherever the focus was before.
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
    for (const control of document.querySelectorAll(controls))
      control.toggleAttribute("data-unreached", control.checkVisibility());
  }, CONTROLS);
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await visit.page.keyboard.press("Tab");
    const fault = await focusFault(visit.page);
    if (fault === NOWHERE) break;
    if (fault) found.push(`${where}: ${fault}`);
  }
  const unreached = await visit.page
    .locator("[data-unreached]")
    .evaluateAll((all) => all.map((one) => one.outerHTML.slice(0, 120)));
  return found.concat(unreached.map((control) => `${where}: Tab never reaches ${control}`));
}

for (const page of PAGES) {
  test(`${page.name}: axe-core finds nothing, nothing sticks out, and the keyboard reaches everything`, async () => {
    const visit = await open(page);
    const found = await look(page, visit);
    // The menu closes when the focus is elsewhere; the story of signing out walks through it.
    for (const [scheme, size] of page.menu ? [] : [["light", WIDE], ["dark", PHONE]]) {
      await show(visit, scheme, size);
      found.push(...(await walk(visit, `${scheme}, ${size.width} px`)));
    }
    await visit.check();
    fails(found);
  });
}

test("a replica that lost its primary: axe-core finds nothing, and nothing sticks out", async () => {
  await sample.team.node.kill9();
  await sample.replicas[0].goesStale();
  for (const page of PAGES.filter(({ on }) => on === "replica")) {
    const visit = await open(page);
    fails(await look(page, visit));
    await visit.check();
  }
});
