// Every page, in light and dark, wide and narrow: what axe-core finds, whether the page scrolls sideways, and whether
// the keyboard reaches everything and shows where it is.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import axe from "axe-core";

import { Visit, closeBrowser } from "./support/chromium.mjs";
import { focusIsVisible } from "./support/focus.mjs";
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

/** The window of somebody in a scheme of colours, who has signed in where they are somebody. */
async function windowOf({ as, on = "primary" }, colorScheme) {
  const key = `${as} ${on} ${colorScheme}`;
  if (!visits.has(key)) {
    const visit = await Visit.open(sample.origin(on), { colorScheme });
    if (as) await visit.signIn(sample.team.tokens[as]);
    visits.set(key, visit);
  }
  return visits.get(key);
}

/** Opens a page with everything on it unfolded. */
async function open(page, colorScheme) {
  const visit = await windowOf(page, colorScheme);
  await visit.page.setViewportSize(WIDE);
  if (page.status) visit.guard.expect(page.status);
  await visit.goto(pathOf(page, sample));
  await visit.page.evaluate(
    (foldable) => {
      for (const folded of document.querySelectorAll(foldable)) folded.open = true;
    },
    page.menu ? "details" : "main details",
  );
  return visit;
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

/** Everything that the keyboard must reach. */
const CONTROLS = "a[href], button:not([disabled]), input:not([type=hidden]), select, textarea, summary, [tabindex='0']";

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
  const style = await readFile(join(ROOT, "src/web/ui.css"), "utf8");
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

/** Looks at a page in both schemes of colours and all widths. */
async function look(page) {
  const found = [];
  for (const scheme of ["light", "dark"]) {
    const visit = await open(page, scheme);
    const [title, headings] = await visit.page.evaluate(() => [document.title, document.querySelectorAll("h1").length]);
    assert.match(title, /^\S.* · \S+$/, "it has a title");
    assert.equal(headings, 1, "it has one h1");
    for (const size of [WIDE, PHONE]) {
      await visit.page.setViewportSize(size);
      found.push(...(await findings(visit, scheme, `${scheme}, ${size.width} px`)));
    }
    for (const size of [PHONE, NARROW]) {
      await visit.page.setViewportSize(size);
      const out = await visit.page.evaluate(sticksOut);
      if (out) found.push(`${size.width} px: the page scrolls sideways by ${out}`);
    }
    await visit.check();
  }
  fails(found);
}

for (const page of PAGES) {
  test(`${page.name}: axe-core finds nothing, and nothing sticks out`, () => look(page));
}

// The menu closes when the focus is elsewhere; the story of signing out walks through it.
for (const page of PAGES.filter(({ menu }) => !menu)) {
  test(`${page.name}: the keyboard reaches everything and shows where it is`, async () => {
    const found = [];
    for (const [scheme, size] of [
      ["light", WIDE],
      ["dark", PHONE],
    ]) {
      const visit = await open(page, scheme);
      await visit.page.setViewportSize(size);
      await visit.page.evaluate((controls) => {
        for (const control of document.querySelectorAll(controls))
          control.toggleAttribute("data-unreached", control.checkVisibility());
      }, CONTROLS);
      for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
        await visit.page.keyboard.press("Tab");
        const nowhere = await visit.page.evaluate(() => {
          document.activeElement.removeAttribute("data-unreached");
          return document.activeElement === document.body;
        });
        if (nowhere) break;
        await focusIsVisible(visit.page).catch((error) => found.push(`${scheme}, ${size.width} px: ${error.message}`));
      }
      const unreached = await visit.page
        .locator("[data-unreached]")
        .evaluateAll((all) => all.map((one) => one.outerHTML.slice(0, 120)));
      found.push(...unreached.map((control) => `${scheme}, ${size.width} px: Tab never reaches ${control}`));
      await visit.check();
    }
    fails(found);
  });
}

test("a replica that lost its primary: axe-core finds nothing, and nothing sticks out", async () => {
  await sample.team.node.kill9();
  await sample.replicas[0].goesStale();
  for (const page of PAGES.filter(({ on }) => on === "replica")) await look(page);
});
