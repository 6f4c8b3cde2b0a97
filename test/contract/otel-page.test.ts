// `/metrics` keeps the lines of the last page and writes only values anew. It must be what
// OpenTelemetry's own exporter writes of the same producer, whatever came, went or changed in between.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import fc from "fast-check";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../src/index.ts";
import type { Switchgear } from "../../src/index.ts";
import { METRICS, type Metric } from "../../src/telemetry/series/catalogue.ts";
import type { MetricFamily } from "../../src/telemetry/series/families.ts";
import { prometheusMetrics, switchgearMetricProducer } from "../../src/telemetry/otel/index.ts";
import { Page } from "../../src/telemetry/otel/page.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { freePorts } from "../support/programs.ts";

const VERSION = { version: "1.2.3" };

function makeGear(): Switchgear {
  return createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching({ failureThreshold: 2 }) },
      window: { breaker: slidingWindow({ slowCallMs: 100 }) },
      feeds: { breaker: adaptive(), endpoints: ["http://a/?x=1&y", "http://b"] },
    },
    otherUpstreams: { breaker: latching() },
    limits: { upstreams: 6 },
    sampler: { systemLoad: () => 0.5 },
    clock: new VirtualClock(),
  });
}

/** The exporter as its own users have it, without the server. */
function exporterOf(gear: Switchgear): () => Promise<string> {
  const exporter = new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
    metricProducers: [switchgearMetricProducer(gear, VERSION)],
  });
  // oxlint-disable-next-line no-new -- a reader collects once a provider has it
  new MeterProvider({ readers: [exporter] });
  const serializer = new PrometheusSerializer("", false, undefined, true, true);
  return async () => {
    const { resourceMetrics, errors } = await exporter.collect();
    assert.deepEqual(errors, []);
    return serializer.serialize(resourceMetrics);
  };
}

const name = fc.oneof(
  fc.constantFrom("draftkings", "window", "feeds", "a", "zz", "__overflow__"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 6 }),
  fc.constantFrom('"', "\\", "\n", " ", "x y ", "}{,=", "#", "\\n", "__proto__"),
);

const step = fc.record({
  upstream: name,
  operation: name,
  outcome: fc.constantFrom("ok", "failed", "ignored"),
  latencyMs: fc.constantFrom(0, 12.5, 250, 1e21, Number.NaN),
  scrapes: fc.boolean(),
});

test("every page is what OpenTelemetry's exporter writes, whatever happens between two", async () => {
  let pages = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const gear = makeGear();
      const ours = prometheusMetrics(gear, VERSION);
      const theirs = exporterOf(gear);
      for (const { upstream, operation, outcome, latencyMs, scrapes } of steps) {
        // More names than the registry keeps: some are forgotten again.
        const admission = gear.upstream(upstream).tryAcquire({ operation });
        if (admission.admitted) admission.settle({ outcome, latencyMs });
        if (!scrapes) continue;
        assert.equal((await ours.collect()).body, await theirs());
        pages += 1;
      }
      await gear.close();
    }),
    { numRuns: 60 },
  );
  assert.ok(pages > 100, `${pages} pages`);
});

test("the exporter's own server answers the same bytes", async () => {
  const gear = makeGear();
  const admission = gear.upstream("draftkings").tryAcquire({ operation: 'o"dds' });
  if (admission.admitted) admission.settle({ outcome: "ok", latencyMs: 5 });
  const [port = 0] = await freePorts(1);
  const exporter = new PrometheusExporter({
    host: "127.0.0.1",
    port,
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
    metricProducers: [switchgearMetricProducer(gear, VERSION)],
  });
  const provider = new MeterProvider({ readers: [exporter] });
  await exporter.startServer();
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert.equal(await answer.text(), (await prometheusMetrics(gear, VERSION).collect()).body);
  } finally {
    await provider.shutdown();
    await gear.close();
  }
});

function gauge(metric: Metric, values: Readonly<Record<string, number>>): MetricFamily {
  const samples = Object.entries(values).map(([bookmaker, value]) => ({
    labels: { bookmaker },
    value,
  }));
  return { type: "gauge", metric, samples };
}

const states = (values: Readonly<Record<string, number>>): MetricFamily[] => [
  gauge(METRICS.tripped, values),
];

const lines = (text: string): string[] =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("values are of this scrape, and a series that moved keeps its own name", async () => {
  const page = new Page();
  const line = (bookmaker: string, value: string): string =>
    `circuit_breaker_tripped{bookmaker="${bookmaker}"} ${value}`;
  assert.deepEqual(lines(await page.write(states({ b: 0, d: 1 }))), [
    line("b", "0"),
    line("d", "1"),
  ]);
  assert.deepEqual(lines(await page.write(states({ a: 2, b: 3, c: 4, d: 5 }))), [
    line("a", "2"),
    line("b", "3"),
    line("c", "4"),
    line("d", "5"),
  ]);
  assert.deepEqual(lines(await page.write(states({ d: -Infinity, a: Infinity }))), [
    line("d", "-Inf"),
    line("a", "+Inf"),
  ]);
  assert.deepEqual(lines(await page.write([])), []);
  assert.deepEqual(lines(await page.write(states({ d: 1.5 }))), [line("d", "1.5")]);
});

test("each series is serialized once, however many scrape and whatever moves", async (t) => {
  const serialize = t.mock.method(PrometheusSerializer.prototype, "serialize");
  const serialized = (): number =>
    serialize.mock.calls
      .flatMap(({ arguments: [{ scopeMetrics }] }) => scopeMetrics)
      .flatMap(({ metrics }) => metrics)
      .reduce((sum, { dataPoints }) => sum + dataPoints.length, 0);
  const page = new Page();
  await page.write(states({ b: 0, c: 0 }));
  await page.write(states({ b: 1, c: 1 }));
  assert.equal(serialized(), 2);
  await page.write(states({ a: 2, b: 2, c: 2 }));
  assert.equal(serialized(), 3);
  await page.write(states({ a: 2, c: 2 }));
  assert.equal(serialized(), 3);
  // What is gone is not kept, wherever it stood.
  await page.write(states({ a: 3 }));
  await page.write(states({ a: 4, c: 4 }));
  assert.equal(serialized(), 4);
});

test("two kinds of labels in one family are told apart", async () => {
  const page = new Page();
  const write = (label: string): Promise<string> =>
    page.write([
      { type: "gauge", metric: METRICS.latency, samples: [{ labels: { [label]: "x" }, value: 1 }] },
    ]);
  assert.deepEqual(lines(await write("bookmaker")), [
    'circuit_breaker_latency_ms{bookmaker="x"} 1',
  ]);
  assert.deepEqual(lines(await write("endpoint")), ['circuit_breaker_latency_ms{endpoint="x"} 1']);
});

test("calls go on while a large page is written", async () => {
  const page = new Page();
  const values = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`u${n}`, n]));
  const families = [gauge(METRICS.tripped, values), gauge(METRICS.failures, { last: 1 })];
  for (const [what, least] of [
    ["of new series", 20],
    ["of known ones", 1],
  ] as const) {
    let turns = 0;
    let isDone = false;
    const turn = (): void => {
      turns += 1;
      if (!isDone) setImmediate(turn);
    };
    setImmediate(turn);
    await page.write(families);
    isDone = true;
    assert.ok(turns >= least, `${what}: ${turns} turns meanwhile`);
  }
});
