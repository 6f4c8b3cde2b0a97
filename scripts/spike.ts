// The Super Bowl proof: k6 against the real gateway in front of simulated bookmakers, and the same load on
// a bare proxy and on a plain breaker, which must not hold; then the other scenarios. Exits with 0 when all is as
// claimed, with 1 when it is not, with 2 when it was used wrongly, and with 3 when the machine could not deliver
// the load.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  isScenario,
  needsControl,
  SCENARIOS,
  secondsOf,
  shapeOf,
  type ScenarioName,
} from "../loadtest/lib/shapes.ts";
import { machineOf, nameOf } from "../loadtest/report/verdict.ts";
import { writeReport } from "../loadtest/report/write.ts";
import { endOnSignals } from "../loadtest/run/children.ts";
import { isControl, SUBJECTS, type RunRecord, type Subject } from "../loadtest/run/data.ts";
import { runK6, type K6Options } from "../loadtest/run/k6.ts";
import { startSampler, type Sampler } from "../loadtest/run/sampler.ts";
import { createWorld, TARGET } from "../loadtest/run/world.ts";
import { toolPath } from "../test/tools/build.ts";

const USAGE = `usage: npm run spike -- [options]
  --scenario NAME   one alone: ${SCENARIOS.join(", ")}
                    (all of them in their short forms, six minutes)
  --short           less than a minute for each run
  --scale N         factor on every rate and on the bookmakers' capacity (1)
  --runtime NAME    of the gateway: node or bun (node)
  --subject NAME    one of ${SUBJECTS.join(", ")} alone (of spike all, else gateway)
  --against URL     the load alone, on a gateway that runs already
  --to FOLDER       where the files of the run go (a temporary one)
`;
const EXIT = { held: 0, breached: 1, void: 3 } as const;
const EXIT_WRONG_USE = 2;

/** What is without a limiter needs no time to forget what it learnt. */
const CONTROL_CALM_SECONDS = 8;
/** So that all of them take six minutes: calm, and each measurement. */
const HASTE = { calmSeconds: 2, measureSeconds: 0.6 } as const;
/** Those whose goodput is compared closely with what was measured. */
const CLOSE: ReadonlySet<ScenarioName> = new Set(["spike", "replicas"]);
const CLOSE_MEASURE_SECONDS = 2;
/** Here a capacity that is taken for less than it is would be easy to reach. */
const BROWNOUT_MEASURE_SECONDS = 1.2;
const PROGRESS_MS = 5000;

function wrongUse(message: string): never {
  process.stderr.write(`spike: ${message}\n${USAGE}`);
  process.exit(EXIT_WRONG_USE);
}

/** One run of k6. */
interface Planned extends Pick<
  K6Options,
  "scenario" | "scale" | "isShort" | "isTwice" | "calmSeconds" | "measureSeconds"
> {
  readonly subject: Subject;
}

interface Choice {
  readonly runs: readonly Planned[];
  readonly runtime: "node" | "bun";
  readonly against: string | undefined;
  readonly folder: string;
}

function readChoice(): Choice {
  const { values } = parse();
  const { runtime, subject, against } = values;
  const { scenario = "spike", short: isShort } = values;
  if (!isScenario(scenario)) return wrongUse(`there is no scenario ${JSON.stringify(scenario)}`);
  if (runtime !== "node" && runtime !== "bun")
    return wrongUse(`--runtime must be node or bun, not ${JSON.stringify(runtime)}`);
  const scale = Number(values.scale);
  if (!(scale > 0 && scale <= 100))
    return wrongUse(`--scale must be above 0 and at most 100, not ${JSON.stringify(values.scale)}`);
  const only = SUBJECTS.find((one) => one === subject);
  if (subject !== undefined && only === undefined)
    return wrongUse(`there is no subject ${JSON.stringify(subject)}`);
  if (against !== undefined && !/^https?:\/\//.test(against))
    return wrongUse(`--against must be an address, not ${JSON.stringify(against)}`);
  if (against !== undefined && needsControl(shapeOf(scenario, { scale, isShort })))
    return wrongUse(
      `only a simulated bookmaker can be told to be ill, or asked, as ${scenario} needs it`,
    );
  if (against !== undefined && subject !== undefined)
    return wrongUse("--against and --subject exclude each other");
  const folder =
    values.to === undefined ? mkdtempSync(join(tmpdir(), "switchgear-spike-")) : resolve(values.to);
  const chosen = against === undefined ? only : "against";
  const isAll = values.scenario === undefined && chosen === undefined;
  const runs = isAll ? everyRun(scale) : runsOf(scenario, chosen, { scale, isShort });
  return { runs, runtime, against, folder };
}

function runsOf(
  scenario: ScenarioName,
  chosen: Subject | undefined,
  sizes: Pick<Planned, "scale" | "isShort">,
): Planned[] {
  // Of what else is claimed a plain proxy breaks little: it cannot refuse, or has no need to.
  const subjects = scenario === "spike" ? SUBJECTS : (["gateway"] as const);
  return (chosen === undefined ? subjects : [chosen]).map((subject) => {
    const calmSeconds = isControl(subject) ? CONTROL_CALM_SECONDS : undefined;
    return Object.assign({ subject, scenario, calmSeconds }, sizes);
  });
}

function everyRun(scale: number): Planned[] {
  return SCENARIOS.flatMap((scenario) =>
    runsOf(scenario, undefined, { scale, isShort: true }).map((run) => {
      const isClose = CLOSE.has(scenario) && run.subject === "gateway";
      const haste = isClose ? { measureSeconds: CLOSE_MEASURE_SECONDS } : { ...HASTE };
      if (scenario === "brownout") haste.measureSeconds = BROWNOUT_MEASURE_SECONDS;
      return Object.assign({ isTwice: scenario === "spike" }, run, haste);
    }),
  );
}

function parse(): ReturnType<typeof parseOptions> {
  try {
    return parseOptions();
  } catch (error) {
    return wrongUse((error as Error).message);
  }
}

function parseOptions() {
  return parseArgs({
    options: {
      scenario: { type: "string" },
      short: { type: "boolean", default: false },
      scale: { type: "string", default: "1" },
      runtime: { type: "string", default: "node" },
      subject: { type: "string" },
      against: { type: "string" },
      to: { type: "string" },
    },
  });
}

async function run(planned: Planned, folder: string): Promise<RunRecord> {
  const { subject, scenario, scale } = planned;
  const { runtime } = choice;
  mkdirSync(folder, { recursive: true });
  const common = { ...planned, k6, folder, runtime: subject === "gateway" ? runtime : null };
  const samples = join(folder, "samples.jsonl");
  if (subject === "against") {
    writeFileSync(samples, "");
    return runK6({ ...common, address: choice.against ?? "", control: undefined });
  }
  const world = await createWorld({ subject, scenario, runtime, scale, folder });
  const sampler = startSampler(world, samples);
  const progress = startProgress(sampler);
  try {
    return await runK6({ ...common, address: world.address, control: world.bookmakers[TARGET] });
  } finally {
    clearInterval(progress);
    await sampler.stop();
    await world.stop();
  }
}

function startProgress(sampler: Sampler): NodeJS.Timeout {
  const startMs = Date.now();
  return setInterval(() => {
    const { bookmakers = {}, series = {} } = sampler.latest() ?? {};
    const { received = 0, inFlight = 0, queued = 0 } = bookmakers[TARGET] ?? {};
    const limit = series[`switchgear_limit_concurrency{bookmaker="${TARGET}"}`];
    const seconds = ((Date.now() - startMs) / 1000).toFixed(0).padStart(4);
    process.stderr.write(
      `${seconds} s  ${TARGET}: ${received} received, ${inFlight} in flight, ${queued} queued` +
        `${limit === undefined ? "" : `, limit ${limit.toFixed(0)}`}\n`,
    );
  }, PROGRESS_MS);
}

endOnSignals();
const choice = readChoice();
const k6 = toolPath("k6");
const records: RunRecord[] = [];
const folders: string[] = [];
for (const [index, planned] of choice.runs.entries()) {
  const { scenario, subject } = planned;
  const shape = shapeOf(scenario, planned);
  const seconds = Math.round(secondsOf(shape) + 5 * shape.measureSeconds + 5);
  const of = `${index + 1} of ${choice.runs.length}`;
  process.stderr.write(`\n== ${of}: ${scenario} on ${subject}, about ${seconds} s\n`);
  const folder = join(choice.folder, scenario, subject);
  folders.push(folder);
  records.push(await run(planned, folder));
}

process.stdout.write("\n");
for (const record of records) {
  const breached = record.verdicts.filter(({ held }) => !held).map(({ name }) => name);
  const which = breached.length === 0 ? "" : `: ${breached.join(", ")}`;
  process.stdout.write(`${nameOf(record)}: ${record.outcome}${which}; ${machineOf(record)}\n`);
}
const report = join(choice.folder, "report");
const proof = writeReport(report, folders);
process.stdout.write(`\n${proof.outcome}; the report: ${join(report, "report.html")}\n`);
for (const fault of proof.faults) process.stdout.write(`  ${fault}\n`);
process.exitCode = EXIT[proof.outcome];
