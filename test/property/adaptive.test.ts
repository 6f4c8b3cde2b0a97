// The machine against its model, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { adaptiveSettings, type AdaptiveOptions } from "../../src/core/breaker/adaptive/options.ts";
import { sanitiseAdaptive } from "../../src/core/breaker/adaptive/restore.ts";
import { AdaptiveMachine } from "../../src/core/breaker/adaptive/machine.ts";
import { REFUSED, type Ticket } from "../../src/core/breaker/machine.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { AdaptiveModel, type ModelTicket } from "./adaptive-model.ts";

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

type Step =
  | { readonly do: "admit" | "look" | "trip" | "reset" | "restart" }
  | { readonly do: "directOk" | "directFailed"; readonly latencyMs: number; readonly times: number }
  | {
      readonly do: "ok" | "failed" | "ignored";
      readonly which: number;
      readonly latencyMs: number;
      readonly weight: number;
      readonly retryAfterMs: number | undefined;
    }
  | { readonly do: "wait"; readonly ms: number };

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

const step: fc.Arbitrary<Step> = fc.oneof(
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

const WALL_MS = 1_800_000_000_000;

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
  steps: readonly Step[],
  seed: number,
  seen: Set<string>,
): void {
  const settings = adaptiveSettings(given);
  const random = new SeededRandom(seed);
  let machine = new AdaptiveMachine(settings, { random });
  const model = new AdaptiveModel(settings, new SeededRandom(seed));
  let nowMs = 0;
  const at = (): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: WALL_MS + nowMs });
  let calls: { readonly ticket: Ticket; readonly model: ModelTicket }[] = [];
  let state = "healthy";

  for (const [index, current] of steps.entries()) {
    const message = `words ${index}`;
    const { epoch } = machine;
    switch (current.do) {
      case "admit": {
        const wouldAdmit = machine.wouldAdmit(nowMs);
        const ticket = machine.admit(machine.admitNeedsTime ? nowMs : 0);
        const expected = model.admit(nowMs);
        assert.equal(ticket === REFUSED, expected === undefined, "admission");
        assert.equal(wouldAdmit, ticket !== REFUSED, "it did what it said it would");
        assert.ok(Number.isSafeInteger(ticket));
        if (expected !== undefined) calls.push({ ticket, model: expected });
        assert.ok(model.live + model.done.length <= settings.canaryCount);
        assert.ok(machine.canariesUnderWay(nowMs) <= model.live);
        break;
      }
      case "look": {
        const before = machine.snapshot(at());
        machine.wouldAdmit(nowMs);
        machine.refusal(at());
        assert.deepEqual(machine.snapshot(at()), before);
        assert.equal(machine.epoch, epoch);
        break;
      }
      case "ok":
      case "failed":
      case "ignored": {
        if (calls.length === 0) break;
        const [call] = calls.splice(current.which % calls.length, 1);
        assert.ok(call);
        if (current.do === "ok") {
          assert.equal(
            machine.settleOk(call.ticket, current.latencyMs, nowMs, at().wallMs),
            model.ok(call.model, current.latencyMs, nowMs),
            "late ok",
          );
        } else if (current.do === "ignored") {
          machine.settleIgnored(call.ticket, nowMs);
          model.ignored(call.model);
        } else {
          const { weight, retryAfterMs } = current;
          const failure = { weightThousandths: weight, message, retryAfterMs };
          assert.equal(
            machine.settleFailed(call.ticket, failure, current.latencyMs, at()),
            model.failed(call.model, { message, weight, retryAfterMs }, current.latencyMs, nowMs),
            "late failure",
          );
        }
        break;
      }
      case "wait":
        nowMs += current.ms;
        break;
      case "directOk":
        for (let n = 0; n < current.times; n += 1) {
          machine.record("ok", undefined, current.latencyMs, at());
          model.directOk(current.latencyMs, nowMs);
        }
        break;
      case "directFailed":
        for (let n = 0; n < current.times; n += 1) {
          const failure = { weightThousandths: 1000, message };
          machine.record("failed", failure, current.latencyMs, at());
          const told = { message, weight: 1000, retryAfterMs: undefined };
          model.directFailed(told, current.latencyMs, nowMs);
        }
        break;
      case "trip":
        machine.trip({ reason: message, actor: "ann" }, at());
        model.trip(message, nowMs);
        break;
      case "reset":
        machine.reset({ reason: message, actor: "ann", force: false }, at());
        model.reset(nowMs);
        break;
      case "restart": {
        // Dates are whole milliseconds: what falls between them is moved by storing it.
        if (model.tripped) break;
        const stored = sanitiseAdaptive(
          JSON.parse(JSON.stringify(machine.snapshot(at()))) as object,
          at().wallMs,
          undefined,
        );
        assert.deepEqual(stored, machine.snapshot(at()), "what is sane is stored as it is");
        machine = new AdaptiveMachine(settings, { random });
        machine.restore(stored, at());
        model.restart(nowMs);
        state = machine.state;
        machine.events.length = 0;
        calls = [];
        break;
      }
      default:
        current satisfies never;
    }
    // Two ways of computing one number may disagree about which side of a bound it is on.
    if (model.isTie) return;

    // One event for each change of state, and each leads from where the last one ended.
    for (const event of machine.events.splice(0)) {
      if (event.type !== "transition") continue;
      assert.equal(event.from, state);
      assert.notEqual(event.to, state);
      state = event.to;
      seen.add(`${event.from} ${event.cause}`);
      assert.ok(
        !(event.from === "healthy" && event.to === "cooling-down" && event.cause !== "manual_trip"),
      );
      assert.ok(!(event.from === "half-open" && event.to === "healthy" && event.cause !== "reset"));
    }
    assert.equal(machine.state, state);
    assert.equal(machine.state, model.state, "state");
    assert.equal(machine.isTripped, model.tripped);
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

    const snapshot = machine.snapshot(at());
    assert.equal(snapshot.tripCount, model.trips, "trips");
    assert.equal(snapshot.backoffAttempt, model.attempt, "attempt");
    assert.equal(snapshot.lastError, model.lastError, "last error");
    assert.equal(snapshot.manual, model.manual, "manual");
    assert.equal(snapshot.stateChangedAt, WALL_MS + model.sinceMs, "since");
    // Healthy never remembers a cooldown.
    if (machine.state === "healthy") assert.equal(snapshot.backoffAttempt, 0);

    const { retryAfterMs, remainingMs } = machine.refusal(at());
    assert.equal(retryAfterMs === undefined, model.manual);
    if (!model.manual) close(remainingMs, model.waitMs(nowMs), "wait");
    assert.ok(remainingMs >= 0);
  }
}

test("whatever is stored, a restored machine is sound", () => {
  const anything = fc.oneof(
    fc.anything(),
    fc.double(),
    fc.integer(),
    fc.constantFrom(0, 1, true, false, null, undefined, Number.NaN, -1, 1e300, "text"),
    fc.constantFrom("healthy", "degraded", "cooling-down", "half-open"),
    fc.tuple(fc.double(), fc.integer()),
    fc.record({
      rule: fc.constantFrom("consecutive_failures", "success_rate", "health_score", "other"),
      value: fc.oneof(fc.double(), fc.anything()),
      threshold: fc.double(),
    }),
  );
  const keys = Object.keys(sanitiseAdaptive({}, WALL_MS, undefined));
  const raw = fc.record(Object.fromEntries(keys.map((key) => [key, anything])), {
    requiredKeys: [],
  });
  fc.assert(
    fc.property(options, raw, anything, (given, stored, updatedAt) => {
      const settings = adaptiveSettings(given);
      const at = { nowMs: 5, wallMs: WALL_MS };
      const clean = sanitiseAdaptive(stored, at.wallMs, updatedAt);
      // Sanitising what is sane changes nothing.
      assert.deepEqual(sanitiseAdaptive(clean, at.wallMs, updatedAt), clean);
      const machine = new AdaptiveMachine(settings);
      machine.restore(clean, at);
      // Only an explicit false opens the door.
      const isExplicit = [false, 0, null].includes(stored["tripped"] as null);
      assert.equal(machine.isTripped, !isExplicit);
      const snapshot = machine.snapshot(at);
      assert.deepEqual(sanitiseAdaptive(snapshot, at.wallMs, updatedAt), snapshot);
      assert.equal(snapshot.totalAttempts, 0);
      assert.ok(Number.isInteger(snapshot.tripCount) && snapshot.tripCount >= 0);
      assert.ok(snapshot.trippedAt === null || snapshot.trippedAt <= at.wallMs);
      const { retryAfterMs } = machine.refusal(at);
      if (machine.isTripped && !clean.manual) {
        assert.ok(retryAfterMs !== undefined && retryAfterMs <= settings.cooldownMsLongest);
        assert.ok(machine.admit(at.nowMs + retryAfterMs) >= 0, "a canary when it says so");
      } else if (machine.isTripped) assert.equal(machine.admit(1e15), REFUSED);
      machine.reset({ reason: "", actor: "", force: true }, at);
      assert.ok(machine.admit(5) >= 0);
    }),
    { numRuns: 2000 },
  );
});

test("when the endpoint is well again, traffic is back within a stated bound", () => {
  const begun = new Set<string>();
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60, size: "max" }), (given, steps) => {
      // A least health of more than a well endpoint reaches would never let it heal.
      const settings = adaptiveSettings({ ...given, minHealthScore: 0.3 });
      const machine = new AdaptiveMachine(settings, { random: new SeededRandom(1) });
      let nowMs = 0;
      const at = (): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: WALL_MS + nowMs });
      const tickets: Ticket[] = [];
      for (const current of steps) {
        if (current.do === "wait") nowMs += current.ms;
        else if (current.do === "admit") {
          const ticket = machine.admit(nowMs);
          if (ticket !== REFUSED) tickets.push(ticket);
        } else if ("which" in current && tickets.length > 0) {
          const [ticket = 0] = tickets.splice(current.which % tickets.length, 1);
          const failure = { weightThousandths: 1000, message: "m" };
          if (current.do === "ok") machine.settleOk(ticket, current.latencyMs, nowMs);
          else if (current.do === "failed") {
            machine.settleFailed(ticket, failure, current.latencyMs, at());
          }
        }
      }

      begun.add(machine.state);
      // From here on every call that is let in succeeds at once; the lost ones stay lost. A bad window
      // takes up to a hundred successes to clear, and may trip on the way.
      const endMs = nowMs + 60 * (settings.cooldownMsLongest + settings.canaryLeaseMs) + 1000;
      let successes = 0;
      while (machine.state !== "healthy" && nowMs < endMs) {
        const ticket = machine.admit(nowMs);
        if (ticket === REFUSED) nowMs += Math.max(0.25, machine.refusal(at()).retryAfterMs ?? 5);
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
