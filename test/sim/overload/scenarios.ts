// The scenarios of overload.md 5b, and S5, which its table leaves out.

import type { Capability } from "./upstream.ts";

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Before it, calls arrive at the base rate and nothing is measured. */
  readonly spikeMs: number;
  readonly endMs: number;
  readonly deadlineMs: number;
  readonly replicas: number;
  /** Shares of the tiers, the most critical first; they add up to 1. */
  readonly shares: readonly number[];
  /** Calls that arrive in a second. */
  readonly perSecond: (nowMs: number) => number;
  readonly capability: (nowMs: number) => Capability;
}

const SPIKE_MS = 10_000;

interface Plain {
  readonly name: string;
  readonly about: string;
  readonly base: number;
  readonly spike: number;
  readonly workers: number;
  readonly meanMs: number;
  readonly lastsMs?: number;
  readonly replicas?: number;
  readonly slowdown?: readonly [times: number, forMs: number];
  readonly hangsForMs?: number;
}

function plain(given: Plain): Scenario {
  const { name, about, base, spike, workers, meanMs, replicas = 1, hangsForMs = 0 } = given;
  const { lastsMs = 30_000, slowdown: [times, slowForMs] = [1, 0] } = given;
  const healthy: Capability = { workers, meanMs, hangsUntilMs: 0 };
  const slow: Capability = { workers, meanMs: meanMs * times, hangsUntilMs: 0 };
  const hung: Capability = { workers, meanMs, hangsUntilMs: SPIKE_MS + hangsForMs };
  return {
    name,
    about,
    spikeMs: SPIKE_MS,
    endMs: SPIKE_MS + lastsMs,
    deadlineMs: 1000,
    replicas,
    shares: [0.1, 0.3, 0.6],
    perSecond: (nowMs) => (nowMs < SPIKE_MS ? base : spike),
    capability: (nowMs) => {
      const since = nowMs - SPIKE_MS;
      if (since < 0) return healthy;
      if (since < hangsForMs) return hung;
      return since < slowForMs ? slow : healthy;
    },
  };
}

export const SCENARIOS: readonly Scenario[] = [
  plain({
    name: "S1",
    about: "50× step, 100 to 5,000 calls a second; 20 workers of 20 ms serve 1,000",
    base: 100,
    spike: 5000,
    workers: 20,
    meanMs: 20,
  }),
  plain({
    name: "S2",
    about: "50× step, 500 to 25,000 calls a second, 25 times what 20 workers of 20 ms serve",
    base: 500,
    spike: 25_000,
    workers: 20,
    meanMs: 20,
  }),
  plain({
    name: "S3",
    about: "S1, and with the step the upstream is four times slower for 10 s",
    base: 100,
    spike: 5000,
    workers: 20,
    meanMs: 20,
    slowdown: [4, 10_000],
  }),
  plain({
    name: "S4",
    about: "brownout: 500 calls a second as before, and the upstream is 20 times slower",
    base: 500,
    spike: 500,
    workers: 20,
    meanMs: 20,
    lastsMs: 20_000,
    slowdown: [20, 20_000],
  }),
  plain({
    name: "S5",
    about:
      "hang: 500 calls a second as before, the upstream answers nobody for 5 s and is well again",
    base: 500,
    spike: 500,
    workers: 20,
    meanMs: 20,
    lastsMs: 20_000,
    hangsForMs: 5000,
  }),
  plain({
    name: "S6",
    about: "overload held: five times the capacity for 120 s",
    base: 100,
    spike: 5000,
    workers: 20,
    meanMs: 20,
    lastsMs: 120_000,
  }),
  plain({
    name: "S7",
    about: "growth that the upstream can serve: 100 to 5,000 calls a second, 200 workers of 20 ms",
    base: 100,
    spike: 5000,
    workers: 200,
    meanMs: 20,
  }),
  plain({
    name: "S8",
    about: "tiny upstream, 2 workers of 20 ms: 10 to 500 calls a second",
    base: 10,
    spike: 500,
    workers: 2,
    meanMs: 20,
  }),
  plain({
    name: "S9",
    about: "slow upstream, 50 workers of 200 ms: 25 to 1,250 calls a second",
    base: 25,
    spike: 1250,
    workers: 50,
    meanMs: 200,
  }),
  plain({
    name: "SA",
    about:
      "8 replicas that know nothing of each other, 200 to 10,000 calls a second on 40 workers of 20 ms",
    base: 200,
    spike: 10_000,
    workers: 40,
    meanMs: 20,
    replicas: 8,
  }),
];
