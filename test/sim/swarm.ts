// What a seed makes of a world: its breakers, and which of the features and faults are on. Each is
// switched by chance and not all are on in any world, since what is always on hides what only
// happens without it (Groce et al., "Swarm Testing", ISSTA 2012).

import type { LimitPolicy } from "../../src/core/overload/limit-policy.ts";
import type { SeededRandom } from "../../src/testing/index.ts";
import type { EndpointsPlan } from "./endpoints.ts";
import { drawLimit } from "./limits.ts";
import { drawAdaptive, KINDS, lenient, pick, type BreakerPlan, type Kind } from "./kinds.ts";

/**
 * Limits of the library that are kept out, or not looked at. `SIM_UNMASK=name` looks at one all the
 * same; a defect that waits to be mended gets its place here, too.
 */
const KNOWN = {
  /**
   * A process's own orders and stored ones, by another process or from before a first read that
   * failed, are told apart by wall-clock dates: after the clock was set back an older one looks newer.
   */
  wallBackAmongOrders: true,
  /** Trips counted before a first read that failed was made good do not add up with the stored ones. */
  tripCountsOfLateLoads: true,
};

export const MASKED: Readonly<typeof KNOWN> = Object.freeze({
  ...KNOWN,
  ...Object.fromEntries(
    (process.env["SIM_UNMASK"] ?? "").split(",").map((name) => [name, false] as const),
  ),
});

const FEATURES = [
  "deadlines",
  "signals",
  "shedding",
  "acquire",
  "doubleSettle",
  "records",
  "bursts",
  "trips",
  "resets",
  "modes",
  "unknownNames",
  "guests",
  "wallForward",
  "wallBack",
  "stalls",
  "commitFaults",
  "loadFaults",
  "pollFaults",
  "refusals",
  "crashes",
  "crashesInCommit",
  "throwingListeners",
  "reentrantListeners",
  "badClassifiers",
  "resultClassifier",
  "retryAfter",
  "endpoints",
  "kindChanges",
  "scarcity",
  "races",
  "skews",
  "losses",
] as const;

/**
 * Where clocks are hours apart, dates say nothing, and an order that waited for a failing store has
 * nothing else to be told by.
 */
const UNLIKE_SKEWS = [
  "refusals",
  "commitFaults",
  "pollFaults",
  "loadFaults",
  "wallForward",
  "wallBack",
] as const;

/**
 * Where room is scarce, rows for which there is none are read into the one that all others share; and a
 * listener may have that upstream forgotten which somebody has got hold of and is about to call.
 */
const UNLIKE_SCARCITY = ["crashes", "crashesInCommit", "losses", "reentrantListeners"] as const;

/** What a file has lost cannot be written back while it refuses that very row. */
const UNLIKE_LOSSES = ["refusals"] as const;

/** `limits` is drawn apart. */
export type Feature = (typeof FEATURES)[number] | "limits";

export interface Plan {
  readonly processes: number;
  readonly steps: number;
  /** Whether state outlives a process; otherwise only audits are stored. */
  readonly isDurable: boolean;
  /** Where an upstream has several base URLs. */
  readonly endpoints: Readonly<Record<string, EndpointsPlan | undefined>>;
  /** The listed upstreams, and what any other name is given where guests are let in. */
  readonly breakers: Readonly<Record<string, BreakerPlan>>;
  readonly guest: BreakerPlan | undefined;
  /** So many guests find room; undefined for more than ever come. */
  readonly guestsMax: number | undefined;
  /** What limits the calls in flight. */
  readonly limits: Readonly<Record<string, LimitPolicy | undefined>>;
  readonly deadlinesMs: Readonly<Record<string, number | undefined>>;
  has(feature: Feature): boolean;
}

/** `wants` is on in any case. */
export function drawPlan(
  random: SeededRandom,
  limitRandom: SeededRandom,
  wants: readonly Feature[] = [],
): Plan {
  const features = new Set<Feature>();
  // Some worlds are nearly empty and some nearly full.
  const share = pick(random, [0.2, 0.5, 0.8]);
  for (const feature of FEATURES) if (random.next() < share) features.add(feature);
  for (const feature of wants) features.add(feature);
  const isShared = wants.includes("races") || wants.includes("skews");
  const processes = pick(random, isShared ? [2, 3] : [1, 1, 1, 2, 3]);
  const areDatesCompared = processes > 1 || features.has("loadFaults");
  if (MASKED.wallBackAmongOrders && areDatesCompared) features.delete("wallBack");
  if (processes > 1) features.delete("guests");
  else for (const feature of ["races", "skews"] as const) features.delete(feature);
  if (features.has("skews")) for (const feature of UNLIKE_SKEWS) features.delete(feature);
  if (features.has("losses")) for (const feature of UNLIKE_LOSSES) features.delete(feature);
  const isScarce = features.has("guests") && features.has("scarcity");
  if (isScarce) for (const feature of UNLIKE_SCARCITY) features.delete(feature);
  const breakers: Record<string, BreakerPlan> = { dk: drawBreaker(random) };
  if (random.integer(3) === 0) breakers["fd"] = drawBreaker(random);
  const endpoints = Object.fromEntries(
    Object.keys(breakers).map((name) => [name, drawEndpoints(random, features, name)]),
  );
  for (const [name, listing] of Object.entries(endpoints)) {
    if (listing !== undefined && random.integer(3) > 0) breakers[name] = lenient();
  }
  const isLimited = limitRandom.integer(3) === 0 || wants.includes("limits");
  if (isLimited) features.add("limits");
  // Each endpoint would have its own.
  const limited = Object.keys(breakers).filter(
    (name) => isLimited && endpoints[name] === undefined,
  );
  const guest = features.has("guests") ? drawBreaker(random) : undefined;
  const isTimed = features.has("deadlines");
  return {
    processes,
    steps: pick(random, [20, 50, 90]),
    isDurable: processes > 1 || random.integer(8) > 0,
    breakers,
    endpoints,
    limits: Object.fromEntries(limited.map((name) => [name, drawLimit(limitRandom)])),
    guest,
    guestsMax: isScarce ? 1 + random.integer(3) : undefined,
    deadlinesMs: {
      dk: isTimed ? pick(random, [undefined, 10, 100, 1000]) : undefined,
      fd: isTimed ? pick(random, [undefined, 50]) : undefined,
    },
    has: (feature) => features.has(feature),
  };
}

/** One of all kinds. */
export function drawBreaker(random: SeededRandom): BreakerPlan {
  return pick(random, Object.values(KINDS) as [Kind, ...Kind[]])(random);
}

function drawEndpoints(
  random: SeededRandom,
  features: ReadonlySet<Feature>,
  upstream: string,
): EndpointsPlan | undefined {
  if (!features.has("endpoints") || random.integer(3) === 0) return undefined;
  const names = ["a", "b", "c"]
    .slice(0, 2 + random.integer(2))
    .map((name) => `${upstream}-${name}`);
  return { names, breaker: drawAdaptive(random) };
}
