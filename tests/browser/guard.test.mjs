// The guard over the pages notices what it is there for: without this, every other test here could pass in vain.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { closeBrowser, visiting } from "./support/chromium.mjs";

/** Pages that do what pages must not, and what the guard says of each. */
const FAULTY = {
  "/ui/console": ["<script>console.error('oh')</script>", /error on .*: oh/],
  "/ui/throws": ["<script>throw new Error('oh')</script>", /an error in a script: Error: oh/],
  "/ui/dialog": ["<script>alert('oh')</script>", /a dialog: oh/],
  "/ui/missing": ["<script src='/ui/none.js'></script>", /answered with 404: .*none\.js/],
  "/ui/elsewhere": ["<img src='http://elsewhere.example/x.png'>", /asked another origin: http:\/\/elsewhere\.example/],
  "/ui/policy": ["<p style='color: red'>x</p>", /error on .*Content Security Policy/, "default-src 'none'; script-src 'self'"],
  "/ui/unprotected": ["<p>x</p>", /a page without a policy/, ""],
};
const LOOSE = "default-src * 'unsafe-inline'";

let server;
let origin;

before(async () => {
  server = createServer((request, response) => {
    const [body, , policy = LOOSE] = FAULTY[request.url] ?? ["<p>good</p>"];
    const known = request.url in FAULTY || request.url === "/ui/good";
    const headers = { "content-type": "text/html" };
    if (policy) headers["content-security-policy"] = policy;
    response.writeHead(known ? 200 : 404, headers).end(`<!DOCTYPE html><title>x</title>${known ? body : ""}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${server.address().port}`;
});

after(async () => {
  await closeBrowser();
  server.close();
});

for (const [path, [, fault]] of Object.entries(FAULTY)) {
  test(`the guard notices ${path}`, async () => {
    await assert.rejects(
      visiting(origin, {}, (visit) => visit.goto(path)),
      fault,
    );
  });
}

test("the guard notices a second window", async () => {
  const open = async (visit) => {
    await visit.goto("/ui/good");
    const opened = visit.context.waitForEvent("page");
    await visit.page.evaluate(() => void window.open("/ui/good"));
    await opened;
  };
  await assert.rejects(visiting(origin, {}, open), /a window: /);
});

test("the guard is silent about a good page, and about a refusal that was expected", async () => {
  await visiting(origin, {}, async (visit) => {
    await visit.goto("/ui/good");
    visit.guard.expect(404);
    await visit.goto("/ui/nowhere");
  });
  await assert.rejects(
    visiting(origin, {}, (visit) => visit.goto("/ui/nowhere")),
    /answered with 404/,
  );
  await assert.rejects(
    visiting(origin, {}, (visit) => visit.guard.expect(404)),
    /no page was answered with 404/,
  );
});
