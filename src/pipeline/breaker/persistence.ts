// Keeps the store in step with memory, and memory in step with other processes.
//
// Memory is authoritative. A change is written before the call that made it returns; when the store
// fails it is kept here, last state per upstream wins, and written again with growing pauses. What
// a success changes may wait a second, since losing it loses nothing. Nobody who calls an upstream
// ever sees a store's error.

import type { RegistryEvent, StoreOperation } from "../../core/events.ts";
import { StoreError } from "../../core/errors.ts";
import { errorText } from "../../core/classify.ts";
import {
  STALE,
  type AuditEntry,
  type HistoryQuery,
  type Scheduler,
  type Store,
  type StoredBreaker,
  type Timer,
} from "../ports.ts";

/** What persistence needs of an upstream: its present state, at the moment of writing. */
export interface Persisted {
  readonly name: string;
  toStored(): StoredBreaker;
  /** Set when the state is handed over, cleared when memory has something newer. */
  isSaved: boolean;
}

/** Successes are written at most this often. */
const COALESCE_MS = 1000;

/** Other processes' changes are looked for at most this often, and only when somebody asks. */
const POLL_MS = 1000;

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

/** Audits waiting for a broken store; beyond it the oldest are dropped and counted. */
const AUDITS_MAX = 10_000;

/** Others who write between our look and our write, again and again: after so many it is written anyway. */
const RACES_MAX = 5;

/** A broken store is reported once per interval, with the number of failures in between. */
const REPORT_MS = 10_000;

export interface StoreHealth {
  readonly kind: string;
  readonly location: string;
  readonly ok: boolean;
  /** Upstreams whose last change is not stored yet. */
  readonly pending: number;
  readonly auditsDropped: number;
  readonly lastError: string | null;
  /** A broken file was put aside when the store was opened. */
  readonly recoveredFrom: string | null;
}

export class Persistence {
  readonly #store: Store;
  readonly #scheduler: Scheduler;
  readonly #emit: (event: RegistryEvent) => void;
  readonly #adopt: (stored: readonly StoredBreaker[], isOurPast: (name: string) => boolean) => void;
  /** Failures by operation and the store's code, for metrics. */
  readonly errors = new Map<string, { op: StoreOperation; code: string; count: number }>();

  readonly #changed = new Map<string, Persisted>();
  #audits: AuditEntry[] = [];
  #auditsDropped = 0;
  #timer: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;
  #failing = false;
  #lastError: string | null = null;
  #reportDueMs = Number.NEGATIVE_INFINITY;
  #suppressed = 0;
  #pollDueMs: number;
  #loaded = false;
  /** Names that came since, whose rows are still to be read. */
  readonly #unread = new Set<string>();
  #closed = false;

  constructor(
    store: Store,
    scheduler: Scheduler,
    hooks: {
      readonly emit: (event: RegistryEvent) => void;
      /** Takes over what was stored when it is loaded, else what another process changed. */
      readonly adopt: (
        stored: readonly StoredBreaker[],
        isOurPast: (name: string) => boolean,
      ) => void;
    },
  ) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#emit = hooks.emit;
    this.#adopt = hooks.adopt;
    this.#pollDueMs =
      store.poll === undefined ? Number.POSITIVE_INFINITY : scheduler.monotonic() + POLL_MS;
  }

  /** Whether a look for other processes' changes can be due at all. */
  get polls(): boolean {
    return this.#store.poll !== undefined;
  }

  /** Whether evidence is worth writing: a store in memory has nothing to outlive. */
  get isDurable(): boolean {
    return this.#store.durable;
  }

  health(): StoreHealth {
    return {
      kind: this.#store.kind,
      location: this.#store.location,
      ok: !this.#failing,
      pending: this.#failing ? this.#changed.size : 0,
      auditsDropped: this.#auditsDropped,
      lastError: this.#lastError,
      recoveredFrom: this.#store.recoveredFrom ?? null,
    };
  }

  /** Reads the stored state. When that fails, memory starts empty and the retry reads it later. */
  load(): void {
    if (!this.#tryLoad()) this.#retryLater();
  }

  /** Reads what is stored of names that are new here; of all others it is what other processes did. */
  loadAgain(names: Iterable<string>): void {
    for (const name of names) this.#unread.add(name);
    if (this.#loaded && !this.#tryLoadAgain()) this.#retryLater();
  }

  history(query: HistoryQuery): readonly AuditEntry[] {
    let stored: readonly AuditEntry[] = [];
    try {
      stored = this.#store.history(query);
    } catch (error) {
      this.#fail("history", error);
    }
    // What is not written yet has happened all the same.
    const waiting = this.#audits.filter(
      (audit) => query.upstream === undefined || audit.upstream === query.upstream,
    );
    return [...waiting.toReversed(), ...stored].slice(0, query.limit);
  }

  /** Writes now: durable when it returns, unless the store fails; `isSaved` then stays false. */
  saveNow(upstream: Persisted, audit?: AuditEntry): void {
    if (audit !== undefined) this.#addAudit(audit);
    this.#changed.set(upstream.name, upstream);
    upstream.isSaved = false;
    // While the store is broken, failing calls must not each wait for its busy timeout; a person's
    // order is worth one more try.
    if (this.#failing && audit === undefined) return;
    this.#write();
  }

  /** Writes the audit only: the attempt changed nothing. */
  saveAudit(audit: AuditEntry): void {
    this.#addAudit(audit);
    this.#write();
  }

  /** Writes within a second. */
  saveSoon(upstream: Persisted): void {
    if (this.#changed.has(upstream.name) || this.#closed) return;
    this.#changed.set(upstream.name, upstream);
    this.#timer ??= this.#scheduler.setTimer(this.#onTimer, COALESCE_MS);
  }

  /** Whether `poll` would look. Costs a comparison. */
  isPollDue(nowMs: number): boolean {
    return nowMs >= this.#pollDueMs;
  }

  /** Takes over what other processes changed, looking at most once a second. */
  poll(nowMs: number): void {
    if (nowMs < this.#pollDueMs || this.#closed) return;
    this.#pollDueMs = nowMs + POLL_MS;
    // What was never read is our own past, and the retry reads it as that.
    if (!this.#loaded) return;
    try {
      this.#pollNow();
    } catch (error) {
      this.#fail("poll", error);
      this.#retryLater();
    }
  }

  /** Writes what waits. True when nothing is left. */
  flush(): boolean {
    this.#write();
    return this.#changed.size === 0 && this.#audits.length === 0;
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#store.close();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#write();
  };

  #pollNow(): void {
    const stored = this.#store.poll?.();
    if (stored !== undefined) this.#adopt(stored, () => false);
  }

  #tryLoad(): boolean {
    try {
      const stored = this.#store.load();
      this.#loaded = true;
      this.#unread.clear();
      this.#adopt(stored, () => true);
    } catch (error) {
      this.#fail("load", error);
    }
    return this.#loaded;
  }

  #tryLoadAgain(): boolean {
    try {
      const stored = this.#store.load();
      const unread = new Set(this.#unread);
      this.#unread.clear();
      this.#adopt(stored, (name) => unread.has(name));
    } catch (error) {
      this.#fail("load", error);
      return false;
    }
    return true;
  }

  #write(): void {
    if (this.#closed) return;
    // While it fails an empty write is the question whether it still does.
    const isEmpty = this.#changed.size === 0 && this.#audits.length === 0;
    if (isEmpty && this.#loaded && !this.#failing) return;
    // Never write over a state that was not read: it may hold a trip.
    const isRead = this.#loaded ? this.#unread.size === 0 || this.#tryLoadAgain() : this.#tryLoad();
    if (!isRead) {
      this.#retryLater();
      return;
    }
    const upstreams = [...this.#changed.values()];
    try {
      this.#commit(upstreams);
    } catch (error) {
      this.#fail("commit", error);
      this.#retryLater();
      return;
    }
    this.#audits = [];
    this.#changed.clear();
    for (const upstream of upstreams) upstream.isSaved = true;
    this.#retryMs = RETRY_MS_MIN;
    if (!this.#failing) return;
    this.#failing = false;
    this.#reportDueMs = Number.NEGATIVE_INFINITY;
    this.#emit({ type: "store-recovered", at: this.#scheduler.now(), pending: 0 });
  }

  /** Somebody else's order must not be written over by the average of our last second. */
  #commit(upstreams: readonly Persisted[]): void {
    for (let left = RACES_MAX; ; left -= 1) {
      this.#pollNow();
      const breakers = this.#store.durable ? upstreams.map((upstream) => upstream.toStored()) : [];
      try {
        this.#store.commit({ breakers, audits: this.#audits, ifUnchanged: this.polls && left > 0 });
        return;
      } catch (error) {
        if (!(error instanceof StoreError) || error.storeCode !== STALE) throw error;
      }
    }
  }

  #retryLater(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = this.#scheduler.setTimer(this.#onTimer, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #addAudit(audit: AuditEntry): void {
    this.#audits.push(audit);
    if (this.#audits.length <= AUDITS_MAX) return;
    this.#audits.shift();
    this.#auditsDropped += 1;
  }

  #fail(op: StoreOperation, error: unknown): void {
    if (op !== "history") this.#failing = true;
    const code = error instanceof StoreError ? error.storeCode : "UNKNOWN";
    const message = errorText(error);
    this.#lastError = `${code}: ${message}`;
    const key = `${op} ${code}`;
    const counter = this.errors.get(key) ?? { op, code, count: 0 };
    counter.count += 1;
    this.errors.set(key, counter);
    const nowMs = this.#scheduler.monotonic();
    if (nowMs < this.#reportDueMs) {
      this.#suppressed += 1;
      return;
    }
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    this.#reportDueMs = nowMs + REPORT_MS;
    this.#emit({ type: "store-error", op, code, message, at: this.#scheduler.now(), suppressed });
  }
}
