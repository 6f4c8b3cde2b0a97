// What replicas reported of what their breakers did by themselves, and by how many an order was backed: counted beside
// the store, which counts for itself.

import type { FleetChange } from "../../../src/pipeline/fleet-port.ts";

/** A report counts for so long, unless it comes again. */
const FRESH_MS = 600_000;

export class Reports {
  readonly #nowMs: () => number;
  /** By upstream, when each replica last said that it has tripped. */
  readonly #tripped = new Map<string, Map<string, number>>();
  /** By the id of an order. */
  readonly #backers = new Map<string, number>();
  readonly #heard = new Set<string>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A store has it, and has made an order of it or not. */
  hear(replica: string, { id, upstream, breaker }: FleetChange, isTaken: boolean): void {
    if (breaker === undefined) return;
    const nowMs = this.#nowMs();
    const tripped = this.#tripped.get(upstream) ?? new Map<string, number>();
    this.#tripped.set(upstream, tripped);
    // What comes again may come late: it ends no report that came after it.
    const isFirst = !this.#heard.has(id);
    this.#heard.add(id);
    if (breaker.isByPerson) {
      if (isFirst) tripped.clear();
    } else if (breaker.isTrip) tripped.set(replica, nowMs);
    else if (isFirst) tripped.delete(replica);
    if (!isTaken) return;
    const fresh = [...tripped.values()].filter((atMs) => atMs + FRESH_MS > nowMs);
    this.#backers.set(id, fresh.length);
  }

  backersOf(order: string): number {
    return this.#backers.get(order) ?? 0;
  }
}
