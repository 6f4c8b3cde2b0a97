// Bundles of options under a name. What is written beside a preset wins over it.

import type { AdaptiveOptions } from "./adaptive/options.ts";
import type { BreakerKind } from "./machine.ts";
import type { LatchingOptions } from "./latching/options.ts";
import type { SlidingWindowOptions } from "./sliding-window/options.ts";

export const LATCHING_PRESETS = {
  /** Only a person ends a trip. */
  standard: {},
  /** One successful probe ends a trip that no person made. */
  "self-healing": { recovery: "single-probe" },
} as const satisfies Readonly<Record<string, LatchingOptions>>;

export const SLIDING_WINDOW_PRESETS = {
  /** More than half of at least ten calls. */
  standard: {},
  /**
   * For an upstream that falls over again when everybody comes back at once: waits grow and are
   * spread, probes must come to a verdict, and calls return in steps.
   */
  cautious: {
    openDurationFactor: 2,
    openDurationJitter: 0.25,
    halfOpenDeadlineMs: 30_000,
    ramping: true,
  },
  /** For an upstream whose slow answers are worth as little as none: from one second on. */
  latency: { slowCallMs: 1000, slowCallRatio: 0.5 },
} as const satisfies Readonly<Record<string, SlidingWindowOptions>>;

export const ADAPTIVE_PRESETS = {
  /** Adapts down to three failures in a row. */
  standard: {},
  /** The source system's numbers: after twenty successes the second failure in a row trips it. */
  source: { adaptiveFloor: 1 },
} as const satisfies Readonly<Record<string, AdaptiveOptions>>;

/** By kind; a record, so that a kind added later is asked for. */
export const PRESETS = {
  latching: LATCHING_PRESETS,
  "sliding-window": SLIDING_WINDOW_PRESETS,
  adaptive: ADAPTIVE_PRESETS,
} as const satisfies Readonly<Record<BreakerKind, object>>;
