// How long calls take at present, and how fast they come back: what a limiter must know of any limit.

import type { LimitWindow } from "./limit-window.ts";

/** Shortest window; all last a power of two of it, so that those of replicas end together. */
const WINDOW_MS = 100;
const WINDOW_MS_MAX = WINDOW_MS * 2 ** 7;
/** Long enough for most calls that start in a window to end in it. */
const ROUND_TRIPS = 1.5;
/** Weight of the newest window. */
const WEIGHT = 0.5;
/** Where there is no deadline, calls of which nothing was heard are not waited for longer, milliseconds. */
const UNHEARD_MS_MAX = 30_000;
/** And not for less than this, at which nobody could fill an upstream by leaving it. */
const UNHEARD_MS_MIN = 10;

export class Pace {
  readonly #deadlineMs: number | undefined;
  #latencyMs = 0;
  #meanMs = 0;
  #gapMs = 0;

  constructor(deadlineMs: number | undefined) {
    this.#deadlineMs = deadlineMs;
  }

  /** Of the median call; 0 before the first. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /** Mean distance of two successes; 0 before the first. */
  get gapMs(): number {
    return this.#gapMs;
  }

  /** Length of a window. */
  get windowMs(): number {
    let windowMs = WINDOW_MS;
    while (windowMs < ROUND_TRIPS * this.#latencyMs && windowMs < WINDOW_MS_MAX) windowMs *= 2;
    return windowMs;
  }

  take(window: LimitWindow, nowMs: number): void {
    if (window.samples > 0) {
      const weight = this.#latencyMs === 0 ? 1 : WEIGHT;
      this.#latencyMs += weight * (window.quantileMs(0.5) - this.#latencyMs);
      this.#meanMs += weight * (window.meanMs - this.#meanMs);
    }
    // Calls that outlast their windows are never evidence while each window cuts: better a guess than none.
    if (this.#latencyMs === 0) {
      this.#latencyMs = window.staleMeanMs;
      this.#meanMs = window.staleMeanMs;
    }
    const rate = window.okRate(nowMs);
    if (rate > 0) this.#gapMs = 1 / rate;
  }

  /**
   * How long a permit is held on average: the mean of the calls that came back, or what Little's law makes
   * of how many are out and how few come back, which knows of a slowdown before the slow calls are there.
   */
  heldMs(window: LimitWindow, nowMs: number): number {
    const most = this.#deadlineMs ?? this.#meanMs;
    const over = Math.max(1, window.ended + window.ignored);
    const waitedMs = (window.meanInFlight * (nowMs - window.startMs)) / over;
    return Math.max(this.#meanMs, Math.min(most, waitedMs));
  }

  /**
   * How long a call that nobody will hear of is taken to go on after `ageMs`: as long as it takes until
   * everything now in flight has come back, less its age, but at least `baseMs`. No longer than others take,
   * nor, where it has taken longer already or nothing is known, than as long again: callers who leave at once
   * say nothing of the upstream, and would else fill it by leaving. At most a deadline.
   */
  restMs(ageMs: number, inFlight: number, baseMs: number): number {
    const most = this.#deadlineMs ?? UNHEARD_MS_MAX;
    const againMs = Math.max(this.#latencyMs - ageMs, ageMs, UNHEARD_MS_MIN);
    const queueMs = this.#gapMs === 0 ? most : Math.max(baseMs, inFlight * this.#gapMs - ageMs);
    return Math.min(most, queueMs, againMs);
  }
}
