// One seed, from the first step to the quiet end. The same seed gives the same digest, always.

import { SeededRandom } from "../../src/testing/index.ts";
import { Disk } from "./disk.ts";
import { Journal, type Broken } from "./journal.ts";
import { endQuietly } from "./quiet-end.ts";
import type { Sabotage, Setting } from "./setting.ts";
import { drawPlan, type Feature } from "./swarm.ts";
import { Timeline } from "./timeline.ts";
import { World } from "./world.ts";

export interface Result {
  readonly seed: number;
  readonly digest: string;
  readonly broken: Broken | undefined;
  /** What happened last, where it was asked for. */
  readonly lines: readonly string[];
}

export interface SimulateOptions {
  readonly trace?: boolean;
  readonly sabotage?: Sabotage | undefined;
  /** What is on in any case. */
  readonly wants?: readonly Feature[] | undefined;
  /** False reads nothing between the steps, to see that reading changes nothing. */
  readonly reads?: boolean;
}

export async function simulate(
  seed: number,
  { trace = false, sabotage, wants = sabotage?.wants, reads = true }: SimulateOptions = {},
): Promise<Result> {
  const random = new SeededRandom(seed);
  const timeline = new Timeline();
  const journal = new Journal(trace, () => timeline.nowMs);
  const limitRandom = new SeededRandom(seed ^ 0x11417);
  const plan = drawPlan(random, limitRandom, wants);
  const setting: Setting = {
    seed,
    plan,
    breakers: { ...plan.breakers },
    random,
    limitRandom,
    timeline,
    disk: new Disk(),
    journal,
    sabotage,
    reads,
    load: 0,
    sequence: 0,
    machines: 0,
    calling: undefined,
  };
  const mend = sabotage?.install?.();
  try {
    const world = new World(setting);
    await world.run();
    if (!world.isOver) await endQuietly(world);
  } finally {
    mend?.();
  }
  return { seed, digest: journal.digest, broken: journal.broken, lines: journal.lines };
}
