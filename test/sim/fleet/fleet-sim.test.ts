// The simulation of fleets, as much of it as a run of all tests has time for. `npm run sim -- --fleet --seeds 100000`
// goes on where this ends.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../../support/programs.ts";
import { PLANTED_FLEET } from "./planted.ts";
import { simulateFleet, type FleetSabotage } from "./simulate.ts";

const SEEDS = 250;

/** Within so many seeds every planted bug must be found. */
const PLANTED_SEEDS_MAX = 1000;

async function assertKept(seed: number, wants?: FleetSabotage["wants"]): Promise<void> {
  const { broken } = await simulateFleet(seed, { wants });
  if (broken === undefined) return;
  const { invariant, detail } = broken;
  assert.fail(`${invariant}: ${detail}\nagain: npm run sim -- --fleet --seed ${seed} --trace`);
}

test(`every promise is kept in ${SEEDS} fleets`, async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) await assertKept(seed);
});

test("the same seed makes the same fleet, again, and another seed another", async () => {
  const digests = new Set<string>();
  for (let seed = 1; seed <= 30; seed += 1) {
    const [first, second] = [await simulateFleet(seed), await simulateFleet(seed)];
    assert.equal(second.digest, first.digest, `seed ${seed}`);
    digests.add(first.digest);
  }
  assert.equal(digests.size, 30);
});

test("the same seed makes the same fleet on Node and on Bun", async () => {
  const run = promisify(execFile);
  const digestsOn = async (runtime: string): Promise<string[]> => {
    const program = join(ROOT, "node_modules/.bin", runtime);
    const script = join(ROOT, "scripts/sim.ts");
    const { stdout } = await run(program, [script, "--fleet", "--seeds", "40", "--digest"]);
    return stdout.trim().split("\n");
  };
  const [onNode, onBun] = await Promise.all([digestsOn("node"), digestsOn("bun")]);
  assert.equal(onNode.length, 40);
  assert.deepEqual(onBun, onNode);
});

for (const sabotage of PLANTED_FLEET) {
  test(`finds it in a fleet when ${sabotage.name}`, async (t) => {
    for (let seed = 1; seed <= PLANTED_SEEDS_MAX; seed += 1) {
      const { broken } = await simulateFleet(seed, { sabotage });
      if (broken === undefined) continue;
      t.diagnostic?.(`seed ${seed}: ${broken.invariant}`);
      await assertKept(seed, sabotage.wants);
      return;
    }
    assert.fail(`not found in ${PLANTED_SEEDS_MAX} seeds`);
  });
}
