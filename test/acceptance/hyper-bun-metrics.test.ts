// Specification 9.A, metrics through the drop-in: what the injected client is told, the global map that
// Hyper-Bun's exporter prints, and the bounds on both.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { DatabaseSync } from "node:sqlite";
import {
  closeCircuitBreaker,
  gaugesClient,
  getCircuitBreakerStatus,
  LoadShedError,
  ProductionCircuitBreaker,
  setCircuitBreaker,
} from "../../src/hyper-bun/index.ts";
import { METRICS } from "../../src/telemetry/series/catalogue.ts";
import { getMetrics } from "../fixtures/hyper-bun/src/observability/metrics.ts";
import { drop, fail, openCall } from "../support/hyper-bun.ts";

const quiet = { logger: {} };

interface Holder {
  __circuitBreakerGauges?: Map<string, number> | undefined;
}

const holder = globalThis as Holder;

beforeEach(() => {
  holder.__circuitBreakerGauges = undefined;
});
afterEach(closeCircuitBreaker);

function singleton(): ProductionCircuitBreaker {
  const db = new DatabaseSync(":memory:");
  const breaker = new ProductionCircuitBreaker(db, gaugesClient(), 10, 60_000, 60_000, quiet);
  breaker.getSystemLoad = () => 0;
  setCircuitBreaker(breaker);
  return breaker;
}

test("T-A-62 every family of the catalogue's that speaks of bookmakers is told, with its labels", async () => {
  const made = drop();
  const late = openCall(made);
  await made.breaker.recordSuccess("dk", 5);
  await made.breaker.recordSuccess("dk", -1);
  await fail(made, 10);
  await late.resolve(1);
  assert.throws(() => made.breaker.reset("dk"));
  await assert.rejects(made.breaker.callApi("dk", () => Promise.resolve(1), { operation: "odds" }));
  made.breaker.reset("dk", { force: true });
  made.breaker.getSystemLoad = () => 1;
  const heavy = { operation: "odds", estimatedLoad: 500 };
  await assert.rejects(
    made.breaker.callApi("dk", () => Promise.resolve(1), heavy),
    LoadShedError,
  );

  assert.deepEqual(Object.fromEntries(made.metrics.counters), {
    "circuit_breaker_invalid_samples_total{bookmaker=dk}": 1,
    "circuit_breaker_trips_total{bookmaker=dk}": 1,
    "circuit_breaker_late_results_total{bookmaker=dk,outcome=success}": 1,
    "circuit_breaker_reset_denied_total{bookmaker=dk}": 1,
    "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=tripped}": 1,
    "circuit_breaker_resets_total{bookmaker=dk}": 1,
    "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=load_shed}": 1,
    "load_shed_rejected_total{bookmaker=dk,operation=odds}": 1,
  });
  assert.deepEqual(Object.fromEntries(made.metrics.gauges), {
    "circuit_breaker_store_recovered{}": 0,
    "circuit_breaker_tripped{bookmaker=dk}": 0,
    "circuit_breaker_failures_1m{bookmaker=dk}": 0,
    "circuit_breaker_trip_count{bookmaker=dk}": 1,
    "circuit_breaker_latency_ms{bookmaker=dk}": 5,
  });
});

test("T-A-62 there is no latency before the first success", async () => {
  const made = drop();
  await fail(made, 1);
  assert.ok(!made.metrics.gauges.has("circuit_breaker_latency_ms{bookmaker=dk}"));
  await made.breaker.recordSuccess("dk", 5);
  assert.equal(made.metrics.gauges.get("circuit_breaker_latency_ms{bookmaker=dk}"), 5);
});

test("a gauge is told when it changed, and not with each of a thousand successes", async () => {
  const told: string[] = [];
  const breaker = new ProductionCircuitBreaker(
    new DatabaseSync(":memory:"),
    { counter: (name) => told.push(name), gauge: (name) => told.push(name) },
    10,
    60_000,
    60_000,
    quiet,
  );
  for (let n = 0; n < 1000; n += 1) await breaker.recordSuccess("dk", 5);
  assert.ok(told.length < 10, `${told.length} calls`);
});

const HOSTILE = [`a"b\n\\c`, "x".repeat(10_000), "😀", "__proto__", "constructor", "__overflow__"];

test("T-A-63 hostile names are isolated, and make valid label values", async () => {
  const made = drop();
  for (const name of HOSTILE) await fail(made, 10, name);
  for (const name of HOSTILE) assert.equal(made.breaker.isTripped(name), true, name.slice(0, 20));
  assert.equal(made.breaker.isTripped("toString"), false);
  assert.equal(({} as Record<string, unknown>)["tripped"], undefined);
  for (const key of made.metrics.gauges.keys()) assert.ok(key.length < 400, key.slice(0, 200));
});

/** A line of Prometheus' text format, its escapes included. */
const SAMPLE =
  /^[a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? [-+.\deINFa-z]+$/;

test("T-A-63 the exporter that prints names as they come prints valid lines", async () => {
  const breaker = singleton();
  for (const name of HOSTILE) {
    breaker.trip(name, "x");
    await assert.rejects(breaker.callApi(name, () => Promise.resolve(1), { operation: name }));
  }
  const text = await getMetrics();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) {
    assert.match(line, SAMPLE, line.slice(0, 200));
    assert.ok(line.length < 600, line.slice(0, 200));
  }
  assert.ok(lines.includes(String.raw`circuit_breaker_tripped{bookmaker="a\"b\n\\c"} 1`));
  const series = lines.map((line) => line.slice(0, line.lastIndexOf(" ")));
  assert.equal(new Set(series).size, series.length, "no series comes twice");
});

test("T-A-64 five thousand bookmakers are each guarded, under a thousand labels", async () => {
  const made = drop({ threshold: 1 });
  for (let n = 0; n < 5000; n += 1) {
    const name = `bookmaker-${n}`;
    // Only the last one trips: it has no label of its own, and must show all the same.
    if (n === 4999) await fail(made, 1, name);
    else await made.breaker.callApi(name, () => Promise.resolve(1), { operation: "odds" });
  }
  assert.equal(made.breaker.isTripped("bookmaker-4999"), true);
  assert.equal(made.breaker.isTripped("bookmaker-4998"), false);
  const tripped = [...made.metrics.gauges].filter(([key]) => key.startsWith(METRICS.tripped.name));
  assert.equal(tripped.length, 1001);
  assert.equal(made.metrics.gauges.get("circuit_breaker_tripped{bookmaker=__overflow__}"), 1);
  assert.equal(made.metrics.counters.get("circuit_breaker_trips_total{bookmaker=__overflow__}"), 1);
  assert.ok(made.metrics.gaugeCalls < 4100, `${made.metrics.gaugeCalls} calls of gauge()`);
  made.breaker.reset("bookmaker-4999", { force: true });
  assert.equal(made.metrics.gauges.get("circuit_breaker_tripped{bookmaker=__overflow__}"), 0);
});

test("T-A-64 operations have two hundred names, and pairs of both five thousand", async () => {
  const made = drop();
  const reject = (bookmaker: string, operation: string): Promise<void> =>
    assert.rejects(made.breaker.callApi(bookmaker, () => Promise.resolve(1), { operation }));
  made.breaker.trip("dk", "x");
  for (let n = 0; n < 300; n += 1) await reject("dk", `operation-${n}`);
  assert.equal(made.metrics.counters.size, 202, "200 operations, the rest, and the trip");
  for (let n = 0; n < 50; n += 1) {
    made.breaker.trip(`b${n}`, "x");
    for (let m = 0; m < 110; m += 1) await reject(`b${n}`, `operation-${m}`);
  }
  const rejected = [...made.metrics.counters.keys()].filter((key) => key.includes("rejected"));
  const own = rejected.filter((key) => !key.includes("operation=__overflow__"));
  assert.equal(own.length, 5000);
});

test("the exporter's status list is bounded, and a tripped bookmaker is never left out", async () => {
  const breaker = singleton();
  for (let n = 0; n < 1500; n += 1)
    await breaker.recordSuccess(`b${String(n).padStart(4, "0")}`, 1);
  breaker.trip("z-last", "x");
  const printed = getCircuitBreakerStatus();
  assert.equal(printed.length, 1001);
  assert.equal(printed.at(-1)?.bookmaker, "z-last");
  assert.equal(breaker.getAllStatus().length, 1501);
});

test("T-A-65 the exporter prints all families, and the two counters from the global map", async () => {
  const breaker = singleton();
  const heavy = { operation: "high_load_op", estimatedLoad: 200 };
  await breaker.recordSuccess("draftkings", 12);
  breaker.getSystemLoad = () => 0.9;
  await assert.rejects(breaker.callApi("draftkings", () => Promise.resolve(1), heavy));
  for (let n = 0; n < 10; n += 1) await breaker.recordFailure("draftkings", "HTTP 503");
  const call = (): Promise<number> =>
    breaker.callApi("draftkings", () => Promise.resolve(1), { operation: "deepProbe" });
  await assert.rejects(call());
  await assert.rejects(call());
  const text = await getMetrics();
  const lines = text.split("\n").filter((line) => /^(?:circuit|load)/.test(line));
  assert.deepEqual(lines.toSorted(), [
    'circuit_breaker_failures_1m{bookmaker="draftkings"} 10',
    'circuit_breaker_latency_ms{bookmaker="draftkings"} 12',
    'circuit_breaker_rejected_total{bookmaker="draftkings",operation="deepProbe",reason="tripped"} 2',
    'circuit_breaker_rejected_total{bookmaker="draftkings",operation="high_load_op",reason="load_shed"} 1',
    'circuit_breaker_trip_count{bookmaker="draftkings"} 1',
    'circuit_breaker_tripped{bookmaker="draftkings"} 1',
    'load_shed_rejected_total{bookmaker="draftkings",operation="high_load_op"} 1',
  ]);
});

test("the global map goes on counting in whatever map the host puts there", () => {
  const client = gaugesClient();
  const first = holder.__circuitBreakerGauges;
  assert.ok(first instanceof Map);
  client.counter("c", 2, { a: "1" });
  client.counter("c", 3, { a: "1" });
  client.gauge("g", 7);
  assert.deepEqual(
    [...first],
    [
      ['c{a="1"}', 5],
      ["g", 7],
    ],
  );
  gaugesClient().counter("c", 1, { a: "1" });
  assert.equal(first.get('c{a="1"}'), 6);
  holder.__circuitBreakerGauges = new Map();
  client.counter("c", 1);
  assert.deepEqual([...holder.__circuitBreakerGauges], [["c", 1]]);
});

test("sheds are exported before any bookmaker was recorded, and its gauges with them", async () => {
  const breaker = singleton();
  breaker.getSystemLoad = () => 0.9;
  const heavy = { operation: "graph_build", estimatedLoad: 200 };
  await assert.rejects(
    breaker.callApi("dk", () => Promise.resolve(1), heavy),
    LoadShedError,
  );

  const lines = (await getMetrics()).split("\n").filter((line) => /^(?:circuit|load)/.test(line));

  assert.deepEqual(lines, [
    'circuit_breaker_tripped{bookmaker="dk"} 0',
    'circuit_breaker_failures_1m{bookmaker="dk"} 0',
    'circuit_breaker_trip_count{bookmaker="dk"} 0',
    'circuit_breaker_rejected_total{bookmaker="dk",operation="graph_build",reason="load_shed"} 1',
    'load_shed_rejected_total{bookmaker="dk",operation="graph_build"} 1',
  ]);
  assert.equal(holder.__circuitBreakerGauges?.get('circuit_breaker_tripped{bookmaker="dk"}'), 0);
  // To operators it is as unknown as before.
  assert.equal(breaker.getStatus("dk"), null);
  assert.deepEqual(breaker.getAllStatus(), []);
});
