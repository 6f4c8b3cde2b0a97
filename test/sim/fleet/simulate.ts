// One seed of a fleet, until all is well again. The same seed gives the same digest, always.

import { SeededRandom } from "../../../src/testing/index.ts";
import { Journal } from "../journal.ts";
import type { Result } from "../simulate.ts";
import { Timeline } from "../timeline.ts";
import { checkEnd } from "./checks.ts";
import { drawPlan, type Feature } from "./plan.ts";
import { STORE_RULES, type StoreRules } from "./store.ts";
import { World } from "./world.ts";

/** A bug planted on purpose, to see whether it is found. */
export interface FleetSabotage {
  readonly name: string;
  /** What must be on in a world that it can show in, where that is rare. */
  readonly wants?: readonly Feature[];
  /** Spoils the store. */
  readonly rules?: Partial<StoreRules>;
  /** Spoils the code; the answer mends it. */
  readonly install?: () => () => void;
}

export interface SimulateOptions {
  readonly trace?: boolean;
  readonly sabotage?: FleetSabotage | undefined;
  readonly wants?: readonly Feature[] | undefined;
}

export async function simulateFleet(
  seed: number,
  { trace = false, sabotage, wants = sabotage?.wants }: SimulateOptions = {},
): Promise<Result> {
  const random = new SeededRandom(seed);
  const timeline = new Timeline();
  const journal = new Journal(trace, () => timeline.nowMs);
  const rules = { ...STORE_RULES, ...sabotage?.rules };
  const mend = sabotage?.install?.();
  try {
    const plan = drawPlan(random, wants);
    const world = new World({ seed, random, timeline, journal, plan, rules });
    await world.run();
    if (!world.isOver) await world.heal();
    if (!world.isOver) checkEnd(world);
  } finally {
    mend?.();
  }
  return { seed, digest: journal.digest, broken: journal.broken, lines: journal.lines };
}
