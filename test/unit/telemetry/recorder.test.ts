import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSwitchgear, latching, slidingWindow } from "../../../src/index.ts";
import type { LatchingOptions, OperatorMode, Switchgear, Upstream } from "../../../src/index.ts";
import { METRICS } from "../../../src/telemetry/series/catalogue.ts";
import type { MetricFamily } from "../../../src/telemetry/series/families.ts";
import { labelValue } from "../../../src/telemetry/series/label.ts";
import {
  Recorder,
  type MeteredUpstream,
  type MetricSource,
  type MeteredLog,
} from "../../../src/telemetry/series/recorder.ts";
import type { MeteredEndpoint } from "../../../src/telemetry/series/rows.ts";
import { OperationStats } from "../../../src/pipeline/call/stats.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

function makeGear(
  names: readonly string[] = ["dk"],
  options: {
    breaker?: LatchingOptions;
    mode?: OperatorMode;
    load?: () => number;
    limit?: number;
  } = {},
): Switchgear {
  const upstream = { breaker: latching(options.breaker), mode: options.mode };
  return createSwitchgear({
    upstreams: Object.fromEntries(names.map((name) => [name, upstream])),
    otherUpstreams: upstream,
    limits: { upstreams: options.limit },
    sampler: { systemLoad: options.load ?? (() => 0) },
    clock: new VirtualClock(),
  });
}

function failTimes(upstream: Upstream, times: number): void {
  for (let n = 0; n < times; n += 1) upstream.record({ outcome: "failed", error: "boom" });
}

function call(
  upstream: Upstream,
  operation: string,
  outcome: "ok" | "failed",
  latencyMs: number,
): void {
  const admission = upstream.tryAcquire({ operation });
  assert.ok(admission.admitted);
  admission.settle({ outcome, latencyMs });
}

function fakeUpstream(name: string, operations: OperationStats[]): MeteredUpstream {
  return {
    name,
    failureThreshold: 10,
    isTripped: false,
    mode: "normal",
    inFlight: 0,
    abandoned: 0,
    operations,
    meteredEndpoints: [],
    meteredLimits: [],
    counters: { trips: 0, resets: 0, resetsDenied: 0, lateOk: 0, lateFailed: 0, invalidSamples: 0 },
    snapshot: () => ({
      kind: "latching",
      failureCount: 0,
      tripped: false,
      manual: false,
      trippedAt: null,
      tripCount: 0,
      avgLatencyMs: 1,
    }),
  };
}

function fakeSource(eachUpstream: () => readonly MeteredUpstream[]): MetricSource {
  return {
    eachUpstream,
    storeHealth: () => ({ ok: true, pending: 0, auditsDropped: 0, recoveredFrom: null }),
    counters: () => ({
      storeErrors: [],
      auditsRefused: new Map(),
      listenerErrors: 0,
      evicted: 0,
      tasks: undefined,
    }),
    systemLoad: () => 0,
  };
}

/** `name{label="value",…}` → value; histograms as their count. */
function series(families: readonly MetricFamily[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const family of families) {
    for (const sample of family.samples) {
      const labels = Object.entries(sample.labels).map(([key, value]) => `${key}=${value}`);
      const key = `${family.metric.name}{${labels.join(",")}}`;
      assert.ok(!all.has(key), `duplicate series ${key}`);
      all.set(key, "value" in sample ? sample.value : sample.count);
    }
  }
  return all;
}

describe("recorder", () => {
  test("a fleet: who is there, whether it was read, and the newest version of each upstream", () => {
    const gear = makeGear(["dk", "fd"], { breaker: { failureThreshold: 1 } });
    const fleet = {
      isSynced: false,
      replicas: () => [1, 2, 3],
      versions: () =>
        new Map([
          ["dk", 7],
          ["gone", 3],
          ["gone too", 9],
        ]),
    };
    const families = new Recorder(Object.assign(gear, { fleet })).collect();
    const values = (name: string): unknown =>
      families
        .find(({ metric }) => metric.name === name)
        ?.samples.map((sample) => [sample.labels, "value" in sample ? sample.value : undefined]);

    assert.deepEqual(values("switchgear_fleet_replicas"), [[{}, 3]]);
    assert.deepEqual(values("switchgear_fleet_synced"), [[{}, 0]]);
    assert.deepEqual(values("switchgear_fleet_order_version"), [
      [{ bookmaker: "dk" }, 7],
      [{ bookmaker: "__overflow__" }, 9],
    ]);
  });

  test("labels of every sample are exactly those of the catalogue", () => {
    const gear = makeGear(["dk"], { breaker: { failureThreshold: 1 }, load: () => 0.99 });
    const dk = gear.upstream("dk");
    call(dk, "odds", "ok", 12);
    dk.tryAcquire({ operation: "heavy", load: 500 });
    call(dk, "odds", "failed", 3);
    dk.tryAcquire({ operation: "odds" });

    const families = new Recorder(gear, {
      build: { version: "1.2.3", runtime: "node 24" },
      log: { logHealth: () => ({ isUp: true, linesDropped: 0 }) },
      config: { isGood: true, takenAt: 0 },
    }).collect();

    for (const { metric, samples } of families) {
      for (const { labels } of samples) assert.deepEqual(Object.keys(labels), metric.labels);
    }
    const missing = Object.values(METRICS)
      .filter(({ name }) => !families.some(({ metric }) => metric.name === name))
      .map(({ name }) => name);
    // Those that need a failing store, another kind of breaker, endpoints, tasks, shadow mode or a limiter.
    assert.deepEqual(missing, [
      "circuit_breaker_persistence_errors_total",
      "switchgear_window_state",
      "switchgear_window_calls_total",
      "switchgear_window_failure_rate",
      "switchgear_window_slow_rate",
      "circuit_breaker_state",
      "circuit_breaker_failures_total",
      "circuit_breaker_last_opened",
      "circuit_breaker_success_ratio",
      "circuit_breaker_health_score",
      "circuit_breaker_monitoring_task_count",
      "circuit_breaker_active_tasks",
      "circuit_breaker_orphaned_tasks",
      "switchgear_endpoint_info",
      "switchgear_endpoint_calls_total",
      "switchgear_shadow_refused_total",
      ...missing.filter((name) => name.startsWith("switchgear_limit_")),
      // Of a fleet.
      "switchgear_fleet_replicas",
      "switchgear_fleet_synced",
      "switchgear_fleet_order_version",
      // Of the gateway.
      "switchgear_gateway_answers_total",
      "switchgear_event_loop_delay_seconds",
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "process_start_time_seconds",
    ]);
  });

  test("the log's own fate, where it is known", () => {
    const gear = makeGear(["dk"]);
    let health: ReturnType<MeteredLog["logHealth"]> = { isUp: true, linesDropped: 0 };
    const recorder = new Recorder(gear, { log: { logHealth: () => health } });
    const shown = (): (number | undefined)[] => {
      const seen = series(recorder.collect());
      return [seen.get("switchgear_log_up{}"), seen.get("switchgear_log_lines_dropped_total{}")];
    };
    assert.deepEqual(shown(), [1, 0]);
    health = { isUp: false, linesDropped: 7 };
    assert.deepEqual(shown(), [0, 7]);
    // A host's own destination.
    health = undefined;
    assert.deepEqual(shown(), [undefined, undefined]);
  });

  test("counters and states of one upstream", () => {
    const gear = makeGear(["dk"], { breaker: { failureThreshold: 2 }, load: () => 0.99 });
    const dk = gear.upstream("dk");
    call(dk, "odds", "ok", 150);
    call(dk, "odds", "failed", 20);
    dk.tryAcquire({ operation: "heavy", load: 500 });
    const late = dk.tryAcquire({ operation: "odds" });
    failTimes(dk, 1);
    dk.tryAcquire({ operation: "odds" });
    assert.throws(() => dk.reset());
    if (late.admitted) late.settle({ outcome: "ok", latencyMs: 9 });

    const seen = series(new Recorder(gear).collect());

    const expected: Readonly<Record<string, number>> = {
      "circuit_breaker_tripped{bookmaker=dk}": 1,
      "circuit_breaker_failures_1m{bookmaker=dk}": 2,
      "circuit_breaker_trip_count{bookmaker=dk}": 1,
      "circuit_breaker_latency_ms{bookmaker=dk}": 150,
      "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=tripped}": 1,
      "circuit_breaker_rejected_total{bookmaker=dk,operation=heavy,reason=load_shed}": 1,
      "load_shed_rejected_total{bookmaker=dk,operation=heavy}": 1,
      "circuit_breaker_trips_total{bookmaker=dk}": 1,
      "circuit_breaker_resets_total{bookmaker=dk}": 0,
      "circuit_breaker_reset_denied_total{bookmaker=dk}": 1,
      "circuit_breaker_late_results_total{bookmaker=dk,outcome=success}": 1,
      "circuit_breaker_late_results_total{bookmaker=dk,outcome=failure}": 0,
      "circuit_breaker_invalid_samples_total{bookmaker=dk}": 0,
      "circuit_breaker_store_recovered{}": 0,
      "switchgear_requests_total{bookmaker=dk,operation=odds,outcome=ok}": 2,
      "switchgear_requests_total{bookmaker=dk,operation=odds,outcome=failed}": 1,
      "switchgear_requests_total{bookmaker=dk,operation=odds,outcome=refused}": 1,
      "switchgear_requests_total{bookmaker=dk,operation=heavy,outcome=refused}": 1,
      "switchgear_request_duration_seconds{bookmaker=dk,operation=odds,outcome=ok}": 2,
      "switchgear_request_duration_seconds{bookmaker=dk,operation=odds,outcome=failed}": 1,
      "switchgear_request_duration_seconds{bookmaker=dk,operation=heavy,outcome=ok}": 0,
      "circuit_breaker_rejected_total{bookmaker=dk,operation=heavy,reason=tripped}": 0,
      "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=load_shed}": 0,
      "switchgear_breaker_info{bookmaker=dk,kind=latching}": 1,
      "switchgear_breaker_failure_threshold{bookmaker=dk}": 2,
      "switchgear_breaker_tripped_by_hand{bookmaker=dk}": 0,
      "switchgear_breaker_tripped_timestamp_seconds{bookmaker=dk}": 1_767_225_600,
      "switchgear_store_errors_total{op=commit}": 0,
      "switchgear_in_flight{bookmaker=dk}": 0,
      "switchgear_breaker_mode{bookmaker=dk,mode=normal}": 1,
      "switchgear_breaker_mode{bookmaker=dk,mode=shadow}": 0,
      "switchgear_store_up{}": 1,
      "switchgear_system_load{}": 0.99,
    };
    for (const [key, value] of Object.entries(expected)) assert.equal(seen.get(key), value, key);
  });

  test("who tripped it, and since when, until somebody resets it", () => {
    const clock = new VirtualClock();
    const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } }, clock });
    const recorder = new Recorder(gear);
    const read = (): (number | undefined)[] => {
      const seen = series(recorder.collect());
      const keys = ["tripped_by_hand", "tripped_timestamp_seconds"];
      return keys.map((key) => seen.get(`switchgear_breaker_${key}{bookmaker=dk}`));
    };
    assert.deepEqual(read(), [0, undefined]);
    const atSeconds = clock.now() / 1000;
    gear.upstream("dk").trip({ reason: "maintenance" });
    clock.advance(5000);
    assert.deepEqual(read(), [1, atSeconds]);
    gear.upstream("dk").reset({ force: true });
    assert.deepEqual(read(), [0, undefined]);
  });

  test("endpoints tell whose they are, and what came of their calls; a window has a bookmaker", () => {
    const gear = createSwitchgear({
      upstreams: { dk: { breaker: slidingWindow(), endpoints: ["http://a"] } },
      clock: new VirtualClock(),
    });
    const dk = gear.upstream("dk");
    call(dk, "odds", "ok", 5);
    call(dk, "odds", "ok", 5);
    call(dk, "odds", "failed", 5);

    const seen = series(new Recorder(gear).collect());

    assert.equal(seen.get("switchgear_endpoint_info{bookmaker=dk,endpoint=http://a}"), 1);
    const calls = (outcome: string): number | undefined =>
      seen.get(
        `switchgear_endpoint_calls_total{bookmaker=dk,endpoint=http://a,outcome=${outcome}}`,
      );
    assert.deepEqual([calls("ok"), calls("failed")], [2, 1]);
    assert.equal(seen.get("switchgear_window_state{bookmaker=dk}"), 0);
    assert.equal(seen.get("switchgear_window_calls_total{bookmaker=dk,outcome=success}"), 2);
  });

  test("operations that are listed are counted from 0 on", () => {
    const gear = createSwitchgear({
      upstreams: { dk: { breaker: latching(), operations: ["odds", "bets"] } },
    });
    const recorder = new Recorder(gear);
    const ok = (operation: string): number | undefined =>
      series(recorder.collect()).get(
        `switchgear_requests_total{bookmaker=dk,operation=${operation},outcome=ok}`,
      );
    assert.deepEqual(["odds", "bets", "unknown"].map(ok), [0, 0, undefined]);
    call(gear.upstream("dk"), "bets", "ok", 1);
    call(gear.upstream("dk"), "unknown", "ok", 1);
    assert.deepEqual(["odds", "bets", "unknown"].map(ok), [0, 1, 1]);
  });

  test("failures of the store by operation, there from the start", () => {
    const gear = makeGear();
    const counters = gear.counters();
    const source: MetricSource = {
      eachUpstream: () => gear.eachUpstream(),
      storeHealth: () => gear.storeHealth(),
      systemLoad: () => 0,
      counters: () => ({
        ...counters,
        storeErrors: [
          { op: "commit", code: "SQLITE_FULL", count: 3 },
          { op: "commit", code: "SQLITE_BUSY", count: 1 },
        ],
      }),
    };
    const seen = series(new Recorder(source).collect());
    assert.equal(seen.get("switchgear_store_errors_total{op=commit}"), 4);
    assert.equal(seen.get("switchgear_store_errors_total{op=load}"), 0);
  });

  test("latency is absent before the first success, and reading creates nothing", () => {
    const gear = makeGear();
    const recorder = new Recorder(gear);

    const before = series(recorder.collect());
    recorder.collect();

    assert.equal(before.get("circuit_breaker_latency_ms{bookmaker=dk}"), undefined);
    assert.equal(before.get("circuit_breaker_trips_total{bookmaker=dk}"), 0);
    assert.equal(gear.upstreams().length, 1);
    assert.equal(
      [...before.keys()].filter((key) => key.includes("operation=")).length,
      0,
      "no operation before a call",
    );
  });

  test("tripped stays 1 while a probe runs", () => {
    const clock = new VirtualClock();
    const breaker = latching({ failureThreshold: 1, recovery: "single-probe", resetTimeoutMs: 10 });
    const gear = createSwitchgear({ upstreams: { dk: { breaker } }, clock });
    const dk = gear.upstream("dk");
    failTimes(dk, 1);
    clock.advance(10);
    assert.ok(dk.tryAcquire().admitted);
    assert.equal(dk.state(), "half-open");

    const seen = series(new Recorder(gear).collect());

    assert.equal(seen.get("circuit_breaker_tripped{bookmaker=dk}"), 1);
  });

  for (const mode of ["shadow", "forced-closed"] as const) {
    test(`tripped is 0 in mode ${mode}, where nothing is refused`, () => {
      const gear = makeGear(["dk"], { breaker: { failureThreshold: 1 } });
      const dk = gear.upstream("dk");
      failTimes(dk, 1);
      dk.setMode({ mode });
      dk.tryAcquire({ operation: "odds" });

      const seen = series(new Recorder(gear).collect());

      assert.ok(dk.isTripped);
      assert.equal(seen.get("circuit_breaker_tripped{bookmaker=dk}"), 0);
      assert.equal(seen.get(`switchgear_breaker_mode{bookmaker=dk,mode=${mode}}`), 1);
      assert.equal(seen.get("switchgear_breaker_mode{bookmaker=dk,mode=normal}"), 0);
      const shadowed = seen.get("switchgear_shadow_refused_total{bookmaker=dk,operation=odds}");
      assert.equal(shadowed, mode === "shadow" ? 1 : undefined);
    });
  }

  test("a load that is no number is shown as 0", () => {
    for (const load of [Number.NaN, Number.NEGATIVE_INFINITY, -3]) {
      const seen = series(new Recorder(makeGear(["dk"], { load: () => load })).collect());
      assert.equal(seen.get("switchgear_system_load{}"), 0);
    }
  });

  test("the first 1,000 upstreams have series of their own, configured ones first", () => {
    const gear = makeGear(["configured"]);
    for (let n = 0; n < 1500; n += 1) call(gear.upstream(`u${n}`), "odds", "ok", 1);
    const tripped = gear.upstream("u1400");
    tripped.trip({ reason: "maintenance" });
    const hidden = gear.upstream("u1499");
    failTimes(hidden, 3);

    const seen = series(new Recorder(gear).collect());

    const shown = [...seen.keys()].filter((key) => key.startsWith("circuit_breaker_tripped{"));
    assert.equal(shown.length, 1000 + 1 + 1);
    assert.equal(seen.get("circuit_breaker_tripped{bookmaker=configured}"), 0);
    assert.equal(seen.get("circuit_breaker_tripped{bookmaker=u1400}"), 1, "tripped: always shown");
    assert.equal(seen.get("circuit_breaker_tripped{bookmaker=__overflow__}"), 0);
    assert.equal(seen.get("circuit_breaker_failures_1m{bookmaker=__overflow__}"), 3);
    assert.equal(seen.get("circuit_breaker_trips_total{bookmaker=u1400}"), undefined);
    assert.equal(seen.get("circuit_breaker_trips_total{bookmaker=__overflow__}"), 1);
    const outcome = "switchgear_requests_total{bookmaker=__overflow__,operation=odds,outcome=ok}";
    assert.equal(seen.get(outcome), 501);
  });

  test("with too many tripped, the overflow shows 1", () => {
    const gear = makeGear([]);
    for (let n = 0; n < 2001; n += 1) gear.upstream(`u${n}`).trip();

    const seen = series(new Recorder(gear).collect());

    assert.equal(seen.get("circuit_breaker_tripped{bookmaker=__overflow__}"), 1);
    assert.equal(
      [...seen.keys()].filter((key) => key.startsWith("circuit_breaker_tripped{")).length,
      2001,
    );
  });

  test("which upstreams are shown does not change with their use, and overflow counters never fall", () => {
    const gear = makeGear([], { limit: 1005 });
    for (let n = 0; n < 1005; n += 1) call(gear.upstream(`u${n}`), "odds", "ok", 1);
    const recorder = new Recorder(gear);
    const key = "switchgear_requests_total{bookmaker=__overflow__,operation=odds,outcome=ok}";
    assert.equal(series(recorder.collect()).get(key), 5);

    // Used again: u0 is now the last in order of use, and u1 the next to be forgotten.
    call(gear.upstream("u0"), "odds", "ok", 1);
    const second = series(recorder.collect());
    assert.equal(
      second.get("switchgear_requests_total{bookmaker=u0,operation=odds,outcome=ok}"),
      2,
    );
    assert.equal(second.get(key), 5);

    // 1,010 new names push all the others out.
    for (let n = 0; n < 1010; n += 1) call(gear.upstream(`new${n}`), "odds", "ok", 1);
    const third = series(recorder.collect());
    const fourth = series(recorder.collect());
    assert.ok((third.get(key) ?? 0) >= 5);
    assert.ok((fourth.get(key) ?? 0) >= (third.get(key) ?? 0));
    assert.equal(third.get("switchgear_upstreams_evicted_total{}"), 1010);
  });

  test("the overflow's durations and its endpoints' failures never fall when a part of it is gone", () => {
    const endpoint = (name: string, failures: number): MeteredEndpoint => ({
      name,
      upstream: "draftkings",
      stateCode: 0,
      ok: 2 * failures,
      failures,
      lastOpenedAt: null,
      successRate: null,
      healthScore: 1,
      avgLatencyMs: null,
    });
    const beyond = (name: string, failures: number): MeteredUpstream => {
      const stats = new OperationStats("odds");
      for (const ms of [3, 3, 900]) stats.okDurations.add(ms);
      return { ...fakeUpstream(name, [stats]), meteredEndpoints: [endpoint(name, failures)] };
    };
    const listed = Array.from({ length: 1000 }, (_, n) => ({
      ...fakeUpstream(`u${n}`, []),
      meteredEndpoints: [endpoint(`e${n}`, 0)],
    }));
    let others = [beyond("x", 5), beyond("y", 7)];
    const recorder = new Recorder(fakeSource(() => [...listed, ...others]));
    const overflow = (): unknown =>
      recorder.collect().flatMap((family): unknown[] => {
        const { name } = family.metric;
        if (name === METRICS.endpointFailures.name) {
          return family.samples.flatMap((sample) =>
            "value" in sample && sample.labels["endpoint"] === "__overflow__" ? [sample.value] : [],
          );
        }
        return family.type === "histogram"
          ? family.samples.map(({ count, sum, buckets }) => ({ count, sum, buckets }))
          : [];
      });
    const before = overflow();
    assert.match(JSON.stringify(before), /\b12\b.*"count":6,"sum":1\.812/);

    others = others.slice(0, 1);

    assert.deepEqual(overflow(), before);
  });

  test("operation names are bounded at 200, and pairs at 5,000", () => {
    const gear = makeGear(Array.from({ length: 100 }, (_, n) => `u${n}`));
    for (let n = 0; n < 100; n += 1) {
      for (let m = 0; m < 300; m += 1) gear.upstream(`u${n}`).tryAcquire({ operation: `op${m}` });
    }

    const seen = series(new Recorder(gear).collect());

    const requests = [...seen.keys()].filter((key) => key.startsWith("switchgear_requests_total{"));
    const operations = new Set(requests.map((key) => /operation=([^,]+)/.exec(key)?.[1]));
    assert.equal(operations.size, 201);
    assert.ok(operations.has("__overflow__"));
    assert.ok(requests.length <= (5000 + 100) * 5, `${requests.length} series`);
  });

  test("each upstream has 200 operations of its own, and what is configured is never crowded out", () => {
    const gear = createSwitchgear({
      upstreams: {
        a: { breaker: latching(), operations: ["odds", "settle"] },
        b: { breaker: latching(), operations: ["odds"] },
      },
      clock: new VirtualClock(),
    });
    for (let n = 0; n < 300; n += 1) {
      gear.upstream("a").tryAcquire({ operation: `a${n}` });
      gear.upstream("b").tryAcquire({ operation: `b${n}` });
    }
    for (const [name, operation] of [
      ["a", "settle"],
      ["a", "odds"],
      ["b", "odds"],
    ] as const) {
      const admission = gear.upstream(name).tryAcquire({ operation });
      if (admission.admitted) admission.settle({ outcome: "ok" });
    }

    const seen = series(new Recorder(gear).collect());
    const ok = (upstream: string, operation: string) =>
      seen.get(
        `switchgear_requests_total{bookmaker=${upstream},operation=${operation},outcome=ok}`,
      );
    assert.deepEqual([ok("a", "settle"), ok("a", "odds"), ok("b", "odds")], [1, 1, 1]);
    for (const [upstream, count] of [
      ["a", 203],
      ["b", 202],
    ] as const) {
      const own = [...seen.keys()].filter((key) =>
        key.startsWith(`switchgear_requests_total{bookmaker=${upstream},`),
      );
      assert.equal(own.filter((key) => key.endsWith("outcome=ok}")).length, count);
    }
  });

  test("5,000 pairs of names from callers leave room for what is configured later", () => {
    const many = Array.from({ length: 26 }, (_, n) => `u${n}`);
    const options = { breaker: latching(), operations: ["odds"] };
    const gear = createSwitchgear({
      upstreams: Object.fromEntries(many.map((name) => [name, options])),
      clock: new VirtualClock(),
    });
    const recorder = new Recorder(gear);
    for (const name of many) {
      for (let n = 0; n < 200; n += 1) gear.upstream(name).tryAcquire({ operation: `o${n}` });
    }
    recorder.collect();
    for (const name of many) gear.upstream(name).tryAcquire({ operation: "odds" });

    const seen = [...series(recorder.collect()).keys()];
    const odds = seen.filter((key) => /_requests_total.*operation=odds,outcome=ok/.test(key));
    assert.equal(odds.length, 26);
    assert.ok(seen.some((key) => key.includes("bookmaker=u25,operation=__overflow__")));
  });

  test("label sets are made once, and not kept of what is gone", () => {
    let names = ["a", "b"];
    const recorder = new Recorder(fakeSource(() => names.map((name) => fakeUpstream(name, []))));
    const labels = (): readonly object[] =>
      recorder
        .collect()
        .flatMap(({ metric, samples }) =>
          metric === METRICS.mode
            ? samples.flatMap((sample) =>
                sample.labels["bookmaker"] === "b" ? [sample.labels] : [],
              )
            : [],
        );
    const first = labels();
    assert.equal(first.length, 3);
    for (const [index, one] of labels().entries()) assert.equal(one, first[index]);
    names = ["a"];
    assert.deepEqual(labels(), []);
    names = ["a", "b"];
    for (const [index, one] of labels().entries()) assert.notEqual(one, first[index]);
  });

  test("an upstream that is gone leaves its place, and its operations', to others", () => {
    let generation = "old";
    const source = fakeSource(() =>
      Array.from({ length: 1000 }, (_, n) =>
        fakeUpstream(
          `${generation}${n}`,
          ["a", "b", "c", "d", "e"].map((name) => new OperationStats(name)),
        ),
      ),
    );
    const recorder = new Recorder(source);
    recorder.collect();
    generation = "new";
    // Its first scrape finds all places taken.
    recorder.collect();

    const seen = series(recorder.collect());

    assert.equal(seen.get("circuit_breaker_trips_total{bookmaker=new999}"), 0);
    assert.equal(seen.get("circuit_breaker_trips_total{bookmaker=old0}"), undefined);
    assert.equal(seen.get("switchgear_requests_total{bookmaker=new999,operation=e,outcome=ok}"), 0);
  });

  test("100,000 upstreams: the number of samples stays bounded, and so does the time", () => {
    const stats = new OperationStats("odds");
    stats.ok = 3;
    stats.okDurations.add(10);
    const upstreams = Array.from({ length: 100_000 }, (_, n) => ({
      ...fakeUpstream(`u${n}`, [stats]),
      isTripped: n >= 99_990,
    }));
    const recorder = new Recorder(fakeSource(() => upstreams));
    const startMs = performance.now();

    const families = recorder.collect();

    const tookMs = performance.now() - startMs;
    const samples = families.reduce((sum, family) => sum + family.samples.length, 0);
    assert.ok(samples < 30_000, `${samples} samples`);
    assert.equal(series(families).get("circuit_breaker_tripped{bookmaker=u99999}"), 1);
    // Generous: it takes a tenth of it on a loaded machine.
    assert.ok(tookMs < 3000, `${tookMs} ms`);
  });
});

describe("label values", () => {
  const long = "x".repeat(10_000);

  test("plain names are themselves", () => {
    for (const name of ["draftkings", 'a"b\n\\c', "__proto__", "constructor", "größe", "🎲"]) {
      assert.equal(labelValue(name), name);
    }
  });

  test("long names are cut at 128 code points and told apart by a hash", () => {
    const value = labelValue(long);
    assert.match(value, /^x{128}~[0-9a-f]{8}$/);
    assert.notEqual(value, labelValue(`${long}y`));
    assert.equal(value, labelValue(long));
  });

  test("a cut never splits a character, and stays below 256 bytes", () => {
    const value = labelValue("🎲".repeat(500));
    assert.ok(value.isWellFormed());
    assert.ok(Buffer.byteLength(value) < 256);
    assert.equal(labelValue("🎲".repeat(60)), "🎲".repeat(60));
  });

  test("lone surrogates and control characters are replaced and told apart", () => {
    const values = ["a\ud800", "a\ud801", "a\0", "a\u0007", "a\r"].map(labelValue);
    assert.equal(new Set(values).size, values.length);
    for (const value of values) {
      assert.ok(value.isWellFormed());
      assert.match(value, /^a\ufffd~[0-9a-f]{8}$/);
    }
  });

  test("hostile names make no duplicate series", () => {
    const names = [
      long,
      `${long}y`,
      "__proto__",
      "constructor",
      "a\ud800",
      "🎲",
      labelValue("a\ud800"),
      'q"\n\\',
    ];
    const gear = makeGear([]);
    for (const name of names) call(gear.upstream(name), name, "ok", 1);

    const seen = series(new Recorder(gear).collect());

    // The literal name that looks like another's label value shares its series.
    const shown = [...seen].filter(([key]) => key.startsWith("circuit_breaker_tripped{"));
    assert.equal(shown.length, names.length - 1);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.equal(Object.hasOwn(Object.prototype, "bookmaker"), false);
  });
});
