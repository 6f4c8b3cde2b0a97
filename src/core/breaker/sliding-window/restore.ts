// Makes a stored sliding-window state safe to take over.

import { count, date, isNumber, sanitiseFacts, sanitiseTrip, type Unchecked } from "../sanitise.ts";
import type { SlidingWindowSnapshot, TripEvidence } from "./snapshot.ts";
import { RAMP_PERCENT } from "./ramp.ts";

/** `updatedAt` dates a trip that has none. */
export function sanitiseSlidingWindow(
  raw: Unchecked<SlidingWindowSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): SlidingWindowSnapshot {
  const trip = sanitiseTrip(raw, wallMs, updatedAt);
  const { tripped, manual } = trip;
  const isRamping = !tripped && raw.state === "ramping";
  const isHalfOpen = tripped && !manual && raw.state === "half-open";
  return {
    version: 1,
    kind: "sliding-window",
    state: isHalfOpen ? "half-open" : tripped ? "open" : isRamping ? "ramping" : "closed",
    stateChangedAt: date(raw.stateChangedAt, wallMs),
    recentCalls: count(raw.recentCalls),
    failureCount: count(raw.failureCount),
    slowCount: count(raw.slowCount),
    ...trip,
    trippedBy: manual ? null : evidence(raw.trippedBy),
    openings: count(raw.openings),
    rampStep: isRamping ? Math.min(count(raw.rampStep), RAMP_PERCENT.length - 1) : 0,
    ...sanitiseFacts(raw, wallMs),
  };
}

/** Numbers for people only: half of them are worse than none. */
function evidence(value: unknown): TripEvidence | null {
  if (typeof value !== "object" || value === null) return null;
  const { rule, count, calls, ratio, threshold } = value as Unchecked<TripEvidence>;
  if (rule !== "failure_ratio" && rule !== "slow_call_ratio") return null;
  if (!isNumber(count) || !isNumber(calls) || !isNumber(ratio) || !isNumber(threshold)) return null;
  return { rule, count, calls, ratio, threshold };
}
