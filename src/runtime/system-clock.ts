// The real clock, for both runtimes.

import { AsyncLocalStorage } from "node:async_hooks";
import { TIMER_DELAY_MS_MAX, type Scheduler, type Timer } from "../core/clock.ts";

/** On Node the global is a getter, which costs as much again as the reading itself. */
const { performance } = globalThis;

/**
 * Outside of every call: a timer keeps the context that it was set in, and one that serves many calls
 * would lend all of them the first one's.
 */
const outside = AsyncLocalStorage.snapshot();

export const systemClock: Scheduler = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback: () => void, delayMs: number): Timer {
    const handle = outside(() => setTimeout(callback, Math.min(delayMs, TIMER_DELAY_MS_MAX)));
    handle.unref();
    return {
      cancel: () => clearTimeout(handle),
      keepAlive: (yes) => void (yes ? handle.ref() : handle.unref()),
    };
  },
});
