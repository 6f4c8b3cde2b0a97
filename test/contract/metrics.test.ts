// What `/metrics` says, through OpenTelemetry's own exporter, read by a strict parser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { metrics as otelMetrics } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  memoryStore,
  slidingWindow,
} from "../../src/index.ts";
import type { LatchingOptions, Store, Switchgear, UpstreamOptions } from "../../src/index.ts";
import { StoreError } from "../../src/core/errors.ts";
import { METRICS, type Metric } from "../../src/telemetry/series/catalogue.ts";
import { prometheusMetrics, switchgearMetricProducer } from "../../src/telemetry/otel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { parseExposition, sampleOf } from "./exposition.ts";

function makeGear(
  options: {
    breaker?: LatchingOptions;
    store?: Store;
    others?: Readonly<Record<string, UpstreamOptions>>;
    clock?: VirtualClock;
  } = {},
): Switchgear {
  const upstream = { breaker: latching(options.breaker) };
  return createSwitchgear({
    upstreams: { dk: upstream, ...options.others },
    otherUpstreams: upstream,
    store: options.store ?? memoryStore(),
    sampler: { systemLoad: () => 0.95 },
    clock: options.clock ?? new VirtualClock(),
  });
}

/** A history that touches every family but those of a failing store. */
function script(gear: Switchgear): void {
  const dk = gear.upstream("dk");
  const settle = (outcome: "ok" | "failed" | "ignored", latencyMs: number): void => {
    const admission = dk.tryAcquire({ operation: "odds" });
    assert.ok(admission.admitted);
    admission.settle({ outcome, latencyMs });
  };
  for (const latencyMs of [1, 5, 6, 10, 30_000, 250]) settle("ok", latencyMs);
  settle("ignored", 1);
  settle("ok", Number.NaN);
  dk.tryAcquire({ operation: "probe", load: 500 });
  dk.setMode({ mode: "shadow" });
  settle("failed", 20);
  settle("failed", 20);
  dk.tryAcquire({ operation: "odds" });
  dk.setMode({ mode: "normal" });
  dk.tryAcquire({ operation: "odds" });
}

test("names, types, labels and help are those of the catalogue, and nothing is added", async () => {
  const broken: Store = {
    ...memoryStoreLike(),
    commit: () => {
      throw new StoreError("SQLITE_FULL", "disk full");
    },
  };
  const others = {
    window: { breaker: slidingWindow({ slowCallMs: 100 }) },
    feeds: { breaker: latching(), endpoints: ["http://a", "http://b"], limit: fixedLimit(9) },
    limited: { breaker: latching(), limit: adaptiveLimit() },
  };
  const clock = new VirtualClock();
  const gear = makeGear({ breaker: { failureThreshold: 2 }, store: broken, others, clock });
  script(gear);
  for (const name of Object.keys(others)) {
    const admission = gear.upstream(name).tryAcquire();
    assert.ok(admission.admitted);
    admission.settle({ outcome: "ok", latencyMs: 150 });
  }
  for (let n = 0; n < 100; n += 1) {
    const admission = gear.upstream("limited").tryAcquire();
    clock.advance(10);
    if (admission.admitted) admission.settle({ outcome: "ok" });
  }

  assert.equal(gear.monitors.active, 0);

  const log = { logHealth: () => ({ isUp: true, linesDropped: 0 }) };
  const config = { isGood: true, takenAt: 1_795_000_000_000 };
  const loopDelays = [["1", 0.25]] as const;
  const reading = { cpuSeconds: 1.5, residentBytes: 5e7, startedAt: 1_795_000_000_500, loopDelays };
  const own = {
    process: { read: () => reading },
    gateway: { answers: () => [["tripped", 3]] as const },
  };
  const fleet = { isSynced: true, replicas: () => [1, 2], versions: () => new Map([["dk", 4]]) };
  const metered = Object.assign(gear, { fleet });
  const page = await prometheusMetrics(metered, {
    version: "1.2.3",
    log,
    config,
    ...own,
  }).collect();

  assert.equal(page.contentType, "text/plain; version=0.0.4; charset=utf-8");
  const families = parseExposition(page.body);
  assert.deepEqual(
    [...families.keys()].toSorted(),
    Object.values(METRICS)
      .map(({ name }) => name)
      .toSorted(),
  );
  for (const metric of Object.values(METRICS)) {
    const family = families.get(metric.name);
    assert.equal(family?.type, metric.type, metric.name);
    assert.equal(family?.help, metric.help, metric.name);
    for (const { name, labels } of family?.samples ?? []) {
      const own = labelsOf(metric, labels);
      const wanted = name.endsWith("_bucket") ? [...own, "le"] : own;
      assert.deepEqual([...labels.keys()], wanted, name);
    }
  }
  assert.doesNotMatch(page.body, /otel_|target_info|# UNIT|NaN/);
  const errors = { op: "commit", code: "SQLITE_FULL" };
  assert.ok((sampleOf(families, "circuit_breaker_persistence_errors_total", errors) ?? 0) >= 1);
  assert.equal(sampleOf(families, "switchgear_store_up"), 0);
  assert.equal(sampleOf(families, "process_cpu_seconds_total"), 1.5);
  assert.equal(sampleOf(families, "process_resident_memory_bytes"), 5e7);
  assert.equal(sampleOf(families, "process_start_time_seconds"), 1_795_000_000.5);
  assert.equal(sampleOf(families, "switchgear_event_loop_delay_seconds", { quantile: "1" }), 0.25);
  assert.equal(sampleOf(families, "switchgear_gateway_answers_total", { reason: "tripped" }), 3);
});

/** One family has two kinds of things, told apart by the label that they have. */
function labelsOf(metric: Metric, labels: ReadonlyMap<string, string>): readonly string[] {
  const { orLabels } = metric;
  return orLabels?.every((label) => labels.has(label)) === true ? orLabels : metric.labels;
}

function memoryStoreLike(): Store {
  const store = memoryStore();
  return {
    kind: "broken",
    durable: true,
    location: "nowhere",
    load: () => store.load(),
    commit: (change) => store.commit(change),
    history: (query) => store.history(query),
    close: () => store.close(),
  };
}

test("mandated lines, letter by letter", async () => {
  const gear = makeGear({ breaker: { failureThreshold: 2 } });
  script(gear);

  const { body } = await prometheusMetrics(gear).collect();

  const lines = new Set(body.split("\n"));
  for (const line of [
    'circuit_breaker_tripped{bookmaker="dk"} 1',
    'circuit_breaker_failures_1m{bookmaker="dk"} 2',
    'circuit_breaker_trip_count{bookmaker="dk"} 1',
    'circuit_breaker_rejected_total{bookmaker="dk",operation="odds",reason="tripped"} 1',
    'circuit_breaker_rejected_total{bookmaker="dk",operation="probe",reason="load_shed"} 1',
    'load_shed_rejected_total{bookmaker="dk",operation="probe"} 1',
    'circuit_breaker_resets_total{bookmaker="dk"} 0',
    'circuit_breaker_trips_total{bookmaker="dk"} 1',
    'circuit_breaker_late_results_total{bookmaker="dk",outcome="success"} 0',
    'circuit_breaker_late_results_total{bookmaker="dk",outcome="failure"} 0',
    'circuit_breaker_reset_denied_total{bookmaker="dk"} 0',
    'circuit_breaker_invalid_samples_total{bookmaker="dk"} 1',
    "circuit_breaker_store_recovered 0",
    'switchgear_shadow_refused_total{bookmaker="dk",operation="odds"} 1',
    "switchgear_store_up 1",
    "switchgear_system_load 0.95",
  ]) {
    assert.ok(lines.has(line), line);
  }
  assert.doesNotMatch(body, /switchgear_build_info/, "no version, no build info");
});

test("the histogram is cumulative, in seconds, and a bound belongs to its bucket", async () => {
  const gear = makeGear({ breaker: { failureThreshold: 100 } });
  script(gear);

  const families = parseExposition((await prometheusMetrics(gear).collect()).body);

  const name = "switchgear_request_duration_seconds";
  const of = (outcome: string, part: string, more = {}): number | undefined =>
    sampleOf(families, `${name}_${part}`, { bookmaker: "dk", operation: "odds", outcome, ...more });
  const bucket = (outcome: string, le: string): number | undefined => of(outcome, "bucket", { le });
  // 1, 5 | 6, 10 | 250 | 30,000 milliseconds; those that failed took 20 each.
  const bounds = ["0.005", "0.01", "0.025", "0.25", "2", "10", "30", "+Inf"];
  assert.deepEqual(
    bounds.map((le) => bucket("ok", le)),
    [2, 4, 4, 5, 5, 5, 6, 6],
  );
  assert.deepEqual(
    bounds.map((le) => bucket("failed", le)),
    [0, 0, 2, 2, 2, 2, 2, 2],
  );
  assert.equal(of("ok", "count"), 6);
  assert.equal(of("ok", "sum"), 30.272);
  assert.equal(of("failed", "sum"), 0.04);
  assert.equal(bucket("timeout", "+Inf"), undefined);
});

test("latency is absent before the first success, and nothing is a number that is none", async () => {
  const gear = makeGear();
  const endpoint = prometheusMetrics(gear);
  assert.doesNotMatch((await endpoint.collect()).body, /circuit_breaker_latency_ms/);

  gear.upstream("dk").record({ outcome: "ok", latencyMs: Number.NaN });
  assert.doesNotMatch((await endpoint.collect()).body, /circuit_breaker_latency_ms|NaN/i);

  gear.upstream("dk").record({ outcome: "ok", latencyMs: 150 });
  const { body } = await endpoint.collect();
  assert.match(body, /^circuit_breaker_latency_ms\{bookmaker="dk"\} 150$/m);
});

test("hostile names give a valid page and come back as they were", async () => {
  const gear = makeGear();
  const names = [
    'a"b\n\\c',
    "🎲".repeat(10),
    "__proto__",
    "constructor",
    "\\",
    "\\n",
    '"',
    " ",
    "}{,=",
  ];
  const unprintable = ["x".repeat(10_000), "\ud800", "\0", "\u001b[31m"];
  for (const name of [...names, ...unprintable]) {
    const admission = gear.upstream(name).tryAcquire({ operation: name });
    if (admission.admitted) admission.settle({ outcome: "ok", latencyMs: 1 });
  }

  const families = parseExposition((await prometheusMetrics(gear).collect()).body);

  for (const name of names) {
    assert.equal(sampleOf(families, "circuit_breaker_tripped", { bookmaker: name }), 0, name);
    const call = { bookmaker: name, operation: name, outcome: "ok" };
    assert.equal(sampleOf(families, "switchgear_requests_total", call), 1, name);
  }
  const shown = families.get("circuit_breaker_tripped")?.samples.length;
  assert.equal(shown, 1 + names.length + unprintable.length);
});

test("a page of many series is whole: one header per family, no series twice", async () => {
  const gear = makeGear();
  for (let n = 0; n < 1200; n += 1) {
    const admission = gear.upstream(`u${n}`).tryAcquire({ operation: "odds" });
    if (admission.admitted) admission.settle({ outcome: "ok", latencyMs: 12 });
  }

  const families = parseExposition((await prometheusMetrics(gear).collect()).body);

  assert.equal(families.get("circuit_breaker_tripped")?.samples.length, 1001);
  const outcome = { bookmaker: "__overflow__", operation: "odds", outcome: "ok" };
  assert.equal(sampleOf(families, "switchgear_requests_total", outcome), 201);
});

test("a collection that fails rejects, and the next one works", async () => {
  const gear = makeGear();
  let isBroken = true;
  const endpoint = prometheusMetrics({
    eachUpstream: () => gear.eachUpstream(),
    storeHealth: () => {
      if (isBroken) throw new Error("no health");
      return gear.storeHealth();
    },
    counters: () => gear.counters(),
    systemLoad: () => 0,
  });

  await assert.rejects(endpoint.collect(), /no health/);
  isBroken = false;
  assert.match((await endpoint.collect()).body, /circuit_breaker_tripped/);
});

test("who scrapes during a scrape sees what happened before the request", async () => {
  const gear = makeGear();
  const endpoint = prometheusMetrics(gear);

  const first = endpoint.collect();
  await Promise.resolve();
  gear.upstream("dk").trip();
  const [second, third] = await Promise.all([endpoint.collect(), endpoint.collect()]);
  await first;

  assert.match(second.body, /circuit_breaker_tripped\{bookmaker="dk"\} 1/);
  assert.equal(second, third);
});

test("the producer serves any reader, without units, and asks for no global provider", async () => {
  const gear = makeGear({ breaker: { failureThreshold: 2 } });
  script(gear);
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: 3_600_000,
    metricProducers: [
      switchgearMetricProducer(gear, {
        version: "1.2.3",
        log: { logHealth: () => ({ isUp: false, linesDropped: 7 }) },
        config: { isGood: false, takenAt: 1_795_000_000_500 },
      }),
    ],
  });
  const provider = new MeterProvider({ readers: [reader] });

  await provider.forceFlush();

  const [exported] = exporter.getMetrics();
  const scope = exported?.scopeMetrics.find((entry) => entry.scope.name === "switchgear");
  assert.ok(scope !== undefined && scope.metrics.length > 15);
  for (const metric of scope.metrics) {
    assert.equal(metric.descriptor.unit, "", metric.descriptor.name);
    assert.ok(metric.dataPoints.length > 0, metric.descriptor.name);
  }
  const valueOf = (name: string): unknown =>
    scope.metrics.find(({ descriptor }) => descriptor.name === name)?.dataPoints[0]?.value;
  assert.equal(valueOf("switchgear_log_up"), 0);
  assert.equal(valueOf("switchgear_log_lines_dropped_total"), 7);
  assert.equal(valueOf("switchgear_config_last_reload_successful"), 0);
  assert.equal(valueOf("switchgear_config_last_reload_success_timestamp_seconds"), 1_795_000_000.5);
  assert.equal(otelMetrics.getMeterProvider() instanceof MeterProvider, false);
  await provider.shutdown();
});
