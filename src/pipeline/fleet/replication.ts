// Keeps the breakers of this process in step with those of other replicas, through a store that answers later.
//
// Memory decides, always. What is ordered here is in force here before the order returns; the store is told as soon
// as it can be, and says what version it has. What others ordered arrives as rows; whose word counts, row.ts says.
// A store that lost what is known here gets it back. Nobody who calls an upstream waits for any of this.

import { errorText } from "../../core/classify.ts";
import type { EventOf, RegistryEvent } from "../../core/events.ts";
import {
  compareBreakers,
  compareModes,
  hasMore,
  mergeRows,
  seenOf,
  versionOf,
  type FleetRow,
} from "../../core/fleet/row.ts";
import type { Random } from "../../core/random.ts";
import type { Keeper, Ordered, StoreHealth } from "../breaker/keeper.ts";
import type { Persisted } from "../breaker/persisted.ts";
import { StoreFaults, type StoreErrorCount } from "../breaker/store-faults.ts";
import type { ChainedAudit, ChainReport, FleetStore, ReplicaView } from "../fleet-port.ts";
import {
  AUDIT_ACTIONS,
  HISTORY_LIMIT_MAX,
  type AuditAction,
  type AuditEntry,
  type HistoryQuery,
  type Scheduler,
  type Timer,
} from "../ports.ts";
import { Pending, type Entry } from "./pending.ts";
import { Presence } from "./presence.ts";
import { ReceiptBook, type Receipts } from "./receipts.ts";

/** Changes under way at one time; a storm of trips waits for its turn. */
const COMMITS_MAX = 32;

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 15_000;

/** Audits that wait for a store that is away; beyond it the oldest are dropped and counted. */
const AUDITS_MAX = 10_000;

/** Upstreams read with one question. */
const READ_MAX = 500;

export interface ReplicationPorts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly emit: (event: RegistryEvent) => void;
  /** The breaker of this name, where there is one. */
  readonly breakerOf: (name: string) => Persisted | undefined;
  /** All of them. */
  readonly breakers: () => Iterable<Persisted>;
}

/** What the registry offers of its fleet. */
export interface Fleet {
  readonly replica: string;
  /** Whether what the store has was read since the connection was made. */
  readonly isSynced: boolean;
  /** True as soon as it is, false after `timeoutMs`. */
  synced(timeoutMs: number): Promise<boolean>;
  /** Replicas heard of lately, this one first. */
  replicas(): readonly ReplicaView[];
  /** Of the newest order of a person here about this upstream; undefined where there was none. */
  receipts(upstream: string, timeoutMs: number): Promise<Receipts | undefined>;
  /** As the store has it, newest first. Rejects with `StoreError`. */
  history(query: HistoryQuery): Promise<readonly ChainedAudit[]>;
  verify(upstream: string): Promise<ChainReport>;
  /** The newest version known here of each upstream that has one. */
  versions(): ReadonlyMap<string, number>;
}

interface Known {
  row: FleetRow;
  readonly pending: Pending;
  isSending: boolean;
}

export class Replication implements Keeper {
  readonly polls = false;
  readonly revision = undefined;
  /** Evidence is each replica's own. */
  readonly isDurable = false;
  readonly replica: string;
  readonly fleet: Fleet;
  readonly #store: FleetStore;
  readonly #ports: ReplicationPorts;
  readonly #faults: StoreFaults;
  readonly #presence: Presence;
  readonly #receipts: ReceiptBook;
  readonly #known = new Map<string, Known>();
  readonly #auditsRefused = new Map<AuditAction, number>(
    AUDIT_ACTIONS.map((action) => [action, 0]),
  );
  /** The newest last: what is answered while nobody can ask the store. */
  readonly #recent: AuditEntry[] = [];
  readonly #sync: { isSynced: boolean; isRunning: boolean; isAsked: boolean } = {
    isSynced: false,
    isRunning: false,
    isAsked: false,
  };
  readonly #syncListeners = new Set<() => void>();
  readonly #prefix: string;
  #count = 0;
  #sending = 0;
  #audits = 0;
  #auditsDropped = 0;
  #retry: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;
  #isFailing = false;
  #isClosed = false;

  constructor(store: FleetStore, ports: ReplicationPorts) {
    const { replica } = store;
    this.#store = store;
    this.replica = replica;
    this.#ports = ports;
    // A process that begins anew under its old name counts from 1 again.
    this.#prefix = `${replica}/${Math.floor(ports.random.next() * 2 ** 48).toString(36)}`;
    const { scheduler, emit } = ports;
    this.#faults = new StoreFaults(scheduler, emit);
    this.#presence = new Presence({
      store,
      replica,
      scheduler,
      random: ports.random,
      breakers: ports.breakers,
      versionOf: (name) => versionOf(this.#known.get(name)?.row),
      failed: (error) => this.#fail("poll", error),
    });
    this.#receipts = new ReceiptBook(replica, scheduler, () => this.#presence.names());
    this.fleet = this.#fleetOf();
  }

  get errors(): readonly StoreErrorCount[] {
    return [...this.#faults.counts.values()];
  }

  get auditsRefused(): ReadonlyMap<AuditAction, number> {
    return this.#auditsRefused;
  }

  get standingErrors(): readonly EventOf<"store-error">[] {
    return this.#faults.standing;
  }

  health(): StoreHealth {
    let pending = 0;
    for (const known of this.#known.values()) if (known.pending.holdsState) pending += 1;
    return {
      kind: this.#store.kind,
      location: this.#store.location,
      ok: !this.#isFailing,
      pending: this.#isFailing ? pending : 0,
      refused: [],
      auditsDropped: this.#auditsDropped,
      auditsRefused: 0,
      lastError: this.#faults.lastError,
      recoveredFrom: null,
    };
  }

  load(): void {
    this.#store.open({
      changed: (row, receipt) => this.#changed(row, receipt),
      received: (id, replica) => this.#receipts.received(id, replica),
      connected: () => {
        this.#startSync();
        void this.#presence.beat();
      },
      missed: () => this.#startSync(),
      failed: (error) => this.#fail("poll", error),
    });
    this.#presence.start();
  }

  loadAgain(_names: Iterable<string>): void {
    if (this.#sync.isSynced || this.#sync.isRunning) this.#startSync();
  }

  /** What was ordered here and what is known to wait; the store's own is `Fleet.history`. */
  history({ upstream, limit }: HistoryQuery): readonly AuditEntry[] {
    return this.#recent
      .filter((audit) => upstream === undefined || audit.upstream === upstream)
      .toReversed()
      .slice(0, limit);
  }

  saveNow(upstream: Persisted, audit?: AuditEntry, ordered?: Ordered): void {
    // Evidence, averages and what a breaker does on its way back are each replica's own.
    if (audit === undefined && ordered === undefined) return;
    const { name } = upstream;
    const isOwnAffair =
      ordered?.part === "breaker" && !ordered.isByPerson && upstream.reporters === 0;
    const { snapshot, mode, modeAt = 0 } = upstream.toStored();
    const isByPerson = ordered?.part === "mode" || (ordered?.isByPerson ?? false);
    const entry = this.#entryOf(name, audit === undefined ? [] : [audit]);
    if (ordered?.part === "mode") entry.mode = { mode, at: modeAt };
    if (ordered?.part === "breaker" && !isOwnAffair) {
      const { isTrip } = ordered;
      const reporters = Math.max(1, upstream.reporters);
      entry.breaker = { isByPerson, isTrip, snapshot, reporters };
    }
    if (entry.mode !== undefined || entry.breaker !== undefined) upstream.isSaved = false;
    if (isByPerson) this.#receipts.begin(name, entry.id);
    this.#add(name, entry);
  }

  saveAudit(audit: AuditEntry): void {
    this.#add(audit.upstream, this.#entryOf(audit.upstream, [audit]));
  }

  saveSoon(_upstream: Persisted): void {
    // Averages are each replica's own.
  }

  isPollDue(_nowMs: number): boolean {
    return false;
  }

  poll(_nowMs: number): void {
    // Others' orders come by themselves.
  }

  flush(): boolean {
    this.#pumpAll();
    for (const { pending } of this.#known.values()) if (!pending.isEmpty) return false;
    return true;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#pumpAll();
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#presence.close();
    await this.#store.close();
  }

  #synced(timeoutMs: number): Promise<boolean> {
    if (this.#sync.isSynced) return Promise.resolve(true);
    return new Promise((done) => {
      const end = (isSynced: boolean): void => {
        timer.cancel();
        this.#syncListeners.delete(listener);
        done(isSynced);
      };
      const listener = (): void => end(true);
      const timer = this.#ports.scheduler.setTimer(() => end(false), timeoutMs);
      timer.keepAlive(true);
      this.#syncListeners.add(listener);
    });
  }

  #fleetOf(): Fleet {
    const isSynced = (): boolean => this.#sync.isSynced;
    return {
      replica: this.replica,
      get isSynced() {
        return isSynced();
      },
      synced: (timeoutMs) => this.#synced(timeoutMs),
      replicas: () => this.#presence.replicas(),
      receipts: (upstream, timeoutMs) => this.#receipts.of(upstream, timeoutMs),
      history: (query) => {
        const names = query.upstream === undefined ? this.#names() : [query.upstream];
        return this.#store.history(names, query);
      },
      verify: (upstream) => this.#store.verify(upstream),
      versions: () => this.#versions(),
    };
  }

  #versions(): ReadonlyMap<string, number> {
    const versions = new Map<string, number>();
    for (const [name, { row }] of this.#known) {
      const version = versionOf(row);
      if (version > 0) versions.set(name, version);
    }
    return versions;
  }

  #entryOf(name: string, audits: AuditEntry[]): Entry {
    this.#count += 1;
    const id = `${this.#prefix}:${this.#count}`;
    const seen = seenOf(this.#known.get(name)?.row);
    return { id, seen, breaker: undefined, mode: undefined, audits, isSent: false };
  }

  #add(name: string, entry: Entry): void {
    for (const audit of entry.audits) {
      this.#recent.push(Object.freeze(audit));
      this.#audits += 1;
    }
    if (this.#recent.length > 2 * HISTORY_LIMIT_MAX) this.#recent.splice(0, HISTORY_LIMIT_MAX);
    const known = this.#knownOf(name);
    known.pending.add(entry);
    if (this.#audits > AUDITS_MAX) this.#dropAudit(known);
    this.#pump(name, known);
  }

  #dropAudit(own: Known): void {
    for (const known of [...this.#known.values(), own]) {
      if (!known.pending.dropAudit()) continue;
      this.#audits -= 1;
      this.#auditsDropped += 1;
      return;
    }
  }

  #knownOf(name: string): Known {
    let known = this.#known.get(name);
    if (known === undefined) {
      const row = { upstream: name, breaker: undefined, mode: undefined };
      known = { row, pending: new Pending(), isSending: false };
      this.#known.set(name, known);
    }
    return known;
  }

  #names(): string[] {
    const names = new Set<string>();
    for (const { name } of this.#ports.breakers()) names.add(name);
    for (const [name, { pending }] of this.#known) if (!pending.isEmpty) names.add(name);
    return [...names];
  }

  #pumpAll(): void {
    for (const [name, known] of this.#known) this.#pump(name, known);
  }

  #pump(name: string, known: Known): void {
    const { first } = known.pending;
    const isFull = this.#sending >= COMMITS_MAX;
    // After a failure one at a time asks whether it still fails.
    const waits = this.#isFailing && this.#retry !== undefined;
    if (first === undefined || known.isSending || isFull || waits || this.#isClosed) return;
    known.isSending = true;
    this.#sending += 1;
    void this.#send(name, known, first);
  }

  async #send(name: string, known: Known, entry: Entry): Promise<void> {
    entry.isSent = true;
    const { id, seen, breaker, mode, audits } = entry;
    const isByPerson = breaker?.isByPerson === true || mode !== undefined;
    try {
      const change = { upstream: name, id, seen, breaker, mode, audits, wantsReceipts: isByPerson };
      const { row } = await this.#store.commit(change);
      known.isSending = false;
      this.#sending -= 1;
      this.#audits -= audits.length;
      this.#isWell();
      // Before it is taken off: what others ordered is weighed against what waits here.
      this.#takeRow(name, known, row);
      known.pending.taken(id, row);
      if (isByPerson) this.#receipts.stored(name, id);
      this.#settle(name, known);
      this.#pumpAll();
    } catch (error) {
      known.isSending = false;
      this.#sending -= 1;
      this.#fail("commit", error);
    }
  }

  #settle(name: string, { pending }: Known): void {
    const breaker = this.#ports.breakerOf(name);
    if (breaker !== undefined && !pending.holdsState) breaker.isSaved = true;
  }

  #changed(row: FleetRow, receipt: string | undefined): void {
    const known = this.#knownOf(row.upstream);
    const isOwn = receipt !== undefined && known.pending.holds(receipt);
    this.#takeRow(row.upstream, known, row);
    if (receipt !== undefined && !isOwn) this.#store.confirm(receipt, this.replica);
  }

  #takeRow(name: string, known: Known, row: FleetRow): void {
    const before = known.row;
    known.row = mergeRows(before, row);
    const breaker = this.#ports.breakerOf(name);
    const { pending } = known;
    const part = row.breaker;
    const isOwn = part !== undefined && pending.holds(part.order.id);
    if (part !== undefined && !isOwn && compareBreakers(part, before.breaker) > 0) {
      if (!pending.outweighs(part)) {
        pending.withdraw();
        breaker?.takeOver(part);
      }
    }
    const isNewMode = row.mode !== undefined && compareModes(row.mode, before.mode) > 0;
    if (row.mode !== undefined && isNewMode && !pending.holdsMode) breaker?.takeMode(row.mode);
    breaker?.announce();
  }

  #startSync(): void {
    if (this.#sync.isRunning) {
      this.#sync.isAsked = true;
      return;
    }
    this.#sync.isRunning = true;
    void this.#runSync();
  }

  async #runSync(): Promise<void> {
    try {
      do {
        this.#sync.isAsked = false;
        const names = this.#names();
        for (let from = 0; from < names.length; from += READ_MAX) {
          await this.#readSome(names.slice(from, from + READ_MAX));
        }
      } while (this.#sync.isAsked);
      this.#sync.isSynced = true;
      for (const listener of this.#syncListeners) listener();
      this.#isWell();
      this.#pumpAll();
    } catch (error) {
      this.#fail("load", error);
      this.#sync.isAsked = true;
    } finally {
      this.#sync.isRunning = false;
    }
  }

  async #readSome(names: readonly string[]): Promise<void> {
    const rows = await this.#store.read(names);
    const lost: FleetRow[] = [];
    for (const [index, name] of names.entries()) {
      const known = this.#knownOf(name);
      const row = rows[index];
      if (hasMore(known.row, row)) lost.push(known.row);
      if (row !== undefined) this.#takeRow(name, known, row);
    }
    if (lost.length > 0) await this.#store.restore(lost);
  }

  #isWell(): void {
    this.#retryMs = RETRY_MS_MIN;
    this.#retry?.cancel();
    this.#retry = undefined;
    if (!this.#isFailing) return;
    this.#isFailing = false;
    this.#faults.recovered();
    this.#ports.emit({ type: "store-recovered", at: this.#ports.scheduler.now(), pending: 0 });
  }

  #fail(op: "load" | "commit" | "poll", error: unknown): void {
    if (this.#isClosed) return;
    this.#isFailing = true;
    this.#faults.addTrouble(op, faultOf(error));
    if (this.#retry !== undefined) return;
    // Replicas that lost the store together must not come back together.
    const delayMs = this.#retryMs * (0.5 + this.#ports.random.next());
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
    this.#retry = this.#ports.scheduler.setTimer(() => {
      this.#retry = undefined;
      if (this.#sync.isAsked) this.#startSync();
      this.#pumpAll();
    }, delayMs);
  }
}

function faultOf(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly concerns: "store";
} {
  const code = (error as { readonly storeCode?: unknown } | null)?.storeCode;
  return {
    code: typeof code === "string" ? code : "UNKNOWN",
    message: errorText(error),
    concerns: "store",
  };
}
