// Whose probes come when. Of several replicas whose breakers have opened each lets its own in: one after the other, since
// an upstream that comes back is not to be met by all of them at once.

import type { Persisted } from "../breaker/persisted.ts";
import type { FleetStore } from "../fleet-port.ts";
import type { Scheduler } from "../ports.ts";

/** Questions under way at one time; a storm of trips waits for its turn here, too. */
const ASKING_MAX = 32;

export class Turns {
  readonly #store: FleetStore;
  readonly #scheduler: Scheduler;
  readonly #replicas: () => number;
  readonly #waiting = new Map<string, Persisted>();
  /** In which of its epochs each was last asked about: what has had its turn is not put off again. */
  readonly #askedIn = new WeakMap<Persisted, number>();
  readonly #asking = new Set<string>();

  constructor(store: FleetStore, scheduler: Scheduler, replicas: () => number) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#replicas = replicas;
  }

  /** It may have opened, or its probe have failed; of what lets no probe in nothing is asked. Where nobody answers, probes come when they are due. */
  take(upstream: Persisted): void {
    if (this.#replicas() < 2) return;
    if (this.#askedIn.get(upstream) === upstream.epoch) return;
    this.#waiting.set(upstream.name, upstream);
    this.#askAll();
  }

  #askAll(): void {
    for (const [name, upstream] of this.#waiting) {
      if (this.#asking.size >= ASKING_MAX) return;
      // One that has opened again meanwhile is asked about after that, not beside it.
      if (this.#asking.has(name)) continue;
      this.#waiting.delete(name);
      void this.#ask(upstream);
    }
  }

  async #ask(upstream: Persisted): Promise<void> {
    const { name, probesAt, epoch } = upstream;
    if (probesAt === null) return;
    this.#asking.add(name);
    this.#askedIn.set(upstream, epoch);
    try {
      const inMs = Math.max(0, probesAt - this.#scheduler.now());
      const spacingMs = inMs / this.#replicas();
      const byMs = await this.#store.turn(name, { inMs, spacingMs, windowMs: inMs });
      upstream.postpone(epoch, byMs);
    } catch {
      // They come when they are due.
    } finally {
      this.#asking.delete(name);
      this.#askAll();
    }
  }
}
