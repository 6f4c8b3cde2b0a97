// The machine against its model, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { adaptiveSettings, type AdaptiveOptions } from "../../src/core/breaker/adaptive/options.ts";
import { sanitiseAdaptive } from "../../src/core/breaker/adaptive/restore.ts";
import { AdaptiveMachine } from "../../src/core/breaker/adaptive/machine.ts";
import { REFUSED, type Instant } from "../../src/core/breaker/machine.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { AdaptiveModel } from "./adaptive-model.ts";
import { disturb, Pair, WALL_MS, type Step } from "./pair.ts";
import { testStored } from "./stored.ts";

const drawn = {
  failureThreshold: fc.constantFrom(1, 2, 3, 5, 9),
  cooldownMs: fc.constantFrom(0, 10, 100),
  sampleSize: fc.constantFrom(1, 5, 20, 100),
  canaryCount: fc.constantFrom(1, 2, 3, 5),
  adaptive: fc.boolean(),
  ewmaAlpha: fc.constantFrom(0.01, 0.3, 1),
  adaptiveSensitivity: fc.constantFrom(0.5, 2, 5),
  minHealthScore: fc.constantFrom(0, 0.3, 0.5, 0.75, 1),
  canaryLeaseMs: fc.constantFrom(1, 20, 200),
  legacyFirstBackoff: fc.boolean(),
};

const options: fc.Arbitrary<AdaptiveOptions> = fc.record(
  { ...drawn, adaptiveFloor: fc.constant(1) },
  { requiredKeys: Object.keys(drawn) as (keyof typeof drawn)[] },
);

type AdaptiveStep = Step | { readonly do: "look" };

const latencyMs = fc.constantFrom(
  Number.NaN,
  Number.NaN,
  5,
  40,
  90,
  300,
  1500,
  4000,
  9000,
  1e308,
  -1,
  Number.POSITIVE_INFINITY,
);

const step: fc.Arbitrary<AdaptiveStep> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ do: fc.constantFrom("admit", "admit", "look") }) },
  {
    weight: 27,
    arbitrary: fc.record({
      do: fc.constantFrom("ok", "ok", "failed", "failed", "ignored"),
      which: fc.nat(),
      latencyMs,
      weight: fc.constantFrom(0, 1, 1000, 1000),
      retryAfterMs: fc.constantFrom(undefined, undefined, 40, 500, 100_000),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(0, 1, 9, 13, 20, 70, 130, 1000),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom("directOk", "directFailed"),
      latencyMs,
      times: fc.constantFrom(1, 1, 2, 3, 8, 30),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("trip", "reset", "restart") }) },
);

test("agrees with the model in every state and for every input", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      options,
      fc.array(step, { maxLength: 120, size: "max" }),
      fc.nat(),
      (given, steps, seed) => {
        run(given, steps, seed, seen);
      },
    ),
    { numRuns: 2000 },
  );
  // A model that is never led into a corner proves nothing about it.
  const corners = [
    "healthy failures",
    "healthy health_score",
    "degraded failures",
    "degraded health_score",
    "degraded low_success_rate",
    "degraded recovered",
    "cooling-down probe_due",
    "half-open probe_succeeded",
    "half-open probe_failed",
    "healthy manual_trip",
    "half-open manual_trip",
    "half-open reset",
  ];
  for (const corner of corners) assert.ok(seen.has(corner), `${corner} never happened`);
});

function close(actual: number, expected: number, what: string): void {
  const tolerance = 1e-9 * Math.max(1, Math.abs(expected));
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not ${expected}`);
}

function run(
  given: AdaptiveOptions,
  steps: readonly AdaptiveStep[],
  seed: number,
  seen: Set<string>,
): void {
  const settings = adaptiveSettings(given);
  const random = new SeededRandom(seed);
  const model = new AdaptiveModel(settings, new SeededRandom(seed));
  const pair = new Pair({
    model,
    create: () => new AdaptiveMachine(settings, { random }),
    sanitise: sanitiseAdaptive,
    // Where nothing is tripped no date is stored between two milliseconds.
    canRestart: () => !model.tripped,
  });

  for (const [index, current] of steps.entries()) {
    if (current.do === "look") look(pair.machine, pair.at);
    else if (current.do === "admit") {
      const wouldAdmit = pair.machine.wouldAdmit(pair.nowMs);
      assert.equal(wouldAdmit, pair.admit() !== REFUSED, "it did what it said it would");
      assert.ok(model.live + model.done.length <= settings.canaryCount);
      assert.ok(pair.machine.canariesUnderWay(pair.nowMs) <= model.live);
    } else pair.take(current, `words ${index}`);
    // Two ways of computing one number may disagree about which side of a bound it is on.
    if (model.isTie) return;

    for (const { from, to, cause } of pair.transitions()) {
      seen.add(`${from} ${cause}`);
      assert.ok(!(from === "healthy" && to === "cooling-down" && cause !== "manual_trip"));
      assert.ok(!(from === "half-open" && to === "healthy" && cause !== "reset"));
    }
    const { machine, nowMs, at } = pair;
    if (machine.state !== "healthy") assert.equal(machine.hasFailures, true);
    else assert.equal(machine.hasFailures, model.successes < model.outcomes.length);

    const stats = machine.stats();
    assert.equal(stats.consecutiveFailures, model.consecutive, "failures in a row");
    assert.equal(stats.totalAttempts, model.outcomes.length, "outcomes");
    assert.equal(stats.successfulAttempts, model.successes, "successes");
    assert.equal(stats.successRate, model.successRate, "success rate");
    assert.equal(stats.adaptiveThreshold, model.threshold, "threshold");
    close(stats.ewmaErrorRate, model.errorRate.value, "error rate");
    close(stats.avgLatencyMs, model.meanMs, "mean");
    close(stats.latencyJitterMs, model.jitterMs, "jitter");
    close(stats.healthScore, Math.min(1, Math.max(0, model.health)), "health");
    assert.deepEqual(
      stats.canaryProgress,
      model.state === "half-open" ? [model.done.filter(Boolean).length, model.done.length] : null,
      "canaries",
    );

    const snapshot = machine.snapshot(at);
    assert.equal(snapshot.tripCount, model.trips, "trips");
    assert.equal(snapshot.backoffAttempt, model.attempt, "attempt");
    assert.equal(snapshot.lastError, model.lastError, "last error");
    assert.equal(snapshot.manual, model.manual, "manual");
    assert.equal(snapshot.stateChangedAt, WALL_MS + model.sinceMs, "since");
    // Healthy never remembers a cooldown.
    if (machine.state === "healthy") assert.equal(snapshot.backoffAttempt, 0);

    const { retryAfterMs, remainingMs } = machine.refusal(at);
    assert.equal(retryAfterMs === undefined, model.manual);
    if (!model.manual) close(remainingMs, model.waitMs(nowMs), "wait");
    assert.ok(remainingMs >= 0);
  }
}

/** A read, whatever the state. */
function look(machine: AdaptiveMachine, at: Instant): void {
  const { epoch } = machine;
  const before = machine.snapshot(at);
  machine.wouldAdmit(at.nowMs);
  machine.refusal(at);
  assert.deepEqual(machine.snapshot(at), before);
  assert.equal(machine.epoch, epoch);
}

testStored({
  options,
  likely: [
    fc.constantFrom("healthy", "degraded", "cooling-down", "half-open"),
    fc.tuple(fc.double(), fc.integer()),
    fc.record({
      rule: fc.constantFrom("consecutive_failures", "success_rate", "health_score", "other"),
      value: fc.oneof(fc.double(), fc.anything()),
      threshold: fc.double(),
    }),
  ],
  sanitise: sanitiseAdaptive,
  create(given) {
    const settings = adaptiveSettings(given);
    return { machine: new AdaptiveMachine(settings), msMax: settings.cooldownMsLongest };
  },
  check: ({ totalAttempts }) => assert.equal(totalAttempts, 0),
});

test("when the endpoint is well again, traffic is back within a stated bound", () => {
  const begun = new Set<string>();
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60, size: "max" }), (given, steps) => {
      // A least health of more than a well endpoint reaches would never let it heal.
      const settings = adaptiveSettings({ ...given, minHealthScore: 0.3 });
      const machine = new AdaptiveMachine(settings, { random: new SeededRandom(1) });
      let nowMs = disturb(machine, steps);

      begun.add(machine.state);
      // From here on every call that is let in succeeds at once; the lost ones stay lost. A bad window
      // takes up to a hundred successes to clear, and may trip on the way.
      const endMs = nowMs + 60 * (settings.cooldownMsLongest + settings.canaryLeaseMs) + 1000;
      let successes = 0;
      while (machine.state !== "healthy" && nowMs < endMs) {
        const ticket = machine.admit(nowMs);
        if (ticket === REFUSED)
          nowMs += Math.max(0.25, machine.refusal({ nowMs, wallMs: WALL_MS }).retryAfterMs ?? 5);
        else {
          machine.settleOk(ticket, 1, nowMs);
          successes += 1;
        }
      }
      assert.equal(machine.state, "healthy");
      assert.ok(successes <= 200, `${successes}`);
    }),
    { numRuns: 1000 },
  );
  for (const state of ["degraded", "cooling-down", "half-open"]) {
    assert.ok(begun.has(state), `${state} never began`);
  }
});
