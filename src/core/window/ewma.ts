// An exponentially weighted average of samples, and how much they vary around it.
//
// With δ the distance of a sample x from the average so far and α its weight:
//   value := value + α·δ,  variance := (1 − α)·(variance + α·δ²)
// which is West's incremental form, as given by Finch, "Incremental calculation of weighted mean
// and variance" (2009), §9. The first sample is the average, without variance.

/**
 * Below this a value is 0. An average that only sees zeros would otherwise end as a denormal
 * number for ever, and arithmetic on those is a hundred times slower on common processors.
 */
const NEGLIGIBLE = 1e-100;

export class Ewma {
  readonly #alpha: number;
  #value = 0;
  #variance = 0;
  #count = 0;

  /** `alpha`: weight of the newest sample, above 0, at most 1. At 1 only the newest counts. */
  constructor(alpha: number) {
    this.#alpha = alpha;
  }

  /** 0 before the first sample. */
  get value(): number {
    return this.#value;
  }

  get variance(): number {
    return this.#variance;
  }

  /** Square root of the variance. */
  get deviation(): number {
    return Math.sqrt(this.#variance);
  }

  /** Samples since the start. */
  get count(): number {
    return this.#count;
  }

  add(sample: number): void {
    this.#count += 1;
    // Then it has no distance, and nothing varies.
    if (this.#count === 1) this.#value = sample;
    const alpha = this.#alpha;
    const delta = sample - this.#value;
    const value = this.#value + alpha * delta;
    const variance = (1 - alpha) * (this.#variance + alpha * delta * delta);
    this.#value = value < NEGLIGIBLE && value > -NEGLIGIBLE ? 0 : value;
    this.#variance = variance < NEGLIGIBLE ? 0 : variance;
  }

  clear(): void {
    this.#value = 0;
    this.#variance = 0;
    this.#count = 0;
  }
}
