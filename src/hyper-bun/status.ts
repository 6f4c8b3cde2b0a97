// What Hyper-Bun reads about one bookmaker. Its routes read `failureCount` and its metrics `failures`,
// so both are there; absent values are null, which is what it tests for.

import type { UpstreamStatus } from "../index.ts";

export interface BookmakerStatus {
  bookmaker: string;
  /** Whether calls are refused; it stays true while a re-test runs. */
  tripped: boolean;
  /** Weighted failures since the last success or reset: a timeout counts a half. */
  failures: number;
  /** The same number under its other name. */
  failureCount: number;
  failureThreshold: number;
  lastError: string | null;
  /** Milliseconds; null before the first success. */
  avgLatency: number | null;
  /** Epoch milliseconds, as all dates. */
  lastFailureAt: number | null;
  /** Trips since the bookmaker was first stored. */
  tripCount: number;
  lastResetAt: number | null;
  lastResetBy: string | null;
  lastResetReason: string | null;
  state: "closed" | "open" | "half-open";
  /** Whether a person tripped it. */
  manual: boolean;
  trippedAt: number | null;
  /** One `resetTimeoutMs` after the trip or the last failed re-test; null for trips by hand. */
  trippedUntil: number | null;
  /** Milliseconds until a reset is accepted without force; 0 when it is now. */
  cooldownRemainingMs: number;
  lastSuccessAt: number | null;
  /** False while the last change is in memory only, because the database fails. */
  persisted: boolean;
}

export function bookmakerStatus(status: UpstreamStatus): BookmakerStatus {
  return {
    bookmaker: status.upstream,
    tripped: status.tripped,
    failures: status.failureCount,
    failureCount: status.failureCount,
    failureThreshold: status.failureThreshold,
    lastError: status.lastError,
    avgLatency: status.avgLatencyMs,
    lastFailureAt: status.lastFailureAt,
    tripCount: status.tripCount,
    lastResetAt: status.lastResetAt,
    lastResetBy: status.lastResetBy,
    lastResetReason: status.lastResetReason,
    state: status.state as BookmakerStatus["state"],
    manual: status.manual,
    trippedAt: status.trippedAt,
    trippedUntil: status.trippedUntil,
    cooldownRemainingMs: status.cooldownRemainingMs,
    lastSuccessAt: status.lastSuccessAt,
    persisted: status.persisted,
  };
}

/** Whether anything was ever recorded. A call under way, or one that was shed, is no record. */
export function isRecorded(
  status: Pick<
    UpstreamStatus,
    "tripped" | "tripCount" | "failureCount" | "lastFailureAt" | "lastSuccessAt" | "lastResetAt"
  >,
): boolean {
  return (
    status.tripped ||
    status.tripCount > 0 ||
    status.failureCount > 0 ||
    status.lastFailureAt !== null ||
    status.lastSuccessAt !== null ||
    status.lastResetAt !== null
  );
}
