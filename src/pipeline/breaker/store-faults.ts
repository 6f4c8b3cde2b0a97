// Failures of the store, counted each and told rarely: once per interval with the number in between, a
// breach of the contract once for all, and what is lost for good every time.

import type { EventOf, RefusedAudit, RegistryEvent, StoreOperation } from "../../core/events.ts";
import type { Scheduler } from "../ports.ts";
import { isBreach, type StoreFault } from "./checked-store.ts";

/** A broken store is reported once per interval, with the number of failures in between. */
const REPORT_MS = 10_000;

/** Codes told apart; a store that makes a new one for each failure must not grow the metrics. */
const CODES_MAX = 100;
const OTHER_CODE = "OTHER";

/** Troubles that a listener who comes late is told of. */
const STANDING_MAX = 20;

type StoreErrorEvent = EventOf<"store-error">;

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
  readonly #toldBreaches = new Set<string>();
  readonly #breaches = new Map<string, StoreErrorEvent>();
  /** Of the trouble that lasts, by what it is. */
  readonly #troubles = new Map<string, StoreErrorEvent>();
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
    this.#add(op, fault, isBreach(fault.code) ? this.#breaches : undefined);
  }

  /** The same for what a recovery will end: its beginning is news, whatever was told before. */
  addTrouble(op: StoreOperation, fault: StoreFault): void {
    if (this.#troubles.size === 0) this.#dueMs = Number.NEGATIVE_INFINITY;
    this.#add(op, fault, this.#troubles);
  }

  /** A state that the store refuses while it takes others'. */
  tellRefused(upstream: string, fault: StoreFault): void {
    keep(this.#troubles, `refused ${upstream}`, this.#tell("commit", fault, { upstream }));
  }

  /** It takes that state after all. */
  taken(upstream: string): void {
    this.#troubles.delete(`refused ${upstream}`);
  }

  /** What no store has, and nobody can be told of later. */
  tellLost(audit: RefusedAudit, fault: StoreFault): void {
    this.#tell("commit", fault, { upstream: audit.upstream, audit });
  }

  /** What was told and still holds, for whoever comes to listen: the first failures often come before anybody can. */
  get standing(): readonly StoreErrorEvent[] {
    return [...this.#breaches.values(), ...this.#troubles.values()];
  }

  /** The next one is news again. */
  recovered(): void {
    this.#troubles.clear();
    this.#dueMs = Number.NEGATIVE_INFINITY;
  }

  #add(
    op: StoreOperation,
    fault: StoreFault,
    kept: Map<string, StoreErrorEvent> | undefined,
  ): void {
    this.count(op, fault);
    const key = `${op} ${fault.code}`;
    if (isBreach(fault.code)) {
      if (this.#toldBreaches.has(key)) return;
      this.#toldBreaches.add(key);
      keep(kept, key, this.#tell(op, fault, {}));
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
    keep(kept, key, this.#tell(op, fault, { suppressed }));
  }

  #tell(
    op: StoreOperation,
    { code, message }: StoreFault,
    about: {
      readonly upstream?: string;
      readonly audit?: RefusedAudit;
      readonly suppressed?: number;
    },
  ): StoreErrorEvent {
    const { upstream, audit, suppressed = 0 } = about;
    const at = this.#scheduler.now();
    const event = {
      type: "store-error",
      op,
      code,
      message,
      upstream,
      audit,
      at,
      suppressed,
    } as const;
    // A listener may change its own.
    this.#emit({ ...event });
    return event;
  }
}

function keep(
  events: Map<string, StoreErrorEvent> | undefined,
  key: string,
  event: StoreErrorEvent,
): void {
  if (events !== undefined && !events.has(key) && events.size < STANDING_MAX)
    events.set(key, event);
}
