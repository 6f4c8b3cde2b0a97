// The short form of `npm run soak`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { soak } from "./soak.ts";

const reason =
  process.platform !== "linux"
    ? "reads /proc"
    : "Bun" in globalThis && "the callers run on Node; Bun is soaked from there";

const SHORT = { seconds: 15, seed: 1, honestRate: 30, otherRate: 12, heldMsMax: 6_000 };

test("fifteen seconds of all sorts of callers, on both runtimes", { skip: reason }, async () => {
  const results = await Promise.all(
    (["node", "bun"] as const).map((runtime) => soak({ ...SHORT, runtime })),
  );

  for (const { runtime, lost, faults, honest } of results) {
    // Whether something grows is not seen in so short a time; whether something is left is.
    const seen = faults.filter((fault) => !fault.endsWith("grew"));
    assert.deepEqual([runtime, lost, seen], [runtime, [], []]);
    assert.ok(honest >= 440, `${honest} honest calls`);
  }
});
