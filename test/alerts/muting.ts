// What mutes what, written down and not derived: each pair is asked of a real Alertmanager, in a namespace of
// its own, beside the same target where nothing mutes it.

import { OTHERS, RECEIVERS } from "./routing.ts";

export interface Pair {
  readonly source: readonly [alertname: string, severity: string, more?: Labels];
  readonly target: readonly [alertname: string, severity: string, more?: Labels];
  /** Labels in which the two must agree, beside cluster and namespace. */
  readonly same: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;

const DK = { bookmaker: "draftkings" };
const JOB = { job: "switchgear" };

const BREAKERS = [
  ["CircuitBreakerTripped", "critical"],
  ["CircuitBreakerNoEndpoint", "critical"],
  ["CircuitBreakerMostlyOpen", "critical"],
  ["CircuitBreakerStuckOpen", "warning"],
  ["CircuitBreakerFlapping", "warning"],
  ["CircuitBreakerWindowOpen", "warning"],
  ["CircuitBreakerEndpointCoolingDown", "warning"],
  ["CircuitBreakerSuccessRatioLow", "warning"],
  ["CircuitBreakerCriticalRefused", "critical"],
  ["CircuitBreakerLimitAtFloor", "warning"],
  ["SwitchgearErrorBudgetBurn", "critical"],
  ["SwitchgearErrorBudgetBurn", "warning"],
] as const;

function ofBookmaker(source: string, targets: readonly string[]): Pair[] {
  return BREAKERS.filter(([name]) => targets.includes(name)).map(([name, severity]) => ({
    source: [source, "critical", DK],
    target: [name, severity, DK],
    same: ["bookmaker"],
  }));
}

const BURN = "SwitchgearErrorBudgetBurn";

export const PAIRS: readonly Pair[] = [
  ...BREAKERS.map(([name, severity]): Pair => ({
    source: ["CircuitBreakerManyTripped", "critical"],
    target: [name, severity, DK],
    same: [],
  })),
  ...ofBookmaker("CircuitBreakerTripped", [
    "CircuitBreakerNoEndpoint",
    "CircuitBreakerMostlyOpen",
    "CircuitBreakerFlapping",
    "CircuitBreakerWindowOpen",
    "CircuitBreakerEndpointCoolingDown",
    "CircuitBreakerSuccessRatioLow",
    "CircuitBreakerCriticalRefused",
    "CircuitBreakerLimitAtFloor",
    BURN,
  ]),
  ...ofBookmaker("CircuitBreakerMostlyOpen", [
    "CircuitBreakerFlapping",
    "CircuitBreakerWindowOpen",
    "CircuitBreakerEndpointCoolingDown",
    "CircuitBreakerSuccessRatioLow",
    "CircuitBreakerCriticalRefused",
    "CircuitBreakerLimitAtFloor",
    BURN,
  ]),
  ...ofBookmaker("CircuitBreakerNoEndpoint", [
    "CircuitBreakerMostlyOpen",
    "CircuitBreakerEndpointCoolingDown",
    "CircuitBreakerSuccessRatioLow",
    "CircuitBreakerCriticalRefused",
    "CircuitBreakerLimitAtFloor",
    BURN,
  ]),
  ...ofBookmaker("CircuitBreakerCriticalRefused", ["CircuitBreakerLimitAtFloor", BURN]),
  {
    source: ["CircuitBreakerFleetSplit", "warning", { ...DK, ...JOB }],
    target: ["CircuitBreakerReplicaDisagreement", "warning", DK],
    same: ["bookmaker"],
  },
  ...["critical", "warning"].flatMap((severity): Pair[] => [
    {
      source: [BURN, "critical", { slo: "success" }],
      target: [BURN, severity, { slo: "success", ...DK }],
      same: ["slo"],
    },
    {
      source: [BURN, "critical", { slo: "success", ...DK }],
      target: [BURN, severity, { slo: "latency", ...DK }],
      same: ["bookmaker"],
    },
    {
      source: [BURN, "critical", { slo: "success" }],
      target: [BURN, severity, { slo: "latency" }],
      same: [],
    },
  ]),
  {
    source: [BURN, "critical", { slo: "latency", ...DK, window: "1h" }],
    target: [BURN, "warning", { slo: "latency", ...DK, window: "1d" }],
    same: ["bookmaker", "slo"],
  },
  {
    source: [BURN, "critical", { slo: "latency", window: "1h" }],
    target: [BURN, "warning", { slo: "latency", window: "1d" }],
    same: ["slo"],
  },
  {
    source: ["SwitchgearDown", "critical", JOB],
    target: ["SwitchgearMetricsAbsent", "critical", JOB],
    same: ["job"],
  },
  {
    source: ["SwitchgearDown", "critical", JOB],
    target: ["SwitchgearInstanceDown", "warning", { instance: "1", ...JOB }],
    same: ["job"],
  },
  {
    source: ["SwitchgearDown", "critical", JOB],
    target: ["SwitchgearSeriesMissing", "warning"],
    same: [],
  },
  {
    source: ["SwitchgearMetricsAbsent", "critical", JOB],
    target: ["SwitchgearSeriesMissing", "warning"],
    same: [],
  },
  {
    source: ["SwitchgearStoreDown", "warning", { instance: "1" }],
    target: ["SwitchgearStoreError", "warning", { instance: "1", op: "commit" }],
    same: ["instance"],
  },
];

/** Alerts that look as if they muted each other, and must not. */
export const NEIGHBOURS: readonly Pair[] = [
  // A ticket mutes no page.
  {
    source: [BURN, "warning", { slo: "success" }],
    target: [BURN, "critical", { slo: "success", ...DK }],
    same: [],
  },
  {
    source: [BURN, "warning", { slo: "success", ...DK }],
    target: [BURN, "critical", { slo: "latency", ...DK }],
    same: [],
  },
  {
    source: [BURN, "warning", { slo: "success" }],
    target: [BURN, "warning", { slo: "success", ...DK }],
    same: [],
  },
  {
    source: [BURN, "warning", { slo: "success", ...DK }],
    target: [BURN, "warning", { slo: "latency", ...DK }],
    same: [],
  },
  // Nor does one bookmaker another, a window a window, or slowness failures.
  ...["critical", "warning"].flatMap((severity): Pair[] => [
    {
      source: [BURN, "critical", { slo: "success", ...DK }],
      target: [BURN, severity, { slo: "success", bookmaker: "fanduel" }],
      same: [],
    },
    {
      source: [BURN, severity, { slo: "success", ...DK, window: "short" }],
      target: [BURN, severity, { slo: "success", ...DK, window: "long" }],
      same: [],
    },
  ]),
  {
    source: [BURN, "critical", { slo: "latency", ...DK }],
    target: [BURN, "warning", { slo: "success", ...DK }],
    same: [],
  },
  {
    source: ["CircuitBreakerTripped", "critical", DK],
    target: ["CircuitBreakerStuckOpen", "warning", DK],
    same: [],
  },
  {
    source: ["CircuitBreakerTripped", "critical", DK],
    target: ["CircuitBreakerStateLost", "critical"],
    same: [],
  },
  {
    source: ["CircuitBreakerManyTripped", "critical"],
    target: ["CircuitBreakerStateLost", "critical"],
    same: [],
  },
  {
    source: ["SwitchgearDown", "critical", JOB],
    target: ["CircuitBreakerTripped", "critical", DK],
    same: [],
  },
  {
    source: ["SwitchgearDown", "critical", JOB],
    target: ["SwitchgearWatchdog", "none"],
    same: [],
  },
  // A job that was given up hides no other one's page.
  {
    source: ["SwitchgearDown", "critical", { job: "given-up" }],
    target: ["SwitchgearDown", "critical", JOB],
    same: [],
  },
  // Nothing is found of any job: that is of none.
  {
    source: ["SwitchgearDown", "critical", { job: "given-up" }],
    target: ["SwitchgearMetricsAbsent", "critical"],
    same: [],
  },
];

export interface Sent {
  readonly labels: Labels;
  readonly isMuted: boolean;
}

/** Everything that is told to Alertmanager, and what becomes of it. What mutes comes before what it mutes. */
export function sent(): Sent[] {
  return [
    ...PAIRS.flatMap(ofPair),
    // Other people's alerts with the same labels neither mute nor are muted.
    ...oneOfEach(({ source, target }) => [source, target[2]]).flatMap(ofStrangers),
    ...NEIGHBOURS.flatMap(({ source, target }, n) => both(source, target, `neighbour-${n}`, false)),
    ...matrix(),
    ...OTHERS.map(([own], n) => ({
      labels: { ...DK, ...own, cluster: "east", namespace: `other-${n}` },
      isMuted: false,
    })),
  ];
}

function both(
  source: Pair["source"],
  target: Pair["target"],
  namespace: string,
  isMuted: boolean,
  more: Labels = {},
): Sent[] {
  return [
    { labels: labelsOf(source, namespace, more), isMuted: false },
    { labels: labelsOf(target, namespace, more), isMuted },
  ];
}

function ofPair({ source, target, same }: Pair, n: number): Sent[] {
  const alone = (namespace: string, more?: Labels): Sent => ({
    labels: labelsOf(target, namespace, more),
    isMuted: false,
  });
  return [
    ...both(source, target, `pair-${n}`, true),
    // The same, but for one thing in which they must agree.
    alone(`pair-${n}`, { cluster: "west" }),
    alone(`elsewhere-${n}`),
    ...same.map((label) => alone(`pair-${n}`, { [label]: OTHER[label] ?? "other" })),
    // Where there is but one cluster no alert has the label.
    ...both(source, target, `single-${n}`, true, { cluster: "" }),
    alone(`single-${n}`),
  ];
}

function ofStrangers({ source, target }: Pair, n: number): Sent[] {
  return [
    ...both(["Other", source[1], source[2] ?? {}], target, `stranger-${n}`, false),
    ...both(source, ["Other", target[1], target[2] ?? {}], `bystander-${n}`, false),
  ];
}

function mutes([source]: Pair["source"], [name, severity]: Pair["target"]): boolean {
  return PAIRS.some(
    (pair) => pair.source[0] === source && pair.target[0] === name && pair.target[1] === severity,
  );
}

/** Of those that are the same in this, one. */
function oneOfEach(what: (pair: Pair) => unknown): Pair[] {
  return [...new Map(PAIRS.map((pair) => [JSON.stringify(what(pair)), pair])).values()];
}

/** Of each that mutes, all alerts with its own labels: those that it does not name stay. */
function matrix(): Sent[] {
  const sources = oneOfEach(({ source }) => source)
    .map(({ source }) => source)
    .filter(([name]) => name !== BURN);
  // Those that mute others, too, are asked alone with it.
  const mutingNames = new Set(PAIRS.map(({ source: [name] }) => name));
  return sources.flatMap((source) => besides(source, mutingNames));
}

function besides(source: Pair["source"], mutingNames: ReadonlySet<string>): Sent[] {
  const namespace = `all-${source[0]}`;
  const told = (one: Pair["source"], by: Pair["source"], where: string): Sent => ({
    labels: labelsOf(one, where),
    isMuted: mutes(by, one),
  });
  const found = [told(source, source, namespace)];
  for (const one of Object.keys(RECEIVERS)) {
    const [name = "", severity = ""] = one.split(" ");
    if (name === source[0]) continue;
    const target: Pair["target"] = [name, severity, source[2] ?? {}];
    const where = `${source[0]}-${name}-${severity}`;
    if (!mutingNames.has(name)) found.push(told(target, source, namespace));
    else found.push(told(source, target, where), told(target, source, where));
  }
  return found;
}

const OTHER: Labels = { bookmaker: "fanduel", instance: "2" };

function labelsOf(
  [alertname, severity, own = {}]: Pair["source"],
  namespace: string,
  more: Labels = {},
): Labels {
  const labels = { alertname, severity, cluster: "east", namespace, ...own, ...more };
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}

export function keyOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(" ");
}
