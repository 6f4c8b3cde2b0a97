// What the container allows this process: memory in bytes and CPU in cores, from cgroup v2. A
// process that compares itself with the node's 64 cores never finds itself loaded in half a core.

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
  // A limit holds for everything below it, so the smallest on the way up counts.
  for (const folder of cgroupFolders(readText)) {
    const memory = Number(readText(join(folder, "memory.max")));
    if (memory > 0) memoryBytes = Math.min(memoryBytes, memory);
    const [quota, period] = (readText(join(folder, "cpu.max")) ?? "").split(" ").map(Number);
    if (quota !== undefined && period !== undefined && quota > 0 && period > 0) {
      cores = Math.min(cores, quota / period);
    }
  }
  return { memoryBytes, cores };
}

/** Own group first, then its parents; inside a container the root is the own group. */
function cgroupFolders(readText: ReadText): string[] {
  const line = (readText("/proc/self/cgroup") ?? "")
    .split("\n")
    .find((candidate) => candidate.startsWith("0::"));
  const folders: string[] = [];
  let path = line === undefined ? "/" : line.slice("0::".length);
  while (path !== "/" && path !== "." && path !== "") {
    folders.push(join(CGROUP_ROOT, path));
    path = dirname(path);
  }
  return [...folders, CGROUP_ROOT];
}

function readTextFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
