// Chromium, and visits: a fresh browser context with one page and a guard over it.

import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

import { Guard } from "./guard.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** Longest wait for anything on a page, in milliseconds. */
const PATIENCE_MS = 10_000;
/** No sandbox, as tests run as root in containers; nothing is found by name, so that nothing can be fetched elsewhere. */
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--lang=en-US",
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

let browser;

/** The browser of this test file. */
async function launched() {
  if (!existsSync(CHROMIUM)) throw new Error(`there is no ${CHROMIUM}: install Chromium, or set CHROMIUM`);
  browser ??= chromium.launch({
    executablePath: CHROMIUM,
    args: ARGUMENTS,
    env: { ...process.env, LANGUAGE: "en_US" },
  });
  return browser;
}

/** Closes the browser of this test file. */
export async function closeBrowser() {
  await (await browser)?.close();
  browser = undefined;
}

/** Somebody before a browser, with cookies of their own. */
export class Visit {
  /** Opens a browser window at an origin; `options` are those of a Playwright context. */
  static async open(origin, options = {}) {
    const visit = new Visit();
    const viewport = { width: 1280, height: 900 };
    // Nothing moves slowly, so that what is looked at is there at once.
    const all = { baseURL: origin, locale: "en-US", viewport, reducedMotion: "reduce", ...options };
    visit.context = await (await launched()).newContext(all);
    visit.context.setDefaultTimeout(PATIENCE_MS);
    visit.guard = new Guard(visit.context, origin);
    visit.page = await visit.context.newPage();
    return visit;
  }

  /** Another window of the same person. */
  async another() {
    const visit = new Visit();
    this.guard.expectWindow();
    Object.assign(visit, { context: this.context, guard: this.guard, page: await this.context.newPage() });
    return visit;
  }

  /** Goes to a path by the address bar. */
  async goto(path) {
    await this.page.goto(path);
  }

  /** Signs in with an access token, by the form. */
  async signIn(token) {
    await this.goto("/ui/sign-in");
    await this.page.getByLabel("Access token").fill(token);
    await this.page.getByRole("button", { name: "Sign in", exact: true }).click();
    await this.page.getByText("Sign out", { exact: true }).waitFor({ state: "attached" });
  }

  /** Throws what the guard noticed, after everything that the browser has said until now. */
  async check() {
    await this.page.evaluate(() => document.readyState);
    this.guard.check();
  }

  /** Closes the window. */
  close() {
    return this.context.close();
  }
}

/** Does something in a visit of its own, and checks what the guard noticed. */
export async function visiting(origin, options, deed) {
  const visit = await Visit.open(origin, options);
  try {
    const made = await deed(visit);
    await visit.check();
    return made;
  } finally {
    await visit.close();
  }
}
