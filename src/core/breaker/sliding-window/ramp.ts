// The way back to full traffic: a recovered upstream with cold caches and empty pools falls over
// again when everybody returns at once. A share of the calls is let in, a larger one with each step.
//
// The share is kept by counting, not by chance: of every twenty calls at 5 % exactly one is let in,
// and the first of each step always is. A step ends with enough successes; where calls are so rare
// that this would take hours, with one success after `stepMs`. What trips the breaker meanwhile is
// its owner's affair, and so is whether the evidence allows a step.

/** Shares let in, one step after another; after the last the breaker is closed. */
export const RAMP_PERCENT: readonly number[] = Object.freeze([5, 10, 25, 50]);

const WHOLE = 100;

export class Ramp {
  readonly #successesNeeded: number;
  readonly #stepMs: number;
  #step: number;
  #sinceMs: number;
  #successes = 0;
  /** Hundredths of a call that may be let in. */
  #credit = 0;

  constructor(
    settings: { readonly rampSuccesses: number; readonly rampStepMs: number },
    step: number,
    nowMs: number,
  ) {
    this.#successesNeeded = settings.rampSuccesses;
    this.#stepMs = settings.rampStepMs;
    this.#step = step;
    this.#sinceMs = nowMs;
    this.#fill();
  }

  get step(): number {
    return this.#step;
  }

  /** When one success is enough to end the step. */
  get stepDueMs(): number {
    return this.#sinceMs + this.#stepMs;
  }

  /** Whether the next call may pass; counts it. */
  admits(): boolean {
    this.#credit += this.#percent;
    if (this.#credit < WHOLE) return false;
    this.#credit -= WHOLE;
    return true;
  }

  countSuccess(): void {
    this.#successes += 1;
  }

  /** To be asked after a success: without one no step ends. */
  isStepDone(nowMs: number): boolean {
    return this.#successes >= this.#successesNeeded || nowMs >= this.stepDueMs;
  }

  /** Goes on to the next step. False after the last. */
  advance(nowMs: number): boolean {
    if (this.#step + 1 >= RAMP_PERCENT.length) return false;
    this.#step += 1;
    this.#sinceMs = nowMs;
    this.#successes = 0;
    this.#fill();
    return true;
  }

  get #percent(): number {
    return RAMP_PERCENT[this.#step] ?? WHOLE;
  }

  /** The first call of a step is let in: without it nothing would be learnt where calls are rare. */
  #fill(): void {
    this.#credit = WHOLE - this.#percent;
  }
}
