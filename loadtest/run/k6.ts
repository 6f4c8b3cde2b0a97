// One run of k6: started, watched, and what it measured brought into the form of `data.ts`.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { secondsOf, shapeOf, type ScenarioName, type Shape } from "../lib/shapes.ts";
import type { Baseline } from "../lib/measure.ts";
import { verdictsOf, type Summary } from "../lib/summary.ts";
import { endsWithUs } from "./children.ts";
import { DASHBOARD, type RunRecord, type StepRecord, type Subject } from "./data.ts";
import { watchMachine, type WakeMs } from "./machine.ts";
import { outcomeOf } from "./outcome.ts";
import { ROOT } from "./processes.ts";
import { reduceSamples } from "./rows.ts";
import { DEADLINE_MS, HEALTHY, TARGET } from "./world.ts";

export interface K6Options {
  readonly k6: string;
  readonly address: string;
  readonly subject: Subject;
  readonly runtime: "node" | "bun" | null;
  readonly scenario: ScenarioName;
  readonly scale: number;
  readonly isShort: boolean;
  readonly calmSeconds?: number | undefined;
  readonly measureSeconds?: number | undefined;
  readonly isBrief?: boolean | undefined;
  readonly isTwice?: boolean | undefined;
  /** What k6 runs; a test has a spoilt one. */
  readonly script?: string | undefined;
  /** Address of the simulated bookmaker that is put to the test, if it is one. */
  readonly control: string | undefined;
  readonly folder: string;
}

/** Setting up and measuring take less than this; then come the steps. */
const SETUP_SECONDS_MAX = 150;
/** Of the memory that there is, what k6 may fill before it collects garbage. */
const GARBAGE_SHARE = 0.5;

export async function runK6(options: K6Options): Promise<RunRecord> {
  const { folder, scenario, scale, isShort, subject, runtime } = options;
  const shape = shapeOf(scenario, options);
  const summaryFile = join(folder, "k6-summary.json");
  const csv = join(folder, "k6.csv");
  const dashboard = join(folder, DASHBOARD);
  const startMs = Date.now();
  const { exitCode, wakeMsBetween } = await watched(() =>
    run(options, { shape, summaryFile, csv, dashboard }),
  );
  const endMs = Date.now();
  const summary = readSummary(summaryFile);
  const reduced = existsSync(csv) ? await reduceSamples(csv) : undefined;
  rmSync(csv, { force: true });
  writeFileSync(join(folder, "rows.jsonl"), toLines(reduced?.rows ?? []));
  const verdicts = summary === undefined ? [] : verdictsOf(summary, scenario, shape);
  const steps = shape.steps.map((step, index) => stepRecord(step, reduced?.stepStartMs.get(index)));
  const wakeMs = wakeMsOf(steps, wakeMsBetween);
  const record: RunRecord = {
    subject,
    scenario,
    scale,
    isShort,
    runtime,
    deadlineMs: DEADLINE_MS,
    target: TARGET,
    healthy: HEALTHY,
    baseline: (summary?.setup_data as Baseline | undefined) ?? null,
    steps,
    verdicts,
    wakeMs,
    outcome: outcomeOf(subject, verdicts, exitCode, wakeMs),
    exitCode,
    startMs,
    endMs,
  };
  writeFileSync(join(folder, "run.json"), `${JSON.stringify(record, undefined, 2)}\n`);
  return record;
}

async function watched(
  work: () => Promise<number | null>,
): Promise<{ readonly exitCode: number | null; readonly wakeMsBetween: WakeMs }> {
  const machine = watchMachine();
  try {
    const exitCode = await work();
    return { exitCode, wakeMsBetween: await machine.stop() };
  } catch (error) {
    await machine.stop();
    throw error;
  }
}

/** While more is asked for than before, which is when the finest claims are judged. */
function wakeMsOf(steps: readonly StepRecord[], wakeMsBetween: WakeMs): number | null {
  const worst = steps.flatMap(({ phase, startMs, seconds }) => {
    if (phase !== "overload" || startMs === undefined) return [];
    return wakeMsBetween(startMs, startMs + 1000 * seconds) ?? [];
  });
  return worst.length === 0 ? null : Math.max(...worst);
}

function stepRecord(
  { phase, seconds, perSecond }: Shape["steps"][number],
  startMs: number | undefined,
): StepRecord {
  return { phase, ...(startMs === undefined ? {} : { startMs }), seconds, perSecond };
}

function run(
  options: K6Options,
  files: {
    readonly shape: Shape;
    readonly summaryFile: string;
    readonly csv: string;
    readonly dashboard: string;
  },
): Promise<number | null> {
  const { address, scenario, scale, isShort, calmSeconds, measureSeconds, control } = options;
  const variables = {
    GATEWAY: address,
    SCENARIO: scenario,
    SCALE: String(scale),
    SHORT: isShort ? "1" : "0",
    BRIEF: options.isBrief === true ? "1" : "0",
    TWICE: options.isTwice === true ? "1" : "0",
    TARGET,
    HEALTHY,
    DEADLINE_MS: String(DEADLINE_MS),
    SUMMARY: files.summaryFile,
    ...(calmSeconds === undefined ? {} : { CALM_S: String(calmSeconds) }),
    ...(measureSeconds === undefined ? {} : { MEASURE_S: String(measureSeconds) }),
    ...(control === undefined ? {} : { CONTROL: control }),
  };
  const child = spawn(
    options.k6,
    [
      "run",
      "--quiet",
      `--out=csv=${files.csv}`,
      ...Object.entries(variables).flatMap(([name, value]) => ["-e", `${name}=${value}`]),
      options.script ?? join(ROOT, "loadtest/super-bowl.ts"),
    ],
    {
      stdio: ["ignore", "inherit", "pipe"],
      env: {
        // While Go collects garbage, calls wait for a quarter of a second and seem slow: not before it must.
        GOGC: "off",
        GOMEMLIMIT: String(Math.floor(process.availableMemory() * GARBAGE_SHARE)),
        ...process.env,
        K6_CSV_TIME_FORMAT: "unix_milli",
        // A second's worth at once would make the calls of that moment wait.
        K6_CSV_SAVE_INTERVAL: "100ms",
        K6_NO_USAGE_REPORT: "true",
        K6_AUTO_EXTENSION_RESOLUTION: "false",
        K6_WEB_DASHBOARD: "true",
        K6_WEB_DASHBOARD_EXPORT: files.dashboard,
        K6_WEB_DASHBOARD_PERIOD: "1s",
        // Meanwhile k6 serves it as a page, here alone: port -1, which is said to be none, is any on all addresses.
        K6_WEB_DASHBOARD_HOST: "127.0.0.1",
        K6_WEB_DASHBOARD_PORT: "0",
      },
      timeout: (SETUP_SECONDS_MAX + secondsOf(files.shape)) * 1000,
    },
  );
  endsWithUs(child);
  // A line for each call without an answer, which are counted anyway.
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (!line.includes('msg="Request Failed"')) process.stderr.write(`${line}\n`);
  });
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", (code) => done(code));
  });
}

function readSummary(file: string): Summary | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Summary) : undefined;
}

function toLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}
