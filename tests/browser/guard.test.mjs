// What watches and judges the pages notices what it is there for: without this, the other tests could pass in vain.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { closeBrowser, visiting } from "./support/chromium.mjs";
import { focusIsVisible } from "./support/focus.mjs";
import { question, wrongs } from "./support/hostile.mjs";
import { NARROW, sticksOut } from "./support/layout.mjs";
import { WAYS, begin } from "./support/ways.mjs";

/** Pages that do what pages must not, and what the guard says of each. */
const FAULTY = {
  "/ui/console": ["<script>console.error('oh')</script>", /error on .*: oh/],
  "/ui/throws": ["<script>throw new Error('oh')</script>", /an error in a script: Error: oh/],
  "/ui/dialog": ["<script>alert('oh')</script>", /a dialog: oh/],
  "/ui/missing": ["<script src='/ui/none.js'></script>", /answered with 404: .*none\.js/],
  "/ui/elsewhere": ["<img src='http://elsewhere.example/x.png'>", /asked another origin: http:\/\/elsewhere\.example/],
  "/ui/policy": [
    "<p style='color: red'>x</p>",
    /error on .*Content Security Policy/,
    "default-src 'none'; script-src 'self'",
  ],
  "/ui/unprotected": ["<p>x</p>", /a page without a policy/, ""],
};
const LOOSE = "default-src * 'unsafe-inline'";

let server;
let origin;

before(async () => {
  server = createServer((request, response) => {
    const [body, , policy = LOOSE] = FAULTY[request.url] ?? ["<p>good</p>"];
    const known = request.url in FAULTY || request.url === "/ui/good" || request.url === "/ui/";
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

test("the guard lets a page ask whether to leave where that is meant, and only there", async () => {
  const leave = async ({ page }) => {
    await page.setContent("<input>");
    await page.evaluate(() => addEventListener("beforeunload", (event) => event.preventDefault()));
    await page.locator("input").fill("typed");
    const asked = page.waitForEvent("dialog");
    await page.close({ runBeforeUnload: true });
    await asked;
  };
  const meant = async (visit, questions) => {
    for (let count = 0; count < questions; count += 1) visit.guard.expectQuestion();
    await visit.goto("/ui/good");
    await leave(visit);
  };
  await visiting(origin, {}, (visit) => meant(visit, 1));
  await assert.rejects(
    visiting(origin, {}, (visit) => meant(visit, 0)),
    /a dialog/,
  );
  await assert.rejects(
    visiting(origin, {}, (visit) => meant(visit, 2)),
    /did not ask whether to leave/,
  );
});

/** Pages that a hostile text made, and what is said of each. */
const BROKEN_OUT = [
  ["<img data-injected>", /a text became an element/],
  ["<marquee>x</marquee>", /no page has this element/],
  ["<p onclick='x'>x</p>", /onclick on/],
  ["<p style='x'>x</p>", /style on/],
  ["<a href='javascript:x'>x</a>", /href leads away/],
  ["<a href='//elsewhere.example'>x</a>", /href leads away/],
  ["<p title='a\u{202e}b'>x</p>", /an unseen character in title/],
  ["<p>a\u{200b}b</p>", /an unseen character in "a/],
  ["<script></script>", /2 scripts/],
];

test("a text that breaks out is noticed, and one that does not is not", async () => {
  await visiting(origin, {}, async ({ page }) => {
    const judged = (body) =>
      page.evaluate(wrongs, question({ html: `<!DOCTYPE html><script src="/x.js"></script>${body}` }));
    assert.deepEqual(
      await judged("<p title='&lt;img&gt;'>&lt;script&gt; U+202E <a href='/ui/?q=javascript:'>x</a></p>"),
      [],
    );
    for (const [body, wrong] of BROKEN_OUT) assert.match((await judged(body)).join(), wrong, body);
    await page.evaluate(() => (globalThis.ran = "yes"));
    assert.match((await judged("")).join(), /a text ran/);
  });
});

test("what sticks out, and a focus that nobody sees, is noticed", async () => {
  await visiting(origin, {}, async ({ page }) => {
    await page.setViewportSize(NARROW);
    const focus = async (style) => {
      await page.setContent(
        `<meta name=viewport content="width=device-width"><style>${style}</style><a href="#x">x</a>`,
      );
      await page.keyboard.press("Tab");
      await focusIsVisible(page);
    };
    await focus(":focus-visible { outline: 2px solid black }");
    await assert.rejects(focus("a { outline: none }"), /no ring is drawn/);
    await assert.rejects(focus("a:focus { outline: 2px solid #eee }"), /contrast of only 1/);
    await assert.rejects(focus("a:focus { outline: 2px solid black; position: fixed; top: -50px }"), /out of sight/);
    assert.equal(await page.evaluate(sticksOut), "");
    await page.setContent("<p style='width: 400px'>x</p>");
    assert.match(await page.evaluate(sticksOut), /px: <p/);
  });
});

test("what Tab does not reach is noticed", async () => {
  const way = await begin(WAYS.at(-1), origin);
  try {
    const ring = "<style>:focus-visible { outline: 2px solid black }</style>";
    await way.page.setContent(`${ring}<a href='#x'>one</a><a href='#x' tabindex=-1>two</a>`);
    await way.reach(way.page.getByText("one"));
    await assert.rejects(way.reach(way.page.getByText("two")), /Tab never reaches/);
  } finally {
    await way.visit.close();
  }
});
