// What a sliding-window breaker counts since it was made; people and the source system's façade ask.

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
