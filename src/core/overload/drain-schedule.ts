// When a limit is halved for a window, to see what calls take without a queue. BBR's idea, for TCP.
//
// At multiples of a period of the wall clock and without jitter, on purpose: replicas then drain at the same
// moment, and each sees what it did to the upstream. Alone, it would only see the others take its place.

/** First after the limit came to be needed, and as long as the last one taught something. */
const SOON_MS = 1000;
const EVERY_MS = 5000;
/** Once the base latency is confirmed. */
const SELDOM_MS = 2 * EVERY_MS;
/** A period is at least so many windows, or the experiments would cost more than they are worth. */
const SOON_WINDOWS = 3;
const WINDOWS = 10;
/** The limit must not have been needed for this long for the next time to be the first again. */
const CALM_MS = 3000;
/** Within this of a multiple of `EVERY_MS`, all replicas that need their limit drain. */
const TOGETHER_MS = 500;

export class DrainSchedule {
  readonly #phaseMs: number;
  #everyMs = SOON_MS;
  #nextMs = 0;
  #fullAtMs = Number.NEGATIVE_INFINITY;
  #isFirst = true;
  #isTogether = true;

  constructor(phaseMs: number) {
    this.#phaseMs = phaseMs;
  }

  get nextMs(): number {
    return this.#nextMs;
  }

  /** Whether it is the first since the limit came to be needed. */
  get isFirst(): boolean {
    return this.#isFirst;
  }

  /** Whether the other replicas drain at the same time: what it shows about the upstream is then true. */
  get isTogether(): boolean {
    return this.#isTogether;
  }

  /** After each window. True when a drain is due; `isFull` as of the window. One that is due waits until `isSettled`. */
  isDue(isFull: boolean, windowMs: number, nowMs: number, isSettled = true): boolean {
    if (isFull) this.#fullAtMs = nowMs;
    else if (nowMs - this.#fullAtMs > CALM_MS) {
      this.#everyMs = SOON_MS;
      this.#isFirst = true;
      this.#isTogether = true;
    }
    if (isFull && (nowMs < this.#nextMs || (!isSettled && this.#nextMs > 0))) return false;
    const isDue = isFull && this.#nextMs > 0;
    if (isDue && this.#sinceMultiple(nowMs) < TOGETHER_MS) this.#isTogether = true;
    this.#plan(windowMs, nowMs);
    return isDue;
  }

  /** A drain has ended. `taught`: the base latency changed; `rose`: it is higher, which must be verified. */
  ended(taught: boolean, rose: boolean, windowMs: number, nowMs: number): void {
    this.#isFirst = false;
    this.#isTogether = rose;
    if (taught) this.#everyMs = SOON_MS;
    else this.#everyMs = this.#everyMs === SOON_MS ? EVERY_MS : SELDOM_MS;
    this.#plan(windowMs, nowMs);
  }

  #plan(windowMs: number, nowMs: number): void {
    const windows = this.#everyMs === SOON_MS ? SOON_WINDOWS : WINDOWS;
    let period = this.#everyMs;
    while (period < windows * windowMs) period *= 2;
    const wallMs = nowMs + this.#phaseMs;
    this.#nextMs = (Math.floor(wallMs / period) + 1) * period - this.#phaseMs;
  }

  #sinceMultiple(nowMs: number): number {
    return (nowMs + this.#phaseMs) % EVERY_MS;
  }
}
