// What is made of k6's summary and samples.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SCENARIOS, shapeOf, type ScenarioName } from "../../../loadtest/lib/shapes.ts";
import {
  report,
  verdictsOf,
  type Summary,
  type SummaryMetric,
} from "../../../loadtest/lib/summary.ts";
import { claimsOf, judgedMetric } from "../../../loadtest/lib/thresholds.ts";
import type { Subject } from "../../../loadtest/run/data.ts";
import { outcomeOf } from "../../../loadtest/run/outcome.ts";
import { reduceSamples } from "../../../loadtest/run/rows.ts";
import { seriesOf } from "../../../loadtest/run/sampler.ts";
import { configOf } from "../../../loadtest/run/world.ts";
import { temporaryFolder } from "../../support/programs.ts";

const shape = shapeOf("spike", { scale: 1, isShort: true });

/** As k6 writes it, of a run in which everything held. */
function summary(changes: Readonly<Record<string, SummaryMetric | undefined>> = {}): Summary {
  const metrics: Record<string, SummaryMetric | undefined> = {};
  for (const [name, { type, threshold }] of claimsOf("spike")) {
    const key = name === "first_shed_ms" ? `${name}{step:2}` : name;
    const [aggregate = ""] = /^[a-z]+(?:\(\d+\))?/.exec(threshold) ?? [];
    metrics[key] = {
      type,
      values: { [aggregate]: 0.5 },
      thresholds: { [threshold]: { ok: true } },
    };
    metrics[judgedMetric(name)] = { type: "counter", values: { count: 1e6 } };
  }
  return { metrics: { ...metrics, ...changes } };
}

const outcome = (
  changes: Parameters<typeof summary>[0],
  exitCode: number | null,
  { subject = "gateway", wakeMs = null }: { subject?: Subject; wakeMs?: number | null } = {},
): string => outcomeOf(subject, verdictsOf(summary(changes), "spike", shape), exitCode, wakeMs);
const breached = (threshold: string, values: Readonly<Record<string, number>>): SummaryMetric => ({
  type: "trend",
  values,
  thresholds: { [threshold]: { ok: false } },
});

test("a run in which each claim held has held, one in which one did not is breached", () => {
  assert.equal(outcome({}, 0), "held");
  assert.equal(outcome({ refusal_ms: breached("p(99)<10", { "p(99)": 12 }) }, 99), "breached");
  // k6 says so although no claim tells why.
  assert.equal(outcome({}, 99), "breached");
});

test("nothing can be said of a run whose load was late or left out, or that k6 did not finish", () => {
  assert.equal(outcome({ generator_lag_ms: breached("p(99)<=100", { "p(99)": 180 }) }, 99), "void");
  assert.equal(
    outcome({ dropped_iterations: { type: "counter", values: { count: 1 } } }, 99),
    "void",
  );
  for (const code of [null, 1, 104, 107, 108]) assert.equal(outcome({}, code), "void");
  assert.equal(outcomeOf("gateway", [], 0, null), "void");
});

test("calls that are started a little late make claims harder, and a breach of no worth", () => {
  const lag = (ms: number): SummaryMetric => ({
    type: "trend",
    values: { "p(99)": ms },
    thresholds: { "p(99)<=100": { ok: true } },
  });
  const slow = breached("p(99)<10", { "p(99)": 12 });
  assert.equal(outcome({ generator_lag_ms: lag(60) }, 0), "held");
  assert.equal(outcome({ generator_lag_ms: lag(60), refusal_ms: slow }, 99), "void");
  assert.equal(outcome({ generator_lag_ms: lag(10), refusal_ms: slow }, 99), "breached");
});

test("on a machine that wakes threads late a breach is of no worth, and what held has held", () => {
  const slow = breached("p(99)<10", { "p(99)": 12 });
  assert.equal(outcome({ refusal_ms: slow }, 99, { wakeMs: 3.1 }), "void");
  assert.equal(outcome({ refusal_ms: slow }, 99, { wakeMs: 3 }), "breached");
  assert.equal(outcome({}, 0, { wakeMs: 50 }), "held");
});

test("without protection calls time out by the hundred, which no lag explains", () => {
  const lag = breached("p(99)<=100", { "p(99)": 1300 });
  const timeouts = (count: number): SummaryMetric => breached("count==0", { count });
  for (const subject of ["none", "opossum"] as const) {
    const many = { generator_lag_ms: lag, upstream_timeouts: timeouts(100) };
    assert.equal(outcome(many, 99, { subject }), "breached");
    assert.equal(outcome({ ...many, upstream_timeouts: timeouts(99) }, 99, { subject }), "void");
    assert.equal(outcome(many, 107, { subject }), "void");
  }
  assert.equal(outcome({ generator_lag_ms: lag, upstream_timeouts: timeouts(100) }, 99), "void");
});

test("a claim that was judged by too few calls has not held, and the report says by how many", () => {
  const few = summary({
    [judgedMetric("goodput_of_capacity")]: { type: "counter", values: { count: 3 } },
    [judgedMetric("top_tier_served")]: undefined,
  });
  const verdicts = verdictsOf(few, "spike", shape);

  const failed = verdicts.filter(({ held }) => !held);
  assert.deepEqual(
    failed.map(({ name, value, judged }) => [name, value, judged]),
    [
      ["goodput_of_capacity", 0.5, 3],
      ["top_tier_served", null, 0],
    ],
  );
  const text = report(few, "spike", shape);
  assert.match(
    text,
    /BREACHED goodput_of_capacity +count>=0\.95 +0\.500 \(judged by 3, needs 100\)/,
  );
  assert.match(text, /BREACHED top_tier_served +rate>=0\.95 +nothing/);
  assert.match(text, /held +refusal_ms +p\(99\)<10 +0\.500 {2}/);
});

const HEADER = "metric_name,timestamp,metric_value,status,extra_tags,metadata";
const call = (endMs: number, ms: number, tags: string): string =>
  `call_ms,${endMs},${ms},,bookmaker=dk&${tags},`;

test("samples become rows: calls count where they began as offered, and where they ended as what they became", async (t) => {
  const file = join(temporaryFolder(t), "k6.csv");
  const lines = [
    HEADER,
    "step_start_ms,1000,1000,,step=2&phase=overload,",
    "http_req_duration,1050,50,200,bookmaker=dk,",
    call(1250, 100, "tier=critical&outcome=ok&reason="),
    call(1260, 20, "tier=critical&outcome=ok&reason="),
    call(1270, 70, "tier=critical_plus&outcome=ok&reason="),
    call(1210, 1, "tier=sheddable&outcome=refused&reason=limit"),
    call(1220, 1, "tier=sheddable&outcome=refused&reason=limit"),
    call(1230, 1, "tier=sheddable&outcome=refused&reason=priority"),
    call(3210, 2000, "tier=sheddable&outcome=timeout&reason=upstream_timeout"),
    call(1240, 5, "tier=sheddable&outcome=error&reason=status_500"),
    "call_ms,1205,1,,bookmaker=fd&tier=critical&outcome=ok&reason=,",
  ];
  writeFileSync(file, `${lines.join("\n")}\n`);

  const { rows, stepStartMs } = await reduceSamples(file);

  assert.deepEqual([...stepStartMs], [[2, 1000]]);
  const none = { ok: 0, refused: {}, timeouts: 0, errors: 0, latency: {} };
  assert.deepEqual(rows, [
    { ...none, atMs: 1000, bookmaker: "dk", offered: 1 },
    {
      atMs: 1200,
      bookmaker: "dk",
      offered: 7,
      ok: 3,
      refused: { limit: 2, priority: 1 },
      timeouts: 0,
      errors: 1,
      latency: { critical: { p50: 100, p99: 100 }, critical_plus: { p50: 70, p99: 70 } },
    },
    {
      ...none,
      atMs: 1200,
      bookmaker: "fd",
      offered: 1,
      ok: 1,
      latency: { critical: { p50: 1, p99: 1 } },
    },
    { ...none, atMs: 3200, bookmaker: "dk", offered: 0, timeouts: 1 },
  ]);
});

test("of the gateway's page those series are kept that a plot needs", () => {
  const page = [
    "# HELP switchgear_limit_concurrency Calls",
    'switchgear_limit_concurrency{bookmaker="dk"} 16.5',
    'circuit_breaker_tripped{bookmaker="dk"} 1',
    "process_cpu_seconds_total 3.25",
    'switchgear_request_duration_seconds_bucket{bookmaker="dk",le="1"} 7',
    "",
  ].join("\n");

  assert.deepEqual(seriesOf(page), {
    'switchgear_limit_concurrency{bookmaker="dk"}': 16.5,
    'circuit_breaker_tripped{bookmaker="dk"}': 1,
    process_cpu_seconds_total: 3.25,
  });
});

test("of the pages of replicas each series is the sum", () => {
  const page = 'switchgear_in_flight{bookmaker="dk"} 4\n';

  assert.deepEqual(seriesOf(`${page}\n${page}`), { 'switchgear_in_flight{bookmaker="dk"}': 8 });
});

const options = { scale: 0.5, sabotage: undefined };
const bookmakers = { draftkings: "http://127.0.0.1:1", fanduel: "http://127.0.0.1:2" };

test("the gateway is configured with no more than the scenario is about", () => {
  const lines = (scenario: ScenarioName): string[] =>
    configOf(bookmakers, { ...options, scenario })
      .trim()
      .split("\n");
  const plain = [
    "upstreams:",
    '  draftkings: { url: "http://127.0.0.1:1", deadlineMs: 2000 }',
    '  fanduel: { url: "http://127.0.0.1:2", deadlineMs: 2000 }',
  ];

  for (const scenario of SCENARIOS)
    if (scenario !== "rate" && scenario !== "heavy") assert.deepEqual(lines(scenario), plain);
  assert.match(lines("rate")[1] ?? "", /rate: \{ perSecond: 25, burst: 25 \} \}$/);
  assert.equal(lines("rate")[2], plain[2]);
  assert.equal(lines("heavy")[0], "loadShedding: { mode: max, maxPending: 25 }");
  const tiny = configOf(bookmakers, { ...options, scale: 0.001, scenario: "heavy" });
  assert.match(tiny, /maxPending: 1 \}/);
  assert.match(lines("heavy")[2] ?? "", /deepProbe: \{ path: \/probe, load: 500 \} \} \}$/);
});
