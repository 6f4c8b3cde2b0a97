// The limit that moves, driven by callers and an upstream of constant latency.

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidOptionsError } from "../../../../src/core/errors.ts";
import {
  adaptiveLimit,
  fixedLimit,
  LIMIT_MAX,
  type AdaptiveLimitOptions,
} from "../../../../src/core/overload/limit-policy.ts";
import { ENDED_FAILED, ENDED_OK, ENDED_TIMEOUT } from "../../../../src/core/overload/limiter.ts";
import { adaptiveRig, boundedRig, LimiterRig } from "./limiter-rig.ts";

test("stays where it began while it is not needed", () => {
  const rig = adaptiveRig();
  rig.run(3, 20, 5000);
  assert.equal(rig.limiter.limit, 20);
  assert.ok(Math.abs(rig.limiter.baseMs - 20) < 3, `${rig.limiter.baseMs}`);
});

test("grows to what is asked for within a second while nothing gets slower, and falls back", () => {
  const rig = adaptiveRig();
  rig.run(3, 20, 1000);
  rig.run(200, 20, 1000);
  assert.ok(rig.limiter.limit >= 200, `${rig.limiter.limit}`);

  rig.run(3, 20, 10_000);
  assert.ok(rig.limiter.limit < 30, `${rig.limiter.limit}`);
});

test("forgets a peak while nobody calls, too", () => {
  const rig = adaptiveRig();
  rig.run(200, 20, 2000);
  rig.wait(60_000);
  rig.run(2, 20, 300);
  assert.ok(rig.limiter.limit < 30, `${rig.limiter.limit}`);
});

test("shrinks when calls take more than twice as long, and stops at its floor", () => {
  const rig = boundedRig(40, 5, 100);
  rig.run(10, 20, 3000);
  // A queue: each call takes as long as there are calls in flight.
  for (let round = 0; round < 300; round += 1) {
    const permits = [];
    for (let verdict = rig.admit(); verdict >= 0; verdict = rig.admit()) permits.push(verdict);
    rig.wait(10 * permits.length);
    rig.settleAll(permits);
    assert.ok(rig.limiter.limit >= 2);
  }
  assert.ok(rig.limiter.limit < 20, `${rig.limiter.limit}`);
});

test("never leaves its bounds", () => {
  const low = boundedRig(4, 4, 8);
  low.run(100, 20, 3000);
  assert.ok(low.limiter.limit <= 8 && low.limiter.limit >= 4);
});

test("a deadline bounds it absolutely: no more than half of it times the rate", () => {
  const rig = adaptiveRig(1000);
  rig.run(10, 100, 2000);
  rig.run(400, 600, 20_000);
  // 600 ms are over half of the deadline, whatever the base: the limit shrinks until nothing is left.
  assert.ok(rig.limiter.limit < 20, `${rig.limiter.limit}`);

  const { limiter } = adaptiveLimitWithoutDeadline();
  assert.ok(limiter.limit > 20, `${limiter.limit}`);
});

/** Calls of 600 ms, 400 callers, and nobody who waits no longer. */
function adaptiveLimitWithoutDeadline(): LimiterRig {
  const rig = new LimiterRig(adaptiveLimit(), Number.POSITIVE_INFINITY);
  rig.run(10, 600, 4000);
  rig.run(400, 600, 20_000);
  return rig;
}

test("timeouts shrink it, quick failures do not raise it", () => {
  const timedOut = adaptiveRig();
  timedOut.run(10, 20, 2000);
  for (let round = 0; round < 50; round += 1) {
    const permits = [];
    for (let verdict = timedOut.admit(); verdict >= 0; verdict = timedOut.admit()) {
      permits.push(verdict);
    }
    timedOut.wait(100);
    timedOut.settleAll(permits.slice(0, 1), ENDED_OK);
    timedOut.settleAll(permits.slice(1), ENDED_TIMEOUT);
  }
  assert.ok(timedOut.limiter.limit <= 5, `${timedOut.limiter.limit}`);

  const failing = adaptiveRig();
  failing.run(10, 20, 2000);
  const before = failing.limiter.limit;
  for (let round = 0; round < 300; round += 1) {
    const permits = [];
    for (let verdict = failing.admit(); verdict >= 0; verdict = failing.admit()) {
      permits.push(verdict);
    }
    failing.wait(1);
    failing.settleAll(permits, ENDED_FAILED);
    failing.wait(9);
  }
  assert.ok(failing.limiter.limit <= before, `${failing.limiter.limit}`);
});

test("takes an upstream that became slower for what it is, and keeps using it", () => {
  const rig = adaptiveRig();
  rig.run(30, 20, 3000);
  // Ten times slower, but not for their number: half as many would take as long.
  rig.run(30, 200, 10_000);
  assert.ok(rig.limiter.limit >= 25, `${rig.limiter.limit}`);
  assert.ok(rig.limiter.baseMs > 60, `${rig.limiter.baseMs}`);
});

test("while hung it lets in trials only, and begins anew at a quarter of what it was", () => {
  const rig = adaptiveRig();
  rig.run(100, 20, 3000);
  const before = rig.limiter.limit;
  const permits = rig.admitAll(50);
  rig.wait(700);
  rig.admit();
  assert.equal(rig.limiter.isHung, true);
  assert.equal(rig.limiter.limit, 2);

  rig.settleAll(permits.slice(0, 1));
  assert.equal(rig.limiter.isHung, false);
  assert.ok(rig.limiter.limit >= Math.floor(before / 4) - 1, `${rig.limiter.limit} of ${before}`);
  assert.ok(rig.limiter.limit <= before / 2);
});

test("learns nothing while frozen, and begins anew at a quarter", () => {
  const rig = adaptiveRig();
  rig.run(100, 20, 3000);
  const { limit, baseMs } = rig.limiter;

  rig.limiter.freeze();
  assert.equal(rig.limiter.isFrozen, true);
  rig.run(5, 500, 5000);
  assert.deepEqual([rig.limiter.limit, rig.limiter.baseMs], [limit, baseMs]);

  rig.limiter.thaw(rig.nowMs);
  assert.equal(rig.limiter.isFrozen, false);
  assert.ok(Math.abs(rig.limiter.limit - limit / 4) <= 1, `${rig.limiter.limit} of ${limit}`);
  const low = rig.limiter.limit;
  // Once.
  rig.limiter.thaw(rig.nowMs);
  assert.equal(rig.limiter.limit, low);
});

test("a thaw forgets a hang", () => {
  const rig = adaptiveRig();
  rig.run(100, 20, 3000);
  rig.admitAll(50);
  rig.wait(700);
  rig.admit();
  rig.limiter.freeze();
  rig.limiter.thaw(rig.nowMs);
  assert.equal(rig.limiter.isHung, false);
  assert.ok(rig.limiter.limit > 2);
});

test("a clock that stands still, goes back or jumps ahead leaves it usable", () => {
  const rig = adaptiveRig();
  rig.run(10, 20, 1000);
  for (const nowMs of [1000, 1000, 500, NaN, 1e12, 1e12 + 1]) {
    const permit = rig.limiter.admitAnyway(0, nowMs);
    rig.limiter.settle(permit, ENDED_OK, nowMs);
  }
  rig.nowMs = 1e12 + 1000;
  rig.run(10, 20, 2000);
  assert.equal(rig.limiter.inFlight, 0);
  assert.ok(rig.limiter.limit >= 2 && rig.limiter.limit <= 5000);
  assert.ok(rig.limiter.baseMs > 0 && rig.limiter.baseMs < 100, `${rig.limiter.baseMs}`);
});

test("its options are checked, and every fault is told", () => {
  const wrong: readonly [AdaptiveLimitOptions, RegExp][] = [
    [{ initial: 0 }, /initial must be a whole number at least 1/],
    [{ initial: 2.5 }, /initial must be a whole number/],
    [{ min: NaN }, /min must be a whole number/],
    [{ max: LIMIT_MAX + 1 }, /max must be .* at most 50000/],
    [{ tolerance: 1 }, /tolerance must be a finite number at least 1.2/],
    [{ min: 10, max: 5 }, /min must be at most max, which is 5, not 10/],
    [{ min: 10, initial: 5 }, /initial must be at least min, which is 10, not 5/],
    [{ max: 10, initial: 50 }, /initial must be at most max, which is 10, not 50/],
    [{ maximum: 5 } as AdaptiveLimitOptions, /maximum is not an option/],
    [null as unknown as AdaptiveLimitOptions, /options must be an object/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(() => adaptiveLimit(options), { name: InvalidOptionsError.name, message });
  }
  for (const limit of [0, -1, 1.5, NaN, Infinity, LIMIT_MAX + 1, "5" as unknown as number]) {
    assert.throws(() => fixedLimit(limit), /fixed limit: it must be a whole number at least 1/);
  }
});

test("a smaller maximum, or a larger minimum, takes the initial limit with it", () => {
  assert.equal(adaptiveLimit({ max: 10 }).initial, 10);
  assert.equal(adaptiveLimit({ min: 30 }).initial, 30);
  const { kind, initial, min, max } = adaptiveLimit();
  assert.deepEqual(
    { kind, initial, min, max },
    { kind: "adaptive", initial: 20, min: 2, max: 5000 },
  );
  const fixed = fixedLimit(7);
  assert.deepEqual([fixed.kind, fixed.initial, fixed.min, fixed.max], ["fixed", 7, 7, 7]);
});

test("defaults give way to what was written, and only that is complained of", () => {
  const one = adaptiveLimit({ max: 1 });
  assert.deepEqual([one.initial, one.min, one.max], [1, 1, 1]);
  assert.throws(
    () => adaptiveLimit({ min: 10, max: 5 }),
    (error: Error) => !error.message.includes("initial"),
  );
});
