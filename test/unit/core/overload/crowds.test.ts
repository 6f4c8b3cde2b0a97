// Crowds before an upstream that has room for all of them: whatever they do, nobody may be turned away. Each
// was somebody's way to shut out others.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Tier } from "../../../../src/core/overload/criticality.ts";
import {
  adaptiveLimit,
  fixedLimit,
  type LimitPolicy,
} from "../../../../src/core/overload/limit-policy.ts";
import {
  ENDED_IGNORED,
  ENDED_OK,
  ENDED_TIMEOUT,
  REFUSED_LIMIT,
  REFUSED_PRIORITY,
  type Limiter,
} from "../../../../src/core/overload/limiter.ts";
import { adaptiveRig, boundedRig, fixedRig } from "./limiter-rig.ts";

/** Callers who come at an even pace. */
interface Crowd {
  readonly perSecond: number;
  readonly tier: Tier;
  /** They leave after so many milliseconds, whether or not they were answered. */
  readonly leaveMs?: number;
  /** Their function is known to run on, until it has heard of it. */
  readonly heeds?: boolean;
  /** They say that they leave then. */
  readonly remainingMs?: number;
  readonly fromMs?: number;
  readonly untilMs?: number;
}

interface Scene {
  readonly policy?: LimitPolicy;
  readonly deadlineMs: number;
  /** What each call takes, however many there are. */
  readonly serviceMs: number;
  readonly seconds: number;
  readonly crowds: Readonly<Record<string, Crowd>>;
}

interface Came {
  came: number;
  refused: number;
}

function play(scene: Scene): { readonly limiter: Limiter; readonly of: Record<string, Came> } {
  const { policy = adaptiveLimit(), deadlineMs, serviceMs, seconds, crowds } = scene;
  const limiter = policy.createLimiter({ nowMs: 0, phaseMs: 0, deadlineMs });
  const events: { readonly atMs: number; readonly act: () => void }[] = [];
  const of: Record<string, Came> = {};
  for (const [name, crowd] of Object.entries(crowds)) {
    const { perSecond, tier, leaveMs = Infinity, fromMs = 0, untilMs = seconds * 1000 } = crowd;
    const { remainingMs = deadlineMs } = crowd;
    const counts = { came: 0, refused: 0 };
    of[name] = counts;
    for (let atMs = fromMs; atMs < untilMs; atMs += 1000 / perSecond) {
      events.push({
        atMs,
        act: () => {
          counts.came += 1;
          const permit = limiter.admit(tier, atMs, remainingMs);
          if (permit < 0) counts.refused += 1;
          else if (leaveMs < serviceMs) {
            const nowMs = atMs + leaveMs;
            const act = (): void => {
              if (crowd.heeds === true) limiter.outlived(permit, ENDED_IGNORED, nowMs);
              limiter.leave(permit, ENDED_IGNORED, nowMs);
            };
            add({ atMs: nowMs, act });
          } else {
            const nowMs = atMs + serviceMs;
            add({ atMs: nowMs, act: () => limiter.settle(permit, ENDED_OK, nowMs) });
          }
        },
      });
    }
  }
  const add = (event: (typeof events)[number]): void => {
    let at = events.length;
    while (at > 0 && (events[at - 1]?.atMs ?? 0) < event.atMs) at -= 1;
    events.splice(at, 0, event);
  };
  // The next one stands at the end.
  events.sort((a, b) => b.atMs - a.atMs);
  for (let next = events.pop(); next !== undefined; next = events.pop()) next.act();
  return { limiter, of };
}

const HONEST: Crowd = { perSecond: 20, tier: 1 };

describe("callers who leave", () => {
  for (const deadlineMs of [2000, 30_000]) {
    for (const perSecond of [20, 40, 100, 200]) {
      test(`${perSecond} a second, deadline ${deadlineMs}, shut out nobody`, () => {
        const leavers: Crowd = { perSecond, tier: 1, leaveMs: 20 };
        const { of, limiter } = play({
          deadlineMs,
          serviceMs: 50,
          seconds: 10,
          crowds: { honest: HONEST, leavers },
        });
        assert.equal(of["honest"]?.refused, 0);
        assert.equal(of["leavers"]?.refused, 0);
        assert.ok(limiter.limit < 100, `nor does the limit grow by them to ${limiter.limit}`);
        assert.equal(limiter.isHung, false);
      });
    }
  }

  for (const heeds of [false, true]) {
    for (const fromMs of [0, 3000]) {
      test(`in crowds, heard to have left or not (${heeds}), from ${fromMs} ms on, shut out nobody`, () => {
        const { of, limiter } = play({
          deadlineMs: 2000,
          serviceMs: 20,
          seconds: 12,
          crowds: {
            honest: { perSecond: 100, tier: 1 },
            leavers: { perSecond: 600, tier: 0, leaveMs: 5, heeds, fromMs },
          },
        });
        assert.equal(of["honest"]?.refused, 0);
        assert.ok(limiter.limit >= 20, `the limit is ${limiter.limit}`);
      });
    }
  }

  test("count as not served where they leave later than calls usually take, unless they gave back", () => {
    const leave = (limiter: Limiter, permit: number, nowMs: number): void => {
      limiter.leave(permit, ENDED_IGNORED, nowMs);
    };
    const heeded = (limiter: Limiter, permit: number, nowMs: number): void => {
      limiter.outlived(permit, ENDED_IGNORED, nowMs);
      limiter.leave(permit, ENDED_IGNORED, nowMs);
    };
    const giveBack = (limiter: Limiter, permit: number, nowMs: number): void => {
      limiter.settle(permit, ENDED_IGNORED, nowMs);
    };
    /** Of ten calls one is back after 20 ms, as usual, and nine end after so long: the least that the limit then was. */
    const leastLimit = (leaveMs: 10 | 30, end: typeof leave): number => {
      const rig = boundedRig(10, 2, 10);
      rig.run(10, 20, 2000);
      let least = rig.limiter.limit;
      for (let n = 0; n < 20; n += 1) {
        const came = Array.from({ length: 10 }, () => rig.admit());
        const [back = -1, ...others] = came.filter((permit) => permit >= 0);
        for (const ms of [10, 20, 30]) {
          rig.wait(10);
          if (ms === 20) rig.settleAll([back]);
          if (ms === leaveMs) for (const permit of others) end(rig.limiter, permit, rig.nowMs);
        }
        rig.wait(70);
        least = Math.min(least, rig.limiter.limit);
      }
      return least;
    };

    assert.deepEqual([leastLimit(10, leave), leastLimit(10, heeded)], [10, 10]);
    assert.deepEqual([leastLimit(10, giveBack), leastLimit(30, giveBack)], [10, 10]);
    assert.deepEqual([leastLimit(30, leave), leastLimit(30, heeded)], [7, 7]);
  });

  test("a few at once on an upstream of which nothing is known make no outage", () => {
    const { of } = play({
      deadlineMs: 30_000,
      serviceMs: 50,
      seconds: 10,
      crowds: {
        leavers: { perSecond: 2000, tier: 1, leaveMs: 1, untilMs: 20 },
        honest: { ...HONEST, fromMs: 100 },
      },
    });
    assert.equal(of["honest"]?.refused, 0);
  });

  test("are no silence: of them nothing can be heard", () => {
    const { limiter } = play({
      deadlineMs: 2000,
      serviceMs: 10_000,
      seconds: 5,
      crowds: { leavers: { perSecond: 5, tier: 1, leaveMs: 150 } },
    });
    assert.equal(limiter.isHung, false);
  });

  test("are none of those of whom nothing was heard, nor does their time count", () => {
    const rig = adaptiveRig(1000);
    for (const permit of rig.admitAll(3)) rig.limiter.leave(permit, ENDED_IGNORED, 900);
    rig.wait(1000);
    rig.admitAll(1);
    assert.equal(rig.limiter.isHung, false);
    rig.wait(100);
    rig.admitAll(1);
    rig.wait(200);
    rig.admitAll(1);
    assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [6, 3]);
    assert.equal(rig.limiter.isHung, false);
    // But these three are waited for.
    rig.wait(900);
    rig.admit();
    assert.equal(rig.limiter.isHung, true);
  });

  test("are others than those who waited for all of their deadline, all at once", () => {
    const rig = adaptiveRig(1000);
    const permits = rig.admitAll(10);
    rig.wait(1000);
    for (const permit of permits) rig.limiter.leave(permit, ENDED_TIMEOUT, rig.nowMs);
    rig.wait(50);
    rig.admit();
    assert.equal(rig.limiter.isHung, true);
  });

  test("leave the upstream as full as others' calls would, once it is known how long those take", () => {
    const limiter = fixedLimit(10).createLimiter({ nowMs: 0, phaseMs: 0, deadlineMs: 2000 });
    let nowMs = 0;
    for (let n = 0; n < 100; n += 1) {
      const permit = limiter.admit(1, nowMs, 2000);
      nowMs += 50;
      limiter.settle(permit, ENDED_OK, nowMs);
    }
    const permit = limiter.admit(1, nowMs, 2000);
    limiter.leave(permit, ENDED_IGNORED, nowMs + 5);
    limiter.look(nowMs + 45);
    assert.equal(limiter.inFlight, 1);
    limiter.look(nowMs + 60);
    assert.equal(limiter.inFlight, 0);
  });
});

describe("callers in too much of a hurry", () => {
  for (const policy of [adaptiveLimit(), fixedLimit(20)]) {
    test(`have no room kept for them, limit ${policy.kind}`, () => {
      const { of, limiter } = play({
        policy,
        deadlineMs: 2000,
        serviceMs: 500,
        seconds: 30,
        crowds: {
          hurried: { perSecond: 1000, tier: 0, remainingMs: 1, leaveMs: 1 },
          early: { ...HONEST, untilMs: 20_000 },
          // Until it is known what calls take, and for what was asked for before, room may be kept.
          later: { ...HONEST, fromMs: 20_000 },
        },
      });
      assert.ok((of["hurried"]?.refused ?? 0) > 27_000);
      assert.equal(of["later"]?.refused, 0);
      assert.ok(limiter.demandPerSecond(0) < 100);
    });
  }

  test("hold what they hold for no longer than they stay", () => {
    const rig = fixedRig(20);
    for (let n = 0; n < 100; n += 1) {
      const permits = rig.admitAll(2);
      rig.wait(1);
      rig.settleAll(permits, ENDED_IGNORED);
      rig.wait(9);
    }
    const reserve = rig.limiter.reserveOf(0, rig.nowMs);
    assert.ok(reserve < 4, `${reserve}`);
  });

  test("are none of those for whom there is no room, either", () => {
    const limiter = fixedLimit(3).createLimiter({ nowMs: 0, phaseMs: 0, deadlineMs: 2000 });
    for (let n = 0; n < 60; n += 1) {
      limiter.settle(limiter.admit(1, n * 50, 2000), ENDED_OK, n * 50 + 50);
    }
    for (let n = 0; n < 3; n += 1) limiter.admit(1, 3000, 2000);
    assert.equal(limiter.refuseUntimed(0, 1), false);
    assert.equal(limiter.refuseUntimed(0, 2000), true);
  });
});

describe("an upstream whose work takes most of the deadline", () => {
  for (const serviceMs of [900, 1200, 1400]) {
    test(`${serviceMs} of 2000 ms, is no overloaded one`, () => {
      const { limiter } = play({ deadlineMs: 2000, serviceMs, seconds: 60, crowds: { HONEST } });
      const later = { ...HONEST, fromMs: 60_000 };
      const { of } = play({
        deadlineMs: 2000,
        serviceMs,
        seconds: 120,
        crowds: { early: { ...HONEST, untilMs: 60_000 }, later },
      });
      assert.equal(of["later"]?.refused, 0);
      assert.ok(limiter.limit >= (20 * serviceMs) / 1000);
      assert.ok(Math.abs(limiter.baseMs - serviceMs) < 0.1 * serviceMs, `${limiter.baseMs}`);
    });
  }

  test("is none that hangs, before anything is known of it", () => {
    const rig = adaptiveRig(2000);
    rig.admitAll(3);
    rig.wait(1700);
    rig.admitAll(1);
    assert.equal(rig.limiter.isHung, false);
    rig.wait(400);
    rig.admit();
    assert.equal(rig.limiter.isHung, true);
  });

  test("is known to be slow by calls that were there before it seemed to hang", () => {
    const rig = adaptiveRig(1000);
    const permits = rig.admitAll(3);
    rig.wait(950);
    rig.admit();
    assert.equal(rig.limiter.isHung, true);
    rig.wait(30);
    rig.settleAll(permits);
    assert.equal(rig.limiter.isHung, false);
    rig.wait(900);
    rig.admit();
    assert.equal(rig.limiter.latencyMs, 980);
  });

  test("and with room for all of it from the start its latency is known", () => {
    const { limiter, of } = play({
      policy: adaptiveLimit({ min: 30, initial: 30 }),
      deadlineMs: 2000,
      serviceMs: 1200,
      seconds: 20,
      crowds: { honest: HONEST },
    });
    assert.equal(of["honest"]?.refused, 0);
    assert.ok(Math.abs(limiter.latencyMs - 1200) < 120, `${limiter.latencyMs}`);
    assert.ok(Math.abs(limiter.baseMs - 1200) < 120, `${limiter.baseMs}`);
  });
});

describe("a spike that is over", () => {
  const spike: Crowd = { perSecond: 400, tier: 0, untilMs: 3000 };

  test("keeps nobody out", () => {
    const { of } = play({
      policy: fixedLimit(40),
      deadlineMs: 2000,
      serviceMs: 500,
      seconds: 10,
      crowds: { spike, after: { perSecond: 10, tier: 3, fromMs: 4000 } },
    });
    assert.ok((of["spike"]?.refused ?? 0) > 500);
    // The first one finds what was known when nobody had called for a second.
    assert.ok((of["after"]?.refused ?? 60) <= 1);
  });

  test("has room kept for as long as it goes on", () => {
    const { of } = play({
      policy: fixedLimit(40),
      deadlineMs: 2000,
      serviceMs: 80,
      seconds: 3,
      crowds: { spike, beside: { perSecond: 400, tier: 3, fromMs: 1000 } },
    });
    assert.equal(of["spike"]?.refused, 0);
    assert.ok((of["beside"]?.refused ?? 0) > 600);
  });
});

test("of a limit that nobody has run into all is there for everybody, and room is kept from then on", () => {
  const rig = adaptiveRig(2000);
  rig.run(6, 80, 4000, 0);
  const permits: number[] = [];
  let verdict = rig.admit(3);
  while (verdict >= 0) {
    permits.push(verdict);
    verdict = rig.admit(3);
  }
  assert.deepEqual([verdict, permits.length], [REFUSED_LIMIT, rig.limiter.limit]);
  rig.settleAll(permits.slice(0, 2));
  assert.equal(rig.admit(3), REFUSED_PRIORITY);
  assert.ok(rig.admit(0) >= 0);
});
