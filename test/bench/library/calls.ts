// The cases: one call of each library in each situation, in its documented ordinary use.
//
// cockatiel has three breakers. `ConsecutiveBreaker` is the shape of a latching breaker and keeps
// one number; `CountBreaker` holds the last N calls and `SamplingBreaker` counts per window, so
// these two are what compares with Switchgear's counts. All three are measured.
//
// No case trips by accident: thresholds are out of reach where calls fail. `prepare` takes back
// what earlier turns left behind.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ConsecutiveBreaker,
  CountBreaker,
  SamplingBreaker,
  TimeoutStrategy,
  circuitBreaker,
  handleAll,
  timeout,
  wrap,
  type CircuitBreakerPolicy,
  type IBreaker,
} from "cockatiel";
import Opossum from "opossum";
import {
  adaptive,
  createSwitchgear,
  latching,
  slidingWindow,
  type BreakerPolicy,
  type Upstream,
  type UpstreamOptions,
} from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { limitedSet } from "./limited.ts";
import type { Case, CaseSet } from "./measure.ts";
import { fetchOdds, raw, sink, type ODDS } from "./raw.ts";
import { tracedSet } from "./traced.ts";

export const SET_NAMES = [
  "closed",
  "kinds",
  "bounded",
  "traced",
  "durable",
  "limited",
  "refusing",
  "failing",
  "held",
] as const;
export type SetName = (typeof SET_NAMES)[number];

/** Longer than any run: nothing reopens by itself while it is measured. */
const HOUR_MS = 3_600_000;

const DEADLINE_MS = 2000;

/** The largest that `latching` takes; a turn's failures stay far below. */
const NEVER_TRIPS = 1_000_000;

/** opossum's failing call costs more the more it holds, so a turn of a fresh one is kept short. */
const OPOSSUM_FAILURES_MAX = 200;

const failToFetch = async (): Promise<typeof ODDS> => {
  throw new Error("draftkings answered with 500");
};

const STATIC_ERROR = new Error("refused");

const refuseStatically = async (): Promise<typeof ODDS> => {
  throw STATIC_ERROR;
};

export function makeSet(name: SetName, heldCalls: number): Promise<CaseSet> | CaseSet {
  switch (name) {
    case "closed":
      return closedSet();
    case "kinds":
      return kindsSet();
    case "bounded":
      return boundedSet();
    case "traced":
      return tracedSet();
    case "durable":
      return durableSet();
    case "limited":
      return limitedSet();
    case "refusing":
      return refusingSet();
    case "failing":
      return failingSet();
    case "held":
      return heldSet(heldCalls);
    default:
      return name satisfies never;
  }
}

function switchgear(options: { readonly deadlineMs?: number; readonly threshold?: number } = {}) {
  const { deadlineMs, threshold } = options;
  return createSwitchgear({
    upstreams: {
      draftkings: {
        breaker: latching(threshold === undefined ? {} : { failureThreshold: threshold }),
        deadlineMs,
      },
    },
  }).upstream("draftkings");
}

function cockatiel(breaker: IBreaker): CircuitBreakerPolicy {
  return circuitBreaker(handleAll, { halfOpenAfter: HOUR_MS, breaker });
}

/** cockatiel times a call when somebody listens: the least that keeps a latency, as the others do. */
function measuringCockatiel(): CircuitBreakerPolicy {
  const policy = cockatiel(new CountBreaker({ threshold: 0.5, size: 100 }));
  const add = ({ duration }: { readonly duration: number }): void => {
    sink.count += duration;
  };
  policy.onSuccess(add);
  policy.onFailure(add);
  return policy;
}

// ---- closed ----

/**
 * The least that a guard can do which measures latency and hands on the result: chain once, read
 * the clock twice. Whatever it costs beyond that is its own.
 */
const chained: Case = {
  id: "raw.chained",
  async run(calls) {
    for (let n = 0; n < calls; n += 1) sink.value = await timed();
  },
};

function timed(): Promise<typeof ODDS> {
  const startMs = performance.now();
  return fetchOdds().then(
    (value) => {
      sink.count += performance.now() - startMs;
      return value;
    },
    (error: unknown) => {
      sink.count += performance.now() - startMs;
      throw error;
    },
  );
}

function closedSet(): CaseSet {
  const executing = switchgear();
  const named = switchgear();
  const wrapped = switchgear().wrap(fetchOdds);
  const admitting = switchgear();
  const settling = switchgear();
  const opossum = new Opossum(fetchOdds, { timeout: false });
  const consecutive = cockatiel(new ConsecutiveBreaker(10));
  const count = cockatiel(new CountBreaker({ threshold: 0.5, size: 100 }));
  const sampling = cockatiel(new SamplingBreaker({ threshold: 0.5, duration: 30_000 }));
  const measuring = measuringCockatiel();
  return {
    cases: [
      raw,
      chained,
      {
        id: "sg.execute",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await executing.execute(fetchOdds);
        },
      },
      {
        id: "sg.execute.operation",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            sink.value = await named.execute(fetchOdds, { operation: "odds" });
          }
        },
      },
      {
        id: "sg.wrap",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await wrapped();
        },
      },
      {
        id: "sg.tryAcquire.await",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            const admission = admitting.tryAcquire();
            if (!admission.admitted) throw new Error("refused while closed");
            sink.value = await fetchOdds();
            admission.settle({ outcome: "ok" });
          }
        },
      },
      {
        id: "sg.tryAcquire.sync",
        run(calls) {
          for (let n = 0; n < calls; n += 1) {
            const admission = settling.tryAcquire();
            if (!admission.admitted) throw new Error("refused while closed");
            admission.settle({ outcome: "ok" });
          }
        },
      },
      {
        id: "opossum",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await opossum.fire();
        },
      },
      {
        id: "cockatiel.consecutive",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await consecutive.execute(fetchOdds);
        },
      },
      {
        id: "cockatiel.count",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await count.execute(fetchOdds);
        },
      },
      {
        id: "cockatiel.sampling",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await sampling.execute(fetchOdds);
        },
      },
      {
        id: "cockatiel.measuring",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await measuring.execute(fetchOdds);
        },
      },
    ],
    close: () => opossum.shutdown(),
  };
}

// ---- closed, each kind of breaker ----

function guardedBy(
  breaker: BreakerPolicy,
  options: Pick<UpstreamOptions, "endpoints"> = {},
): Upstream {
  return createSwitchgear({ upstreams: { draftkings: { breaker, ...options } } }).upstream(
    "draftkings",
  );
}

function executing(id: string, upstream: Upstream): Case {
  return {
    id,
    async run(calls) {
      for (let n = 0; n < calls; n += 1) sink.value = await upstream.execute(fetchOdds);
    },
  };
}

function kindsSet(): CaseSet {
  const count = cockatiel(new CountBreaker({ threshold: 0.5, size: 100 }));
  return {
    cases: [
      raw,
      chained,
      executing("sg.latching", guardedBy(latching())),
      executing("sg.window", guardedBy(slidingWindow())),
      executing("sg.window.slow", guardedBy(slidingWindow({ slowCallMs: 1000 }))),
      executing("sg.adaptive", guardedBy(adaptive())),
      executing(
        "sg.endpoints",
        guardedBy(latching(), { endpoints: ["http://a", "http://b", "http://c"] }),
      ),
      {
        id: "cockatiel.count",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await count.execute(fetchOdds);
        },
      },
    ],
  };
}

// ---- closed, with a deadline or a caller's signal ----

function boundedSet(): CaseSet {
  const plain = switchgear({ deadlineMs: DEADLINE_MS });
  const reading = switchgear({ deadlineMs: DEADLINE_MS });
  const signalled = switchgear();
  const { signal } = new AbortController();
  const opossum = new Opossum(fetchOdds, { timeout: DEADLINE_MS });
  const limited = wrap(
    cockatiel(new CountBreaker({ threshold: 0.5, size: 100 })),
    timeout(DEADLINE_MS, TimeoutStrategy.Cooperative),
  );
  return {
    cases: [
      raw,
      {
        id: "sg.deadline",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await plain.execute(fetchOdds);
        },
      },
      {
        id: "sg.deadline.signal-read",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            sink.value = await reading.execute((context) => {
              sink.value = context.signal;
              return fetchOdds();
            });
          }
        },
      },
      {
        id: "sg.signal",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            sink.value = await signalled.execute(fetchOdds, { signal });
          }
        },
      },
      {
        id: "opossum.timeout",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await opossum.fire();
        },
      },
      {
        id: "cockatiel.timeout",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await limited.execute(fetchOdds);
        },
      },
    ],
    close: () => opossum.shutdown(),
  };
}

// ---- with the SQLite store behind it ----

function durableSet(): CaseSet {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-bench-"));
  const gear = createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching() },
      fanduel: { breaker: latching({ failureThreshold: NEVER_TRIPS }) },
    },
    store: sqliteStore(join(folder, "circuit_breaker.db")),
  });
  const durable = gear.upstream("draftkings");
  const failing = gear.upstream("fanduel");
  return {
    cases: [
      raw,
      {
        id: "sg.sqlite",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) sink.value = await durable.execute(fetchOdds);
        },
      },
      { id: "sg.sqlite.failing", run: (calls) => failTimes(failing, calls) },
    ],
    async close() {
      await gear.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// ---- refusing ----

async function refusingSet(): Promise<CaseSet> {
  const acquiring = switchgear();
  const throwing = switchgear();
  for (const each of [acquiring, throwing]) each.trip({ reason: "benchmark" });
  const opossum = new Opossum(failToFetch, { timeout: false, resetTimeout: HOUR_MS });
  const consecutive = cockatiel(new ConsecutiveBreaker(1));
  await Promise.allSettled([opossum.fire(), consecutive.execute(failToFetch)]);
  if (!opossum.opened) throw new Error("opossum did not open");
  return {
    cases: [
      raw,
      {
        id: "raw.static-error",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await refuseStatically();
            } catch {
              sink.count += 1;
            }
          }
        },
      },
      {
        id: "sg.tryAcquire.refused",
        run(calls) {
          for (let n = 0; n < calls; n += 1) {
            const admission = acquiring.tryAcquire();
            if (admission.admitted) throw new Error("admitted while tripped");
            if (admission.reason === "tripped") sink.count += 1;
          }
        },
      },
      {
        id: "sg.throw",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await throwing.execute(fetchOdds);
            } catch {
              sink.count += 1;
            }
          }
        },
      },
      {
        id: "opossum.open",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await opossum.fire();
            } catch {
              sink.count += 1;
            }
          }
        },
      },
      {
        id: "cockatiel.open",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await consecutive.execute(fetchOdds);
            } catch {
              sink.count += 1;
            }
          }
        },
      },
    ],
    close: () => opossum.shutdown(),
  };
}

// ---- failing ----

async function failTimes(upstream: Upstream, calls: number): Promise<void> {
  for (let n = 0; n < calls; n += 1) {
    try {
      sink.value = await upstream.execute(failToFetch);
    } catch {
      sink.count += 1;
    }
  }
}

const rawFailing: Case = {
  id: "raw.failing",
  async run(calls) {
    for (let n = 0; n < calls; n += 1) {
      try {
        sink.value = await failToFetch();
      } catch {
        sink.count += 1;
      }
    }
  },
};

/** Breakers of cockatiel that hold counts and never trip. */
function neverTripping(): Readonly<Record<string, IBreaker>> {
  return {
    consecutive: new ConsecutiveBreaker(NEVER_TRIPS),
    count: new CountBreaker({ threshold: 0.5, size: NEVER_TRIPS }),
    sampling: new SamplingBreaker({ threshold: 0.5, duration: HOUR_MS, minimumRps: NEVER_TRIPS }),
  };
}

function failingPeers(
  suffix: string,
  policies: Readonly<Record<string, CircuitBreakerPolicy>>,
): Case[] {
  return Object.entries(policies).map(([kind, policy]) => ({
    id: `cockatiel.${kind}.${suffix}`,
    async run(calls) {
      for (let n = 0; n < calls; n += 1) {
        try {
          sink.value = await policy.execute(failToFetch);
        } catch {
          sink.count += 1;
        }
      }
    },
  }));
}

function makeOpossum(): Opossum<[], typeof ODDS> {
  return new Opossum(failToFetch, { timeout: false, errorThresholdPercentage: 100 });
}

/** None of them trips, however many calls fail. */
function neverTrippingKinds(windowSize: number): Readonly<Record<string, Upstream>> {
  return {
    window: guardedBy(slidingWindow({ failureRatio: 1, windowSize, windowDurationMs: HOUR_MS })),
    adaptive: guardedBy(
      adaptive({ failureThreshold: NEVER_TRIPS, adaptive: false, minHealthScore: 0 }),
    ),
  };
}

function failingKinds(suffix: string, kinds: Readonly<Record<string, Upstream>>): Case[] {
  return Object.entries(kinds).map(([kind, upstream]) => ({
    id: `sg.${kind}.${suffix}`,
    run: (calls) => failTimes(upstream, calls),
  }));
}

/** Little is held: what each turn adds is taken back before the next. */
function failingSet(): CaseSet {
  const guarded = switchgear({ threshold: NEVER_TRIPS });
  let opossum = makeOpossum();
  const policies = Object.fromEntries(
    Object.entries(neverTripping()).map(([kind, breaker]) => [kind, cockatiel(breaker)]),
  );
  return {
    cases: [
      raw,
      rawFailing,
      {
        id: "sg.failing",
        prepare: () => guarded.record({ outcome: "ok" }),
        run: (calls) => failTimes(guarded, calls),
      },
      ...failingKinds("failing", neverTrippingKinds(100)),
      {
        id: "opossum.failing",
        callsMax: OPOSSUM_FAILURES_MAX,
        prepare() {
          opossum.shutdown();
          opossum = makeOpossum();
        },
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await opossum.fire();
            } catch {
              sink.count += 1;
            }
          }
        },
      },
      ...failingPeers("failing", policies),
    ],
    close: () => opossum.shutdown(),
  };
}

/**
 * After `heldCalls` successes, and for all but opossum as many failures: its own failures would
 * take half an hour to put in.
 */
async function heldSet(heldCalls: number): Promise<CaseSet> {
  const guarded = switchgear({ threshold: NEVER_TRIPS });
  const opossum = new Opossum((fn: typeof fetchOdds) => fn(), {
    timeout: false,
    errorThresholdPercentage: 100,
    // Default 10 s; longer, so that what is held stays held while it is measured.
    rollingCountTimeout: HOUR_MS,
  });
  const policies = Object.fromEntries(
    Object.entries(neverTripping()).map(([kind, breaker]) => [kind, cockatiel(breaker)]),
  );
  for (let n = 0; n < heldCalls; n += 1) {
    await guarded.execute(fetchOdds);
    await opossum.fire(fetchOdds);
    for (const policy of Object.values(policies)) await policy.execute(fetchOdds);
  }
  const failing = failingPeers("held", policies);
  for (const each of failing) await each.run(heldCalls);
  await failTimes(guarded, heldCalls);
  // A window that holds every one of them.
  const kinds = neverTrippingKinds(heldCalls);
  for (const upstream of Object.values(kinds)) await failTimes(upstream, heldCalls);
  return {
    cases: [
      raw,
      rawFailing,
      { id: "sg.held", run: (calls) => failTimes(guarded, calls) },
      ...failingKinds("held", kinds),
      {
        id: "opossum.held",
        async run(calls) {
          for (let n = 0; n < calls; n += 1) {
            try {
              sink.value = await opossum.fire(failToFetch);
            } catch {
              sink.count += 1;
            }
          }
        },
      },
      ...failing,
    ],
    close: () => opossum.shutdown(),
  };
}
