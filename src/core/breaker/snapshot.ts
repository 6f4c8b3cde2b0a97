// What a machine leaves behind for the next process: versioned, dated by the wall clock, and
// never believed without validation on the way in. A database may be years old, hand-edited, or
// written by a machine whose clock was wrong.

import type { AdaptiveSnapshot } from "./adaptive/snapshot.ts";
import type { SlidingWindowSnapshot } from "./sliding-window/snapshot.ts";
import type { StoredFacts, StoredTrip } from "./stored.ts";

/** Longest text kept from an error, a reason or an actor, in UTF-16 code units. */
export const TEXT_LENGTH_MAX = 1024;

export interface LatchingSnapshot extends StoredTrip, StoredFacts {
  readonly version: 1;
  readonly kind: "latching";
  /** Weighted count of failures since the last success or reset. */
  readonly failureCount: number;
}

/** One union of all machines' snapshots; `kind` tells them apart. */
export type BreakerSnapshot = LatchingSnapshot | SlidingWindowSnapshot | AdaptiveSnapshot;

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
