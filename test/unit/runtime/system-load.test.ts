import assert from "node:assert/strict";
import { totalmem } from "node:os";
import { test } from "node:test";
import { readContainerLimits } from "../../../src/runtime/container-limits.ts";
import { SystemLoad, type LoadSources } from "../../../src/runtime/system-load.ts";

interface Machine {
  nowMs: number;
  cpuMs: number;
  heap: number;
  rss: number;
  cores: number;
  memory: number;
}

function machine(): { state: Machine; sources: LoadSources; reads: { count: number } } {
  const state = { nowMs: 0, cpuMs: 0, heap: 0, rss: 0, cores: 2, memory: 1000 };
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

function files(content: Readonly<Record<string, string>>): (path: string) => string | undefined {
  return (path) => content[path];
}

test("the container's limits come from its control group", () => {
  const limits = readContainerLimits(
    files({
      "/proc/self/cgroup": "0::/",
      "/sys/fs/cgroup/memory.max": "268435456",
      "/sys/fs/cgroup/cpu.max": "50000 100000",
    }),
  );
  assert.deepEqual(limits, { memoryBytes: 268_435_456, cores: 0.5 });
});

test("a parent's smaller limit holds for its children", () => {
  const limits = readContainerLimits(
    files({
      "/proc/self/cgroup": "1:name=systemd:/x\n0::/kubepods/pod1/box",
      "/sys/fs/cgroup/kubepods/pod1/box/memory.max": "900",
      "/sys/fs/cgroup/kubepods/pod1/memory.max": "400",
      "/sys/fs/cgroup/kubepods/pod1/cpu.max": "25000 100000",
      "/sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000",
    }),
  );
  assert.deepEqual(limits, { memoryBytes: 400, cores: 0.25 });
});

test("without limits, or without control groups, the machine itself is the limit", () => {
  for (const content of [
    {},
    { "/sys/fs/cgroup/memory.max": "max", "/sys/fs/cgroup/cpu.max": "max 100000" },
  ]) {
    const limits = readContainerLimits(files(content));
    assert.equal(limits.memoryBytes, totalmem());
    assert.ok(limits.cores >= 1);
  }
});
