// What one label value shows: usually one upstream, and for `__overflow__` all the rest together.
// Counts are summed; of states and averages the worst one is shown.

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
  readonly durationCount: number;
  readonly durationSumMs: number;
  /** Not cumulative. */
  readonly buckets: readonly number[];
}

export interface Gauges {
  readonly isTripped: boolean;
  readonly mode: OperatorMode;
  readonly inFlight: number;
  readonly abandoned: number;
  snapshot(): MeteredSnapshot;
}

/** The parts of a breaker's snapshot that are shown; those of a window only where there is one. */
export interface MeteredSnapshot {
  readonly kind?: string;
  readonly state?: string;
  readonly failureCount: number;
  readonly tripCount: number;
  readonly avgLatencyMs: number | null;
  readonly recentCalls?: number;
  readonly slowCount?: number;
}

/** One endpoint of an upstream, or an upstream that is its own only endpoint. */
export interface MeteredEndpoint {
  readonly name: string;
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

  operation(label: string): OperationRow {
    let row = this.operations.get(label);
    if (row === undefined) {
      row = new OperationRow();
      this.operations.set(label, row);
    }
    return row;
  }
}

export class OperationRow {
  ok = 0;
  failed = 0;
  timeout = 0;
  ignored = 0;
  readonly refused: Partial<Record<RefusalReason, number>> = {};
  shadowRefused = 0;
  durationCount = 0;
  durationSumMs = 0;
  readonly buckets: number[] = [];

  add(counts: OperationCounts): void {
    this.ok += counts.ok;
    this.failed += counts.failed;
    this.timeout += counts.timeout;
    this.ignored += counts.ignored;
    this.shadowRefused += counts.shadowRefused;
    this.durationCount += counts.durationCount;
    this.durationSumMs += counts.durationSumMs;
    const { buckets, refused } = counts;
    if (counts.durationCount > 0) {
      for (let index = 0; index < buckets.length; index += 1) {
        this.buckets[index] = (this.buckets[index] ?? 0) + (buckets[index] ?? 0);
      }
    }
    if (refused === undefined) return;
    for (const reason of REFUSAL_REASONS) {
      const count = refused[reason];
      if (count !== undefined) this.refused[reason] = (this.refused[reason] ?? 0) + count;
    }
  }
}
