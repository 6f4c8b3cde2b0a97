// What a machine leaves behind for the next process: versioned, dated by the wall clock, and
// never believed without validation on the way in. A database may be years old, hand-edited, or
// written by a machine whose clock was wrong.

import { WEIGHT_MAX } from "../outcome.ts";
import type { AdaptiveSnapshot } from "./adaptive/snapshot.ts";
import type { SlidingWindowSnapshot } from "./sliding-window/snapshot.ts";

/** Longest text kept from an error, a reason or an actor, in UTF-16 code units. */
export const TEXT_LENGTH_MAX = 1024;

export interface LatchingSnapshot {
  readonly version: 1;
  readonly kind: "latching";
  /** Weighted count of failures since the last success or reset. */
  readonly failureCount: number;
  readonly tripped: boolean;
  /** Whether a person tripped it: such a trip is never probed. */
  readonly manual: boolean;
  /** Trips since the row exists. */
  readonly tripCount: number;
  /** Epoch milliseconds, as all dates below. Null while closed. */
  readonly trippedAt: number | null;
  /** When a single probe would be due; null for trips by hand and while closed. */
  readonly trippedUntil: number | null;
  readonly lastError: string | null;
  readonly lastFailureAt: number | null;
  readonly lastSuccessAt: number | null;
  /** Exponentially weighted average in milliseconds; null before the first sample. */
  readonly avgLatencyMs: number | null;
  readonly lastResetAt: number | null;
  readonly lastResetBy: string | null;
  readonly lastResetReason: string | null;
}

/** One union of all machines' snapshots; `kind` tells them apart. */
export type BreakerSnapshot = LatchingSnapshot | SlidingWindowSnapshot | AdaptiveSnapshot;

type Unchecked<T> = { readonly [K in keyof T]?: unknown };

/** The snapshot of a breaker that nothing has happened to. */
export const PRISTINE_LATCHING: LatchingSnapshot = Object.freeze({
  version: 1,
  kind: "latching",
  failureCount: 0,
  tripped: false,
  manual: false,
  tripCount: 0,
  trippedAt: null,
  trippedUntil: null,
  lastError: null,
  lastFailureAt: null,
  lastSuccessAt: null,
  avgLatencyMs: null,
  lastResetAt: null,
  lastResetBy: null,
  lastResetReason: null,
});

/**
 * Makes a stored latching state safe to take over. `updatedAt` dates a trip that older versions
 * stored without a date. Whatever cannot be read becomes the harmless value, except `tripped`:
 * anything but an explicit false keeps the breaker tripped, since wrongly refusing is noticed and
 * wrongly hammering a dead upstream is not.
 */
export function sanitiseLatching(
  raw: Unchecked<LatchingSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): LatchingSnapshot {
  const date = (value: unknown): number | null =>
    typeof value === "number" && Number.isFinite(value) && value >= 1
      ? Math.min(Math.floor(value), wallMs)
      : null;
  const count = (value: unknown): number =>
    typeof value === "number" && Number.isFinite(value) && value > 0
      ? Math.min(value, WEIGHT_MAX)
      : 0;

  const tripped = !(raw.tripped === false || raw.tripped === 0 || raw.tripped === null);
  const manual = tripped && (raw.manual === true || raw.manual === 1);
  const lastFailureAt = date(raw.lastFailureAt);
  const trippedUntil = raw.trippedUntil;
  return {
    version: 1,
    kind: "latching",
    failureCount: count(raw.failureCount),
    tripped,
    manual,
    tripCount: Math.floor(count(raw.tripCount)),
    trippedAt: tripped ? (date(raw.trippedAt) ?? lastFailureAt ?? date(updatedAt) ?? wallMs) : null,
    // Legitimately in the future; the machine bounds it by its own reset timeout.
    trippedUntil:
      tripped && !manual && typeof trippedUntil === "number" && Number.isFinite(trippedUntil)
        ? Math.floor(trippedUntil)
        : null,
    lastError: text(raw.lastError),
    lastFailureAt,
    lastSuccessAt: date(raw.lastSuccessAt),
    avgLatencyMs:
      typeof raw.avgLatencyMs === "number" &&
      Number.isFinite(raw.avgLatencyMs) &&
      raw.avgLatencyMs >= 0
        ? raw.avgLatencyMs
        : null,
    lastResetAt: date(raw.lastResetAt),
    lastResetBy: text(raw.lastResetBy),
    lastResetReason: text(raw.lastResetReason),
  };
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : null;
}
