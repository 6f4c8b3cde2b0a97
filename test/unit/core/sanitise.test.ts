// What every kind of breaker makes of stored values that no machine writes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sanitiseSnapshot } from "../../../src/core/breaker/restore.ts";
import type { BreakerSnapshot } from "../../../src/core/breaker/snapshot.ts";

const WALL_MS = 1_800_000_000_000;
const UPDATED_AT = WALL_MS - 5000;

/** Of each kind, what is made of the same row. */
function sanitised(raw: object, updatedAt: unknown = UPDATED_AT): BreakerSnapshot[] {
  return (["latching", "sliding-window", "adaptive"] as const).map((kind) =>
    sanitiseSnapshot(kind, { ...raw }, WALL_MS, updatedAt),
  );
}

test("only a tripped breaker was tripped by a person, and has dates of a trip", () => {
  for (const clean of sanitised({
    tripped: false,
    manual: true,
    trippedAt: WALL_MS - 1,
    trippedUntil: WALL_MS + 1,
  })) {
    const { tripped, manual, trippedAt, trippedUntil } = clean;
    assert.deepEqual([tripped, manual, trippedAt, trippedUntil], [false, false, null, null]);
  }
});

test("one that a person tripped, as a number too, has no date for probes", () => {
  for (const manual of [true, 1]) {
    for (const clean of sanitised({ tripped: 1, manual, trippedUntil: WALL_MS })) {
      assert.deepEqual([clean.manual, clean.trippedUntil], [true, null]);
    }
  }
});

test("a trip without a date has that of the last failure, of the row, or now", () => {
  const dates = (raw: object, updatedAt?: unknown): Set<number | null> =>
    new Set(sanitised({ tripped: true, ...raw }, updatedAt).map(({ trippedAt }) => trippedAt));
  assert.deepEqual(dates({ trippedAt: 3, lastFailureAt: 2 }, 1), new Set([3]));
  assert.deepEqual(dates({ lastFailureAt: 2 }, 1), new Set([2]));
  assert.deepEqual(dates({ lastFailureAt: "yesterday" }, 1), new Set([1]));
  assert.deepEqual(dates({}, "today"), new Set([WALL_MS]));
});

test("dates are whole milliseconds since 1970, none ahead but that of probes", () => {
  for (const clean of sanitised({
    tripped: true,
    trippedUntil: WALL_MS + 9000.5,
    lastFailureAt: 0.9,
    lastSuccessAt: 1.9,
    lastResetAt: WALL_MS + 1,
  })) {
    const { trippedUntil, lastFailureAt, lastSuccessAt, lastResetAt } = clean;
    assert.deepEqual(
      [trippedUntil, lastFailureAt, lastSuccessAt, lastResetAt],
      [WALL_MS + 9000, null, 1, WALL_MS],
    );
  }
});

test("counts and latencies are neither negative nor beyond use", () => {
  for (const clean of sanitised({ tripCount: 1e300, failureCount: 1e300, avgLatencyMs: -1 })) {
    assert.deepEqual(
      [clean.tripCount, clean.failureCount, clean.avgLatencyMs],
      [1_000_000, 1_000_000, null],
    );
  }
  for (const clean of sanitised({ tripCount: -1, failureCount: -1, avgLatencyMs: 0 })) {
    assert.deepEqual([clean.tripCount, clean.failureCount, clean.avgLatencyMs], [0, 0, 0]);
  }
});

test("a trip count is whole; weighted failures need not be", () => {
  const [latching, ...others] = sanitised({ tripCount: 2.5, failureCount: 2.5 });
  assert.deepEqual([latching?.tripCount, latching?.failureCount], [2, 2.5]);
  for (const { tripCount, failureCount } of others) {
    assert.deepEqual([tripCount, failureCount], [2, 2]);
  }
});
