// The most recent calls, bounded by number and by age together: whichever holds fewer counts.
//
// A ring of times and marks with running sums, so that recording costs the same whether it holds a
// hundred calls or a hundred thousand. Each call is written once and forgotten once. What has grown
// old is dropped when something is written, and is not counted when something is read: failures of
// an hour ago are no evidence, however long nobody called.
//
// It grows with use and gives large storage back when it is cleared: ten thousand breakers that
// nobody calls hold no rings. It does not decide anything; the ratios are its owner's.

const FAILED = 1;
const SLOW = 2;

/** First storage. Breakers of rarely called upstreams never need more. */
const CAPACITY_MIN = 16;

/** Storage that survives clearing, in calls: 128 take 1,152 bytes. */
const CAPACITY_KEPT = 128;

export interface WindowCounts {
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
}

export class CallWindow implements WindowCounts {
  readonly #sizeMax: number;
  readonly #durationMs: number;
  #times: Float64Array | undefined = undefined;
  #marks: Uint8Array | undefined = undefined;
  #oldest = 0;
  #newestMs = 0;
  #calls = 0;
  #failures = 0;
  #slow = 0;

  constructor(limits: { readonly sizeMax: number; readonly durationMs: number }) {
    this.#sizeMax = limits.sizeMax;
    this.#durationMs = limits.durationMs;
  }

  /** As of the last write, as are the other two: exact right after `add`. */
  get calls(): number {
    return this.#calls;
  }

  get failures(): number {
    return this.#failures;
  }

  get slow(): number {
    return this.#slow;
  }

  /** Calls that there is storage for. */
  get capacity(): number {
    return this.#times?.length ?? 0;
  }

  add(nowMs: number, isFailed: boolean, isSlow: boolean): void {
    this.#forgetOld(nowMs);
    if (this.#calls === this.#sizeMax) this.#forgetOldest();
    let times = this.#times;
    let marks = this.#marks;
    if (times === undefined || marks === undefined || this.#calls === times.length) {
      [times, marks] = this.#grow();
    }
    let index = this.#oldest + this.#calls;
    if (index >= times.length) index -= times.length;
    times[index] = nowMs;
    marks[index] = (isFailed ? FAILED : 0) + (isSlow ? SLOW : 0);
    this.#newestMs = nowMs;
    this.#calls += 1;
    if (isFailed) this.#failures += 1;
    if (isSlow) this.#slow += 1;
  }

  /** What counts at this moment. Changes nothing, so it walks past what has grown old. */
  countsAt(nowMs: number): WindowCounts {
    let { calls, failures, slow } = this;
    if (calls === 0 || nowMs - this.#newestMs > this.#durationMs) {
      return { calls: 0, failures: 0, slow: 0 };
    }
    const times = this.#times ?? [];
    let index = this.#oldest;
    while (nowMs - (times[index] ?? 0) > this.#durationMs) {
      const mark = this.#marks?.[index] ?? 0;
      calls -= 1;
      if ((mark & FAILED) !== 0) failures -= 1;
      if ((mark & SLOW) !== 0) slow -= 1;
      index = index + 1 === times.length ? 0 : index + 1;
    }
    return { calls, failures, slow };
  }

  clear(): void {
    this.#calls = 0;
    this.#failures = 0;
    this.#slow = 0;
    if (this.capacity <= CAPACITY_KEPT) return;
    this.#times = undefined;
    this.#marks = undefined;
  }

  #forgetOld(nowMs: number): void {
    // After a silence all of it is old: no need to look at each.
    if (nowMs - this.#newestMs > this.#durationMs) this.clear();
    while (this.#calls > 0 && nowMs - (this.#times?.[this.#oldest] ?? 0) > this.#durationMs) {
      this.#forgetOldest();
    }
  }

  #forgetOldest(): void {
    const mark = this.#marks?.[this.#oldest] ?? 0;
    if ((mark & FAILED) !== 0) this.#failures -= 1;
    if ((mark & SLOW) !== 0) this.#slow -= 1;
    this.#calls -= 1;
    this.#oldest = this.#oldest + 1 === this.#times?.length ? 0 : this.#oldest + 1;
  }

  /** Doubles the storage: each call is copied at most once on average. */
  #grow(): [Float64Array, Uint8Array] {
    const capacity = Math.min(this.#sizeMax, Math.max(CAPACITY_MIN, this.#calls * 2));
    const times = new Float64Array(capacity);
    const marks = new Uint8Array(capacity);
    if (this.#times !== undefined && this.#marks !== undefined) {
      // The ring is full: from the oldest to the end, then from the start to the newest.
      const head = this.#times.length - this.#oldest;
      times.set(this.#times.subarray(this.#oldest));
      times.set(this.#times.subarray(0, this.#oldest), head);
      marks.set(this.#marks.subarray(this.#oldest));
      marks.set(this.#marks.subarray(0, this.#oldest), head);
    }
    this.#oldest = 0;
    this.#times = times;
    this.#marks = marks;
    return [times, marks];
  }
}
