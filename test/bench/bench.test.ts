// That the benchmark still runs and measures everything. What it measures is nobody's verdict here.

import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { SET_NAMES } from "./library/calls.ts";
import { CURRENT_RUNTIME, runProgram } from "./support/runtimes.ts";

interface Results {
  readonly results: Record<
    string,
    { readonly sets: object; readonly idle: object; readonly scrapes: object }
  >;
}

function numbersOf(value: unknown, path: string): [string, unknown][] {
  return typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => numbersOf(inner, `${path}/${key}`))
    : [[path, value]];
}

test("a quick run of the library benchmark reports a finite number for every case", async () => {
  const main = join(import.meta.dirname, "library/main.ts");

  const printed = await runProgram(
    CURRENT_RUNTIME,
    [main, "--quick", "--json", "--runtime", CURRENT_RUNTIME],
    60_000,
  );

  const { results }: Results = JSON.parse(printed);
  const numbers = numbersOf(results, "");
  const odd = numbers.filter(([, value]) => !Number.isFinite(value));
  assert.deepEqual(odd, []);
  const { sets, idle, scrapes } = results[CURRENT_RUNTIME] ?? assert.fail("nothing was measured");
  assert.equal(Object.keys(sets).length, SET_NAMES.length);
  assert.equal(Object.keys(scrapes).length, 4);
  assert.equal(Object.keys(idle).length, 8);
});
