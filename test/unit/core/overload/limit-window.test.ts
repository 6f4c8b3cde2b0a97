// What happened between two evaluations of a limit, alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LimitWindow } from "../../../../src/core/overload/limit-window.ts";

function facts(window: LimitWindow, nowMs: number): readonly number[] {
  const { samples, timeoutShare, ended, meanInFlight, meanMs, peak, refusals, admitted } = window;
  return [
    samples,
    timeoutShare,
    ended,
    meanInFlight,
    meanMs,
    peak,
    refusals,
    admitted,
    window.leftEarly,
    window.quantileMs(0.5),
    window.okRate(nowMs),
  ];
}

const NOTHING = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

function busy(): LimitWindow {
  const window = new LimitWindow(1000);
  for (const latencyMs of [50, 150]) window.addLatency(latencyMs);
  for (const inFlight of [3, 5]) window.addArrival(inFlight);
  window.peak = 6;
  window.oks = 2;
  window.failures = 1;
  window.timeouts = 1;
  window.leftEarly = 8;
  window.refusals = 7;
  window.admitted = 4;
  return window;
}

test("an empty window is nothing, and no number is none", () => {
  assert.deepEqual(facts(new LimitWindow(1000), 1100), NOTHING);
  assert.deepEqual(facts(new LimitWindow(1000), 1000), NOTHING);
});

test("means and shares are those of what happened in it", () => {
  const window = busy();
  const [, timeoutShare, ended, meanInFlight, meanMs] = facts(window, 1100);
  assert.deepEqual([timeoutShare, ended, meanInFlight, meanMs], [0.25, 4, 4, 100]);
  assert.equal(window.okRate(1100), 0.02);
  // In no time nothing has a rate, nor when the clock goes back.
  assert.deepEqual([window.okRate(1000), window.okRate(900)], [0, 0]);
});

test("means of a single call are that call's", () => {
  const window = new LimitWindow(0);
  window.addLatency(100);
  window.addArrival(3);
  window.timeouts = 1;
  assert.deepEqual([window.meanMs, window.meanInFlight, window.timeoutShare], [100, 3, 1]);
  window.oks = 1;
  assert.equal(window.okRate(0.5), 2);
});

test("begun anew it is empty but for what is in flight", () => {
  const window = busy();
  window.begin(2000, 6);
  assert.deepEqual([window.startMs, window.peak], [2000, 6]);
  window.begin(2000, 0);
  assert.deepEqual(facts(window, 2100), NOTHING);
  window.addLatency(100);
  window.addArrival(3);
  assert.deepEqual([window.meanMs, window.meanInFlight], [100, 3]);
});
