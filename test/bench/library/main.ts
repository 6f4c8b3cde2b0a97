// npm run bench: what one call costs, Switchgear and its peers, on Node and on Bun.
//
// Each set of cases runs in fresh processes, interleaved (measure.ts). Nothing here fails because
// something is slow: it reports, and says which targets were reached.

import { parseArgs } from "node:util";
import { describeMachine, machineLines, packageVersion } from "../support/machine.ts";
import {
  beside,
  CURRENT_RUNTIME,
  runProgram,
  runtimeVersions,
  type Runtime,
} from "../support/runtimes.ts";
import { writeData, writeReport } from "../support/table.ts";
import { SET_NAMES } from "./calls.ts";
import { IDLE_NAMES, type IdleCost, type IdleName } from "./idle.ts";
import { machinesWith, machineTable } from "./machines.ts";
import type { Samples } from "./measure.ts";
import { runtimeReport, summarise, type RuntimeResult, type SetResult } from "./report.ts";

const USAGE = `usage: npm run bench -- [options]
  --quick          a smoke run of a few seconds; its numbers mean nothing and are not kept
  --runtime NAME   node or bun alone; its numbers are not kept
  --seed N         seed of the order of cases (1)
  --json           print the results as JSON instead of tables
`;

/** Compilers decide differently from process to process, so one is not enough. */
const PROCESSES = 3;

const WORKER_MS_MAX = 180_000;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    runtime: { type: "string" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (values.runtime !== undefined && values.runtime !== "node" && values.runtime !== "bun") {
  process.stderr.write(`bench: --runtime is node or bun\n${USAGE}`);
  process.exit(2);
}

const runtimes: readonly Runtime[] =
  values.runtime === undefined ? ["node", "bun"] : [values.runtime];
const quick = values.quick ? ["--quick"] : [];
const seed = Number(values.seed);

/** What the worker prints, as text: the caller knows its type. */
function work(runtime: Runtime, args: readonly string[]): Promise<string> {
  const gc = runtime === "node" ? ["--expose-gc"] : [];
  const file = beside(import.meta.filename, "worker.ts");
  return runProgram(runtime, [...gc, file, ...args, ...quick], WORKER_MS_MAX);
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

async function measureRuntime(runtime: Runtime): Promise<RuntimeResult> {
  const sets: Record<string, SetResult> = {};
  for (const set of SET_NAMES) {
    tell(`${runtime}: ${set}`);
    const processes: Samples[] = [];
    for (let n = 0; n < (values.quick ? 1 : PROCESSES); n += 1) {
      processes.push(JSON.parse(await work(runtime, ["--set", set, "--seed", String(seed + n)])));
    }
    sets[set] = summarise(set, processes);
  }
  const idle = new Map<IdleName, IdleCost>();
  for (const name of IDLE_NAMES) {
    tell(`${runtime}: idle ${name}`);
    idle.set(name, JSON.parse(await work(runtime, ["--idle", name])));
  }
  tell(`${runtime}: scrapes`);
  const scrapes: RuntimeResult["scrapes"] = JSON.parse(await work(runtime, ["--scrapes"]));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every name was measured
  return { scrapes, sets, idle: Object.fromEntries(idle) as Record<IdleName, IdleCost> };
}

const INTRODUCTION = `# Cost per call

Written by \`npm run bench\`. Ratios are medians of per-round ratios within one process, cases
interleaved in shuffled order, ${PROCESSES} fresh processes for each set. \`× raw\` compares with the raw
\`await fn()\`, \`× floor\` with what the case has to do anyway: chain once and read the clock twice,
throw a static error, or make and throw the failing function's own. Nanoseconds belong to this machine and this day. Counters,
latency and events of Switchgear are always on. Targets are set for Node; the Bun column of the
same comparison is there to be read.

How the peers are used: opossum with its defaults but for \`timeout\`, and with
\`errorThresholdPercentage: 100\` where calls fail; with little held it is made anew for each turn of
at most 200 calls. cockatiel's \`CountBreaker\` and \`SamplingBreaker\` hold counts, its
\`ConsecutiveBreaker\` holds one number; where calls fail their thresholds are out of reach. "Much
held" is after 100,000 successes, and for all but opossum 100,000 failures more. cockatiel reads a clock
only where somebody listens to its successes and failures: "latency kept" is that, with a sum.`;

if (!values.quick) tell("about five minutes; nothing else should run meanwhile");
const versions = {
  ...(values.quick ? {} : await runtimeVersions()),
  switchgear: packageVersion("switchgear"),
  opossum: packageVersion("opossum"),
  cockatiel: packageVersion("cockatiel"),
  "prom-client": packageVersion("prom-client"),
};
const machine = describeMachine(versions);
const results: Partial<Record<Runtime, RuntimeResult>> = {};
for (const runtime of runtimes) results[runtime] = await measureRuntime(runtime);

const reports = Object.entries(results).map(([runtime, result]) =>
  runtimeReport(runtime === "node" ? "Node" : "Bun", result),
);
if (values.json) process.stdout.write(`${JSON.stringify({ machine, seed, results })}\n`);
else process.stdout.write(`${[machineLines(machine), ...reports].join("\n\n")}\n`);

const isWhole = !values.quick && values.runtime === undefined;
if (isWhole && CURRENT_RUNTIME === "node") {
  const machines = machinesWith(machine, results);
  const parts = [INTRODUCTION, machineLines(machine), machineTable(machines), ...reports];
  await writeReport("library", parts.join("\n\n"), { machine, seed, results });
  await writeData("machines", machines);
  tell("written to test/bench/results/library.md, library.json and machines.json");
}
