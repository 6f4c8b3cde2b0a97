// Limits as the kernel's files tell them: each fixture is the tree of files that a process sees.

import assert from "node:assert/strict";
import { availableParallelism, totalmem } from "node:os";
import { describe, test } from "node:test";
import { readContainerLimits } from "../../../src/runtime/container-limits.ts";

const MACHINE = { memoryBytes: totalmem(), cores: availableParallelism() };
const CGROUP = "/sys/fs/cgroup";

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
    assert.deepEqual(limits, MACHINE);
  }
});

/** Beyond any memory: what version 1 says of no limit. */
const V1_UNLIMITED = "9223372036854771712";

const V1_HOST = `12:cpuset:/docker/abc
7:cpu,cpuacct:/docker/abc
4:memory:/docker/abc
1:name=systemd:/docker/abc
0::/system.slice/containerd.service`;

interface Tree {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly limits: { readonly memoryBytes?: number; readonly cores?: number };
}

const TREES: readonly Tree[] = [
  {
    name: "version 1, in a container that sees its own group as the root",
    files: {
      "/proc/self/cgroup": V1_HOST,
      [`${CGROUP}/memory/memory.limit_in_bytes`]: "536870912",
      [`${CGROUP}/cpu/cpu.cfs_quota_us`]: "25000",
      [`${CGROUP}/cpu/cpu.cfs_period_us`]: "100000",
    },
    limits: { memoryBytes: 536_870_912, cores: 0.25 },
  },
  {
    name: "version 1, in a group below, whose parent has the smaller limit",
    files: {
      "/proc/self/cgroup": "4:memory:/kubepods/pod1/box\n3:cpu:/kubepods/pod1/box",
      [`${CGROUP}/memory/kubepods/pod1/box/memory.limit_in_bytes`]: "900",
      [`${CGROUP}/memory/kubepods/pod1/memory.limit_in_bytes`]: "400",
      [`${CGROUP}/memory/memory.limit_in_bytes`]: V1_UNLIMITED,
      [`${CGROUP}/cpu/kubepods/pod1/box/cpu.cfs_quota_us`]: "-1",
      [`${CGROUP}/cpu/kubepods/pod1/box/cpu.cfs_period_us`]: "100000",
      [`${CGROUP}/cpu/kubepods/pod1/cpu.cfs_quota_us`]: "50000",
      [`${CGROUP}/cpu/kubepods/pod1/cpu.cfs_period_us`]: "50000",
    },
    limits: { memoryBytes: 400, cores: 1 },
  },
  {
    name: "version 1 without limits",
    files: {
      "/proc/self/cgroup": "4:memory:/a\n2:cpuacct:/\n1:cpu:/",
      [`${CGROUP}/memory/memory.limit_in_bytes`]: V1_UNLIMITED,
      [`${CGROUP}/cpu/cpu.cfs_quota_us`]: "-1",
      [`${CGROUP}/cpu/cpu.cfs_period_us`]: "100000",
    },
    limits: {},
  },
  {
    name: "version 1 without /proc: the root of what is mounted is read",
    files: { [`${CGROUP}/memory/memory.limit_in_bytes`]: "300" },
    limits: { memoryBytes: 300 },
  },
  {
    name: "both versions: the smaller limit of either holds",
    files: {
      "/proc/self/cgroup": "0::/box\n4:memory:/box\n1:name=systemd:/",
      [`${CGROUP}/memory/box/memory.limit_in_bytes`]: "800",
      [`${CGROUP}/box/memory.max`]: "700",
      [`${CGROUP}/box/cpu.max`]: "100000 200000",
    },
    limits: { memoryBytes: 700, cores: 0.5 },
  },
  {
    name: "version 2, with a path that holds colons",
    files: {
      "/proc/self/cgroup": "0::/machine.slice/a:b:c",
      [`${CGROUP}/machine.slice/a:b:c/memory.max`]: "600",
    },
    limits: { memoryBytes: 600 },
  },
  {
    name: "a controller whose name holds another's: cpuacct is not cpu",
    files: {
      "/proc/self/cgroup": "4:memory:/right\n3:cpu:/right\n2:cpuacct,memory_more:/wrong",
      [`${CGROUP}/memory/right/memory.limit_in_bytes`]: "500",
      [`${CGROUP}/memory/wrong/memory.limit_in_bytes`]: "100",
      [`${CGROUP}/cpu/right/cpu.cfs_quota_us`]: "10000",
      [`${CGROUP}/cpu/right/cpu.cfs_period_us`]: "100000",
      [`${CGROUP}/cpu/wrong/cpu.cfs_quota_us`]: "1000",
      [`${CGROUP}/cpu/wrong/cpu.cfs_period_us`]: "100000",
    },
    limits: { memoryBytes: 500, cores: 0.1 },
  },
  {
    name: "files that are empty, cut off or hold no number",
    files: {
      "/proc/self/cgroup": "\n0\n:\nnonsense",
      [`${CGROUP}/memory.max`]: "",
      [`${CGROUP}/cpu.max`]: "50000",
      [`${CGROUP}/memory/memory.limit_in_bytes`]: "many",
      [`${CGROUP}/cpu/cpu.cfs_quota_us`]: "50000",
    },
    limits: {},
  },
  {
    name: "a quota of 0, a period of 0 and a memory of 0, which limit nothing",
    files: {
      [`${CGROUP}/memory.max`]: "0",
      [`${CGROUP}/cpu.max`]: "0 100000",
      [`${CGROUP}/cpu/cpu.cfs_quota_us`]: "50000",
      [`${CGROUP}/cpu/cpu.cfs_period_us`]: "0",
    },
    limits: {},
  },
  {
    name: "limits beyond the machine's, which is the limit then",
    files: { [`${CGROUP}/memory.max`]: "1e300", [`${CGROUP}/cpu.max`]: "1e300 1" },
    limits: {},
  },
];

describe("the limits of a container", () => {
  for (const { name, files: content, limits } of TREES) {
    test(name, () => {
      assert.deepEqual(readContainerLimits(files(content)), { ...MACHINE, ...limits });
    });
  }
});

test("the real machine has limits", () => {
  const { memoryBytes, cores } = readContainerLimits();
  assert.ok(memoryBytes > 0 && memoryBytes <= MACHINE.memoryBytes);
  assert.ok(cores > 0 && cores <= MACHINE.cores);
});
