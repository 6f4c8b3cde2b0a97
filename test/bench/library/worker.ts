// One case set in a fresh process. Prints what it measured as JSON.

import { parseArgs } from "node:util";
import { SeededRandom } from "../../../src/testing/index.ts";
import { SET_NAMES, makeSet, type SetName } from "./calls.ts";
import { IDLE_NAMES, measureIdle, type IdleName } from "./idle.ts";
import { measure } from "./measure.ts";

const { values } = parseArgs({
  options: {
    set: { type: "string" },
    idle: { type: "string" },
    seed: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
  },
});

const QUICK = {
  effort: { turnMs: 0.2, rounds: 3, warmupMs: 2 },
  idle: { breakers: 200, idleMs: 20, readings: 2 },
  heldCalls: 500,
} as const;

const FULL = {
  effort: { turnMs: 2, rounds: 100, warmupMs: 200 },
  idle: { breakers: 10_000, idleMs: 2000, readings: 7 },
  heldCalls: 100_000,
} as const;

const settings = values.quick ? QUICK : FULL;

function oneOf<Name extends string>(names: readonly Name[], wanted: string): Name {
  const found = names.find((name) => name === wanted);
  if (found === undefined) throw new Error(`${wanted} is none of ${names.join(", ")}`);
  return found;
}

async function runSet(name: SetName): Promise<unknown> {
  const set = await makeSet(name, settings.heldCalls);
  // A turn of a case that costs milliseconds a call is long by itself; there, fewer rounds do.
  const rounds = name === "held" && !values.quick ? 40 : settings.effort.rounds;
  const random = new SeededRandom(Number(values.seed));
  const samples = await measure(set, { ...settings.effort, rounds }, random);
  await set.close?.();
  return samples;
}

const result =
  values.set === undefined
    ? await measureIdle(oneOf<IdleName>(IDLE_NAMES, values.idle ?? ""), settings.idle)
    : await runSet(oneOf<SetName>(SET_NAMES, values.set));
process.stdout.write(JSON.stringify(result), () => process.exit(0));
