// The machine against its model, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchingMachine } from "../../src/core/breaker/latching/machine.ts";
import { latchingSettings, type LatchingOptions } from "../../src/core/breaker/latching/options.ts";
import { REFUSED, type Ticket } from "../../src/core/breaker/machine.ts";
import { sanitiseLatching } from "../../src/core/breaker/latching/restore.ts";
import { LatchingModel, type ModelTicket } from "./latching-model.ts";
import { WALL_MS } from "./pair.ts";
import { testStored } from "./stored.ts";

const options: fc.Arbitrary<LatchingOptions> = fc.record({
  failureThreshold: fc.constantFrom(0.001, 0.5, 1, 2, 3.5),
  failureWeight: fc.constantFrom(0, 0.1, 1, 2),
  timeoutWeight: fc.constantFrom(0, 0.1, 0.5),
  cooldownMs: fc.constantFrom(0, 10, 100),
  resetTimeoutMs: fc.constantFrom(0, 10, 100),
  probeLeaseMs: fc.constantFrom(1, 20, 200),
  recovery: fc.constantFrom("manual", "single-probe"),
});

type Step =
  | { readonly do: "admit" | "directOk" | "directFailed" | "trip" | "reset" | "force" | "restart" }
  | { readonly do: "ok" | "failed" | "timeout" | "ignored"; readonly which: number }
  | { readonly do: "wait"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("admit" as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("ok", "failed", "timeout", "ignored"),
      which: fc.nat(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(0, 1, 9, 10, 20, 90, 100, 200),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("directOk", "directFailed", "trip", "reset", "force", "restart"),
    }),
  },
);

test("agrees with the model in every state and for every input", () => {
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60 }), (given, steps) => {
      run(given, steps);
    }),
    { numRuns: 3000 },
  );
});

function run(given: LatchingOptions, steps: readonly Step[]): void {
  const settings = latchingSettings(given);
  let machine = new LatchingMachine(settings);
  const model = new LatchingModel(settings);
  let nowMs = 0;
  const at = (): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: WALL_MS + nowMs });
  let calls: { readonly ticket: Ticket; readonly model: ModelTicket }[] = [];
  let opened = 0;

  for (const [index, current] of steps.entries()) {
    const message = `words ${index}`;
    const failure = { weightThousandths: settings.failureWeightThousandths, message };
    const timeout = { weightThousandths: settings.timeoutWeightThousandths, message };
    switch (current.do) {
      case "admit": {
        const isTimeless = !machine.admitNeedsTime;
        const ticket = machine.admit(isTimeless ? 0 : nowMs);
        const expected = model.admit(nowMs);
        assert.equal(ticket === REFUSED, expected === undefined, "admission");
        if (expected !== undefined) calls.push({ ticket, model: expected });
        break;
      }
      case "ok":
      case "failed":
      case "timeout":
      case "ignored": {
        if (calls.length === 0) break;
        const [call] = calls.splice(current.which % calls.length, 1);
        assert.ok(call);
        if (current.do === "ok") {
          assert.equal(machine.settleOk(call.ticket, 5, nowMs), model.ok(call.model), "late ok");
        } else if (current.do === "ignored") {
          machine.settleIgnored(call.ticket, nowMs);
          model.ignored(call.model, nowMs);
        } else {
          const made = current.do === "failed" ? failure : timeout;
          assert.equal(
            machine.settleFailed(call.ticket, made, 5, at()),
            model.failed(call.model, made.weightThousandths, message, nowMs),
            "late failure",
          );
        }
        break;
      }
      case "wait":
        nowMs += current.ms;
        break;
      case "directOk":
        machine.record("ok", undefined, 5, at());
        model.directOk();
        break;
      case "directFailed":
        machine.record("failed", failure, 5, at());
        model.directFailed(failure.weightThousandths, message, nowMs);
        break;
      case "trip":
        machine.trip({ reason: message, actor: "ann" }, at());
        model.trip(message, nowMs);
        break;
      case "reset":
      case "force": {
        const force = current.do === "force";
        const verdict = machine.reset({ reason: message, actor: "ann", force }, at());
        assert.equal(verdict.accepted, model.reset(force, nowMs), "reset");
        break;
      }
      case "restart": {
        // What was in flight died with the process, a probe among it.
        const stored = sanitiseLatching(
          JSON.parse(JSON.stringify(machine.snapshot(at()))) as object,
          at().wallMs,
          undefined,
        );
        machine = new LatchingMachine(settings);
        machine.restore(stored, at());
        if (model.probe !== undefined) {
          model.probe = undefined;
          model.era += 1;
        }
        calls = [];
        break;
      }
      default:
        current satisfies never;
    }

    // One transition event for each change of state, and each leads from where the last one ended.
    for (const event of machine.events.splice(0)) {
      if (event.type === "transition" && event.to === "open") opened += 1;
    }
    assert.equal(machine.state, model.state, "state");
    assert.equal(machine.isTripped, model.tripped);
    const snapshot = machine.snapshot(at());
    assert.equal(Math.round(snapshot.failureCount * 1000), model.failures, "failure count");
    assert.equal(snapshot.tripCount, model.trips, "trip count");
    assert.equal(snapshot.lastError, model.lastError, "last error");
    assert.equal(snapshot.manual, model.manual, "manual");
    assert.equal(machine.cooldownRemainingMs(at()), model.remainingMs(nowMs), "cooldown");
    assert.equal(machine.hasFailures, model.failures > 0 || model.tripped);
    const refusal = machine.refusal(at());
    assert.ok(refusal.remainingMs >= 0 && (refusal.retryAfterMs ?? 0) >= 0);
  }
  assert.ok(opened <= steps.length);
}

testStored({
  options,
  likely: [],
  sanitise: sanitiseLatching,
  create(given) {
    const settings = latchingSettings(given);
    const { recovery, resetTimeoutMs } = settings;
    const msMax = recovery === "manual" ? undefined : resetTimeoutMs;
    return { machine: new LatchingMachine(settings), msMax };
  },
  check({ failureCount }) {
    assert.ok(Number.isFinite(failureCount) && failureCount >= 0);
  },
});

test("each change of state is told once, from where the last one ended", () => {
  fc.assert(
    fc.property(options, fc.array(step, { maxLength: 60 }), (given, steps) => {
      const machine = new LatchingMachine(latchingSettings(given));
      let state = "closed";
      let nowMs = 0;
      const tickets: Ticket[] = [];
      const at = (): { nowMs: number; wallMs: number } => ({ nowMs, wallMs: WALL_MS + nowMs });
      for (const current of steps) {
        if (current.do === "wait") nowMs += current.ms;
        else if (current.do === "admit") {
          const ticket = machine.admit(nowMs);
          if (ticket !== REFUSED) tickets.push(ticket);
        } else if (current.do === "trip") machine.trip({ reason: "r", actor: "a" }, at());
        else if (current.do === "force")
          machine.reset({ reason: "r", actor: "a", force: true }, at());
        else if ("which" in current && tickets.length > 0) {
          const [ticket = 0] = tickets.splice(current.which % tickets.length, 1);
          const failure = { weightThousandths: 1000, message: "m" };
          if (current.do === "ok") machine.settleOk(ticket, 1, nowMs);
          else if (current.do === "ignored") machine.settleIgnored(ticket, nowMs);
          else machine.settleFailed(ticket, failure, 1, at());
        }
        for (const event of machine.events.splice(0)) {
          if (event.type !== "transition") continue;
          assert.equal(event.from, state);
          assert.notEqual(event.to, state);
          state = event.to;
        }
        assert.equal(machine.state, state);
      }
    }),
    { numRuns: 1000 },
  );
});
