// Pictures of every page, wide and narrow, light and dark: `node screenshots.mjs DIRECTORY [PAGE…]`.
//
// Not a test: somebody looks at them.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { Visit, closeBrowser } from "./support/chromium.mjs";
import { PHONE, WIDE } from "./support/layout.mjs";
import { PAGES, pathOf } from "./support/pages.mjs";
import { Sample } from "./support/sample.mjs";

const [directory, ...only] = process.argv.slice(2);
if (!directory) throw new Error("say into which directory: node screenshots.mjs DIRECTORY [PAGE…]");
const pages = PAGES.filter((page) => only.length === 0 || only.includes(page.name));
await mkdir(directory, { recursive: true });
const sample = await Sample.start({ replicas: ["checkout-eu", "berlin-plant"], empty: true });
const windows = new Map();

/** The window of somebody in a scheme of colours and of a size. */
async function windowOf({ as, on = "primary" }, colorScheme, viewport) {
  const key = `${as} ${on} ${colorScheme} ${viewport.width}`;
  if (!windows.has(key)) {
    const visit = await Visit.open(sample.origin(on), { colorScheme, viewport, reducedMotion: "reduce" });
    if (as) await visit.signIn(sample.team.tokens[as]);
    windows.set(key, visit);
  }
  return windows.get(key);
}

try {
  for (const page of pages) {
    for (const scheme of ["light", "dark"]) {
      for (const size of [WIDE, PHONE]) {
        const visit = await windowOf(page, scheme, size);
        if (page.status) visit.guard.expect(page.status);
        await visit.goto(pathOf(page, sample));
        await page.act?.(visit.page);
        if (page.menu) await visit.page.locator("details.who > summary").click();
        const path = join(directory, `${page.name}-${size.width}-${scheme}.png`);
        await visit.page.screenshot({ path, fullPage: !page.menu, animations: "disabled" });
        await visit.check();
      }
    }
  }
} finally {
  await closeBrowser();
  await sample.stop();
}
