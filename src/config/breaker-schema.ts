// How an upstream's breaker is configured: `kind` tells the machines apart, `preset` names a bundle
// of options, and what is written beside it wins. Left-out options take the machine's own defaults,
// which stand in its options file and are only shown here.

import { z } from "zod";

import { ADAPTIVE_DEFAULTS, adaptiveCrossFaults } from "../core/breaker/adaptive/options.ts";
import { LATCHING_DEFAULTS } from "../core/breaker/latching/options.ts";
import {
  ADAPTIVE_PRESETS,
  LATCHING_PRESETS,
  SLIDING_WINDOW_PRESETS,
} from "../core/breaker/presets.ts";
import {
  SLIDING_WINDOW_DEFAULTS,
  slidingWindowCrossFaults,
} from "../core/breaker/sliding-window/options.ts";
import {
  DURATION_MS_MAX,
  always,
  describeOption,
  oneOf,
  optionalNumber,
  sentence,
} from "./schema-parts.ts";

const KINDS = ["latching", "sliding-window", "adaptive"] as const;
const KIND_EXPECTS = `one of ${KINDS.join(", ")}`;

function kindOf<Kind extends (typeof KINDS)[number]>(kind: Kind, meaning: string) {
  return z
    .literal(kind, { error: KIND_EXPECTS })
    .describe(
      `The machine that decides. ${kind}: ${meaning} Expects ${KIND_EXPECTS}. Default: "latching".`,
    );
}

function presetOf<Name extends string>(presets: Readonly<Record<Name, object>>, meaning: string) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys are the names
  const { expects, schema } = oneOf(Object.keys(presets) as Name[]);
  return z
    .exactOptional(schema)
    .describe(describeOption({ meaning, expects, byDefault: "standard" }));
}

function milliseconds(meaning: string, byDefault?: number, min = 1) {
  return optionalNumber({ meaning, unit: "milliseconds", min, max: DURATION_MS_MAX, byDefault });
}

function share(meaning: string, byDefault: number, min = 0.001) {
  return optionalNumber({ meaning, unit: "ratio", min, max: 1, byDefault });
}

function whole(meaning: string, unit: string, byDefault: number, max: number) {
  return optionalNumber({ meaning, unit, min: 1, max, isWhole: true, byDefault });
}

function weight(meaning: string, byDefault: number) {
  return optionalNumber({
    meaning,
    unit: "failures",
    min: 0,
    max: 1000,
    isInThousandths: true,
    byDefault,
  });
}

function flag(meaning: string, byDefault: boolean) {
  const expects = "true or false";
  return z
    .exactOptional(z.boolean({ error: expects }))
    .describe(describeOption({ meaning, expects, byDefault }));
}

const latching = z.strictObject({
  kind: kindOf("latching", "trips on a weighted count and stays tripped until a person resets it.")
    .optional()
    .default("latching"),
  preset: presetOf(
    LATCHING_PRESETS,
    "Options under one name: standard is ended by a person only, self-healing lets one successful probe end a trip.",
  ),
  failureThreshold: optionalNumber({
    meaning:
      "Weighted count of failures at which the breaker trips; a success takes the count back.",
    unit: "failures",
    min: 0.001,
    max: 1_000_000,
    isInThousandths: true,
    byDefault: LATCHING_DEFAULTS.failureThreshold,
  }),
  timeoutWeight: weight(
    "What one timed-out call adds to the count; 0 ignores timeouts.",
    LATCHING_DEFAULTS.timeoutWeight,
  ),
  failureWeight: weight(
    "What one failed call adds to the count; 0 ignores failures.",
    LATCHING_DEFAULTS.failureWeight,
  ),
  cooldownMs: milliseconds(
    "Time after a trip in which a reset needs force; exactly at its end it no longer does.",
    LATCHING_DEFAULTS.cooldownMs,
    0,
  ),
  resetTimeoutMs: milliseconds(
    "Time after a trip until one probe is admitted; only used with recovery: single-probe.",
    LATCHING_DEFAULTS.resetTimeoutMs,
    0,
  ),
  recovery: z.exactOptional(oneOf(["manual", "single-probe"]).schema).describe(
    describeOption({
      meaning:
        "Who ends a trip: manual is a person and nobody else, single-probe lets one successful call end an automatic trip.",
      expects: "one of manual, single-probe",
      byDefault: LATCHING_DEFAULTS.recovery,
    }),
  ),
  probeLeaseMs: milliseconds(
    "How long a probe may take before its slot is free again; without it, the larger of 30000 and resetTimeoutMs. Only with recovery: single-probe.",
  ),
});

const CALLS_MAX = 1_000_000;
const { failureRatio, minimumCalls, windowSize, windowDurationMs } = SLIDING_WINDOW_DEFAULTS;

const slidingWindow = z
  .strictObject({
    kind: kindOf(
      "sliding-window",
      "trips on the share of failed or slow calls among the recent ones, and finds out by probes whether the upstream is back.",
    ),
    preset: presetOf(
      SLIDING_WINDOW_PRESETS,
      "Options under one name: standard judges failures, cautious comes back slowly, latency also judges slow calls.",
    ),
    failureRatio: share(
      "Share of failed calls above which (not at which) it trips; 1 switches the rule off.",
      failureRatio,
    ),
    thresholdInclusive: flag(
      "Whether a share exactly at its threshold trips, too.",
      SLIDING_WINDOW_DEFAULTS.thresholdInclusive,
    ),
    minimumCalls: whole(
      "Calls that the window must hold before any share is judged; at most windowSize.",
      "calls",
      minimumCalls,
      CALLS_MAX,
    ),
    windowSize: whole(
      "Most calls in the window; an older one makes room for a newer.",
      "calls",
      windowSize,
      CALLS_MAX,
    ),
    windowDurationMs: milliseconds("Time after which a call leaves the window.", windowDurationMs),
    openDurationMs: milliseconds(
      "Time from a trip, or a failed probe, to the next probes.",
      SLIDING_WINDOW_DEFAULTS.openDurationMs,
    ),
    openDurationFactor: optionalNumber({
      meaning: "What each opening without a stable close in between multiplies that time by.",
      unit: "",
      min: 1,
      max: 100,
      byDefault: SLIDING_WINDOW_DEFAULTS.openDurationFactor,
    }),
    openDurationMsMax: milliseconds(
      "Longest time that growth leads to; without it, the larger of 300000 and openDurationMs.",
    ),
    openDurationJitter: share(
      "Spread of that time, drawn once per opening: 0.25 is a quarter less to a quarter more.",
      SLIDING_WINDOW_DEFAULTS.openDurationJitter,
      0,
    ),
    stableCloseMs: milliseconds(
      "Time closed after which the next opening is a first one again; without it, windowDurationMs.",
      undefined,
      0,
    ),
    retryAfterMsMax: milliseconds(
      "Longest Retry-After of the upstream that is honoured; 0 ignores it.",
      SLIDING_WINDOW_DEFAULTS.retryAfterMsMax,
      0,
    ),
    halfOpenMaxProbes: whole(
      "Probes at once.",
      "calls",
      SLIDING_WINDOW_DEFAULTS.halfOpenMaxProbes,
      1000,
    ),
    halfOpenSuccesses: whole(
      "Successful probes that close it; at most halfOpenMaxProbes.",
      "calls",
      SLIDING_WINDOW_DEFAULTS.halfOpenSuccesses,
      1000,
    ),
    probeLeaseMs: milliseconds(
      "How long a probe may take before its slot is free again; without it, openDurationMs.",
    ),
    halfOpenDeadlineMs: milliseconds(
      "Time in which the probes must come to a verdict, else it opens again; without it, no limit.",
    ),
    slowCallMs: milliseconds(
      "Latency from which a call is slow, whatever its outcome; without it, no call is.",
    ),
    slowCallRatio: share(
      "Share of slow calls above which it trips; needs slowCallMs.",
      SLIDING_WINDOW_DEFAULTS.slowCallRatio,
    ),
    ramping: flag(
      "Whether calls return in steps of 5, 10, 25 and 50 % once the probes succeeded.",
      SLIDING_WINDOW_DEFAULTS.ramping,
    ),
    rampSuccesses: whole(
      "Successes that end a step of the ramp.",
      "calls",
      SLIDING_WINDOW_DEFAULTS.rampSuccesses,
      CALLS_MAX,
    ),
    rampStepMs: milliseconds(
      "Time after which one success is enough to end a step.",
      SLIDING_WINDOW_DEFAULTS.rampStepMs,
    ),
  })
  .superRefine(({ kind: _kind, preset, ...own }, context) => {
    const options = { ...SLIDING_WINDOW_PRESETS[preset ?? "standard"], ...own };
    for (const fault of slidingWindowCrossFaults(options)) context.addIssue(sentence([], fault));
  }, always);

const adaptiveOptions = {
  preset: presetOf(
    ADAPTIVE_PRESETS,
    "Options under one name: standard adapts down to three failures in a row, source down to one.",
  ),
  failureThreshold: whole(
    "Failures in a row that degrade it; twice as many make it cool down.",
    "failures",
    ADAPTIVE_DEFAULTS.failureThreshold,
    CALLS_MAX,
  ),
  cooldownMs: milliseconds(
    "First cooldown; doubled by each half-open time that fails, up to 32 times this, spread by 30 %.",
    ADAPTIVE_DEFAULTS.cooldownMs,
    0,
  ),
  sampleSize: whole(
    "Outcomes that must be known before a low success rate makes a degraded one cool down.",
    "calls",
    ADAPTIVE_DEFAULTS.sampleSize,
    100,
  ),
  canaryCount: whole(
    "Calls let in after a cooldown; two thirds of them must succeed.",
    "calls",
    ADAPTIVE_DEFAULTS.canaryCount,
    1000,
  ),
  adaptive: flag(
    "Whether a high or unsteady error rate lowers failureThreshold.",
    ADAPTIVE_DEFAULTS.adaptive,
  ),
  ewmaAlpha: share(
    "Weight of the newest outcome in the error rate.",
    ADAPTIVE_DEFAULTS.ewmaAlpha,
    0.01,
  ),
  adaptiveSensitivity: optionalNumber({
    meaning: "Deviations that are added to the error rate before it is judged.",
    unit: "",
    min: 0.5,
    max: 5,
    byDefault: ADAPTIVE_DEFAULTS.adaptiveSensitivity,
  }),
  minHealthScore: share(
    "Health score below which it degrades, and then cools down.",
    ADAPTIVE_DEFAULTS.minHealthScore,
    0,
  ),
  adaptiveFloor: optionalNumber({
    meaning:
      "Least threshold that adapting leads to, at most failureThreshold; without it, 3 or failureThreshold if that is less.",
    unit: "failures",
    min: 1,
    max: CALLS_MAX,
    isWhole: true,
  }),
  canaryLeaseMs: milliseconds(
    "How long a canary may take before its slot is free again; without it, the larger of 30000 and cooldownMs.",
  ),
  legacyFirstBackoff: flag(
    "Whether the first cooldown is twice cooldownMs, as in the source system.",
    ADAPTIVE_DEFAULTS.legacyFirstBackoff,
  ),
};

function checkAdaptive(
  { preset, ...own }: z.output<typeof adaptiveMembers>,
  context: z.core.$RefinementCtx,
): void {
  const options = { ...ADAPTIVE_PRESETS[preset ?? "standard"], ...own };
  for (const fault of adaptiveCrossFaults(options)) context.addIssue(sentence([], fault));
}

const adaptiveMembers = z.strictObject(adaptiveOptions);

const adaptive = z
  .strictObject({
    kind: kindOf(
      "adaptive",
      "degrades, cools down and comes back by what it learns of failures, latency and their steadiness.",
    ),
    ...adaptiveOptions,
  })
  .superRefine(({ kind: _kind, ...own }, context) => checkAdaptive(own, context), always);

/** What guards each of an upstream's endpoints. */
export const endpointBreaker = z
  .exactOptional(adaptiveMembers.superRefine(checkAdaptive, always).transform(withoutPreset))
  .describe("The adaptive breaker of each endpoint. Default: {}.");

export const breaker = z
  .discriminatedUnion("kind", [latching, slidingWindow, adaptive], {
    error: (issue) => (issue.code === "invalid_union" ? KIND_EXPECTS : undefined),
  })
  .transform(withDefaults)
  .prefault({})
  .describe('The upstream\'s breaker. Default: {"kind":"latching"}.');

type Written =
  z.output<typeof latching> | z.output<typeof slidingWindow> | z.output<typeof adaptive>;

function withoutPreset({ preset = "standard", ...own }: z.output<typeof adaptiveMembers>) {
  return { ...ADAPTIVE_PRESETS[preset], ...own };
}

function withDefaults(written: Written) {
  if (written.kind === "latching") {
    const { preset = "standard", ...own } = written;
    return { ...LATCHING_DEFAULTS, ...LATCHING_PRESETS[preset], ...own };
  }
  if (written.kind === "adaptive") {
    const { kind, ...options } = written;
    return { kind, ...withoutPreset(options) };
  }
  const { preset = "standard", ...own } = written;
  return { ...SLIDING_WINDOW_PRESETS[preset], ...own };
}
