// One open database file: its settings, its prepared statements, its transactions, and the proof
// that the path still leads to it. SQLite writes on without complaint into a file that was deleted
// or replaced, and what it wrote is gone with the process.

import { statSync } from "node:fs";
import { closeQuietly } from "./sqlite-handle.ts";
import type { SqliteHandle, SqliteStatement } from "./sqlite-handle.ts";
import { allRows, SELECT_STATE } from "./sqlite-rows.ts";
import { hasStateTable, migrate, missingRepairs, missingSchema } from "./sqlite-schema.ts";

/** Path of a database without a file, for tests and trials. */
export const IN_MEMORY = ":memory:";

export class Connection {
  readonly db: SqliteHandle;
  readonly #path: string;
  readonly identity: string;
  readonly #statements = new Map<string, SqliteStatement>();
  #isMigrated = false;
  /** A transaction could not be ended: the handle must be closed, which ends it. */
  isStuck = false;

  constructor(db: SqliteHandle, path: string) {
    this.db = db;
    this.#path = path;
    this.identity = fileIdentity(path);
  }

  /** Settings, and a first look at the content. `isSuspect` asks for a thorough one. */
  configure(busyTimeoutMs: number, isSuspect: boolean): void {
    const { db } = this;
    // Waits this long for another writer instead of failing at once. The wait blocks the process,
    // so it is short: longer than any honest transaction, shorter than anyone notices.
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    // With NORMAL in a write-ahead log, a commit is one append that outlives the process, not a
    // flush of the disk; a power cut may lose the last ones, and never breaks the file. Without the
    // log (some network disks have none) NORMAL could break it, so each commit is flushed.
    db.exec(`PRAGMA synchronous = ${this.#useWriteAheadLog() ? "NORMAL" : "FULL"}`);
    if (isSuspect) this.#checkIntegrity();
    // Reads the schema and every state row, so that a broken file is found now and not at a trip.
    if (hasStateTable(db)) allRows(db.prepare(SELECT_STATE));
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

  #checkIntegrity(): void {
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

  /** Whether the path now leads to another file, or to none. About a microsecond. */
  isReplaced(): boolean {
    if (this.#path === IN_MEMORY) return false;
    const identity = fileIdentity(this.#path);
    return identity !== UNKNOWN && identity !== this.identity;
  }

  /**
   * Moves the log into the database first, so that one file is all there is to copy. Above all when
   * the database was replaced: the log at the path is still the old one's, and SQLite would play it
   * into the new file.
   */
  close(): void {
    try {
      this.db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // Locked or broken: the log stays beside the file, and the next opening takes it in.
    }
    closeQuietly(this.db);
  }
}

const MISSING = "missing";
const UNKNOWN = "unknown";

/** The number of an open file is not given to another, so equal numbers mean the same file. */
export function fileIdentity(path: string): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? MISSING : `${found.dev}:${found.ino}`;
  } catch (error) {
    // Bun throws where a parent is no directory, Node does not.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOTDIR" || code === "ENOENT" ? MISSING : UNKNOWN;
  }
}
