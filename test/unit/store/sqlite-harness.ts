// Databases in a temporary folder, and a handle between store and driver that can be made to fail.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after } from "node:test";
import { StoreError } from "../../../src/core/errors.ts";
import type { SqliteHandle, SqliteStatement } from "../../../src/store/sqlite.ts";

export function tempPaths(): (name?: string) => string {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-sqlite-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let made = 0;
  return (name = "breaker.db") => {
    made += 1;
    return join(folder, String(made), name);
  };
}

/** Opens the file beside the store, does the work, closes. */
export function withDatabase<Result>(path: string, work: (db: DatabaseSync) => Result): Result {
  const db = new DatabaseSync(path);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

/** A database as somebody else left it. */
export function makeDatabase(path: string, sql: string): void {
  mkdirSync(dirname(path), { recursive: true });
  withDatabase(path, (db) => db.exec(sql));
}

export function query(path: string, sql: string): Record<string, unknown>[] {
  return withDatabase(path, (db) => db.prepare(sql).all());
}

/** The store's own code of what the work throws. */
export function storeCodeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof StoreError) return error.storeCode;
    throw error;
  }
  return "none";
}

/** Calls `before` with each statement just before it reaches the database. */
export function spiedHandle(path: string, before: (sql: string) => void): SqliteHandle {
  const db = new DatabaseSync(path);
  return {
    get isTransaction() {
      return db.isTransaction;
    },
    exec(sql) {
      before(sql);
      db.exec(sql);
    },
    prepare(sql) {
      before(`prepare ${sql}`);
      return spiedStatement(db.prepare(sql), sql, before);
    },
    close() {
      // A handle that reports a failure has let go of the file all the same.
      db.close();
      before("close");
    },
  };
}

function spiedStatement(
  statement: SqliteStatement,
  sql: string,
  before: (sql: string) => void,
): SqliteStatement {
  return {
    run(...params) {
      before(sql);
      return statement.run(...params);
    },
    get(...params) {
      before(sql);
      return statement.get(...params);
    },
    all(...params) {
      before(sql);
      return statement.all(...params);
    },
    setReadBigInts: (enabled) => statement.setReadBigInts(enabled),
  };
}
