// The endpoint breaker's configuration, by the source system's names, and what it means to the library.

import { CANARY_SUCCESS_THRESHOLD } from "../core/breaker/adaptive/canaries.ts";
import {
  ADAPTIVE_DEFAULTS,
  BACKOFF_FACTOR_MAX,
  type AdaptiveOptions,
} from "../core/breaker/adaptive/options.ts";
import { SUCCESS_RATE_MIN } from "../core/breaker/adaptive/rules.ts";
import type { Scheduler } from "../core/clock.ts";
import type { PromRegistry } from "../telemetry/prom-client.ts";
import type { Random } from "../core/random.ts";
import type { EndpointLogger } from "./endpoint-log.ts";

export interface EndpointBreakerOptions extends Pick<
  AdaptiveOptions,
  "canaryLeaseMs" | "legacyFirstBackoff" | "adaptiveFloor"
> {
  /** Calls let in after a cooldown; two thirds must succeed. Default 3; at least 1. */
  readonly canaryCount?: number;
  /** Whether a high or unsteady error rate lowers the threshold. Default true. */
  readonly adaptiveThresholds?: boolean;
  /** Default 0.3; clamped to 0.01–1, as the next two are to their ranges; NaN is the default. */
  readonly ewmaAlpha?: number;
  /** Default 2; clamped to 0.5–5. */
  readonly adaptiveSensitivity?: number;
  /** Default 0.3; clamped to 0–1. */
  readonly minHealthScore?: number;
  /** Most endpoints; idle ones make room. Default 10,000. */
  readonly endpointsMax?: number;
  /** Default: nothing is logged. */
  readonly logger?: EndpointLogger;
  /** Time, and the timers of shutdowns. Default: the system's. */
  readonly clock?: Scheduler;
  /** A prom-client registry that the six families are shown in. Default: none. */
  readonly registry?: PromRegistry;
  /** Where the spread of cooldowns is drawn from. Default: the runtime's own chance. */
  readonly random?: Random;
}

/** The configuration in force, by the source system's names. */
export interface EndpointBreakerConfig {
  readonly failureThreshold: number;
  readonly cooldownSeconds: number;
  readonly sampleSize: number;
  readonly canaryCount: number;
  readonly adaptiveThresholds: boolean;
  readonly ewmaAlpha: number;
  readonly adaptiveSensitivity: number;
  readonly minHealthScore: number;
  readonly minSuccessRate: number;
  readonly canarySuccessThreshold: number;
  /** Seconds: 32 times the cooldown. */
  readonly maxBackoff: number;
}

export function endpointConfig(
  failureThreshold: number,
  cooldownSeconds: number,
  sampleSize: number,
  options: EndpointBreakerOptions,
): EndpointBreakerConfig {
  const given = ADAPTIVE_DEFAULTS;
  return Object.freeze({
    failureThreshold,
    cooldownSeconds,
    sampleSize,
    canaryCount: options.canaryCount ?? given.canaryCount,
    adaptiveThresholds: options.adaptiveThresholds ?? given.adaptive,
    ewmaAlpha: clamped(options.ewmaAlpha, 0.01, 1, given.ewmaAlpha),
    adaptiveSensitivity: clamped(options.adaptiveSensitivity, 0.5, 5, given.adaptiveSensitivity),
    minHealthScore: clamped(options.minHealthScore, 0, 1, given.minHealthScore),
    minSuccessRate: SUCCESS_RATE_MIN,
    canarySuccessThreshold: CANARY_SUCCESS_THRESHOLD,
    maxBackoff: BACKOFF_FACTOR_MAX * cooldownSeconds,
  });
}

export function adaptiveOptions(
  config: EndpointBreakerConfig,
  { adaptiveFloor = 1, canaryLeaseMs, legacyFirstBackoff }: EndpointBreakerOptions,
): AdaptiveOptions {
  return {
    failureThreshold: config.failureThreshold,
    cooldownMs: config.cooldownSeconds * 1000,
    sampleSize: config.sampleSize,
    canaryCount: config.canaryCount,
    adaptive: config.adaptiveThresholds,
    ewmaAlpha: config.ewmaAlpha,
    adaptiveSensitivity: config.adaptiveSensitivity,
    minHealthScore: config.minHealthScore,
    adaptiveFloor,
    ...(canaryLeaseMs === undefined ? {} : { canaryLeaseMs }),
    ...(legacyFirstBackoff === undefined ? {} : { legacyFirstBackoff }),
  };
}

/** The source clamps these instead of refusing them. */
function clamped(
  value: number | undefined,
  least: number,
  most: number,
  otherwise: number,
): number {
  if (value === undefined || Number.isNaN(value)) return otherwise;
  return Math.min(most, Math.max(least, value));
}
