// Keeps the breakers of this process in step with those of other replicas, through a store that answers later.
//
// Memory decides, always. What is ordered here is in force here before the order returns; the store is told as soon
// as it can be, and says what version it has. What others ordered arrives as rows; whose word counts, row.ts says.
// A store that lost what is known here gets it back. Nobody who calls an upstream waits for any of this.

import type { EventOf, RegistryEvent } from "../../core/events.ts";
import { hasMore, versionOf, type FleetRow } from "../../core/fleet/row.ts";
import type { Random } from "../../core/random.ts";
import type { Keeper, Ordered, StoreHealth } from "../breaker/keeper.ts";
import type { Persisted } from "../breaker/persisted.ts";
import type { StoreErrorCount } from "../breaker/store-faults.ts";
import { BEHIND, type FleetAnswer, type FleetStore } from "../fleet-port.ts";
import {
  AUDIT_ACTIONS,
  HISTORY_LIMIT_MAX,
  type AuditAction,
  type AuditEntry,
  type HistoryQuery,
  type Scheduler,
} from "../ports.ts";
import { FleetView } from "./fleet.ts";
import { Known } from "./known.ts";
import type { Entry } from "./pending.ts";
import { Presence } from "./presence.ts";
import { ReceiptBook } from "./receipts.ts";
import { Sending } from "./sending.ts";
import { Sync } from "./sync.ts";
import { codeOf, Trouble } from "./trouble.ts";
import { Turns } from "./turns.ts";

export interface ReplicationPorts {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly emit: (event: RegistryEvent) => void;
  /** The breaker of this name, where there is one. */
  readonly breakerOf: (name: string) => Persisted | undefined;
  /** All of them. */
  readonly breakers: () => Iterable<Persisted>;
}

export class Replication implements Keeper {
  readonly polls = false;
  readonly revision = undefined;
  /** Evidence is each replica's own. */
  readonly isDurable = false;
  readonly replica: string;
  readonly fleet: FleetView;
  readonly #store: FleetStore;
  readonly #ports: ReplicationPorts;
  readonly #trouble: Trouble;
  readonly #sending: Sending;
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
  readonly #prefix: string;
  #isClosed = false;

  constructor(store: FleetStore, ports: ReplicationPorts) {
    const { replica } = store;
    this.#store = store;
    this.replica = replica;
    this.#ports = ports;
    // A process that begins anew under its old name counts from 1 again.
    this.#prefix = `${replica}/${Math.floor(ports.random.next() * 2 ** 48).toString(36)}:`;
    const { scheduler, random, emit } = ports;
    this.#trouble = new Trouble({
      scheduler,
      random,
      emit,
      retry: () => {
        this.#sync.resume();
        this.#sending.pump();
      },
    });
    this.#presence = new Presence({
      store,
      replica,
      scheduler,
      random,
      breakers: ports.breakers,
      versionOf: (name) => versionOf(this.#known.get(name)?.row),
      heard: () => {
        // Nothing else is left that would show it.
        if (!this.#sync.isDue && this.#sending.isIdle) this.#isWell();
      },
      failed: (error) => this.#trouble.begin("poll", error),
    });
    this.#sync = new Sync({
      names: () => {
        const names = this.#names();
        this.#forget(names);
        return names;
      },
      read: (names) => this.#read(names),
      done: () => {
        this.fleet.wake();
        this.#isWell();
        this.#sending.pump();
      },
      failed: (error) => this.#trouble.begin("load", error),
    });
    this.#sending = new Sending({
      store,
      scheduler,
      prefix: this.#prefix,
      known: this.#known,
      isReady: () => this.#sync.isSynced && !this.#trouble.isPausing,
      answered: (name, known, entry, answer) => this.#answered(name, known, entry, answer),
      failed: (error) => {
        // It gets back what it lost before it is told anything; not at once, since it may lose that, too.
        if (codeOf(error) === BEHIND) this.#sync.outdate();
        this.#trouble.begin("commit", error);
      },
    });
    this.#receipts = new ReceiptBook(replica, scheduler, () => this.#presence.names());
    this.#turns = new Turns(store, scheduler, () => this.#presence.names().length);
    this.fleet = new FleetView({
      store,
      scheduler,
      presence: this.#presence,
      receipts: this.#receipts,
      known: this.#known,
      isSynced: () => this.#sync.isSynced,
      names: () => this.#names(),
    });
  }

  get errors(): readonly StoreErrorCount[] {
    return this.#trouble.errors;
  }

  get auditsRefused(): ReadonlyMap<AuditAction, number> {
    return this.#auditsRefused;
  }

  get standingErrors(): readonly EventOf<"store-error">[] {
    return this.#trouble.standing;
  }

  health(): StoreHealth {
    let pending = 0;
    for (const known of this.#known.values()) if (known.pending.holdsState) pending += 1;
    return {
      kind: this.#store.kind,
      location: this.#store.location,
      ok: !this.#trouble.isFailing,
      pending: this.#trouble.isFailing ? pending : 0,
      refused: [],
      auditsDropped: this.#sending.auditsDropped,
      auditsRefused: 0,
      lastError: this.#trouble.lastError,
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
      failed: (error) => this.#trouble.begin("poll", error),
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
    if (ordered === undefined) return;
    const { name, reporters } = upstream;
    const { snapshot, mode, modeAt = 0 } = upstream.toStored();
    const isByPerson = ordered.part === "mode" || ordered.isByPerson;
    const entry = this.#sending.entry(name, audit === undefined ? [] : [audit], isByPerson);
    if (ordered.part === "mode") entry.mode = { mode, at: modeAt };
    else if (isByPerson || reporters > 0) {
      const { isTrip } = ordered;
      entry.breaker = { isByPerson, isTrip, snapshot, reporters: Math.max(1, reporters) };
    }
    if (entry.mode !== undefined || entry.breaker !== undefined) upstream.isSaved = false;
    if (isByPerson) this.#receipts.begin(name, entry.id);
    this.#add(name, entry);
  }

  saveAudit(audit: AuditEntry): void {
    this.#add(audit.upstream, this.#sending.entry(audit.upstream, [audit], false));
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
    for (const { pending } of this.#known.values()) if (!pending.isEmpty) return false;
    return true;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    if (!this.flush() && !this.#trouble.isFailing) await this.#sending.drain();
    this.#isClosed = true;
    this.#sending.close();
    this.#trouble.close();
    this.#presence.close();
    await this.#store.close();
  }

  #add(name: string, entry: Entry): void {
    for (const audit of entry.audits) this.#recent.push(Object.freeze(audit));
    if (this.#recent.length > 2 * HISTORY_LIMIT_MAX) this.#recent.splice(0, HISTORY_LIMIT_MAX);
    this.#sending.add(name, this.#knownOf(name), entry);
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

  #answered(name: string, known: Known, { id }: Entry, { isInForce }: FleetAnswer): void {
    if (isInForce) this.#receipts.stored(name, id);
    else this.#receipts.overruled(name, id);
    this.#takeOver(name, known);
    this.#isWell();
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
    for (const id of known.takeOver(breaker)) this.#receipts.overruled(name, id);
    // One that has opened with others lets probes in, too.
    if (breaker !== undefined) this.#turns.take(breaker);
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
    this.#trouble.end(this.#sending.isQueueEmpty);
    this.#sync.resume();
  }
}
