import assert from "node:assert/strict";
import { test } from "node:test";
import { isRecorded } from "../../../src/hyper-bun/status.ts";

const NOTHING = {
  tripped: false,
  tripCount: 0,
  failureCount: 0,
  lastFailureAt: null,
  lastSuccessAt: null,
  lastResetAt: null,
};

test("a bookmaker is known by any one thing that was recorded of it, and by nothing less", () => {
  assert.equal(isRecorded(NOTHING), false);
  // A row may hold any of them alone, the first moment of all included.
  for (const fact of [
    { tripped: true },
    { tripCount: 1 },
    { failureCount: 0.5 },
    { lastFailureAt: 0 },
    { lastSuccessAt: 0 },
    { lastResetAt: 0 },
  ]) {
    assert.equal(isRecorded({ ...NOTHING, ...fact }), true, JSON.stringify(fact));
  }
});
