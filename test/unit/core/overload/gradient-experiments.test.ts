// What a gradient limit makes of rows of cuts, drains and restarts, alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GradientRig, known, near, type Seen } from "./gradient-rig.ts";

/** Three and a half times slower, and half as many come back: cut, and no quicker for it. */
function slowed(oks = 300): GradientRig {
  const rig = known();
  assert.equal(rig.full(368, { oks }), 700);
  return rig;
}

test("takes a cut back that made nothing quicker, where the upstream was seen to become slower", () => {
  const rig = slowed();
  assert.equal(rig.full(368, { oks: 300 }), 1000);
  assert.equal(rig.limit.baseMs, 0.9 * 368);
  near(rig.limit.evidenceFromMs, 200 + 0.3 * 368);
  // The row is over: the next cut begins one.
  assert.ok(rig.full(496, { oks: 300 }) < 1000);
  // Not where as many came back as before: they waited.
  assert.ok(slowed(600).full(368, { oks: 600 }) < 700);
  // Not where they did get quicker, if not by much.
  assert.ok(slowed().full(304, { oks: 300 }) < 700);
  // Not by what a few calls took.
  const few = slowed();
  assert.equal(few.full(0, { took: [[368, 2]], oks: 300 }), 700);
  assert.equal(few.limit.baseMs, 100);
});

test("back from a cut it is no more than what the deadline allows for, nor is the base", () => {
  const rig = known();
  rig.full(928, { oks: 300 });
  // Half of what such work leaves of the deadline.
  assert.equal(rig.full(928, { oks: 300 }), Math.floor((1000 * (0.9 * 928 + 1000)) / 2 / 928));
  assert.equal(rig.limit.baseMs, 0.9 * 928);

  const endless = known();
  endless.full(1120, { oks: 300 });
  endless.full(1120, { oks: 300 });
  assert.equal(endless.limit.baseMs, 900);
});

test("back from a cut it grows fast to where that began", () => {
  const rig = known();
  rig.full(928, { oks: 300 });
  rig.full(928, { oks: 300 });
  assert.equal(rig.full(248), 1000);
});

test("what calls take after a cut is no smaller base", () => {
  const rig = known({ max: 1000 }, 400);
  for (let n = 0; n < 6; n += 1) rig.full(100);
  rig.full(368, { oks: 300, timeouts: 60 });
  rig.full(368, { oks: 300 });
  assert.equal(rig.limit.value, 1000);
  assert.equal(rig.limit.baseMs, 400);
});

test("once a cut was taken back the next one is an experiment of its own", () => {
  const rig = slowed();
  rig.full(368, { oks: 300 });
  const { baseMs } = rig.limit;
  // As many come back as ever: this time they waited.
  rig.full(432, { oks: 600, timeouts: 120 });
  rig.full(432, { oks: 300 });
  assert.equal(rig.limit.baseMs, baseMs);
});

test("how long many have been out is not what they take", () => {
  const rig = slowed();
  rig.full(0, { took: [[368, 2]], oks: 2, admitted: 100, lastsMs: 720 });
  assert.equal(rig.limit.baseMs, 100);
});

test("a row of cuts ends with a window that needs none, needed or not", () => {
  for (const see of ["full", "calm"] as const) {
    const rig = slowed();
    rig[see](100, { oks: 300, peak: 0, refusals: 0 });
    rig.full(368, { oks: 300 });
    assert.equal(rig.limit.baseMs, 100, see);
  }
});

test("what is usual is learnt while the limit is needed, too", () => {
  const rig = known({ max: 1000 });
  for (let n = 0; n < 6; n += 1) rig.full(200);
  rig.full(368, { oks: 300 });
  rig.full(368, { oks: 300 });
  assert.equal(rig.limit.baseMs, 100);
});

test("calls that left before what was too much has come back are no evidence", () => {
  const rig = known();
  assert.equal(rig.limit.evidenceFromMs, Number.NEGATIVE_INFINITY);
  rig.full(100);
  assert.equal(rig.limit.evidenceFromMs, Number.NEGATIVE_INFINITY);
  rig.full(432);
  near(rig.limit.evidenceFromMs, 300 + 0.3 * 432);
  rig.full(800);
  near(rig.limit.evidenceFromMs, 400 + 0.3 * 480);
  // Two have no median to wait for.
  rig.full(0, { took: [[432, 2]], oks: 2, timeouts: 2 });
  rig.full(0, { took: [[432, 2]], oks: 2, timeouts: 3 });
  assert.equal(rig.limit.evidenceFromMs, 600);
});

/** At half for a window, with calls that took so long before it. */
function draining(rig: GradientRig, ms: number, seen: Seen = {}): GradientRig {
  for (let windows = 0; rig.limit.share === 1; windows += 1) {
    if (windows > 100) assert.fail("no drain");
    rig.full(ms, seen);
  }
  return rig;
}
const BOUND = { max: 1000 };

test("halves itself for a window, at a whole second of the wall clock, if calls came back", () => {
  const rig = draining(known(BOUND), 200);
  assert.deepEqual([rig.nowMs, rig.limit.value], [1000, 500]);
  near(rig.limit.evidenceFromMs, 1000 + 0.5 * 200);
  assert.equal(rig.full(168), 1000);

  const early = draining(known({ ...BOUND, phaseMs: 300 }), 200);
  assert.equal(early.nowMs, 700);
  assert.equal(draining(known({ ...BOUND, min: 800 }), 200).limit.value, 800);
  // The deadline bounds how long what is too much may take to come back.
  const late = draining(new GradientRig({ initial: 2, max: 2 }), 800, { oks: 1 });
  near(late.limit.evidenceFromMs, late.nowMs + 0.5 * 1.25 * 480);

  const lonely = known(BOUND);
  while (lonely.nowMs < 3000) lonely.full(0, { took: [[200, 2]] });
  assert.equal(lonely.limit.share, 1);
  draining(lonely, 0, { took: [[200, 3]] });
});

test("a drain after which calls are quicker shows a smaller base, but none below the healthy one", () => {
  const healthy = draining(known(BOUND), 200);
  healthy.full(100);
  assert.equal(healthy.limit.baseMs, 100);
  const drained = (ms: number, count = 10): GradientRig => {
    const rig = draining(new GradientRig(BOUND), 200, { oks: 450 });
    rig.full(0, { took: [[ms, count]], oks: 450 });
    return rig;
  };
  // Seven tenths of what they took; and the limit by what that means for what they took before.
  near(drained(100).limit.baseMs, 70);
  assert.equal(drained(100).limit.value, 700);
  assert.equal(drained(21).limit.value, 500);
  assert.equal(drained(152).limit.value, 1000);
  near(drained(152).limit.baseMs, 0.7 * 152);
  // Not quicker by a fifth: that is what it takes.
  assert.equal(drained(168).limit.baseMs, 168);
  assert.equal(drained(232).limit.baseMs, 232);
  // Of a few it shows nothing.
  assert.deepEqual([drained(21, 2).limit.baseMs, drained(21, 2).limit.value], [200, 1000]);
  near(drained(21, 3).limit.baseMs, 0.7 * 21);
});

test("a drain shows the work where fewer came back, and a queue where as many did", () => {
  const drained = (oks: number, ms: number, found?: number): number => {
    const rig = draining(known(BOUND), 200, { oks });
    assert.equal(rig.limit.value, 500);
    rig.full(ms, { oks, ...(found === undefined ? {} : { found }) });
    return rig.limit.baseMs;
  };
  // As late as before, of 500 at once: two and a half a millisecond, where five had come; or three.
  assert.equal(drained(500, 200), 200);
  assert.equal(drained(300, 200), 100);
  // By what was in flight, where that is less than might have been.
  assert.equal(drained(300, 200, 400), 200);
  assert.equal(drained(300, 200, 900), 100);
  // Some of those found there had been let in before it.
  assert.equal(drained(500, 200, 900), 200);
  // Quicker by more than a fifth, and fewer by clearly more than that; or not, and yet slower than the base.
  assert.equal(drained(640, 152), 152);
  assert.equal(drained(480, 152), 100);
});

test("a drain waits until the limit is filled", () => {
  const filling = (found: number): GradientRig => {
    const rig = new GradientRig(BOUND);
    while (rig.nowMs < 1000) rig.full(200, { oks: 100, found });
    return rig;
  };
  assert.equal(filling(399).limit.share, 0.5);
  const rig = filling(401);
  assert.equal(rig.limit.share, 1);
  rig.full(200, { oks: 100, found: 399 });
  assert.equal(rig.limit.share, 0.5);
});

test("after a drain that cut it grows by roots from there, and the next one comes soon", () => {
  const rig = draining(new GradientRig(BOUND), 200);
  rig.full(100);
  const exact = 700;
  assert.equal(rig.limit.nextProbeMs, 2000);
  const ratio = 140 / 124;
  assert.ok(ratio < 1.25);
  assert.equal(rig.full(124), Math.floor(exact + 1.5 * Math.sqrt(exact)));

  const confirmed = draining(known(BOUND), 200);
  confirmed.full(100);
  assert.equal(confirmed.limit.nextProbeMs, 5000);
  // A little less is no news.
  const little = draining(new GradientRig(BOUND), 100);
  little.full(116);
  assert.equal(little.limit.nextProbeMs, 5000);
  const news = draining(new GradientRig(BOUND), 100);
  news.full(136);
  assert.equal(news.limit.nextProbeMs, 2000);
});

test("the first drain that makes nothing quicker takes back the row of cuts before it", () => {
  const rig = draining(known(), 432);
  assert.ok(rig.limit.value < 300);
  rig.full(432);
  assert.equal(rig.limit.baseMs, 432);
  assert.equal(rig.limit.value, 1000);

  // As far as the deadline allows.
  const bound = draining(known(), 992);
  bound.full(992);
  assert.equal(bound.limit.baseMs, 900);
  assert.equal(bound.limit.value, Math.floor((1000 * 950) / 992));
});

test("a later drain raises the base by three times at most, and only where others drain, too", () => {
  const rig = draining(known(BOUND), 200);
  rig.full(100);
  draining(rig, 200);
  assert.equal(rig.nowMs, 5000);
  rig.full(400);
  assert.equal(rig.limit.baseMs, 300);

  // What was cut then stays so: it may be for the others.
  const later = draining(known(BOUND), 200);
  later.full(100);
  while (later.nowMs < 4600) later.full(200);
  draining(later, 432);
  assert.ok(later.full(432) < 800);
  assert.equal(later.limit.baseMs, 300);

  const alone = draining(new GradientRig(BOUND), 200);
  alone.full(100);
  near(alone.limit.baseMs, 70);
  draining(alone, 124);
  assert.equal(alone.nowMs, 2000);
  alone.full(124);
  near(alone.limit.baseMs, 70);
});

test("a drain takes back what a slowdown cut, though the limit was not needed since", () => {
  const rig = draining(known(BOUND), 200);
  rig.full(100);
  while (rig.nowMs < 4700) rig.full(100);
  rig.full(368, { oks: 100 });
  rig.calm(368, { oks: 100, peak: 0 });
  draining(rig, 200);
  assert.equal(rig.nowMs, 5000);
  assert.equal(rig.full(200), 1000);
  assert.equal(rig.limit.baseMs, 200);
});

test("each slowdown is taken back to where the limit was before it", () => {
  const rig = draining(known(), 432);
  rig.full(432);
  while (rig.nowMs < 1900) rig.full(200);
  const before = rig.limit.value;
  assert.ok(before > 4000);
  draining(rig, 544, { oks: 300 });
  assert.equal(rig.nowMs, 2000);
  assert.ok(rig.limit.value < before / 2);
  assert.equal(rig.full(544, { found: 1000 }), before);
});

test("a drain ends a row of cuts", () => {
  const rig = known(BOUND);
  while (rig.nowMs < 900) rig.full(200);
  draining(rig, 544, { oks: 130 });
  assert.equal(rig.nowMs, 1000);
  rig.full(400, { oks: 130 });
  rig.full(544, { oks: 130 });
  assert.equal(rig.limit.baseMs, 100);
});

test("what a drain shows of the base, if it is little, changes nothing else", () => {
  const rig = new GradientRig();
  rig.full(100, { oks: 100 });
  draining(rig, 152, { oks: 100 });
  const bound = Math.floor(480 / 0.7);
  assert.equal(rig.full(116, { oks: 100 }), bound);
  near(rig.limit.baseMs, 0.7 * 116);
  assert.equal(rig.limit.nextProbeMs, 5000);
  // And much of it that leaves room, not the limit.
  const roomy = draining(new GradientRig(), 200, { oks: 100 });
  assert.equal(roomy.full(152, { oks: 100 }), bound);
  // Growth is as fast as before the one and slow after the other.
  assert.ok(rig.full(100) > 1000);
  assert.ok(roomy.full(152) < 800);
});

test("what got no quicker is grown into fast", () => {
  const cut = draining(known(), 432);
  assert.equal(cut.full(432), 1000);
  assert.equal(cut.full(432), Math.floor((1000 * 1.25 * 432) / 432));

  const whole = draining(known(), 200, { oks: 100 });
  const value = whole.full(168, { oks: 100 });
  assert.ok(whole.full(100) >= 2 * value);
});

test("a base that rose is verified soon, together with the others", () => {
  const rig = draining(known(BOUND), 200);
  rig.full(168);
  draining(rig, 200);
  assert.equal(rig.nowMs, 2000);
  rig.full(200);
  assert.equal(rig.limit.baseMs, 200);
});

test("a drain that a long window has delayed shows nothing of others' calls", () => {
  const rig = draining(known(BOUND), 200);
  rig.full(100);
  rig.full(200, { lastsMs: 4600 });
  assert.deepEqual([rig.nowMs, rig.limit.share], [5700, 0.5]);
  rig.full(200);
  assert.equal(rig.limit.baseMs, 100);
});

test("while an upstream hangs it is its least, and afterwards a quarter, growing fast", () => {
  const rig = known(BOUND);
  rig.full(248);
  const { value } = rig.limit;
  rig.limit.collapse(250);
  assert.deepEqual([rig.limit.value, rig.limit.isLeast, rig.limit.evidenceFromMs], [2, true, 250]);
  rig.limit.restart(260);
  assert.equal(rig.limit.value, Math.floor(value / 4));
  assert.deepEqual([rig.limit.isLeast, rig.limit.evidenceFromMs], [false, 260]);
  const [first = 0, , , last] = [1, 2, 3, 4].map(() => rig.full(124));
  assert.ok(first >= 1.6 * Math.floor(value / 4));
  // Beyond where the cut ended, too.
  assert.equal(last, 1000);
});

test("a hang and a restart end a drain", () => {
  const hung = draining(known(BOUND), 200);
  hung.limit.collapse(hung.nowMs);
  assert.equal(hung.limit.share, 1);
  const restarted = draining(known(BOUND), 200);
  restarted.limit.restart(restarted.nowMs);
  assert.deepEqual([restarted.limit.share, restarted.limit.value], [1, 250]);
});

test("a restart ends a row of cuts: what was measured before it is no comparison", () => {
  const rig = slowed();
  rig.limit.restart(rig.nowMs);
  rig.full(368, { oks: 300 });
  assert.equal(rig.limit.baseMs, 100);
});

test("does not shrink beyond its bounds, so that it is back at once", () => {
  const rig = known({ min: 500 });
  for (let n = 0; n < 4; n += 1) rig.full(100, { oks: 10, timeouts: 11 });
  assert.equal(rig.limit.value, 500);
  assert.equal(rig.limit.isLeast, true);
  assert.ok(rig.full(100, { oks: 600 }) > 520);
  const high = known(BOUND);
  for (let n = 0; n < 4; n += 1) high.full(100);
  assert.equal(high.full(432), 700);
});
