// Seeded choice.

import { SeededRandom } from "../../src/testing/index.ts";

export class Pick {
  readonly #random: SeededRandom;

  constructor(seed: number, index: number) {
    // Neighbours must not be alike.
    this.#random = new SeededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
    this.#random.next();
  }

  integer(below: number): number {
    return this.#random.integer(below);
  }

  /** True in `percent` of a hundred cases. */
  chance(percent: number): boolean {
    return this.#random.next() * 100 < percent;
  }

  of<T>(some: readonly T[]): T {
    const found = some[this.integer(some.length)];
    if (found === undefined) throw new RangeError("nothing to pick from");
    return found;
  }

  /** By weight. */
  weighted<T>(some: readonly (readonly [weight: number, item: T])[]): T {
    const sum = some.reduce((total, [weight]) => total + weight, 0);
    let at = this.#random.next() * sum;
    for (const [weight, item] of some) {
      at -= weight;
      if (at < 0) return item;
    }
    return this.of(some)[1];
  }

  /** `count` of them, made one by one. */
  times<T>(count: number, make: () => T): T[] {
    return Array.from({ length: count }, make);
  }
}
