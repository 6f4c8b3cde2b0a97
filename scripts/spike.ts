// The Super Bowl proof: k6 against the real gateway in front of simulated bookmakers, and the same load on
// a bare proxy and on a plain breaker, which must not hold. Exits with 0 when all is as claimed, with 1 when
// it is not, with 2 when it was used wrongly, and with 3 when the machine could not deliver the load.

import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { isScenario, SCENARIOS, secondsOf, shapeOf } from "../loadtest/lib/shapes.ts";
import { SUBJECTS, type RunRecord, type Subject } from "../loadtest/run/data.ts";
import { runK6, type K6Options } from "../loadtest/run/k6.ts";
import { startSampler, type Sampler } from "../loadtest/run/sampler.ts";
import { createWorld, TARGET } from "../loadtest/run/world.ts";
import { toolPath } from "../test/tools/build.ts";

const USAGE = `usage: npm run spike -- [options]
  --scenario NAME   ${SCENARIOS.join(", ")} (spike)
  --short           less than a minute for each run
  --scale N         factor on every rate and on the bookmakers' capacity (1)
  --runtime NAME    of the gateway: node or bun (node)
  --subject NAME    one of ${SUBJECTS.join(", ")} alone (all)
  --against URL     the load alone, on a gateway that runs already
  --to FOLDER       where the files of the run go (a temporary one)
`;
const EXIT = { held: 0, failed: 1, wrongUse: 2, void: 3 } as const;

/** What is without a limiter needs no time to forget what it learnt. */
const CONTROL_CALM_SECONDS = 8;
const PROGRESS_MS = 5000;

function wrongUse(message: string): never {
  process.stderr.write(`spike: ${message}\n${USAGE}`);
  process.exit(EXIT.wrongUse);
}

interface Choice extends Pick<K6Options, "scenario" | "scale" | "isShort"> {
  readonly runtime: "node" | "bun";
  readonly subjects: readonly Subject[];
  readonly against: string | undefined;
  readonly folder: string;
}

function readChoice(): Choice {
  const { values } = parse();
  const { scenario, runtime, subject, against } = values;
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
  if (against !== undefined && (scenario === "hang" || scenario === "brownout"))
    return wrongUse(`only a simulated bookmaker can be told to be ill, as ${scenario} needs it`);
  if (against !== undefined && subject !== undefined)
    return wrongUse("--against and --subject exclude each other");
  const folder =
    values.to === undefined ? mkdtempSync(join(tmpdir(), "switchgear-spike-")) : resolve(values.to);
  const subjects: readonly Subject[] =
    against !== undefined ? ["against"] : only === undefined ? SUBJECTS : [only];
  return { scenario, runtime, scale, isShort: values.short, subjects, against, folder };
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
      scenario: { type: "string", default: "spike" },
      short: { type: "boolean", default: false },
      scale: { type: "string", default: "1" },
      runtime: { type: "string", default: "node" },
      subject: { type: "string" },
      against: { type: "string" },
      to: { type: "string" },
    },
  });
}

async function runSubject(subject: Subject, choice: Choice, k6: string): Promise<RunRecord> {
  const { scenario, scale, isShort, runtime } = choice;
  const folder = join(choice.folder, subject);
  mkdirSync(folder, { recursive: true });
  const isGateway = subject === "gateway";
  const common = {
    k6,
    subject,
    runtime: isGateway ? runtime : null,
    scenario,
    scale,
    isShort,
    folder,
  };
  if (subject === "against") {
    const address = choice.against ?? "";
    return runK6({ ...common, address, control: undefined });
  }
  const world = await createWorld({ subject, scenario, runtime, scale, folder });
  const sampler = startSampler(world, join(folder, "samples.jsonl"));
  const progress = startProgress(sampler);
  try {
    const calmSeconds = isGateway ? undefined : CONTROL_CALM_SECONDS;
    const control = world.bookmakers[TARGET];
    return await runK6({ ...common, address: world.address, calmSeconds, control });
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

/** What is protected must hold, what is not must not. */
function isAsClaimed({ subject, outcome }: RunRecord): boolean {
  return outcome === (subject === "gateway" || subject === "against" ? "held" : "breached");
}

const choice = readChoice();
const k6 = toolPath("k6");
const records: RunRecord[] = [];
for (const subject of choice.subjects) {
  const { scenario, scale, isShort } = choice;
  const seconds = secondsOf(shapeOf(scenario, { scale, isShort }));
  process.stderr.write(`\n== ${scenario} on ${subject}: about ${seconds + 30} s\n`);
  records.push(await runSubject(subject, choice, k6));
}

process.stdout.write("\n");
for (const record of records) {
  const expected = isAsClaimed(record) ? "as claimed" : "NOT as claimed";
  const breached = record.verdicts.filter(({ held }) => !held).map(({ name }) => name);
  const which = breached.length === 0 ? "" : `: ${breached.join(", ")}`;
  process.stdout.write(`${record.subject}: ${record.outcome}, ${expected}${which}\n`);
}
process.stdout.write(`files: ${choice.folder}\n`);
if (records.every(isAsClaimed)) process.exitCode = EXIT.held;
else if (records.some(({ outcome }) => outcome === "void")) process.exitCode = EXIT.void;
else process.exitCode = EXIT.failed;
