// What a seed makes of a world: its breakers, and which of the features and faults are on. Each is
// switched by chance and not all are on in any world, since what is always on hides what only
// happens without it (Groce et al., "Swarm Testing", ISSTA 2012).

import type { SeededRandom } from "../../src/testing/index.ts";
import { KINDS, pick, type BreakerPlan, type Kind } from "./kinds.ts";

/**
 * Situations in which the pipeline is known to break a promise. Each is kept out, or not looked at,
 * until that is mended: then its switch goes, too. `SIM_UNMASK=name` looks at one all the same.
 */
const KNOWN = {
  /**
   * Orders of different processes are told apart by wall-clock dates only. After the wall clock was
   * set back an older order looks newer, and undoes the newer one.
   */
  wallBackAmongProcesses: true,
  /**
   * Modes carry no date. A process with any unsaved change of its own takes no mode over from the
   * store, and writes its own older one over the newer.
   */
  modesAmongProcesses: true,
  /**
   * A person's trip or reset is compared by date with what another process's breaker did by itself. A
   * trip by hand is then not taken over, and written over, by one that has tripped by itself since.
   */
  personsAmongProcesses: true,
  /**
   * A process whose first read of the store fails, and in which anything happens before a later one
   * succeeds, keeps its own state: the stored mode, trips and number of trips are written over, or
   * left on disk without being heeded.
   */
  lateLoads: true,
  /**
   * A call that starts while another one's deadline expires, from a listener or from what hears the
   * abort, arms the lane's timer for its own deadline; those that wait in the lane expire then.
   */
  callsDuringExpiry: true,
  /**
   * A listener of `refused` that calls back in changes what the refusal that it was told of is then
   * thrown for.
   */
  callsDuringRefusal: true,
  /**
   * Rows that were read are taken over one by one, each told at once. A listener that gives an order
   * meanwhile writes over a row that is yet to be taken over, or is undone by it.
   */
  callsDuringAdoption: true,
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
  "crashes",
  "crashesInCommit",
  "throwingListeners",
  "reentrantListeners",
  "badClassifiers",
  "resultClassifier",
  "retryAfter",
] as const;

export type Feature = (typeof FEATURES)[number];

export interface Plan {
  readonly processes: number;
  readonly steps: number;
  /** Whether state outlives a process; otherwise only audits are stored. */
  readonly isDurable: boolean;
  /** The listed upstreams, and what any other name is given where guests are let in. */
  readonly breakers: Readonly<Record<string, BreakerPlan>>;
  readonly guest: BreakerPlan | undefined;
  readonly deadlinesMs: Readonly<Record<string, number | undefined>>;
  has(feature: Feature): boolean;
}

export function drawPlan(random: SeededRandom): Plan {
  const kinds = Object.values(KINDS) as [Kind, ...Kind[]];
  const features = new Set<Feature>();
  // Some worlds are nearly empty and some nearly full.
  const share = pick(random, [0.2, 0.5, 0.8]);
  for (const feature of FEATURES) if (random.next() < share) features.add(feature);
  const processes = pick(random, [1, 1, 1, 2, 3]);
  if (MASKED.wallBackAmongProcesses && processes > 1) features.delete("wallBack");
  if (processes > 1) features.delete("guests");
  const breakers: Record<string, BreakerPlan> = { dk: pick(random, kinds)(random) };
  if (random.integer(3) === 0) breakers["fd"] = pick(random, kinds)(random);
  const guest = features.has("guests") ? pick(random, kinds)(random) : undefined;
  const isTimed = features.has("deadlines");
  return {
    processes,
    steps: pick(random, [20, 50, 90]),
    isDurable: processes > 1 || random.integer(8) > 0,
    breakers,
    guest,
    deadlinesMs: {
      dk: isTimed ? pick(random, [undefined, 10, 100, 1000]) : undefined,
      fd: isTimed ? pick(random, [undefined, 50]) : undefined,
    },
    has: (feature) => features.has(feature),
  };
}
