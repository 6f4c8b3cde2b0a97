// One case set in a fresh process. Prints what it measured as JSON.

import { parseArgs } from "node:util";
import { SeededRandom } from "../../../src/testing/index.ts";
import { SET_NAMES, makeSet, type SetName } from "./calls.ts";
import { IDLE_NAMES, measureIdle, type IdleName } from "./idle.ts";
import { measure } from "./measure.ts";
import { measureScrapes } from "./scrape.ts";

const { values } = parseArgs({
  options: {
    set: { type: "string" },
    idle: { type: "string" },
    scrapes: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
  },
});

const QUICK = {
  effort: { turnMs: 0.2, rounds: 3, warmupMs: 2 },
  idle: { breakers: 200, idleMs: 20, readings: 2 },
  scrapes: { turnMs: 1, rounds: 2, warmupMs: 5, breakers: 50, stalls: 2 },
  heldCalls: 500,
} as const;

const FULL = {
  effort: { turnMs: 2, rounds: 100, warmupMs: 200 },
  idle: { breakers: 10_000, idleMs: 2000, readings: 7 },
  scrapes: { turnMs: 1, rounds: 25, warmupMs: 2000, breakers: 1000, stalls: 15 },
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

function work(): Promise<unknown> {
  if (values.scrapes)
    return measureScrapes(settings.scrapes, new SeededRandom(Number(values.seed)));
  return values.set === undefined
    ? measureIdle(oneOf<IdleName>(IDLE_NAMES, values.idle ?? ""), settings.idle)
    : runSet(oneOf<SetName>(SET_NAMES, values.set));
}

const result = await work();
process.stdout.write(JSON.stringify(result), () => process.exit(0));
