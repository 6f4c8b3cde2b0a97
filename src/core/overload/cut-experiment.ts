// Whether calls take long because there are too many of them, or because the work does.
//
// A limit that only compares latencies starves an upstream that became slower: it cuts, nothing gets
// quicker, it cuts again. So every row of cuts is read as an experiment. Had the calls been waiting for
// each other, fewer at once would have taken proportionally less time (Little's law at a constant rate);
// if they take as long as before, that is the work.
//
// With several replicas before one upstream the experiment deceives: what one of them gives up the others
// take, and nothing gets quicker either. Then its result counts only if the upstream was seen to become
// slower: latency jumped and fewer calls came back. Otherwise all replicas' drain decides, together.

/** How far latency must jump above the usual, and the rate fall below it. */
const JUMP = 2.5;
const FALL = 1.5;
/** A row of cuts must have gone this far before it says anything. */
const KEPT_MAX = 0.75;
/** By so much more, beyond noise, the latency must have risen for the row to be begun anew. */
const RISE = 1.25;
const NOISE = 1.5;
const USUAL_WEIGHT = 0.3;

export class CutExperiment {
  /** Where the row of cuts began; 0 when there is none. */
  #limit = 0;
  #medianMs = 0;
  #usualMs = 0;
  #usualRate = 0;
  #sawSlowdown = false;

  /** The limit that the row began with. */
  get limitBefore(): number {
    return this.#limit;
  }

  get medianMsBefore(): number {
    return this.#medianMs;
  }

  /** Whether the last row began with an upstream that became slower. */
  get sawSlowdown(): boolean {
    return this.#sawSlowdown;
  }

  end(): void {
    this.#limit = 0;
  }

  /** What a window was like in which nothing had to be cut. `rate`: successes a millisecond. */
  rememberUsual(medianMs: number, rate: number): void {
    this.#usualMs += (this.#usualMs === 0 ? 1 : USUAL_WEIGHT) * (medianMs - this.#usualMs);
    this.#usualRate += (this.#usualRate === 0 ? 1 : USUAL_WEIGHT) * (rate - this.#usualRate);
  }

  /** Before a cut of `limit`. True when it is the first of a row. */
  noteCut(limit: number, medianMs: number, rate: number, samples: number): boolean {
    const isFirst = this.#limit === 0;
    const risen = RISE + NOISE / Math.sqrt(samples);
    // An upstream that is still becoming slower makes what was measured before no comparison.
    if (!isFirst && medianMs <= risen * this.#medianMs) return false;
    if (isFirst) {
      this.#sawSlowdown = medianMs > JUMP * this.#usualMs && rate < this.#usualRate / FALL;
    }
    this.#limit = limit;
    this.#medianMs = medianMs;
    return isFirst;
  }

  /** Whether `medianMs` under `limit` is the work: half-way between the two hypotheses decides. */
  showsWork(limit: number, medianMs: number): boolean {
    // Infinite where there is no row.
    const kept = limit / this.#limit;
    if (kept > KEPT_MAX) return false;
    if (medianMs > RISE * this.#medianMs) return false;
    return medianMs > (this.#medianMs * (1 + kept)) / 2;
  }
}
