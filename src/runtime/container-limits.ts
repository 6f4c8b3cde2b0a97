// What the container allows this process: memory in bytes and CPU in cores, from control groups of version 2 and
// version 1, and of hosts that mount both. A process that compares itself with the node's 64 cores never finds itself
// loaded in half a core.

import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";

export interface ContainerLimits {
  readonly memoryBytes: number;
  /** May be a fraction: a limit of 500m is 0.5. */
  readonly cores: number;
}

/** Reads a text file, or undefined when there is none. */
export type ReadText = (path: string) => string | undefined;

const CGROUP_ROOT = "/sys/fs/cgroup";

export function readContainerLimits(readText: ReadText = readTextFile): ContainerLimits {
  let memoryBytes = totalmem();
  let cores = availableParallelism();
  // Of what is not limited version 2 says `max`, and version 1 a number beyond any memory, or a quota of -1.
  const limitMemory = (text: string | undefined): void => {
    const bytes = Number(text);
    if (bytes > 0) memoryBytes = Math.min(memoryBytes, bytes);
  };
  const limitCores = (quotaText: string | undefined, periodText: string | undefined): void => {
    const quota = Number(quotaText);
    const period = Number(periodText);
    if (quota > 0 && period > 0) cores = Math.min(cores, quota / period);
  };
  const groups = groupsOf(readText("/proc/self/cgroup"));
  // A limit holds for everything below it, so the smallest on the way up counts.
  for (const folder of foldersOf(CGROUP_ROOT, groups.unified)) {
    limitMemory(readText(join(folder, "memory.max")));
    const [quota, period] = (readText(join(folder, "cpu.max")) ?? "").split(" ");
    limitCores(quota, period);
  }
  for (const folder of foldersOf(join(CGROUP_ROOT, "memory"), groups.memory)) {
    limitMemory(readText(join(folder, "memory.limit_in_bytes")));
  }
  // Where it is mounted together with another controller, a link of this name leads there.
  for (const folder of foldersOf(join(CGROUP_ROOT, "cpu"), groups.cpu)) {
    limitCores(
      readText(join(folder, "cpu.cfs_quota_us")),
      readText(join(folder, "cpu.cfs_period_us")),
    );
  }
  return { memoryBytes, cores };
}

/** The own group in version 2, and under two controllers of version 1; lines are `id:controllers:path`. */
function groupsOf(text = ""): Record<"unified" | "memory" | "cpu", string> {
  const groups = { unified: "/", memory: "/", cpu: "/" };
  for (const line of text.split("\n")) {
    const [, controllers, ...path] = line.split(":");
    if (controllers === undefined) continue;
    const names = controllers.split(",");
    if (controllers === "") groups.unified = path.join(":");
    if (names.includes("memory")) groups.memory = path.join(":");
    if (names.includes("cpu")) groups.cpu = path.join(":");
  }
  return groups;
}

/** Own group first, then its parents; inside a container the root is the own group. */
function foldersOf(root: string, group: string): string[] {
  const folders: string[] = [];
  let path = group;
  while (path !== "/" && path !== "." && path !== "") {
    folders.push(join(root, path));
    path = dirname(path);
  }
  return [...folders, root];
}

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
