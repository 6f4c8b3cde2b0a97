// What is used of a database driver, so that tests can put a failing one in between.

export type Row = Readonly<Record<string, unknown>>;
export type Param = number | string | null;

/** An open database; `DatabaseSync` of `node:sqlite` is one. */
export interface SqliteHandle {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
  /** Whether a transaction is open. Where absent, one is assumed after every failure. */
  readonly isTransaction?: boolean;
}

export interface SqliteStatement {
  run(...params: Param[]): unknown;
  get(...params: Param[]): Row | undefined;
  all(...params: Param[]): Row[];
  setReadBigInts(enabled: boolean): unknown;
}

export function closeQuietly(db: SqliteHandle): void {
  try {
    db.close();
  } catch {
    // Nothing can be done about a handle that will not close, and nothing depends on it.
  }
}
