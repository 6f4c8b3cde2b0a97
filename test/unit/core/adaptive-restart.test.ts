// How an adaptive breaker obeys people, what its snapshots say, and how it comes back from the store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { sanitiseAdaptive } from "../../../src/core/breaker/adaptive/restore.ts";
import { createRig, near, record } from "./adaptive-harness.ts";

test("a trip by hand holds until a reset, and says so", () => {
  const rig = createRig();
  const inFlight = rig.admit();
  rig.tripByHand();
  assert.equal(rig.state, "cooling-down");
  rig.advance(1e12);
  assert.ok(rig.refuses());
  assert.equal(rig.machine.wouldAdmit(rig.nowMs), false);
  assert.deepEqual(rig.machine.refusal(rig.at), {
    reason: "tripped",
    retryAfterMs: undefined,
    remainingMs: 0,
    manual: true,
    trippedAt: rig.wallMs - 1e12,
    lastError: "maintenance",
  });
  assert.equal(rig.fail(inFlight), false);
  record(rig, "F");
  assert.equal(rig.snapshot.lastError, "maintenance");
  assert.equal(rig.snapshot.trippedUntil, null);
  const [trip] = rig.trips();
  assert.equal(trip?.manual, true);
  assert.equal(trip?.isNewTrip, true);
  assert.equal(trip?.evidence, null);
  assert.equal(trip?.actor, "ann");
  rig.reset();
  assert.equal(rig.state, "healthy");
  // The next trip is nobody's order.
  rig.tripByFailures();
  rig.wait();
  rig.admit();
});

test("a trip by hand of a tripped breaker is no new trip, and ends its canaries", () => {
  const rig = createRig();
  const canary = rig.halfOpen();
  rig.drain();
  rig.tripByHand();
  assert.equal(rig.trips()[0]?.isNewTrip, false);
  assert.equal(rig.snapshot.tripCount, 1);
  assert.equal(rig.ok(canary), false);
  assert.equal(rig.snapshot.trippedBy, null);
});

test("T-B-39 a reset is always accepted and leaves nothing behind", () => {
  const rig = createRig();
  const asNew = rig.machine.stats();
  const late = rig.admit();
  rig.failTimes(10, { latencyMs: 80 });
  assert.equal(rig.machine.cooldownRemainingMs(rig.at), 0);
  rig.drain();
  rig.reset(true);
  assert.deepEqual(rig.machine.stats(), asNew);
  assert.equal(rig.snapshot.backoffAttempt, 0);
  assert.equal(rig.snapshot.avgLatencyMs, null);
  assert.equal(rig.fail(late), false);
  assert.deepEqual(rig.drain(), [
    { type: "transition", from: "cooling-down", to: "healthy", cause: "reset" },
    { type: "reset", forced: true, actor: "ann", reason: "done" },
  ]);
  const { lastResetAt, lastResetBy, lastResetReason, tripCount } = rig.snapshot;
  assert.deepEqual(
    [lastResetAt, lastResetBy, lastResetReason, tripCount],
    [rig.wallMs, "ann", "done", 1],
  );
});

test("a reset of a healthy endpoint begins a new epoch, too, and is no transition", () => {
  const rig = createRig();
  const late = rig.admit();
  rig.failTimes(2);
  rig.reset();
  assert.equal(rig.machine.stats().totalAttempts, 0);
  assert.equal(rig.fail(late), false);
  assert.deepEqual(rig.causes(), []);
});

test("what the refusal says counts down", () => {
  const rig = createRig().tripByFailures();
  rig.advance(20_000);
  assert.deepEqual(rig.machine.refusal(rig.at), {
    reason: "tripped",
    retryAfterMs: 40_000,
    remainingMs: 40_000,
    manual: false,
    trippedAt: rig.wallMs - 20_000,
    lastError: "boom",
  });
  rig.advance(50_000);
  assert.equal(rig.retryAfterMs, 0);
  assert.equal(createRig().machine.refusal(rig.at).trippedAt, null);
});

test("the snapshot has every field, and dates by the wall clock", () => {
  const rig = createRig({ adaptive: false });
  rig.okTimes(1, 30);
  rig.advance(10);
  rig.failTimes(10, { latencyMs: 50 });
  rig.advance(100);
  const { latencyJitterMs, ewmaErrorRate, healthScore, ...rest } = rig.snapshot;
  near(latencyJitterMs, rig.machine.stats().latencyJitterMs);
  near(ewmaErrorRate, rig.machine.stats().ewmaErrorRate);
  near(healthScore, rig.machine.stats().healthScore);
  assert.deepEqual(rest, {
    version: 1,
    kind: "adaptive",
    state: "cooling-down",
    stateChangedAt: rig.wallMs - 100,
    failureCount: 10,
    successRate: 1 / 11,
    totalAttempts: 11,
    successfulAttempts: 1,
    adaptiveThreshold: 5,
    canaryProgress: null,
    backoffAttempt: 1,
    tripped: true,
    manual: false,
    tripCount: 1,
    trippedAt: rig.wallMs - 100,
    trippedUntil: rig.wallMs + 59_900,
    trippedBy: { rule: "consecutive_failures", value: 10, threshold: 10 },
    lastError: "boom",
    lastFailureAt: rig.wallMs - 100,
    lastSuccessAt: rig.wallMs - 110,
    avgLatencyMs: rig.machine.stats().avgLatencyMs,
    lastResetAt: null,
    lastResetBy: null,
    lastResetReason: null,
  });
});

test("a restart goes on with the cooldown, its attempt and its dates", () => {
  const rig = createRig({ cooldownMs: 10_000 }).tripByFailures();
  rig.wait();
  rig.failTimes(2);
  const before = rig.snapshot;
  rig.restart({}, 5000);
  assert.equal(rig.state, "cooling-down");
  assert.equal(rig.retryAfterMs, 15_000);
  assert.deepEqual(rig.causes(), ["restored"]);
  const { trippedAt, trippedUntil, tripCount, trippedBy, backoffAttempt, stateChangedAt } =
    rig.snapshot;
  assert.deepEqual(
    { trippedAt, trippedUntil, tripCount, trippedBy, backoffAttempt, stateChangedAt },
    {
      trippedAt: before.trippedAt,
      trippedUntil: before.trippedUntil,
      tripCount: before.tripCount,
      trippedBy: before.trippedBy,
      backoffAttempt: 2,
      stateChangedAt: before.stateChangedAt,
    },
  );
  rig.wait();
  rig.failTimes(2);
  assert.equal(rig.retryAfterMs, 40_000);
});

test("evidence does not survive a restart; a degraded endpoint is still degraded", () => {
  const rig = createRig();
  rig.failTimes(6, { latencyMs: 90 });
  rig.restart();
  assert.equal(rig.state, "degraded");
  assert.equal(rig.machine.stats().totalAttempts, 0);
  assert.equal(rig.machine.stats().consecutiveFailures, 0);
  assert.equal(rig.snapshot.lastError, "boom");
  rig.okTimes(1);
  assert.equal(rig.state, "healthy");
});

test("the canaries of a half-open breaker died with it: they are due", () => {
  const rig = createRig();
  rig.halfOpen();
  rig.restart();
  assert.equal(rig.state, "cooling-down");
  assert.equal(rig.retryAfterMs, 0);
  rig.admit();
  assert.equal(rig.state, "half-open");
});

test("a trip by hand survives a restart as one", () => {
  const rig = createRig();
  rig.tripByHand();
  rig.restart({}, 1e9);
  rig.advance(1e9);
  assert.ok(rig.refuses());
  assert.equal(rig.snapshot.manual, true);
});

test("no stored date makes a cooldown longer than the longest, or a past one wait", () => {
  const rig = createRig({ cooldownMs: 1000 }).tripByFailures();
  rig.restart({ trippedUntil: 9e15 });
  near(rig.retryAfterMs ?? 0, 32_000 * 1.3);
  rig.restart({ trippedUntil: 1 });
  assert.equal(rig.retryAfterMs, 0);
  // Without a date it is the trip's own, and one base cooldown.
  rig.restart({ trippedUntil: null });
  assert.equal(rig.retryAfterMs, 1000);
});

test("adopting a state of another process forgets the evidence against ours", () => {
  const rig = createRig();
  rig.failTimes(7);
  rig.machine.restore(sanitiseAdaptive({ tripped: false }, rig.wallMs, undefined), rig.at);
  assert.equal(rig.state, "healthy");
  assert.equal(rig.machine.stats().consecutiveFailures, 0);
  // Healthy in both: ours goes on.
  rig.failTimes(2);
  const { epoch } = rig.machine;
  rig.machine.restore(sanitiseAdaptive({ tripped: false }, rig.wallMs, undefined), rig.at);
  assert.equal(rig.machine.stats().consecutiveFailures, 2);
  assert.equal(rig.machine.epoch, epoch);
});

test("anything but an explicit false is a trip", () => {
  for (const tripped of [undefined, true, 1, "no", {}]) {
    assert.equal(sanitiseAdaptive({ tripped }, 5, undefined).state, "cooling-down");
  }
  for (const tripped of [false, 0, null]) {
    assert.equal(sanitiseAdaptive({ tripped, state: "half-open" }, 5, undefined).state, "healthy");
  }
});

test("what is stored is bounded on its way in", () => {
  const clean = (raw: object) => sanitiseAdaptive(raw, 1000, undefined);
  assert.equal(clean({ tripped: true, trippedAt: 9000 }).trippedAt, 1000);
  assert.equal(clean({ tripped: true, backoffAttempt: 500 }).backoffAttempt, 63);
  assert.equal(clean({ tripped: false, backoffAttempt: 5 }).backoffAttempt, 0);
  assert.equal(clean({ tripped: true, manual: true, trippedUntil: 5 }).trippedUntil, null);
  assert.equal(clean({ tripped: false, trippedUntil: 5 }).trippedUntil, null);
  assert.equal(clean({ lastError: "x".repeat(5000) }).lastError?.length, 1024);
});

test("dates that lie ahead, because the clock was set back since, count as now", () => {
  const rig = createRig().tripByFailures();
  const { snapshot } = rig;
  const earlier = { nowMs: 5, wallMs: rig.wallMs - 1e6 };
  const machine = createRig().machine;
  machine.restore(snapshot, earlier);
  const { trippedAt, stateChangedAt } = machine.snapshot(earlier);
  assert.deepEqual([trippedAt, stateChangedAt], [earlier.wallMs, earlier.wallMs]);
});

test("a row of another kind keeps its trip and loses what means nothing here", () => {
  const clean = sanitiseAdaptive(
    {
      kind: "sliding-window",
      state: "open",
      tripped: true,
      trippedAt: 500,
      trippedUntil: 900,
      trippedBy: { rule: "failure_ratio", count: 1, calls: 2, ratio: 0.5, threshold: 0.5 },
      backoffAttempt: -3,
    },
    1000,
    undefined,
  );
  assert.equal(clean.state, "cooling-down");
  assert.equal(clean.trippedAt, 500);
  assert.equal(clean.trippedBy, null);
  assert.equal(clean.backoffAttempt, 0);
});

test("a row that is closed, whatever else it says, begins the waits anew", () => {
  const rig = createRig();
  rig.tripByFailures();
  const before = { ...rig.snapshot, tripped: false, trippedAt: null } as const;
  assert.ok(before.backoffAttempt > 0);
  const next = createRig();
  next.machine.restore(before, next.at);
  assert.equal(next.snapshot.tripped, false);
  assert.equal(next.snapshot.backoffAttempt, 0);
});
