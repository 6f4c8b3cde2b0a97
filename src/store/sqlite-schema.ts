// The tables, and how a database of any age comes to have them. Migration only ever adds, and
// mends values that the machine could not use; whatever else a table holds stays.

import type { Param, SqliteHandle } from "./sqlite-handle.ts";
import { nameToColumn } from "./sqlite-names.ts";
import { allRows, SELECT_STATE, toStored } from "./sqlite-rows.ts";

export const STATE_TABLE = "circuit_breaker_state";
export const AUDIT_TABLE = "circuit_breaker_audit";

// Column names and types are an interface: operators' queries and other programs read them.
const CREATE_STATE = `CREATE TABLE IF NOT EXISTS ${STATE_TABLE} (
  bookmaker TEXT PRIMARY KEY,
  failure_count REAL NOT NULL DEFAULT 0,
  last_failure_at INTEGER,
  tripped INTEGER NOT NULL DEFAULT 0,
  trip_count INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  avg_latency REAL,
  last_reset_at INTEGER,
  last_reset_by TEXT,
  last_reset_reason TEXT,
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now') * 1000)
)`;

const CREATE_AUDIT = `CREATE TABLE IF NOT EXISTS ${AUDIT_TABLE} (
  id INTEGER PRIMARY KEY,
  bookmaker TEXT,
  action TEXT,
  reason TEXT,
  user TEXT,
  timestamp INTEGER
)`;

/** Columns that tables of other programs or younger than themselves lack, added one by one where absent. */
const ADDED_COLUMNS: readonly (readonly [table: string, column: string, type: string])[] = [
  [STATE_TABLE, "failure_count", "REAL NOT NULL DEFAULT 0"],
  [STATE_TABLE, "last_failure_at", "INTEGER"],
  [STATE_TABLE, "tripped", "INTEGER NOT NULL DEFAULT 0"],
  [STATE_TABLE, "trip_count", "INTEGER NOT NULL DEFAULT 0"],
  [STATE_TABLE, "last_error", "TEXT"],
  [STATE_TABLE, "avg_latency", "REAL"],
  [STATE_TABLE, "last_reset_at", "INTEGER"],
  [STATE_TABLE, "last_reset_by", "TEXT"],
  [STATE_TABLE, "last_reset_reason", "TEXT"],
  // SQLite adds no column whose default it would have to work out.
  [STATE_TABLE, "updated_at", "INTEGER"],
  [STATE_TABLE, "tripped_until", "INTEGER"],
  [STATE_TABLE, "tripped_at", "INTEGER"],
  [STATE_TABLE, "last_success_at", "INTEGER"],
  [STATE_TABLE, "manual", "INTEGER"],
  [STATE_TABLE, "mode", "TEXT"],
  [STATE_TABLE, "kind", "TEXT"],
  [STATE_TABLE, "detail", "TEXT"],
  [STATE_TABLE, "mode_at", "INTEGER"],
  // The number of the commit that wrote the row, and of those that gave the newest orders.
  [STATE_TABLE, "revision", "INTEGER"],
  [STATE_TABLE, "order_revision", "INTEGER"],
  [STATE_TABLE, "person_revision", "INTEGER"],
  [STATE_TABLE, "mode_revision", "INTEGER"],
  [AUDIT_TABLE, "bookmaker", "TEXT"],
  [AUDIT_TABLE, "action", "TEXT"],
  [AUDIT_TABLE, "reason", "TEXT"],
  [AUDIT_TABLE, "user", "TEXT"],
  [AUDIT_TABLE, "timestamp", "INTEGER"],
  [AUDIT_TABLE, "forced", "INTEGER"],
  // The chain: rows from before it have none of these.
  [AUDIT_TABLE, "replica", "TEXT"],
  [AUDIT_TABLE, "version", "INTEGER"],
  [AUDIT_TABLE, "previous_hash", "TEXT"],
  [AUDIT_TABLE, "hash", "TEXT"],
];

/** A table that somebody made by hand may have no key, and a row then has nothing to take the place of. */
const CREATE_KEY = `CREATE UNIQUE INDEX IF NOT EXISTS ${STATE_TABLE}_bookmaker ON ${STATE_TABLE} (bookmaker)`;
const UNIQUE_KEY = `SELECT name FROM pragma_index_list('${STATE_TABLE}') AS list
  WHERE "unique" AND NOT partial AND 'bookmaker' =
    (SELECT group_concat(lower(name)) FROM pragma_index_info(list.name))`;

/**
 * For the history of all upstreams, and of one, where the row id orders equal timestamps; and for the chain of
 * one, by the row id, which every index has.
 */
const INDEXES: readonly (readonly [name: string, columns: string])[] = [
  ["circuit_breaker_audit_timestamp", "(timestamp)"],
  ["circuit_breaker_audit_bookmaker_timestamp", "(bookmaker, timestamp)"],
  ["circuit_breaker_audit_chain", "(bookmaker) WHERE hash IS NOT NULL"],
];

const REPAIR = `UPDATE ${STATE_TABLE}
  SET failure_count = ?, tripped = ?, trip_count = ?, tripped_at = ? WHERE bookmaker = ?`;

export function hasStateTable(db: SqliteHandle): boolean {
  return namesIn(db, "SELECT name FROM sqlite_schema WHERE type = 'table'").has(STATE_TABLE);
}

/**
 * Statements that a fresh or older database lacks; none for one of today. Where a table is missing it
 * comes first, and what it lacks is to be asked again.
 */
export function missingSchema(db: SqliteHandle): readonly string[] {
  const names = namesIn(db, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')");
  const tables = [
    ...(names.has(STATE_TABLE) ? [] : [CREATE_STATE]),
    ...(names.has(AUDIT_TABLE) ? [] : [CREATE_AUDIT]),
  ];
  if (tables.length > 0) return tables;
  const columns = new Map(
    [STATE_TABLE, AUDIT_TABLE].map((table) => [
      table,
      // As SQLite compares them.
      namesIn(db, `SELECT lower(name) AS name FROM pragma_table_info('${table}')`),
    ]),
  );
  return [
    ...ADDED_COLUMNS.filter(([table, column]) => columns.get(table)?.has(column) !== true).map(
      ([table, column, type]) => `ALTER TABLE ${table} ADD COLUMN ${column} ${type}`,
    ),
    ...(db.prepare(UNIQUE_KEY).get() === undefined ? [CREATE_KEY] : []),
    ...INDEXES.filter(([name]) => !names.has(name)).map(
      ([name, on]) => `CREATE INDEX IF NOT EXISTS ${name} ON ${AUDIT_TABLE} ${on}`,
    ),
  ];
}

/**
 * Parameters of the updates that make stored values what the machine would read from them anyway,
 * so that people's queries see the same and an undated trip keeps the date it was given first.
 */
export function missingRepairs(db: SqliteHandle, wallMs: number): readonly RepairParams[] {
  if (!hasStateTable(db)) return [];
  return allRows(db.prepare(SELECT_STATE)).flatMap((row) => {
    const stored = toStored(row, wallMs);
    if (stored === undefined) return [];
    const { failureCount, tripped, tripCount, trippedAt } = stored.snapshot;
    const isSame =
      row.failure_count === failureCount &&
      row.tripped === Number(tripped) &&
      row.trip_count === tripCount &&
      (row.tripped_at ?? null) === trippedAt;
    return isSame
      ? []
      : [[failureCount, Number(tripped), tripCount, trippedAt, nameToColumn(stored.upstream)]];
  });
}

type RepairParams = readonly Param[];

/** To be called inside a transaction; what is missing is asked again, since another may be faster. */
export function migrate(db: SqliteHandle, wallMs: number): void {
  // First the tables, then what they lack.
  for (let round = 0; round < 2; round += 1) for (const sql of missingSchema(db)) db.exec(sql);
  const repair = db.prepare(REPAIR);
  for (const params of missingRepairs(db, wallMs)) repair.run(...params);
}

function namesIn(db: SqliteHandle, sql: string): ReadonlySet<unknown> {
  return new Set(
    db
      .prepare(sql)
      .all()
      .map((row) => row.name),
  );
}
