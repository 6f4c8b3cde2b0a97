// The shapes of the load: how many calls a second, for how long, and what is judged meanwhile.
//
// All of it is an open model: calls start when they are due, whether or not earlier ones came back. A model
// in which callers wait for their answers slows down with what it measures, and hides every overload.
//
// Nothing of k6 or Node is imported, so that both k6 and the harness read it.

/** What is judged while a step lasts. */
export type Phase =
  /** Nothing: the limiter forgets what the measurements of the setup taught it. */
  | "rest"
  /** Nothing may be refused. */
  | "calm"
  /** More is asked for than can be served, or the bookmaker is ill. */
  | "overload"
  /** Nothing may reach the bookmaker, ill or well: its breaker waits for a person. */
  | "tripped"
  /** Nothing: the five seconds that recovery may take. */
  | "settle"
  /** All must be as in `calm` again. */
  | "after";

/** Whom calls go to: the bookmaker that is put to the test, or the one beside it, which stays healthy. */
export type Who = "target" | "healthy";

export interface Step {
  readonly phase: Phase;
  readonly seconds: number;
  /** Calls a second to the bookmaker that is put to the test. */
  readonly perSecond: number;
  /** What the simulated bookmaker is told when the step begins, as for its `/__control`. */
  readonly control?: Readonly<Record<string, unknown>>;
  /** When the step begins the simulated bookmaker is asked how many calls it has received so far. */
  readonly counts?: "from" | "to";
}

export interface Shape {
  readonly steps: readonly Step[];
  /** Calls a second to the bookmaker beside it, which stays healthy, in every step. */
  readonly healthyPerSecond: number;
  /** How long the setup measures the capacity, and the healthy bookmaker's latency. */
  readonly measureSeconds: number;
}

export const SCENARIOS = [
  "spike",
  "hang",
  "brownout",
  "growth",
  "flapping",
  "replicas",
  "slow-body",
  "rate",
  "heavy",
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export function isScenario(text: string): text is ScenarioName {
  return SCENARIOS.some((name) => name === text);
}

export interface ShapeOptions {
  /** Factor on every rate; the bookmakers' capacity must grow with it. */
  readonly scale: number;
  /** Shorter steps, for a run of less than a minute. */
  readonly isShort: boolean;
  /** How long the calm before the step lasts, and the rest before that at most, in seconds; undefined is the shape's own. */
  readonly calmSeconds?: number | undefined;
  /** How long each measurement of the setup lasts, in seconds; undefined is the shape's own. */
  readonly measureSeconds?: number | undefined;
  /** Shorter still: enough to see a claim breached by far, and not for one to hold. */
  readonly isBrief?: boolean | undefined;
  /** A second spike in the short form, too. */
  readonly isTwice?: boolean | undefined;
}

/** In seconds. */
const BRIEF_MEASURE_SECONDS = 0.4;
const BRIEF_SECONDS: Readonly<Record<Phase, number>> = {
  rest: 1,
  calm: 1,
  overload: 5,
  tripped: 1,
  settle: 2,
  after: 2,
};

/** Before the step; fifty times as many come with it. */
const BASE_PER_SECOND = 20;
const TIMES = 50;
/** Fifty times this is still less than is served. */
const GROWTH_BASE_PER_SECOND = 4;
/** Of a rate's quota, which the load before the step keeps to: two and a half times as much. */
const QUOTA_PER_SECOND = 50;
/** So many times the load before the step keep more requests in hand than the gateway counts as full load. */
const HEAVY_TIMES = 20;
/** One call in so many is of a heavy operation. */
const HEAVY_EACH = 5;
/** How much slower a bookmaker is in a brownout. */
export const SLOWDOWN = 20;
/** Enough for a 99th percentile that does not jump about. */
const HEALTHY_PER_SECOND = 50;
/** Full goodput must be back so long after the end. */
const SETTLE_SECONDS = 5;

export function shapeOf(name: ScenarioName, options: ShapeOptions): Shape {
  const { scale, isShort, calmSeconds, measureSeconds } = options;
  // k6 takes whole rates alone.
  const scaled = (perSecond: number): number => Math.max(1, Math.round(perSecond * scale));
  const base = scaled(name === "growth" ? GROWTH_BASE_PER_SECOND : BASE_PER_SECOND);
  const calm = calmSeconds ?? (isShort ? 8 : 60);
  const shape: Shape = {
    steps: [
      { phase: "rest", seconds: Math.min(calm, isShort ? 4 : 8), perSecond: base },
      { phase: "calm", seconds: calm, perSecond: base },
      ...(options.isTwice === true && name === "spike"
        ? spikes(base)
        : STORIES[name](base, isShort)),
    ],
    healthyPerSecond: scaled(HEALTHY_PER_SECOND),
    measureSeconds: measureSeconds ?? (isShort ? 5 : 10),
  };
  return options.isBrief === true ? briefly(shape) : shape;
}

function briefly(shape: Shape): Shape {
  const steps = shape.steps.map((step) => ({
    ...step,
    seconds: Math.min(step.seconds, BRIEF_SECONDS[step.phase]),
  }));
  return { ...shape, steps, measureSeconds: BRIEF_MEASURE_SECONDS };
}

const STORIES: Readonly<Record<ScenarioName, (base: number, isShort: boolean) => Step[]>> = {
  spike,
  hang,
  brownout,
  growth,
  flapping,
  replicas: spike,
  "slow-body": slowBody,
  rate,
  heavy,
};

/** Twice fifty times as many, from one moment to the next. */
function spike(base: number, isShort: boolean): Step[] {
  const peak = TIMES * base;
  const settle: Step = { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base };
  if (isShort) {
    return [
      { phase: "overload", seconds: 10, perSecond: peak },
      settle,
      { phase: "after", seconds: 2, perSecond: base },
    ];
  }
  return [
    { phase: "overload", seconds: 15, perSecond: peak },
    settle,
    { phase: "after", seconds: 5, perSecond: base },
    { phase: "overload", seconds: 10, perSecond: peak },
    settle,
    { phase: "after", seconds: 15, perSecond: base },
  ];
}

/** The same in half a minute. */
function spikes(base: number): Step[] {
  const peak = TIMES * base;
  const settle: Step = { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base };
  return [
    { phase: "overload", seconds: 8, perSecond: peak },
    settle,
    { phase: "overload", seconds: 5, perSecond: peak },
    settle,
    { phase: "after", seconds: 2, perSecond: base },
  ];
}

/** The bookmaker accepts and never answers, in the midst of as much as it could serve twice over. */
function hang(base: number, isShort: boolean): Step[] {
  const seconds = isShort ? 7 : 30;
  return [{ phase: "overload", seconds, perSecond: TIMES * base, control: { hang: true } }];
}

/** All takes twenty times as long, while five times as much is asked for as before. */
function brownout(base: number, isShort: boolean): Step[] {
  const seconds = isShort ? 14 : 30;
  return [
    { phase: "overload", seconds, perSecond: 5 * base, control: { slowdown: SLOWDOWN } },
    { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base, control: { slowdown: 1 } },
    { phase: "after", seconds: isShort ? 2 : 15, perSecond: base },
  ];
}

/** Fifty times as many, and all of them can be served: nothing that should be held back. */
function growth(base: number, isShort: boolean): Step[] {
  return [
    { phase: "overload", seconds: isShort ? 14 : 30, perSecond: TIMES * base },
    { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base },
    { phase: "after", seconds: isShort ? 2 : 5, perSecond: base },
  ];
}

/** The bookmaker fails, recovers and fails again; the breaker trips once and waits for a person. */
function flapping(base: number, isShort: boolean): Step[] {
  const perSecond = 5 * base;
  const ill = { status: 500 };
  const well = { status: null };
  const flap: Step[] = [
    { phase: "tripped", seconds: 2, perSecond, control: well },
    { phase: "tripped", seconds: 2, perSecond, control: ill },
  ];
  return [
    { phase: "overload", seconds: 2, perSecond, control: ill },
    ...flap,
    ...flap,
    ...(isShort ? [] : [...flap, ...flap, ...flap]),
  ];
}

/** Heads come as ever, bodies trickle. */
function slowBody(base: number, isShort: boolean): Step[] {
  const perSecond = Math.round(2.5 * base);
  return [
    { phase: "overload", seconds: isShort ? 7 : 30, perSecond, control: { slowBody: true } },
    { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base, control: { slowBody: false } },
    { phase: "after", seconds: isShort ? 2 : 15, perSecond: base },
  ];
}

/** Four times the quota. */
function rate(base: number, isShort: boolean): Step[] {
  return [
    { phase: "overload", seconds: isShort ? 7 : 30, perSecond: 10 * base, counts: "from" },
    { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base, counts: "to" },
    { phase: "after", seconds: isShort ? 2 : 15, perSecond: base },
  ];
}

/** The bookmaker serves all of it, and the gateway has more in hand than it should. */
function heavy(base: number, isShort: boolean): Step[] {
  return [
    { phase: "overload", seconds: isShort ? 7 : 30, perSecond: HEAVY_TIMES * base },
    { phase: "settle", seconds: SETTLE_SECONDS, perSecond: base },
    { phase: "after", seconds: isShort ? 2 : 15, perSecond: base },
  ];
}

/** Whether the `index`th call of the scenario is of the heavy operation; evenly spread. */
export function isHeavyCall(scenario: ScenarioName, index: number): boolean {
  return scenario === "heavy" && index % HEAVY_EACH === HEAVY_EACH - 1;
}

/** The quota of `rate`, as configured: so many a second, and a second's worth at once. */
export function quotaOf(scale: number): number {
  return Math.max(1, Math.round(QUOTA_PER_SECOND * scale));
}

/** As many calls as the quota lets through while the load is over it. */
export function quotaCalls(shape: Shape, scale: number): number {
  return quotaOf(scale) * (1 + overloadSeconds(shape));
}

/**
 * Which of the gateways the `index`th call goes to. In turn, and each ten calls one further: each gateway has
 * calls of every tier, though each ten have their tiers in the same order.
 */
export function replicaOf(index: number, count: number): number {
  return (index + Math.floor(index / 10)) % count;
}

/**
 * Calls that one iteration of k6 makes, one after the other as they fall due: those of a tenth of a second. A
 * virtual user for each call in flight would cost three milliseconds and 300 KB to make, and would come with a
 * connection of its own; two cores have neither to spare in the second of the spike.
 */
export function callsPerIteration(perSecond: number): number {
  return Math.max(1, Math.round(perSecond / 10));
}

/** How a step becomes scenarios of k6, one for each bookmaker. */
export interface ArrivalScenario {
  readonly executor: "constant-arrival-rate";
  readonly exec: Who;
  readonly startTime: string;
  readonly duration: string;
  readonly gracefulStop: string;
  readonly rate: number;
  readonly timeUnit: string;
  readonly preAllocatedVUs: number;
  readonly maxVUs: number;
  readonly tags: { readonly phase: Phase; readonly step: string };
}

/** What tells the simulated bookmaker how to behave, or asks it. */
export interface OrderScenario {
  readonly executor: "per-vu-iterations";
  readonly exec: "order" | "count";
  readonly startTime: string;
  readonly vus: 1;
  readonly iterations: 1;
}

/** `timeoutMs`: the longest that a call can take. */
export function scenariosOf(
  shape: Shape,
  timeoutMs: number,
): Record<string, ArrivalScenario | OrderScenario> {
  const scenarios: Record<string, ArrivalScenario | OrderScenario> = {};
  let startSeconds = 0;
  for (const [index, { phase, seconds, perSecond, control, counts }] of shape.steps.entries()) {
    const startTime = `${startSeconds}s`;
    if (control !== undefined) scenarios[`order_${index}`] = once("order", startTime);
    if (counts !== undefined) scenarios[`count_${index}`] = once("count", startTime);
    const rates = { target: perSecond, healthy: shape.healthyPerSecond };
    for (const [exec, rate] of Object.entries(rates) as [Who, number][]) {
      const vus = vusFor(rate, timeoutMs);
      scenarios[`${exec}_${index}_${phase}`] = {
        executor: "constant-arrival-rate",
        exec,
        startTime,
        duration: `${seconds}s`,
        gracefulStop: `${Math.ceil(iterationMs(rate, timeoutMs)) + 1000}ms`,
        rate,
        timeUnit: `${callsPerIteration(rate)}s`,
        preAllocatedVUs: vus,
        maxVUs: vus,
        tags: { phase, step: String(index) },
      };
    }
    startSeconds += seconds;
  }
  return scenarios;
}

function once(exec: OrderScenario["exec"], startTime: string): OrderScenario {
  return { executor: "per-vu-iterations", exec, startTime, vus: 1, iterations: 1 };
}

/** The longest that an iteration can take: until its last call is due, and that call. */
function iterationMs(perSecond: number, timeoutMs: number): number {
  return (callsPerIteration(perSecond) * 1000) / perSecond + timeoutMs;
}

/**
 * By Little's law: as many iterations are under way as begin in the longest time that one can take. All
 * virtual users are made beforehand, since k6 makes new ones too slowly in the midst of a spike; four times as
 * many as that, since on a busy machine all of it takes longer, and they are cheap.
 */
export function vusFor(perSecond: number, timeoutMs: number): number {
  const perMs = perSecond / callsPerIteration(perSecond) / 1000;
  return Math.ceil(4 * perMs * iterationMs(perSecond, timeoutMs)) + 2;
}

/** Whether a simulated bookmaker must be told to be ill, or asked what it received. */
export function needsControl(shape: Shape): boolean {
  return shape.steps.some(({ control, counts }) => control !== undefined || counts !== undefined);
}

/** In all, without the setup. */
export function secondsOf(shape: Shape): number {
  return shape.steps.reduce((sum, { seconds }) => sum + seconds, 0);
}

/** Calls that are due in these phases. */
export function callsOf(shape: Shape, who: Who, phases: readonly Phase[]): number {
  return shape.steps.reduce((sum, { phase, seconds, perSecond }) => {
    if (!phases.includes(phase)) return sum;
    return sum + seconds * (who === "target" ? perSecond : shape.healthyPerSecond);
  }, 0);
}

export function overloadSeconds(shape: Shape): number {
  return shape.steps.reduce(
    (sum, { phase, seconds }) => sum + (phase === "overload" ? seconds : 0),
    0,
  );
}
