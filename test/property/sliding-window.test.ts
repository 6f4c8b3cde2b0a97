// The machine against its model, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { REFUSED, type Ticket } from "../../src/core/breaker/machine.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
} from "../../src/core/breaker/sliding-window/options.ts";
import { sanitiseSlidingWindow } from "../../src/core/breaker/sliding-window/restore.ts";
import { SlidingWindowMachine } from "../../src/core/breaker/sliding-window/machine.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { SlidingWindowModel, type ModelTicket } from "./sliding-window-model.ts";

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

type Step =
  | { readonly do: "admit" | "trip" | "reset" | "restart" }
  | { readonly do: "directOk" | "directFailed"; readonly latencyMs: number }
  | {
      readonly do: "ok" | "failed" | "ignored";
      readonly which: number;
      readonly latencyMs: number;
      readonly weight: number;
      readonly retryAfterMs: number | undefined;
    }
  | { readonly do: "wait"; readonly ms: number };

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
    arbitrary: fc.record({ do: fc.constantFrom("directOk", "directFailed"), latencyMs }),
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
  let machine = new SlidingWindowMachine(settings, { random });
  const model = new SlidingWindowModel(settings, new SeededRandom(seed));
  let nowMs = 0;
  const at = (): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: WALL_MS + nowMs });
  let calls: { readonly ticket: Ticket; readonly model: ModelTicket }[] = [];
  const settled: typeof calls = [];
  let state = "closed";
  let changesBefore = 0;

  for (const [index, current] of steps.entries()) {
    const message = `words ${index}`;
    switch (current.do) {
      case "admit": {
        const ticket = machine.admit(machine.admitNeedsTime ? nowMs : 0);
        const expected = model.admit(nowMs);
        assert.equal(ticket === REFUSED, expected === undefined, "admission");
        assert.ok(Number.isSafeInteger(ticket));
        if (expected !== undefined) calls.push({ ticket, model: expected });
        assert.ok(model.liveProbes <= settings.halfOpenMaxProbes);
        break;
      }
      case "ok":
      case "failed":
      case "ignored": {
        if (calls.length === 0) break;
        const [call] = calls.splice(current.which % calls.length, 1);
        assert.ok(call);
        if (call.model.probe !== undefined) settled.push(call);
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
        machine.record("ok", undefined, current.latencyMs, at());
        model.directOk(current.latencyMs, nowMs);
        break;
      case "directFailed": {
        const failure = { weightThousandths: 1000, message };
        machine.record("failed", failure, current.latencyMs, at());
        const told = { message, weight: 1000, retryAfterMs: undefined };
        model.directFailed(told, current.latencyMs, nowMs);
        break;
      }
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
        if (!Number.isInteger(model.sinceMs) || !Number.isInteger(model.waitMs(nowMs))) break;
        const stored = sanitiseSlidingWindow(
          JSON.parse(JSON.stringify(machine.snapshot(at()))) as object,
          at().wallMs,
          undefined,
        );
        assert.deepEqual(stored, machine.snapshot(at()), "what is sane is stored as it is");
        machine = new SlidingWindowMachine(settings, { random });
        machine.restore(stored, at());
        model.restart(nowMs);
        changesBefore = model.changes;
        state = machine.state;
        machine.events.length = 0;
        changesBefore -= machine.metrics(at()).stateChanges;
        calls = [];
        break;
      }
      default:
        current satisfies never;
    }

    // A probe has one verdict, whatever came of it.
    for (const { ticket } of settled.splice(0)) {
      assert.equal(machine.settleOk(ticket, 5, nowMs), false, "second verdict");
    }
    // One event for each change of state, and each leads from where the last one ended.
    for (const event of machine.events.splice(0)) {
      if (event.type !== "transition") continue;
      assert.equal(event.from, state);
      assert.notEqual(event.to, state);
      state = event.to;
      seen.add(event.cause);
    }
    assert.equal(machine.state, state);
    assert.equal(machine.state, model.state, "state");
    assert.equal(machine.isTripped, model.tripped);

    const { calls: recent, failed, slow } = model.window(nowMs);
    const snapshot = machine.snapshot(at());
    assert.equal(snapshot.recentCalls, recent, "calls in the window");
    assert.equal(snapshot.failureCount, failed, "failures in the window");
    assert.equal(snapshot.slowCount, slow, "slow calls in the window");
    assert.equal(snapshot.tripCount, model.trips, "trips");
    assert.equal(snapshot.openings, model.openings, "openings");
    assert.equal(snapshot.rampStep, model.rampStep, "ramp");
    assert.equal(snapshot.lastError, model.lastError, "last error");
    assert.equal(snapshot.manual, model.manual, "manual");

    const metrics = machine.metrics(at());
    assert.equal(metrics.totalSuccesses, model.successes);
    assert.equal(metrics.totalFailures, model.failures);
    assert.equal(metrics.rejected, model.rejected);
    assert.equal(metrics.stateChanges + changesBefore, model.changes);
    const waitMs = model.manual ? 0 : model.waitMs(nowMs);
    if (!model.manual) {
      assert.ok(Math.abs((metrics.timeUntilRetry ?? -1) * 1000 - waitMs) < 1e-6, "wait");
    }
    assert.ok(Math.abs(metrics.timeInCurrentState * 1000 - (nowMs - model.sinceMs)) < 1e-6);
    const { retryAfterMs, remainingMs } = machine.refusal(at());
    assert.equal(retryAfterMs === undefined, model.manual);
    assert.ok(remainingMs >= 0 && remainingMs <= settings.openDurationMsLongest + 1000);
  }
}

test("whatever is stored, a restored machine is sound", () => {
  const anything = fc.oneof(
    fc.anything(),
    fc.double(),
    fc.integer(),
    fc.constantFrom(0, 1, true, false, null, undefined, Number.NaN, -1, 1e300, "text"),
    fc.constantFrom("open", "closed", "half-open", "ramping"),
    fc.record({
      rule: fc.constantFrom("failure_ratio", "slow_call_ratio", "other"),
      count: fc.oneof(fc.double(), fc.anything()),
      calls: fc.double(),
      ratio: fc.double(),
      threshold: fc.double(),
    }),
  );
  const keys = Object.keys(sanitiseSlidingWindow({}, WALL_MS, undefined));
  const raw = fc.record(Object.fromEntries(keys.map((key) => [key, anything])), {
    requiredKeys: [],
  });
  fc.assert(
    fc.property(options, raw, anything, (given, stored, updatedAt) => {
      const settings = slidingWindowSettings(given);
      const at = { nowMs: 5, wallMs: WALL_MS };
      const clean = sanitiseSlidingWindow(stored, at.wallMs, updatedAt);
      // Sanitising what is sane changes nothing.
      assert.deepEqual(sanitiseSlidingWindow(clean, at.wallMs, updatedAt), clean);
      const machine = new SlidingWindowMachine(settings);
      machine.restore(clean, at);
      // Only an explicit false opens the door.
      const isExplicit = [false, 0, null].includes(stored["tripped"] as null);
      assert.equal(machine.isTripped, !isExplicit);
      const snapshot = machine.snapshot(at);
      assert.deepEqual(sanitiseSlidingWindow(snapshot, at.wallMs, updatedAt), snapshot);
      assert.equal(snapshot.recentCalls, 0);
      assert.ok(Number.isInteger(snapshot.tripCount) && snapshot.tripCount >= 0);
      assert.ok(snapshot.trippedAt === null || snapshot.trippedAt <= at.wallMs);
      const { retryAfterMs } = machine.refusal(at);
      if (machine.isTripped && !clean.manual) {
        assert.ok(retryAfterMs !== undefined && retryAfterMs <= settings.openDurationMsLongest);
        const later = { nowMs: at.nowMs + retryAfterMs, wallMs: WALL_MS };
        assert.ok(machine.admit(later.nowMs) >= 0, "probed when it says so");
      } else if (machine.isTripped) assert.equal(machine.admit(1e15), REFUSED);
      machine.reset({ reason: "", actor: "", force: true }, at);
      assert.ok(machine.admit(5) >= 0);
    }),
    { numRuns: 2000 },
  );
});

test("when the upstream is well again, traffic is back within a stated bound", () => {
  const begun = new Set<string>();
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60, size: "max" }), (given, steps) => {
      const settings = slidingWindowSettings({ ...given, halfOpenDeadlineMs: 100_000 });
      const machine = new SlidingWindowMachine(settings, { random: new SeededRandom(1) });
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
          if (current.do === "ok") machine.settleOk(ticket, 1, nowMs);
          else if (current.do === "failed") machine.settleFailed(ticket, failure, 1, at());
        }
      }

      begun.add(machine.state);
      // From here on every call that is let in succeeds at once; the lost ones stay lost.
      const rampMs = 4 * settings.rampStepMs + settings.windowDurationMs;
      const boundMs = settings.openDurationMsLongest + settings.probeLeaseMs + rampMs;
      const endMs = nowMs + boundMs + 200;
      while (nowMs < endMs) {
        const ticket = machine.admit(nowMs);
        if (ticket !== REFUSED) machine.settleOk(ticket, 1, nowMs);
        else nowMs += Math.max(0.25, Math.min(5, machine.refusal(at()).retryAfterMs ?? 5));
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
