// What a gradient limit makes of a window, alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GradientRig, known, near, NOTHING, type Seen } from "./gradient-rig.ts";

test("grows by the ratio, from a quarter to twice", () => {
  assert.equal(known().full(200), 1250);
  assert.equal(known().full(124), Math.floor((1000 * 200) / 124));
  assert.equal(known().full(50), 2000);
});

test("grows only to twice what was in flight where nobody was refused, and shrinks not for that", () => {
  assert.equal(known().full(100, { refusals: 0, peak: 700 }), 1400);
  assert.equal(known().full(100, { refusals: 0, peak: 400 }), 1000);
  assert.equal(known().full(100, { refusals: 0, peak: 1500 }), 2000);
  assert.equal(known().full(100, { refusals: 1, peak: 400 }), 2000);
});

test("grows no further than to what the deadline allows", () => {
  assert.equal(known({}, 304).full(400), 1200);
  assert.equal(known({}, 304).full(152, { oks: 6000 }), 2000);
  assert.equal(known({ deadlineMs: undefined }, 304).full(400), 1520);
});

test("does not grow while the slowest calls come near the deadline, unless the median is far from it", () => {
  const tail = (ms: number): Seen => ({
    took: [
      [ms, 18],
      [800, 2],
    ],
  });
  assert.equal(known().full(0, tail(152)), 1000);
  assert.ok(known().full(0, tail(136)) > 1250);
  assert.ok(
    known().full(0, {
      took: [
        [152, 18],
        [608, 2],
      ],
    }) >= 1250,
  );
  // With no deadline there is none to come near.
  assert.ok(known({ deadlineMs: undefined }).full(0, tail(152)) > 1000);
});

test("after a cut it grows by roots to where that began, and faster the more room there is", () => {
  const rig = known();
  const cut = rig.full(248);
  assert.equal(cut, Math.floor((1000 * 200) / 248 + 1.5 * Math.sqrt(1000)));
  const exact = (1000 * 200) / 248 + 1.5 * Math.sqrt(1000);
  assert.equal(rig.full(184), Math.floor(exact + 1.5 * Math.sqrt(exact)));

  const quick = known();
  quick.full(248);
  assert.equal(quick.full(50), Math.floor(exact * (1 + 0.5 * (4 - 1.5))));
});

test("shrinks by the ratio and grows by the root, and is no more than it was", () => {
  assert.equal(known().full(216), Math.floor((1000 * 200) / 216 + 1.5 * Math.sqrt(1000)));
  assert.equal(known({ initial: 100 }).full(216, { oks: 60 }), 100);
  // The deadline knows no root.
  assert.equal(known({}, 304).full(496, { oks: 200 }), Math.floor((1000 * 480) / 496));
});

test("shrinks to no less than four fifths of what is being worked on", () => {
  assert.equal(known().full(248, { oks: 1100 }), 880);
  assert.equal(known().full(368, { oks: 1000 }), 800);
});

test("shrinks to seven tenths at once, to half when most were late", () => {
  assert.equal(known().full(432), 700);
  assert.equal(known().full(100, { oks: 10, timeouts: 10 }), 700);
  assert.equal(known().full(100, { oks: 10, timeouts: 11 }), 500);
});

test("three late calls are no accident when they are over 15 in a hundred, needed or not", () => {
  for (const see of ["full", "calm"] as const) {
    const after = (oks: number, timeouts: number): number =>
      known()[see](100, { oks, timeouts, lastsMs: 1 });
    assert.equal(after(16, 3), 700, see);
    assert.ok(after(17, 3) >= 999, see);
    assert.ok(after(10, 2) >= 999, see);
  }
  // They are the only evidence where nothing comes back.
  assert.equal(known().calm(0, { ...NOTHING, timeouts: 3 }), 500);
});

test("a row of cuts goes to a third before the first drain, and no further unless calls are late", () => {
  const rig = new GradientRig();
  rig.calm(100, { oks: 300 });
  const row = [1, 2, 3, 4].map(() => rig.full(496, { oks: 300 }));
  assert.deepEqual(row, [700, 489, 342, 333]);
  assert.ok(rig.full(496, { oks: 10, timeouts: 10 }) < 333);
});

test("a row of cuts after a calm window is another, with a third of its own", () => {
  const rig = new GradientRig();
  rig.calm(100, { oks: 10 });
  assert.equal(rig.full(496, { oks: 10 }), 700);
  for (let n = 0; n < 4; n += 1) rig.calm(100, { peak: 50, oks: 300, lastsMs: 3000 });
  assert.equal(rig.limit.value, 101);
  const row = [1, 2, 3, 4].map(() => rig.full(496, { oks: 10 }));
  assert.deepEqual(row, [70, 49, 34, 33]);
});

/** Calls of 100 ms, three a millisecond. */
function steady(): GradientRig {
  const rig = new GradientRig();
  rig.calm(100, { oks: 300 });
  return rig;
}

test("a second row of cuts counts from where the first began, unless calls take over twice as long", () => {
  const leastAfter = (first: number, between: readonly number[]): number => {
    const rig = steady();
    for (const ms of [first, ...between, 496, 496, 496, 496]) rig.full(ms, { oks: 300 });
    return rig.limit.value;
  };
  assert.equal(leastAfter(248, [200]), 333);
  const exact = (1000 * 200) / 216 + 1.5 * Math.sqrt(1000);
  assert.equal(leastAfter(216, [200]), Math.floor((exact + 1.5 * Math.sqrt(exact)) / 3));
  // Within a row nothing begins.
  assert.equal(leastAfter(216, []), 333);
});

test("a row of cuts after the first drain knows no third", () => {
  const rig = new GradientRig({ max: 1000 });
  rig.calm(100, { oks: 300 });
  while (rig.limit.share === 1) rig.full(200, { oks: 300 });
  rig.full(100, { oks: 300 });
  const row = [1, 2, 3, 4].map(() => rig.full(496, { oks: 300 }));
  assert.deepEqual(row, [700, 489, 342, 240]);
});

test("grows fast to where a cut ended, and by one at least", () => {
  const rig = known();
  // By its rate, a bit less than where the cut alone would have ended.
  assert.equal(rig.full(248, { oks: 711, found: 1000, lastsMs: 400 }), 853);
  assert.equal(rig.full(100), 854);
});

test("too few samples are no median, and change nothing", () => {
  for (const count of [0, 1, 2]) {
    const took = count === 0 ? [] : ([[50, count]] as const);
    assert.equal(known().full(0, { took }), 1000);
  }
  // Nor is how long many have been out then the first that is known of it.
  const pile = { took: [[100, 2]], oks: 2, admitted: 100, lastsMs: 800 } as const;
  assert.equal(known({ deadlineMs: undefined }).full(0, pile), 1000);
  const rig = new GradientRig();
  rig.full(0, pile);
  assert.equal(rig.limit.baseMs, 0);
  assert.equal(known().full(0, { took: [[50, 3]] }), 2000);
  assert.equal(known().full(0, { took: [[248, 3]] }), 853);
});

test("the first window that needs it is what calls take, where nothing else is known", () => {
  const rig = new GradientRig();
  rig.full(0, { took: [[200, 2]] });
  assert.equal(rig.limit.baseMs, 0);
  rig.full(200);
  assert.equal(rig.limit.baseMs, 200);
  rig.full(100);
  assert.equal(rig.limit.baseMs, 200);
  // No more than what the deadline allows.
  const late = new GradientRig();
  late.full(800);
  assert.equal(late.limit.baseMs, 480);
});

test("Little's law bounds it: rate times half a deadline, by the share that is in flight", () => {
  for (const [found, most] of [
    [2000, 960],
    [1000, 960],
    [800, 1200],
    [500, Math.floor(960 / 0.7)],
  ] as const) {
    assert.equal(known().full(100, { oks: 200, found }), most, `${found}`);
  }
});

test("the first rate is the best so far", () => {
  assert.equal(known({ initial: 200 }).full(100, { oks: 50, found: 1000 }), 240);
});

test("the best rate counts, and fades", () => {
  const best = (seen: Seen, ms: number): number => {
    const rig = known();
    rig.full(100, { oks: 500, found: 1000 });
    return rig.full(ms, { found: 2000, ...seen });
  };
  // 2,000 by the first window; the second may be four fifths of its rate.
  assert.equal(best({ oks: 200 }, 100), Math.floor(480 * 5 * Math.exp(-100 / 2500)));
  assert.equal(best({ oks: 200, lastsMs: 500 }, 100), Math.floor(480 * 5 * Math.exp(-500 / 2500)));
});

test("the rate of a window whose calls were late, or over half a deadline, replaces the best one", () => {
  for (const [ms, timeouts] of [
    [100, 30],
    [496, 0],
  ] as const) {
    const rig = known();
    rig.full(100, { oks: 500 });
    rig.full(ms, { oks: 100, timeouts });
    const { value } = rig.limit;
    assert.equal(rig.full(100, { oks: 100, found: 5000 }), Math.floor(0.7 * value));
  }
});

test("without a deadline, and with nothing that came back, it stays a number", () => {
  const rig = new GradientRig({ deadlineMs: undefined });
  assert.equal(rig.full(0, NOTHING), 1000);
  assert.equal(rig.full(50), 2000);
});

test("a median of next to nothing is no overload, whatever it is compared to", () => {
  // A hundredth of the deadline, or a millisecond.
  assert.equal(known({}, 2.125).full(9.5), 1250);
  assert.ok(known({}, 2.125).full(11.5) < 1000);
  assert.equal(known({ deadlineMs: undefined }, 0.25).full(0.90625), 1250);
  assert.ok(known({ deadlineMs: undefined }, 0.25).full(1.15625) < 1000);
});

test("where fewer than half of those let in came back, the median is at least half the window", () => {
  const after = (admitted: number, oks: number, leftEarly = 0): number =>
    known({ deadlineMs: undefined }).full(100, { lastsMs: 800, admitted, oks, leftEarly });
  assert.deepEqual([after(1201, 600), after(1200, 600)], [700, 2000]);
  // Of a few that is chance.
  assert.deepEqual([after(10, 3), after(9, 3)], [700, 2000]);
  // Who left early was not let in to come back, nor does he hide those who were.
  assert.deepEqual([after(1301, 600, 100), after(1300, 600, 100)], [700, 2000]);
  assert.deepEqual([after(110, 3, 100), after(109, 3, 100)], [700, 2000]);
  // What was seen to take longer does.
  const slow = known({ deadlineMs: undefined });
  slow.full(496, { lastsMs: 100, admitted: 10, oks: 3 });
  near(slow.limit.evidenceFromMs, slow.nowMs + 0.3 * 496);
});

test("follows what is in flight while it is not needed: up by a tenth, down by a twentieth", () => {
  assert.equal(known().calm(100, { peak: 1000 }), 1100);
  assert.equal(known().calm(100, { peak: 1000, lastsMs: 200 }), 1190);
  assert.equal(known().calm(100, { peak: 100 }), 960);
  // To what one worker serves in time, at the least.
  assert.equal(known().calm(100, { peak: 0 }), Math.floor(1000 - 0.05 * (1000 - 4.8)));
  assert.equal(known({ min: 50 }).calm(100, { peak: 0 }), Math.floor(1000 - 0.05 * 950));
  assert.equal(known({ initial: 20 }, 4.125).calm(4, { peak: 0, lastsMs: 10_000 }), 20);
  // Not up while calls take longer than they may; down all the same.
  assert.equal(known().calm(216, { peak: 1000 }), 1000);
  assert.equal(known().calm(200, { peak: 1000 }), 1100);
  assert.equal(known().calm(216, { peak: 100 }), 960);
});

test("takes what calls take while it is not needed for the base: half of what is less, little of what is more", () => {
  const base = (seen: readonly number[], lastsMs = 100): number => {
    const rig = new GradientRig();
    for (const ms of seen) rig.calm(ms, { lastsMs });
    return rig.limit.baseMs;
  };
  assert.equal(base([200]), 200);
  assert.equal(base([200, 100]), 150);
  assert.equal(base([100, 200]), 200 - 100 * Math.exp(-100 / 20_000));
  // No more than what can be back in time.
  assert.equal(base([800]), 800);
  assert.equal(base([992]), 900);
  const rig = known();
  rig.calm(0, NOTHING);
  assert.equal(rig.limit.baseMs, 100);
});

test("grows fast again once it was not needed", () => {
  const rig = known();
  rig.full(248);
  rig.calm(100, { peak: 1000 });
  const { value } = rig.limit;
  assert.ok(rig.full(100) >= 2 * value);
});

test("at its least it cuts nothing, and what comes back is evidence", () => {
  const least = new GradientRig({ initial: 2, min: 2 });
  least.full(992, { oks: 0 });
  assert.equal(least.limit.evidenceFromMs, Number.NEGATIVE_INFINITY);
  const more = new GradientRig({ initial: 4, min: 2 });
  more.full(992, { oks: 0 });
  assert.ok(more.limit.evidenceFromMs > 0);
});

test("a cut is none that raises the limit, however much comes back", () => {
  assert.equal(new GradientRig({ initial: 4, min: 2 }).full(992), 4);
});
