// One clock for everybody on the stage. Switchgear is handed it; the peers read globals, so while a
// scenario runs the globals are this clock, too: what a minute does to one of them it does to all.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Scheduler, Timer } from "../../src/core/clock.ts";
import { VirtualClock } from "../../src/testing/index.ts";

/** Turns of the event loop after which no chain of promises in here has anything left to do. */
const TURNS = 2;

export class StageTime implements Scheduler {
  readonly #clock = new VirtualClock();
  #stalledMs = 0;

  now(): number {
    return this.#clock.now() + this.#stalledMs;
  }

  monotonic(): number {
    return this.#clock.monotonic() + this.#stalledMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    return this.#clock.setTimer(callback, delayMs);
  }

  get pendingTimers(): number {
    return this.#clock.pendingTimers;
  }

  /** Time passes, timers fire in due order, and whoever was woken gets to run. */
  async pass(ms: number): Promise<void> {
    this.#clock.advance(ms);
    await this.turn();
  }

  /** Whoever can run runs, at this very moment. */
  async turn(): Promise<void> {
    for (let n = 0; n < TURNS; n += 1) await nextTurn();
  }

  /** Time passes and nobody runs: timers that are pending fire that much too late. */
  stall(ms: number): void {
    this.#stalledMs += ms;
  }

  /** Somebody sets the wall clock; elapsed time knows nothing of it. */
  jumpWall(ms: number): void {
    this.#clock.jumpWall(ms);
  }

  /** Makes the globals this clock. What it answers puts them back. */
  install(): () => void {
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    const dateNow = Date.now;
    const clear = (handle: NodeJS.Timeout | StageTimer | undefined): void => {
      if (handle instanceof StageTimer) handle.cancel();
      // From before the scenario, and somebody else's.
      else clearTimeout(handle);
    };
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, ms = 0) => new StageTimer(this, callback, ms, false),
      setInterval: (callback: () => void, ms = 0) => new StageTimer(this, callback, ms, true),
      clearTimeout: clear,
      clearInterval: clear,
    });
    Date.now = () => this.now();
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Date.now = dateNow;
    };
  }
}

/** What the replaced `setTimeout` and `setInterval` answer. */
class StageTimer {
  #timer: Timer;

  constructor(time: StageTime, callback: () => void, ms: number, repeats: boolean) {
    const arm = (): Timer =>
      time.setTimer(() => {
        if (repeats) this.#timer = arm();
        callback();
      }, ms);
    this.#timer = arm();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
