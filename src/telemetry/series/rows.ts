// What one label value shows: usually one upstream, and for `__overflow__` all the rest together.
// Counts are summed; of states and averages the worst one is shown.

import { TIMED_OUTCOMES, type TimedOutcome } from "../../pipeline/call/stats.ts";
import type { MeteredLimit } from "../../pipeline/overload/status.ts";
import { LimitRow } from "./limit-rows.ts";
import { REFUSAL_REASONS, type OperatorMode, type RefusalReason } from "../../core/events.ts";

export interface OperationCounts {
  readonly name: string;
  /** Whether it was known beforehand: then it has series of its own in any case. */
  readonly isListed: boolean;
  readonly ok: number;
  readonly failed: number;
  readonly timeout: number;
  readonly ignored: number;
  readonly refused: Readonly<Partial<Record<RefusalReason, number>>> | undefined;
  readonly shadowRefused: number;
  /** Undefined before the first. */
  durations(outcome: TimedOutcome): DurationCounts | undefined;
}

export interface DurationCounts {
  readonly count: number;
  readonly sumMs: number;
  /** Not cumulative. */
  readonly buckets: readonly number[];
}

export interface Gauges {
  readonly failureThreshold: number;
  readonly isTripped: boolean;
  readonly mode: OperatorMode;
  readonly inFlight: number;
  readonly abandoned: number;
  snapshot(): MeteredSnapshot;
}

/** The parts of a breaker's snapshot that are shown; those of a window only where there is one. */
export interface MeteredSnapshot {
  readonly kind: string;
  readonly state?: string;
  readonly tripped: boolean;
  readonly manual: boolean;
  /** Epoch milliseconds; null while closed, and where nobody knows. */
  readonly trippedAt: number | null;
  readonly failureCount: number;
  readonly tripCount: number;
  readonly avgLatencyMs: number | null;
  readonly recentCalls?: number;
  readonly slowCount?: number;
}

/** One endpoint of an upstream, or an upstream that is its own only endpoint. */
export interface MeteredEndpoint {
  readonly name: string;
  /** Whose endpoint it is; undefined for an upstream that is its own. */
  readonly upstream: string | undefined;
  readonly ok: number;
  /** 0 healthy, 1 degraded, 2 cooling down, 3 half-open. */
  readonly stateCode: number;
  readonly failures: number;
  /** Epoch milliseconds; null before the first time. */
  readonly lastOpenedAt: number | null;
  /** Null before the first call. */
  readonly successRate: number | null;
  readonly healthScore: number;
  readonly avgLatencyMs: number | null;
}

const WINDOW_STATES = ["closed", "open", "half-open", "ramping"];

export interface Counters {
  readonly trips: number;
  readonly resets: number;
  readonly resetsDenied: number;
  readonly lateOk: number;
  readonly lateFailed: number;
  readonly invalidSamples: number;
}

export class UpstreamRow {
  readonly label: string;
  hasGauges = false;
  tripped = 0;
  failures = 0;
  tripCount = 0;
  /** Of several the one with the lowest: it trips first. */
  failureThreshold: number | undefined = undefined;
  readonly kinds = new Set<string>();
  byHand = 0;
  /** The longest ago, epoch milliseconds. */
  trippedAt: number | undefined = undefined;
  latencyMs: number | undefined = undefined;
  inFlight = 0;
  abandoned = 0;
  /** Set for an upstream with a sliding window. */
  window: { state: number; failureRate: number; slowRate: number } | undefined = undefined;
  readonly modes: Record<OperatorMode, number> = { normal: 0, shadow: 0, "forced-closed": 0 };

  hasCounters = false;
  trips = 0;
  resets = 0;
  resetsDenied = 0;
  lateOk = 0;
  lateFailed = 0;
  invalidSamples = 0;
  readonly operations = new Map<string, OperationRow>();
  /** By endpoint, "" for those of upstreams that are one place. */
  readonly limits = new Map<string, LimitRow>();

  constructor(label: string) {
    this.label = label;
  }

  addGauges(upstream: Gauges): void {
    const snapshot = upstream.snapshot();
    const { failureCount, tripCount, avgLatencyMs } = snapshot;
    this.hasGauges = true;
    // In the other modes its word has no effect, and nobody is to be called for it.
    if (upstream.isTripped && upstream.mode === "normal") this.tripped = 1;
    this.failures = Math.max(this.failures, failureCount);
    const threshold = upstream.failureThreshold;
    if (threshold < (this.failureThreshold ?? Infinity)) this.failureThreshold = threshold;
    this.kinds.add(snapshot.kind);
    if (snapshot.tripped) {
      if (snapshot.manual) this.byHand = 1;
      const { trippedAt } = snapshot;
      if (trippedAt !== null) this.trippedAt = Math.min(this.trippedAt ?? trippedAt, trippedAt);
    }
    this.tripCount += tripCount;
    if (avgLatencyMs !== null) this.latencyMs = Math.max(this.latencyMs ?? 0, avgLatencyMs);
    this.inFlight += upstream.inFlight;
    this.abandoned += upstream.abandoned;
    this.modes[upstream.mode] = 1;
    if (snapshot.kind === "sliding-window") this.#addWindow(snapshot);
  }

  #addWindow({ state = "", failureCount, recentCalls = 0, slowCount = 0 }: MeteredSnapshot): void {
    const { window } = this;
    const calls = Math.max(recentCalls, 1);
    this.window = {
      state: Math.max(window?.state ?? 0, WINDOW_STATES.indexOf(state)),
      failureRate: Math.max(window?.failureRate ?? 0, failureCount / calls),
      slowRate: Math.max(window?.slowRate ?? 0, slowCount / calls),
    };
  }

  addCounters(counters: Counters): void {
    this.hasCounters = true;
    this.trips += counters.trips;
    this.resets += counters.resets;
    this.resetsDenied += counters.resetsDenied;
    this.lateOk += counters.lateOk;
    this.lateFailed += counters.lateFailed;
    this.invalidSamples += counters.invalidSamples;
  }

  addLimit(endpoint: string, { guard }: MeteredLimit): void {
    let row = this.limits.get(endpoint);
    if (row === undefined) {
      row = new LimitRow();
      this.limits.set(endpoint, row);
    }
    row.add(guard);
  }

  operation(label: string): OperationRow {
    let row = this.operations.get(label);
    if (row === undefined) {
      row = new OperationRow();
      this.operations.set(label, row);
    }
    return row;
  }
}

export class DurationRow {
  count = 0;
  sumMs = 0;
  readonly buckets: number[] = [];

  add({ count, sumMs, buckets }: DurationCounts): void {
    this.count += count;
    this.sumMs += sumMs;
    if (count === 0) return;
    for (let index = 0; index < buckets.length; index += 1) {
      this.buckets[index] = (this.buckets[index] ?? 0) + (buckets[index] ?? 0);
    }
  }
}

export class OperationRow {
  ok = 0;
  failed = 0;
  timeout = 0;
  ignored = 0;
  readonly refused: Partial<Record<RefusalReason, number>> = {};
  shadowRefused = 0;
  readonly durations: Readonly<Record<TimedOutcome, DurationRow>> = {
    ok: new DurationRow(),
    failed: new DurationRow(),
    timeout: new DurationRow(),
  };

  add(counts: OperationCounts): void {
    this.ok += counts.ok;
    this.failed += counts.failed;
    this.timeout += counts.timeout;
    this.ignored += counts.ignored;
    this.shadowRefused += counts.shadowRefused;
    for (const outcome of TIMED_OUTCOMES) {
      const durations = counts.durations(outcome);
      if (durations !== undefined) this.durations[outcome].add(durations);
    }
    const { refused } = counts;
    if (refused === undefined) return;
    for (const reason of REFUSAL_REASONS) {
      const count = refused[reason];
      if (count !== undefined) this.refused[reason] = (this.refused[reason] ?? 0) + count;
    }
  }
}
