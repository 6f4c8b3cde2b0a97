// How long the sliding-window breaker stays open: growth, jitter and Retry-After.

import assert from "node:assert/strict";
import { test } from "node:test";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { BOOM } from "./rig.ts";
import { createRig, recover } from "./sliding-window-harness.ts";

test("waits grow with each opening, up to the longest", () => {
  const rig = createRig({ openDurationFactor: 2, openDurationMsMax: 50_000 }).tripByFailures();
  const waits: (number | undefined)[] = [rig.retryAfterMs];
  for (let n = 0; n < 4; n += 1) {
    rig.advance(rig.retryAfterMs ?? 0);
    rig.failTimes(1);
    waits.push(rig.retryAfterMs);
  }
  assert.deepEqual(waits, [15_000, 30_000, 50_000, 50_000, 50_000]);
  assert.equal(rig.snapshot.tripCount, 1);
});

test("a wait that grew is forgotten after a stable close, not before", () => {
  const rig = createRig({ openDurationFactor: 2, stableCloseMs: 5000 });
  rig.tripByFailures();
  recover(rig);
  rig.advance(4999);
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 30_000);
  recover(rig);
  rig.advance(5000);
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});

test("a person's reset forgets it, too", () => {
  const rig = createRig({ openDurationFactor: 2 }).tripByFailures();
  rig.reset();
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});

test("growth without end stays at the longest wait", () => {
  const rig = createRig({ openDurationFactor: 100 }).tripByFailures();
  for (let n = 0; n < 400; n += 1) {
    rig.advance(rig.retryAfterMs ?? 0);
    rig.failTimes(1);
  }
  assert.equal(rig.retryAfterMs, 300_000);
});

test("jitter is drawn once per opening, within its spread", () => {
  let draws = 0;
  const random = new SeededRandom(7);
  const counting = { next: () => ((draws += 1), random.next()) };
  const rig = createRig({ openDurationJitter: 0.25 }, counting);
  const waits = new Set<number>();
  for (let n = 1; n <= 200; n += 1) {
    rig.tripByFailures();
    const waitMs = rig.retryAfterMs ?? 0;
    assert.ok(waitMs >= 11_250 && waitMs < 18_750, `${waitMs}`);
    assert.equal(rig.retryAfterMs, waitMs);
    assert.equal(rig.refuses(), true);
    assert.equal(draws, n);
    waits.add(Math.round(waitMs));
    rig.reset();
  }
  assert.ok(waits.size > 150);
});

test("nothing is drawn without jitter, and without chance there is none", () => {
  const never = {
    next: () => {
      throw new Error("drawn");
    },
  };
  assert.equal(createRig({}, never).tripByFailures().retryAfterMs, 15_000);
  const machine = slidingWindow({ openDurationJitter: 0.9, minimumCalls: 1 }).createMachine();
  machine.record("failed", BOOM, 1, { nowMs: 0, wallMs: 1 });
  assert.equal(machine.refusal({ nowMs: 0, wallMs: 1 }).retryAfterMs, 15_000);
});

test("Retry-After lengthens the wait, never shortens it, and is capped", () => {
  const waits: [number | undefined, number][] = [
    [undefined, 15_000],
    [1000, 15_000],
    [15_001, 15_001],
    [300_000, 300_000],
    [86_400_000, 300_000],
    [Number.POSITIVE_INFINITY, 300_000],
    [Number.NaN, 15_000],
    [-60_000, 15_000],
  ];
  for (const [retryAfterMs, waitMs] of waits) {
    const rig = createRig();
    rig.failTimes(10, { retryAfterMs });
    assert.ok(Math.abs((rig.retryAfterMs ?? 0) - waitMs) < 1e-6, String(retryAfterMs));
  }
  const deaf = createRig({ retryAfterMsMax: 0 });
  deaf.failTimes(10, { retryAfterMs: 60_000 });
  assert.equal(deaf.retryAfterMs, 15_000);
});

test("Retry-After counts whichever of the failures brought it, and a probe's does", () => {
  const rig = createRig();
  rig.failTimes(1, { retryAfterMs: 40_000 });
  rig.advance(10_000);
  rig.failTimes(9);
  assert.equal(rig.retryAfterMs, 30_000);
  rig.advance(30_000);
  rig.failTimes(1, { retryAfterMs: 20_000 });
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 20_000);
  // What the upstream asked for has passed with the state it was asked in.
  rig.advance(20_000);
  rig.failTimes(1);
  assert.equal(rig.retryAfterMs, 15_000);
});

test("a Retry-After of one era is not remembered in the next", () => {
  const rig = createRig();
  rig.failTimes(1, { retryAfterMs: 200_000 });
  rig.reset();
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});
