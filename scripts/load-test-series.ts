// docs/load-test-metrics.md: what a dashboard of a load test can ask for. A test holds the list against what the
// real k6 writes to a real Prometheus.

import { CLAIMS, type Claim, type ClaimName } from "../loadtest/lib/thresholds.ts";
import { SCENARIOS, type ScenarioName } from "../loadtest/lib/shapes.ts";

/** What k6 writes of a trend: all of it since the run began, for each set of labels. */
export const TREND_STATS = ["count", "sum", "min", "p(50)", "p(95)", "p(99)", "max"] as const;

/** The tags that the operator gives to all that a runner measures. */
const RUN_LABELS = ["instance_id", "testrun_name"] as const;
const STEP_LABELS = ["scenario", "phase", "step"] as const;
const HTTP_LABELS = ["name", "status", "error_code"] as const;

export interface Row {
  /** Of k6; the series have a prefix and endings. */
  readonly metric: string;
  readonly type: "counter" | "gauge" | "rate" | "trend";
  /** Beside those of the run. */
  readonly labels: readonly string[];
  readonly scenarios: readonly ScenarioName[];
  readonly says: string;
}

type Built = readonly [metric: string, type: Row["type"], labels: readonly string[], says: string];

const HTTP: readonly Built[] = [
  ["http_reqs", "counter", HTTP_LABELS, "calls, those of the setup's measurements among them"],
  [
    "http_req_failed",
    "rate",
    HTTP_LABELS,
    "share of calls with another answer than 200, 429, 503 or 504",
  ],
  ["http_req_duration", "trend", HTTP_LABELS, "seconds of a call, without connecting"],
  ["http_req_blocked", "trend", HTTP_LABELS, "seconds until there was a connection"],
  ["http_req_connecting", "trend", HTTP_LABELS, "seconds of connecting"],
  ["http_req_tls_handshaking", "trend", HTTP_LABELS, "seconds of agreeing on TLS"],
  ["http_req_sending", "trend", HTTP_LABELS, "seconds of sending"],
  ["http_req_waiting", "trend", HTTP_LABELS, "seconds until the answer's first byte"],
  ["http_req_receiving", "trend", HTTP_LABELS, "seconds from the answer's first byte to its last"],
];

const BUILT_IN: readonly Row[] = [
  ...HTTP.map(([metric, type, labels, says]) =>
    row([metric, type, [...STEP_LABELS, ...labels], says]),
  ),
  row(["data_sent", "counter", STEP_LABELS, "bytes"]),
  row(["data_received", "counter", STEP_LABELS, "bytes"]),
  row(["iterations", "counter", STEP_LABELS, "iterations, each the calls of a tenth of a second"]),
  row(["iteration_duration", "trend", STEP_LABELS, "seconds of an iteration"]),
  row(["vus", "gauge", [], "virtual users at work"]),
  row(["vus_max", "gauge", [], "virtual users there are"]),
];

const OURS: readonly Row[] = [
  row([
    "call_ms",
    "trend",
    [...STEP_LABELS, "bookmaker", "tier", "outcome", "reason"],
    "milliseconds of a call; its count is what became of the calls",
  ]),
  row(["step_start_ms", "gauge", STEP_LABELS, "when the step began, in milliseconds since 1970"]),
  row(["judged", "counter", [...STEP_LABELS, "claim"], "calls that the claim was judged by"]),
];

function row([metric, type, labels, says]: Built): Row {
  return { metric, type, labels, scenarios: SCENARIOS, says };
}

function claimRows(): Row[] {
  return (Object.entries(CLAIMS) as [ClaimName, Claim][]).map(
    ([metric, { type, scenarios, says, threshold }]) => {
      return { metric, type, labels: STEP_LABELS, scenarios, says: `${says}; \`${threshold}\`` };
    },
  );
}

/** What a run of this scenario writes, if nothing is wrong with the run itself. */
export function rowsOf(scenario: ScenarioName): Row[] {
  return [...OURS, ...claimRows(), ...BUILT_IN].filter(({ scenarios }) =>
    scenarios.includes(scenario),
  );
}

export function seriesOf({ metric, type }: Row): string[] {
  const name = `k6_${metric}`;
  if (type === "counter") return [`${name}_total`];
  if (type === "rate") return [`${name}_rate`];
  if (type === "gauge") return [name];
  return TREND_STATS.map((stat) => `${name}_${stat.replaceAll(/[()]/g, "")}`);
}

export function labelsOf({ labels }: Row): string[] {
  return [...RUN_LABELS, ...labels].toSorted();
}

function table(rows: readonly Row[], ...labels: readonly string[]): string {
  const lines = rows.map((one) => {
    const ending = { counter: "_total", rate: "_rate", gauge: "", trend: "_*" }[one.type];
    const own = one.labels.filter((label) => !labels.includes(label));
    const few = one.scenarios.length === SCENARIOS.length ? "" : ` (${one.scenarios.join(", ")})`;
    const cells = [`\`k6_${one.metric}${ending}\``, own.map((label) => `\`${label}\``).join(", ")];
    return `| ${[...cells, one.says + few].join(" | ")} |`;
  });
  return ["| Series | Labels | Meaning |", "| --- | --- | --- |", ...lines].join("\n");
}

export function loadTestSeriesPage(): string {
  const endings = TREND_STATS.map((stat) => `\`_${stat.replaceAll(/[()]/g, "")}\``).join(", ");
  return `<!-- Generated from loadtest/ and scripts/load-test-series.ts by \`npm run generate\`. -->

# Series of a load test

What k6 writes to Prometheus while [deploy/k6/testrun.yaml](../deploy/k6/testrun.yaml) runs;
[loadtest/README.md](../loadtest/README.md) says how. \`test/e2e/testrun.test.ts\` asks a Prometheus for them after a
run, and finds these names and labels and no other.

\`_*\` stands for ${endings}. They, \`_total\` and
\`_rate\` are of all since the run began, for each set of labels; of a quantile there can be no sum, so choose by
labels, or take the \`max\`. k6's own times arrive in seconds.

All have \`testrun_name\`, \`instance_id\` (1, of one runner), and, but for \`k6_vus\` and \`k6_vus_max\`:

| Label | Value |
| --- | --- |
| \`scenario\` | k6's: \`target_2_overload\` are the calls to the bookmaker that is put to the test, in the third step; \`healthy_…\` those beside it. Alone on what the setup measured |
| \`phase\` | \`rest\`, \`calm\`, \`overload\`, \`settle\` or \`after\` |
| \`step\` | from 0 |
| \`bookmaker\`, \`tier\` | of a call: whom it went to, and its criticality |
| \`outcome\` | \`ok\`, \`refused\`, \`timeout\` or \`error\` |
| \`reason\` | where it is not \`ok\`: the gateway's, or k6's |
| \`status\`, \`error_code\` | of HTTP, and k6's where it is 400 or above, or none |
| \`name\` | \`call\` |

## To begin with

${QUERIES.map(([says, query]) => `${says}:\n\n\`\`\`promql\n${query}\n\`\`\``).join("\n\n")}

## Calls and claims

${table([...OURS, ...claimRows()], ...STEP_LABELS)}

## k6's own

${table(BUILT_IN, ...STEP_LABELS)}

\`k6_dropped_iterations_total\` is there only where k6 could not make calls when they were due: then there is no verdict.
`;
}

const QUERIES: readonly (readonly [string, string])[] = [
  [
    "What becomes of the calls, each second",
    'sum by (bookmaker, outcome) (rate(k6_call_ms_count{testrun_name="switchgear-super-bowl"}[5s]))',
  ],
  [
    "Slowest hundredth of the good answers in this step so far, in milliseconds",
    'max by (bookmaker, tier) (k6_call_ms_p99{testrun_name="switchgear-super-bowl", outcome="ok"})',
  ],
  [
    "Good answers of the overload, as share of what can be served",
    'sum(k6_goodput_of_capacity_total{testrun_name="switchgear-super-bowl"})',
  ],
  [
    "How much later than due calls begin: the machine of k6 is too small above 10 ms",
    'max(k6_generator_lag_ms_p99{testrun_name="switchgear-super-bowl"})',
  ],
];
