// How an adaptive breaker cools down, lets canaries in, obeys people and comes back from the store.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Canaries } from "../../../src/core/breaker/adaptive/canaries.ts";
import { sanitiseAdaptive } from "../../../src/core/breaker/adaptive/restore.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { createRig, near, record } from "./adaptive-harness.ts";
import { BOOM, WEIGHTLESS } from "./rig.ts";

test("T-B-16 the cooldown is drawn once, within ±30 %", () => {
  const seen: number[] = [];
  for (let seed = 1; seed <= 200; seed += 1) {
    const rig = createRig({}, new SeededRandom(seed)).tripByFailures();
    const waitMs = rig.retryAfterMs ?? 0;
    seen.push(waitMs);
    for (let n = 0; n < 1000; n += 1) assert.ok(rig.refuses());
    near(rig.retryAfterMs ?? 0, waitMs);
    rig.advance(waitMs - 1);
    assert.ok(rig.refuses());
    rig.advance(1);
    rig.admit();
    assert.equal(rig.state, "half-open");
  }
  assert.ok(Math.min(...seen) >= 42_000 && Math.min(...seen) < 44_000);
  assert.ok(Math.max(...seen) <= 78_000 && Math.max(...seen) > 76_000);
});

test("without chance there is no spread", () => {
  assert.equal(createRig().tripByFailures().retryAfterMs, 60_000);
});

test("T-B-25 the spread comes on top of the longest cooldown", () => {
  const rig = createRig({ cooldownMs: 1000 }, { next: () => 1 - Number.EPSILON }).tripByFailures();
  for (let n = 0; n < 9; n += 1) {
    rig.wait();
    rig.failTimes(2);
  }
  near(rig.retryAfterMs ?? 0, 32_000 * 1.3, 1e-6);
  assert.equal(rig.snapshot.backoffAttempt, 10);
});

test("the attempts end at 63", () => {
  const rig = createRig({ cooldownMs: 1, canaryCount: 1 }).tripByFailures();
  for (let n = 0; n < 80; n += 1) {
    rig.wait();
    rig.failTimes(1);
  }
  assert.equal(rig.snapshot.backoffAttempt, 63);
  assert.equal(rig.retryAfterMs, 32);
});

test("a cooldown of zero lets a canary in at once", () => {
  const rig = createRig({ cooldownMs: 0 }).tripByFailures();
  assert.equal(rig.retryAfterMs, 0);
  rig.admit();
  assert.equal(rig.state, "half-open");
});

test("T-B-18 canaries that pass end the row of failures and of cooldowns", () => {
  const rig = createRig({ cooldownMs: 1000 }).tripByFailures();
  rig.wait();
  rig.failTimes(2);
  assert.equal(rig.snapshot.backoffAttempt, 2);
  rig.wait();
  rig.okTimes(2);
  rig.failTimes(1);
  assert.equal(rig.state, "degraded");
  assert.equal(rig.machine.stats().consecutiveFailures, 0);
  assert.equal(rig.snapshot.backoffAttempt, 0);
  assert.equal(rig.machine.stats().canaryProgress, null);
  assert.equal(rig.machine.isTripped, false);
  const recovery = rig.drain().at(-1);
  assert.deepEqual(recovery, {
    type: "recovery",
    latencyMs: Number.NaN,
    actor: "system",
    reason: "2 of 3 canaries succeeded",
  });
});

test("half-open forgets the outcomes of before, and keeps the rest", () => {
  const rig = createRig({ adaptive: false });
  rig.failTimes(10, { latencyMs: 40 });
  const before = rig.machine.stats();
  rig.wait();
  rig.admit();
  const { successRate, totalAttempts, healthScore: _health, ...rest } = rig.machine.stats();
  assert.deepEqual([successRate, totalAttempts], [1, 0]);
  assert.equal(rest.consecutiveFailures, 10);
  assert.equal(rest.ewmaErrorRate, before.ewmaErrorRate);
  assert.equal(rest.avgLatencyMs, 40);
});

test("the episode is decided as soon as it cannot pass any more, and not before it has passed", () => {
  const decided = (count: number, results: string): string => {
    const canaries = new Canaries({ canaryCount: count, canaryLeaseMs: 1 });
    let verdict = "";
    for (const result of results) {
      assert.equal(verdict, "", "decided too early");
      verdict = canaries.count(result === "S") ?? "";
    }
    return verdict;
  };
  assert.equal(decided(3, "SS"), "");
  assert.equal(decided(3, "SSF"), "passed");
  assert.equal(decided(3, "FSS"), "passed");
  assert.equal(decided(3, "FF"), "failed");
  assert.equal(decided(3, "SFF"), "failed");
  assert.equal(decided(2, "F"), "failed");
  assert.equal(decided(1, "S"), "passed");
  assert.equal(decided(1, "F"), "failed");
  // 66 of 100 is exactly enough.
  assert.equal(decided(100, `${"F".repeat(34)}${"S".repeat(66)}`), "passed");
  assert.equal(decided(100, "F".repeat(35)), "failed");
});

test("a failed episode is no new trip", () => {
  const rig = createRig({ cooldownMs: 1000 }).tripByFailures();
  rig.drain();
  rig.wait();
  rig.failTimes(2);
  assert.deepEqual(rig.trips(), []);
  assert.equal(rig.snapshot.tripCount, 1);
});

test("T-B-17 slots are reserved: under way and done together are never more", () => {
  const rig = createRig();
  const first = rig.halfOpen();
  const [second, third] = [rig.admit(), rig.admit()];
  assert.ok(rig.refuses());
  assert.equal(rig.machine.refusalReason, "half_open_limit");
  rig.ok(first);
  assert.ok(rig.refuses());
  rig.ok(second);
  assert.ok(rig.refuses());
  rig.ok(third);
  assert.equal(rig.state, "degraded");
});

test("a canary that is ignored gives its slot back, and so does one whose failure has no weight", () => {
  const rig = createRig();
  const first = rig.halfOpen();
  const second = rig.admit();
  rig.admit();
  assert.ok(rig.refuses());
  rig.ignore(first);
  rig.admit();
  assert.ok(rig.refuses());
  assert.equal(rig.machine.settleFailed(second, WEIGHTLESS, 5, rig.at), true);
  rig.admit();
  assert.ok(rig.refuses());
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.ok(first), false);
});

test("T-B-20 a lease that is over frees the slot for the next, and until then its result counts", () => {
  const rig = createRig({ canaryLeaseMs: 500 });
  const lost = rig.halfOpen();
  rig.advance(100);
  const slow = rig.admit();
  rig.admit();
  rig.advance(399);
  assert.ok(rig.refuses());
  assert.equal(rig.retryAfterMs, 1);
  assert.equal(rig.machine.wouldAdmit(rig.nowMs), false);
  rig.advance(1);
  assert.equal(rig.machine.wouldAdmit(rig.nowMs), true);
  rig.admit();
  assert.equal(rig.ok(lost), false);
  rig.advance(1000);
  // Its lease is over, but nobody has taken its slot.
  assert.equal(rig.ok(slow), true);
  assert.deepEqual(rig.machine.stats().canaryProgress, [1, 1]);
});

test("counts the canaries under way whose lease is not over", () => {
  const rig = createRig({ canaryLeaseMs: 500 });
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 0);
  const first = rig.halfOpen();
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.advance(200);
  rig.admit();
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 2);
  rig.advance(300);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.ok(first);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.advance(200);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 0);
});

test("T-B-21 what was admitted before the cooldown is no canary, whatever its number", () => {
  const rig = createRig();
  const early = Array.from({ length: 4 }, () => rig.admit());
  const canary = rig.halfOpen();
  for (const ticket of early) assert.equal(rig.ok(ticket), false);
  for (const ticket of early) assert.equal(rig.fail(ticket), false);
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.ok(canary), true);
  assert.equal(rig.ok(canary), false);
});

test("a canary's result after its episode is late", () => {
  const rig = createRig({ cooldownMs: 1000 });
  const canary = rig.halfOpen();
  rig.failTimes(2);
  assert.equal(rig.state, "cooling-down");
  rig.wait();
  rig.admit();
  assert.equal(rig.state, "half-open");
  assert.equal(rig.ok(canary), false);
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
});

test("direct evidence is counted while tripped, and decides nothing", () => {
  const rig = createRig();
  rig.halfOpen();
  record(rig, "FFFFF");
  record(rig, "SSSSS");
  assert.equal(rig.state, "half-open");
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.machine.stats().totalAttempts, 10);
});

test("more canaries than can be numbered begin a new epoch", () => {
  const rig = createRig({ canaryCount: 1 });
  rig.ignore(rig.halfOpen());
  const { epoch } = rig.machine;
  for (let n = 2; n < 2 ** 20; n += 1) rig.ignore(rig.tryAdmit());
  assert.equal(rig.machine.epoch, epoch);
  const ticket = rig.admit();
  assert.equal(rig.machine.epoch, epoch + 1);
  assert.equal(rig.state, "half-open");
  assert.equal(rig.ok(ticket), true);
  assert.equal(rig.state, "degraded");
});

test("a Retry-After lengthens the cooldown, up to its cap", () => {
  const asked = (retryAfterMs: number | undefined): number | undefined => {
    const rig = createRig({ cooldownMs: 1000 });
    rig.failTimes(9);
    rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs });
    return rig.retryAfterMs;
  };
  assert.equal(asked(undefined), 1000);
  assert.equal(asked(500), 1000);
  assert.equal(asked(5000), 5000);
  assert.equal(asked(1e9), 32_000);
  assert.equal(asked(Number.NaN), 1000);
  assert.equal(asked(-5), 1000);
});

test("a Retry-After of an earlier failure holds from when it was asked, for this epoch only", () => {
  const rig = createRig({ cooldownMs: 1000 });
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 8000 });
  rig.advance(3000);
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 1000 });
  rig.failTimes(8);
  assert.equal(rig.retryAfterMs, 5000);
  rig.wait();
  rig.failTimes(2);
  assert.equal(rig.retryAfterMs, 2000);
  // A reset, too, forgets what was asked for before it.
  const soon = createRig({ cooldownMs: 1000 });
  soon.failTimes(9);
  soon.fail(soon.admit(), { latencyMs: 5, retryAfterMs: 30_000 });
  soon.reset();
  soon.failTimes(10);
  assert.equal(soon.retryAfterMs, 1000);
  rig.wait();
  rig.failTimes(1);
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 9000 });
  assert.equal(rig.retryAfterMs, 9000);
});

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

test("direct failures after a trip are counted, and trip nothing", () => {
  const rig = createRig({ adaptive: false });
  rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.machine.stats().consecutiveFailures, 1);
  rig.failTimes(9);
  assert.equal(rig.state, "cooling-down");
  record(rig, "F");
  assert.equal(rig.machine.stats().consecutiveFailures, 11);
  assert.equal(rig.trips().length, 1);
});
