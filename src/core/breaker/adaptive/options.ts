// The adaptive breaker's options: meaning, defaults, ranges, and every fault listed at once.

import { InvalidOptionsError } from "../../errors.ts";
import { checkOptions, withoutUndefined, type OptionRules } from "../../options.ts";
import type { Backoff } from "../../retry/backoff.ts";
import { OUTCOMES_MAX } from "../../window/outcome-window.ts";

export interface AdaptiveOptions {
  /**
   * Failures in a row that degrade a healthy endpoint; twice as many make it cool down. A success
   * starts the count anew. Default 5; 1–1,000,000.
   */
  readonly failureThreshold?: number;
  /**
   * Milliseconds of the first cooldown. Each half-open time that fails doubles the next, up to 32
   * times this; each is spread by ±30 %, drawn once. Default 60,000; ≥ 0.
   */
  readonly cooldownMs?: number;
  /**
   * Outcomes that must be known before a low success rate makes a degraded endpoint cool down.
   * Default 50; 1–100, since a hundred are kept.
   */
  readonly sampleSize?: number;
  /** Calls let in after a cooldown; two thirds of them must succeed. Default 3; 1–1,000. */
  readonly canaryCount?: number;
  /** Whether a high or unsteady error rate lowers `failureThreshold`. Default true. */
  readonly adaptive?: boolean;
  /** Weight of the newest outcome in the error rate. Default 0.3; 0.01–1. */
  readonly ewmaAlpha?: number;
  /** Deviations that are added to the error rate before it is judged. Default 2; 0.5–5. */
  readonly adaptiveSensitivity?: number;
  /** Health score below which an endpoint degrades, and then cools down. Default 0.3; 0–1. */
  readonly minHealthScore?: number;
  /**
   * Least threshold that adapting leads to. The source system's 1 lets a single failure after twenty
   * successes degrade an endpoint, and a second one trip it. Default: the smaller of 3 and
   * `failureThreshold`; 1 to `failureThreshold`.
   */
  readonly adaptiveFloor?: number;
  /**
   * Milliseconds after which a canary that has not answered loses its slot to the next caller. It
   * casts no vote. Default: the larger of 30,000 and `cooldownMs`; above 0.
   */
  readonly canaryLeaseMs?: number;
  /** Whether the first cooldown is twice `cooldownMs`, as in the source system. Default false. */
  readonly legacyFirstBackoff?: boolean;
}

export const ADAPTIVE_DEFAULTS = Object.freeze({
  failureThreshold: 5,
  cooldownMs: 60_000,
  sampleSize: 50,
  canaryCount: 3,
  adaptive: true,
  ewmaAlpha: 0.3,
  adaptiveSensitivity: 2,
  minHealthScore: 0.3,
  legacyFirstBackoff: false,
} as const);

const ADAPTIVE_FLOOR_DEFAULT = 3;

/** A call that takes longer than this is rare, and one canary more is cheap. */
const CANARY_LEASE_MS_LEAST = 30_000;

/** Fixed in the source system, as is the spread. */
export const BACKOFF_FACTOR_MAX = 32;
export const COOLDOWN_JITTER = 0.3;

/** Cooldowns in a row that are counted: 2 to this power is still far from overflowing. */
export const BACKOFF_ATTEMPT_MAX = 63;

/** Far beyond use, far below what integers lose. */
const THRESHOLD_MAX = 1_000_000;

/** Canaries are few by nature; finding one among them is a walk. */
const CANARIES_AT_ONCE_MAX = 1000;

/** Validated options, complete. */
export interface AdaptiveSettings {
  readonly failureThreshold: number;
  readonly sampleSize: number;
  readonly canaryCount: number;
  readonly canaryLeaseMs: number;
  readonly adaptive: boolean;
  readonly adaptiveFloor: number;
  readonly ewmaAlpha: number;
  readonly adaptiveSensitivity: number;
  readonly minHealthScore: number;
  readonly cooldown: Backoff;
  /** No cooldown is longer, whatever it was made of. */
  readonly cooldownMsLongest: number;
  readonly legacyFirstBackoff: boolean;
}

const RULES: OptionRules<AdaptiveOptions> = {
  failureThreshold: { least: 1, most: THRESHOLD_MAX, whole: true },
  cooldownMs: { least: 0 },
  sampleSize: { least: 1, most: OUTCOMES_MAX, whole: true },
  canaryCount: { least: 1, most: CANARIES_AT_ONCE_MAX, whole: true },
  adaptive: { is: "boolean" },
  ewmaAlpha: { least: 0.01, most: 1 },
  adaptiveSensitivity: { least: 0.5, most: 5 },
  minHealthScore: { least: 0, most: 1 },
  adaptiveFloor: { least: 1, whole: true },
  canaryLeaseMs: { above: 0 },
  legacyFirstBackoff: { is: "boolean" },
};

const SUBJECT = "adaptive breaker";

/** What makes no sense together, though each may be in range. What is no number is left alone. */
export function adaptiveCrossFaults(options: AdaptiveOptions): string[] {
  const { failureThreshold, adaptiveFloor } = {
    ...ADAPTIVE_DEFAULTS,
    ...withoutUndefined(options),
  };
  if (typeof adaptiveFloor !== "number" || typeof failureThreshold !== "number") return [];
  if (adaptiveFloor <= failureThreshold) return [];
  return [
    `adaptiveFloor must be at most failureThreshold, ${failureThreshold}, not ${adaptiveFloor}: adapting only lowers it`,
  ];
}

/** Throws `InvalidOptionsError`, a `RangeError` that lists every fault, for anything out of range. */
export function adaptiveSettings(options: AdaptiveOptions): AdaptiveSettings {
  checkOptions(SUBJECT, options, RULES);
  const given = { ...ADAPTIVE_DEFAULTS, ...withoutUndefined(options) };
  const { failureThreshold, cooldownMs } = given;
  const adaptiveFloor = options.adaptiveFloor ?? Math.min(ADAPTIVE_FLOOR_DEFAULT, failureThreshold);
  const faults = adaptiveCrossFaults(options);
  if (faults.length > 0) throw new InvalidOptionsError(SUBJECT, faults);
  const maxMs = BACKOFF_FACTOR_MAX * cooldownMs;
  return Object.freeze({
    failureThreshold,
    sampleSize: given.sampleSize,
    canaryCount: given.canaryCount,
    canaryLeaseMs: options.canaryLeaseMs ?? Math.max(CANARY_LEASE_MS_LEAST, cooldownMs),
    adaptive: given.adaptive,
    adaptiveFloor,
    ewmaAlpha: given.ewmaAlpha,
    adaptiveSensitivity: given.adaptiveSensitivity,
    minHealthScore: given.minHealthScore,
    cooldown: Object.freeze({ baseMs: cooldownMs, factor: 2, maxMs }),
    cooldownMsLongest: maxMs * (1 + COOLDOWN_JITTER),
    legacyFirstBackoff: given.legacyFirstBackoff,
  });
}
