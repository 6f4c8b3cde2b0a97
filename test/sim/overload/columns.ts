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
import { ENDED_OK, ENDED_TIMEOUT, type Limiter } from "../../../src/core/overload/limiter.ts";
import { LimitGuard } from "../../../src/pipeline/overload/guard.ts";
import type { HeldPermit } from "../../../src/pipeline/overload/held-permit.ts";
import type { Waiting } from "../../../src/pipeline/overload/waiting-line.ts";
import { TURNED_AWAY, WAITS, type Column, type Guard, type GuardSetting } from "./guard.ts";
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

const fixed: Column = (setting) => limited(fixedLimit(40), setting);

/** As shipped, with its defaults: the limiter, its guard, and the line in which the most critical calls wait. */
export const ours: Column = (setting) => limited(adaptiveLimit(), setting);

function limited(policy: LimitPolicy, { startMs, deadlineMs, decided }: GuardSetting): Guard {
  let nowMs = startMs;
  const clock = { monotonic: () => nowMs, now: () => WALL_MS + nowMs };
  const guard = new LimitGuard(policy, deadlineMs, clock);
  const { limiter, line } = guard;
  const permits: HeldPermit[] = [];
  const waiting = new Map<number, { readonly one: Waiting; readonly sinceMs: number }>();

  const hold = (tier: Tier, leftMs: number): number => {
    const held = guard.hold(tier, nowMs, leftMs);
    if (held === undefined) return TURNED_AWAY;
    checkReserves(limiter, tier, nowMs);
    return permits.push(held) - 1;
  };
  /** True when that decided it. */
  const askAgain = (call: number, isLast: boolean): boolean => {
    const proof = hold(0, deadlineMs - (nowMs - (waiting.get(call)?.sinceMs ?? 0)));
    if (proof === TURNED_AWAY && guard.refusedFor === "limit" && !isLast) {
      guard.asksAgain(0);
      return false;
    }
    assert.ok(waiting.delete(call));
    decided(call, proof);
    return true;
  };

  return {
    waitMs: guard.waitMsMax,
    admit: (tier, atMs, call) => {
      nowMs = atMs;
      const proof = hold(tier as Tier, deadlineMs);
      // As the door has it.
      const waits = tier === 0 && guard.refusedFor === "limit" && line.hasRoom;
      if (proof !== TURNED_AWAY || !waits) return proof;
      guard.asksAgain(0);
      const one: Waiting = { retry: () => askAgain(call, false) };
      line.add(one);
      waiting.set(call, { one, sinceMs: nowMs });
      return WAITS;
    },
    waited: (call, atMs) => {
      nowMs = atMs;
      const { one } = waiting.get(call) ?? {};
      assert.ok(one);
      line.leave(one);
      askAgain(call, true);
    },
    ok: (proof, _startMs, atMs) => {
      nowMs = atMs;
      permits[proof]?.end(ENDED_OK, nowMs);
    },
    timedOut: (proof, _startMs, atMs) => {
      nowMs = atMs;
      permits[proof]?.end(ENDED_TIMEOUT, nowMs);
    },
    check: (inFlight, waits) => {
      assert.equal(limiter.inFlight - limiter.abandoned, inFlight);
      assert.ok(limiter.abandoned >= 0);
      assert.equal(line.length, waits);
    },
    end: (atMs) => {
      // A deadline later at most, nothing is taken to be in flight any more.
      nowMs = atMs + deadlineMs;
      guard.holdAnyway(0, nowMs).giveBack(nowMs);
      assert.equal(limiter.inFlight, 0);
    },
  };
}

/** With the call of this tier let in, what is kept for the tiers above must still be there. */
function checkReserves(limiter: Readonly<Limiter>, tier: number, nowMs: number): void {
  let kept = 0;
  for (let higher = 0; higher < tier; higher += 1) {
    const reserve = limiter.reserveOf(higher as Tier, nowMs);
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
