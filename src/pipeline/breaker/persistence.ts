// Keeps the store in step with memory, and memory in step with other processes.
//
// Memory is authoritative. A change is written before the call that made it returns; when the store
// fails it is kept in the outbox, last state per upstream wins, and written again with growing pauses.
// What a success changes may wait a second, since losing it loses nothing. Nobody who calls an upstream
// ever sees a store's error.

import { StoreError } from "../../core/errors.ts";
import type { EventOf, RegistryEvent } from "../../core/events.ts";
import type {
  AuditAction,
  AuditEntry,
  ChainReport,
  HistoryQuery,
  Scheduler,
  Store,
  StoredBreaker,
} from "../ports.ts";
import { CheckedStore, faultOf, isBreach } from "./checked-store.ts";
import type { Keeper, StoreHealth } from "./keeper.ts";
import { Outbox } from "./outbox.ts";
import type { Persisted } from "./persisted.ts";
import { StoreFaults, type StoreErrorCount } from "./store-faults.ts";

/** Other processes' changes are looked for at most this often, and only when somebody asks. */
const POLL_MS = 1000;

/** Refused upstreams that are named; `pending` counts the rest, too. */
const REFUSED_SHOWN_MAX = 20;

type Adopt = (stored: readonly StoredBreaker[], isOurPast: (name: string) => boolean) => void;

export class Persistence implements Keeper {
  readonly #store: CheckedStore;
  readonly #scheduler: Scheduler;
  readonly #adopt: Adopt;
  readonly #faults: StoreFaults;
  readonly #outbox: Outbox;
  #pollDueMs: number;
  #loaded = false;
  /** Names that came since, whose rows are still to be read. */
  readonly #unread = new Set<string>();
  #closed = false;

  /** `adopt` takes over what was stored when it is loaded, else what another process changed. */
  constructor(
    store: Store,
    scheduler: Scheduler,
    hooks: { readonly emit: (event: RegistryEvent) => void; readonly adopt: Adopt },
  ) {
    this.#scheduler = scheduler;
    this.#adopt = hooks.adopt;
    this.#faults = new StoreFaults(scheduler, hooks.emit);
    this.#store = new CheckedStore(store, (op, fault) => this.#faults.add(op, fault));
    this.#outbox = new Outbox({
      store: this.#store,
      scheduler,
      faults: this.#faults,
      emit: hooks.emit,
      isRead: () => this.#isRead(),
      poll: () => this.#pollNow(),
    });
    this.#pollDueMs = this.#store.polls
      ? scheduler.monotonic() + POLL_MS
      : Number.POSITIVE_INFINITY;
  }

  /** Whether a look for other processes' changes can be due at all. */
  get polls(): boolean {
    return this.#store.polls;
  }

  /** The number of the store's last commit; undefined where it does not tell what was written later. */
  get revision(): number | undefined {
    return this.#store.revision;
  }

  /** Whether evidence is worth writing: a store in memory has nothing to outlive. */
  get isDurable(): boolean {
    return this.#store.isDurable;
  }

  /** Failures by operation and the store's code, for metrics. */
  get errors(): readonly StoreErrorCount[] {
    return [...this.#faults.counts.values()];
  }

  get auditsRefused(): ReadonlyMap<AuditAction, number> {
    return this.#outbox.auditsRefused;
  }

  /** Failures that were told and still hold. */
  get standingErrors(): readonly EventOf<"store-error">[] {
    return this.#faults.standing;
  }

  health(): StoreHealth {
    const { kind, location, recoveredFrom } = this.#store;
    const { isWell, pending, auditsDropped } = this.#outbox;
    let auditsRefused = 0;
    for (const count of this.auditsRefused.values()) auditsRefused += count;
    return {
      kind,
      location,
      ok: isWell,
      pending,
      refused: this.#outbox.refused(REFUSED_SHOWN_MAX),
      auditsDropped,
      auditsRefused,
      lastError: this.#faults.lastError,
      recoveredFrom,
    };
  }

  /** Reads the stored state. When that fails, memory starts empty and the retry reads it later. */
  load(): void {
    this.#tryLoad();
  }

  /** Reads what is stored of names that are new here; of all others it is what other processes did. */
  loadAgain(names: Iterable<string>): void {
    for (const name of names) this.#unread.add(name);
    if (this.#loaded) this.#tryLoad();
  }

  history(query: HistoryQuery): readonly AuditEntry[] {
    let stored: readonly AuditEntry[] = [];
    try {
      if (!this.#store.isBusy) stored = this.#store.history(query);
    } catch (error) {
      this.#faults.add("history", faultOf(error));
    }
    // What is not written yet has happened all the same.
    const waiting = this.#outbox.waiting.filter(
      (audit) => query.upstream === undefined || audit.upstream === query.upstream,
    );
    return [...waiting.toReversed(), ...stored].slice(0, query.limit);
  }

  /** Undefined where the store keeps no chain. What the store throws is counted, told and thrown. */
  verify(upstream: string): ChainReport | undefined {
    try {
      return this.#store.verify(upstream);
    } catch (error) {
      const fault = faultOf(error);
      this.#faults.add("history", fault);
      if (error instanceof StoreError) throw error;
      throw new StoreError(fault.code, fault.message, { cause: error });
    }
  }

  /** Writes now: durable when it returns, unless the store fails; `isSaved` then stays false. */
  saveNow(upstream: Persisted, audit?: AuditEntry): void {
    this.#outbox.saveNow(upstream, audit);
  }

  /** Writes the audit only: the attempt changed nothing. */
  saveAudit(audit: AuditEntry): void {
    this.#outbox.saveAudit(audit);
  }

  /** Writes within a second. */
  saveSoon(upstream: Persisted): void {
    this.#outbox.saveSoon(upstream);
  }

  /** Whether `poll` would look. Costs a comparison. */
  isPollDue(nowMs: number): boolean {
    return nowMs >= this.#pollDueMs;
  }

  /** Takes over what other processes changed, looking at most once a second. */
  poll(nowMs: number): void {
    if (nowMs < this.#pollDueMs || this.#closed || this.#store.isBusy) return;
    this.#pollDueMs = nowMs + POLL_MS;
    // What was never read is our own past, and the retry reads it as that.
    if (!this.#loaded) return;
    try {
      this.#pollNow();
    } catch (error) {
      this.#outbox.fail("poll", faultOf(error));
    }
  }

  /** Writes what waits. True when nothing is left. */
  flush(): boolean {
    return this.#outbox.flush();
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#outbox.close();
    try {
      this.#store.close();
    } catch (error) {
      this.#faults.add("close", faultOf(error));
    }
  }

  #pollNow(): void {
    let stored: readonly StoredBreaker[] | undefined;
    try {
      stored = this.#store.poll(this.#scheduler.now());
    } catch (error) {
      const fault = faultOf(error);
      // It will never tell of others; that is no reason to write nothing.
      if (!isBreach(fault.code)) throw error;
      this.#faults.add("poll", fault);
    }
    if (stored !== undefined) this.#adopt(stored, () => false);
  }

  /** Never write over a state that was not read: it may hold a trip. */
  #isRead(): boolean {
    return (this.#loaded && this.#unread.size === 0) || this.#tryLoad();
  }

  #tryLoad(): boolean {
    try {
      const stored = this.#store.load(this.#scheduler.now());
      const isFirst = !this.#loaded;
      const unread = new Set(this.#unread);
      this.#loaded = true;
      this.#unread.clear();
      this.#adopt(stored, (name) => isFirst || unread.has(name));
    } catch (error) {
      this.#outbox.fail("load", faultOf(error));
      return false;
    }
    return true;
  }
}
