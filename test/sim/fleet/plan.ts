// What one world is made of: drawn from its seed, so that each leaves out some of what may go wrong.

import { adaptive } from "../../../src/core/breaker/adaptive/machine.ts";
import { latching } from "../../../src/core/breaker/latching/machine.ts";
import type { BreakerPolicy } from "../../../src/core/breaker/machine.ts";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import type { Share } from "../../../src/core/fleet/share.ts";
import type { SeededRandom } from "../../../src/testing/index.ts";
import { pick } from "../kinds.ts";

export const FEATURES = [
  "calls",
  "trips",
  "resets",
  "modes",
  "guests",
  "receipts",
  "delays",
  "late",
  "losses",
  "pushLosses",
  "pushTwice",
  "cuts",
  "drops",
  "outages",
  "readOnly",
  "kills",
  "stalls",
  "wallJumps",
  "empties",
  "flushes",
  "failOvers",
  "shares",
  "ages",
] as const;

export type Feature = (typeof FEATURES)[number];

/** Those that lose what was acknowledged: in three worlds of five nothing does. */
const LOSING: ReadonlySet<Feature> = new Set(["empties", "flushes", "failOvers"]);

/** How many replicas must have opened by themselves before another one opens with them. */
export function reportersWanted(name: string, share: Share): number {
  if (!SHARING.has(name) || share === "trips") return 1;
  return share === "orders" ? Infinity : share.quorum;
}

/** What a person must have ordered for anything to be seen. */
const ALWAYS: ReadonlySet<Feature> = new Set(["trips", "resets"]);

export const KINDS: Readonly<Record<string, BreakerPolicy>> = {
  latch: latching({ failureThreshold: 2 }),
  probe: latching({ failureThreshold: 2, recovery: "single-probe", resetTimeoutMs: 3000 }),
  window: slidingWindow({ minimumCalls: 2, windowSize: 4, openDurationMs: 3000 }),
  adapt: adaptive({ failureThreshold: 2, cooldownMs: 3000 }),
};

/** Kinds that close with nobody's help. */
const SHARING_NAMES = ["window", "adapt"] as const;

export const SHARING: ReadonlySet<string> = new Set(SHARING_NAMES);

const SHARES: readonly [Share, ...Share[]] = ["trips", { quorum: 2 }, { quorum: 3 }];

/** A name that nobody listed. */
export const GUEST = "guest";

export interface FleetPlan {
  readonly replicas: number;
  readonly steps: number;
  readonly upstreams: readonly string[];
  /** Of those in `SHARING`. */
  readonly share: Share;
  readonly has: (feature: Feature) => boolean;
}

/** `wants`: what is on in any case. */
export function drawPlan(random: SeededRandom, wants: readonly Feature[] = []): FleetPlan {
  const isLosing = random.integer(5) < 2;
  // Minutes of beats cost more than all else.
  const isLong = random.integer(8) === 0;
  const features = new Set(
    FEATURES.filter((feature) => {
      const isOn = random.integer(2) === 0;
      if (ALWAYS.has(feature) || wants.includes(feature)) return true;
      if (feature === "ages") return isOn && isLong;
      return isOn && (isLosing || !LOSING.has(feature));
    }),
  );
  const names = Object.keys(KINDS);
  const first = names[random.integer(2)] as string;
  const isSharing = features.has("shares");
  const second = isSharing
    ? pick(random, SHARING_NAMES)
    : (names[random.integer(names.length)] as string);
  const isAlone = random.integer(2) === 0;
  const upstreams = new Set(isAlone ? [isSharing ? second : first] : [first, second]);
  return {
    replicas: 2 + random.integer(4),
    steps: 20 + random.integer(40),
    upstreams: [...upstreams, ...(features.has("guests") ? [GUEST] : [])],
    share: isSharing ? pick(random, SHARES) : "orders",
    has: (feature) => features.has(feature),
  };
}
