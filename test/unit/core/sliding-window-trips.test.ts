// Why the sliding-window breaker trips, and what a trip by hand is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BOOM, WEIGHTLESS } from "./rig.ts";
import { createRig, metricsOf, recover, type SlidingWindowRig } from "./sliding-window-harness.ts";

test("says which rule tripped, with its numbers", () => {
  const rig = createRig();
  rig.okTimes(5);
  rig.failTimes(6);
  const [trip] = rig.trips();
  assert.deepEqual(trip, {
    type: "trip",
    manual: false,
    isNewTrip: true,
    failureCount: 6,
    lastError: "boom",
    actor: "system",
    reason: "6 of 11 calls failed: 0.545 is above the threshold of 0.5",
    evidence: { rule: "failure_ratio", count: 6, calls: 11, ratio: 6 / 11, threshold: 0.5 },
  });
  assert.deepEqual(rig.snapshot.trippedBy, trip?.evidence);
});

test("slow successes trip as a rule of their own", () => {
  const rig = createRig({ slowCallMs: 1000, slowCallRatio: 0.3 });
  rig.okTimes(7, 999.9);
  rig.okTimes(3, 1000);
  assert.equal(rig.state, "closed", "exactly the share");
  assert.equal(metricsOf(rig).recentSlowRate, 0.3);
  rig.okTimes(1, 4000.4);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.trippedAt, rig.wallMs);
  const [trip] = rig.trips();
  assert.equal(trip?.reason, "4 of 11 calls were slow: 0.364 is above the threshold of 0.3");
  assert.equal(trip?.lastError, "a call took 4000 ms");
  assert.equal(trip?.failureCount, 0);
  assert.equal(trip?.evidence?.rule, "slow_call_ratio");
});

test("an inclusive threshold holds for slow calls, too", () => {
  const rig = createRig({ slowCallMs: 1000, slowCallRatio: 0.3, thresholdInclusive: true });
  rig.okTimes(7);
  rig.okTimes(3, 1000);
  assert.equal(rig.state, "open");
  assert.match(rig.trips()[0]?.reason ?? "", /3 of 10 calls were slow: 0.300 is at the threshold/);
});

test("a slow failure counts for both rules, and failures are named first", () => {
  const both = createRig({ slowCallMs: 1000 });
  for (let n = 0; n < 10; n += 1) both.fail(both.admit(), { latencyMs: 1000 });
  assert.equal(both.trips()[0]?.evidence?.rule, "failure_ratio");

  const slow = createRig({ slowCallMs: 1000, failureRatio: 1 });
  for (let n = 0; n < 10; n += 1) slow.fail(slow.admit(), { latencyMs: 1000 });
  const [trip] = slow.trips();
  assert.equal(trip?.evidence?.rule, "slow_call_ratio");
  assert.equal(trip?.lastError, "boom");
});

test("no latency is slow that is none, and without the option none is", () => {
  const rig = createRig({ slowCallMs: 1000, failureRatio: 1 });
  for (const latencyMs of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    rig.okTimes(10, latencyMs);
    for (let n = 0; n < 10; n += 1) rig.fail(rig.admit(), { latencyMs });
    rig.machine.record("ok", undefined, latencyMs, rig.at);
  }
  assert.equal(metricsOf(rig).recentSlowRate, 0);
  assert.equal(rig.snapshot.avgLatencyMs, null);
  const without = createRig();
  without.okTimes(20, 1e12);
  assert.equal(without.state, "closed");
});

test("a trip by slowness without a date is dated when somebody looks", () => {
  const rig = createRig({ slowCallMs: 1000 });
  rig.okTimes(9, 1000);
  rig.machine.settleOk(rig.admit(), 1000, rig.nowMs);
  assert.equal(rig.state, "open");
  rig.advance(250);
  assert.equal(rig.snapshot.trippedAt, rig.wallMs - 250);
  assert.equal(rig.machine.refusal(rig.at).trippedAt, rig.wallMs - 250);
});

test("a slow probe has failed: slowness must not close what slowness opened", () => {
  const rig = createRig({ slowCallMs: 1000 });
  rig.ok(rig.halfOpen(), 1000);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.lastError, "a call took 1000 ms");
});

test("failures have no weights but none at all", () => {
  const rig = createRig();
  rig.failTimes(9);
  const { machine } = rig;
  for (let n = 0; n < 50; n += 1) machine.settleFailed(rig.admit(), WEIGHTLESS, 5, rig.at);
  machine.record("failed", WEIGHTLESS, 5, rig.at);
  assert.equal(metricsOf(rig).recentRequests, 9);
  assert.equal(metricsOf(rig).totalFailures, 9);
  machine.settleFailed(rig.admit(), { weightThousandths: 1, message: "small" }, 5, rig.at);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.lastError, "small");
  machine.record("failed", WEIGHTLESS, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "small");
});

test("a trip by hand is never probed, and only a reset ends it", () => {
  const rig = createRig();
  rig.failTimes(3);
  rig.tripByHand();
  const [trip] = rig.trips();
  assert.equal(trip?.manual, true);
  assert.equal(trip?.evidence, null);
  assert.equal(trip?.failureCount, 3);
  assert.equal(rig.snapshot.manual, true);
  assert.equal(rig.snapshot.trippedUntil, null);
  rig.advance(86_400_000);
  assert.equal(rig.machine.admitNeedsTime, false);
  assert.equal(rig.refuses(), true);
  assert.deepEqual(rig.machine.refusal(rig.at), {
    reason: "tripped",
    retryAfterMs: undefined,
    remainingMs: 0,
    manual: true,
    trippedAt: rig.wallMs - 86_400_000,
    lastError: "maintenance",
  });
  assert.equal(metricsOf(rig).timeUntilRetry, null);
  rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "maintenance");
  rig.reset(true);
  assert.equal(rig.state, "closed");
  assert.equal(rig.snapshot.manual, false);
  const reset = rig.drain().find((event) => event.type === "reset");
  assert.deepEqual(reset, { type: "reset", forced: true, actor: "ann", reason: "done" });
});

test("a trip by hand of a tripped breaker is no new trip, and latches it", () => {
  const rig = createRig();
  const straggler = rig.admit();
  const probe = rig.halfOpen();
  rig.drain();
  rig.tripByHand();
  assert.equal(rig.trips()[0]?.isNewTrip, false);
  assert.equal(rig.snapshot.tripCount, 1);
  assert.equal(rig.ok(probe), false);
  assert.equal(rig.fail(straggler), false);
  assert.equal(rig.snapshot.lastError, "maintenance");
  assert.equal(rig.snapshot.trippedBy, null);
  rig.advance(1_000_000);
  assert.equal(rig.refuses(), true);
});

test("a person may ask for probes at once, whatever it was", () => {
  const ways: readonly ((rig: SlidingWindowRig) => void)[] = [
    () => {},
    (rig) => rig.restart(),
    (rig) => recover(rig.tripByFailures()),
    (rig) => rig.tripByHand(),
    (rig) => rig.tripByFailures(),
  ];
  for (const prepare of ways) {
    const rig = createRig({ openDurationFactor: 2 });
    prepare(rig);
    const { trippedAt, trippedUntil } = rig.snapshot;
    rig.advance(70);
    rig.machine.halfOpen(rig.nowMs);
    assert.equal(rig.state, "half-open");
    const { manual, trippedAt: since, trippedUntil: until } = rig.snapshot;
    assert.equal(manual, false);
    assert.equal(since, trippedAt ?? rig.wallMs);
    assert.ok(Number.isSafeInteger(until), "probes have a date");
    assert.ok((until ?? 0) <= (trippedUntil ?? rig.wallMs), "and it is not put off");
    rig.failTimes(1);
    assert.equal(rig.retryAfterMs, 30_000, "the second wait");
    rig.wait();
    rig.okTimes(2);
    assert.equal(rig.state, "closed");
  }
});

test("the words of a straggler are news while it is open", () => {
  const rig = createRig();
  const straggler = rig.admit();
  rig.tripByFailures();
  rig.machine.settleFailed(straggler, { ...BOOM, message: "still dead" }, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "still dead");
  rig.advance(15_000);
  rig.admit();
  rig.machine.settleFailed(straggler, { ...BOOM, message: "older" }, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "still dead");
});
