// What an upstream serves at its best, and how many calls may therefore be in flight.
//
// Little's law: with more in flight than rate × time, calls take longer than the time. So a deadline bounds a
// limit absolutely, whatever latencies are compared to. The best rate of late counts, as a lower one may only
// say that less was asked for; unless calls were too late by then, when more of them would not have helped.

/** Least share of the limit that is taken to be in flight: the rest is kept free for higher tiers. */
const USED_MIN = 0.7;
/** How long the best rate counts. */
const FADES_MS = 2500;

export class Capacity {
  /** Successes a millisecond. */
  #bestRate = 0;
  #atMs = 0;
  /** Share of the limit that is in flight on average. */
  #used = 1;

  /**
   * After a window in which the limit was needed. `rate`: successes a millisecond; `used`: share of the limit that
   * was in flight; `isBad`: its calls were too late.
   */
  remember(rate: number, used: number, nowMs: number, isBad: boolean): void {
    this.#used = Math.min(1, Math.max(USED_MIN, used));
    const faded = this.#bestRate * Math.exp((this.#atMs - nowMs) / FADES_MS);
    this.#atMs = nowMs;
    this.#bestRate = isBad ? rate : Math.max(rate, faded);
  }

  /** The limit with which calls take so long; `Infinity` while none has come back. */
  limitWithin(ms: number): number {
    if (this.#bestRate === 0) return Number.POSITIVE_INFINITY;
    return (this.#bestRate * ms) / this.#used;
  }
}
