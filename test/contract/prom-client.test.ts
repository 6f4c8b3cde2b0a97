// What a real prom-client registry shows of us, beside what /metrics shows.

import assert from "node:assert/strict";
import { test } from "node:test";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { EndpointBreaker } from "../../src/compat/index.ts";
import {
  adaptive,
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  slidingWindow,
} from "../../src/index.ts";
import type { Switchgear } from "../../src/index.ts";
import { prometheusMetrics } from "../../src/telemetry/otel/index.ts";
import { registerFamilies, registerSwitchgear } from "../../src/telemetry/prom-client.ts";
import { METRICS } from "../../src/telemetry/series/catalogue.ts";
import type { MetricFamily } from "../../src/telemetry/series/families.ts";
import { mergeFamilies } from "../../src/telemetry/series/merge.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { parseExposition, sampleOf } from "./exposition.ts";

function history(): Switchgear {
  const gear = createSwitchgear({
    upstreams: {
      'a"b\\n\nc': { breaker: latching({ failureThreshold: 2 }) },
      window: { breaker: slidingWindow({ slowCallMs: 100 }), limit: fixedLimit(1) },
      feeds: {
        breaker: adaptive(),
        endpoints: ["http://a/?x=1&y", "http://b"],
        limit: adaptiveLimit(),
      },
    },
    sampler: { systemLoad: () => 0.5 },
    clock: new VirtualClock(),
  });
  for (const upstream of gear.upstreams()) {
    for (const [outcome, latencyMs] of [
      ["ok", 12.5],
      ["failed", 250],
      ["ok", Number.NaN],
      ["failed", 3],
      ["failed", 30_000],
      ["ignored", 1],
    ] as const) {
      const admission = upstream.tryAcquire({ operation: "odds" });
      if (admission.admitted) admission.settle({ outcome, latencyMs, error: "HTTP 500" });
    }
  }
  return gear;
}

/** prom-client puts an empty line between families, which the strict parser takes for a sample. */
function parse(text: string): ReturnType<typeof parseExposition> {
  return parseExposition(text.replaceAll("\n\n", "\n"));
}

/** Samples without comments, sorted. */
function lines(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .toSorted();
}

test("one history gives the same series through both exporters", async () => {
  const gear = history();
  const registry = new Registry();
  const log = { logHealth: () => ({ isUp: true, linesDropped: 7 }) };
  const build = { version: "1.2.3", runtime: "test 1" };
  const config = { isGood: false, takenAt: 1_795_000_000_500 };
  const { failures } = registerSwitchgear(registry, gear, { ...build, log, config });
  const otel = prometheusMetrics(gear, { version: "1.2.3", log, config });

  const ours = lines(await registry.metrics());
  const theirs = lines((await otel.collect()).body);

  assert.equal(failures, 0);
  const withoutRuntime = (line: string): string => line.replace(/runtime="[^"]*"/, 'runtime=""');
  assert.deepEqual(ours.map(withoutRuntime), theirs.map(withoutRuntime));
  assert.ok(ours.length > 100, `${ours.length} series`);
  assert.ok(ours.includes("switchgear_log_lines_dropped_total 7"));
  assert.ok(ours.includes("switchgear_log_up 1"));
});

test("families of one scrape are read once, and gone after unregistering", async () => {
  const gear = history();
  let reads = 0;
  const counting = {
    eachUpstream: () => {
      reads += 1;
      return gear.upstreams();
    },
    storeHealth: () => gear.storeHealth(),
    counters: () => gear.counters(),
    systemLoad: () => gear.systemLoad(),
  };
  const registry = new Registry();
  const registration = registerSwitchgear(registry, counting);
  await registry.metrics();
  const once = reads;
  await registry.metrics();
  assert.equal(reads, 2 * once);
  // Once for the upstreams and once for their endpoints.
  assert.equal(once, 2);
  registration.unregister();
  assert.equal((await registry.metrics()).trim(), "");
});

test("a name that the application has already is left to it, and told", async () => {
  const registry = new Registry();
  const theirs = new Gauge({
    name: "circuit_breaker_tripped",
    help: "mine",
    registers: [registry],
  });
  theirs.set(7);
  const registration = registerSwitchgear(registry, history());
  assert.equal(registration.failures, 1);
  const families = parse(await registry.metrics());
  assert.equal(sampleOf(families, "circuit_breaker_tripped"), 7);
  assert.ok(families.has("circuit_breaker_trip_count"));
  assert.equal(sampleOf(families, "circuit_breaker_registration_failures_total"), 1);

  registration.unregister();
  assert.deepEqual([...parse(await registry.metrics()).keys()], ["circuit_breaker_tripped"]);
});

test("what was built is told whole or not at all", async () => {
  for (const [build, isTold] of [
    [{ version: "1.2.3", runtime: "test 1" }, true],
    [{ version: "1.2.3" }, false],
    [{ runtime: "test 1" }, false],
    [{}, false],
  ] as const) {
    const registry = new Registry();
    registerSwitchgear(registry, geared("dk"), build);
    const info = parse(await registry.metrics()).get("switchgear_build_info");
    assert.equal(info?.samples.length === 1, isTold, JSON.stringify(build));
  }
});

test("leaves an application its own series of the process", async () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registration = registerSwitchgear(registry, geared("dk"));
  assert.equal(registration.failures, 0);
  const text = await registry.metrics();
  assert.match(text, /^process_cpu_seconds_total \d/m);
  assert.equal(text.match(/^# TYPE process_start_time_seconds /gm)?.length, 1);
});

test("families of any making are taken out again, and no others", async () => {
  const registry = new Registry();
  const theirs = new Gauge({ name: METRICS.storeUp.name, help: "mine", registers: [registry] });
  theirs.set(7);
  const metrics = [METRICS.storeUp, METRICS.systemLoad];
  const registration = registerFamilies(registry, metrics, () => [
    { type: "gauge", metric: METRICS.systemLoad, samples: [{ labels: {}, value: 0.5 }] },
  ]);

  assert.equal(registration.failures, 1);
  const shown = parse(await registry.metrics());
  assert.equal(sampleOf(shown, METRICS.systemLoad.name), 0.5);
  registration.unregister();
  registration.unregister();
  assert.deepEqual([...parse(await registry.metrics()).keys()], [METRICS.storeUp.name]);
});

// ---- what applications do with a registry of theirs ----

function geared(...names: string[]): Switchgear {
  const breaker = latching({ failureThreshold: 1 });
  return createSwitchgear({
    upstreams: Object.fromEntries(names.map((name) => [name, { breaker }])),
    // Scrapes are compared: the machine's own load would differ between two of them.
    sampler: { systemLoad: () => 0 },
    clock: new VirtualClock(),
  });
}

test("resetMetrics resets the application's own, and forgets nothing of ours", async () => {
  const registry = new Registry();
  const gear = geared("dk");
  registerSwitchgear(registry, gear);
  const orders = new Counter({ name: "orders_total", help: "h", registers: [registry] });
  orders.inc(5);
  gear.upstream("dk").trip();

  registry.resetMetrics();

  const families = parse(await registry.metrics());
  assert.equal(sampleOf(families, "orders_total"), 0);
  assert.equal(sampleOf(families, "circuit_breaker_tripped", { bookmaker: "dk" }), 1);
});

test("OpenMetrics gives counters the names that it gives the application's own", async () => {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  const orders = new Counter({ name: "orders_total", help: "h", registers: [registry] });
  orders.inc();
  const gear = geared("dk");
  registerSwitchgear(registry, gear);
  await gear.upstream("dk").execute(() => 1);

  for (let scrape = 0; scrape < 2; scrape += 1) {
    const text = await registry.metrics();
    assert.match(text, /^# TYPE orders counter\norders_total 1$/m);
    assert.match(text, /^# TYPE switchgear_requests counter$/m);
    assert.match(text, /^switchgear_requests_total\{.*outcome="ok".*\} 1$/m);
    assert.doesNotMatch(text, /_total_total/);
  }
});

test("what OpenMetrics has renamed is neither shown twice nor left behind", async () => {
  const registry = new Registry();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
  const gear = geared("dk");
  registerSwitchgear(registry, gear);
  const once = await registry.metrics();

  const underWay = registry.metrics();
  assert.equal(registerSwitchgear(registry, gear).failures, 0);
  assert.equal(await underWay, once);
  assert.equal(await registry.metrics(), once);

  registry.clear();
  const registration = registerSwitchgear(registry, gear);
  assert.equal(await registry.metrics(), once);
  registration.unregister();
  assert.equal((await registry.metrics()).trim(), "# EOF");
});

test("merged registries and default labels show what one registry shows", async () => {
  const registry = new Registry();
  registry.setDefaultLabels({ app: "shop" });
  const gear = geared("dk");
  registerSwitchgear(registry, gear);
  gear.upstream("dk").trip();

  const merged = Registry.merge([registry, new Registry()]);

  const labels = { app: "shop", bookmaker: "dk" };
  assert.equal(sampleOf(parse(await registry.metrics()), "circuit_breaker_tripped", labels), 1);
  assert.match(await merged.metrics(), /^circuit_breaker_tripped\{bookmaker="dk".*\} 1$/m);
});

test("a second registry of upstreams joins the first, and what is bad in either shows", async () => {
  const registry = new Registry();
  const [one, two] = [geared("dk", "shared"), geared("pinnacle", "shared")];
  const first = registerSwitchgear(registry, one);
  const second = registerSwitchgear(registry, two);
  await one.upstream("shared").execute(() => 1);
  await two.upstream("shared").execute(() => 1);
  two.upstream("shared").trip();
  two.upstream("pinnacle").trip();

  const families = parse(await registry.metrics());

  assert.deepEqual([first.failures, second.failures], [0, 0]);
  const tripped = (bookmaker: string): number | undefined =>
    sampleOf(families, "circuit_breaker_tripped", { bookmaker });
  assert.deepEqual(["dk", "pinnacle", "shared"].map(tripped), [0, 1, 1]);
  const ok = { bookmaker: "shared", operation: "unknown", outcome: "ok" };
  assert.equal(sampleOf(families, "switchgear_requests_total", ok), 2);
  assert.equal(sampleOf(families, "switchgear_store_up"), 1);

  second.unregister();
  const left = await registry.metrics();
  assert.doesNotMatch(left, /pinnacle/);
  assert.match(left, /bookmaker="dk"/);
  first.unregister();
  assert.equal((await registry.metrics()).trim(), "");
});

test("a store that fails in one of them shows as failing", () => {
  const page = (value: number): MetricFamily[] => [
    { type: "gauge", metric: METRICS.storeUp, samples: [{ labels: {}, value }] },
  ];

  const [merged] = mergeFamilies([page(1), page(0)]);

  assert.deepEqual(merged?.samples, [{ labels: {}, value: 0 }]);
});

test("distributions of two registries add up, each bucket to its own", () => {
  const page = (buckets: number[], sum: number, labels = {}): MetricFamily[] => [
    {
      type: "histogram",
      metric: METRICS.duration,
      bounds: [1, 2],
      samples: [{ labels, count: buckets.length, sum, buckets }],
    },
  ];

  const [merged, ...others] = mergeFamilies([
    page([1, 2, 3], 10),
    page([10, 20, 30], 5),
    page([7, 7, 7], 1, { operation: "bet" }),
  ]);

  assert.deepEqual(others, []);
  assert.deepEqual(merged?.samples, [
    { labels: {}, count: 6, sum: 15, buckets: [11, 22, 33] },
    { labels: { operation: "bet" }, count: 3, sum: 1, buckets: [7, 7, 7] },
  ]);
});

test("of one name and two types the first stands", () => {
  const gauge: MetricFamily = {
    type: "gauge",
    metric: METRICS.duration,
    samples: [{ labels: {}, value: 1 }],
  };
  const samples = [{ labels: {}, count: 1, sum: 1, buckets: [1, 0] }];
  const histogram: MetricFamily = {
    type: "histogram",
    metric: METRICS.duration,
    bounds: [1],
    samples,
  };

  assert.deepEqual(mergeFamilies([[gauge], [histogram]]), [gauge]);
  assert.deepEqual(mergeFamilies([[histogram], [gauge]]), [histogram]);
});

test("registering again replaces: the same one, and one in place of a closed one", async () => {
  const registry = new Registry();
  const old = geared("dk", "gone");
  registerSwitchgear(registry, old);
  assert.equal(registerSwitchgear(registry, old).failures, 0);
  await old.upstream("dk").execute(() => 1);
  const ok = { bookmaker: "dk", operation: "unknown", outcome: "ok" };
  const once = parse(await registry.metrics());
  assert.equal(sampleOf(once, "switchgear_requests_total", ok), 1);

  await old.close();
  const fresh = geared("dk");
  const { failures } = registerSwitchgear(registry, fresh);
  fresh.upstream("dk").trip();

  const text = await registry.metrics();
  assert.equal(failures, 0);
  assert.equal(sampleOf(parse(text), "circuit_breaker_tripped", { bookmaker: "dk" }), 1);
  assert.doesNotMatch(text, /bookmaker="gone"/);
});

test("a registry that was cleared is filled again", async () => {
  const registry = new Registry();
  const gear = geared("dk");
  const stale = registerSwitchgear(registry, gear);
  registry.clear();

  assert.equal(registerSwitchgear(registry, gear).failures, 0);
  stale.unregister();

  assert.match(await registry.metrics(), /circuit_breaker_tripped\{bookmaker="dk"\} 0/);
});

// ---- spec §9.B through the façade ----

function breakerIn(registry: Registry): { clock: VirtualClock; breaker: EndpointBreaker } {
  const clock = new VirtualClock(1_700_000_000_000);
  const options = { clock, registry, random: { next: () => 0.5 } };
  return { clock, breaker: EndpointBreaker.withConfig(2, 10, 50, 2, false, options) };
}

async function read(
  registry: Registry,
  name: string,
  endpoint: string,
): Promise<number | undefined> {
  return sampleOf(parse(await registry.metrics()), name, { endpoint });
}

test("T-B-28 six families by endpoint; the state follows half-open and a reset of all", async () => {
  const registry = new Registry();
  const { clock, breaker } = breakerIn(registry);
  assert.equal(breaker.getMetricsRegistry(), registry);
  breaker.recordSuccessWithLatency("eu", 100);
  breaker.recordFailure("eu");
  breaker.recordSuccess("eu");
  for (let n = 0; n < 4; n += 1) breaker.recordFailure("eu");

  const families = parse(await registry.metrics());
  assert.deepEqual([...families.keys()].toSorted(), [
    "circuit_breaker_failures",
    "circuit_breaker_health_score",
    "circuit_breaker_last_opened",
    "circuit_breaker_latency_ms",
    "circuit_breaker_registration_failures_total",
    "circuit_breaker_state",
    "circuit_breaker_success_ratio",
  ]);
  assert.equal(await read(registry, "circuit_breaker_state", "eu"), 2);
  assert.equal(await read(registry, "circuit_breaker_failures", "eu"), 5);
  assert.equal(await read(registry, "circuit_breaker_last_opened", "eu"), 1_700_000_000);
  clock.advance(10_000);
  assert.equal(breaker.isAvailable("eu"), true);
  assert.equal(await read(registry, "circuit_breaker_state", "eu"), 3);
  breaker.resetAll();
  assert.equal(await read(registry, "circuit_breaker_state", "eu"), 0);
  assert.equal(await read(registry, "circuit_breaker_failures", "eu"), 5);
});

test("T-B-29 a registry with a clashing name: no throw, a failure counted, the breaker works", async () => {
  const registry = new Registry();
  const theirs = new Gauge({ name: "circuit_breaker_state", help: "mine", registers: [registry] });
  theirs.set(1);
  const { breaker } = breakerIn(registry);
  assert.equal(breaker.registrationFailures, 1);
  const families = parse(await registry.metrics());
  assert.equal(sampleOf(families, "circuit_breaker_registration_failures_total"), 1);
  for (let n = 0; n < 4; n += 1) breaker.recordFailure("eu");
  assert.equal(breaker.isAvailable("eu"), false);
});

for (const [tasks, endpoints] of [
  [20, 10],
  [50, 30],
] as const) {
  test(`T-B-30 ${tasks} tasks over ${endpoints} endpoints leave complete series, none twice`, async () => {
    const registry = new Registry();
    const { breaker } = breakerIn(registry);
    await Promise.all(
      Array.from({ length: tasks }, async (_, task) => {
        for (let n = 0; n < endpoints; n += 1) {
          await Promise.resolve();
          const endpoint = `endpoint-${(task + n) % endpoints}`;
          if (n % 3 === 0) breaker.recordFailureWithLatency(endpoint, n);
          else breaker.recordSuccessWithLatency(endpoint, n + 1);
        }
      }),
    );
    // The parser refuses a series that comes twice.
    const families = parse(await registry.metrics());
    assert.equal(families.get("circuit_breaker_state")?.samples.length, endpoints);
    assert.equal(families.get("circuit_breaker_failures")?.samples.length, endpoints);
    let failures = 0;
    for (const { value } of families.get("circuit_breaker_failures")?.samples ?? [])
      failures += value;
    assert.equal(failures, tasks * Math.ceil(endpoints / 3));
  });
}

test("T-B-31 any name is a label, exactly", async () => {
  const registry = new Registry();
  const { breaker } = breakerIn(registry);
  const name = 'https://feeds.example/?a=1&b="x\\y"';
  breaker.recordFailure(name);
  assert.equal(await read(registry, "circuit_breaker_failures", name), 1);
});
