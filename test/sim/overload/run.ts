// Plays a scenario before a guard, call by call on a virtual clock, and counts what came of it.

import assert from "node:assert/strict";
import type { Random } from "../../../src/core/random.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { TURNED_AWAY, WAITS, type Column, type Guard } from "./guard.ts";
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

/** What has become of a call so far. */
const WAITING = 0;
const IN_FLIGHT = 1;
const OVER = 2;

export function play(scenario: Scenario, column: Column, seed: number): Tally {
  const random = new SeededRandom(seed);
  const { spikeMs, endMs, deadlineMs, replicas, shares } = scenario;
  const upstream = new Upstream(new SeededRandom(seed + 1000));
  const inFlight = new Int32Array(replicas);
  const waiting = new Int32Array(replicas);

  // Calls in order of arrival; their deadlines, and the ends of their waits, come in the same order.
  const starts: number[] = [];
  const proofs: number[] = [];
  const tiers: number[] = [];
  const owners: number[] = [];
  const states: number[] = [];
  let oldest = 0;
  const line: number[] = [];
  let firstInLine = 0;
  const latencies: number[] = [];
  let offered = 0;
  let offeredTop = 0;
  let servedTop = 0;
  let admitted = 0;
  let timeouts = 0;
  let timeoutsAtFirst = 0;
  let nextArrivalMs = 0;
  let nowMs = 0;

  const letIn = (call: number, proof: number): void => {
    const owner = owners[call] ?? 0;
    if ((starts[call] ?? 0) >= spikeMs) admitted += 1;
    proofs[call] = proof;
    states[call] = IN_FLIGHT;
    inFlight[owner] = (inFlight[owner] ?? 0) + 1;
    upstream.arrive(call, scenario.capability(nowMs), nowMs);
  };
  const decided = (call: number, proof: number): void => {
    assert.equal(states[call], WAITING);
    const owner = owners[call] ?? 0;
    waiting[owner] = (waiting[owner] ?? 0) - 1;
    if (proof === TURNED_AWAY) states[call] = OVER;
    else letIn(call, proof);
  };
  /** It has ended for its caller. */
  const end = (call: number): number => {
    states[call] = OVER;
    const owner = owners[call] ?? 0;
    inFlight[owner] = (inFlight[owner] ?? 0) - 1;
    return owner;
  };
  const guards: Guard[] = [];
  for (let replica = 0; replica < replicas; replica += 1) {
    guards.push(column({ deadlineMs, startMs: 0, decided }));
  }
  const waitMs = guards[0]?.waitMs ?? Number.POSITIVE_INFINITY;

  for (;;) {
    while (states[oldest] === OVER) oldest += 1;
    while (firstInLine < line.length && states[line[firstInLine] ?? 0] !== WAITING)
      firstInLine += 1;
    const inLine = line[firstInLine] ?? -1;
    const waitedAtMs = (starts[inLine] ?? Number.POSITIVE_INFINITY) + waitMs;
    const deadlineAtMs = (starts[oldest] ?? Number.POSITIVE_INFINITY) + deadlineMs;
    const endsAtMs = upstream.nextEndMs;
    nowMs = Math.min(nextArrivalMs, waitedAtMs, deadlineAtMs, endsAtMs);
    if (nowMs > endMs + REST_DEADLINES * deadlineMs) break;
    if (nowMs === Number.POSITIVE_INFINITY) break;
    let owner = -1;
    if (nowMs === endsAtMs) {
      const call = upstream.end(scenario.capability(nowMs));
      if (states[call] === IN_FLIGHT) {
        owner = end(call);
        const startMs = starts[call] ?? 0;
        guards[owner]?.ok(proofs[call] ?? 0, startMs, nowMs);
        if (startMs >= spikeMs) {
          latencies.push(nowMs - startMs);
          if (tiers[call] === 0) servedTop += 1;
        }
      }
    } else if (nowMs === waitedAtMs) {
      owner = owners[inLine] ?? 0;
      guards[owner]?.waited?.(inLine, nowMs);
      assert.notEqual(states[inLine], WAITING);
    } else if (nowMs === deadlineAtMs) {
      owner = end(oldest);
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
      const call = starts.length;
      const proof = guards[owner]?.admit(tier, nowMs, call) ?? TURNED_AWAY;
      if (proof !== TURNED_AWAY) {
        starts.push(nowMs);
        tiers.push(tier);
        owners.push(owner);
        proofs.push(proof);
        states.push(WAITING);
        if (proof === WAITS) {
          line.push(call);
          waiting[owner] = (waiting[owner] ?? 0) + 1;
        } else letIn(call, proof);
      }
      nextArrivalMs = nextArrival(scenario, nowMs, random);
    }
    guards[owner]?.check?.(inFlight[owner] ?? 0, waiting[owner] ?? 0);
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
