// Rows to and from what the pipeline knows. Rows are not trusted: people edit them, older programs
// wrote them, and SQLite stores any type in any column.

import { isBreakerKind, sanitiseSnapshot } from "../core/breaker/restore.ts";
import type { BreakerSnapshot } from "../core/breaker/snapshot.ts";
import type { OperatorMode } from "../core/events.ts";
import type {
  AuditAction,
  AuditEntry,
  HistoryQuery,
  OrderPlaces,
  StoredBreaker,
} from "../pipeline/ports.ts";
import { boundAudit } from "./audit.ts";
import { columnToName, nameToColumn } from "./sqlite-names.ts";
import type { Param, Row, SqliteStatement } from "./sqlite-handle.ts";

const MODES: readonly OperatorMode[] = ["normal", "shadow", "forced-closed"];

/** A record, so that the compiler asks for an action added later. */
const ACTIONS: Readonly<Record<AuditAction, true>> = {
  TRIP: true,
  TRIP_NOTED: true,
  RESET: true,
  RESET_DENIED: true,
  FORCE_CLOSED: true,
  SHADOW: true,
  NORMAL: true,
};

/** The last moment that a `Date` can show, and the first one before 1970. */
const DATE_MS_MAX = 8.64e15;

const COLUMNS = [
  "bookmaker",
  "failure_count",
  "last_failure_at",
  "tripped",
  "trip_count",
  "last_error",
  "avg_latency",
  "last_reset_at",
  "last_reset_by",
  "last_reset_reason",
  "updated_at",
  "tripped_until",
  "tripped_at",
  "last_success_at",
  "manual",
  "mode",
  "kind",
  "detail",
  "mode_at",
  "revision",
  "order_revision",
  "person_revision",
  "mode_revision",
] as const;

/** Keys of a snapshot that have a column. */
const IN_COLUMNS: ReadonlySet<string> = new Set([
  "version",
  "kind",
  "failureCount",
  "tripped",
  "manual",
  "tripCount",
  "trippedAt",
  "trippedUntil",
  "lastError",
  "lastFailureAt",
  "lastSuccessAt",
  "avgLatencyMs",
  "lastResetAt",
  "lastResetBy",
  "lastResetReason",
]);

const INSERT = `INSERT INTO circuit_breaker_state (${COLUMNS.join(", ")})
  VALUES (${COLUMNS.map(() => "?").join(", ")}) ON CONFLICT (bookmaker) DO`;

export const UPSERT_STATE = `${INSERT} UPDATE SET ${COLUMNS.slice(1)
  .map((column) => `${column} = excluded.${column}`)
  .join(", ")}`;

/**
 * For a file that lost what it was given: absent rows and older ones. What it says without a revision,
 * somebody else said.
 */
export const RESTORE_STATE = `${UPSERT_STATE}
  WHERE circuit_breaker_state.revision < excluded.revision`;

export const SELECT_REVISION = "SELECT max(revision) AS revision FROM circuit_breaker_state";

// All columns, since a file that cannot be written may lack the younger ones.
export const SELECT_STATE = "SELECT * FROM circuit_breaker_state";

const ACTION_LIST = Object.keys(ACTIONS)
  .map((action) => `'${action}'`)
  .join(", ");

const isDated = `typeof(timestamp) IN ('integer', 'real')
  AND timestamp BETWEEN -${DATE_MS_MAX} AND ${DATE_MS_MAX}`;

// Rows that are no audits of ours are left out here, so that the limit counts what is shown.
const selectAudits = (
  isOne: boolean,
  condition: string,
): string => `SELECT * FROM circuit_breaker_audit
  WHERE ${isOne ? "bookmaker = ?1" : "typeof(bookmaker) = 'text' AND bookmaker <> ''"}
    AND action IN (${ACTION_LIST}) AND ${condition}
  ORDER BY timestamp DESC, id DESC LIMIT ${isOne ? "?2" : "?1"}`;

/**
 * The answer to a query, by whoever prepares statements. What has no date that a calendar knows comes
 * last: SQLite would sort texts and blobs before all numbers.
 */
export function audits<Audit>(
  prepare: (sql: string) => SqliteStatement,
  { upstream, limit }: HistoryQuery,
  read: (row: Row) => Audit | undefined,
): readonly Audit[] {
  const names = upstream === undefined ? [] : [nameToColumn(upstream)];
  const select = (condition: string, left: number): readonly Row[] =>
    allRows(prepare(selectAudits(names.length > 0, condition)), ...names, left);
  const dated = select(isDated, limit);
  const left = limit - dated.length;
  // Where all dated ones fit there are few, and looking through the rest is cheap.
  const undated = left > 0 ? select(`(timestamp IS NULL OR NOT (${isDated}))`, left) : [];
  return [...dated, ...undated].flatMap((row) => read(row) ?? []);
}

/**
 * All rows as plain numbers and texts. Both runtimes throw on an integer beyond 2^53 unless asked
 * for bigints, and one such value would hide every row.
 */
export function allRows(statement: SqliteStatement, ...params: Param[]): readonly Row[] {
  statement.setReadBigInts(true);
  return statement.all(...params).map((row) => {
    const plain: Record<string, unknown> = { __proto__: null };
    for (const [column, value] of Object.entries(row)) {
      plain[column] = typeof value === "bigint" ? Number(value) : value;
    }
    return plain;
  });
}

/** One row as it stands in the file. */
export interface StoredRow {
  readonly stored: StoredBreaker;
  /** The commit that wrote it; 0 for one by a program that counts none. */
  readonly revision: number;
  /** Its columns, to be compared: a program that counts no commits, or a person, changes them alone. */
  readonly print: string | undefined;
}

/**
 * Every breaker that the statement, a `SELECT_STATE`, finds a row for. A table that somebody made without a
 * key may hold several of one name: it is tripped if one of them is.
 */
export function allStored(statement: SqliteStatement, wallMs: number): readonly StoredRow[] {
  const found = new Map<string, StoredRow>();
  for (const row of allRows(statement)) {
    const stored = toStored(row, wallMs);
    if (stored === undefined) continue;
    const { upstream } = stored;
    if (found.get(upstream)?.stored.snapshot.tripped === true) continue;
    const print = printOf(COLUMNS.map((column) => row[column]));
    found.set(upstream, { stored, revision: place(row.revision), print });
  }
  return [...found.values()];
}

export function printOf(columns: readonly unknown[]): string {
  return JSON.stringify(columns.map((value) => value ?? null));
}

/** Undefined for a row of nobody: SQLite lets a text key be NULL or a blob. */
export function toStored(row: Row, wallMs: number): StoredBreaker | undefined {
  const { bookmaker } = row;
  if (typeof bookmaker !== "string" || bookmaker === "") return undefined;
  const upstream = columnToName(bookmaker);
  const mode = MODES.find((known) => known === row.mode) ?? "normal";
  // Rows from before there were kinds are all of the one kind that there was.
  const kind = isBreakerKind(row.kind) ? row.kind : "latching";
  const raw = {
    ...detailOf(row.detail),
    // The columns win: they are what people see and edit.
    failureCount: row.failure_count,
    tripped: row.tripped,
    manual: row.manual,
    tripCount: row.trip_count,
    trippedAt: row.tripped_at,
    trippedUntil: row.tripped_until,
    lastError: row.last_error,
    lastFailureAt: row.last_failure_at,
    lastSuccessAt: row.last_success_at,
    avgLatencyMs: row.avg_latency,
    lastResetAt: row.last_reset_at,
    lastResetBy: row.last_reset_by,
    lastResetReason: row.last_reset_reason,
  };
  const modeAt = modeDate(row.mode_at, wallMs);
  const snapshot = sanitiseSnapshot(kind, raw, wallMs, row.updated_at);
  const places = placesOf(row);
  return {
    upstream,
    mode,
    ...(modeAt === undefined ? {} : { modeAt }),
    snapshot,
    ...(places === undefined ? {} : { places }),
  };
}

/** Undefined for a row by a program or a person that knows of none. */
function placesOf(row: Row): OrderPlaces | undefined {
  const [order, person, mode] = [row.order_revision, row.person_revision, row.mode_revision]
    .map(place)
    // No order is younger than the row that holds it.
    .map((found) => Math.min(found, place(row.revision)));
  if (!order && !person && !mode) return undefined;
  return { order: order ?? 0, person: person ?? 0, mode: mode ?? 0 };
}

/** 0 for what is none. */
export function place(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** In the order of the columns. */
export function stateParams(
  { upstream, mode, modeAt, snapshot, places }: StoredBreaker,
  wallMs: number,
  revision: number,
): Param[] {
  const at = (value = 0): number | null => Math.min(value, revision) || null;
  return [
    nameToColumn(upstream),
    finite(snapshot.failureCount) ?? 0,
    date(snapshot.lastFailureAt),
    snapshot.tripped ? 1 : 0,
    finite(snapshot.tripCount) ?? 0,
    snapshot.lastError,
    finite(snapshot.avgLatencyMs),
    date(snapshot.lastResetAt),
    snapshot.lastResetBy,
    snapshot.lastResetReason,
    wallMs,
    date(snapshot.trippedUntil),
    date(snapshot.trippedAt),
    date(snapshot.lastSuccessAt),
    snapshot.manual ? 1 : 0,
    mode,
    snapshot.kind,
    detailText(snapshot),
    date(modeAt ?? null),
    revision || null,
    at(places?.order),
    at(places?.person),
    at(places?.mode),
  ];
}

/** One from the future would outlive every later order. */
function modeDate(value: unknown, wallMs: number): number | undefined {
  return typeof value === "number" && value > 0 ? Math.min(Math.floor(value), wallMs) : undefined;
}

/** What the columns do not hold, as JSON; null where they hold everything. */
function detailText(snapshot: BreakerSnapshot): string | null {
  if (snapshot.kind === "latching") return null;
  const detail = Object.entries(snapshot).filter(([key]) => !IN_COLUMNS.has(key));
  return JSON.stringify(Object.fromEntries(detail));
}

function detailOf(text: unknown): Readonly<Record<string, unknown>> {
  if (typeof text !== "string") return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    // A person's edit went wrong: the columns still tell whether it is tripped.
    return {};
  }
}

export function auditParams(entry: AuditEntry): Param[] {
  const { upstream, action, reason, actor, at, forced } = boundAudit(entry);
  return [nameToColumn(upstream), action, reason, actor, date(at) ?? 0, forced ? 1 : 0];
}

/** Undefined for a row that is no audit of ours; the queries above find none. */
export function toAudit(row: Row): AuditEntry | undefined {
  const { bookmaker, action, reason, user, timestamp } = row;
  if (typeof bookmaker !== "string" || !isAction(action)) return undefined;
  const isDate = typeof timestamp === "number" && Math.abs(timestamp) <= DATE_MS_MAX;
  return boundAudit({
    upstream: columnToName(bookmaker),
    action,
    reason: typeof reason === "string" ? reason : "",
    actor: typeof user === "string" ? user : "unknown",
    at: isDate ? timestamp : 0,
    forced: row.forced === 1,
  });
}

export function isAction(value: unknown): value is AuditAction {
  return typeof value === "string" && Object.hasOwn(ACTIONS, value);
}

/** SQLite stores NaN as NULL, which a NOT NULL column refuses: one bad number would block the queue. */
function finite(value: number | null): number | null {
  return value !== null && Number.isFinite(value) ? value : null;
}

function date(value: number | null): number | null {
  const known = finite(value);
  return known === null ? null : Math.floor(known);
}

/** SQLite's code for a row that a constraint refuses. */
const SQLITE_CONSTRAINT = 19;

/** A trigger may drop a row without a word (`RAISE(IGNORE)`): what was not written must not be promised. */
export function mustChange(result: unknown, upstream: string): void {
  const { changes } = (result ?? {}) as { readonly changes?: unknown };
  if (changes !== 0 && changes !== 0n) return;
  const error = new Error(`the table ignores the row of ${JSON.stringify(upstream)}`);
  throw Object.assign(error, { errcode: SQLITE_CONSTRAINT });
}
