// The durable store that all processes of a world share, as rows in memory that survive each of
// them, and each process's own handle to it, with the faults of its day.
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
}

export class Disk {
  readonly rows = new Map<string, Row>();
  readonly audits: AuditEntry[] = [];
  readonly refusals = new Refusals();
  version = 0;
}

/** What a process's handle asks of the world. */
export interface StoreHooks {
  /** What the writer knows; the place to compare it with what stands on disk. */
  ordersOf(stored: StoredBreaker): Readonly<Orders>;
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
  /** How many operations failed. */
  failures = 0;
  /** Something failed as a whole, and nothing was written since. */
  isHindered = false;
  isDead = false;
  isClosed = false;
  readonly #disk: Disk;
  readonly #hooks: StoreHooks;
  #seenVersion = -1;

  constructor(disk: Disk, durable: boolean, hooks: StoreHooks) {
    this.#disk = disk;
    this.durable = durable;
    this.#hooks = hooks;
    if (durable) this.poll = () => this.#poll();
  }

  get revision(): number {
    return this.#disk.version;
  }

  load(): readonly StoredBreaker[] {
    this.#failMaybe("load");
    this.#seenVersion = this.#disk.version;
    return this.#handOver();
  }

  commit(change: StoreChange): void {
    this.#failMaybe("commit");
    this.#disk.refusals.look(change);
    const { crashInCommit } = this;
    if (crashInCommit !== undefined) {
      this.crashInCommit = undefined;
      if (crashInCommit === "after") this.#write(change);
      this.isDead = true;
      this.#hooks.die();
      throw new StoreError("SIM_DEAD", "the process has ended");
    }
    const { race } = this;
    this.race = undefined;
    race?.();
    if (change.ifUnchanged === true && this.#seenVersion !== this.#disk.version) {
      throw new StoreError(STALE, "commit: another process has written");
    }
    this.#write(change);
  }

  history({ upstream, limit }: HistoryQuery): readonly AuditEntry[] {
    this.#failMaybe("history");
    return this.#disk.audits
      .filter((audit) => upstream === undefined || audit.upstream === upstream)
      .toReversed()
      .slice(0, limit);
  }

  close(): void {
    this.isClosed = true;
  }

  #poll(): readonly StoredBreaker[] | undefined {
    this.#failMaybe("poll");
    if (this.#seenVersion === this.#disk.version) return undefined;
    this.#seenVersion = this.#disk.version;
    return this.#handOver();
  }

  #write(change: StoreChange): void {
    this.isHindered = false;
    const revision = this.#disk.version + 1;
    for (const unnumbered of change.breakers) {
      const stored = numbered(unnumbered, revision);
      const orders = this.#hooks.ordersOf(stored);
      this.#disk.rows.set(stored.upstream, { stored, orders, by: this });
    }
    this.#disk.audits.push(...change.audits);
    // As in SQLite, a process's own writes are no news to it; what others wrote before still is.
    if (this.#seenVersion === this.#disk.version) this.#seenVersion += 1;
    this.#disk.version += 1;
    this.#hooks.committed(change);
  }

  #handOver(): readonly StoredBreaker[] {
    const rows = [...this.#disk.rows.values()];
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
