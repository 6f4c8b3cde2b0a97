// A clock that moves only when told to, with timers that fire in due order as it does.

import type { Scheduler, Timer } from "../core/clock.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { show } from "../core/options.ts";

interface VirtualTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class VirtualClock implements Scheduler {
  #nowMs = 0;
  #wallMs: number;
  #order = 0;
  readonly #timers = new Set<VirtualTimer>();

  /** `wallMs`: what the wall clock says at the start, epoch milliseconds. */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = milliseconds("new VirtualClock", wallMs);
  }

  now(): number {
    return Math.floor(this.#wallMs);
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, order: (this.#order += 1), callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer), keepAlive: () => {} };
  }

  /** Timers that have not fired. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Both clocks move on together; timers fire at their own time on the way. */
  advance(ms: number): void {
    const endMs = this.#nowMs + milliseconds("advance", ms);
    for (;;) {
      const next = this.#nextDue(endMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#moveTo(Math.max(next.dueMs, this.#nowMs));
      next.callback();
    }
    this.#moveTo(endMs);
  }

  /** The wall clock is set by somebody; elapsed time knows nothing of it. */
  jumpWall(ms: number): void {
    this.#wallMs += milliseconds("jumpWall", ms);
  }

  #moveTo(nowMs: number): void {
    this.#wallMs += nowMs - this.#nowMs;
    this.#nowMs = nowMs;
  }

  #nextDue(endMs: number): VirtualTimer | undefined {
    let next: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > endMs) continue;
      if (
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order)
      ) {
        next = timer;
      }
    }
    return next;
  }
}

/** A clock that says NaN makes everything wait for ever, far from the mistake. */
function milliseconds(what: string, ms: unknown): number {
  if (typeof ms === "number" && !Number.isNaN(ms)) return ms;
  throw new InvalidOptionsError(what, [`takes a number of milliseconds, not ${show(ms)}`]);
}
