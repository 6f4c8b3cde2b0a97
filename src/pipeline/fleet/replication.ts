// Keeps the breakers of this process in step with those of other replicas, through a store that answers later.
//
// Memory decides, always. What is ordered here is in force here before the order returns; the store is told as soon
// as it can be, and says what version it has. What others ordered arrives as rows; whose word counts, row.ts says.
// A store that lost what is known here gets it back. Nobody who calls an upstream waits for any of this.

import { errorText } from "../../core/classify.ts";
import type { EventOf, RegistryEvent } from "../../core/events.ts";
import { earlier, hasMore, seenOf, versionOf, type FleetRow } from "../../core/fleet/row.ts";
import type { Random } from "../../core/random.ts";
import type { Keeper, Ordered, StoreHealth } from "../breaker/keeper.ts";
import type { Persisted } from "../breaker/persisted.ts";
import { StoreFaults, type StoreErrorCount } from "../breaker/store-faults.ts";
import {
  BEHIND,
  type ChainedAudit,
  type ChainReport,
  type FleetStore,
  type ReplicaView,
} from "../fleet-port.ts";
import {
  AUDIT_ACTIONS,
  HISTORY_LIMIT_MAX,
  type AuditAction,
  type AuditEntry,
  type HistoryQuery,
  type Scheduler,
  type Timer,
} from "../ports.ts";
import { Known } from "./known.ts";
import type { Entry } from "./pending.ts";
import { Presence } from "./presence.ts";
import { ReceiptBook, type Receipts } from "./receipts.ts";
import { Sync } from "./sync.ts";
import { Turns } from "./turns.ts";

/** Changes under way at one time; a storm of trips waits for its turn. */
const COMMITS_MAX = 32;

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 15_000;

/** Audits that wait for a store that is away; beyond it the oldest are dropped and counted. */
const AUDITS_MAX = 10_000;

/** What waits to be told when the registry is closed has so long to go. */
const CLOSE_MS = 2000;

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
  readonly #turns: Turns;
  readonly #known = new Map<string, Known>();
  readonly #auditsRefused = new Map<AuditAction, number>(
    AUDIT_ACTIONS.map((action) => [action, 0]),
  );
  /** The newest last: what is answered while nobody can ask the store. */
  readonly #recent: AuditEntry[] = [];
  readonly #sync: Sync;
  readonly #syncListeners = new Set<() => void>();
  /** Names of those that have something to tell, and are not telling it. */
  readonly #queue = new Set<string>();
  readonly #prefix: string;
  #count = 0;
  #sending = 0;
  #audits = 0;
  #auditsDropped = 0;
  #retry: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;
  #isFailing = false;
  #isClosed = false;
  #drained: (() => void) | undefined = undefined;

  constructor(store: FleetStore, ports: ReplicationPorts) {
    const { replica } = store;
    this.#store = store;
    this.replica = replica;
    this.#ports = ports;
    // A process that begins anew under its old name counts from 1 again.
    this.#prefix = `${replica}/${Math.floor(ports.random.next() * 2 ** 48).toString(36)}:`;
    const { scheduler, emit } = ports;
    this.#faults = new StoreFaults(scheduler, emit);
    this.#presence = new Presence({
      store,
      replica,
      scheduler,
      random: ports.random,
      breakers: ports.breakers,
      versionOf: (name) => versionOf(this.#known.get(name)?.row),
      heard: () => {
        // Nothing else is left that would show it.
        if (this.#isFailing && !this.#sync.isDue && this.#queue.size + this.#sending === 0) {
          this.#isWell();
        }
      },
      failed: (error) => this.#fail("poll", error),
    });
    this.#sync = new Sync({
      names: () => {
        const names = this.#names();
        this.#forget(names);
        return names;
      },
      read: (names) => this.#read(names),
      done: () => {
        for (const listener of this.#syncListeners) listener();
        this.#isWell();
        this.#pumpAll();
      },
      failed: (error) => this.#fail("load", error),
    });
    this.#receipts = new ReceiptBook(replica, scheduler, () => this.#presence.names());
    this.#turns = new Turns(store, scheduler, () => this.#presence.names().length);
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
        this.#sync.restart();
        void this.#presence.beat();
      },
      missed: () => this.#sync.readAll(),
      failed: (error) => this.#fail("poll", error),
    });
    this.#presence.start();
  }

  loadAgain(names: Iterable<string>): void {
    const all = [...names];
    for (const name of all) {
      const known = this.#known.get(name);
      if (known === undefined) continue;
      known.begin();
      this.#takeOver(name, known);
    }
    this.#sync.readSome(all);
  }

  /** What was ordered here and what is known to wait; the store's own is `Fleet.history`. */
  history({ upstream, limit }: HistoryQuery): readonly AuditEntry[] {
    return this.#recent
      .filter((audit) => upstream === undefined || audit.upstream === upstream)
      .toReversed()
      .slice(0, limit);
  }

  saveNow(upstream: Persisted, audit?: AuditEntry, ordered?: Ordered): void {
    this.#turns.take(upstream);
    // Evidence, averages and what a breaker does on its way back are each replica's own.
    if (audit === undefined && ordered === undefined) return;
    const { name } = upstream;
    const isOwnAffair =
      ordered?.part === "breaker" && !ordered.isByPerson && upstream.reporters === 0;
    const { snapshot, mode, modeAt = 0 } = upstream.toStored();
    const isByPerson = ordered?.part === "mode" || (ordered?.isByPerson ?? false);
    const entry = this.#entryOf(name, audit === undefined ? [] : [audit], isByPerson);
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
    this.#add(audit.upstream, this.#entryOf(audit.upstream, [audit], false));
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
    if (!this.flush() && !this.#isFailing) await this.#drain();
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#presence.close();
    await this.#store.close();
  }

  #drain(): Promise<void> {
    return new Promise((done) => {
      const timer = this.#ports.scheduler.setTimer(done, CLOSE_MS);
      timer.keepAlive(true);
      this.#drained = () => {
        timer.cancel();
        done();
      };
    });
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
      receipts: (upstream, timeoutMs) =>
        this.#receipts.of(upstream, timeoutMs, () => this.#presence.beat()),
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

  #entryOf(name: string, audits: AuditEntry[], isByPerson: boolean): Entry {
    this.#count += 1;
    return {
      id: `${this.#prefix}${this.#count}`,
      place: this.#count,
      isByPerson,
      seen: seenOf(this.#known.get(name)?.row),
      breaker: undefined,
      mode: undefined,
      audits,
      isSent: false,
    };
  }

  #add(name: string, entry: Entry): void {
    for (const audit of entry.audits) {
      this.#recent.push(Object.freeze(audit));
      this.#audits += 1;
    }
    if (this.#recent.length > 2 * HISTORY_LIMIT_MAX) this.#recent.splice(0, HISTORY_LIMIT_MAX);
    const known = this.#knownOf(name);
    known.give(entry);
    if (!known.isSending) this.#queue.add(name);
    if (this.#audits > AUDITS_MAX) this.#dropAudit();
    this.#pumpAll();
  }

  /** The oldest that cannot have been sent. */
  #dropAudit(): void {
    let oldest: Known | undefined;
    let place = Number.POSITIVE_INFINITY;
    for (const known of this.#known.values()) {
      const first = known.pending.oldestAudit;
      if (first === undefined || first >= place) continue;
      [oldest, place] = [known, first];
    }
    if (oldest === undefined) return;
    oldest.pending.dropAudit();
    this.#audits -= 1;
    this.#auditsDropped += 1;
  }

  #knownOf(name: string): Known {
    const known = this.#known.get(name) ?? new Known(name);
    this.#known.set(name, known);
    return known;
  }

  #names(): string[] {
    const names = new Set<string>();
    for (const { name } of this.#ports.breakers()) names.add(name);
    for (const [name, { pending }] of this.#known) if (!pending.isEmpty) names.add(name);
    return [...names];
  }

  /** What is known of breakers that are gone is read again when they come back. */
  #forget(names: readonly string[]): void {
    const kept = new Set(names);
    for (const name of this.#known.keys()) if (!kept.has(name)) this.#known.delete(name);
  }

  /**
   * Nothing is told to a store of which nobody knows what it has: it may have lost what an order was given after,
   * and gets that back first.
   */
  #pumpAll(): void {
    if (this.#isClosed || !this.#sync.isSynced || this.#retry !== undefined) return;
    for (const name of this.#queue) {
      if (this.#sending >= COMMITS_MAX) return;
      this.#queue.delete(name);
      const known = this.#known.get(name);
      const first = known?.pending.first;
      if (known === undefined || first === undefined) continue;
      known.isSending = true;
      this.#sending += 1;
      void this.#send(name, known, first);
    }
    if (this.#sending === 0 && this.#queue.size === 0) this.#drained?.();
  }

  async #send(name: string, known: Known, entry: Entry): Promise<void> {
    entry.isSent = true;
    const { id, breaker, mode, audits, isByPerson } = entry;
    try {
      const { row, isInForce } = await this.#store.commit({
        upstream: name,
        id,
        // What was seen and is no longer known was lost, and counts for less than what is.
        seen: earlier(entry.seen, seenOf(known.row)),
        breaker,
        mode,
        audits,
        wantsReceipts: isByPerson && (breaker !== undefined || mode !== undefined),
      });
      this.#audits -= audits.length;
      known.learn(row);
      known.pending.remove(id);
      this.#sent(name, known);
      if (isByPerson) {
        if (isInForce) this.#receipts.stored(name, id);
        else this.#receipts.overruled(name, id);
      }
      this.#takeOver(name, known);
      this.#isWell();
      this.#pumpAll();
    } catch (error) {
      this.#sent(name, known);
      // It gets back what it lost before it is told anything; not at once, since it may lose that, too.
      if (codeOf(error) === BEHIND) this.#sync.outdate();
      this.#fail("commit", error);
    }
  }

  #sent(name: string, known: Known): void {
    known.isSending = false;
    this.#sending -= 1;
    if (!known.pending.isEmpty) this.#queue.add(name);
  }

  #changed(row: FleetRow, receipt: string | undefined): void {
    const { upstream: name } = row;
    const isHere = this.#known.has(name) || this.#ports.breakerOf(name) !== undefined;
    // Of a name that is not called here nothing is kept: it is read when it is.
    const known = isHere ? this.#knownOf(name) : undefined;
    if (known !== undefined) {
      known.learn(row);
      this.#takeOver(name, known);
    }
    if (receipt === undefined || receipt.startsWith(this.#prefix)) return;
    if (known?.follows(receipt) ?? true) this.#store.confirm(receipt, this.replica);
  }

  #takeOver(name: string, known: Known): void {
    const breaker = this.#ports.breakerOf(name);
    const epoch = breaker?.epoch;
    for (const id of known.takeOver(breaker)) this.#receipts.overruled(name, id);
    // One that has opened since others have lets probes in, too.
    if (breaker !== undefined && breaker.epoch !== epoch) this.#turns.take(breaker);
    const version = versionOf(known.row);
    if (version !== known.shownVersion) this.#presence.changed();
    known.shownVersion = version;
    breaker?.announce();
  }

  async #read(names: readonly string[]): Promise<void> {
    const rows = await this.#store.read(names);
    const lost: FleetRow[] = [];
    for (const [index, name] of names.entries()) {
      const known = this.#knownOf(name);
      const row = rows[index];
      if (hasMore(known.row, row)) lost.push(known.row);
      if (row === undefined) continue;
      known.learn(row);
      this.#takeOver(name, known);
    }
    if (lost.length > 0) await this.#store.restore(lost);
  }

  #isWell(): void {
    // Where orders still wait, whether they are taken is yet to be seen.
    if (this.#queue.size === 0) this.#retryMs = RETRY_MS_MIN;
    this.#retry?.cancel();
    this.#retry = undefined;
    if (this.#isFailing) {
      this.#isFailing = false;
      this.#faults.recovered();
      this.#ports.emit({ type: "store-recovered", at: this.#ports.scheduler.now(), pending: 0 });
    }
    this.#sync.resume();
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
      this.#sync.resume();
      this.#pumpAll();
    }, delayMs);
  }
}

function codeOf(error: unknown): string {
  const code = (error as { readonly storeCode?: unknown } | null)?.storeCode;
  return typeof code === "string" ? code : "UNKNOWN";
}

function faultOf(error: unknown): {
  readonly code: string;
  readonly message: string;
  readonly concerns: "store";
} {
  return { code: codeOf(error), message: errorText(error), concerns: "store" };
}
