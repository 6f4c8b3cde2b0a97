import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { InvalidOptionsError } from "../../../src/core/errors.ts";
import { rateOf, TokenBucket, type RateOptions } from "../../../src/core/overload/token-bucket.ts";

const DAY_MS = 86_400_000;

function bucketOf(options: RateOptions, nowMs = 0, isFull = true): TokenBucket {
  return new TokenBucket(rateOf("rate", options), nowMs, isFull);
}

/** How many of these are let in at that time. */
function takeAll(bucket: TokenBucket, nowMs: number, most = 1000): number {
  let taken = 0;
  while (taken < most && bucket.take(nowMs)) taken += 1;
  return taken;
}

describe("options of a rate", () => {
  for (const [perSecond, burst] of [
    [0.5, 1],
    [1, 1],
    [1.2, 2],
    [5, 5],
    [1e6, 1e6],
    [1e-6, 1],
  ] as const) {
    test(`${perSecond} a second has a burst of ${burst} where none is given`, () => {
      assert.deepEqual(rateOf("rate", { perSecond }), { perSecond, burst });
      assert.deepEqual(rateOf("rate", { perSecond, burst: undefined }), { perSecond, burst });
    });
  }

  const RANGE = "perSecond must be a finite number at least 0.000001 and at most 1000000, not ";
  const WHOLE = "burst must be a whole number at least 1 and at most 1000000, not ";
  for (const [given, fault] of [
    [{}, "perSecond is missing; say how many calls a second may go, as in { perSecond: 5 }"],
    [{ burst: 5 }, "perSecond is missing; say how many"],
    [{ perSecond: 0 }, `${RANGE}0`],
    [{ perSecond: -1 }, `${RANGE}-1`],
    [{ perSecond: 1e-7 }, `${RANGE}1e-7`],
    [{ perSecond: 1_000_001 }, `${RANGE}1000001`],
    [{ perSecond: Number.NaN }, `${RANGE}NaN`],
    [{ perSecond: Number.POSITIVE_INFINITY }, `${RANGE}Infinity`],
    [{ perSecond: "5" }, `${RANGE}"5"`],
    [{ perSecond: 5n }, `${RANGE}a bigint`],
    [{ perSecond: null }, `${RANGE}null`],
    [{ perSecond: 5, burst: 0 }, `${WHOLE}0`],
    [{ perSecond: 5, burst: 1.5 }, `${WHOLE}1.5`],
    [{ perSecond: 5, burst: Number.NaN }, `${WHOLE}NaN`],
    [{ perSecond: 5, burst: 1_000_001 }, `${WHOLE}1000001`],
    [
      { perSecond: 5, brust: 5 },
      'brust is not an option (perSecond, burst); did you mean "burst"?',
    ],
    [null, "options must be an object, not null"],
    [5, "options must be an object, not 5"],
    ["5/s", 'options must be an object, not "5/s"'],
    [[5], "options must be an object, not an array"],
  ] as const) {
    test(`refused: ${fault}`, () => {
      assert.throws(
        () => rateOf("dk", given as unknown as RateOptions),
        (error: unknown) =>
          error instanceof InvalidOptionsError &&
          error.faults.length === 1 &&
          error.message.startsWith(`dk: ${fault}`),
      );
    });
  }

  test("both faults are listed at once", () => {
    assert.throws(() => rateOf("dk", { perSecond: 0, burst: 0 }), /perSecond must.*; burst must/);
  });

  test("what is checked is what is taken", () => {
    let reads = 0;
    const given = {
      get perSecond(): number {
        reads += 1;
        return reads === 1 ? 5 : Number.NaN;
      },
    };
    assert.deepEqual(rateOf("dk", given), { perSecond: 5, burst: 5 });
  });

  test("a getter that throws is its owner's error", () => {
    const given = {
      get perSecond(): number {
        throw new RangeError("boom");
      },
    };
    assert.throws(() => rateOf("dk", given), /boom/);
  });
});

describe("a token bucket", () => {
  test("lets a burst go at once, and then one call for each interval", () => {
    const bucket = bucketOf({ perSecond: 10, burst: 3 });
    assert.deepEqual([bucket.perSecond, bucket.burst], [10, 3]);
    assert.equal(takeAll(bucket, 0), 3);
    assert.ok(!bucket.take(99));
    assert.ok(bucket.take(100));
    assert.ok(!bucket.take(199));
    assert.ok(bucket.take(200));
    assert.equal(takeAll(bucket, 450), 2);
    assert.ok(!bucket.take(499));
    assert.ok(bucket.take(500));
  });

  test("half a call a second is one in two seconds", () => {
    const bucket = bucketOf({ perSecond: 0.5 });
    assert.ok(bucket.take(0));
    assert.equal(bucket.waitMs(0), 2000);
    assert.ok(!bucket.take(1999));
    assert.ok(bucket.take(2000));
  });

  test("keeps no more than its burst, however long nobody called", () => {
    const bucket = bucketOf({ perSecond: 10, burst: 3 });
    assert.equal(takeAll(bucket, 0), 3);
    assert.equal(takeAll(bucket, DAY_MS), 3);
    assert.equal(takeAll(bucket, DAY_MS + 100), 1);
    // What was too much for it is not kept for later, either.
    assert.equal(takeAll(bucket, DAY_MS + 300), 2);
  });

  test("what begins empty lets its first call go after one interval", () => {
    const bucket = bucketOf({ perSecond: 10, burst: 3 }, 500, false);
    assert.equal(bucket.left(500), 0);
    assert.equal(bucket.waitMs(500), 100);
    assert.ok(!bucket.take(599));
    assert.ok(bucket.take(600));
    assert.equal(takeAll(bucket, 2000), 3);
  });

  test("says how many calls may go, and how long until the next; a look changes nothing", () => {
    const bucket = bucketOf({ perSecond: 4, burst: 2 });
    const look = (nowMs: number): number[] => [bucket.left(nowMs), bucket.waitMs(nowMs)];
    assert.deepEqual(look(0), [2, 0]);
    bucket.take(0);
    assert.deepEqual(look(0), [1, 0]);
    bucket.take(0);
    assert.deepEqual(look(0), [0, 250]);
    assert.deepEqual(look(1), [0, 249]);
    assert.deepEqual(look(249), [0, 1]);
    assert.deepEqual(look(250), [1, 0]);
    assert.deepEqual(look(500), [2, 0]);
    assert.deepEqual(look(DAY_MS), [2, 0]);
    // The day that was looked at has not passed.
    assert.ok(!bucket.take(249));
    assert.deepEqual(look(0), [0, 1]);
  });

  test("is full when every token is back", () => {
    const bucket = bucketOf({ perSecond: 4, burst: 2 });
    assert.ok(bucket.isFull(0));
    takeAll(bucket, 0);
    assert.ok(!bucket.isFull(499));
    assert.ok(bucket.isFull(500));
  });

  test("a token that is given back can be taken at once, and is one", () => {
    const bucket = bucketOf({ perSecond: 1, burst: 2 });
    bucket.giveBack();
    assert.equal(bucket.left(0), 2);
    bucket.take(0);
    bucket.giveBack();
    assert.equal(takeAll(bucket, 0), 2);
    bucket.giveBack();
    assert.equal(takeAll(bucket, 0), 1);
    // Full again in between: nothing is owed.
    bucket.take(DAY_MS);
    bucket.giveBack();
    assert.equal(takeAll(bucket, DAY_MS), 2);
  });

  describe("whose clock", () => {
    const empty = (): TokenBucket => {
      const bucket = bucketOf({ perSecond: 10, burst: 3 }, 10_000);
      assert.equal(takeAll(bucket, 10_000), 3);
      return bucket;
    };

    test("stands still brings no token", () => {
      const bucket = empty();
      for (let n = 0; n < 1000; n += 1) assert.ok(!bucket.take(10_000));
      assert.equal(bucket.waitMs(10_000), 100);
    });

    test("trembles brings no more than one that does not", () => {
      const bucket = empty();
      for (let n = 0; n < 1000; n += 1) {
        assert.ok(!bucket.take(10_050));
        assert.ok(!bucket.take(10_050 - 1000));
      }
      assert.ok(bucket.take(10_100));
    });

    test("goes back by a day goes on from there, with what there was", () => {
      const bucket = empty();
      assert.ok(!bucket.take(10_040));
      assert.ok(!bucket.take(10_040 - DAY_MS));
      assert.ok(!bucket.take(10_099 - DAY_MS));
      assert.ok(bucket.take(10_100 - DAY_MS));
      assert.ok(!bucket.take(10_199 - DAY_MS));
      assert.equal(takeAll(bucket, 10_200), 3);
    });

    test("goes back by a little more than it trembles is another clock, too", () => {
      const bucket = empty();
      assert.ok(!bucket.take(8999));
      assert.ok(bucket.take(9099));
    });

    test("jumps a day fills it once", () => {
      const bucket = empty();
      assert.equal(takeAll(bucket, 10_000 + DAY_MS), 3);
      assert.equal(takeAll(bucket, 10_099 + DAY_MS), 0);
    });

    test("answers what is no time stands still", () => {
      const bucket = empty();
      for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        assert.ok(!bucket.take(odd));
        assert.equal(bucket.waitMs(odd), 100);
        assert.equal(bucket.left(odd), 0);
        assert.ok(!bucket.isFull(odd));
      }
      assert.ok(!bucket.take(10_099));
      assert.ok(bucket.take(10_100));
    });
  });

  describe("at another rate", () => {
    const to = (bucket: TokenBucket, options: RateOptions, nowMs: number): void =>
      bucket.change(rateOf("rate", options), nowMs);

    test("has the tokens that it had, and no burst", () => {
      const bucket = bucketOf({ perSecond: 10, burst: 10 });
      takeAll(bucket, 0, 8);
      to(bucket, { perSecond: 100, burst: 50 }, 0);
      assert.deepEqual([bucket.perSecond, bucket.burst, bucket.left(0)], [100, 50, 2]);
      assert.equal(takeAll(bucket, 0), 2);
      assert.equal(bucket.waitMs(0), 10);
      assert.equal(takeAll(bucket, 10_000), 50);
    });

    test("keeps what fits of them", () => {
      const bucket = bucketOf({ perSecond: 10, burst: 10 });
      to(bucket, { perSecond: 10, burst: 4 }, 0);
      assert.equal(takeAll(bucket, 0), 4);
    });

    test("keeps the part of a token that is on its way", () => {
      const bucket = bucketOf({ perSecond: 1, burst: 1 });
      bucket.take(0);
      to(bucket, { perSecond: 2, burst: 1 }, 500);
      assert.equal(bucket.waitMs(500), 250);
      assert.ok(!bucket.take(749));
      assert.ok(bucket.take(750));
    });

    test("owes nothing for a time in which it was full", () => {
      const bucket = bucketOf({ perSecond: 10, burst: 2 });
      to(bucket, { perSecond: 1, burst: 3 }, DAY_MS);
      assert.equal(takeAll(bucket, DAY_MS), 2);
    });

    test("is changed by other numbers alone, whichever of the two", () => {
      const bucket = bucketOf({ perSecond: 10, burst: 3 });
      takeAll(bucket, 0);
      to(bucket, { perSecond: 10, burst: 3 }, 50);
      assert.equal(bucket.waitMs(50), 50);
      to(bucket, { perSecond: 20, burst: 3 }, 50);
      assert.equal(bucket.waitMs(50), 25);
      to(bucket, { perSecond: 20, burst: 4 }, 50);
      assert.equal(bucket.burst, 4);
    });

    test("cannot be made to grant a burst by changing it to and fro", () => {
      const bucket = bucketOf({ perSecond: 1, burst: 100 });
      takeAll(bucket, 0);
      for (let n = 0; n < 50; n += 1) {
        to(bucket, { perSecond: 1000, burst: 1000 }, 0);
        to(bucket, { perSecond: 1, burst: 100 }, 0);
        assert.ok(!bucket.take(0));
      }
    });

    test("at a clock that went back changes at the time it last knew", () => {
      const bucket = bucketOf({ perSecond: 10, burst: 1 }, 1000);
      bucket.take(1000);
      to(bucket, { perSecond: 20, burst: 1 }, 500);
      assert.ok(!bucket.take(1049));
      assert.ok(bucket.take(1050));
    });
  });

  test("ten million calls come to what they must, late in the life of a process", () => {
    // A third of a millisecond has no last digit, and 31 years in milliseconds few left for it.
    for (const startMs of [0, 1e9, 1e12]) {
      const bucket = bucketOf({ perSecond: 3000, burst: 7 }, startMs);
      let taken = 0;
      const lengthMs = 1_000_000;
      for (let ms = 0; ms <= lengthMs; ms += 1) while (bucket.take(startMs + ms)) taken += 1;
      assert.equal(taken, 7 + 3 * lengthMs);
    }
  });

  test("never lets more go than burst and rate allow, nor makes anybody wait for nothing", () => {
    const steps = fc.array(
      fc.record({
        afterMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 5000, noNaN: true })),
        isGivenBack: fc.boolean(),
      }),
      { maxLength: 200 },
    );
    const rates = fc.record({
      perSecond: fc.double({ min: 0.01, max: 5000, noNaN: true }),
      burst: fc.integer({ min: 1, max: 50 }),
    });
    fc.assert(
      fc.property(rates, steps, fc.integer({ min: 0, max: 1e9 }), (rate, all, startMs) => {
        const bucket = bucketOf(rate, startMs);
        let nowMs = startMs;
        const went: number[] = [];
        for (const { afterMs, isGivenBack } of all) {
          nowMs += afterMs;
          const waitMs = bucket.waitMs(nowMs);
          const left = bucket.left(nowMs);
          const isLetIn = bucket.take(nowMs);
          assert.equal(isLetIn, waitMs === 0);
          assert.equal(isLetIn, left >= 1);
          if (!isLetIn) {
            // The wait is exact: a little earlier is too early, and then is late enough.
            assert.ok(bucket.waitMs(nowMs + waitMs / 2) > 0);
            nowMs += waitMs;
            assert.ok(bucket.take(nowMs), `refused after ${waitMs} ms`);
          }
          if (isGivenBack) bucket.giveBack();
          else went.push(nowMs);
        }
        for (const [first, fromMs] of went.entries()) {
          for (let last = first; last < went.length; last += 1) {
            const spanMs = (went[last] as number) - fromMs;
            const most = rate.burst + (spanMs / 1000) * rate.perSecond + 1e-3;
            assert.ok(last - first + 1 <= most, `${last - first + 1} in ${spanMs} ms`);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
