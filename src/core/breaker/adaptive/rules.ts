// When an adaptive breaker degrades, trips and heals: the thresholds and the words for them.

import type { AdaptiveTripEvidence } from "./snapshot.ts";

/** Samples before the error rate may lower the threshold: fewer say nothing about its spread. */
export const ADAPTIVE_SAMPLES_MIN = 10;

/** Below this share of successes a degraded endpoint trips, given enough outcomes. */
export const SUCCESS_RATE_MIN = 0.3;

/** A degraded endpoint is healthy again above this share of successes, and of health. */
export const RECOVERY_MIN = 0.7;

/**
 * Failures in a row that degrade an endpoint, for an error rate that comes to `margin` (average plus
 * sensitivity times its deviation): a third of `base` above 0.7, half above 0.5, three quarters
 * above 0.3, rounded down; at least `floor`. Source: specification B-5.
 */
export function adaptiveThreshold(base: number, floor: number, margin: number): number {
  return Math.max(floor, reduced(base, margin));
}

function reduced(base: number, margin: number): number {
  if (margin > 0.7) return Math.floor(base / 3);
  if (margin > 0.5) return Math.floor(base / 2);
  return margin > 0.3 ? Math.floor((base * 3) / 4) : base;
}

/** The evidence in a sentence, for the event, the audit and the log. */
export function wordsOfAdaptive({ rule, value, threshold }: AdaptiveTripEvidence): string {
  if (rule === "consecutive_failures") {
    return `${value} failures in a row reached the threshold of ${threshold}`;
  }
  const what = rule === "success_rate" ? "success rate" : "health score";
  return `the ${what} of ${value.toFixed(3)} is below ${threshold}`;
}
