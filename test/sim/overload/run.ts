// Plays a scenario before a guard, call by call on a virtual clock, and counts what came of it.

import type { Random } from "../../../src/core/random.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { TURNED_AWAY, type Column, type Guard } from "./guard.ts";
import type { Scenario } from "./scenarios.ts";
import { Upstream } from "./upstream.ts";

/** What became of the calls that arrived from the spike on. */
export interface Tally {
  /** Served in time, of what the upstream could serve or was asked for, whichever is less. 0–1. */
  readonly goodput: number;
  /** Let in, of all that came. */
  readonly admitted: number;
  /** Let in, and not back by their deadline. */
  readonly timeouts: number;
  /** Of those, the ones that arrived in the first second. */
  readonly timeoutsAtFirst: number;
  /** Calls of the most critical tier that were served in time. */
  readonly topServed: number;
  readonly p99Ms: number;
  readonly p50Ms: number;
  readonly offered: number;
}

/** Calls still waiting are given this many deadlines to end. */
const REST_DEADLINES = 3;

export function play(scenario: Scenario, column: Column, seed: number): Tally {
  const random = new SeededRandom(seed);
  const { spikeMs, endMs, deadlineMs, replicas, shares } = scenario;
  const upstream = new Upstream(new SeededRandom(seed + 1000));
  const guards: Guard[] = [];
  for (let replica = 0; replica < replicas; replica += 1) {
    guards.push(column({ deadlineMs, startMs: 0 }));
  }
  const waiting = new Int32Array(replicas);

  // Calls in order of arrival; their deadlines come in the same order.
  const starts: number[] = [];
  const proofs: number[] = [];
  const tiers: number[] = [];
  const owners: number[] = [];
  const isOver: boolean[] = [];
  let oldest = 0;
  const latencies: number[] = [];
  let offered = 0;
  let offeredTop = 0;
  let servedTop = 0;
  let admitted = 0;
  let timeouts = 0;
  let timeoutsAtFirst = 0;
  let nextArrivalMs = 0;

  for (;;) {
    while (oldest < starts.length && isOver[oldest] === true) oldest += 1;
    const deadlineAtMs = (starts[oldest] ?? Number.POSITIVE_INFINITY) + deadlineMs;
    const endsAtMs = upstream.nextEndMs;
    const nowMs = Math.min(nextArrivalMs, deadlineAtMs, endsAtMs);
    if (nowMs > endMs + REST_DEADLINES * deadlineMs) break;
    if (nowMs === Number.POSITIVE_INFINITY) break;
    let owner = -1;
    if (nowMs === endsAtMs) {
      const call = upstream.end(scenario.capability(nowMs));
      if (isOver[call] !== true) {
        isOver[call] = true;
        owner = owners[call] ?? 0;
        waiting[owner] = (waiting[owner] ?? 0) - 1;
        const startMs = starts[call] ?? 0;
        guards[owner]?.ok(proofs[call] ?? 0, startMs, nowMs);
        if (startMs >= spikeMs) {
          latencies.push(nowMs - startMs);
          if (tiers[call] === 0) servedTop += 1;
        }
      }
    } else if (nowMs === deadlineAtMs) {
      isOver[oldest] = true;
      owner = owners[oldest] ?? 0;
      waiting[owner] = (waiting[owner] ?? 0) - 1;
      const startMs = starts[oldest] ?? 0;
      guards[owner]?.timedOut(proofs[oldest] ?? 0, startMs, nowMs);
      if (startMs >= spikeMs) {
        timeouts += 1;
        if (startMs < spikeMs + 1000) timeoutsAtFirst += 1;
      }
    } else {
      const tier = pick(shares, random.next());
      owner = replicas === 1 ? 0 : random.integer(replicas);
      const isMeasured = nowMs >= spikeMs;
      if (isMeasured) offered += 1;
      if (isMeasured && tier === 0) offeredTop += 1;
      const proof = guards[owner]?.admit(tier, nowMs) ?? TURNED_AWAY;
      if (proof !== TURNED_AWAY) {
        if (isMeasured) admitted += 1;
        starts.push(nowMs);
        proofs.push(proof);
        tiers.push(tier);
        owners.push(owner);
        isOver.push(false);
        waiting[owner] = (waiting[owner] ?? 0) + 1;
        upstream.arrive(starts.length - 1, scenario.capability(nowMs), nowMs);
      }
      nextArrivalMs = nextArrival(scenario, nowMs, random);
    }
    guards[owner]?.check?.(waiting[owner] ?? 0);
  }

  const overMs = endMs + REST_DEADLINES * deadlineMs;
  for (const guard of guards) guard.end?.(overMs);

  const sorted = Float64Array.from(latencies).toSorted();
  const possible = servable(scenario);
  return {
    goodput: sorted.length / possible,
    admitted: offered === 0 ? 1 : admitted / offered,
    timeouts,
    timeoutsAtFirst,
    topServed: offeredTop === 0 ? 1 : servedTop / offeredTop,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? 0,
    offered,
  };
}

/** Waits that would be longer are drawn anew: the rate may have changed, and they have no memory. */
const WAIT_MS_MAX = 10;

function nextArrival({ perSecond, endMs }: Scenario, nowMs: number, random: Random): number {
  let fromMs = nowMs;
  while (fromMs < endMs) {
    const waitMs = (-1000 * Math.log(1 - random.next())) / perSecond(fromMs);
    if (waitMs <= WAIT_MS_MAX) return fromMs + waitMs;
    fromMs += WAIT_MS_MAX;
  }
  return Number.POSITIVE_INFINITY;
}

/** Calls that are asked for and could be served, from the spike to the end. */
function servable({ spikeMs, endMs, capability, perSecond }: Scenario): number {
  let calls = 0;
  for (let nowMs = spikeMs; nowMs < endMs; nowMs += 10) {
    const { workers, meanMs, hangsUntilMs } = capability(nowMs);
    const able = nowMs < hangsUntilMs ? 0 : workers / meanMs;
    calls += 10 * Math.min(able, perSecond(nowMs) / 1000);
  }
  return calls;
}

function pick(shares: readonly number[], chance: number): number {
  let sum = 0;
  for (let tier = 0; tier < shares.length - 1; tier += 1) {
    sum += shares[tier] ?? 0;
    if (chance < sum) return tier;
  }
  return shares.length - 1;
}
