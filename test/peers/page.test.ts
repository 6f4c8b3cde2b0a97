// The page says what the tests saw, of the versions that are installed: no row without a test, no
// test without a row.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../meta/source-files.ts";
import { cellsOf, rowsOf } from "./page.ts";
import { PITFALLS } from "./pitfalls.ts";

const page = readFileSync(join(ROOT, "docs/peers.md"), "utf8");

test("every row of the page is a test's, in its words, and every test has a row", () => {
  assert.deepEqual(rowsOf(page), PITFALLS.map(cellsOf));
});

test("no two rows share a name", () => {
  assert.ok(PITFALLS.length > 30);
  for (const key of ["promise", "pitfall"] as const) {
    assert.equal(new Set(PITFALLS.map((row) => row[key])).size, PITFALLS.length, key);
  }
});

test("the page names the versions that were tested", () => {
  const head = page.split("\n").find((line) => line.startsWith("|")) ?? "";
  for (const peer of ["opossum", "cockatiel"]) {
    const main = createRequire(import.meta.url).resolve(peer);
    const folder = main.slice(0, main.lastIndexOf(join("node_modules", peer)));
    const file = join(folder, "node_modules", peer, "package.json");
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
    assert.ok(head.includes(`${peer} ${version}`), `${peer} ${version}`);
  }
});
