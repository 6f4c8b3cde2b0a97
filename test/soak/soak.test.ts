// The short form of `npm run soak`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

const reason =
  process.platform !== "linux"
    ? "reads /proc"
    : "Bun" in globalThis && "the callers run on Node; Bun is soaked from there";

const SHORT = { seconds: 15, seed: 1, honestRate: 30, otherRate: 12, heldMsMax: 6_000 };

/** Refused by a limiter. */
const SLOW = /problem:limit"|reason="limit"/;

test("fifteen seconds of all sorts of callers, on both runtimes", { skip: reason }, async () => {
  const results = await Promise.all(
    (["node", "bun"] as const).map((runtime) => soak({ ...SHORT, runtime })),
  );

  for (const { runtime, lost, faults, honest } of results) {
    // Whether something grows is not seen in so short a time; whether something is left is.
    const seen = faults.filter((fault) => !fault.endsWith("grew") && !SLOW.test(fault));
    // A machine that others use, too, is slow now and then, and a limiter says so: not to many, and nothing else.
    const wrong = lost.filter((call) => !SLOW.test(call));
    assert.deepEqual([runtime, wrong, seen], [runtime, [], []]);
    assert.ok(lost.length <= honest / 10, `${lost.length} of ${honest} refused`);
    assert.ok(honest >= 440, `${honest} honest calls`);
  }
});
