// Hunts for broken promises: simulates seed after seed until one breaks, and says how to see it again.
// Runs whatever time it is given: `npm run sim -- --seeds 100000`; with `--fleet` the worlds are fleets.

import { parseArgs } from "node:util";
import { simulateFleet } from "../test/sim/fleet/simulate.ts";
import { simulate, type Result } from "../test/sim/simulate.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    digest: { type: "boolean", default: false },
    fleet: { type: "boolean", default: false },
  },
});

const run = values.fleet ? simulateFleet : simulate;

/** How many of the last events are shown for a seed that broke. */
const EVENTS_SHOWN = 40;

function number(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    process.stderr.write(`sim: --${name} must be a whole number, not ${JSON.stringify(text)}\n`);
    process.exit(2);
  }
  return value;
}

async function report({ seed, broken, digest }: Result, trace: boolean): Promise<void> {
  const { lines } = await run(seed, { trace: true });
  console.log((trace ? lines : lines.slice(-EVENTS_SHOWN)).join("\n"));
  if (broken === undefined) {
    console.log(`seed ${seed}: every promise kept, digest ${digest}`);
    return;
  }
  console.log(`seed ${seed} broke a promise at ${broken.atMs} ms: ${broken.invariant}`);
  console.log(`  ${broken.detail}`);
  const unmask = process.env["SIM_UNMASK"];
  const prefix = unmask === undefined ? "" : `SIM_UNMASK=${unmask} `;
  const kind = values.fleet ? "--fleet " : "";
  console.log(`again: ${prefix}npm run sim -- ${kind}--seed ${seed} --trace`);
}

// Hosts' classifiers that throw are part of many worlds, and each is warned of.
process.removeAllListeners("warning");

const from = number(values.seed ?? values.from, values.seed === undefined ? "from" : "seed");
const count = values.seed === undefined ? number(values.seeds, "seeds") : 1;
const startedMs = performance.now();
let found = 0;
let done = 0;
for (let seed = from; seed < from + count && found === 0; seed += 1) {
  const result = await run(seed);
  done += 1;
  if (values.digest) console.log(`${seed} ${result.digest} ${result.broken?.invariant ?? ""}`);
  if (result.broken !== undefined || values.trace) await report(result, values.trace);
  if (result.broken !== undefined) found += 1;
  // Promises alone never let the runtime breathe.
  if (seed % 100 === 0) await new Promise((next) => setImmediate(next));
}
const ms = performance.now() - startedMs;
if (!values.digest) {
  console.log(`${done} seeds from ${from}: ${found} broken, ${(ms / done).toFixed(2)} ms each`);
}
process.exitCode = found === 0 ? 0 : 1;
