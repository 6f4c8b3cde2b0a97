// Failures of the store, counted each and told rarely: once per interval with the number in between, a
// breach of the contract once for all, and what is lost for good every time.

import type { RefusedAudit, RegistryEvent, StoreOperation } from "../../core/events.ts";
import type { Scheduler } from "../ports.ts";
import { isBreach, type StoreFault } from "./checked-store.ts";

/** A broken store is reported once per interval, with the number of failures in between. */
const REPORT_MS = 10_000;

/** Codes told apart; a store that makes a new one for each failure must not grow the metrics. */
const CODES_MAX = 100;
const OTHER_CODE = "OTHER";

export interface StoreErrorCount {
  readonly op: StoreOperation;
  readonly code: string;
  count: number;
}

export class StoreFaults {
  /** Failures by operation and the store's code, for metrics. */
  readonly counts = new Map<string, StoreErrorCount>();
  lastError: string | null = null;
  readonly #scheduler: Scheduler;
  readonly #emit: (event: RegistryEvent) => void;
  readonly #breaches = new Set<string>();
  #dueMs = Number.NEGATIVE_INFINITY;
  #suppressed = 0;

  constructor(scheduler: Scheduler, emit: (event: RegistryEvent) => void) {
    this.#scheduler = scheduler;
    this.#emit = emit;
  }

  count(op: StoreOperation, { code, message }: StoreFault): void {
    this.lastError = `${code}: ${message}`;
    const key = `${op} ${code}`;
    const isFull = this.counts.size >= CODES_MAX && !this.counts.has(key);
    const counted = isFull ? OTHER_CODE : code;
    const place = `${op} ${counted}`;
    const counter = this.counts.get(place) ?? { op, code: counted, count: 0 };
    counter.count += 1;
    this.counts.set(place, counter);
  }

  /** Counts it, and tells of it where that is due. */
  add(op: StoreOperation, fault: StoreFault): void {
    this.count(op, fault);
    if (isBreach(fault.code)) {
      const key = `${op} ${fault.code}`;
      if (this.#breaches.has(key)) return;
      this.#breaches.add(key);
      this.tell(op, fault, {});
      return;
    }
    const nowMs = this.#scheduler.monotonic();
    if (nowMs < this.#dueMs) {
      this.#suppressed += 1;
      return;
    }
    this.#dueMs = nowMs + REPORT_MS;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.tell(op, fault, { suppressed });
  }

  tell(
    op: StoreOperation,
    { code, message }: StoreFault,
    about: {
      readonly upstream?: string;
      readonly audit?: RefusedAudit;
      readonly suppressed?: number;
    },
  ): void {
    const { upstream, audit, suppressed = 0 } = about;
    const at = this.#scheduler.now();
    this.#emit({ type: "store-error", op, code, message, upstream, audit, at, suppressed });
  }

  /** The next one is news again. */
  recovered(): void {
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }
}
