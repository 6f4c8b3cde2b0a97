// What each call says about each claim. Which of them are made of a scenario, and in which phases, is in the
// table of claims; here is only how a call counts.

import { Counter, Gauge, Rate, Trend } from "k6/metrics";
import type { Answer } from "./calls.ts";
import type { Baseline } from "./measure.ts";
import {
  overloadSeconds,
  quotaCalls,
  SLOWDOWN,
  type Phase,
  type ScenarioName,
  type Shape,
  type Who,
} from "./shapes.ts";
import { claimsOf, type Claim, type ClaimName } from "./thresholds.ts";
import { TOP_TIER, type Tier } from "./tiers.ts";

/** A call that has ended, and when. */
export interface Call {
  readonly who: Who;
  readonly bookmaker: string;
  readonly tier: Tier;
  readonly phase: Phase;
  /** Milliseconds from the step's beginning to the call's end, and how long the step lasts. */
  readonly sinceStepMs: number;
  readonly stepMs: number;
  /** How much later than due it was started. */
  readonly lagMs: number;
  /** Whether it is of the operation that costs the gateway much. */
  readonly isHeavy: boolean;
  readonly answer: Answer;
}

export interface Judge {
  /** How many calls the bookmaker has received until now. */
  noteReceived(counts: "from" | "to", received: number): void;
  /** When a step began; k6 tags it with the step by itself. */
  noteStep(startMs: number): void;
  judge(call: Call, baseline: Baseline): void;
}

/** Steps are not told apart more finely than this. */
const EDGE_MS = 100;
/** What was let in before a hang was noticed has timed out by a deadline and this. */
const HANG_MARGIN_MS = 1000;

/** To be called where k6 lets metrics be made. */
export function createJudge(scenario: ScenarioName, shape: Shape, scale: number): Judge {
  const overloadMs = 1000 * overloadSeconds(shape);
  const quota = quotaCalls(shape, scale);
  /** Every call, with all that is known of it: what plots and tables are made of. */
  const callMs = new Trend("call_ms");
  const stepStartMs = new Gauge("step_start_ms");
  const judged = new Counter("judged");
  const claims = new Map<ClaimName, { readonly claim: Claim; readonly metric: Metric }>();
  for (const [name, claim] of claimsOf(scenario))
    claims.set(name, { claim, metric: metricOf(name, claim.type) });

  const add = (name: ClaimName, value: number): void => {
    claims.get(name)?.metric.add(value);
    judged.add(1, { claim: name });
  };
  const count = ({ who, phase }: Call, name: ClaimName, value: number): void => {
    const claim = claims.get(name)?.claim;
    if (claim?.who.includes(who) === true && claim.phases.includes(phase)) add(name, value);
  };

  return {
    noteReceived: (counts, received) => {
      add("received_of_quota", (counts === "from" ? -received : received) / quota);
    },
    noteStep: (startMs) => stepStartMs.add(startMs),
    judge: (call, baseline) => {
      const { bookmaker, tier, answer, lagMs, sinceStepMs, isHeavy } = call;
      const { outcome, reason, ms, status, retryAfterSeconds } = answer;
      const isOk = outcome === "ok" ? 1 : 0;
      const isRefused = outcome === "refused";
      callMs.add(ms, { bookmaker, tier, outcome, reason });
      count(call, "generator_lag_ms", lagMs);
      // Those that end with the step are refused by what comes with the next one.
      if (sinceStepMs <= call.stepMs - EDGE_MS) count(call, "refused_before_the_step", 1 - isOk);
      count(call, "upstream_timeouts", outcome === "timeout" ? 1 : 0);
      count(call, "upstream_errors", outcome === "error" ? 1 : 0);
      count(call, "reached_the_hung", isRefused ? 0 : 1);
      count(call, "reached_until_tripped", isRefused ? 0 : 1);
      count(call, "reached_once_tripped", isRefused ? 0 : 1);
      count(call, isHeavy ? "heavy_shed" : "light_shed", reason === "load_shed" ? 1 : 0);
      count(call, "served_in_growth", isOk);
      count(call, "served_slowly", isOk);
      count(call, "served_after_the_end", isOk);
      count(call, "healthy_served", isOk);
      count(call, "healthy_p99_of_own", ms / baseline.healthyP99Ms);
      if (tier === TOP_TIER) count(call, "top_tier_served", isOk);
      if (isRefused) {
        count(call, "refusal_ms", ms);
        count(call, "refusal_of_hung_ms", ms);
        count(call, "refusal_once_tripped_ms", ms);
        if (reason === "rate_limited")
          count(call, "told_when", status === 429 && retryAfterSeconds >= 1 ? 1 : 0);
        count(call, "first_shed_ms", sinceStepMs);
      } else count(call, "admitted_ms_of_deadline", ms / baseline.deadlineMs);
      if (isOk === 1 && sinceStepMs <= call.stepMs) {
        const share = 1000 / (baseline.capacity * overloadMs);
        count(call, "goodput_of_capacity", share);
        count(call, "goodput_of_slowed", SLOWDOWN * share);
        count(call, "goodput_of_quota", 1 / quota);
      }
      if (sinceStepMs - ms > baseline.deadlineMs + HANG_MARGIN_MS)
        count(call, "refused_once_hung", isRefused ? 1 : 0);
    },
  };
}

type Metric = Counter | Rate | Trend;

function metricOf(name: string, type: Claim["type"]): Metric {
  if (type === "counter") return new Counter(name);
  return type === "rate" ? new Rate(name) : new Trend(name);
}
