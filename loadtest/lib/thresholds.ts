// The claims, as thresholds of k6: each a metric of its own, whose name says what is claimed.
//
// k6's thresholds are constants, and what is measured depends on the machine and the bookmaker. So the
// metrics are ratios to what the setup of the same run has measured. And an empty metric passes nearly
// every threshold (k6 issue 4283): `judged` counts what each claim was judged by, and must not be too little.
//
// Nothing of k6 or Node is imported.

import {
  callsOf,
  SCENARIOS,
  type Phase,
  type ScenarioName,
  type Shape,
  type Who,
} from "./shapes.ts";

export interface Claim {
  readonly type: "counter" | "rate" | "trend";
  /** In k6's words. */
  readonly threshold: string;
  /** Which calls it is about. */
  readonly who: readonly Who[];
  readonly phases: readonly Phase[];
  /** Least share of those calls that it must have been judged by. */
  readonly leastShare: number;
  /** Instead of a share: so many, where it is not judged by calls. */
  readonly least?: number;
  readonly scenarios: readonly ScenarioName[];
  /** For people; the number is the metric's. */
  readonly says: string;
  /** When it is breached, nothing else can be told from the run. */
  readonly isAboutTheRun?: true;
}

const EVERY_PHASE = ["rest", "calm", "overload", "tripped", "settle", "after"] as const;
const SINCE_THE_STEP = ["overload", "settle", "after"] as const;

export const CLAIMS = {
  generator_lag_ms: {
    type: "trend",
    // Beyond it the load was another one; what a breach is worth below it, run/outcome.ts says.
    threshold: "p(99)<=100",
    who: ["target", "healthy"],
    phases: EVERY_PHASE,
    leastShare: 0.9,
    scenarios: SCENARIOS,
    says: "how much later than due calls were started",
    isAboutTheRun: true,
  },
  refused_before_the_step: {
    type: "counter",
    threshold: "count==0",
    who: ["target"],
    phases: ["calm"],
    leastShare: 0.8,
    scenarios: SCENARIOS,
    says: "calls refused, late or failed before the step",
  },
  upstream_timeouts: {
    type: "counter",
    threshold: "count==0",
    who: ["target"],
    phases: SINCE_THE_STEP,
    leastShare: 0.9,
    scenarios: ["spike", "replicas", "growth", "slow-body", "rate"],
    says: "admitted calls that timed out after the step",
  },
  upstream_errors: {
    type: "counter",
    threshold: "count==0",
    who: ["target"],
    phases: SINCE_THE_STEP,
    leastShare: 0.9,
    scenarios: ["spike", "replicas", "brownout", "growth", "slow-body", "rate", "heavy"],
    says: "calls answered neither well nor by a refusal after the step",
  },
  goodput_of_capacity: {
    type: "counter",
    threshold: "count>=0.95",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.01,
    scenarios: ["spike", "replicas"],
    says: "good answers during the spike, as share of the capacity measured before it",
  },
  admitted_ms_of_deadline: {
    type: "trend",
    threshold: "p(99)<=0.25",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.01,
    scenarios: ["spike", "replicas"],
    says: "what admitted calls took, as share of the deadline",
  },
  refusal_ms: {
    type: "trend",
    threshold: "p(99)<10",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.1,
    scenarios: ["spike", "replicas", "rate"],
    says: "what a refusal took",
  },
  top_tier_served: {
    type: "rate",
    threshold: "rate>=0.95",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.09,
    scenarios: ["spike", "replicas"],
    says: "share of the most critical calls that were served during the spike",
  },
  first_shed_ms: {
    type: "trend",
    threshold: "min<=50",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.1,
    scenarios: ["spike", "replicas"],
    says: "first refusal after the step",
  },
  goodput_of_slowed: {
    type: "counter",
    threshold: "count>=0.8",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.01,
    scenarios: ["brownout"],
    says: "good answers of the slow bookmaker, as share of what it can still serve",
  },
  served_in_growth: {
    type: "rate",
    threshold: "rate>=0.95",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.9,
    scenarios: ["growth"],
    says: "share served of fifty times as many calls, all of which can be served",
  },
  // Ten failures trip a breaker, and a timeout is half of one; beside these twenty, as many are in flight as
  // the limit is when nothing has been asked for yet.
  reached_the_hung: {
    type: "counter",
    threshold: "count<=40",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.9,
    scenarios: ["hang"],
    says: "calls that a hung bookmaker was sent: twenty until the trip, and twenty in flight",
  },
  refused_once_hung: {
    type: "rate",
    threshold: "rate>=0.99",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.5,
    scenarios: ["hang"],
    says: "share refused from a second after the first deadline",
  },
  refusal_of_hung_ms: {
    type: "trend",
    threshold: "p(99)<100",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.5,
    scenarios: ["hang"],
    says: "what a refusal took while the bookmaker hung",
  },
  // Ten failures trip a breaker; in flight are as many as the limit is when little is asked for.
  reached_until_tripped: {
    type: "counter",
    threshold: "count<=30",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.9,
    scenarios: ["flapping"],
    says: "calls that a failing bookmaker was sent: ten until the trip, and twenty in flight",
  },
  reached_once_tripped: {
    type: "counter",
    threshold: "count==0",
    who: ["target"],
    phases: ["tripped"],
    leastShare: 0.9,
    scenarios: ["flapping"],
    says: "calls that it was sent after the trip, each time that it recovers and fails again",
  },
  refusal_once_tripped_ms: {
    type: "trend",
    threshold: "p(99)<100",
    who: ["target"],
    phases: ["tripped"],
    leastShare: 0.9,
    scenarios: ["flapping"],
    says: "what a refusal took after the trip",
  },
  // The limiter lets go of a call when its head comes: were it to wait for the body, most would be refused.
  served_slowly: {
    type: "rate",
    threshold: "rate>=0.999",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.9,
    scenarios: ["slow-body"],
    says: "share served while bodies trickle, more of them at once than the limit",
  },
  // Twice: what the bookmaker has received before, and what by the end.
  received_of_burst: {
    type: "counter",
    threshold: "count<=1",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0,
    least: 2,
    scenarios: ["rate"],
    says: "calls that the bookmaker counted beyond its rate while more were asked for, as share of its burst",
  },
  goodput_of_quota: {
    type: "counter",
    threshold: "count>=0.95",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.01,
    scenarios: ["rate"],
    says: "good answers meanwhile, as share of the quota",
  },
  told_when: {
    type: "rate",
    threshold: "rate==1",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.1,
    scenarios: ["rate"],
    says: "share of the calls over the rate that were answered 429 and told when to come again, in a second at least",
  },
  heavy_shed: {
    type: "rate",
    threshold: "rate>=0.8",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.18,
    scenarios: ["heavy"],
    says: "share of the heavy operations that were shed while the gateway was loaded",
  },
  light_shed: {
    type: "counter",
    threshold: "count==0",
    who: ["target"],
    phases: ["overload"],
    leastShare: 0.7,
    scenarios: ["heavy"],
    says: "light operations that were shed meanwhile",
  },
  healthy_p99_of_own: {
    type: "trend",
    threshold: "p(99)<=1.2",
    who: ["healthy"],
    phases: ["overload", "tripped"],
    leastShare: 0.9,
    scenarios: SCENARIOS,
    says: "latency of the bookmaker beside it, as share of its own 99th percentile before the step",
  },
  healthy_served: {
    type: "rate",
    threshold: "rate>=0.999",
    who: ["healthy"],
    phases: ["overload", "tripped"],
    leastShare: 0.9,
    scenarios: SCENARIOS,
    says: "share of the calls to the bookmaker beside it that were served",
  },
  served_after_the_end: {
    type: "rate",
    threshold: "rate>=0.999",
    who: ["target"],
    phases: ["after"],
    leastShare: 0.9,
    scenarios: ["spike", "replicas", "brownout", "growth", "slow-body", "rate", "heavy"],
    says: "share served from five seconds after the end",
  },
} as const satisfies Readonly<Record<string, Claim>>;

export type ClaimName = keyof typeof CLAIMS;

export function claimsOf(scenario: ScenarioName): [ClaimName, Claim][] {
  return (Object.entries(CLAIMS) as [ClaimName, Claim][]).filter(([, { scenarios }]) =>
    scenarios.includes(scenario),
  );
}

/** Whether a claim of the scenario is compared with what the bookmaker can serve. */
export function needsCapacity(scenario: ScenarioName): boolean {
  return claimsOf(scenario).some(
    ([name]) => name === "goodput_of_capacity" || name === "goodput_of_slowed",
  );
}

/** Least number of calls that the claim is judged by. */
export function leastOf(name: ClaimName, shape: Shape): number {
  const { who, phases, leastShare, least }: Claim = CLAIMS[name];
  if (least !== undefined) return least;
  const calls = who.reduce((sum, one) => sum + callsOf(shape, one, phases), 0);
  return Math.max(1, Math.floor(leastShare * calls));
}

/** Of what stands for the calls that a claim was judged by. */
export function judgedMetric(name: ClaimName): string {
  return `judged{claim:${name}}`;
}

export interface Threshold {
  readonly threshold: string;
  readonly abortOnFail: boolean;
  readonly delayAbortEval: string;
}

/** What k6 is given. */
export function thresholdsOf(scenario: ScenarioName, shape: Shape): Record<string, Threshold[]> {
  // Without the load there is nothing to be judged: no reason to go on.
  const thresholds: Record<string, Threshold[]> = {
    dropped_iterations: [{ threshold: "count==0", abortOnFail: true, delayAbortEval: "5s" }],
  };
  for (const [name, { threshold }] of claimsOf(scenario)) {
    const own: Threshold[] = [{ threshold, abortOnFail: false, delayAbortEval: "0s" }];
    if (name === "first_shed_ms") {
      // Each spike has a first refusal of its own.
      for (const [index, { phase }] of shape.steps.entries())
        if (phase === "overload") thresholds[`${name}{step:${index}}`] = own;
    } else thresholds[name] = own;
    thresholds[judgedMetric(name)] = [
      { threshold: `count>=${leastOf(name, shape)}`, abortOnFail: false, delayAbortEval: "0s" },
    ];
  }
  return thresholds;
}
