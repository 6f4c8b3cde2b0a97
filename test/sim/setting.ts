// What all parts of a simulated world share.

import type { BreakerMachine } from "../../src/core/breaker/machine.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import type { Disk, ProcessStore } from "./disk.ts";
import type { Journal } from "./journal.ts";
import type { BreakerPlan } from "./kinds.ts";
import type { Call } from "./ledger.ts";
import type { Feature, Plan } from "./swarm.ts";
import type { ProcessClock, Timeline } from "./timeline.ts";

/** A bug planted on purpose, to see whether it is found. */
export interface Sabotage {
  readonly name: string;
  /** What must be on in a world that it can show in, where that is rare. */
  readonly wants?: readonly Feature[];
  /** Spoils each machine as it is made. */
  readonly machine?: (machine: BreakerMachine, clock: ProcessClock) => void;
  /** Spoils each process's store. */
  readonly store?: (store: ProcessStore) => void;
  /** Spoils the pipeline itself; the answer mends it. */
  readonly install?: () => () => void;
}

export interface Setting {
  readonly seed: number;
  readonly plan: Plan;
  readonly random: SeededRandom;
  /** Chance of its own, so that the other worlds are what they are without limits. */
  readonly limitRandom: SeededRandom;
  readonly timeline: Timeline;
  readonly disk: Disk;
  readonly journal: Journal;
  readonly sabotage: Sabotage | undefined;
  /** Whether anything is read between the steps. Without that nothing may come out differently. */
  readonly reads: boolean;
  /** As the next process is configured. */
  readonly breakers: Record<string, BreakerPlan>;
  /** How loaded every process is, 0–1. */
  load: number;
  /** Numbers orders in the history of the world. */
  sequence: number;
  /** Numbers machines, whose chance is their own. */
  machines: number;
  /** The call that somebody is asking for right now. */
  calling: Call | undefined;
}

/** The chance of the next machine, twice: for it and for its oracle. */
export function machineRandoms(setting: Setting): [SeededRandom, SeededRandom] {
  setting.machines += 1;
  const seed = setting.seed * 1009 + setting.machines;
  return [new SeededRandom(seed), new SeededRandom(seed)];
}
