// Upstreams whose state the store refuses while it takes others'. They are tried again with growing
// pauses, a few at a time and each for itself, so that they hold up nobody.

import type { Scheduler, Timer } from "../ports.ts";
import type { Persisted } from "./persisted.ts";

/** Tried at one time: each costs a failing transaction. */
const TRIES_MAX = 16;

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

export class SetAside {
  readonly #scheduler: Scheduler;
  readonly #retry: () => void;
  /** The longest untried first. */
  readonly #upstreams = new Map<string, Persisted>();
  #timer: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;

  constructor(scheduler: Scheduler, retry: () => void) {
    this.#scheduler = scheduler;
    this.#retry = retry;
  }

  get size(): number {
    return this.#upstreams.size;
  }

  has(name: string): boolean {
    return this.#upstreams.has(name);
  }

  names(most: number): string[] {
    return [...this.#upstreams.keys()].slice(0, most);
  }

  add(upstream: Persisted): void {
    upstream.isSaved = false;
    this.#upstreams.set(upstream.name, upstream);
    this.#arm();
  }

  /** Takes it out, to be written by who asked. */
  take(name: string): void {
    this.#upstreams.delete(name);
  }

  takeAll(): Persisted[] {
    const all = [...this.#upstreams.values()];
    this.#upstreams.clear();
    return all;
  }

  /** What comes next is tried soon. */
  calm(): void {
    this.#retryMs = RETRY_MS_MIN;
  }

  /** Those whose turn it is; the others come first the next time. */
  next(): Persisted[] {
    const turn = [...this.#upstreams.values()].slice(0, TRIES_MAX);
    for (const upstream of turn) {
      this.#upstreams.delete(upstream.name);
      this.#upstreams.set(upstream.name, upstream);
    }
    return turn;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#upstreams.clear();
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#scheduler.setTimer(() => {
      this.#timer = undefined;
      this.#retry();
      if (this.#upstreams.size > 0) this.#arm();
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }
}
