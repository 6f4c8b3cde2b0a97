// What `limit:` of an upstream is given: the options of either kind, checked, and the limiters they make.

import { InvalidOptionsError } from "../errors.ts";
import { checkOptions, show, withoutUndefined, type OptionRules } from "../options.ts";
import { GradientLimit } from "./gradient-limit.ts";
import { FixedLimit, type LimitKind } from "./limit.ts";
import { Limiter, type LimiterPorts } from "./limiter.ts";

export interface AdaptiveLimitOptions {
  /**
   * Calls in flight that are let in before anything is known of the upstream, and whenever there is little
   * to do; then no more than a single worker could serve in half a deadline, or twice what there lately was.
   * Default 20; a whole number from `min` to `max`. Divide it by the replicas where those are many.
   */
  readonly initial?: number;
  /**
   * Least it shrinks to; with so many nothing can be measured but that it is slow. When even these are late,
   * they are let in less often: up to 16 deadlines apart. Default 2; at least 1.
   */
  readonly min?: number;
  /** Most it grows to. Default 5,000; at most 50,000. */
  readonly max?: number;
  /**
   * Times the latency without load that the median call may take before the limit shrinks. Lower means
   * quicker answers, and a little less throughput. Default 2; 1.2–10.
   */
  readonly tolerance?: number;
}

export const ADAPTIVE_LIMIT_DEFAULTS = Object.freeze({
  initial: 20,
  min: 2,
  max: 5000,
  tolerance: 2,
} as const);

/** Leaves room in the table of permits for calls let in against the limit. */
export const LIMIT_MAX = 50_000;

const RULES: OptionRules<AdaptiveLimitOptions> = {
  initial: { least: 1, most: LIMIT_MAX, whole: true },
  min: { least: 1, most: LIMIT_MAX, whole: true },
  max: { least: 1, most: LIMIT_MAX, whole: true },
  tolerance: { least: 1.2, most: 10 },
};

/** A configured limit: what `adaptiveLimit({…})` returns, and each upstream is given. */
export interface LimitPolicy {
  readonly kind: LimitKind;
  /** The limit that it begins with. */
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  createLimiter(ports: LimiterPorts): Limiter;
}

/**
 * As many calls at once as the upstream is found to serve, and none that would wait for others longer
 * than its deadline allows. Throws `InvalidOptionsError`, which lists every fault.
 *
 * @example limit: adaptiveLimit({ max: 200 })
 */
export function adaptiveLimit(options: AdaptiveLimitOptions = {}): LimitPolicy {
  checkOptions("adaptive limit", options, RULES);
  const given = withoutUndefined(options);
  const { max, tolerance } = { ...ADAPTIVE_LIMIT_DEFAULTS, ...given };
  const { min = Math.min(max, ADAPTIVE_LIMIT_DEFAULTS.min) } = given;
  const faults: string[] = [];
  if (min > max) faults.push(`min must be at most max, which is ${max}, not ${min}`);
  // Only what was written can be wrong: beside a smaller max, the defaults give way.
  const { initial = Math.min(max, Math.max(min, ADAPTIVE_LIMIT_DEFAULTS.initial)) } = given;
  if (given.initial !== undefined && initial < min)
    faults.push(`initial must be at least min, which is ${min}, not ${initial}`);
  if (given.initial !== undefined && initial > max)
    faults.push(`initial must be at most max, which is ${max}, not ${initial}`);
  if (faults.length > 0) throw new InvalidOptionsError("adaptive limit", faults);
  return Object.freeze({
    kind: "adaptive",
    initial,
    min,
    max,
    createLimiter: (ports: LimiterPorts) => {
      const { deadlineMs, phaseMs } = ports;
      return new Limiter(
        new GradientLimit({ initial, min, max, tolerance, deadlineMs, phaseMs }),
        ports,
      );
    },
  });
}

/**
 * So many calls at once, whatever the upstream does: for one whose capacity is known, or sold.
 * `limit`: a whole number from 1 to 50,000. Throws `InvalidOptionsError` for any other.
 *
 * @example limit: fixedLimit(40)
 */
export function fixedLimit(limit: number): LimitPolicy {
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    throw new InvalidOptionsError("fixed limit", [
      `it must be a whole number at least 1 and at most ${LIMIT_MAX}, not ${show(limit)}`,
    ]);
  }
  return Object.freeze({
    kind: "fixed",
    initial: limit,
    min: limit,
    max: limit,
    createLimiter: (ports: LimiterPorts) => new Limiter(new FixedLimit(limit), ports),
  });
}
