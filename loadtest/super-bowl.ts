// The Super Bowl proof: `k6 run loadtest/super-bowl.ts -e GATEWAY=http://127.0.0.1:8080`
//
// Works against any running gateway. What it asks for is in `lib/shapes.ts`, what is claimed in
// `lib/thresholds.ts`; k6 ends with 0 when all claims held, and with 99 when one was breached.
//
//   GATEWAY      the gateway's address; there is no default, so that nobody is hit by accident
//   SCENARIO     spike (default), hang, brownout or growth
//   SCALE        factor on every rate (1: from 20 to 1,000 calls a second)
//   TARGET       the upstream that is put to the test (draftkings), and HEALTHY, one beside it (fanduel)
//   ROUTE        what is asked for (/odds)
//   DEADLINE_MS  the deadline of both, as configured (2000)
//   CONTROL      for hang: address of the simulated bookmaker, who is told to hang
//   SHORT        1: less than a minute
//   CALM_S       seconds of calm before the step
//   SUMMARY      file for k6's summary, as JSON

import exec from "k6/execution";
import http from "k6/http";
import type { Options } from "k6/options";
import { call, pause, tierOf, type CallOptions, type Tier } from "./lib/calls.ts";
import { createJudge } from "./lib/judge.ts";
import { measure, type Baseline } from "./lib/measure.ts";
import {
  callsPerIteration,
  isScenario,
  overloadSeconds,
  SCENARIOS,
  scenariosOf,
  shapeOf,
  type ScenarioName,
  type Step,
  type Who,
} from "./lib/shapes.ts";
import { report } from "./lib/summary.ts";
import { thresholdsOf } from "./lib/thresholds.ts";

const gateway = required("GATEWAY").replace(/\/$/, "");
const scenario = scenarioName(__ENV["SCENARIO"] ?? "spike");
const deadlineMs = positive("DEADLINE_MS") ?? 2000;
/** The gateway's own answer at the deadline must still arrive. */
const timeoutMs = deadlineMs + 500;
const shape = shapeOf(scenario, {
  scale: positive("SCALE") ?? 1,
  isShort: __ENV["SHORT"] === "1",
  calmSeconds: positive("CALM_S"),
});
if (shape.steps.some(({ control }) => control !== undefined)) required("CONTROL");
const judge = createJudge(scenario, 1000 * overloadSeconds(shape));
const bookmakers = {
  target: __ENV["TARGET"] ?? "draftkings",
  healthy: __ENV["HEALTHY"] ?? "fanduel",
};
const route = __ENV["ROUTE"] ?? "/odds";

export const options: Options = {
  scenarios: scenariosOf(shape, timeoutMs),
  thresholds: thresholdsOf(scenario, shape),
  setupTimeout: "120s",
  discardResponseBodies: true,
  // Wherever an answer points: nobody is called but the gateway that was named.
  maxRedirects: 0,
  // As many connections as calls are kept for the next: these two are what k6 goes by.
  batch: 2000,
  batchPerHost: 2000,
  systemTags: ["scenario", "status", "error_code"],
  summaryTrendStats: ["count", "min", "med", "p(95)", "p(99)", "max"],
};

export async function setup(): Promise<Baseline> {
  const baseline = await measure({
    target: optionsOf("target", "critical"),
    healthy: optionsOf("healthy", "critical"),
    seconds: shape.measureSeconds,
    deadlineMs,
  });
  const { capacity, medianMs, healthyP99Ms } = baseline;
  console.log(
    `measured before the load: ${capacity.toFixed(0)} calls a second, median ` +
      `${medianMs.toFixed(0)} ms; beside it p99 ${healthyP99Ms.toFixed(0)} ms`,
  );
  return baseline;
}

/** Calls to the bookmaker that is put to the test. */
export async function target(baseline: Baseline): Promise<void> {
  await makeCalls("target", baseline);
}

/** Calls to the bookmaker beside it. */
export async function healthy(baseline: Baseline): Promise<void> {
  await makeCalls("healthy", baseline);
}

/** Tells a simulated bookmaker how to behave from now on. */
export function order(): void {
  const step = Number(exec.scenario.name.split("_")[1]);
  const answer = http.put(`${required("CONTROL")}/__control`, JSON.stringify(stepAt(step).control));
  if (answer.status !== 200)
    exec.test.abort(`the bookmaker answered its order with ${answer.status}`);
}

/** k6 asks for what to write when all is over. */
export function handleSummary(data: unknown): Record<string, string> {
  const file = __ENV["SUMMARY"];
  return {
    stdout: report(data, scenario, shape),
    ...(file === undefined ? {} : { [file]: JSON.stringify(data) }),
  };
}

/** Each when it is due, whether or not those before it came back. */
async function makeCalls(who: Who, baseline: Baseline): Promise<void> {
  const { name, startTime, iterationInTest } = exec.scenario;
  const step = Number(name.split("_")[1]);
  const { perSecond } = stepAt(step);
  if (who === "target" && iterationInTest === 0) judge.noteStep(startTime);
  const rate = who === "target" ? perSecond : shape.healthyPerSecond;
  const count = callsPerIteration(rate);
  const first = iterationInTest * count;
  const calls: Promise<void>[] = [];
  for (let index = first; index < first + count; index += 1) {
    const dueMs = startTime + (1000 * index) / rate;
    const earlyMs = dueMs - Date.now();
    if (earlyMs > 0) await pause(earlyMs);
    calls.push(makeCall({ who, step, startTime, tier: tierOf(index), dueMs }, baseline));
  }
  await Promise.all(calls);
}

interface Due {
  readonly who: Who;
  readonly step: number;
  readonly startTime: number;
  readonly tier: Tier;
  readonly dueMs: number;
}

async function makeCall(due: Due, baseline: Baseline): Promise<void> {
  const { who, step, startTime, tier, dueMs } = due;
  const { phase, seconds } = stepAt(step);
  const lagMs = Date.now() - dueMs;
  const answer = await call(optionsOf(who, tier));
  const sinceStepMs = Date.now() - startTime;
  const stepMs = 1000 * seconds;
  const bookmaker = bookmakers[who];
  judge.judge({ who, bookmaker, tier, phase, sinceStepMs, stepMs, lagMs, answer }, baseline);
}

function stepAt(index: number): Step {
  const step = shape.steps[index];
  if (step === undefined) throw new Error(`there is no step ${index}`);
  return step;
}

function optionsOf(who: Who, tier: Tier): CallOptions {
  return { url: `${gateway}/${bookmakers[who]}${route}`, tier, timeoutMs };
}

function required(name: string): string {
  const value = __ENV[name];
  if (value === undefined || value === "")
    throw new Error(`${name} is missing: -e ${name}=http://127.0.0.1:8080`);
  return value;
}

function positive(name: string): number | undefined {
  const text = __ENV[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`${name} must be a number above 0, not ${JSON.stringify(text)}`);
}

function scenarioName(text: string): ScenarioName {
  if (isScenario(text)) return text;
  throw new Error(`SCENARIO must be one of ${SCENARIOS.join(", ")}, not ${JSON.stringify(text)}`);
}
