// Who has taken over what a person ordered here: the answer to "is it in force everywhere?".

import type { Scheduler } from "../ports.ts";

export interface Receipts {
  /** Whether the store has it; false while it is away. */
  readonly isStored: boolean;
  /** Whether another person's order, which whoever gave it knew nothing of, counts more: it is not in force. */
  readonly isOverruled: boolean;
  /** Replicas that have taken it over, this one included. */
  readonly confirmed: readonly string[];
  /** Replicas that were heard of lately, and have not. */
  readonly missing: readonly string[];
}

interface Waiting {
  readonly id: string;
  isStored: boolean;
  isOverruled: boolean;
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
      isOverruled: false,
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

  overruled(upstream: string, id: string): void {
    const waiting = this.#waiting.get(upstream);
    if (waiting?.id !== id) return;
    waiting.isOverruled = true;
    waiting.confirmed.clear();
    wake(waiting);
  }

  received(id: string, replica: string): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.id !== id || waiting.isOverruled) continue;
      waiting.confirmed.add(replica);
      wake(waiting);
    }
  }

  /** As soon as all have, or it is overruled, else after `timeoutMs`; undefined where nobody has ordered anything here. */
  async of(
    upstream: string,
    timeoutMs: number,
    look?: () => Promise<void>,
  ): Promise<Receipts | undefined> {
    // Of the order that is the newest now: another one may come while somebody waits.
    const waiting = this.#waiting.get(upstream);
    if (waiting === undefined) return undefined;
    // Whoever has come since the last beat is waited for, too.
    if (look !== undefined) await look();
    if (this.#isDecided(waiting)) return this.#receiptsOf(waiting);
    await new Promise<void>((done) => {
      const end = (): void => {
        timer.cancel();
        waiting.wake.delete(listener);
        done();
      };
      const listener = (): void => {
        if (this.#isDecided(waiting)) end();
      };
      const timer = this.#scheduler.setTimer(end, timeoutMs);
      // Somebody waits for the answer.
      timer.keepAlive(true);
      waiting.wake.add(listener);
    });
    return this.#receiptsOf(waiting);
  }

  #isDecided(waiting: Waiting): boolean {
    if (waiting.isOverruled) return true;
    return waiting.isStored && this.#receiptsOf(waiting).missing.length === 0;
  }

  #receiptsOf({ isStored, isOverruled, confirmed }: Waiting): Receipts {
    const missing = this.#replicas().filter((replica) => !confirmed.has(replica));
    return {
      isStored,
      isOverruled,
      confirmed: [...confirmed].toSorted(),
      missing: missing.toSorted(),
    };
  }
}

function wake({ wake: listeners }: Waiting): void {
  for (const listener of listeners) listener();
}
