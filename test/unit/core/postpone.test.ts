// Probes that take turns with those of other replicas: let in later, while they are not due yet and nobody holds it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { adaptive } from "../../../src/core/breaker/adaptive/machine.ts";
import { latching } from "../../../src/core/breaker/latching/machine.ts";
import type { BreakerMachine, BreakerPolicy } from "../../../src/core/breaker/machine.ts";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import { SeededRandom } from "../../../src/testing/index.ts";

const OPEN_MS = 10_000;
const FAILURE = { message: "503", weightThousandths: 1000 } as const;
const KINDS: Readonly<Record<string, BreakerPolicy>> = {
  window: slidingWindow({ minimumCalls: 1, windowSize: 2, openDurationMs: OPEN_MS }),
  adaptive: adaptive({ failureThreshold: 1, cooldownMs: OPEN_MS }),
  probe: latching({ failureThreshold: 1, recovery: "single-probe", resetTimeoutMs: OPEN_MS }),
};

/** When it lets its first probe in, of those asked at. */
function firstProbe(machine: BreakerMachine, fromMs: number): number {
  for (let nowMs = fromMs; nowMs < 100_000; nowMs += 100) {
    if (machine.admit(nowMs) >= 0) return nowMs;
  }
  return Number.POSITIVE_INFINITY;
}

for (const [name, policy] of Object.entries(KINDS)) {
  describe(name, () => {
    const opened = (): BreakerMachine => {
      const machine = policy.createMachine({ random: new SeededRandom(1), nowMs: 0 });
      machine.record("failed", FAILURE, 1, { nowMs: 0, wallMs: 0 });
      for (let n = 0; n < 10 && !machine.isTripped; n += 1) {
        machine.record("failed", FAILURE, 1, { nowMs: 0, wallMs: 0 });
      }
      assert.ok(machine.isTripped);
      return machine;
    };
    const dueMs = firstProbe(opened(), 0);

    test("before they are due", () => {
      const machine = opened();
      machine.postpone(5000, 100);
      assert.equal(firstProbe(machine, 0), dueMs + 5000);
    });

    test("not once they are due", () => {
      const machine = opened();
      machine.postpone(5000, dueMs);
      assert.equal(firstProbe(machine, dueMs), dueMs);
    });

    test("one that is closed, or held by a person, is as it was", () => {
      const closed = policy.createMachine({ random: new SeededRandom(1), nowMs: 0 });
      closed.postpone(5000, 0);
      assert.ok(closed.admit(1) >= 0);
      const held = opened();
      held.trip({ reason: "hold", actor: "ann" }, { nowMs: 0, wallMs: 0 });
      held.postpone(5000, 0);
      assert.equal(firstProbe(held, 0), Number.POSITIVE_INFINITY);
    });
  });
}
