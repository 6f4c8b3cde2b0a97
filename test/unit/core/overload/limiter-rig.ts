// A limiter on a virtual clock, for tests.

import type { Tier } from "../../../../src/core/overload/criticality.ts";
import {
  adaptiveLimit,
  fixedLimit,
  type LimitPolicy,
} from "../../../../src/core/overload/limit-policy.ts";
import { ENDED_OK, type Ending, type Limiter } from "../../../../src/core/overload/limiter.ts";
import type { Permit } from "../../../../src/core/overload/permits.ts";

export const WALL_MS = 1_700_000_000_000;

export class LimiterRig {
  readonly limiter: Limiter;
  nowMs = 0;

  constructor(policy: LimitPolicy, deadlineMs: number | undefined = 1000) {
    this.limiter = policy.createLimiter({ nowMs: 0, phaseMs: WALL_MS, deadlineMs });
  }

  admit(tier: Tier = 0, remainingMs = Infinity): number {
    return this.limiter.admit(tier, this.nowMs, remainingMs);
  }

  /** Lets in so many, or fails. */
  admitAll(count: number, tier: Tier = 0): Permit[] {
    const permits = Array.from({ length: count }, () => this.admit(tier));
    if (permits.some((permit) => permit < 0)) throw new Error(`refused: ${permits.join(", ")}`);
    return permits;
  }

  settleAll(permits: readonly Permit[], ending: Ending = ENDED_OK): void {
    for (const permit of permits) this.limiter.settle(permit, ending, this.nowMs);
  }

  wait(ms: number): void {
    this.nowMs += ms;
  }

  /**
   * For `forMs`, as many callers as `load` keep calling an upstream that takes `latencyMs`, whatever is in
   * flight. Answers how many were refused.
   */
  run(load: number, latencyMs: number, forMs: number, tier: Tier = 0): number {
    let refused = 0;
    const untilMs = this.nowMs + forMs;
    let open: { permit: Permit; endMs: number }[] = [];
    while (this.nowMs < untilMs) {
      const ended = open.filter(({ endMs }) => endMs <= this.nowMs);
      open = open.filter(({ endMs }) => endMs > this.nowMs);
      this.settleAll(ended.map(({ permit }) => permit));
      while (open.length < load) {
        const permit = this.admit(tier);
        if (permit < 0) {
          refused += 1;
          break;
        }
        open.push({ permit, endMs: this.nowMs + latencyMs });
      }
      this.wait(5);
    }
    this.nowMs += latencyMs;
    this.settleAll(open.map(({ permit }) => permit));
    return refused;
  }
}

export const fixedRig = (limit: number, deadlineMs?: number): LimiterRig =>
  new LimiterRig(fixedLimit(limit), deadlineMs);

export const adaptiveRig = (deadlineMs?: number): LimiterRig =>
  new LimiterRig(adaptiveLimit(), deadlineMs);

/** For a limit of these bounds. */
export const boundedRig = (initial: number, min: number, max: number): LimiterRig =>
  new LimiterRig(adaptiveLimit({ initial, min, max }));
