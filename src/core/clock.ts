// Time as an argument. Intervals are measured on a clock that never jumps; the wall clock only
// dates what people and databases read. Timers are a port too, so that tests own all three.

/** A source of time. Implementations: `runtime/system-clock.ts`, `testing/virtual-clock.ts`. */
export interface Clock {
  /** Wall-clock time, integer epoch milliseconds. May jump in either direction. */
  now(): number;
  /** Milliseconds since an arbitrary origin. Never goes back. */
  monotonic(): number;
}

/** A timer that can be cancelled. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
  /** Whether a pending timer keeps the process alive. */
  keepAlive(yes: boolean): void;
}

/** Clock with timers, for what must act without being called: deadlines and write retries. */
export interface Scheduler extends Clock {
  /** Calls `callback` once after `delayMs`. It does not keep the process alive unless asked to. */
  setTimer(callback: () => void, delayMs: number): Timer;
}

/** Longest delay that Node and Bun honour: they fire anything longer after 1 ms. */
export const TIMER_DELAY_MS_MAX = 2_147_483_647;
