// A token bucket: `perSecond` tokens come in, at most `burst` are kept, each call takes one. Pure: time is an
// argument, in milliseconds of a monotonic clock.
//
// Tokens are not added up. The bucket knows since when it has been counting and how many were taken since; how many
// are there follows from both. So no rounding adds up, whatever the number of calls, and a take costs a comparison
// (the virtual scheduling of the generic cell rate algorithm, ITU-T I.371, with the arrival times counted from an
// anchor). Once the bucket is full again it counts from then on: what nobody used does not pile up.
//
// A clock that stands still, or trembles, brings no tokens. One that goes back by more is taken for another clock:
// the bucket goes on from there with what it had, and is not closed for as long as the jump was. One that jumps ahead
// fills the bucket, once.

import { InvalidOptionsError } from "../errors.ts";
import { checkOptions, type OptionRules } from "../options.ts";

/** How many calls an upstream, or one kind of them, may be sent. */
export interface RateOptions {
  /** Calls a second on average; may be a fraction, such as 0.5. From 0.000001 to 1,000,000. */
  readonly perSecond: number;
  /**
   * Calls that may go at once after a pause, and after the start: a whole number from 1 to 1,000,000. Default:
   * those of a second, rounded up.
   */
  readonly burst?: number | undefined;
}

/** Checked, with the default filled in. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** The ranges, for the schema of the configuration, too. */
export const RATE_RANGES = {
  perSecond: { least: 1e-6, most: 1e6 },
  burst: { least: 1, most: 1e6 },
} as const;

const RULES: OptionRules<RateOptions> = {
  perSecond: RATE_RANGES.perSecond,
  burst: { ...RATE_RANGES.burst, whole: true },
};

/** Throws `InvalidOptionsError` with every fault. */
export function rateOf(subject: string, given: RateOptions): Rate {
  // A copy, so that what is checked is what is taken.
  const read = isPlain(given) ? { ...given } : given;
  checkOptions<RateOptions>(subject, read, RULES);
  const { perSecond, burst } = read;
  if (perSecond === undefined) {
    throw new InvalidOptionsError(subject, [
      "perSecond is missing; say how many calls a second may go, as in { perSecond: 5 }",
    ]);
  }
  return { perSecond, burst: burst ?? Math.ceil(perSecond) };
}

function isPlain(given: unknown): boolean {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}

/** A call that waited the exact time must find its token, whatever the last bit of the sum says: 0.1 µs. */
const TOLERANCE_MS = 1e-4;

/** A clock that goes back by less trembles; one that goes back by more is another clock. */
const TREMBLE_MS_MAX = 1000;

export class TokenBucket {
  #perSecond: number;
  #burst: number;
  /** Milliseconds for a token. */
  #intervalMs: number;
  /** The clock is counted from here; the bucket was full then. */
  #sinceMs: number;
  #takenSince: number;
  #latestMs: number;

  /** `isFull` false for a bucket that comes to calls which nobody has counted. */
  constructor(rate: Rate, nowMs: number, isFull: boolean) {
    this.#perSecond = rate.perSecond;
    this.#burst = rate.burst;
    this.#intervalMs = 1000 / rate.perSecond;
    this.#sinceMs = nowMs;
    this.#latestMs = nowMs;
    this.#takenSince = isFull ? 0 : rate.burst;
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  get burst(): number {
    return this.#burst;
  }

  /** Takes a token if there is one. Allocates nothing. */
  take(nowMs: number): boolean {
    if (!(nowMs >= this.#latestMs)) this.#goBack(nowMs);
    else if (nowMs < Number.POSITIVE_INFINITY) this.#latestMs = nowMs;
    const elapsedMs = this.#latestMs - this.#sinceMs;
    if (elapsedMs >= this.#takenSince * this.#intervalMs) {
      this.#sinceMs = this.#latestMs;
      this.#takenSince = 1;
      return true;
    }
    const dueMs = (this.#takenSince + 1 - this.#burst) * this.#intervalMs;
    if (elapsedMs < dueMs - TOLERANCE_MS) return false;
    this.#takenSince += 1;
    return true;
  }

  /** The token that was just taken was not used. */
  giveBack(): void {
    this.#takenSince -= 1;
  }

  /** Milliseconds until the next token; 0 when there is one. Changes nothing. */
  waitMs(nowMs: number): number {
    const dueMs = (this.#takenSince + 1 - this.#burst) * this.#intervalMs;
    const waitMs = dueMs - this.#elapsedMs(nowMs);
    return waitMs > TOLERANCE_MS ? waitMs : 0;
  }

  /** Whole tokens that are there, from 0 to `burst`. Changes nothing. */
  left(nowMs: number): number {
    return Math.floor(this.#level(nowMs) + TOLERANCE_MS / this.#intervalMs);
  }

  /** Whether forgetting it would grant nothing. */
  isFull(nowMs: number): boolean {
    return this.#elapsedMs(nowMs) >= this.#takenSince * this.#intervalMs;
  }

  /** Goes on at another rate with the tokens that are there, as far as they fit: a change is no burst. */
  change(rate: Rate, nowMs: number): void {
    const level = this.#level(nowMs);
    this.#latestMs = this.#sinceMs + this.#elapsedMs(nowMs);
    this.#sinceMs = this.#latestMs;
    this.#perSecond = rate.perSecond;
    this.#burst = rate.burst;
    this.#intervalMs = 1000 / rate.perSecond;
    this.#takenSince = rate.burst - level;
  }

  /** A fraction of a token is on its way. */
  #level(nowMs: number): number {
    const level = this.#burst - this.#takenSince + this.#elapsedMs(nowMs) / this.#intervalMs;
    return Math.min(level, this.#burst);
  }

  #elapsedMs(nowMs: number): number {
    const isLater = nowMs > this.#latestMs && nowMs < Number.POSITIVE_INFINITY;
    return (isLater ? nowMs : this.#latestMs) - this.#sinceMs;
  }

  /** Also of what is no time: then it stands still. */
  #goBack(nowMs: number): void {
    const backMs = this.#latestMs - nowMs;
    if (!(backMs > TREMBLE_MS_MAX && backMs < Number.POSITIVE_INFINITY)) return;
    this.#sinceMs -= backMs;
    this.#latestMs = nowMs;
  }
}
