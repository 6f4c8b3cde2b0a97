// What cannot be used is refused before anything is admitted; what comes later, from classifiers and adapters,
// is told once and costs neither the call's result nor its settlement.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createBreaker,
  createSwitchgear,
  latching,
  slidingWindow,
  type CallOptions,
  type Outcome,
  type Upstream,
  type UpstreamOptions,
} from "../../src/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const boom = new Error("boom");

function guard(options: Omit<UpstreamOptions, "breaker"> = {}): Upstream {
  return createBreaker("draftkings", latching({ failureThreshold: 1000 }), options);
}

function throwing(key: string): object {
  return Object.defineProperty({}, key, {
    enumerable: true,
    get() {
      throw boom;
    },
  });
}

/** What the calls so far came to, and what still runs. */
function counts(upstream: Upstream): Record<string, number> {
  const sum: Record<string, number> = { inFlight: upstream.inFlight };
  for (const one of upstream.operations) {
    for (const key of ["ok", "failed", "timeout", "ignored"] as const) {
      if (one[key] > 0) sum[key] = (sum[key] ?? 0) + one[key];
    }
  }
  return sum;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail("nothing was rejected");
}

/** Collects the process's warnings of misuse while `run` runs. */
async function warnings(run: () => Promise<unknown>): Promise<string[]> {
  const told: string[] = [];
  const listener = (warning: Error & { readonly code?: string }): void => {
    if (warning.code === "SG_MISUSE") told.push(warning.message);
  };
  process.on("warning", listener);
  await run();
  // Warnings come in a later turn; the first one of a process in a much later one.
  for (let n = 0; n < 20 && told.length === 0; n += 1) {
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
  process.off("warning", listener);
  return told;
}

const MILLISECONDS = /deadlineMs must be a number of milliseconds above 0, not /;

const UNREADABLE = /InvalidOptionsError: a call of draftkings: its options cannot be read: boom/;

const REFUSED: readonly (readonly [name: string, options: unknown, sentence: RegExp])[] = [
  ["a deadline of 0", { deadlineMs: 0 }, MILLISECONDS],
  ["a deadline of -1", { deadlineMs: -1 }, MILLISECONDS],
  ["a deadline of NaN", { deadlineMs: Number.NaN }, MILLISECONDS],
  ["a deadline with a unit", { deadlineMs: "2s" }, /above 0, not "2s"/],
  ["a bigint as deadline", { deadlineMs: 5n }, /above 0, not a bigint/],
  ["null as deadline", { deadlineMs: null }, /above 0, not null/],
  ["a symbol as operation", { operation: Symbol("bet") }, /operation must be a text, not a symbol/],
  ["a number as operation", { operation: 5 }, /operation must be a text, not 5/],
  ["a text as load", { load: "heavy" }, /load must be a number from 0 to 1000, not "heavy"/],
  ["a bigint as load", { load: 5n }, /load must be a number/],
  [
    "a criticality of another case",
    { criticality: "Sheddable" },
    /criticality must be one of critical_plus, critical, sheddable_plus, sheddable, not "Sheddable"; did you mean "sheddable"\?$/,
  ],
  ["a tier as criticality", { criticality: 0 }, /criticality must be one of .*sheddable, not 0$/],
  ["null as criticality", { criticality: null }, /criticality must be one of .*, not null$/],
  ["a criticality that throws", throwing("criticality"), UNREADABLE],
  ["a controller as signal", { signal: new AbortController() }, /signal must be an AbortSignal/],
  ["what only says that it is not aborted", { signal: { aborted: false } }, /an AbortSignal/],
  ["what nobody can stop listening to", { signal: halfASignal("addEventListener") }, /AbortSignal/],
  ["what nobody can listen to", { signal: halfASignal("removeEventListener") }, /AbortSignal/],
  [
    "an event target",
    { signal: new EventTarget() },
    /signal must be an AbortSignal, not an object/,
  ],
  ["true as signal", { signal: true }, /signal must be an AbortSignal, not true/],
  ["a getter that throws", throwing("signal"), UNREADABLE],
  ["a revoked proxy", revoked(), /InvalidOptionsError: a call of draftkings: its options cannot/],
];

function signalThrowing(key: string): object {
  return Object.defineProperty(new AbortController().signal, key, {
    get() {
      throw boom;
    },
  });
}

function halfASignal(method: string): object {
  return { aborted: false, [method]() {} };
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

test("a signal that cannot be asked is refused, and nothing was admitted", async () => {
  const upstream = guard();
  const given = { signal: signalThrowing("aborted") as AbortSignal };

  assert.match(String(await rejection(upstream.execute(() => 1, given))), UNREADABLE);
  assert.match(String(await rejection(upstream.hold(() => 1, given))), UNREADABLE);
  assert.deepEqual(counts(upstream), { inFlight: 0 });
});

test("what is taken off its admission says how to call it", () => {
  const upstream = guard();
  const admission = upstream.tryAcquire();
  assert.ok(admission.admitted);
  for (const method of ["settle", "answering"] as const) {
    const { [method]: taken } = admission;
    assert.throws(() => (taken as (outcome?: Outcome) => void)({ outcome: "ok" }), {
      code: "SG_OPTIONS_INVALID",
      message: `tryAcquire: call ${method} on the admission, as in admission.${method}(…): taken off it, it belongs to no call`,
    });
  }
  admission.settle({ outcome: "ok" });
  assert.deepEqual(counts(upstream), { inFlight: 0, ok: 1 });
});

describe("options of a call", () => {
  for (const [name, options, sentence] of REFUSED) {
    test(`${name}: refused with a sentence, and nothing was admitted`, async () => {
      const upstream = guard();
      const given = options as CallOptions;
      let ran = 0;
      const fn = (): number => (ran += 1);

      assert.match(String(await rejection(upstream.execute(fn, given))), sentence);
      assert.match(String(await rejection(upstream.hold(fn, given))), sentence);
      assert.throws(() => upstream.wrap(fn, given), sentence);
      assert.throws(() => upstream.tryAcquire(given), sentence);
      assert.equal(ran, 0);
      assert.deepEqual(counts(upstream), { inFlight: 0 });
    });
  }

  test("what is no function is refused, alone, too", async () => {
    const upstream = guard();
    const sentence =
      /^InvalidOptionsError: a call of draftkings: what is to run must be a function, not/;

    for (const fn of ["text", undefined, null, {}, 5] as never[]) {
      assert.match(String(await rejection(upstream.execute(fn))), sentence);
      assert.match(String(await rejection(upstream.hold(fn))), sentence);
      assert.throws(() => upstream.wrap(fn), sentence);
    }
    assert.deepEqual(counts(upstream), { inFlight: 0 });
  });

  test("what is right beside a fault is no fault", async () => {
    const { signal } = new AbortController();
    const right = {
      operation: "bet",
      load: 5,
      criticality: "sheddable",
      signal,
      deadlineMs: 60_000,
    } as const;
    assert.equal(await guard().execute(() => 5, right), 5);
    assert.equal(await guard().hold(() => 5, { ...right, idleMs: 60_000 }), 5);
    assert.match(
      String(await rejection(guard().hold(() => 5, { ...right, idleMs: 0 }))),
      /a call of draftkings: idleMs must be a number of milliseconds above 0, not 0$/,
    );
    for (const [key, value] of [
      ["operation", 5],
      ["load", "x"],
      ["criticality", "crtical"],
      ["signal", true],
      ["deadlineMs", 0],
    ] as const) {
      for (const beside of [right, { operation: "bet" }, {}]) {
        const error = await rejection(guard().execute(() => 5, { ...beside, [key]: value }));
        assert.deepEqual(
          (error as { readonly faults: string[] }).faults.map((fault) => fault.split(" ")[0]),
          [key],
        );
      }
    }
  });

  test("every fault is listed at once", async () => {
    const options = { deadlineMs: 0, load: "x", operation: 1 } as unknown as CallOptions;
    const error = await rejection(guard().execute("fn" as never, options));

    assert.match(String(error), /what is to run must be a function.*operation.*load.*deadlineMs/);
    assert.equal((error as { readonly code?: string }).code, "SG_OPTIONS_INVALID");
  });

  test("null is no signal, as fetch has it", async () => {
    const upstream = guard();

    assert.equal(await upstream.execute(() => 5, { signal: null }), 5);
    assert.deepEqual(counts(upstream), { inFlight: 0, ok: 1 });
  });

  test("a signal that throws when it is listened to costs the caller nothing", async () => {
    const upstream = guard({ deadlineMs: 60_000 });
    const signal = {
      aborted: false,
      addEventListener() {
        throw boom;
      },
      removeEventListener() {
        throw boom;
      },
    } as unknown as AbortSignal;

    assert.equal(await upstream.execute(() => 5, { signal }), 5);
    assert.deepEqual(counts(upstream), { inFlight: 0, ok: 1 });
  });

  for (const how of ["execute", "hold"] as const) {
    test(`a signal that is aborted while the call is admitted ends it before it runs: ${how}`, async () => {
      const upstream = guard();
      const controller = new AbortController();
      upstream.setMode({ mode: "shadow" });
      upstream.trip();
      upstream.on("refused", () => controller.abort(boom));
      let ran = 0;

      const { signal } = controller;
      assert.equal(await rejection(upstream[how](() => (ran += 1), { signal })), boom);
      assert.equal(ran, 0);
      assert.deepEqual(counts(upstream).inFlight, 0);
      assert.equal(upstream.abandoned, 0);
    });

    test(`a signal that keeps its listeners is heard up to the end: ${how}`, async () => {
      const clock = new VirtualClock();
      const options = { breaker: latching(), deadlineMs: 50 };
      const upstream = createSwitchgear({ upstreams: { dk: options }, clock }).upstream("dk");
      let abort = (): void => assert.fail("nobody listens");
      const signal = {
        aborted: false,
        addEventListener: (_type: string, listener: () => void) => void (abort = listener),
        removeEventListener() {},
      } as unknown as AbortSignal;

      const ended = rejection(upstream[how](() => new Promise(() => {}), { signal }));
      clock.advance(50);
      abort();

      assert.equal(((await ended) as { readonly code?: string }).code, "SG_DEADLINE");
      assert.deepEqual(counts(upstream), { inFlight: 0, timeout: 1 });
      assert.equal(upstream.abandoned, 1);
    });
  }
});

describe("what an adapter settles with", () => {
  const ODD: readonly (readonly [name: string, outcome: unknown, sentence: RegExp])[] = [
    ["null", null, /must be an object such as { outcome: "ok" }, not null/],
    ["nothing", undefined, /must be an object such as { outcome: "ok" }, not undefined/],
    ["a text", "ok", /must be an object such as { outcome: "ok" }, not "ok"/],
    [
      "another word",
      { outcome: "success" },
      /outcome must be ok, failed or ignored, not "success"/,
    ],
    ["a bigint as latency", { outcome: "ok", latencyMs: 5n }, /latencyMs must be a number/],
    ["a text as weight", { outcome: "failed", weight: "2" }, /weight must be a number, not "2"/],
    [
      "a text as time to wait",
      { outcome: "failed", retryAfterMs: "5" },
      /retryAfterMs must be a number, not "5"/,
    ],
    ["a word as timeout", { outcome: "failed", timeout: "yes" }, /timeout must be a boolean/],
    [
      "a text as time that was waited",
      { outcome: "ignored", leftAfterMs: "5" },
      /leftAfterMs must be a number/,
    ],
    [
      "null as time that was waited in all",
      { outcome: "ignored", leftAfterMs: 5, waitedInAllMs: null },
      /waitedInAllMs must be a number, not null/,
    ],
    ["a getter that throws", throwing("outcome"), /boom/],
    [
      "a late getter that throws",
      {
        outcome: "failed",
        get error(): unknown {
          throw boom;
        },
      },
      /boom/,
    ],
  ];
  for (const [name, outcome, sentence] of ODD) {
    test(`${name}: told, and the call counts as ignored`, async () => {
      const upstream = guard();
      const told = await warnings(async () => {
        for (let n = 0; n < 3; n += 1) {
          const admission = upstream.tryAcquire();
          assert.ok(admission.admitted);
          admission.settle(outcome as Outcome);
        }
      });

      assert.deepEqual(counts(upstream), { inFlight: 0, ignored: 3 });
      assert.equal(told.length, 1, told.join("\n"));
      assert.match(told[0] ?? "", /draftkings: settle/);
      assert.match(told[0] ?? "", sentence);
      assert.throws(() => upstream.record(outcome as Outcome), /InvalidOptionsError|boom/);
      assert.equal(upstream.state(), "closed");
    });
  }

  test("an odd outcome gives a probe back", async () => {
    const upstream = createBreaker("dk", slidingWindow({ minimumCalls: 1, openDurationMs: 1 }));
    await warnings(async () => {
      for (let n = 0; n < 20; n += 1) {
        const admission = upstream.tryAcquire();
        if (admission.admitted) admission.settle(null as never);
      }
    });

    assert.deepEqual(counts(upstream), { inFlight: 0, ignored: 20 });
  });
});

describe("what classifiers answer", () => {
  const good = (): Promise<unknown> => Promise.resolve({ ok: true });
  const bad = (): Promise<never> =>
    Promise.reject(Object.assign(new Error("nope"), { status: 404 }));
  const down = (): Promise<never> => Promise.reject(new Error("down"));
  type Case = readonly [
    name: string,
    options: Omit<UpstreamOptions, "breaker">,
    fn: () => Promise<unknown>,
    expected: Record<string, number>,
    sentence: RegExp | undefined,
  ];
  const say = (word: unknown) => ({ classifyResult: () => word as never });
  const sayOfError = (word: unknown) => ({ classifyError: () => word as never });
  const CASES: readonly Case[] = [
    ["true", say(true), good, { ok: 1 }, /classifyResult answered true/],
    ["false", say(false), good, { ok: 1 }, /classifyResult answered false/],
    ["nothing", say(undefined), good, { ok: 1 }, /classifyResult answered undefined/],
    ["a promise", say(Promise.resolve("failed")), good, { ok: 1 }, /must answer at once/],
    [
      "a promise that rejects",
      { classifyResult: () => Promise.reject(boom) as never },
      good,
      { ok: 1 },
      /must answer at once/,
    ],
    [
      "a word that is none",
      say("bad"),
      good,
      { ok: 1 },
      /answered "bad"; it must answer ok, failed/,
    ],
    ["the other list's word", say("ignored"), good, { ignored: 1 }, undefined],
    ["failure", say("failure"), good, { failed: 1 }, undefined],
    ["failed", say("failed"), good, { failed: 1 }, undefined],
    ["no classifier at all", {}, down, { failed: 1 }, undefined],
    ["success of an error", sayOfError("success"), down, { ok: 1 }, undefined],
    ["ok of an error", sayOfError("ok"), down, { ok: 1 }, undefined],
    ["ignore of an error", sayOfError("ignore"), down, { ignored: 1 }, undefined],
    ["a promise of an error", sayOfError(Promise.resolve("ok")), down, { failed: 1 }, /at once/],
    ["nothing of a 404", sayOfError(undefined), bad, { ok: 1 }, /classifyError answered undefined/],
    ["a boolean of an error", sayOfError(true), down, { failed: 1 }, /classifyError answered true/],
  ];
  for (const [name, options, fn, expected, sentence] of CASES) {
    test(`${name}: ${sentence === undefined ? "counted" : "told, and counted as without it"}`, async () => {
      const upstream = guard(options);
      const told = await warnings(async () => {
        for (let n = 0; n < 3; n += 1) await upstream.execute(fn).catch(() => {});
      });

      const thrice = Object.fromEntries(Object.entries(expected).map(([key, n]) => [key, 3 * n]));
      assert.deepEqual(counts(upstream), { inFlight: 0, ...thrice });
      assert.equal(told.length, sentence === undefined ? 0 : 1, told.join("\n"));
      if (sentence !== undefined) assert.match(told[0] ?? "", sentence);
    });
  }

  test("a result that is called bad is kept in that word as the last error", async () => {
    for (const [word, kept] of [
      ["failed", "failure"],
      ["failure", "failure"],
      ["timeout", "timeout"],
    ] as const) {
      const upstream = guard(say(word));
      await upstream.execute(good);
      assert.equal(upstream.status().lastError, `the result was classified as ${kept}`);
    }
  });

  test("one that throws is told, and the call counts as without it", async () => {
    const upstream = guard({
      classifyError: () => {
        throw boom;
      },
    });
    const late = (): Promise<never> => Promise.reject(new Error("it timed out"));
    const told = await warnings(() => upstream.execute(late).catch(() => {}));

    assert.deepEqual(counts(upstream), { inFlight: 0, timeout: 1 });
    assert.match(told[0] ?? "", /draftkings: classifyError threw boom/);
  });
});

describe("what answers say by themselves", () => {
  const answer =
    (status: number, headers: Record<string, string> = {}) =>
    () =>
      Promise.resolve(new Response(null, { status, headers }));
  const error = (fields: Record<string, unknown>) => () =>
    Promise.reject(Object.assign(new Error("Request failed"), fields));
  for (const [name, fn, expected] of [
    ["a Response of 200", answer(200), { ok: 1 }],
    ["a Response of 404", answer(404), { ok: 1 }],
    ["a Response of 500", answer(500), { failed: 1 }],
    ["a Response of 408", answer(408), { timeout: 1 }],
    ["a Response of 429", answer(429), { ignored: 1 }],
    [
      "another gateway's refusal",
      answer(503, { "x-switchgear-reason": "tripped" }),
      { ignored: 1 },
    ],
    ["a bet with a status", () => Promise.resolve({ status: 500 }), { ok: 1 }],
    ["axios on 404", error({ status: 404, response: { status: 404, headers: {} } }), { ok: 1 }],
    ["axios on 500", error({ status: 500, response: { status: 500 } }), { failed: 1 }],
    ["axios on 504", error({ status: 504, message: "timeout" }), { failed: 1 }],
    ["got on 404", error({ response: { statusCode: 404 } }), { ok: 1 }],
    ["got on 503", error({ response: { statusCode: 503 } }), { failed: 1 }],
    ["ky on 429", error({ response: new Response(null, { status: 429 }) }), { ignored: 1 }],
    ["AWS on 400", error({ $metadata: { httpStatusCode: 400 } }), { ok: 1 }],
    ["a 400 that speaks of timeouts", error({ status: 400, message: "bad timeout" }), { ok: 1 }],
    [
      "a cause of 422",
      error({ cause: Object.assign(new Error("x"), { statusCode: 422 }) }),
      { ok: 1 },
    ],
    [
      "an error of another gateway's refusal",
      error({
        status: 503,
        response: { status: 503, headers: { "x-switchgear-reason": "tripped" } },
      }),
      { ignored: 1 },
    ],
  ] as const) {
    test(name, async () => {
      const upstream = guard();
      await upstream.execute(fn).catch(() => {});

      assert.deepEqual(counts(upstream), { inFlight: 0, ...expected });
      const weight = "failed" in expected ? 1 : "timeout" in expected ? 0.5 : 0;
      assert.equal(upstream.status().failureCount, weight);
    });
  }

  test("when to come again: by the error's own word, else by its answer's", async () => {
    const headers = { "retry-after": "120" };
    for (const [fields, retryAfterMs] of [
      [{ retryAfterMs: 60_000 }, 60_000],
      [{ status: 503, headers }, 120_000],
      [{ status: 503, headers, retryAfterMs: 60_000 }, 60_000],
    ] as const) {
      const breaker = slidingWindow({ minimumCalls: 1, openDurationMs: 1, openDurationJitter: 0 });
      const clock = new VirtualClock();
      const upstream = createSwitchgear({ upstreams: { dk: { breaker } }, clock }).upstream("dk");
      await rejection(upstream.execute(error(fields)));

      const refusal = await rejection(upstream.execute(() => 5));
      assert.equal((refusal as { readonly retryAfterMs?: number }).retryAfterMs, retryAfterMs);
    }
  });

  test("429 as the options have it", async () => {
    const failing = guard({ status429: "failure" });
    const fine = guard({ status429: "success" });
    for (const fn of [answer(429), error({ status: 429 })]) {
      for (const upstream of [failing, fine]) await upstream.execute(fn).catch(() => {});
    }

    assert.deepEqual(counts(failing), { inFlight: 0, failed: 2 });
    assert.deepEqual(counts(fine), { inFlight: 0, ok: 2 });
    assert.throws(() => guard({ status429: "bad" as never }), /status429 must be one of neutral/);
  });
});

describe("names that nothing has", () => {
  test("an event: refused with the one that was meant", () => {
    const upstream = guard();
    const on = upstream.on.bind(upstream) as (type: unknown, listener: unknown) => void;

    assert.throws(
      () => on("trips", () => {}),
      /there is no event "trips" .*; did you mean "trip"\?/,
    );
    assert.throws(() => on("open", () => {}), /there is no event "open" \(transition, trip/);
    assert.throws(() => on(Symbol("trip"), () => {}), /there is no event a symbol/);
    assert.throws(() => on("trip", undefined), /the listener must be a function, not undefined/);
  });

  test("a registry's options, whatever stands in their place", () => {
    const make = createSwitchgear as (options?: unknown) => unknown;
    const breaker = latching();

    assert.throws(() => make({ stroe: {} }), /stroe is not an option/);
    assert.throws(() => make({ upstream: {} }), /upstream is not an option .*"upstreams"\?/);
    assert.throws(
      () => make({ upstreams: new Map([["dk", { breaker }]]) }),
      /object of options by name/,
    );
    assert.throws(() => make({ upstreams: [{ breaker }] }), /object of options by name/);
    assert.throws(() => make({ upstreams: null }), /upstreams must be an object, not null/);
    assert.throws(() => latching([] as never), /options must be an object, not an array/);
    assert.throws(() => createBreaker(5 as never, breaker), /the name must be a text/);
    assert.doesNotThrow(() => make());
  });

  test("an upstream, and an option", () => {
    const breaker = latching();
    const gear = createSwitchgear({ upstreams: { draftkings: { breaker } } });

    assert.throws(() => gear.upstream("draftkigns"), /did you mean "draftkings"\?/);
    assert.throws(
      () => latching({ failureTreshold: 3 } as never),
      /failureTreshold is not an option .*did you mean "failureThreshold"\?/,
    );
  });
});

describe("a wrapped function", () => {
  test("keeps name, length, properties, arguments and this", async () => {
    async function fetchOdds(this: { readonly base: string }, id: number, _market: string) {
      return `${this.base}${id}`;
    }
    const marked = Object.assign(fetchOdds, { cacheKey: "odds" });
    const wrapped = guard().wrap(marked);

    assert.equal(wrapped.name, "fetchOdds");
    assert.equal(wrapped.length, 2);
    assert.equal(wrapped.cacheKey, "odds");
    assert.equal(await wrapped.call({ base: "dk/" }, 7, "nfl"), "dk/7");
  });
});
