// Permits, tiers, and calls that outlive their deadline, under a limit that stands still.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Demand } from "../../../../src/core/overload/demand.ts";
import { fixedLimit } from "../../../../src/core/overload/limit-policy.ts";
import {
  ENDED_FAILED,
  ENDED_IGNORED,
  ENDED_OK,
  ENDED_TIMEOUT,
  REFUSED_DEADLINE,
  REFUSED_LIMIT,
  REFUSED_PRIORITY,
} from "../../../../src/core/overload/limiter.ts";
import { PERMITS_MAX } from "../../../../src/core/overload/permits.ts";
import { fixedRig, LimiterRig } from "./limiter-rig.ts";

test("lets in as many as the limit, and the next once one has ended", () => {
  const rig = fixedRig(2);
  const [first = -1] = rig.admitAll(2);

  assert.equal(rig.admit(), REFUSED_LIMIT);
  rig.limiter.settle(first, ENDED_OK, rig.nowMs);
  assert.ok(rig.admit() >= 0);
});

test("every ending frees the permit", () => {
  for (const ending of [ENDED_OK, ENDED_FAILED, ENDED_TIMEOUT, ENDED_IGNORED] as const) {
    const rig = fixedRig(1);
    rig.settleAll(rig.admitAll(1), ending);
    assert.equal(rig.limiter.inFlight, 0);
  }
});

test("a permit that is given back twice, or never was handed out, changes nothing", () => {
  const rig = fixedRig(3);
  const [first = -1, second = -1] = rig.admitAll(2);

  assert.equal(rig.limiter.settle(first, ENDED_OK, 1), true);
  assert.equal(rig.limiter.settle(first, ENDED_OK, 2), false);
  // Its slot is another call's by now.
  rig.admitAll(1);
  assert.equal(rig.limiter.settle(first, ENDED_OK, 3), false);
  assert.equal(rig.limiter.outlived(first, ENDED_TIMEOUT, 3), false);
  assert.equal(rig.limiter.leave(first, ENDED_TIMEOUT, 3), false);
  for (const never of [-1, -3, 7, 0.5, NaN, Infinity, 2 ** 40]) {
    assert.equal(rig.limiter.settle(never, ENDED_OK, 3), false, String(never));
  }

  assert.equal(rig.limiter.inFlight, 2);
  assert.equal(rig.limiter.settle(second, ENDED_OK, 4), true);
});

test("a call that outlives its deadline counts until it settles, and once", () => {
  const rig = fixedRig(1);
  const [permit = -1] = rig.admitAll(1);
  rig.wait(1000);

  assert.equal(rig.limiter.outlived(permit, ENDED_TIMEOUT, rig.nowMs), true);
  assert.equal(rig.limiter.outlived(permit, ENDED_TIMEOUT, rig.nowMs), false);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [1, 1]);
  rig.wait(60_000);
  assert.equal(rig.admit(), REFUSED_LIMIT);

  assert.equal(rig.limiter.unended, 1);
  rig.limiter.settle(permit, ENDED_OK, rig.nowMs);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [0, 0]);
  assert.equal(rig.limiter.unended, 0);
});

test("a call whose end nobody hears of counts for a deadline more while nothing is known", () => {
  const rig = fixedRig(1);
  const [permit = -1] = rig.admitAll(1);
  rig.wait(1000);
  rig.limiter.leave(permit, ENDED_TIMEOUT, rig.nowMs);
  assert.deepEqual([rig.limiter.abandoned, rig.limiter.unended], [1, 0]);

  rig.wait(999);
  assert.equal(rig.admit(), REFUSED_LIMIT);
  rig.wait(1);
  assert.ok(rig.admit() >= 0);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [1, 0]);
});

test("an outlived call may be left, too, and is one abandoned call all the same", () => {
  const rig = fixedRig(2);
  const [permit = -1] = rig.admitAll(1);
  rig.limiter.outlived(permit, ENDED_TIMEOUT, rig.nowMs);
  assert.deepEqual([rig.limiter.abandoned, rig.limiter.unended], [1, 1]);
  rig.limiter.leave(permit, ENDED_TIMEOUT, 1000);
  assert.deepEqual([rig.limiter.abandoned, rig.limiter.unended], [1, 0]);
  assert.equal(rig.limiter.settle(permit, ENDED_OK, 1001), false);

  rig.nowMs = 2000;
  rig.settleAll(rig.admitAll(1));
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [0, 0]);
});

test("as service time is known, a left call counts no longer than all in flight take", () => {
  const rig = fixedRig(4);
  rig.run(4, 20, 2000);
  const permits = rig.admitAll(4);
  for (const permit of permits) rig.limiter.leave(permit, ENDED_IGNORED, rig.nowMs);

  rig.wait(15);
  assert.equal(rig.admit(), REFUSED_LIMIT);
  rig.wait(15);
  assert.ok(rig.admit() >= 0);
});

test("left calls end in the order they were left, whichever slot they have", () => {
  const rig = fixedRig(3);
  const [first = -1, second = -1, third = -1] = rig.admitAll(3);
  rig.limiter.leave(second, ENDED_TIMEOUT, 100);
  rig.limiter.leave(first, ENDED_TIMEOUT, 200);
  rig.limiter.leave(third, ENDED_TIMEOUT, 300);

  const left = [199, 200, 399, 400, 599, 600].map((nowMs) => {
    rig.nowMs = nowMs;
    const permit = rig.limiter.admitAnyway(0, nowMs);
    rig.settleAll([permit], ENDED_IGNORED);
    return rig.limiter.abandoned;
  });

  assert.deepEqual(left, [3, 2, 2, 1, 1, 0]);
});

test("nothing is kept for ever when the clock answers nonsense", () => {
  const rig = fixedRig(1);
  const [permit = -1] = rig.admitAll(1);
  rig.limiter.leave(permit, ENDED_TIMEOUT, NaN);
  rig.wait(500);
  assert.ok(rig.admit() >= 0);
});

test("keeps for the higher tiers what they are found to need", () => {
  const rig = fixedRig(20);
  // Ten of the top tier at once, for two seconds.
  rig.run(10, 50, 2000, 0);
  const reserve = rig.limiter.reserveOf(0, rig.nowMs);
  assert.ok(reserve > 10 && reserve < 20, `${reserve}`);
  assert.ok(rig.limiter.demandPerSecond(0) > 150);

  const lower: number[] = [];
  for (let verdict = rig.admit(2); verdict >= 0; verdict = rig.admit(2)) lower.push(verdict);

  assert.equal(rig.admit(2), REFUSED_PRIORITY);
  assert.equal(lower.length, Math.ceil(20 - reserve));
  assert.equal(rig.limiter.inFlightOf(2), lower.length);
  // What the top tier holds is no longer kept for it.
  rig.admitAll(20 - lower.length, 0);
  assert.equal(rig.admit(0), REFUSED_LIMIT);
  assert.equal(rig.admit(2), REFUSED_LIMIT);
});

test("a tier is not kept from by what tiers below it want", () => {
  const rig = fixedRig(20);
  rig.run(10, 50, 2000, 3);
  assert.ok(rig.limiter.reserveOf(3, rig.nowMs) > 10);
  rig.admitAll(20, 2);
});

test("refused calls are demand, which is forgotten slowly while it falls, and at once when it ends", () => {
  const rig = fixedRig(1);
  rig.admitAll(1);
  for (let call = 0; call < 1000; call += 1) {
    rig.wait(1);
    rig.admit(1);
  }
  const atOnce = rig.limiter.demandPerSecond(1);
  assert.ok(atOnce > 900 && atOnce < 1100, `${atOnce}`);

  for (let call = 0; call < 160; call += 1) {
    rig.wait(1.25);
    rig.admit(1);
  }
  assert.ok(rig.limiter.demandPerSecond(1) > 0.97 * atOnce);
  rig.wait(400);
  rig.admit(0);
  assert.ok(rig.limiter.demandPerSecond(1) < 0.4 * atOnce);
  rig.wait(400);
  rig.admit(0);
  assert.ok(rig.limiter.demandPerSecond(1) < 0.02 * atOnce);
});

test("turns away a call that would not be back in time, but never the few that would find out", () => {
  const rig = fixedRig(10);
  rig.run(5, 200, 4000);
  assert.ok(Math.abs(rig.limiter.latencyMs - 200) < 25, `${rig.limiter.latencyMs}`);

  assert.ok(rig.admit(0, 50) >= 0);
  assert.ok(rig.admit(0, 50) >= 0);
  assert.equal(rig.admit(0, 50), REFUSED_DEADLINE);
  assert.ok(rig.admit(0, 400) >= 0);
});

test("admits against the limit where it is told to, and counts what it let in", () => {
  const rig = fixedRig(1);
  rig.admitAll(1);
  assert.equal(rig.admit(), REFUSED_LIMIT);

  const permit = rig.limiter.admitAnyway(1, rig.nowMs);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.inFlightOf(1)], [2, 1]);
  rig.settleAll([permit]);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.inFlightOf(1)], [1, 0]);
});

test("holds no more permits than its table has room for, and gives every one of them back", () => {
  const rig = fixedRig(1);
  const permits = Array.from({ length: PERMITS_MAX }, () => rig.limiter.admitAnyway(0, 0));
  assert.equal(new Set(permits).size, PERMITS_MAX);
  assert.equal(rig.limiter.admitAnyway(0, 0), REFUSED_LIMIT);
  for (const permit of permits) assert.ok(rig.limiter.settle(permit, ENDED_IGNORED, 0));
  assert.equal(rig.limiter.inFlight, 0);
});

test("a tier out of range neither leaks nor goes below nothing", () => {
  for (const tier of [-1, 4, 300, NaN, 1.5]) {
    const rig = fixedRig(5);
    const permit = rig.limiter.admitAnyway(tier as 0, 0);
    rig.limiter.settle(permit, ENDED_OK, 1);
    assert.equal(rig.limiter.inFlight, 0);
    for (const known of [0, 1, 2, 3] as const) assert.equal(rig.limiter.inFlightOf(known), 0);
  }
});

test("sees a hang after half a deadline, and its end with the first call that comes back", () => {
  const rig = fixedRig(10);
  rig.run(5, 20, 1000);
  const [first = -1] = rig.admitAll(3);
  rig.wait(499);
  rig.admit();
  assert.equal(rig.limiter.isHung, false);
  rig.wait(200);
  rig.admit();
  assert.equal(rig.limiter.isHung, true);

  rig.limiter.settle(first, ENDED_FAILED, rig.nowMs);
  assert.equal(rig.limiter.isHung, false);
});

test("no hang where one call is out, where there is no deadline, or where long silence is usual", () => {
  const lonely = fixedRig(10);
  lonely.admitAll(1);
  lonely.wait(5000);
  lonely.limiter.settle(lonely.limiter.admitAnyway(0, 400), ENDED_IGNORED, 400);
  assert.equal(lonely.limiter.isHung, false);

  const patient = new LimiterRig(fixedLimit(10), undefined);
  patient.limiter.admitAnyway(0, 0);
  const endless = fixedLimit(10).createLimiter({ nowMs: 0, phaseMs: 0, deadlineMs: undefined });
  for (let nowMs = 0; nowMs < 60_000; nowMs += 1000) endless.admitAnyway(0, nowMs);
  assert.equal(endless.isHung, false);

  // Calls of 400 ms under a deadline of 1 s, two at a time, make gaps of their own.
  const slow = fixedRig(2);
  slow.run(2, 400, 8000);
  slow.admitAll(2);
  slow.wait(700);
  slow.admit();
  assert.equal(slow.limiter.isHung, false);
  slow.wait(3000);
  slow.admit();
  assert.equal(slow.limiter.isHung, true);
});

test("idle time is no silence: it counts from the first call that is out", () => {
  const rig = fixedRig(10);
  rig.settleAll(rig.admitAll(3));
  rig.wait(60_000);
  rig.admitAll(3);
  rig.wait(300);
  rig.admit();
  assert.equal(rig.limiter.isHung, false);
});

test("the queue of the top tier is a tenth of the limit and of the deadline", () => {
  assert.equal(fixedRig(40).limiter.queueMax, 4);
  assert.equal(fixedRig(9).limiter.queueMax, 0);
  assert.equal(fixedRig(40, 500).limiter.queueMsMax, 50);
  assert.equal(fixedRig(40, 30_000).limiter.queueMsMax, 100);
  const endless = fixedLimit(40).createLimiter({ nowMs: 0, phaseMs: 0, deadlineMs: undefined });
  assert.equal(endless.queueMsMax, 100);
});

test("a refused caller is asked to wait longer, the more ask for what there is", () => {
  const rig = fixedRig(5);
  assert.equal(rig.limiter.retryAfterMs(), 50);
  rig.run(5, 200, 2000);
  const calm = rig.limiter.retryAfterMs();
  for (let call = 0; call < 5000; call += 1) {
    if (call % 5 === 0) rig.wait(1);
    rig.admit(1);
  }
  const pressed = rig.limiter.retryAfterMs();

  assert.ok(calm >= 50 && calm < 1000, `${calm}`);
  assert.ok(pressed > 10 * calm && pressed <= 30_000, `${pressed}`);
});

test("a short pause is no silence either, with calls known to come back quickly", () => {
  const rig = fixedRig(10);
  rig.run(5, 20, 1000);
  rig.wait(450);
  rig.admitAll(3);
  rig.wait(300);
  rig.admit();
  assert.equal(rig.limiter.isHung, false);
});

test("a call let in against the limit finds the left ones gone whose time has come", () => {
  const rig = fixedRig(1);
  const [permit = -1] = rig.admitAll(1);
  rig.limiter.leave(permit, ENDED_TIMEOUT, 0);
  rig.limiter.admitAnyway(0, 1000);
  assert.deepEqual([rig.limiter.inFlight, rig.limiter.abandoned], [1, 0]);
});

test("no time is no rate, however many call in it", () => {
  const demand = new Demand(0);
  demand.add(0);
  demand.measure(0, 10, 10);
  assert.equal(demand.perSecond(0), 0);
  demand.measure(1, 10, 10);
  assert.ok(demand.perSecond(0) > 0);
});

test("tiers for which nothing is kept are passed over", () => {
  const demand = new Demand(0);
  assert.equal(demand.firstReserved, 4);
  demand.add(2);
  demand.measure(100, 10, 10);
  assert.equal(demand.firstReserved, 2);
  demand.apportion(0, 10);
  assert.equal(demand.firstReserved, 4);
});
