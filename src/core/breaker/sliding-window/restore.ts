// Makes a stored sliding-window state safe to take over: a row may be years old, edited by hand, or
// written by a machine whose clock was wrong.

import { WEIGHT_MAX } from "../../outcome.ts";
import type { SlidingWindowSnapshot, TripEvidence } from "./snapshot.ts";
import { RAMP_PERCENT } from "./ramp.ts";
import { TEXT_LENGTH_MAX } from "../snapshot.ts";

type Unchecked<T> = { readonly [K in keyof T]?: unknown };

/**
 * Whatever cannot be read becomes the harmless value, except `tripped`: anything but an explicit
 * false keeps the breaker tripped, and a date that is missing then is the latest that is known.
 * `updatedAt` dates a trip that has none.
 */
export function sanitiseSlidingWindow(
  raw: Unchecked<SlidingWindowSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): SlidingWindowSnapshot {
  const date = (value: unknown): number | null =>
    isNumber(value) && value >= 1 ? Math.min(Math.floor(value), wallMs) : null;

  const tripped = !(raw.tripped === false || raw.tripped === 0 || raw.tripped === null);
  const manual = tripped && (raw.manual === true || raw.manual === 1);
  const isRamping = !tripped && raw.state === "ramping";
  const isHalfOpen = tripped && !manual && raw.state === "half-open";
  const lastFailureAt = date(raw.lastFailureAt);
  return {
    version: 1,
    kind: "sliding-window",
    state: isHalfOpen ? "half-open" : tripped ? "open" : isRamping ? "ramping" : "closed",
    stateChangedAt: date(raw.stateChangedAt),
    recentCalls: count(raw.recentCalls),
    failureCount: count(raw.failureCount),
    slowCount: count(raw.slowCount),
    tripped,
    manual,
    tripCount: count(raw.tripCount),
    trippedAt: tripped ? (date(raw.trippedAt) ?? lastFailureAt ?? date(updatedAt) ?? wallMs) : null,
    // Legitimately in the future; the machine bounds it by its own longest wait.
    trippedUntil:
      tripped && !manual && isNumber(raw.trippedUntil) ? Math.floor(raw.trippedUntil) : null,
    trippedBy: manual ? null : evidence(raw.trippedBy),
    openings: count(raw.openings),
    rampStep: isRamping ? Math.min(count(raw.rampStep), RAMP_PERCENT.length - 1) : 0,
    lastError: text(raw.lastError),
    lastFailureAt,
    lastSuccessAt: date(raw.lastSuccessAt),
    avgLatencyMs: isNumber(raw.avgLatencyMs) && raw.avgLatencyMs >= 0 ? raw.avgLatencyMs : null,
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

function text(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : null;
}

/** Numbers for people only: half of them are worse than none. */
function evidence(value: unknown): TripEvidence | null {
  if (typeof value !== "object" || value === null) return null;
  const { rule, count, calls, ratio, threshold } = value as Unchecked<TripEvidence>;
  if (rule !== "failure_ratio" && rule !== "slow_call_ratio") return null;
  if (!isNumber(count) || !isNumber(calls) || !isNumber(ratio) || !isNumber(threshold)) return null;
  return { rule, count, calls, ratio, threshold };
}
