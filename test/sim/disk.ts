// The durable store that all processes of a world share, as rows in memory that survive each of
// them, and each process's own handle to it, with the faults of its day.
//
// The disk may lose what it took: the file is then an older one, as when its log was deleted, cut or replaced.
// What a handle does about it is what the SQLite store does: before each operation and after each commit it
// looks whether the file is the one it left, writes back what it knows, and promises nothing that is not there.
//
// A row carries the order (trip, reset, recovery) that made it what it is. So it can be said of any
// write whether it puts something older in the place of something newer, which no state alone shows.

import { StoreError } from "../../src/core/errors.ts";
import {
  STALE,
  UNWRITTEN,
  type AuditEntry,
  type HistoryQuery,
  type Store,
  type StoreChange,
  type StoredBreaker,
} from "../../src/pipeline/ports.ts";

import { Known } from "./known.ts";
import { Refusals } from "./refusals.ts";

/** An order that opened or closed a breaker, and its place in the history of the world. */
export interface Order {
  readonly kind: "none" | "trip" | "reset";
  readonly sequence: number;
  readonly wallMs: number;
}

export const NO_ORDER: Order = { kind: "none", sequence: 0, wallMs: 0 };

/** What made a breaker what it is, as far as its process knows. */
export interface Orders {
  /** The newest by anybody; a recovery is a reset by the breaker itself. */
  newest: Order;
  /** The newest by a person. */
  person: Order;
  /** The place of the newest order about the mode. */
  modeSequence: number;
  /** When that was, by the clock of the world. */
  modeWallMs: number;
}

export interface Row {
  readonly stored: StoredBreaker;
  readonly orders: Readonly<Orders>;
  readonly by: ProcessStore;
  /** The number of the commit that wrote it. */
  readonly revision: number;
}

export class DiskFile {
  readonly rows: Map<string, Row>;
  readonly audits: AuditEntry[];
  /** Changes with everything that is written. */
  version = 0;

  constructor(rows: Iterable<readonly [string, Row]> = [], audits: Iterable<AuditEntry> = []) {
    this.rows = new Map(rows);
    this.audits = [...audits];
  }
}

/** A loss takes so many commits at the most. */
const PAST_MAX = 5;

/** As in SQLite: how often a commit is written once more when it is not found in its place. */
const REWRITES_MAX = 2;

export class Disk {
  file = new DiskFile();
  readonly refusals = new Refusals();
  readonly handles = new Set<ProcessStore>();
  /**
   * Upstreams that had two histories: one that was lost and that a living process still knew, and one that
   * another process wrote under the same numbers before that one looked. Whose order is the newer one cannot
   * be told of them, and what is said of newer orders is not held against them.
   */
  readonly forked = new Set<string>();
  /** How it was before each of the last commits, the newest last. */
  readonly #past: DiskFile[] = [];

  get rows(): ReadonlyMap<string, Row> {
    return this.file.rows;
  }

  get audits(): readonly AuditEntry[] {
    return this.file.audits;
  }

  /** To be called before each commit. */
  remember(): void {
    this.#past.push(new DiskFile(this.file.rows, this.file.audits));
    if (this.#past.length > PAST_MAX) this.#past.shift();
  }

  compareNumber(upstream: string, revision: number, by: ProcessStore): void {
    for (const handle of this.handles) {
      if (handle.isDead || handle.isClosed) this.handles.delete(handle);
      else if (handle !== by && handle.knows(upstream) >= revision) this.forked.add(upstream);
    }
  }

  /** The last commits are gone. Whoever has the file open holds what is no longer there. */
  lose(commits: number): void {
    const [file] = commits > 0 ? this.#past.splice(-commits) : [];
    if (file !== undefined) this.file = file;
  }
}

/** What a process's handle asks of the world. */
export interface StoreHooks {
  /** What the writer knows; the place to compare it with what it writes over. */
  ordersOf(stored: StoredBreaker, there: Row | undefined): Readonly<Orders>;
  /** Validation, as a real store does on the way in. */
  sanitise(stored: StoredBreaker): StoredBreaker;
  /** Rows are about to be handed over. */
  read(rows: readonly Row[], handed: readonly StoredBreaker[]): void;
  committed(change: StoreChange): void;
  /** The process ends now; what it still does is seen by nobody. */
  die(): void;
}

export class ProcessStore implements Store {
  readonly kind = "simulated";
  readonly location = "simulated";
  readonly durable: boolean;
  readonly poll?: () => readonly StoredBreaker[] | undefined;
  /** Which operations fail, until they are mended. */
  readonly failing = { load: false, commit: false, poll: false, history: false };
  /** Operations that fail once each before the next one works. */
  failOnce = 0;
  /** Throw something that is no `StoreError`. */
  throwsOddly = false;
  crashInCommit: "before" | "after" | undefined = undefined;
  /** What another process does between this one's next look and its write. */
  race: (() => void) | undefined = undefined;
  /** The disk loses so many commits between the next write and the look whether it is there. */
  lossInCommit = 0;
  /** The file that stood there at the last operation that went well: what is lost later is still unseen. */
  looked: DiskFile | undefined = undefined;
  /** What the harness reads at the next question for the history, which is then none of the world's. */
  peek: (() => void) | undefined = undefined;
  /** What was said to be durable: the number of each upstream's last commit, and audits. */
  readonly promised = { rows: new Map<string, number>(), audits: new Set<AuditEntry>() };
  /** How many operations failed. */
  failures = 0;
  /** Something failed as a whole, and nothing was written since. */
  isHindered = false;
  isDead = false;
  isClosed = false;
  readonly #disk: Disk;
  readonly #hooks: StoreHooks;
  readonly #known = new Known();
  /** What it has open. */
  #file: DiskFile;
  #mustRestore = false;
  #seenVersion = -1;

  constructor(disk: Disk, durable: boolean, hooks: StoreHooks) {
    this.#disk = disk;
    this.#file = disk.file;
    disk.handles.add(this);
    this.durable = durable;
    this.#hooks = hooks;
    if (durable) this.poll = () => this.#poll();
  }

  get revision(): number {
    return this.#known.revision;
  }

  /** The number of the commit that this upstream is known by here. */
  knows(upstream: string): number {
    return this.#known.rows.get(upstream)?.revision ?? 0;
  }

  load(): readonly StoredBreaker[] {
    this.#begin("load");
    this.#restore();
    return this.#handOver();
  }

  commit(change: StoreChange): void {
    this.#begin("commit");
    this.#disk.refusals.look(change);
    const { crashInCommit, race } = this;
    if (crashInCommit !== undefined) {
      this.crashInCommit = undefined;
      if (crashInCommit === "after") {
        this.#write(change);
        this.#hooks.committed(change);
      }
      this.isDead = true;
      this.#hooks.die();
      throw new StoreError("SIM_DEAD", "the process has ended");
    }
    this.race = undefined;
    race?.();
    for (let left = REWRITES_MAX; ; left -= 1) {
      if (change.ifUnchanged === true && this.#seenVersion !== this.#file.version) {
        throw new StoreError(STALE, "commit: another process has written");
      }
      this.#restore();
      this.#write(change);
      this.#disk.lose(this.lossInCommit);
      this.lossInCommit = 0;
      if (!this.isElsewhere()) break;
      if (left === 0) throw new StoreError("SIM_MOVED", "commit: not found in its place");
      this.#open();
    }
    this.isHindered = false;
    this.looked = this.#disk.file;
    for (const { upstream } of change.breakers) {
      this.promised.rows.set(upstream, this.knows(upstream));
    }
    for (const audit of change.audits) this.promised.audits.add(audit);
    this.#hooks.committed(change);
  }

  history({ upstream, limit }: HistoryQuery): readonly AuditEntry[] {
    if (this.peek !== undefined) {
      this.peek();
      return [];
    }
    this.#begin("history");
    return this.#file.audits
      .filter((audit) => upstream === undefined || audit.upstream === upstream)
      .toReversed()
      .slice(0, limit);
  }

  close(): void {
    this.isClosed = true;
  }

  /** Whether what it has open is no longer what stands there. */
  isElsewhere(): boolean {
    return this.#file !== this.#disk.file;
  }

  #poll(): readonly StoredBreaker[] | undefined {
    this.#begin("poll");
    this.#restore();
    if (this.#seenVersion === this.#file.version) return undefined;
    return this.#handOver();
  }

  #begin(operation: keyof ProcessStore["failing"]): void {
    this.#failMaybe(operation);
    if (this.isElsewhere()) this.#open();
    this.looked = this.#disk.file;
  }

  #open(): void {
    this.#file = this.#disk.file;
    this.#seenVersion = -1;
    this.#mustRestore = true;
  }

  #restore(): void {
    if (!this.#mustRestore) return;
    this.#disk.remember();
    if (this.#known.restore(this.#file)) this.#wrote();
    this.#mustRestore = false;
  }

  #write(change: StoreChange): void {
    this.#disk.remember();
    const revision = this.#known.next(this.#file, change);
    for (const unnumbered of change.breakers) {
      const stored = numbered(unnumbered, revision);
      const { upstream } = stored;
      this.#disk.compareNumber(upstream, revision, this);
      const orders = this.#hooks.ordersOf(stored, this.#file.rows.get(upstream));
      const row = { stored, orders, by: this, revision };
      this.#file.rows.set(upstream, row);
      this.#known.rows.set(upstream, row);
    }
    this.#known.revision = revision;
    const absent = change.audits.filter((audit) => !this.#file.audits.includes(audit));
    this.#file.audits.push(...absent);
    this.#known.remember(change.audits);
    this.#wrote();
  }

  /** As in SQLite, a process's own writes are no news to it; what others wrote before still is. */
  #wrote(): void {
    if (this.#seenVersion === this.#file.version) this.#seenVersion += 1;
    this.#file.version += 1;
  }

  #handOver(): readonly StoredBreaker[] {
    this.#seenVersion = this.#file.version;
    this.#known.read(this.#file);
    const rows = [...this.#file.rows.values()];
    const handed = rows.map(({ stored }) => this.#hooks.sanitise(stored));
    this.#hooks.read(rows, handed);
    return handed;
  }

  #failMaybe(operation: keyof ProcessStore["failing"]): void {
    if (this.isDead || this.isClosed) throw new StoreError("SIM_CLOSED", `${operation}: closed`);
    if (this.failOnce > 0) this.failOnce -= 1;
    else if (!this.failing[operation]) return;
    this.failures += 1;
    this.isHindered = true;
    if (this.throwsOddly) throw new TypeError(`${operation} went wrong`);
    throw new StoreError("SIM_IOERR", `${operation} failed`);
  }
}

/** Its new orders stand where the commit does. */
function numbered(stored: StoredBreaker, revision: number): StoredBreaker {
  const { places } = stored;
  if (places === undefined) return stored;
  const at = (place: number): number => (place === UNWRITTEN ? revision : place);
  const { order, person, mode } = places;
  return { ...stored, places: { order: at(order), person: at(person), mode: at(mode) } };
}
