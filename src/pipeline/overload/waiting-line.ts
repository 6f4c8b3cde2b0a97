// Calls of the most critical tier that wait for room, in the order in which they came. Short by its bound, and
// nobody stands in it for longer than its owner's timer says; see the limiter for why not the newest first.

export interface Waiting {
  /** Tries to be let in. True when that is decided, either way. */
  retry(): boolean;
}

export class WaitingLine {
  readonly #max: () => number;
  readonly #waiting = new Set<Waiting>();
  #isServing = false;

  constructor(max: () => number) {
    this.#max = max;
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Whoever is served stands in it already. */
  get hasRoom(): boolean {
    return this.#isServing || this.#waiting.size < this.#max();
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
  }

  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  /** Lets in whom there is room for. A call that ends while it is let in comes back here: once is enough. */
  serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      for (const waiting of this.#waiting) {
        if (!waiting.retry()) return;
        this.#waiting.delete(waiting);
      }
    } finally {
      this.#isServing = false;
    }
  }
}
