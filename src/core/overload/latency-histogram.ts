// Quantiles of latencies at a constant cost for each: counts in buckets an eighth of an octave wide.
//
// A bucket is found by the position of the highest bit and the three bits below it, without a
// logarithm. Inside a bucket, samples are taken to be spread evenly; the error is then under 3 % for
// smooth distributions, and never above an eighth.

/** Latencies are counted in sixteenths of a millisecond. */
const UNITS_PER_MS = 16;
/** Half an hour; longer ones count as this long. */
const UNITS_MAX = 2 ** 25 - 1;
/** Below eight units each has a bucket of its own; then come eight for every octave up to the most. */
const BUCKETS = 8 + 8 * 22;

export class LatencyHistogram {
  readonly #counts = new Int32Array(BUCKETS);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Takes milliseconds ≥ 0; NaN, which would be no latency, counts as 0. */
  add(latencyMs: number): void {
    const units = latencyMs * UNITS_PER_MS;
    const whole = units < UNITS_MAX ? units | 0 : units > 0 ? UNITS_MAX : 0;
    const bucket = bucketOf(whole);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
  }

  /** Milliseconds that the share `quantile`, 0–1, of the samples does not exceed; 0 without samples. */
  quantileMs(quantile: number): number {
    if (this.#count === 0) return 0;
    let below = 0;
    const wanted = quantile * this.#count;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const here = this.#counts[bucket] ?? 0;
      if (here > 0 && below + here >= wanted) {
        const from = lowerEnd(bucket);
        const share = (wanted - below) / here;
        return (from + (lowerEnd(bucket + 1) - from) * share) / UNITS_PER_MS;
      }
      below += here;
    }
    return lowerEnd(BUCKETS) / UNITS_PER_MS;
  }

  clear(): void {
    if (this.#count === 0) return;
    this.#counts.fill(0);
    this.#count = 0;
  }
}

function bucketOf(units: number): number {
  if (units < 8) return units > 0 ? units : 0;
  const octave = 28 - Math.clz32(units);
  return 8 + octave * 8 + ((units >> octave) & 7);
}

/** In units; of the place behind the last bucket, its upper end. */
function lowerEnd(bucket: number): number {
  if (bucket < 8) return bucket;
  const octave = (bucket - 8) >> 3;
  return (8 + (bucket & 7)) * 2 ** octave;
}
