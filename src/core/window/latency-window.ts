// Mean and spread of the last fifty latencies, at the same cost however many are held.
//
// Running sums would do it with a subtraction for each latency that leaves, and after one huge
// latency has come and gone, what is left of the sum of squares is noise. So nothing is ever
// subtracted: the window is the newer block, still growing, and a rest of the older block that
// shrinks as the newer grows. For the older block the mean and the sum of squared deviations of
// every possible rest are worked out once, when the block is full; the two are joined when asked.
//
// Formulas: Welford (1962) for adding one, Chan, Golub and LeVeque (1979) for joining two. Both are
// exact for latencies that are all the same.

/** Latencies kept at most. */
export const LATENCIES_MAX = 50;

/** Eleven days. Longer ones count as this long: their squares must stay finite. */
export const LATENCY_MS_MAX = 1e9;

export class LatencyWindow {
  #newer: Float64Array | undefined = undefined;
  #count = 0;
  #mean = 0;
  /** Sum of squared deviations from the mean. */
  #squares = 0;
  /** Mean and sum of squares of the older block from each place on; it loses one per new latency. */
  #older: Float64Array | undefined = undefined;

  get kept(): number {
    return this.#older === undefined ? this.#count : LATENCIES_MAX;
  }

  /** Milliseconds; 0 when none is kept. */
  get mean(): number {
    const older = this.#older;
    if (older === undefined) return this.#mean;
    const rest = LATENCIES_MAX - this.#count;
    const restMean = older[2 * this.#count] ?? 0;
    return this.#mean + ((restMean - this.#mean) * rest) / LATENCIES_MAX;
  }

  /** Sample standard deviation (n − 1), milliseconds; 0 for fewer than two. */
  get jitter(): number {
    const { kept } = this;
    return kept < 2 ? 0 : Math.sqrt(this.#allSquares / (kept - 1));
  }

  /** Takes a finite latency ≥ 0, in milliseconds. */
  add(latencyMs: number): void {
    const newer = (this.#newer ??= new Float64Array(LATENCIES_MAX));
    const latency = latencyMs > LATENCY_MS_MAX ? LATENCY_MS_MAX : latencyMs;
    newer[this.#count] = latency;
    this.#count += 1;
    const delta = latency - this.#mean;
    this.#mean += delta / this.#count;
    this.#squares += delta * (latency - this.#mean);
    if (this.#count === LATENCIES_MAX) this.#turn(newer);
  }

  clear(): void {
    this.#newer = undefined;
    this.#older = undefined;
    this.#startBlock();
  }

  get #allSquares(): number {
    const older = this.#older;
    if (older === undefined) return this.#squares;
    const rest = LATENCIES_MAX - this.#count;
    const delta = (older[2 * this.#count] ?? 0) - this.#mean;
    const between = (delta * delta * this.#count * rest) / LATENCIES_MAX;
    return this.#squares + (older[2 * this.#count + 1] ?? 0) + between;
  }

  /** The newer block is full, so of the older nothing is left: the newer takes its place. */
  #turn(newer: Float64Array): void {
    const older = (this.#older ??= new Float64Array(2 * LATENCIES_MAX));
    this.#startBlock();
    for (let place = LATENCIES_MAX - 1; place >= 0; place -= 1) {
      const latency = newer[place] ?? 0;
      const delta = latency - this.#mean;
      this.#mean += delta / (LATENCIES_MAX - place);
      this.#squares += delta * (latency - this.#mean);
      older[2 * place] = this.#mean;
      older[2 * place + 1] = this.#squares;
    }
    this.#startBlock();
  }

  #startBlock(): void {
    this.#count = 0;
    this.#mean = 0;
    this.#squares = 0;
  }
}
