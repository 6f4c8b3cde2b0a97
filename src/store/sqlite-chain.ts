// The chain of audits in the file: how a row is added to that of its upstream, what keeps it whole when old rows
// are deleted, and the search for the row where it is broken.
//
// A row holds its own hash and that of the row before it, so that the first one that is left can be told from one
// that was changed. The order is that of the row ids, which is the order of writing. Rows without a hash are none of
// the chain: from before there was one, or by a program that keeps none.

import { TEXT_LENGTH_MAX } from "../core/breaker/snapshot.ts";
import type { AuditEntry, ChainReport } from "../pipeline/ports.ts";
import { boundAudit } from "./audit.ts";
import { auditDigest, CHAIN_START, chainHash } from "./audit-chain.ts";
import type { Param, Row, SqliteStatement } from "./sqlite-handle.ts";
import { nameToColumn } from "./sqlite-names.ts";
import { allRows, auditParams, isAction, mustChange, place, toAudit } from "./sqlite-rows.ts";

type Prepare = (sql: string) => SqliteStatement;

/** An audit, with who wrote it and what it is about. */
export interface WrittenAudit extends AuditEntry {
  /** Empty for one from before replicas were named. */
  readonly replica: string;
  /** The place of the newest order about the breaker when it was written; 0 where none is known. */
  readonly version: number;
}

const TABLE = "circuit_breaker_audit";

/** By all but whether it was forced. */
const SELECT_AUDIT = `SELECT 1 AS found FROM ${TABLE}
  WHERE bookmaker = ?1 AND action = ?2 AND reason = ?3 AND user = ?4 AND timestamp = ?5`;

const SELECT_LAST = `SELECT hash FROM ${TABLE}
  WHERE bookmaker = ? AND hash IS NOT NULL ORDER BY rowid DESC LIMIT 1`;

const SELECT_VERSIONS = `SELECT order_revision, person_revision, mode_revision
  FROM circuit_breaker_state WHERE bookmaker = ?`;

const INSERT_AUDIT = `INSERT INTO ${TABLE}
  (bookmaker, action, reason, user, timestamp, forced, replica, version, previous_hash, hash)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

const HASH = /^[0-9a-f]{40}$/;

/** The place of the newest order about a breaker, as the file has it. */
export function versionIn(prepare: Prepare, upstream: string): number {
  const [row = {}] = allRows(prepare(SELECT_VERSIONS), nameToColumn(upstream));
  return Math.max(0, ...Object.values(row).map(place));
}

export function hasAudit(prepare: Prepare, audit: AuditEntry): boolean {
  return prepare(SELECT_AUDIT).get(...auditParams(audit).slice(0, 5)) !== undefined;
}

/** To be called inside a transaction: nobody else may add to the chain between the look and the write. */
export function appendAudit(prepare: Prepare, audit: WrittenAudit): void {
  const { upstream, replica, version } = audit;
  const params = auditParams(audit);
  const [column = null, , , , at] = params;
  // What somebody wrote over the last hash does not go into the next one: it may be of any size.
  const { hash: last } = prepare(SELECT_LAST).get(column) ?? {};
  const before = typeof last === "string" && HASH.test(last) ? last : CHAIN_START;
  // As it will be read.
  const entry = { ...boundAudit(audit), at: Number(at) };
  const hash = chainHash(before, auditDigest(entry, replica), version);
  const written = prepare(INSERT_AUDIT).run(...params, replica, version, before, hash);
  mustChange(written, upstream);
}

/** As `toAudit`, with what the chain adds to it. */
export function toWritten(row: Row): WrittenAudit | undefined {
  const audit = toAudit(row);
  if (audit === undefined) return undefined;
  const replica = typeof row.replica === "string" ? row.replica.slice(0, TEXT_LENGTH_MAX) : "";
  return { ...audit, replica, version: place(row.version) };
}

/** Rows held in memory at a time. */
const PAGE_ROWS = 500;

// Row ids as text: they may be larger than a number holds, and a page must not begin where the last one did.
const selectPage = (
  isFirst: boolean,
): string => `SELECT CAST(rowid AS TEXT) AS place, action, reason,
  user, timestamp, forced, replica, version, previous_hash, hash FROM ${TABLE}
  WHERE bookmaker = ? AND hash IS NOT NULL ${isFirst ? "" : "AND rowid > CAST(? AS INTEGER)"}
  ORDER BY rowid LIMIT ${PAGE_ROWS}`;

const selectCount = (condition: string): string =>
  `SELECT count(*) AS n FROM ${TABLE} WHERE bookmaker = ? AND ${condition}`;

/** The first row without a hash that stands behind one that has one. */
const SELECT_INTRUDER = `SELECT CAST(min(rowid) AS TEXT) AS place FROM ${TABLE}
  WHERE bookmaker = ?1 AND hash IS NULL
    AND rowid > (SELECT min(rowid) FROM ${TABLE} WHERE bookmaker = ?1 AND hash IS NOT NULL)`;

const COUNT_COLUMNS = `SELECT count(*) AS n FROM pragma_table_info('${TABLE}')
  WHERE lower(name) IN ('replica', 'version', 'previous_hash', 'hash')`;

/** To be called where nobody writes between two questions. */
export function verifyChain(prepare: Prepare, upstream: string): ChainReport {
  const column = nameToColumn(upstream);
  const count = (condition: string): number =>
    Number(prepare(selectCount(condition)).get(column)?.n ?? 0);
  // A file that cannot be written may be from before the chain.
  if (Number(prepare(COUNT_COLUMNS).get()?.n) < 4) {
    return { upstream, rows: 0, outside: count("1"), isShortened: false, brokenAt: undefined };
  }
  const rows = count("hash IS NOT NULL");
  const intruder = prepare(SELECT_INTRUDER).get(column)?.place;
  const walk = new Walk(upstream, typeof intruder === "string" ? BigInt(intruder) : undefined);
  let after: Param | undefined;
  for (;;) {
    const bounds = after === undefined ? [] : [after];
    const page = allRows(prepare(selectPage(after === undefined)), column, ...bounds);
    for (const row of page) if (!walk.takes(row)) break;
    if (page.length < PAGE_ROWS || walk.brokenAt !== undefined) break;
    after = String(page.at(-1)?.place);
  }
  walk.end();
  const { isShortened, brokenAt } = walk;
  return { upstream, rows, outside: count("hash IS NULL"), isShortened, brokenAt };
}

/** From the first row to the last, or to the one that breaks the chain. */
class Walk {
  isShortened = false;
  brokenAt: ChainReport["brokenAt"];
  readonly #upstream: string;
  #intruder: bigint | undefined;
  #count = 0;
  #last: string | undefined;

  constructor(upstream: string, intruder: bigint | undefined) {
    this.#upstream = upstream;
    this.#intruder = intruder;
  }

  /** Whether it follows. */
  takes(row: Row): boolean {
    const at = String(row.place);
    if (this.#intruder !== undefined && BigInt(at) > this.#intruder) return this.end();
    this.#count += 1;
    const { previous_hash: before } = row;
    const hash = typeof before === "string" ? hashOf(this.#upstream, row, before) : undefined;
    if (hash === undefined || hash !== row.hash) {
      return this.#break(at, "is not what was written: somebody has changed it");
    }
    if (this.#last === undefined) this.isShortened = before !== CHAIN_START;
    else if (before !== this.#last) {
      const why = "does not follow from the row before it: rows between them were deleted or moved";
      return this.#break(at, why);
    }
    this.#last = hash;
    return true;
  }

  /** What has no hash may stand behind all that have one. */
  end(): boolean {
    if (this.#intruder === undefined || this.brokenAt !== undefined) return true;
    this.#count += 1;
    const why =
      "has no hash: it was put in by hand, or by a version or program that keeps no chain";
    return this.#break(String(this.#intruder), why);
  }

  #break(at: string, why: string): false {
    this.brokenAt = { row: this.#count, why: `the row of id ${at} ${why}` };
    return false;
  }
}

/** Undefined for what was never written so: whatever reads as the same text or number is not the same row. */
function hashOf(upstream: string, row: Row, before: string): string | undefined {
  const { action, reason, user: actor, timestamp: at, forced, replica, version } = row;
  const isWhole =
    isAction(action) &&
    typeof reason === "string" &&
    typeof actor === "string" &&
    typeof at === "number" &&
    (forced === 0 || forced === 1) &&
    typeof replica === "string" &&
    typeof version === "number";
  if (!isWhole) return undefined;
  const entry = { upstream, action, reason, actor, at, forced: forced === 1 };
  return chainHash(before, auditDigest(entry, replica), version);
}
