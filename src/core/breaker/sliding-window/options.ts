// The sliding-window breaker's options: meaning, defaults, ranges, and every fault listed at once.

import { InvalidOptionsError } from "../../errors.ts";
import { checkOptions, withoutUndefined, type OptionRules } from "../../options.ts";
import type { Backoff } from "../../retry/backoff.ts";

export interface SlidingWindowOptions {
  /**
   * Share of failed calls in the window above which it trips. Default 0.5; above 0, at most 1.
   * Exactly this share does not trip unless `thresholdInclusive`; so 1 switches the rule off.
   */
  readonly failureRatio?: number;
  /** Whether a share exactly at `failureRatio` or `slowCallRatio` trips, too. Default false. */
  readonly thresholdInclusive?: boolean;
  /** Calls that the window must hold before any share is judged. Default 10; at most `windowSize`. */
  readonly minimumCalls?: number;
  /** Most calls in the window: an older one makes room for a newer. Default 100; 1–1,000,000. */
  readonly windowSize?: number;
  /** Milliseconds after which a call leaves the window. Default 60,000; above 0. */
  readonly windowDurationMs?: number;
  /** Milliseconds from a trip, or from a failed probe, to the next probes. Default 15,000; above 0. */
  readonly openDurationMs?: number;
  /** What each opening without a stable close in between multiplies the wait by. Default 1; 1–100. */
  readonly openDurationFactor?: number;
  /**
   * Longest wait that growth leads to, before jitter. Default: the larger of 300,000 and
   * `openDurationMs`. Without effect while the factor is 1.
   */
  readonly openDurationMsMax?: number;
  /** Spread of each wait, drawn once when it opens: 0.25 means ±25 %. Default 0; 0–1. */
  readonly openDurationJitter?: number;
  /**
   * Milliseconds that it must have been closed for the next wait to be the first again. Default:
   * `windowDurationMs`; ≥ 0.
   */
  readonly stableCloseMs?: number;
  /**
   * Longest `Retry-After` of the upstream that is honoured, milliseconds; a longer one counts as
   * this long. It can only lengthen the wait. Default 300,000; 0 ignores it.
   */
  readonly retryAfterMsMax?: number;
  /** Probes at once while half-open. Default 5; 1–1,000. */
  readonly halfOpenMaxProbes?: number;
  /** Successful probes that close it. Default 2; at most `halfOpenMaxProbes`. */
  readonly halfOpenSuccesses?: number;
  /**
   * Milliseconds after which a probe that has not answered loses its slot to the next caller. It
   * casts no vote. Default: `openDurationMs`; above 0.
   */
  readonly probeLeaseMs?: number;
  /**
   * Milliseconds in which the probes must come to a verdict; then it opens again. Default: none,
   * since where calls are rare two probes may be far apart. Above 0.
   */
  readonly halfOpenDeadlineMs?: number;
  /**
   * Latency in milliseconds from which a call is slow, whatever its outcome. A slow probe has
   * failed. Default: none is; above 0.
   */
  readonly slowCallMs?: number;
  /** Share of slow calls above which it trips. Default 0.5; above 0, at most 1. Needs `slowCallMs`. */
  readonly slowCallRatio?: number;
  /** Whether calls return in steps of 5, 10, 25 and 50 % once the probes succeeded. Default false. */
  readonly ramping?: boolean;
  /** Successes that end a step of the ramp. Default 5; at least 1. */
  readonly rampSuccesses?: number;
  /** Milliseconds after which one success is enough to end a step. Default 10,000; above 0. */
  readonly rampStepMs?: number;
}

export const SLIDING_WINDOW_DEFAULTS = Object.freeze({
  failureRatio: 0.5,
  thresholdInclusive: false,
  minimumCalls: 10,
  windowSize: 100,
  windowDurationMs: 60_000,
  openDurationMs: 15_000,
  openDurationFactor: 1,
  openDurationJitter: 0,
  retryAfterMsMax: 300_000,
  halfOpenMaxProbes: 5,
  halfOpenSuccesses: 2,
  slowCallRatio: 0.5,
  ramping: false,
  rampSuccesses: 5,
  rampStepMs: 10_000,
} as const);

/** Five minutes of needless refusals are about what an operator forgives. */
const OPEN_DURATION_MS_MAX_DEFAULT = 300_000;

/** Nine megabytes when full. */
const WINDOW_SIZE_MAX = 1_000_000;

/** Probes are few by nature; finding one among them is a walk. */
const PROBES_AT_ONCE_MAX = 1000;

/** Validated options, complete. `Infinity` stands for a time that never comes. */
export interface SlidingWindowSettings {
  readonly failureRatio: number;
  readonly thresholdInclusive: boolean;
  readonly minimumCalls: number;
  readonly windowSize: number;
  readonly windowDurationMs: number;
  readonly openDuration: Backoff;
  readonly openDurationJitter: number;
  /** No wait is longer, whatever it was made of. */
  readonly openDurationMsLongest: number;
  readonly stableCloseMs: number;
  readonly retryAfterMsMax: number;
  readonly halfOpenMaxProbes: number;
  readonly halfOpenSuccesses: number;
  readonly probeLeaseMs: number;
  readonly halfOpenDeadlineMs: number;
  readonly slowCallMs: number;
  readonly slowCallRatio: number;
  readonly ramping: boolean;
  readonly rampSuccesses: number;
  readonly rampStepMs: number;
}

const RULES: OptionRules<SlidingWindowOptions> = {
  failureRatio: { above: 0, most: 1 },
  thresholdInclusive: { is: "boolean" },
  minimumCalls: { least: 1, whole: true },
  windowSize: { least: 1, most: WINDOW_SIZE_MAX, whole: true },
  windowDurationMs: { above: 0 },
  openDurationMs: { above: 0 },
  openDurationFactor: { least: 1, most: 100 },
  openDurationMsMax: { above: 0 },
  openDurationJitter: { least: 0, most: 1 },
  stableCloseMs: { least: 0 },
  retryAfterMsMax: { least: 0 },
  halfOpenMaxProbes: { least: 1, most: PROBES_AT_ONCE_MAX, whole: true },
  halfOpenSuccesses: { least: 1, whole: true },
  probeLeaseMs: { above: 0 },
  halfOpenDeadlineMs: { above: 0 },
  slowCallMs: { above: 0 },
  slowCallRatio: { above: 0, most: 1 },
  ramping: { is: "boolean" },
  rampSuccesses: { least: 1, whole: true },
  rampStepMs: { above: 0 },
};

const SUBJECT = "sliding-window breaker";

/** Throws `InvalidOptionsError`, a `RangeError` that lists every fault, for anything out of range. */
export function slidingWindowSettings(options: SlidingWindowOptions): SlidingWindowSettings {
  const faults = rangeFaults(options);
  const given: Merged = { ...SLIDING_WINDOW_DEFAULTS, ...withoutUndefined(options) };
  faults.push(...slidingWindowCrossFaults(options));
  if (faults.length > 0) throw new InvalidOptionsError(SUBJECT, faults);

  const { openDurationMs: baseMs, openDurationFactor: factor, openDurationJitter } = given;
  const maxMs = given.openDurationMsMax ?? Math.max(OPEN_DURATION_MS_MAX_DEFAULT, baseMs);
  const grownMs = factor === 1 ? baseMs : maxMs;
  return Object.freeze({
    failureRatio: given.failureRatio,
    thresholdInclusive: given.thresholdInclusive,
    minimumCalls: given.minimumCalls,
    windowSize: given.windowSize,
    windowDurationMs: given.windowDurationMs,
    openDuration: Object.freeze({ baseMs, factor, maxMs }),
    openDurationJitter,
    openDurationMsLongest: Math.max(grownMs * (1 + openDurationJitter), given.retryAfterMsMax),
    stableCloseMs: given.stableCloseMs ?? given.windowDurationMs,
    retryAfterMsMax: given.retryAfterMsMax,
    halfOpenMaxProbes: given.halfOpenMaxProbes,
    halfOpenSuccesses: given.halfOpenSuccesses,
    probeLeaseMs: given.probeLeaseMs ?? baseMs,
    halfOpenDeadlineMs: given.halfOpenDeadlineMs ?? Number.POSITIVE_INFINITY,
    slowCallMs: given.slowCallMs ?? Number.POSITIVE_INFINITY,
    slowCallRatio: given.slowCallRatio,
    ramping: given.ramping,
    rampSuccesses: given.rampSuccesses,
    rampStepMs: given.rampStepMs,
  });
}

type Defaulted = keyof typeof SLIDING_WINDOW_DEFAULTS;
type Merged = Required<Pick<SlidingWindowOptions, Defaulted>> &
  Omit<SlidingWindowOptions, Defaulted>;

function rangeFaults(options: SlidingWindowOptions): string[] {
  try {
    checkOptions(SUBJECT, options, RULES);
    return [];
  } catch (error) {
    // Without options there is nothing to compare with each other.
    if (!(error instanceof InvalidOptionsError) || !isObject(options)) throw error;
    return [...error.faults];
  }
}

/** What makes no sense together, though each may be in range. What is no number is left alone. */
export function slidingWindowCrossFaults(options: SlidingWindowOptions): string[] {
  const given: Merged = { ...SLIDING_WINDOW_DEFAULTS, ...withoutUndefined(options) };
  const faults: string[] = [];
  const atMost = (less: keyof Merged, more: keyof Merged, why: string): void => {
    const [low, high] = [given[less], given[more]];
    // What is no number has been reported already.
    if (typeof low !== "number" || typeof high !== "number" || low <= high) return;
    faults.push(`${less} must be at most ${more}, ${high}, not ${low}: ${why}`);
  };
  atMost("minimumCalls", "windowSize", "it could never trip");
  atMost("halfOpenSuccesses", "halfOpenMaxProbes", "it could never close");
  atMost("openDurationMs", "openDurationMsMax", "waits grow up to it");
  if (options.slowCallRatio !== undefined && given.slowCallMs === undefined) {
    faults.push("slowCallRatio needs slowCallMs: without it no call is slow");
  }
  return faults;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}
