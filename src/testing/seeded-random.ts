// Chance that repeats: the same seed gives the same numbers on every runtime.

import { InvalidOptionsError } from "../core/errors.ts";
import { show } from "../core/options.ts";
import type { Random } from "../core/random.ts";

/** Mulberry32, by Tommy Ettinger, public domain: 32 bits of state, good enough to shuffle tests. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    if (typeof seed !== "number" || Number.isNaN(seed)) {
      throw new InvalidOptionsError("new SeededRandom", [`takes a number, not ${show(seed)}`]);
    }
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** An integer from 0 to `below` − 1. */
  integer(below: number): number {
    return Math.floor(this.next() * below);
  }
}
