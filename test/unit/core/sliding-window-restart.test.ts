// What of the sliding-window breaker survives a restart, and what its snapshots say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REFUSED } from "../../../src/core/breaker/machine.ts";
import { BOOM } from "./rig.ts";
import { createRig, metricsOf, recover } from "./sliding-window-harness.ts";

test("open survives with what remains of its wait", () => {
  const rig = createRig({ openDurationFactor: 2 }).tripByFailures();
  rig.advance(5000);
  rig.restart();
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 10_000);
  assert.equal(metricsOf(rig).timeInCurrentState, 5);
  rig.advance(9999);
  assert.equal(rig.refuses(), true);
  rig.advance(1);
  rig.failTimes(1);
  assert.equal(rig.retryAfterMs, 30_000, "it knows that it opened before");
});

test("half-open survives as open with its probes due", () => {
  const rig = createRig();
  const probe = rig.halfOpen();
  rig.advance(100);
  rig.restart();
  assert.equal(rig.state, "open");
  assert.equal(rig.ok(probe), false);
  rig.admit();
  assert.equal(rig.state, "half-open");
});

test("an open state of last year is probed at once, and one by hand still holds", () => {
  const rig = createRig().tripByFailures();
  rig.restart({}, 86_400_000 * 365);
  assert.equal(rig.refuses(), false);
  rig.tripByHand();
  rig.restart({}, 86_400_000 * 365);
  assert.equal(rig.snapshot.manual, true);
  assert.equal(rig.refuses(), true);
});

test("no stored date makes the wait longer than the longest", () => {
  const rig = createRig({ openDurationJitter: 0.2, retryAfterMsMax: 0 }).tripByFailures();
  rig.restart({ trippedUntil: rig.wallMs + 86_400_000 });
  assert.equal(rig.retryAfterMs, 18_000);
  const grown = createRig({
    openDurationFactor: 2,
    openDurationMsMax: 40_000,
    retryAfterMsMax: 0,
  }).tripByFailures();
  grown.restart({ trippedUntil: grown.wallMs + 86_400_000 });
  assert.equal(grown.retryAfterMs, 40_000);
  const asked = createRig().tripByFailures();
  asked.restart({ trippedUntil: asked.wallMs + 86_400_000 });
  assert.equal(asked.retryAfterMs, 300_000);
});

test("a trip without a stored wait is given the usual one", () => {
  const rig = createRig().tripByFailures();
  rig.advance(4000);
  rig.restart({ trippedUntil: null });
  assert.equal(rig.retryAfterMs, 11_000);
});

test("a closed window is not restored, but what it is known for is", () => {
  const rig = createRig().tripByFailures();
  recover(rig);
  rig.okTimes(1);
  rig.failTimes(8);
  const before = rig.snapshot;
  assert.equal(before.failureCount, 8);
  rig.restart();
  assert.deepEqual(rig.snapshot, { ...before, recentCalls: 0, failureCount: 0 });
  rig.failTimes(9);
  assert.equal(rig.state, "closed");
  assert.equal(metricsOf(rig).totalRequests, 9);
});

test("adopting a closed state keeps the window of a closed breaker", () => {
  const rig = createRig();
  rig.failTimes(9);
  const inFlight = rig.admit();
  rig.machine.restore(createRig().snapshot, rig.at);
  assert.equal(metricsOf(rig).recentRequests, 9);
  rig.fail(inFlight);
  assert.equal(rig.state, "open");
});

test("is worth keeping while it holds anything that speaks against the upstream", () => {
  const rig = createRig({ slowCallMs: 1000 });
  assert.equal(rig.machine.slowCallMs, 1000);
  assert.equal(rig.machine.hasFailures, false);
  rig.okTimes(1);
  assert.equal(rig.machine.hasFailures, false);
  rig.okTimes(1, 1000);
  assert.equal(rig.machine.hasFailures, true);
  rig.reset();
  assert.equal(rig.machine.hasFailures, false);
  rig.failTimes(1);
  assert.equal(rig.machine.hasFailures, true);
  assert.equal(createRig().machine.slowCallMs, Number.POSITIVE_INFINITY);
});

test("calls are dated", () => {
  const rig = createRig();
  assert.equal(rig.snapshot.lastSuccessAt, null);
  assert.equal(rig.snapshot.lastFailureAt, null);
  rig.okTimes(1, 0);
  rig.advance(7);
  rig.failTimes(1);
  rig.advance(5);
  assert.equal(rig.snapshot.lastSuccessAt, rig.wallMs - 12);
  assert.equal(rig.snapshot.lastFailureAt, rig.wallMs - 5);
  assert.equal(rig.snapshot.avgLatencyMs, 0);
  rig.restart({}, 1000);
  assert.equal(rig.snapshot.lastSuccessAt, rig.wallMs - 1012);
  assert.equal(rig.snapshot.avgLatencyMs, 0);
  rig.okTimes(1, 10);
  assert.equal(rig.snapshot.avgLatencyMs, 2);
});

test("half of a stored reason is none", () => {
  const rig = createRig().tripByFailures();
  const { trippedBy } = rig.snapshot;
  assert.notEqual(trippedBy, null);
  rig.restart();
  assert.deepEqual(rig.snapshot.trippedBy, trippedBy);
  for (const key of ["rule", "count", "calls", "ratio", "threshold"]) {
    const half = createRig().tripByFailures();
    half.restart({ trippedBy: { ...trippedBy, [key]: "many" } });
    assert.equal(half.snapshot.trippedBy, null, key);
  }
});

test("direct evidence that is none counts nowhere", () => {
  const rig = createRig();
  rig.machine.record("ignored", BOOM, 5, rig.at);
  rig.machine.record("failed", undefined, 5, rig.at);
  assert.equal(metricsOf(rig).totalRequests, 0);
  assert.equal(metricsOf(rig).recentRequests, 0);
});

test("the dates of a trip and a reset stay when the wall clock is set", () => {
  const rig = createRig().tripByFailures();
  const trippedAt = rig.wallMs;
  rig.wallMs += 3_600_000;
  assert.equal(rig.snapshot.trippedAt, trippedAt);
  rig.reset();
  const resetAt = rig.wallMs;
  rig.wallMs -= 7_200_000;
  const { lastResetAt, lastResetBy, lastResetReason } = rig.snapshot;
  assert.deepEqual([lastResetAt, lastResetBy, lastResetReason], [resetAt, "ann", "done"]);
});

test("a read changes nothing", () => {
  const rig = createRig();
  rig.failTimes(9);
  const read = (): unknown[] => [
    rig.snapshot,
    metricsOf(rig),
    rig.machine.refusal(rig.at),
    rig.state,
  ];
  const first = read();
  rig.advance(61_000);
  assert.equal(metricsOf(rig).recentRequests, 0);
  rig.advance(-61_000);
  assert.deepEqual(read(), first);
  assert.equal(rig.machine.cooldownRemainingMs(rig.at), 0);
  assert.equal(rig.refuses(), false);
  assert.equal(REFUSED, -1);
});
