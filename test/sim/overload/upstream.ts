// An upstream of finite capacity, as overload.md 5b has it: so many workers, one queue without end in
// arrival order, log-normal service times. Work that its caller has given up is done all the same.

import type { Random } from "../../../src/core/random.ts";

/** Standard deviation of the logarithm of service times. */
const SIGMA = 0.5;

/** What an upstream is capable of at a moment. */
export interface Capability {
  readonly workers: number;
  /** Mean time that a call takes when nothing waits. */
  readonly meanMs: number;
  /** Until when nothing that begins now goes on: an upstream that hangs. */
  readonly hangsUntilMs: number;
}

export class Upstream {
  readonly #random: Random;
  /** Binary heap of the calls being served, by when they end. */
  readonly #ends: number[] = [];
  readonly #served: number[] = [];
  #queue: number[] = [];
  #first = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** When the next call ends; `Infinity` when none is served. */
  get nextEndMs(): number {
    return this.#ends[0] ?? Number.POSITIVE_INFINITY;
  }

  get queued(): number {
    return this.#queue.length - this.#first;
  }

  get busy(): number {
    return this.#ends.length;
  }

  arrive(call: number, able: Capability, nowMs: number): void {
    this.#queue.push(call);
    this.#work(able, nowMs);
  }

  /** The call that ends at `nextEndMs`. */
  end(able: Capability): number {
    const nowMs = this.nextEndMs;
    const call = this.#served[0] ?? -1;
    this.#popEnd();
    this.#work(able, nowMs);
    return call;
  }

  #work(able: Capability, nowMs: number): void {
    const startMs = Math.max(nowMs, able.hangsUntilMs);
    while (this.#first < this.#queue.length && this.#ends.length < able.workers) {
      const call = this.#queue[this.#first] ?? -1;
      this.#first += 1;
      this.#pushEnd(startMs + this.#serviceMs(able.meanMs), call);
    }
    if (this.#first > 10_000 && this.#first * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
  }

  #serviceMs(meanMs: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random.next()));
    const normal = radius * Math.cos(2 * Math.PI * this.#random.next());
    return meanMs * Math.exp(SIGMA * normal - (SIGMA * SIGMA) / 2);
  }

  #pushEnd(endMs: number, call: number): void {
    const ends = this.#ends;
    const served = this.#served;
    let at = ends.length;
    ends.push(endMs);
    served.push(call);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((ends[parent] ?? 0) <= endMs) break;
      ends[at] = ends[parent] ?? 0;
      served[at] = served[parent] ?? 0;
      at = parent;
    }
    ends[at] = endMs;
    served[at] = call;
  }

  #popEnd(): void {
    const ends = this.#ends;
    const served = this.#served;
    const endMs = ends.pop() ?? 0;
    const call = served.pop() ?? 0;
    const size = ends.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (ends[child + 1] ?? 0) < (ends[child] ?? 0)) child += 1;
      if ((ends[child] ?? 0) >= endMs) break;
      ends[at] = ends[child] ?? 0;
      served[at] = served[child] ?? 0;
      at = child;
    }
    ends[at] = endMs;
    served[at] = call;
  }
}
