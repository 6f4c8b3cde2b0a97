// The simulation, as much of it as a run of all tests has time for. `npm run sim -- --seeds 100000`
// goes on where this ends.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../support/programs.ts";
import { PLANTED } from "./planted.ts";
import { simulate, type Result } from "./simulate.ts";

/** A few seconds on a machine that others use, too. */
const SEEDS = 150;

/** Within so many seeds every planted bug must be found. */
const PLANTED_SEEDS_MAX = 1000;

function explain({ seed, broken }: Result): string {
  return `${broken?.invariant}: ${broken?.detail}\nagain: npm run sim -- --seed ${seed} --trace`;
}

async function assertKept(seed: number): Promise<void> {
  const result = await simulate(seed);
  if (result.broken !== undefined) assert.fail(explain(result));
}

test(`every promise is kept in ${SEEDS} worlds`, async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) await assertKept(seed);
});

test("the same seed makes the same world, again, and another seed another", async () => {
  const digests = new Set<string>();
  for (let seed = 1; seed <= 40; seed += 1) {
    const [first, second] = [await simulate(seed), await simulate(seed)];
    assert.equal(second.digest, first.digest, `seed ${seed}`);
    digests.add(first.digest);
  }
  assert.equal(digests.size, 40);
});

test("the same seed makes the same world on Node and on Bun", async () => {
  const run = promisify(execFile);
  const digestsOn = async (runtime: string): Promise<string[]> => {
    const program = join(ROOT, "node_modules/.bin", runtime);
    const script = join(ROOT, "scripts/sim.ts");
    const { stdout } = await run(program, [script, "--seeds", "25", "--digest"]);
    return stdout.trim().split("\n");
  };
  const [onNode, onBun] = await Promise.all([digestsOn("node"), digestsOn("bun")]);
  assert.equal(onNode.length, 25);
  assert.deepEqual(onBun, onNode);
});

test("reading, however often, changes nothing", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const [read, unread] = [await simulate(seed), await simulate(seed, { reads: false })];
    assert.equal(unread.digest, read.digest, `seed ${seed}`);
  }
});

test("a seed that breaks a promise says which, when, and what led to it", async () => {
  const sabotage = PLANTED.find(({ name }) => name === "a second settlement counts");
  for (let seed = 1; seed <= PLANTED_SEEDS_MAX; seed += 1) {
    const { broken } = await simulate(seed, { sabotage });
    if (broken === undefined) continue;
    const again = await simulate(seed, { sabotage, trace: true });
    assert.deepEqual(again.broken, broken);
    assert.equal(broken.invariant, "one verdict per ticket");
    assert.ok(again.lines.some((line) => line.includes("settle")));
    return;
  }
  assert.fail("nothing was found");
});

/** Up to here the code without a planted bug has been seen to pass. */
let keptUntil = SEEDS;

for (const sabotage of PLANTED) {
  test(`finds it when ${sabotage.name}`, async (t) => {
    for (let seed = 1; seed <= PLANTED_SEEDS_MAX; seed += 1) {
      const { broken } = await simulate(seed, { sabotage });
      if (broken === undefined) continue;
      t.diagnostic?.(`seed ${seed}: ${broken.invariant}`);
      const { wants } = sabotage;
      assert.equal((await simulate(seed, { wants })).broken, undefined);
      if (wants !== undefined) return;
      for (; keptUntil < seed; keptUntil += 1) await assertKept(keptUntil + 1);
      return;
    }
    assert.fail(`not found in ${PLANTED_SEEDS_MAX} seeds`);
  });
}
