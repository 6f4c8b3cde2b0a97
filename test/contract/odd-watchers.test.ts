// Whoever watches calls, keeps their time or draws their lots may fail: each call comes out as its function has
// it, and is settled once.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { context, propagation, trace, type Context } from "@opentelemetry/api";
import { TracerProvider, type SpanProcessor } from "@opentelemetry/sdk-trace";
import {
  adaptive,
  createSwitchgear,
  DeadlineError,
  isRefused,
  latching,
  memoryStore,
  slidingWindow,
  type Switchgear,
  type SwitchgearOptions,
  type Upstream,
} from "../../src/index.ts";
import type { CallWatcher, WatchedCall } from "../../src/pipeline/call/watcher.ts";
import { headerTracing, traceCalls } from "../../src/telemetry/otel/tracing.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const boom = new Error("boom");

function fails(): never {
  throw boom;
}

function gear(options: Partial<SwitchgearOptions> = {}): Switchgear {
  return createSwitchgear({
    upstreams: {
      dk: { breaker: latching({ failureThreshold: 1000 }) },
      bounded: { breaker: latching({ failureThreshold: 1000 }), deadlineMs: 20 },
      open: { breaker: latching({ failureThreshold: 1 }) },
      feeds: { breaker: latching(), endpoints: ["http://a.example", "http://b.example"] },
    },
    clock,
    ...options,
  });
}

/** Time stands still but for the one call that must outlive its deadline. */
let clock: VirtualClock;
beforeEach(() => {
  clock = new VirtualClock();
});

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

/** The process's warnings of misuse of this kind, from while `run` runs. */
async function warnings(like: RegExp, run: () => Promise<unknown>): Promise<string[]> {
  const told: string[] = [];
  const listener = (warning: Error & { readonly code?: string }): void => {
    if (warning.code === "SG_MISUSE" && like.test(warning.message)) told.push(warning.message);
  };
  process.on("warning", listener);
  await run();
  for (let n = 0; n < 20 && told.length === 0; n += 1) {
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
  process.off("warning", listener);
  return told;
}

/** Every way that a call can take, and what it must come to whoever looks on. */
async function playAll(made: Switchgear): Promise<void> {
  const [dk, bounded, open, feeds] = ["dk", "bounded", "open", "feeds"].map((name) =>
    made.upstream(name),
  ) as [Upstream, Upstream, Upstream, Upstream];

  assert.equal(await dk.execute(() => 1), 1);
  assert.equal(await dk.execute(async () => 2), 2);
  assert.equal(await rejection(dk.execute(fails)), boom);
  assert.equal(await rejection(dk.execute(async () => fails())), boom);
  assert.deepEqual(counts(dk), { inFlight: 0, ok: 2, failed: 2 });

  assert.equal(await bounded.execute(() => 3), 3);
  assert.equal(await rejection(bounded.execute(fails)), boom);
  const hung = bounded.execute(() => new Promise(() => {}));
  clock.advance(20);
  assert.ok((await rejection(hung)) instanceof DeadlineError);
  const held = bounded.hold(async (_context, rest) => {
    rest.done();
    return 4;
  });
  assert.equal(await held, 4);
  const left = new AbortController();
  const leaving = bounded.execute(() => new Promise(() => {}), { signal: left.signal });
  left.abort("left");
  assert.equal(await rejection(leaving), "left");
  assert.deepEqual(counts(bounded), { inFlight: 0, ok: 2, failed: 1, timeout: 1, ignored: 1 });

  assert.equal(await rejection(open.execute(fails)), boom);
  assert.equal(open.isTripped, true);
  assert.ok(isRefused(await rejection(open.execute(() => 5))));
  assert.equal(open.tryAcquire().admitted, false);

  assert.match(await feeds.execute(({ endpoint }) => String(endpoint?.url)), /^http:/);
  const admission = feeds.tryAcquire();
  assert.ok(admission.admitted);
  admission.settle({ outcome: "ok" });
  admission.settle({ outcome: "failed" });
  assert.deepEqual(counts(feeds), { inFlight: 0, ok: 2 });
  assert.deepEqual(
    feeds.status().endpoints.map(({ inFlight }) => inFlight),
    [0, 0],
  );
}

const fine: WatchedCall = {
  refused() {},
  admitted() {},
  within: (run) => run(),
  ended: (_outcome, _error, settle) => settle(),
};

function watcher(call: Partial<WatchedCall>): CallWatcher {
  return { begin: () => ({ ...fine, ...call }) };
}

const WATCHERS: Readonly<Record<string, CallWatcher>> = {
  "one that throws at the beginning": { begin: fails },
  "one that watches nothing": { begin: () => undefined as unknown as WatchedCall },
  "one whose call is none": { begin: () => 7 as unknown as WatchedCall },
  "one that throws at a refusal": watcher({ refused: fails }),
  "one that throws at an admission": watcher({ admitted: fails }),
  "one that runs nothing": watcher({ within: () => undefined as never }),
  "one that throws instead of running": watcher({ within: fails }),
  "one that throws after running": watcher({
    within(run) {
      run();
      return fails();
    },
  }),
  "one that runs twice": watcher({
    within(run) {
      run();
      return run();
    },
  }),
  "one that answers something else": watcher({
    within(run) {
      run();
      return "something else" as never;
    },
  }),
  "one that settles nothing": watcher({ ended() {} }),
  "one that throws instead of settling": watcher({ ended: fails }),
  "one that throws after settling": watcher({
    ended(_outcome, _error, settle) {
      settle();
      fails();
    },
  }),
  "one that settles twice": watcher({
    ended(_outcome, _error, settle) {
      settle();
      settle();
    },
  }),
};

describe("watchers", () => {
  for (const [name, odd] of Object.entries(WATCHERS)) {
    test(`${name} costs nothing`, async () => {
      const made = gear();
      made.watchCalls(odd);
      await playAll(made);
    });
  }

  test("what one throws is told once for each upstream", async () => {
    const made = createSwitchgear({ upstreams: { odd: { breaker: latching() } } });
    made.watchCalls(watcher({ ended: fails, admitted: fails }));

    const told = await warnings(/^odd:/, async () => {
      for (let n = 0; n < 3; n += 1) await made.upstream("odd").execute(() => 1);
    });

    assert.deepEqual(told, [
      "odd: the watcher of calls threw in admitted, and the call went on: boom",
    ]);
  });

  for (const odd of ["onStart", "onEnding", "onEnd"] as const) {
    test(`a span processor that throws in ${odd} costs nothing`, async () => {
      const processor: SpanProcessor & { onEnding(): void } = {
        onStart() {},
        onEnding() {},
        onEnd() {},
        forceFlush: () => Promise.resolve(),
        shutdown: () => Promise.resolve(),
        [odd]: fails,
      };
      const tracer = new TracerProvider({ spanProcessors: [processor] }).getTracer("switchgear");
      const made = gear();
      const end = traceCalls(made, { tracer });
      await playAll(made);
      end();
    });
  }

  for (const odd of ["setAttribute", "setStatus", "addEvent", "end"]) {
    test(`a span that throws in ${odd} costs nothing, and is ended`, async () => {
      let ended = 0;
      const span = trace.wrapSpanContext({ traceId: "1", spanId: "1", traceFlags: 0 });
      const odder = Object.assign(Object.create(span) as typeof span, {
        end: () => void (ended += 1),
        [odd]: fails,
      });
      const tracer = { ...trace.getTracer("none"), startSpan: () => odder };
      const made = gear();
      const end = traceCalls(made, { tracer });
      await playAll(made);
      end();
      // One of each call of `playAll`.
      if (odd !== "end") assert.equal(ended, 14);
    });
  }

  test("a propagator that throws costs no call through the gateway", () => {
    propagation.setGlobalPropagator({ inject: fails, extract: fails, fields: () => [] });
    try {
      const made = gear();
      const end = traceCalls(made);
      const parent = headerTracing.parentOf(() => undefined) as Context;
      assert.equal(typeof parent.getValue, "function");
      const admission = made.upstream("dk").tryAcquire({ parent });
      assert.ok(admission.admitted);
      assert.deepEqual(headerTracing.headersOf(admission.watched), {});
      admission.settle({ outcome: "ok" });
      end();
    } finally {
      propagation.disable();
    }
  });

  test("a context manager that throws costs nothing", async () => {
    const manager = {
      active: () => ({}) as Context,
      with: fails,
      bind: fails,
      enable: () => manager,
      disable: () => manager,
    };
    context.setGlobalContextManager(manager as never);
    try {
      const made = gear();
      const end = traceCalls(made);
      await playAll(made);
      end();
    } finally {
      context.disable();
    }
  });
});

const NONE: readonly (readonly [name: string, options: object, sentence: RegExp])[] = [
  ["a function as chance", { random: Math.random }, /random must be .*\{ next: .*not a function/],
  ["a number as chance", { random: 4 }, /random must be a source of chance/],
  ["a generator that answers objects is none", { random: {} }, /with the method next/],
  ["Date as clock", { clock: Date }, /clock must be a clock.*now, monotonic, setTimer, not a func/],
  ["half a clock", { clock: { now: Date.now } }, /clock must be/],
  [
    "a function as sampler",
    { sampler: () => 0.5 },
    /sampler must be .* systemLoad, not a function/,
  ],
  ["a proxy that was revoked", { clock: revoked() }, /clock must be/],
];

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

describe("what a registry is given", () => {
  for (const [name, options, sentence] of NONE) {
    test(`${name}: refused with a sentence`, () => {
      assert.throws(() => gear(options), { code: "SG_OPTIONS_INVALID", message: sentence });
    });
  }

  test("null is none, and all faults are told at once", () => {
    gear({ clock: null, random: null, sampler: null } as never);
    assert.throws(
      () => gear({ clock: Date, random: Math.random } as never),
      /clock must.*random must/,
    );
  });
});

type OddClock = Partial<Record<"now" | "monotonic" | "setTimer", unknown>>;

const ODD_CLOCKS: Readonly<Record<string, OddClock>> = {
  "now throws": { now: fails },
  "monotonic throws": { monotonic: fails },
  "now answers a date": { now: () => new Date() },
  "monotonic answers NaN": { monotonic: () => Number.NaN },
  "setTimer throws": { setTimer: fails },
  "setTimer answers a number": { setTimer: () => 7 },
  "timers throw": { setTimer: () => ({ cancel: fails, keepAlive: fails }) },
};

describe("a clock that fails under way", () => {
  for (const [name, odd] of Object.entries(ODD_CLOCKS)) {
    test(`${name}: every call comes out as its function has it`, async () => {
      const made = gear();
      const [dk, bounded] = [made.upstream("dk"), made.upstream("bounded")];
      const heard: string[] = [];
      for (const type of ["settled", "failed", "refused"] as const) {
        made.on(type, (event) => heard.push(event.type));
      }
      Object.assign(clock, odd);

      const told = await warnings(/^clock/, async () => {
        assert.equal(await dk.execute(() => 1), 1);
        assert.equal(await rejection(dk.execute(async () => fails())), boom);
        assert.equal(await bounded.execute(async () => 2), 2);
        assert.equal(await rejection(bounded.execute(fails)), boom);
        const admission = dk.tryAcquire();
        if (admission.admitted) admission.settle({ outcome: "ok" });
      });

      assert.deepEqual(counts(dk), { inFlight: 0, ok: 2, failed: 1 });
      assert.deepEqual(counts(bounded), { inFlight: 0, ok: 1, failed: 1 });
      assert.equal(dk.status().state, "closed");
      assert.equal(heard.length, 7);
      assert.ok(told.length >= 1);
      assert.match(String(told[0]), /^clock\.\w+\(\) (threw|answered)/);
    });
  }

  test("a deadline holds by the system's timers where the clock has none", async () => {
    const made = gear();
    Object.assign(clock, { setTimer: fails });

    const error = await rejection(made.upstream("bounded").execute(() => new Promise(() => {})));

    assert.ok(error instanceof DeadlineError);
  });
});

describe("chance, samplers and stores that fail under way", () => {
  for (const [name, next] of [
    ["throws", fails],
    ["answers NaN", () => Number.NaN],
    ["answers a text", () => "0.5"],
  ] as const) {
    test(`chance that ${name}: the breaker trips and the error is the call's own`, async () => {
      const random = { next } as never;
      const breaker = slidingWindow({ minimumCalls: 1, openDurationJitter: 0.5 });
      const endpointBreaker = adaptive({ failureThreshold: 1, adaptive: false });
      const made = createSwitchgear({
        upstreams: {
          dk: { breaker },
          feeds: { breaker: latching(), endpoints: ["http://a.example"], endpointBreaker },
        },
        random,
      });
      const dk = made.upstream("dk");

      assert.equal(await rejection(dk.execute(fails)), boom);
      for (let n = 0; n < 2; n += 1) {
        assert.equal(await rejection(made.upstream("feeds").execute(fails)), boom);
      }

      assert.equal(dk.isTripped, true);
      const refusal = dk.tryAcquire();
      assert.ok(!refusal.admitted && Number(refusal.retryAfterMs) > 0);
      assert.equal(made.upstream("feeds").status().endpoints[0]?.state, "cooling-down");
    });
  }

  test("a breaker of a host's own that throws at settlement costs no result", async () => {
    const usual = latching({ failureThreshold: 2 });
    const breaker = Object.create(usual, {
      createMachine: {
        value: (ports: Parameters<typeof usual.createMachine>[0]) => {
          const machine = usual.createMachine(ports);
          return Object.assign(machine, {
            settleOk: fails,
            settleFailed: fails,
            settleIgnored: fails,
          });
        },
      },
    }) as typeof usual;
    const dk = createSwitchgear({ upstreams: { dk: { breaker } } }).upstream("dk");

    const told = await warnings(/breaker threw/, async () => {
      assert.equal(await dk.execute(() => 1), 1);
      assert.equal(await rejection(dk.execute(async () => fails())), boom);
      const admission = dk.tryAcquire();
      if (admission.admitted) admission.settle({ outcome: "ignored" });
    });

    assert.deepEqual(counts(dk), { inFlight: 0, ok: 1, failed: 1, ignored: 1 });
    assert.match(String(told[0]), /breaker threw when a call was settled.*boom/);
  });

  test("a store that throws at a trip costs no result", async () => {
    const bound = memoryStore();
    const made = gear({
      store: {
        kind: "odd",
        durable: true,
        location: "nowhere",
        load: () => bound.load(),
        commit: fails,
        history: () => fails(),
        close: fails,
      },
    });
    await playAll(made);
    await made.close();
  });
});
