// What each call says about each claim.

import { Counter, Gauge, Rate, Trend } from "k6/metrics";
import type { Answer, Tier } from "./calls.ts";
import { TOP_TIER } from "./calls.ts";
import type { Baseline } from "./measure.ts";
import type { Phase } from "./shapes.ts";
import { CLAIMS, type ClaimName } from "./thresholds.ts";

/** A call that has ended, and when. */
export interface Call {
  readonly bookmaker: string;
  readonly tier: Tier;
  readonly phase: Phase;
  readonly step: string;
  /** Milliseconds from the step's beginning to the call's end, and how long the step lasts. */
  readonly sinceStepMs: number;
  readonly stepMs: number;
  /** How much later than due it was started. */
  readonly lagMs: number;
  readonly answer: Answer;
}

/** Every call, with all that is known of it: what plots and tables are made of. */
const callMs = new Trend("call_ms");
/** Where in time the steps are. */
const stepStartMs = new Gauge("step_start_ms");
const judged = new Counter("judged");
const metrics = Object.fromEntries(
  Object.entries(CLAIMS).map(([name, { type }]) => [name, metricOf(name, type)]),
) as Record<ClaimName, Counter | Rate | Trend>;

function metricOf(name: string, type: "counter" | "rate" | "trend"): Counter | Rate | Trend {
  if (type === "counter") return new Counter(name);
  return type === "rate" ? new Rate(name) : new Trend(name);
}

/** k6 tags it with the step by itself. */
export function noteStep(startMs: number): void {
  stepStartMs.add(startMs);
}

export function note({ bookmaker, tier, answer, lagMs }: Call): void {
  const { outcome, reason, ms } = answer;
  callMs.add(ms, { bookmaker, tier, outcome, reason });
  judge("generator_lag_ms", lagMs);
}

function judge(name: ClaimName, value: number): void {
  metrics[name].add(value);
  judged.add(1, { claim: name });
}

/** A call to the bookmaker that is put to the test. `overloadMs`: of all overloads of the run. */
export function judgeTarget(call: Call, baseline: Baseline, overloadMs: number): void {
  const { phase, tier } = call;
  const { outcome } = call.answer;
  switch (phase) {
    case "rest":
      return;
    case "calm":
      return judge("refused_before_the_step", outcome === "ok" ? 0 : 1);
    case "overload":
      judgeOverloaded(call, baseline.deadlineMs);
      if (tier === TOP_TIER) judge("top_tier_served", outcome === "ok" ? 1 : 0);
      if (outcome === "ok" && call.sinceStepMs <= call.stepMs)
        judge("goodput_of_capacity", 1000 / (baseline.capacity * overloadMs));
      break;
    case "after":
      judge("served_after_the_end", outcome === "ok" ? 1 : 0);
      break;
    case "settle":
      break;
  }
  judge("upstream_timeouts", outcome === "timeout" ? 1 : 0);
  judge("upstream_errors", outcome === "error" ? 1 : 0);
}

/** What was let in before the hang was noticed has timed out by a deadline and this. */
const HANG_MARGIN_MS = 1000;

/** A call to a bookmaker that hangs. */
export function judgeHung({ phase, answer, sinceStepMs }: Call, deadlineMs: number): void {
  const { outcome, ms } = answer;
  if (phase === "calm") judge("refused_before_the_step", outcome === "ok" ? 0 : 1);
  if (phase !== "overload") return;
  const isRefused = outcome === "refused";
  judge("reached_the_hung", isRefused ? 0 : 1);
  if (isRefused) judge("refusal_of_hung_ms", ms);
  if (sinceStepMs - ms > deadlineMs + HANG_MARGIN_MS) judge("refused_once_hung", isRefused ? 1 : 0);
}

function judgeOverloaded({ answer, sinceStepMs }: Call, deadlineMs: number): void {
  const { outcome, ms } = answer;
  if (outcome !== "refused") return judge("admitted_ms_of_deadline", ms / deadlineMs);
  judge("refusal_ms", ms);
  judge("first_shed_ms", sinceStepMs);
}

/** A call to the bookmaker beside it. */
export function judgeHealthy({ phase, answer }: Call, baseline: Baseline): void {
  if (phase !== "overload") return;
  judge("healthy_served", answer.outcome === "ok" ? 1 : 0);
  judge("healthy_p99_of_own", answer.ms / baseline.healthyP99Ms);
}
