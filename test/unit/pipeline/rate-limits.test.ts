// What a rate does to calls: where it stands among the guards, what its refusals say, and what a reload makes of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createSwitchgear,
  InvalidOptionsError,
  isRefused,
  latching,
  RateLimitedError,
  slidingWindow,
  type LoadSampler,
  type Refused,
  type Switchgear,
  type SwitchgearOptions,
  type Upstream,
  type UpstreamOptions,
} from "../../../src/index.ts";
import { RecordingSink, VirtualClock } from "../../../src/testing/index.ts";
import { failTimes } from "../../support/gear.ts";

const breaker = latching({ failureThreshold: 3, cooldownMs: 0 });

interface Scene {
  readonly gear: Switchgear;
  readonly dk: Upstream;
  readonly clock: VirtualClock;
  readonly sink: RecordingSink;
}

function scene(options: Partial<UpstreamOptions>, more: Partial<SwitchgearOptions> = {}): Scene {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: { dk: { breaker, ...options } },
    sampler: { systemLoad: () => 0 },
    clock,
    ...more,
  });
  return { gear, dk: gear.upstream("dk"), clock, sink: new RecordingSink(gear) };
}

/** The reason of a refusal, or `admitted`; what is let in is ok. */
function call(upstream: Upstream, operation?: string, load?: number): string {
  const admission = upstream.tryAcquire({ operation, load });
  if (!admission.admitted) return admission.reason;
  admission.settle({ outcome: "ok", latencyMs: 1 });
  return "admitted";
}

function calls(upstream: Upstream, count: number, operation?: string): string[] {
  return Array.from({ length: count }, () => call(upstream, operation));
}

const left = (upstream: Upstream): (readonly [string | null, number])[] =>
  upstream.status().rates.map((rate) => [rate.operation, rate.left] as const);

function refused(upstream: Upstream, operation?: string): Refused {
  const admission = upstream.tryAcquire({ operation });
  assert.ok(!admission.admitted);
  return admission;
}

describe("a rate", () => {
  test("lets its burst go, refuses the next with the exact wait, and lets it go then", () => {
    const { dk, clock } = scene({ rate: { perSecond: 3, burst: 2 } });
    assert.deepEqual(calls(dk, 3), ["admitted", "admitted", "rate_limited"]);
    const waitMs = refused(dk).retryAfterMs;
    assert.equal(waitMs, 1000 / 3);
    clock.advance(333);
    assert.equal(call(dk), "rate_limited");
    clock.advance(1);
    assert.deepEqual(calls(dk, 2), ["admitted", "rate_limited"]);
  });

  test("refuses as a value and as an error that say the same", async () => {
    const { dk, sink } = scene({ rate: { perSecond: 0.5 } });
    call(dk, "odds");
    const { upstream, operation, reason, retryAfterMs, remainingMs, manual, ...load } = refused(
      dk,
      "odds",
    );
    assert.deepEqual(
      { upstream, operation, reason, retryAfterMs, remainingMs, manual },
      {
        upstream: "dk",
        operation: "odds",
        reason: "rate_limited",
        retryAfterMs: 2000,
        remainingMs: 2000,
        manual: false,
      },
    );
    assert.deepEqual(load, {
      admitted: false,
      systemLoad: undefined,
      operationLoad: undefined,
    });
    let ran = 0;
    for (const promise of [
      dk.execute(() => (ran += 1), { operation: "odds" }),
      dk.hold(() => (ran += 1), { operation: "odds" }),
    ]) {
      await assert.rejects(promise, (error: unknown) => {
        assert.ok(error instanceof RateLimitedError && isRefused(error));
        assert.deepEqual(
          { ...error, name: error.name, message: error.message },
          {
            name: "RateLimitedError",
            code: "SG_LIMITED",
            upstream: "dk",
            operation: "odds",
            reason: "rate_limited",
            retryAfterMs: 2000,
            message: "odds for dk refused: its rate is used up; try again in 2000 ms",
          },
        );
        return true;
      });
    }
    assert.equal(ran, 0);
    assert.deepEqual(
      sink
        .of("refused")
        .map(({ reason: why, retryAfterMs: waitMs, shadow }) => [why, waitMs, shadow]),
      [
        ["rate_limited", 2000, false],
        ["rate_limited", 2000, false],
        ["rate_limited", 2000, false],
      ],
    );
  });

  test("is no evidence: neither failures nor a window know of its refusals", () => {
    for (const policy of [breaker, slidingWindow({ minimumCalls: 2 })]) {
      const { dk } = scene({ rate: { perSecond: 1 }, breaker: policy });
      call(dk);
      for (const one of calls(dk, 50)) assert.equal(one, "rate_limited");
      const { failureCount, tripped, window } = dk.status();
      assert.deepEqual([failureCount, tripped, window?.calls ?? 1], [0, false, 1]);
      assert.deepEqual([...dk.operations][0]?.refused, { rate_limited: 50 });
      assert.equal(dk.inFlight, 0);
    }
  });

  test("of half a call a second lets one go every two seconds", () => {
    const { dk, clock } = scene({ rate: { perSecond: 0.5 } });
    for (let n = 0; n < 3; n += 1) {
      assert.deepEqual(calls(dk, 2), ["admitted", "rate_limited"]);
      clock.advance(1999);
      assert.equal(call(dk), "rate_limited");
      clock.advance(1);
    }
  });

  test("goes on where the clock stands still or the wall's is set", () => {
    const { dk, clock } = scene({ rate: { perSecond: 1 } });
    call(dk);
    clock.jumpWall(86_400_000);
    assert.equal(call(dk), "rate_limited");
    clock.jumpWall(-2 * 86_400_000);
    clock.advance(1000);
    assert.equal(call(dk), "admitted");
  });
});

describe("the rate of an operation", () => {
  const operationRates = { odds: { perSecond: 1, burst: 2 } };
  const both = { rate: { perSecond: 10, burst: 4 }, operationRates };

  test("holds beside the upstream's: a call needs a token of both, or takes none", () => {
    const { dk } = scene(both);
    assert.deepEqual(calls(dk, 3, "odds"), ["admitted", "admitted", "rate_limited"]);
    // The refused one has taken nothing of the upstream's.
    assert.deepEqual(left(dk), [
      [null, 2],
      ["odds", 0],
    ]);
    assert.deepEqual(calls(dk, 3, "bet"), ["admitted", "admitted", "rate_limited"]);
  });

  test("has its token back where the upstream's is used up", () => {
    const { dk, clock } = scene(both);
    calls(dk, 4, "bet");
    assert.equal(call(dk, "odds"), "rate_limited");
    assert.deepEqual(left(dk), [
      [null, 0],
      ["odds", 2],
    ]);
    assert.equal(refused(dk, "odds").retryAfterMs, 100);
    clock.advance(100);
    assert.equal(call(dk, "odds"), "admitted");
  });

  test("says the longer of the two waits", () => {
    const { dk } = scene(both);
    calls(dk, 2, "odds");
    assert.equal(refused(dk, "odds").retryAfterMs, 1000);
    calls(dk, 2, "bet");
    assert.equal(refused(dk, "odds").retryAfterMs, 1000);
    assert.equal(refused(dk, "bet").retryAfterMs, 100);
  });

  test("stands without the upstream's, too, and says nothing of other calls", () => {
    const { dk } = scene({ operationRates });
    assert.deepEqual(calls(dk, 3, "odds"), ["admitted", "admitted", "rate_limited"]);
    assert.deepEqual(calls(dk, 3, "bet"), ["admitted", "admitted", "admitted"]);
    assert.equal(call(dk), "admitted");
  });

  test("is kept for an operation that came late, when all other names are counted as one", () => {
    const { dk } = scene({ operationRates }, { limits: { operations: 1 } });
    for (const name of ["a", "b", "c"]) assert.equal(call(dk, name), "admitted");
    assert.deepEqual(calls(dk, 3, "odds"), ["admitted", "admitted", "rate_limited"]);
  });
});

describe("the order of the door", () => {
  const rate = { perSecond: 1, burst: 2 };

  test("a call that the breaker refuses takes no token", () => {
    const { dk } = scene({ rate });
    dk.trip();
    assert.equal(call(dk), "tripped");
    assert.deepEqual(left(dk), [[null, 2]]);
  });

  test("a tripped breaker is told before a rate that is used up", () => {
    const { dk } = scene({ rate });
    calls(dk, 2);
    dk.trip();
    assert.equal(call(dk), "tripped");
  });

  test("a call that is shed takes no token, and is told before the rate", () => {
    const sampler: LoadSampler = { systemLoad: () => 1 };
    const { dk } = scene({ rate }, { sampler });
    assert.equal(call(dk, "heavy", 500), "load_shed");
    assert.deepEqual(left(dk), [[null, 2]]);
    calls(dk, 2);
    assert.equal(call(dk, "heavy", 500), "load_shed");
  });

  test("a closing registry is told before all", async () => {
    const { dk, gear } = scene({ rate });
    calls(dk, 2);
    await gear.close();
    assert.equal(call(dk), "closing");
  });

  test("a call without an endpoint has its tokens back", () => {
    const { dk } = scene({
      rate,
      operationRates: { odds: { perSecond: 1 } },
      endpoints: ["http://a.example"],
    });
    coolDown(dk);
    assert.equal(call(dk, "odds"), "no_endpoint");
    assert.deepEqual(left(dk), [
      [null, 2],
      ["odds", 1],
    ]);
  });

  test("a rate that is used up is told before endpoints that all cool down", () => {
    const { dk } = scene({ rate, endpoints: ["http://a.example"] });
    calls(dk, 2);
    coolDown(dk);
    assert.equal(call(dk), "rate_limited");
  });

  test("a probe that the rate refuses goes back to its breaker", () => {
    const { dk, clock } = scene({
      rate: { perSecond: 0.01, burst: 1 },
      breaker: latching({
        failureThreshold: 1,
        resetTimeoutMs: 1000,
        recovery: "single-probe",
      }),
    });
    assert.equal(call(dk), "admitted");
    failTimes(dk, 1);
    clock.advance(1000);
    assert.equal(call(dk), "rate_limited");
    assert.equal(call(dk), "rate_limited");
    assert.ok(dk.isTripped);
    clock.advance(100_000);
    assert.equal(call(dk), "admitted");
    assert.ok(!dk.isTripped);
  });
});

function coolDown({ endpoints }: Upstream): void {
  for (let n = 0; n < 100; n += 1) endpoints?.record("http://a.example", "failed");
}

describe("an operator's mode", () => {
  const rate = { perSecond: 1 };

  test("shadow tells what the rate would refuse, counts it once, and lets it go", () => {
    const { dk, sink } = scene({ rate, mode: "shadow" });
    assert.deepEqual(calls(dk, 3, "odds"), ["admitted", "admitted", "admitted"]);
    const [odds] = dk.operations;
    assert.equal(odds?.shadowRefused, 2);
    assert.equal(odds.refused, undefined);
    assert.deepEqual(
      sink.of("refused").map(({ reason, shadow, retryAfterMs }) => [reason, shadow, retryAfterMs]),
      [
        ["rate_limited", true, 1000],
        ["rate_limited", true, 1000],
      ],
    );
    assert.equal(dk.status().failureCount, 0);
  });

  test("shadow counts a call that breaker and rate would refuse as one", () => {
    const { dk, sink } = scene({ rate, mode: "shadow" });
    dk.trip();
    assert.deepEqual(calls(dk, 3), ["admitted", "admitted", "admitted"]);
    assert.equal([...dk.operations][0]?.shadowRefused, 3);
    assert.deepEqual(
      sink.of("refused").map(({ reason }) => reason),
      ["tripped", "tripped", "tripped"],
    );
    // They went, and the bookmaker has counted them.
    assert.deepEqual(left(dk), [[null, 0]]);
  });

  test("shadow gives no token back that it did not take", () => {
    const { dk } = scene({ rate, mode: "shadow", endpoints: ["http://a.example"] });
    calls(dk, 2);
    assert.deepEqual(left(dk), [[null, 0]]);
    dk.setMode({ mode: "normal" });
    assert.equal(call(dk), "rate_limited");
  });

  test("forced-closed keeps the rate: a quota is no opinion of the breaker's", () => {
    const { dk } = scene({ rate, mode: "forced-closed" });
    dk.trip();
    assert.deepEqual(calls(dk, 2), ["admitted", "rate_limited"]);
  });
});

describe("another configuration", () => {
  const at = (options: Partial<UpstreamOptions>) => ({ dk: { breaker, ...options } });
  const rate = { perSecond: 1, burst: 5 };

  test("of the same numbers keeps what was used", () => {
    const { dk, gear } = scene({ rate, operationRates: { odds: rate } });
    calls(dk, 4, "odds");
    const kept = { ...rate };
    gear.configure(at({ rate: kept, operationRates: { odds: kept }, deadlineMs: 500 }));
    assert.deepEqual(left(dk), [
      [null, 1],
      ["odds", 1],
    ]);
  });

  test("of other numbers grants no burst", () => {
    const { dk, gear } = scene({ rate });
    calls(dk, 4);
    gear.configure(at({ rate: { perSecond: 10, burst: 100 } }));
    assert.deepEqual(dk.status().rates, [
      { operation: null, perSecond: 10, burst: 100, left: 1, waitMs: 0 },
    ]);
    gear.configure(at({ rate: { perSecond: 10, burst: 1 } }));
    assert.deepEqual(calls(dk, 2), ["admitted", "rate_limited"]);
  });

  test("that limits what was not limited begins with nothing: nobody has counted before", () => {
    const { dk, gear, clock } = scene({});
    assert.deepEqual(dk.status().rates, []);
    gear.configure(at({ rate, operationRates: { odds: { perSecond: 2 } } }));
    assert.equal(call(dk), "rate_limited");
    clock.advance(1000);
    assert.deepEqual(calls(dk, 2), ["admitted", "rate_limited"]);
  });

  test("that takes a limit away and brings it back grants no burst", () => {
    const { dk, gear } = scene({ rate, operationRates: { odds: rate } });
    calls(dk, 5, "odds");
    gear.configure(at({}));
    assert.deepEqual(
      calls(dk, 20, "odds"),
      Array.from({ length: 20 }, () => "admitted"),
    );
    gear.configure(at({ rate, operationRates: { odds: rate } }));
    assert.equal(call(dk, "odds"), "rate_limited");
    assert.deepEqual(left(dk), [
      [null, 0],
      ["odds", 0],
    ]);
  });

  test("that adds one to others begins with nothing of that one alone", () => {
    const { dk, gear } = scene({ rate });
    gear.configure(at({ rate, operationRates: { odds: rate } }));
    assert.deepEqual(left(dk), [
      [null, 5],
      ["odds", 0],
    ]);
  });

  test("that leaves the upstream out for a while brings it back as it went", () => {
    const { dk, gear } = scene({ rate });
    calls(dk, 5);
    gear.configure({});
    gear.configure(at({ rate }));
    assert.equal(gear.upstream("dk"), dk);
    assert.equal(call(dk), "rate_limited");
  });

  test("that brings a new upstream gives it its burst", () => {
    const { gear } = scene({});
    gear.configure({ ...at({}), fd: { breaker, rate } });
    assert.deepEqual(left(gear.upstream("fd")), [[null, 5]]);
  });
});

test("an upstream from traffic is not forgotten before its bucket is full again", () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    otherUpstreams: {
      breaker,
      rate: { perSecond: 1 },
      operationRates: { odds: { perSecond: 0.1 } },
    },
    limits: { upstreams: 1 },
    sampler: { systemLoad: () => 0 },
    clock,
  });
  assert.deepEqual(calls(gear.upstream("a"), 2, "odds"), ["admitted", "rate_limited"]);
  // There is no room, and what is forgotten would begin with a burst: the others share one.
  gear.upstream("b");
  assert.equal(gear.counters().evicted, 0);
  assert.equal(call(gear.upstream("a")), "rate_limited");
  clock.advance(9999);
  gear.upstream("c");
  assert.equal(gear.counters().evicted, 0);
  clock.advance(1);
  gear.upstream("d");
  assert.equal(gear.counters().evicted, 1);
});

test("nor is one whose own rate alone is used", () => {
  const clock = new VirtualClock();
  const otherUpstreams = { breaker, rate: { perSecond: 1 } };
  const gear = createSwitchgear({ otherUpstreams, limits: { upstreams: 1 }, clock });
  call(gear.upstream("a"));
  gear.upstream("b");
  assert.equal(gear.counters().evicted, 0);
  clock.advance(1000);
  gear.upstream("c");
  assert.equal(gear.counters().evicted, 1);
});

test("the status tells each limit, what is left of it, and when the next call may go", () => {
  const { dk, clock } = scene({
    rate: { perSecond: 4 },
    operationRates: { odds: { perSecond: 0.5 }, bet: { perSecond: 2, burst: 9 } },
  });
  call(dk, "odds");
  clock.advance(500);
  assert.deepEqual(dk.status().rates, [
    { operation: null, perSecond: 4, burst: 4, left: 4, waitMs: 0 },
    { operation: "odds", perSecond: 0.5, burst: 1, left: 0, waitMs: 1500 },
    { operation: "bet", perSecond: 2, burst: 9, left: 9, waitMs: 0 },
  ]);
});

describe("options", () => {
  for (const [options, fault] of [
    [{ rate: { perSecond: 0 } }, /"dk": rate: perSecond must be a finite number at least 0.000001/],
    [{ rate: {} }, /"dk": rate: perSecond is missing/],
    [{ rate: 5 }, /"dk": rate must be an object, not 5/],
    [{ rate: [5] }, /"dk": rate: options must be an object, not an array/],
    [
      { operationRates: { odds: { perSecond: 5, burst: 0.5 } } },
      /"dk": operationRates\["odds"\]: burst must be a whole number at least 1/,
    ],
    [{ operationRates: { odds: 5 } }, /operationRates\["odds"\]: options must be an object, not 5/],
    [
      { operationRates: { odds: undefined } },
      /operationRates\["odds"\]: options must be an object/,
    ],
    [{ operationRates: { "": { perSecond: 5 } } }, /the name of an operation must not be empty/],
    [{ operationRates: [] }, /operationRates must be an object of rates by operation, such as/],
    [{ operationRates: new Map() }, /operationRates must be an object of rates by operation/],
    [{ operationRates: 5 }, /"dk": operationRates must be an object, not 5/],
    [
      { operationRates: { ["x".repeat(257)]: { perSecond: 5 } } },
      /the name of an operation must be at most 256 characters long, and not 257/,
    ],
    [{ rates: { perSecond: 5 } }, /rates is not an option .*did you mean "rate"/],
  ] as const) {
    test(`refused: ${String(fault)}`, () => {
      const upstreams = { dk: { breaker, ...options } as unknown as UpstreamOptions };
      for (const make of [
        () => createSwitchgear({ upstreams }),
        () => scene({}).gear.configure(upstreams),
      ]) {
        assert.throws(make, (error: unknown) => {
          assert.ok(error instanceof InvalidOptionsError);
          assert.equal(error.faults.length, 1);
          assert.match(error.message, fault);
          return true;
        });
      }
    });
  }

  test("every fault of every rate is listed at once", () => {
    const options = { rate: { perSecond: -1, burst: -1 }, operationRates: { odds: {}, bet: {} } };
    assert.throws(
      () => scene(options as unknown as Partial<UpstreamOptions>),
      (error: unknown) => error instanceof InvalidOptionsError && error.faults.length === 4,
    );
  });
});
