import assert from "node:assert/strict";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { LOAD_SHEDDING_DEFAULTS } from "../../../src/core/overload/load-shedder.ts";
import {
  LOOP_DELAY_MS_FULL,
  SystemLoad,
  type LoadSources,
} from "../../../src/runtime/system-load.ts";

interface Machine {
  nowMs: number;
  cpuMs: number;
  heap: number;
  rss: number;
  cores: number;
  memory: number;
  loopMs: number | undefined;
  stops: number;
}

function machine(): { state: Machine; sources: LoadSources; reads: { count: number } } {
  const state: Machine = {
    nowMs: 0,
    cpuMs: 0,
    heap: 0,
    rss: 0,
    cores: 2,
    memory: 1000,
    loopMs: undefined,
    stops: 0,
  };
  const reads = { count: 0 };
  return {
    state,
    reads,
    sources: {
      monotonic: () => state.nowMs,
      cpuMs: () => state.cpuMs,
      heapRatio: () => {
        reads.count += 1;
        return state.heap;
      },
      rssBytes: () => state.rss,
      limits: () => ({ memoryBytes: state.memory, cores: state.cores }),
      loopDelayMs: () => state.loopMs,
      stop: () => void (state.stops += 1),
    },
  };
}

test("weighs memory 0.4, CPU 0.3 and pending requests 0.3", () => {
  const { state, sources } = machine();
  const load = new SystemLoad({ pending: () => 500 }, sources);
  load.systemLoad();
  state.nowMs = 1000;
  state.cpuMs = 1000;
  state.rss = 800;
  // 0.4 × 0.8 + 0.3 × 0.5 + 0.3 × 0.5
  assert.ok(Math.abs(load.systemLoad() - 0.62) < 1e-9);
});

test("saturated CPU and requests without memory reach 0.6 only; max mode says 1", () => {
  for (const [mode, expected] of [
    ["weighted", 0.6],
    ["max", 1],
  ] as const) {
    const { state, sources } = machine();
    const load = new SystemLoad({ mode, pending: () => 5000 }, sources);
    load.systemLoad();
    state.nowMs = 1000;
    state.cpuMs = 9000;
    assert.equal(load.systemLoad(), expected);
  }
});

test("a loop that comes 40 ms late is at the default threshold, in max mode alone", () => {
  const { state, sources } = machine();
  state.heap = 0.5;
  for (const [loopMs, expected] of [
    [undefined, 0.5],
    [0, 0.5],
    [40, 0.85],
    [41, 41 / LOOP_DELAY_MS_FULL],
    [1000, 1],
    [Number.NaN, 0.5],
  ] as const) {
    state.loopMs = loopMs;
    assert.equal(new SystemLoad({ mode: "max" }, sources).systemLoad(), expected);
    assert.equal(new SystemLoad({}, sources).systemLoad(), 0.5);
  }
  assert.ok(41 / LOOP_DELAY_MS_FULL > LOAD_SHEDDING_DEFAULTS.threshold);
});

test("in weighted mode the loop is not looked at", () => {
  const { sources } = machine();
  const loopDelayMs = (): number => assert.fail("looked at");
  const counting = { ...sources, loopDelayMs: () => ((asked += 1), 0) };
  let asked = 0;
  new SystemLoad({}, counting).systemLoad();
  assert.equal(asked, 0);
  new SystemLoad({ mode: "max" }, counting).systemLoad();
  assert.equal(asked, 1);
  // What throws is missing.
  assert.equal(new SystemLoad({ mode: "max" }, { ...sources, loopDelayMs }).systemLoad(), 0);
});

test("says which part drives the load: by its weight, or as it is", () => {
  const { state, sources } = machine();
  const both = { pending: () => 0 as number };
  const asked = (mode: "weighted" | "max", pending: number): string | null => {
    both.pending = () => pending;
    const load = new SystemLoad({ mode, pending: () => both.pending() }, sources);
    load.systemLoad();
    state.nowMs += 1000;
    state.cpuMs += cpuMs;
    load.systemLoad();
    return load.driver;
  };
  let cpuMs = 0;
  assert.equal(new SystemLoad({}, sources).driver, null);
  assert.equal(asked("weighted", 0), null);
  assert.equal(asked("max", 0), null);
  state.heap = 0.5;
  assert.equal(asked("weighted", 600), "memory");
  assert.equal(asked("max", 600), "pending");
  cpuMs = 1400;
  assert.equal(asked("weighted", 600), "cpu");
  assert.equal(asked("max", 800), "pending");
  assert.equal(asked("max", 600), "cpu");
  state.loopMs = 40;
  assert.equal(asked("max", 600), "event_loop");
  assert.equal(asked("weighted", 600), "cpu");
});

test("a part that is no longer loaded drives nothing", () => {
  const { state, sources } = machine();
  const load = new SystemLoad({}, sources);
  state.heap = 0.5;
  load.systemLoad();
  assert.equal(load.driver, "memory");
  state.heap = 0;
  state.nowMs = 100;
  load.systemLoad();
  assert.equal(load.driver, null);
});

test("ends its timer when it is stopped", () => {
  const { state, sources } = machine();
  new SystemLoad({ mode: "max" }, sources).stop();
  assert.equal(state.stops, 1);
});

test("memory is the larger of heap and resident set, each against its own limit", () => {
  const { state, sources } = machine();
  state.heap = 0.9;
  state.rss = 500;
  assert.equal(new SystemLoad({ mode: "max" }, sources).systemLoad(), 0.9);
  state.heap = 0.1;
  assert.equal(new SystemLoad({ mode: "max" }, sources).systemLoad(), 0.5);
});

test("half a core that is fully used is a saturated CPU", () => {
  const { state, sources } = machine();
  state.cores = 0.5;
  const load = new SystemLoad({ mode: "max" }, sources);
  load.systemLoad();
  state.nowMs = 1000;
  state.cpuMs = 500;
  assert.equal(load.systemLoad(), 1);
});

test("a missing source gives its weight to the others", () => {
  const { state, sources } = machine();
  state.rss = 800;
  // No CPU share yet and no pending requests: memory is all there is.
  assert.ok(Math.abs(new SystemLoad({}, sources).systemLoad() - 0.8) < 1e-9);
  const broken = {
    ...sources,
    rssBytes: () => {
      throw new Error("no /proc");
    },
    cpuMs: () => Number.NaN,
  };
  assert.equal(new SystemLoad({ pending: () => 250 }, broken).systemLoad(), 0.25);
  assert.equal(new SystemLoad({}, broken).systemLoad(), 0);
});

test("the answer is kept for 100 ms, however often it is asked for", () => {
  const { state, sources, reads } = machine();
  const load = new SystemLoad({}, sources);
  for (let n = 0; n < 1000; n += 1) load.systemLoad();
  assert.equal(reads.count, 1);
  state.nowMs = 99.9;
  load.systemLoad();
  assert.equal(reads.count, 1);
  state.nowMs = 100;
  load.systemLoad();
  assert.equal(reads.count, 2);
});

test("CPU is measured over at least 250 ms, and forgotten after 5 s of nobody asking", () => {
  const { state, sources } = machine();
  const load = new SystemLoad({ mode: "max" }, sources);
  load.systemLoad();
  state.nowMs = 249;
  state.cpuMs = 498;
  assert.equal(load.systemLoad(), 0);
  state.nowMs = 350;
  state.cpuMs = 700;
  assert.equal(load.systemLoad(), 1);
  state.nowMs = 350 + 5001;
  state.cpuMs = 700 + 10_002;
  assert.equal(load.systemLoad(), 0);
});

test("what a source answers beyond 0 to 1 is brought into it", () => {
  const { state, sources } = machine();
  state.heap = -3;
  state.rss = 5000;
  assert.equal(new SystemLoad({ mode: "max" }, sources).systemLoad(), 1);
});

test("the real process has a load between 0 and 1", () => {
  const load = new SystemLoad().systemLoad();
  assert.ok(load > 0 && load < 1, String(load));
});

// Compared with the walk itself, made in the same moments: no limit in milliseconds.
test(
  "on Bun it does not walk the heap, which takes longer the more there is",
  { skip: process.versions.bun === undefined && "Node's statistics are kept, not counted" },
  () => {
    const heap = Array.from({ length: 200_000 }, (_, index) => ({ index }));
    let sampleMs = Number.POSITIVE_INFINITY;
    let walkMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 10; round += 1) {
      const load = new SystemLoad();
      const startMs = performance.now();
      load.systemLoad();
      const betweenMs = performance.now();
      getHeapStatistics();
      sampleMs = Math.min(sampleMs, betweenMs - startMs);
      walkMs = Math.min(walkMs, performance.now() - betweenMs);
    }
    assert.equal(heap.length, 200_000);
    assert.ok(sampleMs < walkMs / 4, `${sampleMs} ms, and a walk ${walkMs} ms`);
  },
);
