// A database handle that the host opened, as a store: `bun:sqlite`, better-sqlite3 or `node:sqlite`.
//
// The handle stays the host's. It is never closed and never replaced, and a broken file is never put
// aside: what fails is kept in memory and tried again on the same handle. It should be the breaker's
// own: inside a transaction of the host's nothing can be committed, and is written after it.

import { sqliteStore, type SqliteHandle, type SqliteStatement } from "../store/sqlite.ts";
import { IN_MEMORY } from "../store/sqlite-connection.ts";
import type { Param, Row } from "../store/sqlite-handle.ts";
import { fileIdentity } from "../store/sqlite-watch.ts";
import type { Store } from "../index.ts";

/** What the three drivers have in common, with whatever types of parameters each declares. */
export interface ForeignDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): ForeignStatement;
}

export interface ForeignStatement {
  run(...params: never[]): unknown;
  get(...params: never[]): unknown;
  all(...params: never[]): unknown;
}

/** What only some of them have, under one name or another. */
interface DatabaseExtras {
  /** Where the file is: `bun:sqlite`, better-sqlite3, `node:sqlite`. */
  readonly filename?: unknown;
  readonly name?: unknown;
  location?(): unknown;
  readonly isTransaction?: unknown;
  readonly inTransaction?: unknown;
}

/** How a statement is told to give integers beyond 2^53, by either name. */
interface StatementExtras {
  setReadBigInts?(enabled: boolean): unknown;
  safeIntegers?(enabled: boolean): unknown;
}

/** SQLite's own code for a file that is no longer at its path; only some journals let it notice. */
const SQLITE_READONLY_DBMOVED = 1032;

export function foreignStore(
  db: ForeignDatabase,
  options: { readonly now: () => number; readonly busyTimeoutMs?: number | undefined },
): Store {
  const path = pathOf(db);
  const identity = path === IN_MEMORY ? undefined : fileIdentity(path);
  const { now, busyTimeoutMs } = options;
  return sqliteStore(path, {
    now,
    onCorrupt: "throw",
    ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
    open: () => {
      // Writes into a deleted file succeed, and are gone with the process.
      if (identity !== undefined && fileIdentity(path) !== identity) {
        const error = new Error("the file of the given handle was moved, deleted or replaced");
        throw Object.assign(error, { errcode: SQLITE_READONLY_DBMOVED });
      }
      return new ForeignHandle(db);
    },
  });
}

function pathOf(db: ForeignDatabase & DatabaseExtras): string {
  const known = [db.filename, db.name, db.location?.()].find((path) => typeof path === "string");
  // A URI is a file that cannot be watched by its path; the rest is the same.
  return typeof known !== "string" || known === "" || known.startsWith("file:") ? IN_MEMORY : known;
}

class ForeignHandle implements SqliteHandle {
  readonly #db: ForeignDatabase & DatabaseExtras;

  constructor(db: ForeignDatabase) {
    this.#db = db;
  }

  get isTransaction(): boolean {
    return (this.#db.isTransaction ?? this.#db.inTransaction) !== false;
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  prepare(sql: string): SqliteStatement {
    return adapted(this.#db.prepare(sql));
  }

  close(): void {
    // It is not ours.
  }
}

function adapted(statement: ForeignStatement & StatementExtras): SqliteStatement {
  return {
    run: (...params: Param[]) => statement.run(...(params as never[])),
    // "No row" is null on Bun and undefined elsewhere.
    get: (...params: Param[]) => (statement.get(...(params as never[])) ?? undefined) as Row,
    all: (...params: Param[]) => statement.all(...(params as never[])) as Row[],
    setReadBigInts: (enabled) =>
      statement.setReadBigInts?.(enabled) ?? statement.safeIntegers?.(enabled),
  };
}
