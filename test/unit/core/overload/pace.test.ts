// What a limiter knows of how long calls take, alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LimitWindow } from "../../../../src/core/overload/limit-window.ts";
import { Pace } from "../../../../src/core/overload/pace.ts";

/** So many calls of so long, in 100 ms. */
function windowOf(ms: number, times: number): LimitWindow {
  const window = new LimitWindow(0);
  for (let n = 0; n < times; n += 1) window.addLatency(ms);
  window.oks = times;
  return window;
}

/** After such windows; each of the middle of its bucket, so that the median is exact. */
function paceOf(seen: readonly number[], deadlineMs: number | undefined = 1000): Pace {
  const pace = new Pace(deadlineMs);
  for (const ms of seen) pace.take(windowOf(ms, 10), 100);
  return pace;
}

test("the first window is what is known, and each further one half of it", () => {
  assert.deepEqual([new Pace(1000).latencyMs, new Pace(1000).gapMs], [0, 0]);
  const pace = paceOf([0.53125]);
  assert.deepEqual([pace.latencyMs, pace.gapMs], [0.53125, 10]);
  assert.equal(paceOf([100, 200]).latencyMs, 150);
  assert.equal(paceOf([0.53125, 200]).latencyMs, (0.53125 + 200) / 2);
});

test("a window in which nothing came back changes nothing of that", () => {
  const pace = paceOf([100]);
  pace.take(windowOf(0, 0), 100);
  assert.deepEqual([pace.latencyMs, pace.gapMs], [100, 10]);
  // Successes of which none is evidence are a rate all the same.
  const old = windowOf(0, 0);
  old.oks = 20;
  pace.take(old, 100);
  assert.deepEqual([pace.latencyMs, pace.gapMs], [100, 5]);
  assert.equal(pace.heldMs(windowOf(0, 0), 100), 100);
});

test("a window is the least power of two of 100 ms, up to 128, that one and a half round trips fit in", () => {
  const lengths = [62, 68, 124, 136, 992, 7936, 10_000, 1e6].map((ms) => paceOf([ms]).windowMs);
  assert.deepEqual(lengths, [100, 200, 200, 400, 1600, 12_800, 12_800, 12_800]);
});

test("a permit is held as long as calls take, or as Little's law has it, at most a deadline", () => {
  const held = (inFlight: number, ended: number, deadlineMs?: number): number => {
    const window = new LimitWindow(0);
    window.addArrival(inFlight);
    window.failures = ended;
    return paceOf([100], deadlineMs).heldMs(window, 100);
  };
  assert.equal(held(10, 10), 100);
  assert.equal(held(20, 10), 200);
  assert.equal(held(5, 10), 100);
  assert.equal(held(5, 0), 500);
  assert.equal(held(100, 1), 1000);
  const endless = new Pace(undefined);
  endless.take(windowOf(100, 10), 100);
  const window = new LimitWindow(0);
  window.addArrival(50);
  assert.equal(endless.heldMs(window, 100), 100);
});

test("the rest of a call is what is in flight, less its age, from its base to a deadline", () => {
  const pace = paceOf([100]);
  assert.equal(pace.gapMs, 10);
  assert.equal(pace.restMs(30, 8, 20), 50);
  assert.equal(pace.restMs(70, 8, 20), 20);
  assert.equal(pace.restMs(500, 70, 20), 200);
  assert.equal(pace.restMs(1000, 800, 20), 1000);
  const endless = new Pace(undefined);
  endless.take(windowOf(100, 10), 100);
  assert.equal(endless.restMs(60_000, 80_000, 20), 30_000);
});

test("nor is it longer than others take, or than as long again", () => {
  const pace = paceOf([100]);
  assert.equal(pace.restMs(10, 800, 20), pace.latencyMs - 10);
  assert.equal(pace.restMs(300, 800, 20), 300);
  // Of one that nothing is known of, a moment; and no less.
  assert.equal(new Pace(1000).restMs(30, 8, 20), 30);
  assert.equal(new Pace(1000).restMs(0, 8, 20), 10);
  assert.equal(new Pace(undefined).restMs(60_000, 8, 20), 30_000);
});

test("what is no evidence is a guess where nothing is known, and only there", () => {
  const window = windowOf(0, 0);
  window.addStale(300);
  window.addStale(500);
  const pace = new Pace(1000);
  pace.take(window, 100);
  assert.equal(pace.latencyMs, 400);
  assert.equal(pace.heldMs(new LimitWindow(0), 100), 400);
  window.begin(100, 0);
  assert.equal(window.staleMeanMs, 0);
  const knowing = paceOf([100]);
  window.addStale(300);
  knowing.take(window, 200);
  assert.equal(knowing.latencyMs, paceOf([100]).latencyMs);
});

test("calls that were left are over, and held nothing longer than the rest", () => {
  const window = new LimitWindow(0);
  window.addArrival(10);
  window.ignored = 100;
  assert.equal(new Pace(1000).heldMs(window, 100), 10);
});
