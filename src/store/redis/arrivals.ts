// Whether all pushes arrive: the store counts those that were sent, this those that came. A connection that lives is
// no proof, since a Cluster's nodes pass them on to each other on a best effort.

export class Arrivals {
  #arrived = 0;
  /** What the store had counted when none had arrived; undefined until it is asked. */
  #base: number | undefined = undefined;
  #counted = 0;

  /** A new connection: what came before is made up for by reading all. */
  begin(): void {
    this.#base = undefined;
  }

  arrived(): void {
    this.#arrived += 1;
  }

  /**
   * What the store counts now. True when some were lost, or when it counts less than before: it was emptied. Where
   * pushes may overtake the count they are given until the next time.
   */
  counted(count: number, isOrdered: boolean): boolean {
    const before = this.#counted;
    this.#counted = count;
    if (this.#base === undefined) {
      this.#base = count - this.#arrived;
      return false;
    }
    const due = isOrdered ? count : Math.min(before, count);
    if (count >= before && due - this.#base <= this.#arrived) return false;
    this.#base = count - this.#arrived;
    return true;
  }
}
