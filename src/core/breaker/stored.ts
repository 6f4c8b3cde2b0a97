// What the snapshots of all machines hold alike.

/** What is known of an upstream's calls whatever the state. */
export interface StoredFacts {
  readonly lastError: string | null;
  /** Epoch milliseconds, as all dates below. */
  readonly lastFailureAt: number | null;
  readonly lastSuccessAt: number | null;
  /** Exponentially weighted average in milliseconds; null before the first sample. */
  readonly avgLatencyMs: number | null;
  readonly lastResetAt: number | null;
  readonly lastResetBy: string | null;
  readonly lastResetReason: string | null;
}

export type StoredReset = Pick<StoredFacts, "lastResetAt" | "lastResetBy" | "lastResetReason">;

/** Why calls are turned away, and since when. */
export interface StoredTrip {
  /** Whether it turns calls away, all or all but probes. */
  readonly tripped: boolean;
  /** Whether a person tripped it: such a trip is never probed. */
  readonly manual: boolean;
  /** Trips since the row exists. A failed probe is no new trip. */
  readonly tripCount: number;
  /** Epoch milliseconds, as all dates below; null while not tripped. */
  readonly trippedAt: number | null;
  /** When probes are, or would be, due; null for trips by hand, and while not tripped. */
  readonly trippedUntil: number | null;
}

/** What a breaker that recovers by itself adds to it. */
export interface StoredStanding<State, Evidence> extends StoredTrip {
  readonly state: State;
  /** Null before the first change. */
  readonly stateChangedAt: number | null;
  /** Which rule tripped it, last; null before the first trip and after one by hand. */
  readonly trippedBy: Evidence | null;
}
