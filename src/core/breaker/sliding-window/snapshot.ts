// What a sliding-window breaker leaves behind for the next process, and shows to people.

import type { StoredFacts, StoredStanding } from "../stored.ts";

export type SlidingWindowState = "closed" | "open" | "half-open" | "ramping";

/** The rule that tripped a breaker by itself, with the numbers that it saw. */
export interface TripEvidence {
  readonly rule: "failure_ratio" | "slow_call_ratio";
  /** Calls in the window that failed, or were slow. */
  readonly count: number;
  /** Calls in the window. */
  readonly calls: number;
  /** `count / calls`. */
  readonly ratio: number;
  /** What the ratio was held against. */
  readonly threshold: number;
}

export interface SlidingWindowSnapshot
  extends StoredStanding<SlidingWindowState, TripEvidence>, StoredFacts {
  readonly version: 1;
  readonly kind: "sliding-window";
  /** Calls in the window, and how many of them failed or were slow. For people: not restored. */
  readonly recentCalls: number;
  readonly failureCount: number;
  readonly slowCount: number;
  /** Openings since it last stayed closed: what the open duration grows with. */
  readonly openings: number;
  /** How far the ramp has come, from 0; 0 unless ramping. */
  readonly rampStep: number;
}
