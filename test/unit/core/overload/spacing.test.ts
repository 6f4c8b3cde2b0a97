// What a limit does when its least is too much: the rule alone, and in a limiter.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ENDED_TIMEOUT, REFUSED_LIMIT } from "../../../../src/core/overload/limiter.ts";
import { adaptiveLimit } from "../../../../src/core/overload/limit-policy.ts";
import { Spacing } from "../../../../src/core/overload/spacing.ts";
import { fixedRig, LimiterRig } from "./limiter-rig.ts";

/** One after the other: each is let in a second after the one before, and is late. */
function lateTimes(count: number, deadlineMs = 1000, fromMs = 1000): Spacing {
  const spacing = new Spacing(deadlineMs);
  for (let n = 0; n < count; n += 1) {
    spacing.admitted(fromMs + n * 1000);
    spacing.late(fromMs + n * 1000);
  }
  return spacing;
}

test("two late calls in a row make calls rarer, and each further one doubles that, up to a bound", () => {
  const spaces = [0, 1, 2, 3, 4, 20].map((count) => lateTimes(count).spaceMs);

  assert.deepEqual(spaces, [0, 0, 500, 1000, 2000, 16_000]);
  assert.equal(lateTimes(20, 5000).spaceMs, 30_000);
  assert.equal(lateTimes(20, 60_000).spaceMs, 60_000);
});

test("it is alert from the first late call until calls are as frequent as before", () => {
  assert.equal(lateTimes(0).isAlert, false);
  const spacing = lateTimes(1);
  assert.deepEqual([spacing.isAlert, spacing.isOn], [true, false]);
  spacing.admitted(2000);
  spacing.late(2000);
  // Back in time, if not early.
  spacing.ok(2000, 900, 2);
  assert.deepEqual([spacing.isAlert, spacing.isOn], [true, true]);
  // However short a deadline is.
  const short = lateTimes(2, 1);
  short.ok(3000, 0.9, 2);
  assert.deepEqual([short.isAlert, short.isOn, short.spaceMs], [true, true, 0.5]);
});

test("cleared, it begins anew: a late call before that counts no more", () => {
  const spacing = lateTimes(1);
  spacing.clear();
  spacing.admitted(2000);
  spacing.late(2000);
  assert.equal(spacing.isOn, false);
});

test("without a deadline nothing is rarer, however late some callers think it", () => {
  const spacing = new Spacing(undefined);
  for (const startMs of [1, 2, 3]) spacing.late(startMs);

  assert.equal(spacing.isAlert, false);
});

test("a call in time between two late ones shows that it was an accident", () => {
  const spacing = lateTimes(1);
  spacing.ok(1000, 900, 2);
  spacing.admitted(3000);
  spacing.late(3000);

  assert.equal(spacing.isOn, false);
});

test("only what was let in after the last change counts", () => {
  const spacing = lateTimes(2);
  spacing.late(2000);
  spacing.ok(2000, 10, 2);

  assert.equal(spacing.spaceMs, 500);
});

test("after the clock went back what is let in counts again", () => {
  const spacing = lateTimes(2, 1000, 1_000_000);
  assert.equal(spacing.isEarly(0, 0), false);
  spacing.admitted(0);
  spacing.late(0);
  spacing.late(0);

  assert.equal(spacing.spaceMs, 1000);
});

test("calls that are back early make calls more frequent, until the limit alone decides", () => {
  const spacing = lateTimes(2);
  spacing.ok(3000, 501, 2);
  assert.equal(spacing.spaceMs, 500);
  spacing.ok(3000, 500, 2);
  assert.equal(spacing.spaceMs, 250);
  spacing.ok(3000, 125, 1);
  assert.equal(spacing.spaceMs, 125);
  spacing.ok(3000, 65, 1);

  // 62.5 ms apart, one at a time that takes 65 ms is what holds back.
  assert.equal(spacing.isOn, false);
});

test("a call that is back well before it would be late takes back all that was doubled", () => {
  const early = lateTimes(20);
  early.ok(30_000, 251, 2);
  assert.equal(early.spaceMs, 8000);
  early.ok(30_000, 250, 2);
  assert.equal(early.spaceMs, 500);
  early.ok(30_000, 250, 2);
  assert.equal(early.spaceMs, 250);
});

test("it is too soon until the time has passed, and longer for what is less critical", () => {
  const spacing = lateTimes(3);
  const earliest = (ahead: number): number[] =>
    [3999, 4000, 4499, 4500, 4999, 5000].filter((nowMs) => !spacing.isEarly(nowMs, ahead));

  assert.equal(earliest(0)[0], 4000);
  assert.equal(earliest(0.0005)[0], 4500);
  assert.equal(earliest(99)[0], 5000);
});

test("a limiter at its least lets in one at a time, in time, and tells when", () => {
  const rig = new LimiterRig(adaptiveLimit({ initial: 2, max: 2 }));
  for (const permit of rig.admitAll(2)) {
    rig.nowMs = 1000;
    rig.limiter.outlived(permit, ENDED_TIMEOUT, rig.nowMs);
    rig.limiter.settle(permit, ENDED_TIMEOUT, rig.nowMs);
  }

  assert.ok(rig.admit() >= 0);
  assert.equal(rig.admit(), REFUSED_LIMIT);
  assert.equal(rig.limiter.retryAfterMs(), 500);
  rig.wait(499);
  assert.equal(rig.admit(), REFUSED_LIMIT);
  rig.wait(1);
  assert.ok(rig.admit() >= 0);
});

test("while calls are spaced out the limit learns nothing of them", () => {
  const rig = new LimiterRig(adaptiveLimit({ initial: 2, max: 2 }));
  for (const permit of rig.admitAll(2)) {
    rig.nowMs = 1000;
    rig.limiter.leave(permit, ENDED_TIMEOUT, rig.nowMs);
  }
  rig.wait(1000);
  // In time, if not early: the space stays.
  for (let n = 0; n < 20; n += 1) {
    const [permit = -1] = rig.admitAll(1);
    rig.wait(600);
    rig.settleAll([permit]);
  }

  assert.equal(rig.limiter.spaceMs, 500);
  assert.ok(rig.limiter.latencyMs > 550);
  assert.equal(rig.limiter.baseMs, 0);
});

test("who leaves late counts as well", () => {
  const rig = new LimiterRig(adaptiveLimit({ initial: 2, max: 2 }));
  for (const permit of rig.admitAll(2)) rig.limiter.leave(permit, ENDED_TIMEOUT, 1000);
  rig.nowMs = 3000;
  rig.admit();

  assert.equal(rig.admit(), REFUSED_LIMIT);
});

test("a limit set by hand, or above its least, lets in as often as it says", () => {
  for (const rig of [fixedRig(2), new LimiterRig(adaptiveLimit({ initial: 3 }))]) {
    for (const permit of rig.admitAll(2)) rig.limiter.settle(permit, ENDED_TIMEOUT, 1000);
    rig.nowMs = 1000;
    rig.admitAll(2);
  }
});

test("a breaker that lets calls in again has them come as they come", () => {
  const rig = new LimiterRig(adaptiveLimit({ initial: 2, max: 2 }));
  for (const permit of rig.admitAll(2)) rig.limiter.settle(permit, ENDED_TIMEOUT, 1000);
  rig.limiter.freeze();
  rig.limiter.thaw(1000);
  rig.nowMs = 1000;

  rig.admitAll(2);
});
