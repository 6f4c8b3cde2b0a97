// When a limit makes its experiments, and what it makes of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CutExperiment } from "../../../../src/core/overload/cut-experiment.ts";
import { DrainSchedule } from "../../../../src/core/overload/drain-schedule.ts";

/** Windows of 100 ms; when drains were due, milliseconds. Each ends at once. */
function dues(schedule: DrainSchedule, untilMs: number, taught: boolean, windowMs = 100): number[] {
  const due: number[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += windowMs) {
    if (!schedule.isDue(true, windowMs, nowMs)) continue;
    due.push(nowMs);
    schedule.ended(taught, false, windowMs, nowMs);
  }
  return due;
}

test("drains soon, then on multiples of five and of ten seconds of the wall clock", () => {
  assert.deepEqual(dues(new DrainSchedule(0), 30_000, false), [1000, 5000, 10_000, 20_000, 30_000]);
  // Another origin of the monotonic clock, the same moments.
  assert.deepEqual(dues(new DrainSchedule(300), 20_000, false), [700, 4700, 9700, 19_700]);
});

test("drains every second as long as that teaches something", () => {
  assert.deepEqual(dues(new DrainSchedule(0), 4000, true), [1000, 2000, 3000, 4000]);
});

test("long windows make drains rarer, or they would cost more than they are worth", () => {
  assert.deepEqual(
    dues(new DrainSchedule(0), 48_000, false, 800),
    [4000, 10_400, 20_000, 30_400, 40_000],
  );
});

test("does not drain while the limit is not needed, and is new to it after a while", () => {
  const schedule = new DrainSchedule(0);
  for (let nowMs = 0; nowMs < 20_000; nowMs += 100) {
    assert.equal(schedule.isDue(false, 100, nowMs), false);
  }
  assert.equal(schedule.isFirst, true);
  schedule.isDue(true, 100, 20_000);
  schedule.ended(false, false, 100, 20_000);
  assert.equal(schedule.isFirst, false);
  schedule.isDue(false, 100, 22_900);
  assert.equal(schedule.isFirst, false);
  schedule.isDue(false, 100, 23_100);
  assert.equal(schedule.isFirst, true);
});

test("trusts what a drain shows where others drain, too: the first, on the fives, and to verify", () => {
  const schedule = new DrainSchedule(0);
  schedule.isDue(true, 100, 0);
  assert.equal(schedule.isTogether, true);
  schedule.ended(true, false, 100, 1000);
  schedule.isDue(true, 100, 2000);
  assert.equal(schedule.isTogether, false);
  schedule.isDue(true, 100, 5000);
  assert.equal(schedule.isTogether, true);
  schedule.ended(true, false, 100, 5100);
  assert.equal(schedule.isTogether, false);
  schedule.ended(true, true, 100, 6100);
  assert.equal(schedule.isTogether, true);
});

test("tells work from waiting, half-way between the two", () => {
  const experiment = new CutExperiment();
  assert.equal(experiment.showsWork(10, 100), false);
  assert.equal(experiment.noteCut(40, 200, 1, 100), true);
  assert.equal(experiment.noteCut(30, 150, 1, 100), false);

  // Half as many: 100 ms if they waited, 200 if they worked.
  assert.equal(experiment.showsWork(20, 149), false);
  assert.equal(experiment.showsWork(20, 151), true);
  // Too early to tell, and slower than ever: no comparison.
  assert.equal(experiment.showsWork(31, 200), false);
  assert.equal(experiment.showsWork(20, 260), false);
  experiment.end();
  assert.equal(experiment.showsWork(20, 151), false);
});

test("begins anew when the upstream becomes slower still, by more than noise", () => {
  const experiment = new CutExperiment();
  experiment.noteCut(40, 100, 1, 100);
  experiment.noteCut(30, 139, 1, 100);
  assert.equal(experiment.limitBefore, 40);
  // So few samples may be slower by chance.
  experiment.noteCut(30, 180, 1, 4);
  assert.equal(experiment.limitBefore, 40);
  experiment.noteCut(30, 141, 1, 100);
  assert.deepEqual([experiment.limitBefore, experiment.medianMsBefore], [30, 141]);
});

test("has seen a slowdown when latency jumped and fewer came back, and not for either alone", () => {
  for (const [medianMs, rate, seen] of [
    [60, 0.5, true],
    [60, 0.9, false],
    [40, 0.5, false],
  ] as const) {
    const experiment = new CutExperiment();
    for (let window = 0; window < 20; window += 1) experiment.rememberUsual(20, 1);
    experiment.noteCut(40, medianMs, rate, 100);
    assert.equal(experiment.sawSlowdown, seen);
  }
});
