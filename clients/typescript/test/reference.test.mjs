// The page about this library is made from its sources.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("docs/reference/typescript.md is up to date", () => {
    execFileSync(process.execPath, [join(import.meta.dirname, "..", "reference.mjs"), "--check"], { encoding: "utf8" });
});
