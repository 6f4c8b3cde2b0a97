// The source system's exponential backoff: each delay is drawn anew, and the attempts are counted
// here. Cooldowns of breakers are drawn once and kept; they do not use this.

import { backoffMs, jitteredMs } from "../core/retry/backoff.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import type { Random } from "../core/random.ts";
import { SYSTEM_RANDOM } from "./system-random.ts";

/** 2 to this power is the largest factor; further attempts wait as long. */
const ATTEMPT_MAX = 63;

const JITTER = 0.3;

export interface BackoffOptions {
  /** Where the spread is drawn from. Default: the runtime's own chance. */
  readonly random?: Random;
}

export class BackoffStrategy {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  /** Cut to whole milliseconds, the shortest delays would be none. */
  readonly #leastMs: number;
  #attempt = 0;

  /**
   * `baseDelayMs`: the delay that attempts double, ≥ 0. `maxDelayMs`: no delay is longer before its
   * spread, ≥ 0. None exceeds `Number.MAX_SAFE_INTEGER` after it.
   */
  constructor(baseDelayMs: number, maxDelayMs: number, { random }: BackoffOptions = {}) {
    const faults = Object.entries({ baseDelayMs, maxDelayMs })
      .filter(([, value]) => !(value >= 0))
      .map(([name, value]) => `${name} must be a number at least 0, not ${value}`);
    if (faults.length > 0) throw new InvalidOptionsError("BackoffStrategy", faults);
    this.#baseMs = baseDelayMs;
    this.#maxMs = maxDelayMs;
    this.#leastMs = this.#baseMs >= 1 && this.#maxMs >= 1 ? 1 : 0;
    this.#random = random ?? SYSTEM_RANDOM;
  }

  /** Attempts counted since the start or the last reset, at most 63. */
  get attempt(): number {
    return this.#attempt;
  }

  /**
   * Counts an attempt, and answers how long to wait before it: `min(base × 2^attempt, max)`, spread
   * evenly by ±30 %, in whole milliseconds. A timer takes at most 2,147,483,647 of them.
   */
  nextDelay(): number {
    this.#attempt = Math.min(this.#attempt + 1, ATTEMPT_MAX);
    return this.currentDelay();
  }

  /** The same for the attempts counted so far; drawn anew each time it is asked for. */
  currentDelay(): number {
    const backoff = { baseMs: this.#baseMs, factor: 2, maxMs: this.#maxMs };
    const delayMs = jitteredMs(backoffMs(backoff, this.#attempt), JITTER, this.#random);
    return Math.min(Math.max(Math.floor(delayMs), this.#leastMs), Number.MAX_SAFE_INTEGER);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
