// What each call says about each claim. Which of them are made of a scenario, and in which phases, is in the
// table of claims; here is only how a call counts.

import { Counter, Gauge, Rate, Trend } from "k6/metrics";
import type { Answer } from "./calls.ts";
import type { Baseline } from "./measure.ts";
import {
  overloadSeconds,
  quotaCalls,
  quotaOf,
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
  readonly bookmaker: string;
  readonly tier: Tier;
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
  /** How many calls the bookmaker had received `atSeconds` after the test began. */
  noteReceived(counts: "from" | "to", received: number, atSeconds: number): void;
  /** When a step began; k6 tags it with the step by itself. */
  noteStep(startMs: number): void;
  /** For the calls of one iteration of k6. */
  of(who: Who, phase: Phase): CallJudge;
}

export interface CallJudge {
  judge(call: Call, baseline: Baseline): void;
  /** After the last one: what was only counted until now is told to k6. */
  tell(): void;
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
  const claims = claimsOf(scenario).map(([name, claim]) => {
    return { name, claim, metric: metricOf(name, claim.type) };
  });

  const ledger = (isAsked: (claim: Claim) => boolean): Ledger => {
    const asked = claims.filter(({ claim }) => isAsked(claim));
    return new Ledger(new Map(asked.map((one) => [one.name, { ...one, ...NOTHING }])), judged);
  };

  return {
    noteReceived: (counts, received, atSeconds) => {
      const all = ledger(() => true);
      // What came beyond the rate: its first and its last count are made by users who know nothing of each other.
      const perSecond = quotaOf(scale);
      const beyond = received - perSecond * atSeconds;
      all.count("received_of_burst", (counts === "from" ? -beyond : beyond) / perSecond);
      all.tell();
    },
    noteStep: (startMs) => stepStartMs.add(startMs),
    of: (who, phase) => {
      const of = ledger((claim) => claim.who.includes(who) && claim.phases.includes(phase));
      const judge: CallJudge["judge"] = (call, baseline) => {
        const { bookmaker, tier, answer, lagMs, sinceStepMs, isHeavy } = call;
        const { outcome, reason, ms, status, retryAfterSeconds } = answer;
        const isOk = outcome === "ok" ? 1 : 0;
        const isRefused = outcome === "refused";
        callMs.add(ms, { bookmaker, tier, outcome, reason });
        of.count("generator_lag_ms", lagMs);
        // Those that end with the step are refused by what comes with the next one.
        if (sinceStepMs <= call.stepMs - EDGE_MS) of.count("refused_before_the_step", 1 - isOk);
        of.count("upstream_timeouts", outcome === "timeout" ? 1 : 0);
        of.count("upstream_errors", outcome === "error" ? 1 : 0);
        of.count("reached_the_hung", isRefused ? 0 : 1);
        of.count("reached_until_tripped", isRefused ? 0 : 1);
        of.count("reached_once_tripped", isRefused ? 0 : 1);
        of.count(isHeavy ? "heavy_shed" : "light_shed", reason === "load_shed" ? 1 : 0);
        of.count("served_in_growth", isOk);
        of.count("served_slowly", isOk);
        of.count("served_after_the_end", isOk);
        of.count("healthy_served", isOk);
        of.count("healthy_p99_of_own", ms / baseline.healthyP99Ms);
        if (tier === TOP_TIER) of.count("top_tier_served", isOk);
        if (isRefused) {
          of.count("refusal_ms", ms);
          of.count("refusal_of_hung_ms", ms);
          of.count("refusal_once_tripped_ms", ms);
          if (reason === "rate_limited")
            of.count("told_when", status === 429 && retryAfterSeconds >= 1 ? 1 : 0);
          of.count("first_shed_ms", sinceStepMs);
        } else of.count("admitted_ms_of_deadline", ms / baseline.deadlineMs);
        if (isOk === 1 && sinceStepMs <= call.stepMs) {
          const share = 1000 / ((baseline.capacity ?? 0) * overloadMs);
          of.count("goodput_of_capacity", share);
          of.count("goodput_of_slowed", SLOWDOWN * share);
          of.count("goodput_of_quota", 1 / quota);
        }
        if (sinceStepMs - ms > baseline.deadlineMs + HANG_MARGIN_MS)
          of.count("refused_once_hung", isRefused ? 1 : 0);
      };
      return { judge, tell: () => of.tell() };
    },
  };
}

const NOTHING = { judged: 0, sum: 0, least: Number.POSITIVE_INFINITY };

interface Entry {
  readonly claim: Claim;
  readonly metric: Metric;
  judged: number;
  sum: number;
  least: number;
}

/** A sample of k6 for each number that is only summed up would cost more than the calls themselves. */
class Ledger {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #judged: Counter;

  constructor(entries: ReadonlyMap<string, Entry>, judged: Counter) {
    this.#entries = entries;
    this.#judged = judged;
  }

  count(name: ClaimName, value: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.judged += 1;
    if (entry.claim.type === "counter") entry.sum += value;
    else if (isOfLeast(entry.claim)) entry.least = Math.min(entry.least, value);
    else entry.metric.add(value);
  }

  tell(): void {
    for (const [claim, entry] of this.#entries) {
      if (entry.judged === 0) continue;
      if (entry.claim.type === "counter") entry.metric.add(entry.sum);
      else if (isOfLeast(entry.claim)) entry.metric.add(entry.least);
      this.#judged.add(entry.judged, { claim });
    }
  }
}

/** Of the values of such a claim only the smallest counts. */
function isOfLeast({ threshold }: Claim): boolean {
  return threshold.startsWith("min");
}

type Metric = Counter | Rate | Trend;

function metricOf(name: string, type: Claim["type"]): Metric {
  if (type === "counter") return new Counter(name);
  return type === "rate" ? new Rate(name) : new Trend(name);
}
