// What a call came to. Three outcomes, not two: a call that its caller abandoned says nothing
// about the upstream, and counting it either way is the commonest mistake of the field.

/** `ok`: the upstream answered. `failed`: it did not, or badly. `ignored`: no evidence either way. */
export type OutcomeKind = "ok" | "failed" | "ignored";

/** What `settle()` is told about an admitted call. */
export interface Outcome {
  readonly outcome: OutcomeKind;
  /**
   * Weight of a failure, 0–1000, kept to three decimals. Default: the breaker's `timeoutWeight`
   * when `timeout` is true, else its `failureWeight`. Meaningless for other outcomes.
   */
  readonly weight?: number;
  /** Whether the failure was a timeout. Default false. */
  readonly timeout?: boolean;
  /**
   * Duration in milliseconds, finite and ≥ 0; anything else is dropped and counted as an invalid
   * sample. Default: measured from admission to settlement.
   */
  readonly latencyMs?: number;
  /**
   * Milliseconds before which the upstream asked not to be called again, as its `Retry-After` says.
   * Only breakers that recover by themselves heed it. Default: nothing was asked.
   */
  readonly retryAfterMs?: number | undefined;
  /**
   * With `ignored`: milliseconds for which the caller had waited for the upstream when it gave up. One who
   * waited as long as a slow call takes has seen a slow call, and one who left an upstream that answers
   * nobody has seen a timeout. Default: the call says nothing.
   */
  readonly leftAfterMs?: number;
  /**
   * With `leftAfterMs`: milliseconds for which somebody, this caller or others before it, has been waiting
   * for the upstream without a pause. Default `leftAfterMs`.
   */
  readonly waitedInAllMs?: number;
  /** The error, or a text, kept as the breaker's last error: its message only, never its stack. */
  readonly error?: unknown;
}

/**
 * Weights are integers of a thousandth, so that a hundred timeouts of 0.1 make exactly 10: in
 * binary fractions they make 9.99999999999998, and the breaker trips one call late.
 */
export const WEIGHT_SCALE = 1000;

/** Largest weight and threshold accepted: far beyond use, far below what integers lose. */
export const WEIGHT_MAX = 1_000_000;

export function toThousandths(weight: number): number {
  return Math.round(weight * WEIGHT_SCALE);
}

export function fromThousandths(thousandths: number): number {
  return thousandths / WEIGHT_SCALE;
}

/** Latencies come from callers: a NaN that reached an average would stay there for ever. */
export function isLatency(latencyMs: number): boolean {
  return latencyMs >= 0 && latencyMs < Number.POSITIVE_INFINITY;
}
