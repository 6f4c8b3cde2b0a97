import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidOptionsError } from "../../../src/core/errors.ts";
import { isLatency, readOutcome, type Outcome } from "../../../src/core/outcome.ts";

function faultsOf(outcome: unknown): readonly string[] {
  try {
    readOutcome("an outcome", outcome as Outcome);
    return [];
  } catch (error) {
    assert.ok(error instanceof InvalidOptionsError);
    return error.faults;
  }
}

test("a duration is finite and not below 0", () => {
  assert.deepEqual([0, 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY].map(isLatency), [
    true,
    true,
    false,
    false,
    false,
  ]);
});

test("of an outcome only what is wrong is a fault, and all of that", () => {
  for (const outcome of ["ok", "failed", "ignored"]) {
    assert.deepEqual(faultsOf({ outcome }), []);
    assert.deepEqual(faultsOf({ outcome, weight: 2, timeout: false, latencyMs: 5 }), []);
    assert.deepEqual(faultsOf({ outcome, weight: "2" }), ['weight must be a number, not "2"']);
  }
  assert.deepEqual(faultsOf({ outcome: "fine", weight: "2", timeout: 1 }), [
    'outcome must be ok, failed or ignored, not "fine"',
    'weight must be a number, not "2"',
    "timeout must be a boolean, not 1",
  ]);
});
