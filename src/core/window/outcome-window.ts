// The last hundred outcomes, whatever their age. An endpoint that never failed holds no storage: as
// long as no failure is kept, a success is only counted.

/** Outcomes kept at most. */
export const OUTCOMES_MAX = 100;

const FAILED = 1;
const OK = 0;

export class OutcomeWindow {
  /** A ring; holds as many marks of failure as `#failures` says, so it is all zeros when that is 0. */
  #marks: Uint8Array | undefined = undefined;
  #next = 0;
  #kept = 0;
  #failures = 0;

  get kept(): number {
    return this.#kept;
  }

  get failures(): number {
    return this.#failures;
  }

  get successes(): number {
    return this.#kept - this.#failures;
  }

  /** Successes among the kept, 0–1; 1 when none is kept. */
  get successRate(): number {
    return this.#failures === 0 ? 1 : (this.#kept - this.#failures) / this.#kept;
  }

  addOk(): void {
    if (this.#failures > 0) this.#push(OK);
    // All the same, so that it does not matter which one is forgotten.
    else if (this.#kept < OUTCOMES_MAX) this.#kept += 1;
  }

  addFailed(): void {
    this.#push(FAILED);
  }

  clear(): void {
    this.#marks = undefined;
    this.#kept = 0;
    this.#failures = 0;
  }

  #push(mark: number): void {
    const marks = (this.#marks ??= new Uint8Array(OUTCOMES_MAX));
    const next = this.#next;
    if (this.#kept < OUTCOMES_MAX) this.#kept += 1;
    else this.#failures -= marks[next] ?? OK;
    marks[next] = mark;
    this.#failures += mark;
    this.#next = next + 1 === OUTCOMES_MAX ? 0 : next + 1;
  }
}
