// The machine against its model, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { REFUSED } from "../../src/core/breaker/machine.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
} from "../../src/core/breaker/sliding-window/options.ts";
import { sanitiseSlidingWindow } from "../../src/core/breaker/sliding-window/restore.ts";
import type { SlidingWindowSnapshot as Snapshot } from "../../src/core/breaker/sliding-window/snapshot.ts";
import { SlidingWindowMachine } from "../../src/core/breaker/sliding-window/machine.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { disturb, Pair, WALL_MS, type Step } from "./pair.ts";
import { SlidingWindowModel, type ModelTicket } from "./sliding-window-model.ts";
import { testStored } from "./stored.ts";

const options: fc.Arbitrary<SlidingWindowOptions> = fc
  .record({
    failureRatio: fc.constantFrom(0.2, 0.5, 0.75, 1),
    thresholdInclusive: fc.boolean(),
    minimumCalls: fc.constantFrom(1, 2, 4),
    windowSize: fc.constantFrom(4, 5, 20),
    windowDurationMs: fc.constantFrom(10, 100, 1000),
    openDurationMs: fc.constantFrom(10, 100),
    openDurationFactor: fc.constantFrom(1, 2),
    openDurationMsMax: fc.constantFrom(100, 300),
    openDurationJitter: fc.constantFrom(0, 0.5),
    stableCloseMs: fc.constantFrom(0, 10, 100),
    retryAfterMsMax: fc.constantFrom(0, 150, 10_000),
    halfOpenMaxProbes: fc.constantFrom(2, 3),
    halfOpenSuccesses: fc.constantFrom(1, 2),
    probeLeaseMs: fc.constantFrom(1, 20, 200),
    halfOpenDeadlineMs: fc.constantFrom(5, 50, 100_000),
    slowCallMs: fc.constantFrom(50, 1000),
    slowCallRatio: fc.constantFrom(0.25, 0.5),
    ramping: fc.boolean(),
    rampSuccesses: fc.constantFrom(1, 2),
    rampStepMs: fc.constantFrom(1, 50),
  })
  .map((given) => given);

const latencyMs = fc.constantFrom(5, 5, 49, 50, 1000, Number.NaN);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 24, arbitrary: fc.record({ do: fc.constant("admit" as const) }) },
  {
    weight: 27,
    arbitrary: fc.record({
      do: fc.constantFrom("ok", "ok", "ok", "failed", "ignored"),
      which: fc.nat(),
      latencyMs,
      weight: fc.constantFrom(0, 1, 1000, 1000),
      retryAfterMs: fc.constantFrom(undefined, undefined, 40, 500),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(0, 1, 9, 10, 20, 50, 90, 100, 1000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("directOk", "directFailed"),
      latencyMs,
      times: fc.constant(1),
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
    { numRuns: 3000 },
  );
  // A model that is never led into a corner proves nothing about it.
  const corners = [
    "failures",
    "slow_calls",
    "probe_due",
    "probe_succeeded",
    "probe_failed",
    "half_open_expired",
    "ramp_completed",
    "manual_trip",
    "reset",
  ];
  for (const cause of corners) assert.ok(seen.has(cause), `${cause} never happened`);
});

function run(
  given: SlidingWindowOptions,
  steps: readonly Step[],
  seed: number,
  seen: Set<string>,
): void {
  const settings = slidingWindowSettings(given);
  const random = new SeededRandom(seed);
  const model = new SlidingWindowModel(settings, new SeededRandom(seed));
  const pair = new Pair<Snapshot, SlidingWindowMachine, ModelTicket, SlidingWindowModel>({
    model,
    create: () => new SlidingWindowMachine(settings, { random }),
    sanitise: sanitiseSlidingWindow,
    canRestart: (nowMs) => Number.isInteger(model.sinceMs) && Number.isInteger(model.waitMs(nowMs)),
  });
  let changesBefore = 0;

  for (const [index, current] of steps.entries()) {
    const { machine: before } = pair;
    const settled = pair.take(current, `words ${index}`);
    const { machine, nowMs, at } = pair;
    assert.ok(model.liveProbes <= settings.halfOpenMaxProbes);
    if (machine !== before) changesBefore = model.changes - machine.metrics(at).stateChanges;
    // A probe has one verdict, whatever came of it.
    if (settled?.model.probe !== undefined) {
      assert.equal(machine.settleOk(settled.ticket, 5, nowMs), false, "second verdict");
    }
    for (const { cause } of pair.transitions()) seen.add(cause);

    const { calls: recent, failed, slow } = model.window(nowMs);
    const snapshot = machine.snapshot(at);
    assert.equal(snapshot.recentCalls, recent, "calls in the window");
    assert.equal(snapshot.failureCount, failed, "failures in the window");
    assert.equal(snapshot.slowCount, slow, "slow calls in the window");
    assert.equal(snapshot.tripCount, model.trips, "trips");
    assert.equal(snapshot.openings, model.openings, "openings");
    assert.equal(snapshot.rampStep, model.rampStep, "ramp");
    assert.equal(snapshot.lastError, model.lastError, "last error");
    assert.equal(snapshot.manual, model.manual, "manual");

    const metrics = machine.metrics(at);
    assert.equal(metrics.totalSuccesses, model.successes);
    assert.equal(metrics.totalFailures, model.failures);
    assert.equal(metrics.rejected, model.rejected);
    assert.equal(metrics.stateChanges + changesBefore, model.changes);
    const waitMs = model.manual ? 0 : model.waitMs(nowMs);
    if (!model.manual) {
      assert.ok(Math.abs((metrics.timeUntilRetry ?? -1) * 1000 - waitMs) < 1e-6, "wait");
    }
    assert.ok(Math.abs(metrics.timeInCurrentState * 1000 - (nowMs - model.sinceMs)) < 1e-6);
    const { retryAfterMs, remainingMs } = machine.refusal(at);
    assert.equal(retryAfterMs === undefined, model.manual);
    assert.ok(remainingMs >= 0 && remainingMs <= settings.openDurationMsLongest + 1000);
  }
}

testStored({
  options,
  likely: [
    fc.constantFrom("open", "closed", "half-open", "ramping"),
    fc.record({
      rule: fc.constantFrom("failure_ratio", "slow_call_ratio", "other"),
      count: fc.oneof(fc.double(), fc.anything()),
      calls: fc.double(),
      ratio: fc.double(),
      threshold: fc.double(),
    }),
  ],
  sanitise: sanitiseSlidingWindow,
  create(given) {
    const settings = slidingWindowSettings(given);
    return { machine: new SlidingWindowMachine(settings), msMax: settings.openDurationMsLongest };
  },
  check: ({ recentCalls }) => assert.equal(recentCalls, 0),
});

test("when the upstream is well again, traffic is back within a stated bound", () => {
  const begun = new Set<string>();
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60, size: "max" }), (given, steps) => {
      const settings = slidingWindowSettings({ ...given, halfOpenDeadlineMs: 100_000 });
      const machine = new SlidingWindowMachine(settings, { random: new SeededRandom(1) });
      let nowMs = disturb(machine, steps);

      begun.add(machine.state);
      // From here on every call that is let in succeeds at once; the lost ones stay lost.
      const rampMs = 4 * settings.rampStepMs + settings.windowDurationMs;
      const boundMs = settings.openDurationMsLongest + settings.probeLeaseMs + rampMs;
      const endMs = nowMs + boundMs + 200;
      while (nowMs < endMs) {
        const ticket = machine.admit(nowMs);
        if (ticket !== REFUSED) machine.settleOk(ticket, 1, nowMs);
        else
          nowMs += Math.max(
            0.25,
            Math.min(5, machine.refusal({ nowMs, wallMs: WALL_MS }).retryAfterMs ?? 5),
          );
        if (machine.state === "closed") break;
      }
      assert.equal(machine.state, "closed");
    }),
    { numRuns: 1000 },
  );
  for (const state of ["open", "half-open", "ramping"]) {
    assert.ok(begun.has(state), `${state} never began`);
  }
});
