// The kinds of breakers that a world may be made of. A further kind is one more entry.

import { adaptive, type AdaptivePolicy } from "../../src/core/breaker/adaptive/machine.ts";
import { adaptiveSettings, type AdaptiveOptions } from "../../src/core/breaker/adaptive/options.ts";
import { latching } from "../../src/core/breaker/latching/machine.ts";
import { latchingSettings, type LatchingOptions } from "../../src/core/breaker/latching/options.ts";
import type { BreakerPolicy } from "../../src/core/breaker/machine.ts";
import { slidingWindow } from "../../src/core/breaker/sliding-window/machine.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
} from "../../src/core/breaker/sliding-window/options.ts";
import type { SeededRandom } from "../../src/testing/index.ts";
import { AdaptiveOracle } from "./adaptive-oracle.ts";
import { LatchingOracle } from "./latching-oracle.ts";
import type { Oracle } from "./oracle.ts";
import { WindowOracle } from "./window-oracle.ts";

/** One breaker as a world was dealt it. */
export interface BreakerPlan {
  readonly kind: string;
  /** What was drawn, for the trace. */
  readonly options: object;
  readonly policy: BreakerPolicy;
  /** How many probes may be under way at once, each for the length of its lease. */
  readonly probes: { readonly most: number; readonly leaseMs: number };
  /** Whether nobody but a person closes it. */
  readonly needsPerson: boolean;
  /** How long it may take, without a call, until it lets a probe in. */
  readonly patienceMs: number;
  /** How many healthy calls after that close it for certain. */
  readonly callsToClose: number;
  /** How often that may be needed, since what was counted before still counts. */
  readonly rounds: number;
  /** What it calls the states in which everybody is let in. */
  readonly closedStates: readonly string[];
  /** Waits and limits of its own: times worth arriving at exactly. */
  readonly momentsMs: readonly number[];
  /** Undefined for a kind that has none; all but the lockstep is checked all the same. */
  oracle(random: SeededRandom, nowMs: number): Oracle | undefined;
}

/** What guards an endpoint. */
export type EndpointBreakerPlan = Omit<BreakerPlan, "policy"> & { readonly policy: AdaptivePolicy };

export type Kind = (random: SeededRandom) => BreakerPlan;

export function pick<Value>(random: SeededRandom, values: readonly [Value, ...Value[]]): Value {
  return values[random.integer(values.length)] ?? values[0];
}

function drawLatching(random: SeededRandom): BreakerPlan {
  const lease = pick(random, [undefined, 20, 200]);
  const options: LatchingOptions = {
    failureThreshold: pick(random, [0.5, 1, 2, 3, 10]),
    failureWeight: pick(random, [1, 1, 0.1, 2, 0]),
    timeoutWeight: pick(random, [0.5, 1, 0.1, 0]),
    cooldownMs: pick(random, [0, 50, 1000, 60_000]),
    resetTimeoutMs: pick(random, [0, 50, 1000, 15_000]),
    recovery: pick(random, ["manual", "single-probe"]),
    ...(lease === undefined ? {} : { probeLeaseMs: lease }),
  };
  return latchingPlan(options);
}

/** One that leaves the judging to the breakers of its endpoints. */
export function lenient(): BreakerPlan {
  return latchingPlan({ failureThreshold: 1000, recovery: "single-probe" });
}

function latchingPlan(options: LatchingOptions): BreakerPlan {
  const settings = latchingSettings(options);
  return {
    kind: "latching",
    options,
    policy: latching(options),
    probes: { most: 1, leaseMs: settings.probeLeaseMs },
    needsPerson: settings.recovery === "manual",
    patienceMs: settings.resetTimeoutMs + settings.probeLeaseMs,
    callsToClose: 1,
    rounds: 1,
    closedStates: ["closed"],
    momentsMs: [settings.cooldownMs, settings.resetTimeoutMs, settings.probeLeaseMs],
    oracle: () => new LatchingOracle(settings),
  };
}

function drawSlidingWindow(random: SeededRandom): BreakerPlan {
  const minimumCalls = pick(random, [1, 2, 3, 5]);
  const probes = pick(random, [1, 2, 5]);
  const baseMs = pick(random, [10, 100, 1000, 15_000]);
  const slowCallMs = pick(random, [undefined, 20, 100]);
  const leaseMs = pick(random, [undefined, 20, 200]);
  const deadlineMs = pick(random, [undefined, undefined, 50, 1000]);
  const stableMs = pick(random, [undefined, 0, 100]);
  const ramping = random.integer(3) === 0;
  const options: SlidingWindowOptions = {
    minimumCalls,
    windowSize: minimumCalls + pick(random, [0, 2, 20]),
    windowDurationMs: pick(random, [50, 1000, 60_000]),
    failureRatio: pick(random, [0.2, 0.5, 1]),
    thresholdInclusive: random.integer(2) === 0,
    openDurationMs: baseMs,
    openDurationFactor: pick(random, [1, 1, 2]),
    openDurationMsMax: baseMs * pick(random, [1, 4]),
    openDurationJitter: pick(random, [0, 0, 0.25, 1]),
    retryAfterMsMax: pick(random, [0, 1000, 300_000]),
    halfOpenMaxProbes: probes,
    halfOpenSuccesses: 1 + random.integer(probes),
    ramping,
    rampSuccesses: pick(random, [1, 3]),
    rampStepMs: pick(random, [50, 1000]),
    ...(slowCallMs === undefined ? {} : { slowCallMs, slowCallRatio: pick(random, [0.2, 0.5, 1]) }),
    ...(leaseMs === undefined ? {} : { probeLeaseMs: leaseMs }),
    ...(deadlineMs === undefined ? {} : { halfOpenDeadlineMs: deadlineMs }),
    ...(stableMs === undefined ? {} : { stableCloseMs: stableMs }),
  };
  const settings = slidingWindowSettings(options);
  const verdictMs = deadlineMs ?? 0;
  const rampCalls = (20 + 10 + 4 + 2) * settings.rampSuccesses;
  return {
    kind: "sliding-window",
    options,
    policy: slidingWindow(options),
    probes: { most: probes, leaseMs: settings.probeLeaseMs },
    needsPerson: false,
    // A half-open episode may have to run out before the wait even begins; and what stands in the
    // window of a ramp must have grown old.
    patienceMs:
      settings.openDurationMsLongest +
      settings.probeLeaseMs +
      verdictMs +
      settings.windowDurationMs +
      1,
    callsToClose: probes + (ramping ? rampCalls : 0),
    rounds: 1,
    closedStates: ["closed"],
    momentsMs: [baseMs, settings.probeLeaseMs, settings.windowDurationMs, verdictMs],
    oracle: (random, nowMs) => new WindowOracle(settings, random, nowMs),
  };
}

export function drawAdaptive(random: SeededRandom): EndpointBreakerPlan {
  const failureThreshold = pick(random, [1, 2, 5]);
  const options: AdaptiveOptions = {
    failureThreshold,
    cooldownMs: pick(random, [0, 10, 100, 1000]),
    sampleSize: pick(random, [1, 5, 50]),
    canaryCount: pick(random, [1, 2, 3]),
    adaptive: random.integer(2) === 0,
    minHealthScore: pick(random, [0, 0.3, 0.9]),
    canaryLeaseMs: pick(random, [20, 200]),
    legacyFirstBackoff: random.integer(4) === 0,
  };
  const settings = adaptiveSettings(options);
  const { canaryCount, canaryLeaseMs, cooldownMsLongest } = settings;
  return {
    kind: "adaptive",
    options,
    policy: adaptive(options),
    probes: { most: canaryCount, leaseMs: canaryLeaseMs },
    needsPerson: false,
    patienceMs: cooldownMsLongest + canaryLeaseMs + 1,
    callsToClose: canaryCount,
    rounds: 2,
    closedStates: ["healthy", "degraded"],
    momentsMs: [options.cooldownMs ?? 0, canaryLeaseMs],
    oracle: (random, nowMs) => new AdaptiveOracle(settings, random, nowMs),
  };
}

export const KINDS: Readonly<Record<string, Kind>> = {
  latching: drawLatching,
  "sliding-window": drawSlidingWindow,
  adaptive: drawAdaptive,
};
