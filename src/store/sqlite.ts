// State in one SQLite file, for a single node: durable before `commit` returns, readable by people,
// shared with other processes on the same machine through `poll`.
//
// It assumes that everything happens to the file and its log: locked, read-only, full, broken, deleted,
// replaced, written over. A failing operation changes nothing and throws; the next one finds out by
// itself whether the cause is gone. The store remembers what it last read or wrote, so that a file that
// vanished is written anew in full and its callers need not know.
//
// It does not share state between machines: network file systems and SQLite do not mix.

import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { StoreError } from "../core/errors.ts";
import {
  STALE,
  type AuditEntry,
  type ChainReport,
  type HistoryQuery,
  type Store,
  type StoreChange,
  type StoredBreaker,
} from "../pipeline/ports.ts";
import { checkHistoryQuery } from "./audit.ts";
import { readAside, readAsNext } from "./sqlite-aside.ts";
import * as chain from "./sqlite-chain.ts";
import { Connection, IN_MEMORY } from "./sqlite-connection.ts";
import { openDatabase } from "./sqlite-driver.ts";
import { isCorruption, keepsConnection, sqliteCode, toStoreError } from "./sqlite-errors.ts";
import { makeFolder, moveAside } from "./sqlite-file.ts";
import type { SqliteHandle, SqliteStatement } from "./sqlite-handle.ts";
import { AUDITS_MAX, Known } from "./sqlite-known.ts";
import { checkSqliteOptions } from "./sqlite-options.ts";
import type { SqliteStoreOptions } from "./sqlite-options.ts";
import * as rows from "./sqlite-rows.ts";
import { hasStateTable } from "./sqlite-schema.ts";
import { Retention } from "./sqlite-retention.ts";
import { fileIdentity } from "./sqlite-watch.ts";

export type { SqliteHandle, SqliteStatement } from "./sqlite-handle.ts";
export type { SqliteStoreOptions } from "./sqlite-options.ts";

const DAY_MS = 86_400_000;

/** How often a commit is written once more when it is found not to be where it belongs. */
const REWRITES_MAX = 2;

/** SQLite's own code for a file that is no longer at its path; only some journals let it notice. */
const SQLITE_READONLY_DBMOVED = 1032;

/**
 * A store in the SQLite file at `path`; missing directories are made. Nothing is touched before
 * the first operation. `:memory:` gives a database that ends with the store.
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  checkSqliteOptions(path, options);
  return new SqliteStore(path, options);
}

class SqliteStore implements Store {
  readonly kind = "sqlite";
  readonly durable = true;
  readonly location: string;
  readonly #busyTimeoutMs: number;
  readonly #quarantines: boolean;
  readonly #retention: Retention | undefined;
  readonly #replica: string;
  readonly #now: () => number;
  readonly #openHandle: (path: string) => SqliteHandle;
  /** Whether the file may be read apart from the handle: not where somebody else opens it. */
  readonly #readsAside: boolean;

  #connection: Connection | undefined = undefined;
  #isClosed = false;
  #recoveredFrom: string | undefined = undefined;
  /** The last error was about the file's content: the next opening looks thoroughly. */
  #isSuspect = false;
  readonly #known = new Known();
  #mustRestore = false;
  /** A commit was not found in its place: its audits may come again, and may be there all the same. */
  #mayRepeat = false;
  /** Undefined when rows may have changed unseen. */
  #seenVersion: unknown = undefined;

  constructor(path: string, options: SqliteStoreOptions) {
    // Absolute, so that neither a change of directory nor a name like `file:x` means another file.
    this.location = path === IN_MEMORY ? path : resolve(path);
    this.#busyTimeoutMs = options.busyTimeoutMs ?? 250;
    this.#quarantines = (options.onCorrupt ?? "quarantine") === "quarantine";
    this.#replica = options.replica ?? `${hostname()}/${process.pid}`;
    this.#now = options.now ?? Date.now;
    const { auditRetentionDays: days } = options;
    this.#retention = days === undefined ? undefined : new Retention(days * DAY_MS, this.#now);
    this.#openHandle = options.open ?? openDatabase;
    this.#readsAside = options.open === undefined && path !== IN_MEMORY;
  }

  get revision(): number {
    return this.#known.revision;
  }

  get recoveredFrom(): string | undefined {
    return this.#recoveredFrom;
  }

  load(): readonly StoredBreaker[] {
    return this.#orAside(
      () => {
        try {
          return this.#attempt("load", () => this.#load());
        } catch (error) {
          if (!this.#quarantines || !isCorruption(sqliteCode(error))) throw error;
          // Found only after opening, such as in an index; the second opening checks and puts it aside.
          return this.#attempt("load", () => this.#load());
        }
      },
      (db) => {
        this.#known.read(rows.allStored(db.prepare(rows.SELECT_STATE), this.#now()), true);
        return this.#known.all();
      },
    );
  }

  commit(change: StoreChange): void {
    this.#attempt("commit", () => {
      for (let left = REWRITES_MAX; !this.#commit(change); left -= 1) {
        if (left > 0) continue;
        const error = new Error("what was written is not found in its place");
        throw Object.assign(error, { errcode: SQLITE_READONLY_DBMOVED });
      }
    });
  }

  history(query: HistoryQuery): readonly AuditEntry[] {
    checkHistoryQuery(query);
    return this.#orAside(
      () =>
        this.#attempt("history", () => {
          const connection = this.#connect();
          this.#prepareForReading(connection);
          return rows.audits((sql) => connection.prepared(sql), query, rows.toAudit);
        }),
      (db) => rows.audits((sql) => db.prepare(sql), query, rows.toAudit),
    );
  }

  verify(upstream: string): ChainReport {
    return this.#orAside(
      () =>
        this.#attempt("verify", () => {
          const connection = this.#connect();
          this.#prepareForReading(connection);
          const prepare = (sql: string): SqliteStatement => connection.prepared(sql);
          return connection.reading(() => chain.verifyChain(prepare, upstream));
        }),
      (db) => chain.verifyChain((sql) => db.prepare(sql), upstream),
    );
  }

  poll(): readonly StoredBreaker[] | undefined {
    return this.#attempt("poll", () => {
      const connection = this.#connect();
      // Not for reading's sake: without calls, nothing else would write the state back.
      if (this.#mustRestore || this.#known.hasRefused) this.#bringUpToDate(connection);
      connection.tidy(() => this.#deleteOldAudits(connection));
      if (connection.dataVersion() === this.#seenVersion) return undefined;
      this.#prepareForReading(connection);
      const read = this.#read(connection);
      if (this.#mustRestore) this.#prepareForReading(connection);
      return read;
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disconnect(true);
    this.#known.clear();
  }

  /** Whether what it wrote is where whoever opens the file next will find it. */
  #commit({ breakers, audits, ifUnchanged = false }: StoreChange): boolean {
    const connection = this.#connect();
    const wallMs = this.#now();
    connection.migrateOnce(wallMs);
    const prepare = (sql: string): SqliteStatement => connection.prepared(sql);
    const known = this.#known;
    let revision = 0;
    let written: readonly rows.StoredRow[] = [];
    let signed: readonly chain.WrittenAudit[] = [];
    connection.transaction(() => {
      // From here on nobody else writes.
      const isSeen = connection.dataVersion() === this.#seenVersion;
      if (ifUnchanged && !isSeen) {
        throw new StoreError(STALE, `commit to ${this.location}: another process has written`);
      }
      if (this.#mustRestore) known.restore(prepare, wallMs);
      const newest = isSeen ? 0 : Number(prepare(rows.SELECT_REVISION).get()?.revision ?? 0);
      // A number that no row holds would make the file look older than it is.
      revision = Math.max(known.revision, newest) + (breakers.length > 0 ? 1 : 0);
      written = known.write(prepare, breakers, { wallMs, revision });
      // Prepared only where there is one: a table of audits that cannot be written must cost no state.
      signed = audits.map((audit) => {
        const version = chain.versionIn(prepare, audit.upstream);
        const written = { ...audit, replica: this.#replica, version };
        if (!this.#mayRepeat || !chain.hasAudit(prepare, audit))
          chain.appendAudit(prepare, written);
        return written;
      });
    });
    this.#mustRestore = false;
    known.wrote(written, signed, revision);
    this.#mayRepeat = !connection.holdsCommit(() => !this.#hasNextLost(true));
    if (!this.#mayRepeat) connection.tidy(() => this.#deleteOldAudits(connection));
    return !this.#mayRepeat;
  }

  #load(): readonly StoredBreaker[] {
    const connection = this.#connect();
    this.#prepareForReading(connection);
    const read = this.#read(connection);
    connection.tidy(() => this.#deleteOldAudits(connection));
    return read;
  }

  /**
   * Brings the file up to date if it can be written. A file that cannot still has its trips read:
   * refusing to read them would un-latch every breaker.
   */
  #prepareForReading(connection: Connection): void {
    try {
      this.#bringUpToDate(connection);
    } catch (error) {
      const isFatal = connection.isStuck || isCorruption(sqliteCode(error));
      if (isFatal || !hasStateTable(connection.db)) throw error;
    }
  }

  #bringUpToDate(connection: Connection): void {
    const wallMs = this.#now();
    connection.migrateOnce(wallMs);
    const known = this.#known;
    if (!this.#mustRestore && !known.hasRefused) return;
    connection.transaction(() => {
      const prepare = (sql: string): SqliteStatement => connection.prepared(sql);
      if (this.#mustRestore) known.restore(prepare, wallMs);
      else known.restoreRefused(prepare, wallMs);
    });
    this.#mustRestore = !connection.holdsCommit(() => !this.#hasNextLost(true));
  }

  /** Whether it may have written. */
  #deleteOldAudits(connection: Connection): boolean {
    return this.#retention?.deleteSome(connection) ?? false;
  }

  #read(connection: Connection): readonly StoredBreaker[] {
    // The version first: a write in between is then seen again rather than never.
    const version = connection.dataVersion();
    const stored = rows.allStored(connection.prepared(rows.SELECT_STATE), this.#now());
    this.#seenVersion = version;
    if (this.#known.read(stored, this.#mustRestore)) this.#mustRestore = true;
    return this.#known.all();
  }

  /** What cannot be opened may be readable all the same; writing then waits until it can. */
  #orAside<Result>(work: () => Result, read: (db: SqliteHandle) => Result): Result {
    try {
      return work();
    } catch (error) {
      const isBroken = isCorruption(sqliteCode(error));
      if (this.#isClosed || !this.#readsAside || isBroken) throw error;
      const found = readAside(this.location, (db) => (hasStateTable(db) ? read(db) : undefined));
      if (found === undefined) throw error;
      return found;
    }
  }

  /** The open connection, or a new one when there is none to this very file. */
  #connect(): Connection {
    if (this.#connection?.isDisturbed() === false) return this.#connection;
    const before = this.#connection?.identity;
    if (this.#connection?.isBlind() === true) this.#learnFromNext();
    if (this.#connection?.isLogSuspect(this.#seenVersion) === true && this.#hasNextLost(false)) {
      this.#connection.discardLog();
    }
    this.#disconnect(false);
    if (this.location !== IN_MEMORY) makeFolder(dirname(this.location));
    let connection = this.#open();
    this.#seenVersion = undefined;
    this.#mustRestore = !this.#known.isEmpty;
    // Mostly another process moved the log, and all is there.
    if (this.#mustRestore && connection.identity === before) {
      this.#mustRestore = this.#hasLost(connection.db);
      this.#isSuspect ||= this.#mustRestore;
      if (this.#mustRestore) {
        connection.close(false);
        connection = this.#open();
      }
    }
    this.#isSuspect = false;
    this.#connection = connection;
    return connection;
  }

  #hasLost(db: SqliteHandle): boolean {
    try {
      if (!hasStateTable(db)) return true;
      const found = rows.allStored(db.prepare(rows.SELECT_STATE), this.#now());
      return this.#known.isLostIn(found, (sql) => db.prepare(sql));
    } catch {
      // The tables are not as they were.
      return true;
    }
  }

  /** Takes over what a process that opened the file now would find. */
  #learnFromNext(): void {
    readAsNext(this.location, (db) => {
      if (!hasStateTable(db)) return;
      const prepare = (sql: string): SqliteStatement => db.prepare(sql);
      const audits = rows.audits(prepare, { limit: AUDITS_MAX }, chain.toWritten);
      this.#known.read(rows.allStored(db.prepare(rows.SELECT_STATE), this.#now()), true);
      this.#known.remember(audits);
    });
  }

  /** Whether a process that opened the file now would miss what is known here. */
  #hasNextLost(ifUnknown: boolean): boolean {
    return readAsNext(this.location, (db) => this.#hasLost(db)) ?? ifUnknown;
  }

  #open(): Connection {
    const broken = this.#tryOpen();
    if (broken instanceof Connection) return broken;
    // Another process may have been faster; its new file is not the broken one.
    if (fileIdentity(this.location) === broken.identity) {
      this.#recoveredFrom = moveAside(this.location, this.#now());
    }
    const fresh = this.#tryOpen();
    if (fresh instanceof Connection) return fresh;
    throw fresh.error;
  }

  /** Throws, with nothing left open, unless the content is at fault and may be put aside. */
  #tryOpen(): Connection | { readonly error: unknown; readonly identity: string } {
    const db = this.#openHandle(this.location);
    const connection = new Connection(db, this.location, this.#now);
    try {
      connection.configure(this.#busyTimeoutMs, this.#isSuspect);
      return connection;
    } catch (error) {
      const isBroken = this.#quarantines && isCorruption(sqliteCode(error));
      if (isBroken) this.#salvage(connection);
      connection.drop();
      if (!isBroken) throw error;
      this.#isSuspect = false;
      return { error, identity: connection.identity };
    }
  }

  /** Often only a part is broken, and a trip in the rest is worth more than a clean start. */
  #salvage(connection: Connection): void {
    try {
      this.#known.salvage(rows.allStored(connection.prepared(rows.SELECT_STATE), this.#now()));
    } catch {
      // Not readable; it starts anew.
    }
  }

  #disconnect(waits: boolean): void {
    this.#connection?.close(waits);
    this.#connection = undefined;
  }

  #attempt<Result>(operation: string, work: () => Result): Result {
    if (this.#isClosed) {
      throw new StoreError(
        "SQLITE_MISUSE",
        `${operation} of ${this.location}: the store is closed`,
      );
    }
    try {
      return work();
    } catch (cause) {
      const error = toStoreError(operation, this.location, cause);
      if (isCorruption(error.storeCode)) this.#isSuspect = true;
      if (!keepsConnection(error.storeCode) || this.#connection?.isStuck === true) {
        this.#disconnect(false);
      }
      throw error;
    }
  }
}
