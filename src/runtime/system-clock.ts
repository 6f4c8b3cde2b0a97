// The real clock, for both runtimes, and under every test kit's fake timers: whoever replaces the time finds
// the library on that time, and elapsed time never goes back when the two change over.

import { TIMER_DELAY_MS_MAX, type Scheduler, type Timer } from "../core/clock.ts";
import { armedOutside } from "./outside.ts";

/** On Node the global is a getter, which costs as much again as the reading itself. */
const { performance } = globalThis;

// oxlint-disable-next-line typescript/unbound-method -- compared, never called
const dateNow = Date.now;

/** Readings go on from here when their source changes, or goes back as Bun's does when faked. */
const reading = { lastMs: 0, offsetMs: 0, isReplaced: false, era: 0 };

function monotonic(): number {
  // Kits replace `Date` as a whole; to ask for it costs a nanosecond.
  const isReplaced = Date.now !== dateNow;
  const rawMs = isReplaced ? replacedMs() : performance.now();
  const nowMs = rawMs + reading.offsetMs;
  if (isReplaced !== reading.isReplaced || nowMs < reading.lastMs) return goOn(rawMs, isReplaced);
  return (reading.lastMs = nowMs);
}

/** From the last reading, by another source or one that went back. */
function goOn(rawMs: number, isReplaced: boolean): number {
  reading.isReplaced = isReplaced;
  // Whole, so that a test which advances by exactly what it waits for has waited for it.
  reading.lastMs = Math.ceil(reading.lastMs);
  reading.offsetMs = reading.lastMs - rawMs;
  reading.era += 1;
  return reading.lastMs;
}

/** A kit that replaces `Date` alone means it to be the time. */
function replacedMs(): number {
  const other = globalThis.performance;
  return other === performance ? Date.now() : other.now();
}

class SystemTimer implements Timer {
  readonly #callback: () => void;
  readonly #dueMs: number;
  #handle: ReturnType<typeof setTimeout>;
  /** A kit's own handles are for its own function. */
  #clear: typeof clearTimeout = clearTimeout;
  #era: number;

  constructor(callback: () => void, delayMs: number) {
    this.#callback = callback;
    this.#dueMs = monotonic() + delayMs;
    this.#era = reading.era;
    this.#handle = armedOutside(callback, Math.min(delayMs, TIMER_DELAY_MS_MAX));
    // A browser's, as some kits make them, is a number.
    this.#handle.unref?.();
  }

  cancel(): void {
    this.#clear.call(globalThis, this.#handle);
  }

  keepAlive(yes: boolean): void {
    if (yes && this.#era !== reading.era) this.#rearm();
    if (yes) this.#handle.ref?.();
    else this.#handle.unref?.();
  }

  /** It was set on a time that has been replaced since, and may never come on this one. */
  #rearm(): void {
    this.#era = reading.era;
    this.cancel();
    this.#clear = clearTimeout;
    const delayMs = Math.max(1, this.#dueMs - monotonic());
    this.#handle = armedOutside(this.#callback, Math.min(delayMs, TIMER_DELAY_MS_MAX));
  }
}

export const systemClock: Scheduler = Object.freeze({
  now: () => Date.now(),
  monotonic,
  setTimer: (callback: () => void, delayMs: number): Timer => new SystemTimer(callback, delayMs),
});
