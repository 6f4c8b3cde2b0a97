// How long to wait the next time, when the last wait did not help. Chance is drawn by whoever keeps
// the result: a delay that is drawn anew each time it is looked at is no delay.

import type { Random } from "../random.ts";

export interface Backoff {
  /** The first delay. Above 0. */
  readonly baseMs: number;
  /** What each further delay is multiplied with. At least 1; 1 does not grow. */
  readonly factor: number;
  /** No delay is longer, before its jitter. */
  readonly maxMs: number;
}

/** `min(base × factor^step, max)`. `step` counts from 0; a power too large for a number is the max. */
export function backoffMs({ baseMs, factor, maxMs }: Backoff, step: number): number {
  return Math.min(baseMs * factor ** step, maxMs);
}

/**
 * Spreads a delay evenly over ± `ratio` of itself, so that many processes that opened together do
 * not probe together. Nothing is drawn for a ratio of 0.
 */
export function jitteredMs(delayMs: number, ratio: number, random: Random): number {
  return ratio === 0 ? delayMs : delayMs * (1 + ratio * (2 * random.next() - 1));
}
