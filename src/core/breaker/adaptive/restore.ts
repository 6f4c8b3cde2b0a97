// Makes a stored adaptive state safe to take over.

import { OUTCOMES_MAX } from "../../window/outcome-window.ts";
import {
  count,
  date,
  duration,
  isNumber,
  sanitiseFacts,
  sanitiseTrip,
  type Unchecked,
} from "../sanitise.ts";
import { BACKOFF_ATTEMPT_MAX } from "./options.ts";
import type { AdaptiveSnapshot, AdaptiveTripEvidence } from "./snapshot.ts";

/** `updatedAt` dates a trip that has none. */
export function sanitiseAdaptive(
  raw: Unchecked<AdaptiveSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): AdaptiveSnapshot {
  const trip = sanitiseTrip(raw, wallMs, updatedAt);
  const { tripped, manual } = trip;
  const isHalfOpen = tripped && !manual && raw.state === "half-open";
  const closed = raw.state === "degraded" ? "degraded" : "healthy";
  const totalAttempts = Math.min(count(raw.totalAttempts), OUTCOMES_MAX);
  return {
    version: 1,
    kind: "adaptive",
    state: isHalfOpen ? "half-open" : tripped ? "cooling-down" : closed,
    stateChangedAt: date(raw.stateChangedAt, wallMs),
    failureCount: count(raw.failureCount),
    successRate: share(raw.successRate, 1),
    totalAttempts,
    successfulAttempts: Math.min(count(raw.successfulAttempts), totalAttempts),
    adaptiveThreshold: count(raw.adaptiveThreshold),
    healthScore: share(raw.healthScore, 1),
    latencyJitterMs: duration(raw.latencyJitterMs) ?? 0,
    ewmaErrorRate: share(raw.ewmaErrorRate, 0),
    canaryProgress: isHalfOpen ? progress(raw.canaryProgress) : null,
    backoffAttempt: tripped ? Math.min(count(raw.backoffAttempt), BACKOFF_ATTEMPT_MAX) : 0,
    ...trip,
    trippedBy: manual ? null : evidence(raw.trippedBy),
    ...sanitiseFacts(raw, wallMs),
  };
}

function share(value: unknown, otherwise: number): number {
  return isNumber(value) && value >= 0 && value <= 1 ? value : otherwise;
}

function progress(value: unknown): readonly [number, number] {
  if (!Array.isArray(value)) return [0, 0];
  const done = count(value[1]);
  return [Math.min(count(value[0]), done), done];
}

/** Numbers for people only: half of them are worse than none. */
function evidence(value: unknown): AdaptiveTripEvidence | null {
  if (typeof value !== "object" || value === null) return null;
  const { rule, value: seen, threshold } = value as Unchecked<AdaptiveTripEvidence>;
  if (rule !== "consecutive_failures" && rule !== "success_rate" && rule !== "health_score") {
    return null;
  }
  return isNumber(seen) && isNumber(threshold) ? { rule, value: seen, threshold } : null;
}
