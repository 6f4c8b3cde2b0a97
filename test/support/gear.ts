// A registry on a virtual clock, with verbs. Every case of the acceptance suite starts here.

import {
  createSwitchgear,
  latching,
  memoryStore,
  type Store,
  type Upstream,
} from "../../src/index.ts";
import type { LatchingOptions, LoadSampler, Switchgear } from "../../src/index.ts";
import { RecordingSink, VirtualClock } from "../../src/testing/index.ts";

export interface TestGear {
  readonly gear: Switchgear;
  readonly clock: VirtualClock;
  readonly sink: RecordingSink;
  readonly dk: Upstream;
}

export function makeGear(
  options: {
    readonly breaker?: LatchingOptions;
    readonly store?: Store;
    readonly sampler?: LoadSampler;
    readonly clock?: VirtualClock;
    readonly deadlineMs?: number;
  } = {},
): TestGear {
  const clock = options.clock ?? new VirtualClock();
  const breaker = latching(options.breaker);
  const upstream = { breaker, deadlineMs: options.deadlineMs };
  const gear = createSwitchgear({
    upstreams: { dk: upstream, fd: upstream },
    otherUpstreams: upstream,
    store: options.store ?? memoryStore(),
    sampler: options.sampler ?? { systemLoad: () => 0 },
    clock,
  });
  return { gear, clock, sink: new RecordingSink(gear), dk: gear.upstream("dk") };
}

export function failTimes(upstream: Upstream, times: number, error: unknown = "boom"): void {
  for (let n = 0; n < times; n += 1) upstream.record({ outcome: "failed", error });
}

export function timeOut(upstream: Upstream, times: number): void {
  for (let n = 0; n < times; n += 1) {
    upstream.record({ outcome: "failed", timeout: true, error: "timed out" });
  }
}

/** A call that the test ends when it likes. */
export function openCall(upstream: Upstream): {
  readonly promise: Promise<unknown>;
  resolve(value?: unknown): Promise<void>;
  reject(error: unknown): Promise<void>;
} {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call = upstream.execute(() => promise, { operation: "odds" });
  const settled = call.then(
    () => {},
    () => {},
  );
  return {
    promise: call,
    resolve: (value) => {
      resolve(value);
      return settled;
    },
    reject: (error) => {
      reject(error);
      return settled;
    },
  };
}
