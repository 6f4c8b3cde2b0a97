// What mutes what, written down and not derived: each pair is asked of a real Alertmanager, in a namespace of
// its own, beside the same target where nothing mutes it.

export interface Pair {
  readonly source: readonly [alertname: string, severity: string, more?: Labels];
  readonly target: readonly [alertname: string, severity: string, more?: Labels];
  /** Labels in which the two must agree, beside cluster and namespace. */
  readonly same: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;

const DK = { bookmaker: "draftkings" };

const BREAKERS = [
  ["CircuitBreakerTripped", "critical"],
  ["CircuitBreakerNoEndpoint", "critical"],
  ["CircuitBreakerMostlyOpen", "critical"],
  ["CircuitBreakerStuckOpen", "warning"],
  ["CircuitBreakerFlapping", "warning"],
  ["CircuitBreakerWindowOpen", "warning"],
  ["CircuitBreakerEndpointCoolingDown", "warning"],
  ["CircuitBreakerSuccessRatioLow", "warning"],
  ["SwitchgearErrorBudgetBurn", "critical"],
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
    BURN,
  ]),
  ...ofBookmaker("CircuitBreakerMostlyOpen", [
    "CircuitBreakerFlapping",
    "CircuitBreakerWindowOpen",
    "CircuitBreakerSuccessRatioLow",
    BURN,
  ]),
  ...ofBookmaker("CircuitBreakerNoEndpoint", [
    "CircuitBreakerEndpointCoolingDown",
    "CircuitBreakerSuccessRatioLow",
    BURN,
  ]),
  {
    source: [BURN, "critical", { slo: "success" }],
    target: [BURN, "critical", { slo: "success", ...DK }],
    same: ["slo"],
  },
  {
    source: [BURN, "critical", { slo: "success", ...DK }],
    target: [BURN, "critical", { slo: "latency", ...DK }],
    same: ["bookmaker"],
  },
  {
    source: [BURN, "critical", { slo: "latency", ...DK, window: "1h" }],
    target: [BURN, "warning", { slo: "latency", ...DK, window: "1d" }],
    same: ["bookmaker", "slo"],
  },
  {
    source: ["SwitchgearDown", "critical"],
    target: ["SwitchgearMetricsAbsent", "critical"],
    same: [],
  },
  {
    source: ["SwitchgearDown", "critical"],
    target: ["SwitchgearInstanceDown", "warning", { instance: "1" }],
    same: [],
  },
  {
    source: ["SwitchgearDown", "critical"],
    target: ["SwitchgearSeriesMissing", "warning"],
    same: [],
  },
  {
    source: ["SwitchgearMetricsAbsent", "critical"],
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
    source: ["CircuitBreakerTripped", "critical", DK],
    target: ["CircuitBreakerStuckOpen", "warning", DK],
    same: [],
  },
  {
    source: ["CircuitBreakerTripped", "critical", DK],
    target: ["CircuitBreakerStateLost", "critical", DK],
    same: [],
  },
  {
    source: ["CircuitBreakerManyTripped", "critical"],
    target: ["CircuitBreakerStateLost", "critical", DK],
    same: [],
  },
  {
    source: ["SwitchgearDown", "critical"],
    target: ["CircuitBreakerTripped", "critical", DK],
    same: [],
  },
  { source: ["SwitchgearDown", "critical"], target: ["SwitchgearWatchdog", "none"], same: [] },
];

export interface Sent {
  readonly labels: Labels;
  readonly isMuted: boolean;
}

/** Everything that is told to Alertmanager, and what becomes of it. */
export function sent(): Sent[] {
  const pairs = PAIRS.flatMap((pair, n) => {
    const agreeing: Sent[] = [
      { labels: labelsOf(pair.source, `pair-${n}`), isMuted: false },
      { labels: labelsOf(pair.target, `pair-${n}`), isMuted: true },
      // The same, but for one thing in which they must agree.
      { labels: labelsOf(pair.target, `pair-${n}`, { cluster: "west" }), isMuted: false },
      { labels: labelsOf(pair.target, `other-${n}`), isMuted: false },
    ];
    const others = pair.same.map((label) => ({
      labels: labelsOf(pair.target, `pair-${n}`, { [label]: OTHER[label] ?? "other" }),
      isMuted: false,
    }));
    return agreeing.concat(others);
  });
  const neighbours = NEIGHBOURS.flatMap((pair, n) => [
    { labels: labelsOf(pair.source, `neighbour-${n}`), isMuted: false },
    { labels: labelsOf(pair.target, `neighbour-${n}`), isMuted: false },
  ]);
  return [...pairs, ...neighbours];
}

const OTHER: Labels = { bookmaker: "fanduel", instance: "2" };

function labelsOf(
  [alertname, severity, own = {}]: Pair["source"],
  namespace: string,
  more: Labels = {},
): Labels {
  return { alertname, severity, cluster: "east", namespace, ...own, ...more };
}

export function keyOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(" ");
}
