// Makes a stored adaptive state safe to take over: a row may be years old, edited by hand, or
// written by a machine of another kind or one whose clock was wrong.

import { WEIGHT_MAX } from "../../outcome.ts";
import { OUTCOMES_MAX } from "../../window/outcome-window.ts";
import { BACKOFF_ATTEMPT_MAX } from "./options.ts";
import type { AdaptiveSnapshot, AdaptiveTripEvidence } from "./snapshot.ts";
import { TEXT_LENGTH_MAX } from "../snapshot.ts";

type Unchecked<T> = { readonly [K in keyof T]?: unknown };

/**
 * Whatever cannot be read becomes the harmless value, except `tripped`: anything but an explicit
 * false keeps the breaker tripped, and a date that is missing then is the latest that is known.
 * `updatedAt` dates a trip that has none.
 */
export function sanitiseAdaptive(
  raw: Unchecked<AdaptiveSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): AdaptiveSnapshot {
  const date = (value: unknown): number | null =>
    isNumber(value) && value >= 1 ? Math.min(Math.floor(value), wallMs) : null;

  const tripped = !(raw.tripped === false || raw.tripped === 0 || raw.tripped === null);
  const manual = tripped && (raw.manual === true || raw.manual === 1);
  const isHalfOpen = tripped && !manual && raw.state === "half-open";
  const isDegraded = !tripped && raw.state === "degraded";
  const lastFailureAt = date(raw.lastFailureAt);
  const totalAttempts = Math.min(count(raw.totalAttempts), OUTCOMES_MAX);
  return {
    version: 1,
    kind: "adaptive",
    state: isHalfOpen
      ? "half-open"
      : tripped
        ? "cooling-down"
        : isDegraded
          ? "degraded"
          : "healthy",
    stateChangedAt: date(raw.stateChangedAt),
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
    tripped,
    manual,
    tripCount: count(raw.tripCount),
    trippedAt: tripped ? (date(raw.trippedAt) ?? lastFailureAt ?? date(updatedAt) ?? wallMs) : null,
    // Legitimately in the future; the machine bounds it by its own longest cooldown.
    trippedUntil:
      tripped && !manual && isNumber(raw.trippedUntil) ? Math.floor(raw.trippedUntil) : null,
    trippedBy: manual ? null : evidence(raw.trippedBy),
    lastError: text(raw.lastError),
    lastFailureAt,
    lastSuccessAt: date(raw.lastSuccessAt),
    avgLatencyMs: duration(raw.avgLatencyMs),
    lastResetAt: date(raw.lastResetAt),
    lastResetBy: text(raw.lastResetBy),
    lastResetReason: text(raw.lastResetReason),
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function count(value: unknown): number {
  return isNumber(value) && value > 0 ? Math.floor(Math.min(value, WEIGHT_MAX)) : 0;
}

function share(value: unknown, otherwise: number): number {
  return isNumber(value) && value >= 0 && value <= 1 ? value : otherwise;
}

function duration(value: unknown): number | null {
  return isNumber(value) && value >= 0 ? value : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : null;
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
