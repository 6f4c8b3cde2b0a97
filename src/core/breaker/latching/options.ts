// The latching breaker's options: meaning, defaults, ranges, and every fault listed at once.

import { WEIGHT_MAX, toThousandths } from "../../outcome.ts";
import { checkOptions, withoutUndefined, type OptionRules } from "../../options.ts";

export type Recovery = "manual" | "single-probe";

export interface LatchingOptions {
  /** Weighted failures without a success in between that trip it. Default 10; above 0. */
  readonly failureThreshold?: number;
  /** What one failure counts. Default 1; 0–1,000,000 with three decimals. */
  readonly failureWeight?: number;
  /** What one timeout counts. Default 0.5; 0 makes timeouts harmless. */
  readonly timeoutWeight?: number;
  /** Milliseconds after a trip during which a reset needs `force`. Default 60,000; ≥ 0. */
  readonly cooldownMs?: number;
  /**
   * Milliseconds from a trip, or from a failed probe, to the next probe. Default 60,000; ≥ 0.
   * Without effect under manual recovery.
   */
  readonly resetTimeoutMs?: number;
  /**
   * `manual` (default): a tripped breaker admits nothing until a person resets it.
   * `single-probe`: one call at a time may prove that the upstream is back. Trips by hand are never
   * probed in either mode.
   */
  readonly recovery?: Recovery;
  /**
   * Milliseconds after which a probe that has not answered loses its slot and counts as failed.
   * Default: the larger of 30,000 and `resetTimeoutMs`; above 0.
   */
  readonly probeLeaseMs?: number;
}

export const LATCHING_DEFAULTS = Object.freeze({
  failureThreshold: 10,
  failureWeight: 1,
  timeoutWeight: 0.5,
  cooldownMs: 60_000,
  resetTimeoutMs: 60_000,
  recovery: "manual",
} as const);

/** Shortest default lease: longer than the deadlines that HTTP clients usually have. */
const PROBE_LEASE_MS_DEFAULT_MIN = 30_000;

/** Validated options in the units that the machine computes with. */
export interface LatchingSettings {
  readonly thresholdThousandths: number;
  readonly failureWeightThousandths: number;
  readonly timeoutWeightThousandths: number;
  readonly cooldownMs: number;
  readonly resetTimeoutMs: number;
  readonly recovery: Recovery;
  readonly probeLeaseMs: number;
}

const RULES: OptionRules<LatchingOptions> = {
  failureThreshold: { above: 0, most: WEIGHT_MAX },
  failureWeight: { least: 0, most: WEIGHT_MAX },
  timeoutWeight: { least: 0, most: WEIGHT_MAX },
  cooldownMs: { least: 0 },
  resetTimeoutMs: { least: 0 },
  recovery: { oneOf: ["manual", "single-probe"] },
  probeLeaseMs: { above: 0 },
};

/** Throws `InvalidOptionsError`, a `RangeError` that lists every fault, for anything out of range. */
export function latchingSettings(options: LatchingOptions): LatchingSettings {
  checkOptions("latching breaker", options, RULES);
  const given = { ...LATCHING_DEFAULTS, ...withoutUndefined(options) };
  return Object.freeze({
    // A threshold below half a thousandth must still need one failure.
    thresholdThousandths: Math.max(1, toThousandths(given.failureThreshold)),
    failureWeightThousandths: toThousandths(given.failureWeight),
    timeoutWeightThousandths: toThousandths(given.timeoutWeight),
    cooldownMs: given.cooldownMs,
    resetTimeoutMs: given.resetTimeoutMs,
    recovery: given.recovery,
    probeLeaseMs:
      options.probeLeaseMs ?? Math.max(PROBE_LEASE_MS_DEFAULT_MIN, given.resetTimeoutMs),
  });
}
