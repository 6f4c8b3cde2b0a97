// The real clock, for both runtimes.

import { TIMER_DELAY_MS_MAX, type Scheduler, type Timer } from "../core/clock.ts";

/** On Node the global is a getter, which costs as much again as the reading itself. */
const { performance } = globalThis;

export const systemClock: Scheduler = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback: () => void, delayMs: number): Timer {
    const handle = setTimeout(callback, Math.min(delayMs, TIMER_DELAY_MS_MAX));
    handle.unref();
    return {
      cancel: () => clearTimeout(handle),
      keepAlive: (yes) => void (yes ? handle.ref() : handle.unref()),
    };
  },
});
