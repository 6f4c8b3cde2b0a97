// What must stay flat: memory and descriptors of a process, read from /proc.

import { readFileSync, readdirSync } from "node:fs";

export interface Reading {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly descriptors: number;
}

export function read(pid: number, atMs: number): Reading {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return {
    atMs,
    rssBytes: kilobytes * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

export interface Trend {
  readonly early: number;
  readonly late: number;
}

/** The median of the second quarter against that of the last: the first is warming up. */
export function trend(readings: readonly Reading[], of: (reading: Reading) => number): Trend {
  const quarter = Math.max(1, Math.floor(readings.length / 4));
  return {
    early: median(readings.slice(quarter, 2 * quarter).map(of)),
    late: median(readings.slice(-quarter).map(of)),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** A share and a bit above is noise: collectors keep what they once had. */
export function isFlat({ early, late }: Trend, slack: number): boolean {
  return late <= early * 1.15 + slack;
}
