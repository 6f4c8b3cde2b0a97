// The Super Bowl proof: `k6 run loadtest/super-bowl.ts -e GATEWAY=http://127.0.0.1:8080`
//
// Works against any running gateway. What it asks for is in `lib/shapes.ts`, what is claimed in
// `lib/thresholds.ts`; k6 ends with 0 when all claims held, and with 99 when one was breached.
//
//   GATEWAY      the gateway's address; there is no default, so that nobody is hit by accident
//   SCENARIO     spike (default) or hang
//   SCALE        factor on every rate (1: from 20 to 1,000 calls a second)
//   TARGET       the upstream that is put to the test (draftkings), and HEALTHY, one beside it (fanduel)
//   ROUTE        what is asked for (/odds)
//   DEADLINE_MS  the deadline of both, as configured (2000)
//   CONTROL      for hang: address of the simulated bookmaker, which is told to hang
//   SHORT        1: less than a minute
//   CALM_S       seconds of calm before the step
//   SUMMARY      file for k6's summary, as JSON

import exec from "k6/execution";
import type { Options } from "k6/options";
import { call, tierOf, type CallOptions, type Tier } from "./lib/calls.ts";
import { judgeHealthy, judgeTarget, note, type Call } from "./lib/judge.ts";
import { measure, type Baseline } from "./lib/measure.ts";
import {
  isScenario,
  overloadSeconds,
  SCENARIOS,
  scenariosOf,
  shapeOf,
  type ScenarioName,
  type Step,
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
const overloadMs = 1000 * overloadSeconds(shape);
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

/** One call to the bookmaker that is put to the test. */
export function target(baseline: Baseline): void {
  judgeTarget(makeCall("target"), baseline, overloadMs);
}

/** One call to the bookmaker beside it. */
export function healthy(baseline: Baseline): void {
  judgeHealthy(makeCall("healthy"), baseline);
}

/** k6 asks for what to write when all is over. */
export function handleSummary(data: unknown): Record<string, string> {
  const file = __ENV["SUMMARY"];
  return {
    stdout: report(data, scenario),
    ...(file === undefined ? {} : { [file]: JSON.stringify(data) }),
  };
}

function makeCall(which: keyof typeof bookmakers): Call {
  const startMs = Date.now();
  const { name, startTime, iterationInTest } = exec.scenario;
  const step = Number(name.split("_")[1]);
  const { phase, seconds, perSecond } = stepAt(step);
  const rate = which === "target" ? perSecond : shape.healthyPerSecond;
  const tier = tierOf(iterationInTest);
  const answer = call(optionsOf(which, tier));
  const made: Call = {
    bookmaker: bookmakers[which],
    tier,
    phase,
    step: String(step),
    sinceStepMs: Date.now() - startTime,
    stepMs: 1000 * seconds,
    lagMs: startMs - startTime - (1000 * iterationInTest) / rate,
    answer,
  };
  note(made);
  return made;
}

function stepAt(index: number): Step {
  const step = shape.steps[index];
  if (step === undefined) throw new Error(`there is no step ${index}`);
  return step;
}

function optionsOf(which: keyof typeof bookmakers, tier: Tier): CallOptions {
  return { url: `${gateway}/${bookmakers[which]}${route}`, tier, timeoutMs };
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
