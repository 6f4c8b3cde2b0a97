// Specification 9.B at the level of the machine: how an endpoint degrades, trips and heals.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adaptiveSettings,
  type AdaptiveOptions,
} from "../../../src/core/breaker/adaptive/options.ts";
import { adaptive } from "../../../src/core/breaker/adaptive/machine.ts";
import { createRig, near, record, trace, SOURCE } from "./adaptive-harness.ts";
import { BOOM, WEIGHTLESS } from "./rig.ts";

const OK = "S".repeat(20);

test("the defaults are those of the source system, but for the floor", () => {
  const { cooldown, ...settings } = adaptiveSettings({});
  assert.deepEqual(settings, {
    failureThreshold: 5,
    sampleSize: 50,
    canaryCount: 3,
    canaryLeaseMs: 60_000,
    adaptive: true,
    adaptiveFloor: 3,
    ewmaAlpha: 0.3,
    adaptiveSensitivity: 2,
    minHealthScore: 0.3,
    cooldownMsLongest: 60_000 * 32 * 1.3,
    legacyFirstBackoff: false,
  });
  assert.deepEqual(cooldown, { baseMs: 60_000, factor: 2, maxMs: 32 * 60_000 });
  assert.equal(adaptiveSettings({ cooldownMs: 1000 }).canaryLeaseMs, 30_000);
  assert.equal(adaptiveSettings({ failureThreshold: 2 }).adaptiveFloor, 2);
});

test("each option is accepted up to its bounds and not beyond", () => {
  const bounds: Record<keyof AdaptiveOptions, [accepted: unknown[], refused: unknown[]]> = {
    failureThreshold: [
      [1, 1_000_000],
      [0, 1.5, 1_000_001, "5"],
    ],
    cooldownMs: [
      [0, 1],
      [-1, Number.POSITIVE_INFINITY, Number.NaN],
    ],
    sampleSize: [
      [1, 100],
      [0, 101, 2.5],
    ],
    canaryCount: [
      [1, 1000],
      [0, 1001, 1.5],
    ],
    adaptive: [[true, false], [1]],
    ewmaAlpha: [
      [0.01, 1],
      [0.009, 1.01],
    ],
    adaptiveSensitivity: [
      [0.5, 5],
      [0.4, 5.1],
    ],
    minHealthScore: [
      [0, 1],
      [-0.1, 1.1],
    ],
    adaptiveFloor: [
      [1, 5],
      [0, 1.5],
    ],
    canaryLeaseMs: [[0.1], [0]],
    legacyFirstBackoff: [[true], ["no"]],
  };
  for (const [key, [accepted, refused]] of Object.entries(bounds)) {
    for (const value of accepted) adaptive({ [key]: value });
    for (const value of refused) {
      const pattern = new RegExp(`^adaptive breaker: ${key} must be `);
      assert.throws(() => adaptive({ [key]: value }), {
        name: "InvalidOptionsError",
        message: pattern,
      });
    }
    adaptive({ [key]: undefined });
  }
});

test("what is wrong is listed in one error, and a floor above the threshold is wrong", () => {
  assert.throws(
    () => adaptive({ sampleSize: 0, canaries: 3 } as AdaptiveOptions),
    (error: RangeError & { faults?: readonly string[] }) => {
      assert.ok(error instanceof RangeError);
      assert.equal(error.faults?.length, 2);
      return true;
    },
  );
  assert.throws(() => adaptive({ failureThreshold: 2, adaptiveFloor: 3 }), {
    message: /adaptiveFloor must be at most failureThreshold, 2, not 3/,
  });
});

test("the policy says what it is, and cannot be changed", () => {
  const policy = adaptive({ failureThreshold: 7 });
  assert.equal(policy.kind, "adaptive");
  assert.equal(policy.failureThreshold, 7);
  assert.equal(policy.cooldownMs, 0);
  assert.ok(Object.isFrozen(policy));
  const machine = policy.createMachine();
  assert.equal(machine.kind, "adaptive");
  assert.equal(machine.savesEvidence, false);
  assert.equal(machine.slowCallMs, Number.POSITIVE_INFINITY);
});

test("a new endpoint is healthy, and its numbers say nothing bad", () => {
  assert.deepEqual(createRig().machine.stats(), {
    state: "healthy",
    consecutiveFailures: 0,
    successRate: 1,
    totalAttempts: 0,
    successfulAttempts: 0,
    adaptiveThreshold: 5,
    canaryProgress: null,
    healthScore: 1,
    avgLatencyMs: 0,
    latencyJitterMs: 0,
    ewmaErrorRate: 0,
  });
  assert.equal(createRig().snapshot.avgLatencyMs, null);
});

const TRACES: readonly (readonly [string, AdaptiveOptions, string, string[]])[] = [
  ["new(5)", {}, "F".repeat(10), ["5 degraded", "10 cooling-down"]],
  ["new(5)", {}, `${OK}FF`, ["21 degraded", "22 cooling-down"]],
  ["adaptive off", { adaptive: false }, `${OK}FF`, []],
  ["floor 3", { adaptiveFloor: 3 }, `${OK}FF`, []],
  ["new(5)", {}, `${OK}FS`, ["21 degraded", "22 healthy"]],
  ["new(3)", { failureThreshold: 3 }, "F".repeat(7), ["3 degraded", "6 cooling-down"]],
  ["new(2)", { failureThreshold: 2 }, "FFFFF", ["2 degraded", "4 cooling-down"]],
  ["sampleSize 10", { sampleSize: 10 }, `${"F".repeat(8)}SS`, ["5 degraded", "10 cooling-down"]],
  ["new(3)", { failureThreshold: 3 }, `FFF${"S".repeat(10)}`, ["3 degraded", "11 healthy"]],
  ["chronic", {}, "SFF".repeat(10), ["11 degraded", "12 cooling-down"]],
  ["spike", {}, `${OK}FFFFF${OK}`, ["21 degraded", "22 cooling-down"]],
];

for (const [name, options, results, expected] of TRACES) {
  test(`T-B-03 T-B-04 T-B-05 T-B-09 ${name}: ${results}`, () => {
    const rig = createRig({ ...SOURCE, ...options });
    assert.deepEqual(trace(rig, results), expected);
  });
}

test("sampleSize 10: the tenth result trips for the success rate, with the threshold at 1", () => {
  const rig = createRig({ ...SOURCE, sampleSize: 10 });
  record(rig, `${"F".repeat(8)}SS`);
  assert.equal(rig.machine.stats().adaptiveThreshold, 1);
  const [trip] = rig.trips();
  assert.deepEqual(trip?.evidence, { rule: "success_rate", value: 0.2, threshold: 0.3 });
  assert.equal(trip?.reason, "the success rate of 0.200 is below 0.3");
});

test("a success rate of exactly the least does not trip", () => {
  const rig = createRig({ ...SOURCE, sampleSize: 10, adaptive: false, failureThreshold: 4 });
  // Three of ten.
  record(rig, "FFFFFFFSSS");
  assert.equal(rig.state, "degraded");
});

test("T-B-07 the first nine failures never use the adaptive threshold", () => {
  const rig = createRig({ ...SOURCE, failureThreshold: 20 });
  for (let n = 1; n <= 9; n += 1) {
    record(rig, "F");
    assert.equal(rig.machine.stats().adaptiveThreshold, 20);
  }
  assert.equal(rig.state, "healthy");
  record(rig, "F");
  assert.equal(rig.machine.stats().adaptiveThreshold, 6);
  assert.equal(rig.state, "degraded");
});

test("T-B-10 a spike ends better than a chronic fault", () => {
  const spike = createRig(SOURCE);
  record(spike, `${OK}FFFFF${OK}`);
  const chronic = createRig(SOURCE);
  record(chronic, "SFF".repeat(10));
  near(spike.machine.stats().ewmaErrorRate, 0.000663816, 5e-10);
  near(chronic.machine.stats().ewmaErrorRate, 0.776238211, 5e-10);
  assert.ok(spike.machine.stats().successRate > chronic.machine.stats().successRate);
  assert.ok(spike.machine.stats().healthScore > chronic.machine.stats().healthScore);
});

test("T-B-12 failures at three seconds are critical from the first, at two they are not", () => {
  const slow = createRig(SOURCE);
  slow.failTimes(1, { latencyMs: 3000 });
  near(slow.machine.stats().healthScore, 0.275);
  assert.equal(slow.state, "degraded");
  slow.failTimes(1, { latencyMs: 3000 });
  assert.equal(slow.state, "cooling-down");
  const [trip] = slow.trips();
  assert.equal(trip?.evidence?.rule, "health_score");
  assert.match(trip?.reason ?? "", /^the health score of 0\.275 is below 0\.3$/);

  const brisk = createRig(SOURCE);
  brisk.failTimes(4, { latencyMs: 2000 });
  near(brisk.machine.stats().healthScore, 0.3125);
  assert.equal(brisk.state, "healthy");
});

test("T-B-13 slow successes degrade only where the least health is high", () => {
  const usual = createRig();
  usual.okTimes(100, 4000);
  assert.equal(usual.state, "healthy");
  near(usual.machine.stats().healthScore, 0.7375);
  const strict = createRig({ minHealthScore: 0.8 });
  strict.okTimes(1, 4000);
  assert.equal(strict.state, "degraded");
  assert.deepEqual(strict.causes(), ["health_score"]);
});

test("a success that trips by its latency is dated when somebody looks", () => {
  const rig = createRig({ minHealthScore: 0.8 });
  const tickets = [rig.admit(), rig.admit()];
  const trippedAt = rig.wallMs;
  for (const ticket of tickets) assert.ok(rig.machine.settleOk(ticket, 4000, rig.nowMs));
  assert.equal(rig.state, "cooling-down");
  rig.advance(500);
  assert.equal(rig.snapshot.trippedAt, trippedAt);
  assert.equal(rig.machine.refusal(rig.at).trippedAt, trippedAt);
});

test("exactly the least health is enough", () => {
  const rig = createRig({ minHealthScore: 0.5, failureThreshold: 9 });
  rig.failTimes(3);
  assert.equal(rig.machine.stats().healthScore, 0.5);
  assert.equal(rig.state, "healthy");
});

test("T-B-14 latencies that are none leave every number finite", () => {
  for (const latencyMs of [Number.NaN, -50, Number.POSITIVE_INFINITY, 1e308]) {
    const rig = createRig();
    record(rig, "SFS", latencyMs);
    record(rig, "S", 5);
    const { healthScore, avgLatencyMs, latencyJitterMs } = rig.machine.stats();
    assert.ok(healthScore >= 0 && healthScore <= 1);
    assert.ok(Number.isFinite(avgLatencyMs) && Number.isFinite(latencyJitterMs));
    if (latencyMs !== 1e308) assert.equal(avgLatencyMs, 5);
    assert.equal(rig.machine.stats().totalAttempts, 4);
  }
});

test("T-B-05 heals above 0.7, not at it", () => {
  const rig = createRig({ ...SOURCE, failureThreshold: 3 });
  record(rig, `FFF${"S".repeat(7)}`);
  assert.equal(rig.machine.stats().successRate, 0.7);
  assert.equal(rig.state, "degraded");
  record(rig, "S");
  assert.equal(rig.state, "healthy");
  assert.deepEqual(rig.causes(), ["failures", "recovered"]);
});

test("a failure heals nothing, however good the rest is", () => {
  const rig = createRig({ adaptive: false, failureThreshold: 2 });
  rig.okTimes(50);
  rig.failTimes(2);
  assert.equal(rig.state, "degraded");
  rig.failTimes(1);
  // 50 of 53.
  assert.equal(rig.state, "degraded");
});

test("heals only when its health, too, is above 0.7", () => {
  const rig = createRig({ adaptive: false, failureThreshold: 1 });
  rig.failTimes(1);
  // A rate of 9/10 and a mean of 5 s: 0.45 + 0 + 0.2.
  rig.okTimes(9, 5000);
  assert.equal(rig.state, "degraded");
  near(rig.machine.stats().healthScore, 0.65);
});

test("calls of healthy times are evidence while degraded, and the other way round", () => {
  const rig = createRig({ adaptive: false });
  const early = rig.admit();
  rig.failTimes(5);
  assert.equal(rig.state, "degraded");
  assert.equal(rig.fail(early), true);
  assert.equal(rig.machine.stats().consecutiveFailures, 6);
  const marked = rig.admit();
  rig.okTimes(20);
  assert.equal(rig.state, "healthy");
  assert.equal(rig.fail(marked), true);
  assert.equal(rig.machine.stats().consecutiveFailures, 1);
  assert.equal(rig.machine.epoch, 0);
});

test("results of before a cooldown are late: nothing but the last words is kept", () => {
  const rig = createRig({ adaptive: false });
  const [ok, failed] = [rig.admit(), rig.admit()];
  rig.tripByFailures();
  const before = rig.snapshot;
  assert.equal(rig.ok(ok, 5), false);
  const news = { weightThousandths: 1000, message: "news" };
  assert.equal(rig.machine.settleFailed(failed, news, 5, rig.at), false);
  assert.deepEqual(rig.snapshot, { ...before, lastError: "news" });
});

test("failures without weight are no evidence", () => {
  const rig = createRig();
  assert.equal(rig.machine.settleFailed(rig.admit(), WEIGHTLESS, 9000, rig.at), true);
  rig.machine.record("failed", WEIGHTLESS, 9000, rig.at);
  assert.equal(rig.machine.stats().totalAttempts, 0);
  assert.equal(rig.machine.stats().avgLatencyMs, 0);
  assert.equal(rig.machine.hasFailures, false);
});

test("an ignored call is no evidence", () => {
  const rig = createRig();
  rig.ignore(rig.admit());
  rig.machine.record("ignored", undefined, 9000, rig.at);
  assert.equal(rig.machine.stats().totalAttempts, 0);
});

test("holds failures as long as one is kept, or it is not healthy", () => {
  const rig = createRig();
  assert.equal(rig.machine.hasFailures, false);
  rig.failTimes(1);
  assert.equal(rig.machine.hasFailures, true);
  rig.okTimes(99);
  assert.equal(rig.machine.hasFailures, true);
  rig.okTimes(1);
  assert.equal(rig.machine.hasFailures, false);
  const slow = createRig({ minHealthScore: 0.8 });
  slow.okTimes(1, 4000);
  assert.equal(slow.machine.hasFailures, true);
});

test("needs no clock to admit unless it is tripped by itself", () => {
  const rig = createRig();
  assert.equal(rig.machine.admitNeedsTime, false);
  rig.failTimes(5);
  assert.equal(rig.state, "degraded");
  assert.equal(rig.machine.admitNeedsTime, false);
  rig.failTimes(5);
  assert.equal(rig.machine.admitNeedsTime, true);
  rig.tripByHand();
  assert.equal(rig.machine.admitNeedsTime, false);
});

test("T-B-22 asking changes nothing but the one thing that is due", () => {
  const rig = createRig({ minHealthScore: 0.8 });
  rig.okTimes(1, 4000);
  assert.equal(rig.state, "degraded");
  for (let n = 0; n < 1000; n += 1) {
    rig.admit();
    assert.ok(rig.machine.wouldAdmit(rig.nowMs));
    rig.advance(1000);
  }
  assert.equal(rig.state, "degraded");
  assert.deepEqual(rig.causes(), ["health_score"]);
});

test("the trip tells of the rule once, and the transition comes first", () => {
  const rig = createRig({ adaptive: false });
  rig.failTimes(10);
  assert.deepEqual(rig.drain(), [
    { type: "transition", from: "healthy", to: "degraded", cause: "failures" },
    { type: "transition", from: "degraded", to: "cooling-down", cause: "failures" },
    {
      type: "trip",
      manual: false,
      isNewTrip: true,
      failureCount: 10,
      lastError: "boom",
      actor: "system",
      reason: "10 failures in a row reached the threshold of 10",
      evidence: { rule: "consecutive_failures", value: 10, threshold: 10 },
    },
  ]);
});

test("the success rate names its trip before health, failures in a row before both", () => {
  const both = createRig({ adaptive: false, sampleSize: 5, failureThreshold: 4 });
  both.failTimes(4);
  both.failTimes(1, { latencyMs: 9000 });
  assert.equal(both.trips()[0]?.evidence?.rule, "success_rate");
  const all = createRig({ adaptive: false, sampleSize: 8, failureThreshold: 4 });
  all.failTimes(7, { latencyMs: 2000 });
  all.failTimes(1, { latencyMs: 90_000 });
  assert.equal(all.trips()[0]?.evidence?.rule, "consecutive_failures");
});

test("direct evidence needs a failure to be one", () => {
  const rig = createRig();
  rig.machine.record("failed", undefined, 5, rig.at);
  assert.equal(rig.machine.stats().totalAttempts, 0);
  rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.machine.stats().totalAttempts, 1);
});
