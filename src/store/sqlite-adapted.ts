// A database handle of `bun:sqlite`, better-sqlite3 or `node:sqlite` under one contract: what the three
// name or answer differently is made the same here.

import { property, whenRejected } from "../core/foreign.ts";
import type { Param, Row, SqliteHandle, SqliteStatement } from "./sqlite-handle.ts";

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

/** Whether a transaction is open, by either name. */
interface DatabaseExtras {
  readonly isTransaction?: unknown;
  readonly inTransaction?: unknown;
}

/** How a statement is told to give integers beyond 2^53, by either name. */
interface StatementExtras {
  setReadBigInts?(enabled: boolean): unknown;
  safeIntegers?(enabled: boolean): unknown;
}

export function adapted(db: ForeignDatabase & DatabaseExtras, close: () => unknown): SqliteHandle {
  return {
    get isTransaction() {
      return (db.isTransaction ?? db.inTransaction) !== false;
    },
    exec: (sql) => void atOnce("exec", db.exec(sql)),
    prepare: (sql) => adaptedStatement(atOnce("prepare", db.prepare(sql))),
    close: () => void close(),
  };
}

function adaptedStatement(statement: ForeignStatement & StatementExtras): SqliteStatement {
  return {
    run: (...params: Param[]) => atOnce("run", statement.run(...(params as never[]))),
    // "No row" is null on Bun and undefined elsewhere.
    get: (...params: Param[]) =>
      (atOnce("get", statement.get(...(params as never[]))) ?? undefined) as Row,
    all: (...params: Param[]) => atOnce("all", statement.all(...(params as never[]))) as Row[],
    setReadBigInts: (enabled) =>
      statement.setReadBigInts?.(enabled) ?? statement.safeIntegers?.(enabled),
  };
}

/** What a driver that works elsewhere promises is neither written nor read when it says so. */
function atOnce<Answer>(method: string, answer: Answer): Answer {
  if (typeof property(answer, "then") !== "function") return answer;
  whenRejected(answer);
  throw new Error(
    `the database's ${method} answered with a promise: it must be a handle that works at once, such as node:sqlite's, bun:sqlite's or better-sqlite3's`,
  );
}
