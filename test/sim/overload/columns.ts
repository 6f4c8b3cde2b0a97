// The guards that the model compares.

import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import { REFUSED } from "../../../src/core/breaker/machine.ts";
import { GradientLimit } from "../../../src/core/overload/gradient-limit.ts";
import { ENDED_OK, ENDED_TIMEOUT, Limiter } from "../../../src/core/overload/limiter.ts";
import { FixedLimit } from "../../../src/core/overload/limit.ts";
import { Aimd, Gradient2 } from "./peers.ts";
import type { Tier } from "../../../src/core/overload/criticality.ts";
import { TURNED_AWAY, type Column, type Guard } from "./guard.ts";

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

const fixed: Column = ({ startMs, deadlineMs }) =>
  guardOf(new Limiter(new FixedLimit(40), { nowMs: startMs, phaseMs: WALL_MS, deadlineMs }));

export const ours: Column = ({ startMs, deadlineMs }) =>
  guardOf(
    new Limiter(
      new GradientLimit({
        initial: 20,
        min: 2,
        max: 5000,
        tolerance: 2,
        deadlineMs,
        phaseMs: WALL_MS,
      }),
      { nowMs: startMs, phaseMs: WALL_MS, deadlineMs },
    ),
    deadlineMs,
  );

function guardOf(limiter: Limiter, deadlineMs = 1000): Guard {
  return {
    admit: (tier, nowMs) => {
      const verdict = limiter.admit(tier as Tier, nowMs, deadlineMs);
      return verdict < 0 ? TURNED_AWAY : verdict;
    },
    ok: (permit, _startMs, nowMs) => {
      limiter.settle(permit, ENDED_OK, nowMs);
    },
    timedOut: (permit, _startMs, nowMs) => {
      limiter.leave(permit, ENDED_TIMEOUT, nowMs);
    },
    check: (waitingFor, nowMs) => {
      if (limiter.inFlight - limiter.abandoned === waitingFor) return;
      throw new Error(
        `at ${nowMs}: ${limiter.inFlight} in flight, ${limiter.abandoned} abandoned, ${waitingFor} awaited`,
      );
    },
  };
}

export const COLUMNS: Readonly<Record<string, Column>> = {
  none,
  breaker,
  fixed,
  aimd: () => new Aimd(),
  gradient2: () => new Gradient2(),
  ours,
};
