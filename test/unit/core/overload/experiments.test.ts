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

test("drains soon again once one has taught something", () => {
  const schedule = new DrainSchedule(0);
  for (const taught of [false, false, true]) schedule.ended(taught, false, 100, 10_000);
  assert.equal(schedule.nextMs, 11_000);
});

test("long windows make drains rarer, or they would cost more than they are worth", () => {
  assert.deepEqual(
    dues(new DrainSchedule(0), 48_000, false, 800),
    [4000, 10_400, 20_000, 30_400, 40_000],
  );
});

test("a period is at least three windows while drains teach, and ten when they do not", () => {
  const soon = (windowMs: number) => dues(new DrainSchedule(0), 4000, true, windowMs)[0];
  assert.deepEqual([300, 400].map(soon), [1200, 2000]);
  const later = (windowMs: number) => dues(new DrainSchedule(0), 12_000, false, windowMs)[1];
  assert.deepEqual([500, 600].map(later), [5000, 10_200]);
});

test("does not drain while the limit is not needed, and is new to it after a while", () => {
  const schedule = new DrainSchedule(0);
  assert.equal(schedule.isFirst, true);
  for (let nowMs = 0; nowMs < 20_000; nowMs += 100) {
    assert.equal(schedule.isDue(false, 100, nowMs), false);
  }
  assert.equal(schedule.isFirst, true);
  schedule.isDue(true, 100, 20_000);
  schedule.ended(false, false, 100, 20_000);
  assert.equal(schedule.isFirst, false);
  schedule.isDue(false, 100, 23_000);
  assert.deepEqual([schedule.isFirst, schedule.isTogether], [false, false]);
  schedule.isDue(false, 100, 23_001);
  assert.deepEqual([schedule.isFirst, schedule.isTogether], [true, true]);
  // And as soon as at first.
  schedule.isDue(true, 100, 23_100);
  assert.equal(schedule.nextMs, 24_000);
});

test("trusts what a drain shows where others drain, too: the first, on the fives, and to verify", () => {
  const schedule = new DrainSchedule(0);
  schedule.isDue(true, 100, 0);
  assert.equal(schedule.isTogether, true);
  schedule.ended(true, false, 100, 1000);
  schedule.isDue(true, 100, 2000);
  assert.equal(schedule.isTogether, false);
  // Nobody drains here: this window did not need the limit.
  schedule.isDue(false, 100, 5000);
  assert.equal(schedule.isTogether, false);
  schedule.isDue(true, 100, 10_500);
  assert.equal(schedule.isTogether, false);
  schedule.isDue(true, 100, 15_499);
  assert.equal(schedule.isTogether, true);
  schedule.ended(true, false, 100, 15_600);
  assert.equal(schedule.isTogether, false);
  schedule.ended(true, true, 100, 16_600);
  assert.equal(schedule.isTogether, true);
});

test("tells work from waiting, half-way between the two", () => {
  const experiment = new CutExperiment();
  assert.equal(experiment.showsWork(10, 100), false);
  assert.equal(experiment.noteCut(40, 200, 1, 100), true);
  assert.equal(experiment.noteCut(30, 150, 1, 100), false);

  // Half as many: 100 ms if they waited, 200 if they worked.
  assert.equal(experiment.showsWork(20, 150), false);
  assert.equal(experiment.showsWork(20, 151), true);
  // Three quarters are enough of a cut, and a quarter longer is still the same latency.
  assert.deepEqual([experiment.showsWork(30, 200), experiment.showsWork(31, 200)], [true, false]);
  assert.deepEqual([experiment.showsWork(20, 250), experiment.showsWork(20, 251)], [true, false]);
  experiment.end();
  assert.equal(experiment.showsWork(20, 151), false);
});

test("the next row begins with its own latency, though it is less than the last one's", () => {
  const experiment = new CutExperiment();
  experiment.noteCut(40, 200, 1, 100);
  experiment.end();
  assert.equal(experiment.noteCut(30, 100, 1, 100), true);
  assert.deepEqual([experiment.limitBefore, experiment.medianMsBefore], [30, 100]);
});

test("begins anew when the upstream becomes slower still, by more than noise", () => {
  const experiment = new CutExperiment();
  experiment.noteCut(40, 100, 1, 100);
  experiment.noteCut(30, 139, 1, 100);
  assert.equal(experiment.limitBefore, 40);
  // So few samples may be slower by chance.
  experiment.noteCut(30, 200, 1, 4);
  assert.equal(experiment.limitBefore, 40);
  experiment.noteCut(30, 141, 1, 100);
  assert.deepEqual([experiment.limitBefore, experiment.medianMsBefore], [30, 141]);
});

test("has seen a slowdown when latency jumped and fewer came back, and not for either alone", () => {
  for (const [medianMs, rate, seen] of [
    [51, 1.99, true],
    [51, 2, false],
    [50, 1.99, false],
  ] as const) {
    const experiment = new CutExperiment();
    assert.equal(experiment.sawSlowdown, false);
    // The first one is what is usual.
    experiment.rememberUsual(20, 3);
    experiment.noteCut(40, medianMs, rate, 100);
    assert.equal(experiment.sawSlowdown, seen);
  }
});

test("what is usual follows what is by three tenths", () => {
  for (const [medianMs, rate, seen] of [
    [58, 0.86, true],
    [58, 0.87, false],
    [57, 0.86, false],
  ] as const) {
    const experiment = new CutExperiment();
    experiment.rememberUsual(20, 1);
    experiment.rememberUsual(30, 2);
    experiment.noteCut(40, medianMs, rate, 100);
    assert.equal(experiment.sawSlowdown, seen);
  }
});

test("a row that is begun anew has seen what it saw at first", () => {
  const experiment = new CutExperiment();
  experiment.rememberUsual(20, 3);
  experiment.noteCut(40, 100, 1, 100);
  experiment.noteCut(30, 200, 3, 100);
  assert.deepEqual([experiment.limitBefore, experiment.sawSlowdown], [30, true]);
});
