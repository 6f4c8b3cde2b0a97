// One open database file: its settings, its prepared statements, its transactions, and the proof
// that the path still leads to it. SQLite writes on without complaint into a file that was deleted
// or replaced, and what it wrote is gone with the process.

import { truncateSync } from "node:fs";
import { closeQuietly } from "./sqlite-handle.ts";
import type { SqliteHandle, SqliteStatement } from "./sqlite-handle.ts";
import { allRows, SELECT_STATE } from "./sqlite-rows.ts";
import { hasStateTable, migrate, missingRepairs, missingSchema } from "./sqlite-schema.ts";
import { FileWatch } from "./sqlite-watch.ts";

/** Path of a database without a file, for tests and trials. */
export const IN_MEMORY = ":memory:";

/**
 * Beyond this the log is moved into the database: SQLite's own measure, a thousand pages. It is done
 * here and not by SQLite, so that a database written by others can be told from one written by us.
 */
const LOG_BYTES_MAX = 4 * 1024 * 1024;

/** A reader can keep the log from being moved; it is tried again this often, and as it grows. */
const TIDY_MS = 1000;

export class Connection {
  readonly db: SqliteHandle;
  readonly #watch: FileWatch | undefined;
  readonly #now: () => number;
  #busyTimeoutMs = 0;
  #isLogged = false;
  /** All of the log is in the database: the next writer begins it again. */
  #isMoved = false;
  #tidiedMs = Number.NEGATIVE_INFINITY;
  #tidiedBytes = 0;
  readonly #statements = new Map<string, SqliteStatement>();
  #isMigrated = false;
  /** A transaction could not be ended: the handle must be closed, which ends it. */
  isStuck = false;

  constructor(db: SqliteHandle, path: string, now: () => number) {
    this.db = db;
    this.#watch = path === IN_MEMORY ? undefined : new FileWatch(path);
    this.#now = now;
  }

  get #logBytes(): number {
    return this.#watch?.logBytes ?? 0;
  }

  /** Which file it is. */
  get identity(): string {
    return this.#watch?.identity ?? IN_MEMORY;
  }

  /** Settings, and a first look at the content. `isSuspect` asks for a thorough one. */
  configure(busyTimeoutMs: number, isSuspect: boolean): void {
    const { db } = this;
    this.#busyTimeoutMs = busyTimeoutMs;
    // Waits this long for another writer instead of failing at once. The wait blocks the process,
    // so it is short: longer than any honest transaction, shorter than anyone notices.
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    this.#isLogged = this.#useWriteAheadLog();
    // With NORMAL in a write-ahead log, a commit is one append that outlives the process, not a
    // flush of the disk; a power cut may lose the last ones, and never breaks the file. Without the
    // log (some network disks have none) NORMAL could break it, so each commit is flushed.
    db.exec(`PRAGMA synchronous = ${this.#isLogged ? "NORMAL" : "FULL"}`);
    if (this.#isLogged) {
      db.exec("PRAGMA wal_autocheckpoint = 0");
      // Whoever begins the log again cuts off what a long reader let grow.
      db.exec(`PRAGMA journal_size_limit = ${LOG_BYTES_MAX}`);
    }
    if (isSuspect) this.checkIntegrity();
    // Reads the schema and every state row, so that a broken file is found now and not at a trip.
    if (hasStateTable(db)) allRows(db.prepare(SELECT_STATE));
    this.#watch?.note();
  }

  /** Readers then never block the writer, nor the other way round: other processes watch the file. */
  #useWriteAheadLog(): boolean {
    try {
      return this.db.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode === "wal";
    } catch {
      // Another process holds the old kind of journal, or the disk is read-only: works without. A
      // broken file fails the reading below just the same.
      return false;
    }
  }

  checkIntegrity(): void {
    const found = this.db.prepare("PRAGMA integrity_check(1)").get()?.integrity_check;
    if (found === "ok") return;
    throw Object.assign(new Error(String(found)), { errcode: 11 });
  }

  /** Adds what the file lacks, all or nothing. Writes nothing to a file that lacks nothing. */
  migrateOnce(wallMs: number): void {
    if (this.#isMigrated) return;
    if (missingSchema(this.db).length > 0 || missingRepairs(this.db, wallMs).length > 0) {
      this.transaction(() => migrate(this.db, wallMs));
    }
    this.#isMigrated = true;
  }

  /** The statement of this text, prepared at its first use. */
  prepared(sql: string): SqliteStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** IMMEDIATE takes the write lock at once, so that only the start can find it taken. */
  transaction(work: () => void): void {
    this.prepared("BEGIN IMMEDIATE").run();
    try {
      work();
      this.prepared("COMMIT").run();
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** All that `work` reads is of one moment, whoever writes meanwhile. */
  reading<Result>(work: () => Result): Result {
    this.prepared("BEGIN").run();
    try {
      return work();
    } finally {
      this.#rollBack();
    }
  }

  #rollBack(): void {
    // A full disk makes SQLite roll back by itself; doing it twice would be an error.
    if (this.db.isTransaction === false) return;
    try {
      this.db.exec("ROLLBACK");
    } catch {
      this.isStuck = true;
    }
  }

  /** Changes when another connection has written; own writes do not count. */
  dataVersion(): unknown {
    return this.prepared("PRAGMA data_version").get()?.data_version;
  }

  /** Whether database, log and index are no longer those that are open, or written by somebody else. */
  isDisturbed(): boolean {
    const watch = this.#watch;
    return watch !== undefined && !(this.#isLogged ? watch.isUntouched() : watch.isSameDatabase());
  }

  /**
   * Whether what was just committed is there for whoever opens the file next; `isThere` asks such a
   * one. A log that is gone from its place is still open here: what it holds is moved into the database.
   */
  holdsCommit(isThere: () => boolean): boolean {
    const watch = this.#watch;
    if (watch === undefined) return true;
    if (!this.#isLogged) return watch.isSameDatabase();
    const mayBegin = this.#isMoved;
    this.#isMoved = false;
    if (watch.holdsWrite(mayBegin)) return true;
    if (watch.isLogGone()) return this.#moveLog("PASSIVE") && watch.isSameDatabase();
    if (!isThere()) return false;
    watch.note();
    return watch.isSameDatabase();
  }

  /** Others have an index of their own, and wrote what this connection cannot see and closing it would undo. */
  isBlind(): boolean {
    return this.#isLogged && this.#watch?.isIndexHere() === false;
  }

  /**
   * Whether somebody wrote over the log who is no process of ours: those leave another version behind.
   */
  isLogSuspect(seenVersion: unknown): boolean {
    if (!this.#isLogged || this.#watch?.isLogChanged() !== true) return false;
    try {
      return this.dataVersion() === seenVersion;
    } catch {
      return true;
    }
  }

  /**
   * To be called before closing when the log in its place is not what was written to it: SQLite would
   * move whatever it finds there into the database.
   */
  discardLog(): void {
    const watch = this.#watch;
    if (watch === undefined || !this.#isLogged || !watch.isLogHere()) return;
    try {
      truncateSync(watch.logPath);
    } catch {
      // Gone, or not ours to write.
    }
  }

  /**
   * What has time, about once a second and without waiting for anybody: `work`, which says whether it
   * wrote, and moving a log that has grown into the database.
   */
  tidy(work: () => boolean): void {
    const wallMs = this.#now();
    const isRecent = Math.abs(wallMs - this.#tidiedMs) < TIDY_MS;
    if (isRecent && this.#logBytes - this.#tidiedBytes < LOG_BYTES_MAX) return;
    this.#tidiedMs = wallMs;
    this.db.exec("PRAGMA busy_timeout = 0");
    try {
      const hasWritten = work();
      const hasGrown = this.#isLogged && this.#logBytes > LOG_BYTES_MAX;
      if (hasGrown) this.#moveLog("TRUNCATE");
      if (hasWritten || hasGrown) this.#watch?.note();
      this.#tidiedBytes = this.#logBytes;
    } finally {
      this.db.exec(`PRAGMA busy_timeout = ${this.#busyTimeoutMs}`);
    }
  }

  /** Whether all of the log is in the database now. */
  #moveLog(mode: "PASSIVE" | "TRUNCATE"): boolean {
    try {
      const row = this.db.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
      this.#isMoved = row?.busy === 0 && row.log === row.checkpointed;
      return this.#isMoved;
    } catch {
      // Locked or broken: the log stays beside the file, and the next opening takes it in.
      return false;
    }
  }

  /**
   * At the end the log is moved into the database, so that one file is all there is to copy.
   * Otherwise only where it is no longer in its place, or the database is not: a log at the path may
   * be another one's, and SQLite would play it into the file. Moving it each time would disturb all
   * who have the file open, who would move theirs, and so on.
   */
  close(isEnd: boolean): void {
    const watch = this.#watch;
    const isSame = watch?.isSameDatabase() ?? false;
    const isHere = watch?.isLogHere() ?? false;
    try {
      if (!isEnd && isSame) this.db.exec("PRAGMA busy_timeout = 0");
    } catch {
      // What is wrong with it shows in what follows, or no longer matters.
    }
    if (isEnd || !isSame || !isHere) this.#moveLog("TRUNCATE");
    this.drop();
  }

  /** Closes it as it is. */
  drop(): void {
    closeQuietly(this.db);
    this.#watch?.close();
  }
}
