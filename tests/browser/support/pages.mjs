// Every page there is. A new page is one more line here; `accessibility.test.mjs` fails when a route is missing.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { ROOT } from "./node.mjs";

/**
 * Each page: a name for files and messages, its route, and its path. `path` may be a function of the sample. `as` is who
 * looks (nobody who has signed in where it is missing), `on` the node (`primary`, `replica`, or `empty`), `status` what
 * it is answered with where that is not 200, and `menu` opens what is behind one's own name.
 */
export const PAGES = [
  { name: "prompts", route: "/ui/", path: "/ui/", as: "priya" },
  { name: "prompts-folder", route: "/ui/", path: "/ui/?folder=support/", as: "priya" },
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
  { name: "diff", route: "/ui/diff/{*name}", path: "/ui/diff/support/agent?from=4&to=5", as: "priya" },
  { name: "diff-same", route: "/ui/diff/{*name}", path: "/ui/diff/support/agent?from=4&to=4", as: "priya" },
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
  { name: "audit", route: "/ui/audit", path: "/ui/audit", as: "elena" },
  { name: "audit-refused", route: "/ui/audit", path: "/ui/audit?refused=yes", as: "elena" },
  { name: "sign-in", route: "/ui/sign-in", path: "/ui/sign-in" },
  { name: "problem-404", route: "/ui/prompts/{*name}", path: "/ui/prompts/nothing", as: "priya", status: 404 },
  { name: "problem-403", route: "/ui/audit", path: "/ui/audit", as: "maya", status: 403 },
  { name: "menu", route: "/ui/review", path: "/ui/review?state=withdrawn", as: "elena", menu: true },
  { name: "replica-prompts", route: "/ui/", path: "/ui/", on: "replica" },
  { name: "replica-prompt", route: "/ui/prompts/{*name}", path: "/ui/prompts/support/agent", on: "replica" },
  { name: "replica-sign-in", route: "/ui/sign-in", path: "/ui/sign-in", on: "replica" },
];

/** What is answered under `/ui` and is no page. */
export const NO_PAGES = ["/ui", "/ui/app.css", "/ui/app.js", "/ui/icon.svg"];

/** The path of a page in a sample. */
export const pathOf = (page, sample) => (typeof page.path === "function" ? page.path(sample) : page.path);

/** Every route of the pages that answers to `GET`, as the program's own table has them. */
export async function routes() {
  const table = await readFile(join(ROOT, "src/http/ui/routes.rs"), "utf8");
  return [...table.matchAll(/\(\s*"GET",\s*"([^"]+)"/g)].map(([, route]) => route);
}
