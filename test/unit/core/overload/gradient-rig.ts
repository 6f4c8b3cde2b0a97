// A gradient limit whose windows are written by hand, for tests.

import assert from "node:assert/strict";
import {
  GradientLimit,
  type GradientSettings,
} from "../../../../src/core/overload/gradient-limit.ts";
import { LimitWindow } from "../../../../src/core/overload/limit-window.ts";

export interface Seen {
  /** What calls took, each so often: of the middle of a bucket, so that the median is exact. */
  readonly took?: readonly (readonly [ms: number, times: number])[];
  readonly oks?: number;
  readonly timeouts?: number;
  readonly refusals?: number;
  readonly peak?: number;
  readonly admitted?: number;
  readonly leftEarly?: number;
  /** What the calls that arrived found in flight. */
  readonly found?: number;
  readonly lastsMs?: number;
}

/** From 1,000 on, so that shares are seen; windows of 100 ms whose rate bounds nothing. */
export class GradientRig {
  readonly limit: GradientLimit;
  nowMs = 0;

  constructor(changes: Partial<GradientSettings> = {}) {
    this.limit = new GradientLimit({
      initial: 1000,
      min: 2,
      max: 5000,
      tolerance: 2,
      deadlineMs: 1000,
      phaseMs: 0,
      ...changes,
    });
  }

  /** A window in which the limit was needed; answers what it is afterwards. */
  full(ms: number, seen: Seen = {}): number {
    return this.#see({ took: [[ms, 10]], refusals: 1, ...seen }, true);
  }

  /** The same, its limit not needed. */
  calm(ms: number, seen: Seen = {}): number {
    return this.#see({ took: [[ms, 10]], ...seen }, false);
  }

  #see(seen: Seen, isFull: boolean): number {
    const window = new LimitWindow(this.nowMs);
    for (const [ms, times] of seen.took ?? []) {
      for (let n = 0; n < times; n += 1) window.addLatency(ms);
    }
    window.oks = seen.oks ?? 600;
    window.timeouts = seen.timeouts ?? 0;
    window.refusals = seen.refusals ?? 0;
    window.peak = seen.peak ?? 500;
    window.admitted = seen.admitted ?? 0;
    window.leftEarly = seen.leftEarly ?? 0;
    if (seen.found !== undefined) window.addArrival(seen.found);
    this.nowMs += seen.lastsMs ?? 100;
    this.limit.onWindow(window, isFull, this.nowMs);
    return this.limit.value;
  }
}

/** It knows that calls take 100 ms. */
export function known(changes: Partial<GradientSettings> = {}, ms = 100): GradientRig {
  const rig = new GradientRig(changes);
  rig.calm(ms);
  return rig;
}

export function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}, not ${expected}`);
}

export const NOTHING = { took: [], oks: 0 };
