// Makes what all machines store alike safe to take over: a row may be years old, edited by hand, or
// written by a machine of another kind or one whose clock was wrong.
//
// Whatever cannot be read becomes the harmless value, except `tripped`: anything but an explicit
// false keeps the breaker tripped, since wrongly refusing is noticed and wrongly hammering a dead
// upstream is not. Dates ahead of the clock are those of now.

import { WEIGHT_MAX } from "../outcome.ts";
import { TEXT_LENGTH_MAX } from "./snapshot.ts";
import type { StoredFacts, StoredTrip } from "./stored.ts";

/** What was stored, before anybody looked at it. */
export type Unchecked<T> = { readonly [K in keyof T]?: unknown };

/** A trip without a date is given the latest that is known; `updatedAt` is the row's own. */
export function sanitiseTrip(
  raw: Unchecked<StoredTrip & StoredFacts>,
  wallMs: number,
  updatedAt: unknown,
): StoredTrip {
  const tripped = !(raw.tripped === false || raw.tripped === 0 || raw.tripped === null);
  const manual = tripped && (raw.manual === true || raw.manual === 1);
  const trippedAt = date(raw.trippedAt, wallMs) ?? date(raw.lastFailureAt, wallMs);
  const { trippedUntil } = raw;
  return {
    tripped,
    manual,
    tripCount: count(raw.tripCount),
    trippedAt: tripped ? (trippedAt ?? date(updatedAt, wallMs) ?? wallMs) : null,
    // Legitimately in the future; the machine bounds it by its own longest wait.
    trippedUntil: tripped && !manual && isNumber(trippedUntil) ? Math.floor(trippedUntil) : null,
  };
}

export function sanitiseFacts(raw: Unchecked<StoredFacts>, wallMs: number): StoredFacts {
  return {
    lastError: text(raw.lastError),
    lastFailureAt: date(raw.lastFailureAt, wallMs),
    lastSuccessAt: date(raw.lastSuccessAt, wallMs),
    avgLatencyMs: duration(raw.avgLatencyMs),
    lastResetAt: date(raw.lastResetAt, wallMs),
    lastResetBy: text(raw.lastResetBy),
    lastResetReason: text(raw.lastResetReason),
  };
}

export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

export function count(value: unknown): number {
  return isNumber(value) && value > 0 ? Math.floor(Math.min(value, WEIGHT_MAX)) : 0;
}

export function date(value: unknown, wallMs: number): number | null {
  return isNumber(value) && value >= 1 ? Math.min(Math.floor(value), wallMs) : null;
}

export function duration(value: unknown): number | null {
  return isNumber(value) && value >= 0 ? value : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : null;
}
