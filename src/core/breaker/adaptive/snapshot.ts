// What an adaptive breaker leaves behind for the next process, and shows to people.

import type { StoredFacts, StoredStanding } from "../stored.ts";

export type AdaptiveState = "healthy" | "degraded" | "cooling-down" | "half-open";

/** The rule that tripped a breaker by itself, with the numbers that it saw. */
export interface AdaptiveTripEvidence {
  readonly rule: "consecutive_failures" | "success_rate" | "health_score";
  /** Failures in a row, a success rate of 0–1, or a health score of 0–1. */
  readonly value: number;
  /** What the value was held against: reached by failures, not reached by the other two. */
  readonly threshold: number;
}

/** What the machine knows of its endpoint at this moment, in the source system's names. */
export interface AdaptiveStats {
  readonly state: AdaptiveState;
  readonly consecutiveFailures: number;
  /** Among the kept outcomes, 0–1; 1 when none is kept. */
  readonly successRate: number;
  /** Outcomes kept, at most 100, and successes among them. */
  readonly totalAttempts: number;
  readonly successfulAttempts: number;
  /** Failures in a row that degrade it, as it is now. */
  readonly adaptiveThreshold: number;
  /** Successes and results of the present canaries; null unless half-open. */
  readonly canaryProgress: readonly [successes: number, done: number] | null;
  /** 0–1. */
  readonly healthScore: number;
  /** Mean of the last 50 latencies in milliseconds; 0 without any. */
  readonly avgLatencyMs: number;
  /** Their sample standard deviation; 0 for fewer than two. */
  readonly latencyJitterMs: number;
  /** Exponentially weighted, 0–1. */
  readonly ewmaErrorRate: number;
}

export interface AdaptiveSnapshot
  extends StoredStanding<AdaptiveState, AdaptiveTripEvidence>, StoredFacts {
  readonly version: 1;
  readonly kind: "adaptive";
  /** Failures in a row. This and the numbers up to `canaryProgress` are for people: not restored. */
  readonly failureCount: number;
  readonly successRate: number;
  readonly totalAttempts: number;
  readonly successfulAttempts: number;
  readonly adaptiveThreshold: number;
  readonly healthScore: number;
  readonly latencyJitterMs: number;
  readonly ewmaErrorRate: number;
  readonly canaryProgress: readonly [successes: number, done: number] | null;
  /** Cooldowns in a row without a half-open time that passed: what the next one grows with. */
  readonly backoffAttempt: number;
  /** Mean of the last 50 latencies in milliseconds; null before the first sample. */
  readonly avgLatencyMs: number | null;
}
