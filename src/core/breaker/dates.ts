// Machines measure on the monotonic clock; what outlives a process is dated by the wall clock.

import type { Instant } from "./machine.ts";

/** What the wall clock said, or will say, at a monotonic time. */
export function toWall(ms: number, at: Instant): number {
  return Math.round(at.wallMs - (at.nowMs - ms));
}

/** The monotonic time of a date. */
export function toNow(wallMs: number, at: Instant): number {
  return at.nowMs - (at.wallMs - wallMs);
}
