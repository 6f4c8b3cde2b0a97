// The Super Bowl proof: `k6 run loadtest/super-bowl.ts -e GATEWAY=http://127.0.0.1:8080`
//
// Works against any running gateway. What it asks for is in `lib/shapes.ts`, what is claimed in
// `lib/thresholds.ts`; k6 ends with 0 when all claims held, and with 99 when one was breached.
//
//   GATEWAY      the gateway's address; there is no default, so that nobody is hit by accident. Of several
//                replicas all, with commas between them: calls go to each in turn
//   SCENARIO     spike (default), hang, brownout, growth, flapping, replicas, slow-body, rate or heavy
//   SCALE        factor on every rate (1: from 20 to 1,000 calls a second)
//   TARGET       the upstream that is put to the test (draftkings), and HEALTHY, one beside it (fanduel)
//   ROUTE        what is asked for (/odds), and HEAVY_ROUTE, what the heavy operation is (/probe)
//   DEADLINE_MS  the deadline of both, as configured (2000)
//   CONTROL      address of the simulated bookmaker, for scenarios in which it is told to be ill, or is asked
//   SHORT        1: less than a minute. BRIEF, 1: too short for a verdict, for trying this out
//   TWICE        1: a second spike in the short form, too
//   CALM_S       seconds of calm before the step, and MEASURE_S, of each measurement before it
//   SUMMARY      file for k6's summary, as JSON

import exec from "k6/execution";
import http from "k6/http";
import type { Options } from "k6/options";
import { call, pause, type CallOptions } from "./lib/calls.ts";
import { createJudge, type CallJudge } from "./lib/judge.ts";
import { measure, type Baseline } from "./lib/measure.ts";
import {
  callsPerIteration,
  isHeavyCall,
  isScenario,
  needsControl,
  replicaOf,
  SCENARIOS,
  scenariosOf,
  shapeOf,
  type ScenarioName,
  type Step,
  type Who,
} from "./lib/shapes.ts";
import { report } from "./lib/summary.ts";
import { needsCapacity, thresholdsOf } from "./lib/thresholds.ts";
import { tierOf, type Tier } from "./lib/tiers.ts";

const gateways = required("GATEWAY")
  .split(",")
  .map((address) => address.replace(/\/$/, ""));
const scenario = scenarioName(__ENV["SCENARIO"] ?? "spike");
const deadlineMs = positive("DEADLINE_MS") ?? 2000;
/** The gateway's own answer at the deadline must still arrive. */
const timeoutMs = deadlineMs + 500;
const scale = positive("SCALE") ?? 1;
const shape = shapeOf(scenario, {
  scale,
  isShort: __ENV["SHORT"] === "1",
  calmSeconds: positive("CALM_S"),
  measureSeconds: positive("MEASURE_S"),
  isBrief: __ENV["BRIEF"] === "1",
  isTwice: __ENV["TWICE"] === "1",
});
if (needsControl(shape)) required("CONTROL");
const judge = createJudge(scenario, shape, scale);
const bookmakers = {
  target: __ENV["TARGET"] ?? "draftkings",
  healthy: __ENV["HEALTHY"] ?? "fanduel",
};
// A short body is awaited whole, since its status can still change; a long one streams.
const route = __ENV["ROUTE"] ?? (scenario === "slow-body" ? "/odds?bytes=100000" : "/odds");
const heavyRoute = __ENV["HEAVY_ROUTE"] ?? "/probe";

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
    target: optionsOf("target", { tier: "critical" }),
    healthy: optionsOf("healthy", { tier: "critical" }),
    seconds: shape.measureSeconds,
    deadlineMs,
    isCapacityAsked: needsCapacity(scenario),
  });
  const { capacity, medianMs, healthyP99Ms } = baseline;
  console.log(
    `measured before the load: ${capacity === undefined ? "" : `${capacity.toFixed(0)} calls a second, `}` +
      `median ${medianMs.toFixed(0)} ms; beside it p99 ${healthyP99Ms.toFixed(0)} ms`,
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

/** Asks a simulated bookmaker how many calls it has received. */
export function count(): void {
  const { counts = "to" } = stepAt(Number(exec.scenario.name.split("_")[1]));
  const askedMs = exec.instance.currentTestRunDuration;
  const answer = http.get(`${required("CONTROL")}/__stats`, { responseType: "text" });
  if (answer.status !== 200) exec.test.abort(`the bookmaker told nothing: ${answer.status}`);
  const { received } = answer.json() as { received: number };
  // The longer of the times that may have passed between two answers.
  const atMs = counts === "from" ? askedMs : exec.instance.currentTestRunDuration;
  judge.noteReceived(counts, received, atMs / 1000);
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
  const { phase, perSecond } = stepAt(step);
  const judging = judge.of(who, phase);
  if (who === "target" && iterationInTest === 0) judge.noteStep(startTime);
  const rate = who === "target" ? perSecond : shape.healthyPerSecond;
  const count = callsPerIteration(rate);
  const first = iterationInTest * count;
  const calls: Promise<void>[] = [];
  for (let index = first; index < first + count; index += 1) {
    const dueMs = startTime + (1000 * index) / rate;
    const earlyMs = dueMs - Date.now();
    if (earlyMs > 0) await pause(earlyMs);
    calls.push(makeCall({ who, step, startTime, index, dueMs }, judging, baseline));
  }
  await Promise.all(calls);
  judging.tell();
}

interface Due {
  readonly who: Who;
  readonly step: number;
  readonly startTime: number;
  /** Of the calls of this step. */
  readonly index: number;
  readonly dueMs: number;
}

async function makeCall(due: Due, judging: CallJudge, baseline: Baseline): Promise<void> {
  const { who, step, startTime, index, dueMs } = due;
  const { seconds } = stepAt(step);
  const lagMs = Date.now() - dueMs;
  const tier = tierOf(index);
  const isHeavy = who === "target" && isHeavyCall(scenario, index);
  const answer = await call(optionsOf(who, { tier, isHeavy, index }));
  const sinceStepMs = Date.now() - startTime;
  const stepMs = 1000 * seconds;
  const bookmaker = bookmakers[who];
  judging.judge({ bookmaker, tier, isHeavy, sinceStepMs, stepMs, lagMs, answer }, baseline);
}

function stepAt(index: number): Step {
  const step = shape.steps[index];
  if (step === undefined) throw new Error(`there is no step ${index}`);
  return step;
}

function optionsOf(
  who: Who,
  one: { readonly tier: Tier; readonly isHeavy?: boolean; readonly index?: number },
): CallOptions {
  const { tier, isHeavy = false, index = 0 } = one;
  const gateway = gateways[replicaOf(index, gateways.length)] ?? "";
  const url = `${gateway}/${bookmakers[who]}${isHeavy ? heavyRoute : route}`;
  return { url, tier, timeoutMs };
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
