// State that lives as long as the process: the default of the library, and the yardstick that the
// durable stores are tested against. No other process can write here, so there is nothing to poll.

import type {
  AuditEntry,
  HistoryQuery,
  Store,
  StoreChange,
  StoredBreaker,
} from "../pipeline/ports.ts";
import { boundAudit, checkHistoryQuery } from "./audit.ts";

/** Audits kept: years of trips, in a few megabytes. */
const AUDITS_MAX = 10_000;

export function memoryStore(): Store {
  return new MemoryStore();
}

class MemoryStore implements Store {
  readonly kind = "memory";
  readonly durable = false;
  readonly location = "memory";
  readonly #breakers = new Map<string, StoredBreaker>();
  /** A ring: the audit numbered n stands at n modulo the bound. */
  readonly #audits: AuditEntry[] = [];
  #auditsWritten = 0;

  load(): readonly StoredBreaker[] {
    return [...this.#breakers.values()];
  }

  commit({ breakers, audits }: StoreChange): void {
    for (const breaker of breakers) this.#breakers.set(breaker.upstream, breaker);
    for (const audit of audits) {
      this.#audits[this.#auditsWritten % AUDITS_MAX] = boundAudit(audit);
      this.#auditsWritten += 1;
    }
  }

  history(query: HistoryQuery): readonly AuditEntry[] {
    checkHistoryQuery(query);
    const oldest = this.#auditsWritten % AUDITS_MAX;
    return (
      [...this.#audits.slice(oldest), ...this.#audits.slice(0, oldest)]
        .toReversed()
        .filter(({ upstream }) => query.upstream === undefined || upstream === query.upstream)
        // Stable, so audits of one millisecond stay newest first.
        .toSorted((left, right) => right.at - left.at)
        .slice(0, query.limit)
    );
  }

  close(): void {
    // Nothing is held that the collector would not free.
  }
}
