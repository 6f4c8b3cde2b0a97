// What people and programs are told about one upstream. A fresh object each time; absent values
// are null, so that JSON keeps their keys.

import type { BreakerKind } from "../core/breaker/machine.ts";
import type { OperatorMode } from "../core/events.ts";

export interface UpstreamStatus {
  readonly upstream: string;
  readonly kind: BreakerKind;
  /** The machine's own word: `closed`, `open`, `half-open`. */
  readonly state: string;
  readonly mode: OperatorMode;
  /** Whether the breaker is not closed; it stays true while a probe runs. */
  readonly tripped: boolean;
  /** Whether a person tripped it. */
  readonly manual: boolean;
  readonly failureCount: number;
  readonly failureThreshold: number;
  readonly tripCount: number;
  readonly lastError: string | null;
  /** Milliseconds; null before the first success. */
  readonly avgLatencyMs: number | null;
  /** Epoch milliseconds, as all dates. */
  readonly lastFailureAt: number | null;
  readonly lastSuccessAt: number | null;
  readonly trippedAt: number | null;
  /** One `resetTimeoutMs` after the trip or the last failed probe; null for trips by hand. */
  readonly trippedUntil: number | null;
  /** Until a reset is accepted without force; 0 when it is now. */
  readonly cooldownRemainingMs: number;
  readonly lastResetAt: number | null;
  readonly lastResetBy: string | null;
  readonly lastResetReason: string | null;
  /** False while the last change is in memory only, because the store fails. */
  readonly persisted: boolean;
  /** Calls whose callers wait. */
  readonly inFlight: number;
  /** Calls that timed out or were aborted, and still run. */
  readonly abandoned: number;
}
