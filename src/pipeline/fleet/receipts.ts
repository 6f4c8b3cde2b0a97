// Who has taken over what a person ordered here: the answer to "is it in force everywhere?".

import type { Scheduler, Timer } from "../ports.ts";

export interface Receipts {
  /** Whether the store has it; false while it is away. */
  readonly isStored: boolean;
  /** Replicas that have taken it over, this one included. */
  readonly confirmed: readonly string[];
  /** Replicas that were heard of lately, and have not. */
  readonly missing: readonly string[];
}

interface Waiting {
  readonly id: string;
  isStored: boolean;
  readonly confirmed: Set<string>;
  readonly wake: Set<() => void>;
}

/** By upstream, the newest order of a person here. */
export class ReceiptBook {
  readonly #own: string;
  readonly #scheduler: Scheduler;
  readonly #replicas: () => readonly string[];
  readonly #waiting = new Map<string, Waiting>();

  constructor(own: string, scheduler: Scheduler, replicas: () => readonly string[]) {
    this.#own = own;
    this.#scheduler = scheduler;
    this.#replicas = replicas;
  }

  begin(upstream: string, id: string): void {
    this.#waiting.set(upstream, {
      id,
      isStored: false,
      confirmed: new Set([this.#own]),
      wake: new Set(),
    });
  }

  stored(upstream: string, id: string): void {
    const waiting = this.#waiting.get(upstream);
    if (waiting?.id !== id) return;
    waiting.isStored = true;
    wake(waiting);
  }

  received(id: string, replica: string): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.id !== id) continue;
      waiting.confirmed.add(replica);
      wake(waiting);
    }
  }

  /** As soon as all have, else after `timeoutMs`; undefined where nobody has ordered anything here. */
  async of(upstream: string, timeoutMs: number): Promise<Receipts | undefined> {
    const waiting = this.#waiting.get(upstream);
    if (waiting === undefined) return undefined;
    let timer: Timer | undefined;
    let isLate = false;
    const late = new Promise<void>((done) => {
      timer = this.#scheduler.setTimer(() => {
        isLate = true;
        done();
      }, timeoutMs);
    });
    while (!isLate && !this.#isComplete(waiting)) {
      let listener: (() => void) | undefined;
      const woken = new Promise<void>((done) => {
        listener = done;
        waiting.wake.add(done);
      });
      await Promise.race([woken, late]);
      if (listener !== undefined) waiting.wake.delete(listener);
    }
    timer?.cancel();
    return this.#receiptsOf(waiting);
  }

  #isComplete(waiting: Waiting): boolean {
    return waiting.isStored && this.#receiptsOf(waiting).missing.length === 0;
  }

  #receiptsOf({ isStored, confirmed }: Waiting): Receipts {
    const missing = this.#replicas().filter((replica) => !confirmed.has(replica));
    return { isStored, confirmed: [...confirmed].toSorted(), missing: missing.toSorted() };
  }
}

function wake({ wake: listeners }: Waiting): void {
  for (const listener of listeners) listener();
}
