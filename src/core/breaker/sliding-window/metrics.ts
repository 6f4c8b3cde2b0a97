// What a sliding-window breaker counts since it was made; people and the source system's façade ask.

import type { WindowCounts } from "../../window/call-window.ts";
import type { SlidingWindowState } from "./snapshot.ts";

/** What the source system called its metrics. Rejected calls are in no total but their own. */
export interface SlidingWindowMetrics {
  readonly state: SlidingWindowState;
  /** Successes and failures since the machine was made. */
  readonly totalRequests: number;
  readonly totalSuccesses: number;
  readonly totalFailures: number;
  readonly rejected: number;
  /** Over all those; 1 when there were none. */
  readonly successRate: number;
  /** Over the window; 0 when it is empty. */
  readonly recentFailureRate: number;
  readonly recentSlowRate: number;
  readonly recentRequests: number;
  readonly stateChanges: number;
  /** Seconds. */
  readonly timeInCurrentState: number;
  /** Seconds until probes are due; 0 unless open, null when only a person can close it. */
  readonly timeUntilRetry: number | null;
}

interface Counted {
  readonly state: SlidingWindowState;
  readonly successes: number;
  readonly failures: number;
  readonly rejected: number;
  readonly stateChanges: number;
  readonly inStateMs: number;
  /** Until probes are due; undefined when only a person can close it. */
  readonly waitMs: number | undefined;
  readonly window: WindowCounts;
}

export function slidingWindowMetrics(counted: Counted): SlidingWindowMetrics {
  const { state, successes, failures, rejected, stateChanges, inStateMs, waitMs } = counted;
  const { calls, failures: recentFailures, slow } = counted.window;
  const totalRequests = successes + failures;
  return {
    state,
    totalRequests,
    totalSuccesses: successes,
    totalFailures: failures,
    rejected,
    successRate: totalRequests === 0 ? 1 : successes / totalRequests,
    recentFailureRate: calls === 0 ? 0 : recentFailures / calls,
    recentSlowRate: calls === 0 ? 0 : slow / calls,
    recentRequests: calls,
    stateChanges,
    timeInCurrentState: inStateMs / 1000,
    timeUntilRetry: waitMs === undefined ? null : waitMs / 1000,
  };
}
