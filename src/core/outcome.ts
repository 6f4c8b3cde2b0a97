// What a call came to. Three outcomes, not two: a call that its caller abandoned says nothing
// about the upstream, and counting it either way is the commonest mistake of the field.

import { InvalidOptionsError } from "./errors.ts";
import { show } from "./options.ts";

/** `ok`: the upstream answered. `failed`: it did not, or badly. `ignored`: no evidence either way. */
export type OutcomeKind = "ok" | "failed" | "ignored";

/** What a call came to, as metrics count it: of the failed ones, timeouts apart. */
export type CallOutcome = "ok" | "failed" | "timeout" | "ignored";

/**
 * What a classifier may answer: a call's outcome. `success`, `failure` and `ignore` are other words for
 * `ok`, `failed` and `ignored`.
 */
export type Verdict = CallOutcome | "success" | "failure" | "ignore";

const OUTCOMES: ReadonlyMap<unknown, CallOutcome> = new Map<Verdict, CallOutcome>([
  ["ok", "ok"],
  ["success", "ok"],
  ["failed", "failed"],
  ["failure", "failed"],
  ["timeout", "timeout"],
  ["ignored", "ignored"],
  ["ignore", "ignored"],
]);

/** The outcome that a classifier's word stands for; undefined for what is none of them. */
export function outcomeOfVerdict(verdict: unknown): CallOutcome | undefined {
  return OUTCOMES.get(verdict);
}

/** What `settle()` is told about an admitted call. */
export interface Outcome {
  readonly outcome: OutcomeKind;
  /**
   * Weight of a failure, 0–1000, kept to three decimals. Default: the breaker's `timeoutWeight`
   * when `timeout` is true, else its `failureWeight`. Meaningless for other outcomes.
   */
  readonly weight?: number | undefined;
  /** Whether the failure was a timeout. Default false. */
  readonly timeout?: boolean | undefined;
  /**
   * Duration in milliseconds, finite and ≥ 0; anything else is dropped and counted as an invalid
   * sample. Default: measured from admission to settlement.
   */
  readonly latencyMs?: number | undefined;
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
  readonly leftAfterMs?: number | undefined;
  /**
   * With `leftAfterMs`: milliseconds for which somebody, this caller or others before it, has been waiting
   * for the upstream without a pause. Default `leftAfterMs`.
   */
  readonly waitedInAllMs?: number | undefined;
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

/** What one field of an outcome must be. */
const OUTCOME_FIELDS: readonly (readonly [key: keyof Outcome, type: "number" | "boolean"])[] = [
  ["weight", "number"],
  ["timeout", "boolean"],
  ["latencyMs", "number"],
  ["retryAfterMs", "number"],
  ["leftAfterMs", "number"],
  ["waitedInAllMs", "number"],
];

/**
 * An outcome as an adapter gave it, each field read once: a getter of its may throw here, and here only.
 * Throws what the getters of `given` throw, and `InvalidOptionsError` about `subject` for what is no outcome.
 * A number out of range is no fault here: its field says what becomes of it.
 */
export function readOutcome(subject: string, given: Outcome): Outcome {
  if (typeof given !== "object" || given === null) return refuseNone(subject, given);
  const { outcome, weight, timeout, latencyMs, retryAfterMs } = given;
  const { leftAfterMs, waitedInAllMs, error } = given;
  // Every settled call passes here, and a look at each field by its name costs half as much as the call.
  const isBrief =
    weight === undefined &&
    timeout === undefined &&
    retryAfterMs === undefined &&
    leftAfterMs === undefined &&
    waitedInAllMs === undefined;
  if (isBrief && outcome === "ok" && latencyMs === undefined) return OK;
  const read: Outcome = {
    outcome,
    latencyMs,
    error,
    weight,
    timeout,
    retryAfterMs,
    leftAfterMs,
    waitedInAllMs,
  };
  return checked(subject, read, isBrief);
}

/** What most calls come to, of the same shape as all others. */
const OK: Outcome = {
  outcome: "ok",
  latencyMs: undefined,
  error: undefined,
  weight: undefined,
  timeout: undefined,
  retryAfterMs: undefined,
  leftAfterMs: undefined,
  waitedInAllMs: undefined,
};

function checked(subject: string, read: Outcome, isBrief: boolean): Outcome {
  const { outcome, latencyMs } = read;
  const isOutcome = outcome === "ok" || outcome === "failed" || outcome === "ignored";
  const isTimed = latencyMs === undefined || typeof latencyMs === "number";
  if (isOutcome && isTimed && isBrief) return read;
  const faults: string[] = [];
  if (!isOutcome) faults.push(`outcome must be ok, failed or ignored, not ${show(outcome)}`);
  for (const [key, type] of OUTCOME_FIELDS) {
    const value = read[key];
    if (value === undefined || typeof value === type) continue;
    faults.push(`${key} must be a ${type}, not ${show(value)}`);
  }
  if (faults.length > 0) throw new InvalidOptionsError(subject, faults);
  return read;
}

function refuseNone(subject: string, given: unknown): never {
  throw new InvalidOptionsError(subject, [
    `it must be an object such as { outcome: "ok" }, not ${show(given)}`,
  ]);
}

/** Latencies come from callers: a NaN that reached an average would stay there for ever. */
export function isLatency(latencyMs: number): boolean {
  return latencyMs >= 0 && latencyMs < Number.POSITIVE_INFINITY;
}
