// The guards that the model compares.

import assert from "node:assert/strict";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import { REFUSED } from "../../../src/core/breaker/machine.ts";
import type { Tier } from "../../../src/core/overload/criticality.ts";
import {
  adaptiveLimit,
  fixedLimit,
  type LimitPolicy,
} from "../../../src/core/overload/limit-policy.ts";
import {
  ENDED_IGNORED,
  ENDED_OK,
  ENDED_TIMEOUT,
  type Limiter,
} from "../../../src/core/overload/limiter.ts";
import { TURNED_AWAY, type Column, type Guard, type GuardSetting } from "./guard.ts";
import { Aimd, Gradient2 } from "./peers.ts";

const WALL_MS = 1_700_000_000_000;

const none: Column = () => ({ admit: () => 0, ok: () => {}, timedOut: () => {} });

const breaker: Column = () => {
  const machine = slidingWindow({ failureRatio: 0.5, windowDurationMs: 10_000 }).createMachine();
  const failure = { weightThousandths: 1000, message: "timeout" };
  return {
    admit: (_tier, nowMs) => {
      const ticket = machine.admit(nowMs);
      machine.events.length = 0;
      return ticket === REFUSED ? TURNED_AWAY : ticket;
    },
    ok: (ticket, startMs, nowMs) => {
      machine.settleOk(ticket, nowMs - startMs, nowMs, WALL_MS + nowMs);
    },
    timedOut: (ticket, startMs, nowMs) => {
      machine.settleFailed(ticket, failure, nowMs - startMs, { nowMs, wallMs: WALL_MS + nowMs });
    },
  };
};

const fixed: Column = (setting) => limiterOf(fixedLimit(40), setting);

/** The limiter as shipped, with its defaults. */
export const ours: Column = (setting) => limiterOf(adaptiveLimit(), setting);

function limiterOf(policy: LimitPolicy, { startMs, deadlineMs }: GuardSetting): Guard {
  const limiter = policy.createLimiter({ nowMs: startMs, phaseMs: WALL_MS, deadlineMs });
  return {
    admit: (tier, nowMs) => {
      const verdict = limiter.admit(tier as Tier, nowMs, deadlineMs);
      if (verdict < 0) return TURNED_AWAY;
      checkReserves(limiter, tier);
      return verdict;
    },
    ok: (permit, _startMs, nowMs) => {
      assert.ok(limiter.settle(permit, ENDED_OK, nowMs));
    },
    timedOut: (permit, _startMs, nowMs) => {
      assert.ok(limiter.leave(permit, ENDED_TIMEOUT, nowMs));
    },
    check: (waitingFor) => {
      assert.equal(limiter.inFlight - limiter.abandoned, waitingFor);
      assert.ok(limiter.abandoned >= 0);
    },
    end: (nowMs) => {
      // A deadline later at most, nothing is taken to be in flight any more.
      limiter.settle(limiter.admitAnyway(0, nowMs + deadlineMs), ENDED_IGNORED, nowMs + deadlineMs);
      assert.equal(limiter.inFlight, 0);
    },
  };
}

/** With the call of this tier let in, what is kept for the tiers above must still be there. */
function checkReserves(limiter: Limiter, tier: number): void {
  let kept = 0;
  for (let higher = 0; higher < tier; higher += 1) {
    const reserve = limiter.reserveOf(higher as Tier);
    kept += Math.max(0, reserve - limiter.inFlightOf(higher as Tier));
  }
  // Permits are whole, so the last of them may reach less than one into the reserve.
  assert.ok(limiter.inFlight - 1 + kept < limiter.limit, `tier ${tier} took what is kept`);
}

export const COLUMNS = {
  none,
  breaker,
  "fixed cap": fixed,
  AIMD: () => new Aimd(),
  Gradient2: () => new Gradient2(),
  ours,
} as const satisfies Readonly<Record<string, Column>>;
