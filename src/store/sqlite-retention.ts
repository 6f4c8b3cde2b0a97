// What is older than a person wants to keep. A chain is only shortened from its beginning: a row stays as long as
// one before it does, though a clock that was set back dates it earlier. Else deleting would break it.

import type { Connection } from "./sqlite-connection.ts";
import { isCorruption, sqliteCode } from "./sqlite-errors.ts";
import { allRows } from "./sqlite-rows.ts";

/** Looked at, and deleted, at a time. */
const OLD_MAX = 500;

// Text sorts after all numbers in SQLite, so what is no date is never old. Row ids as text: they may be larger than
// a number holds.
const SELECT_OLD = `SELECT CAST(rowid AS TEXT) AS place, bookmaker, hash IS NULL AS isFree
  FROM circuit_breaker_audit WHERE timestamp < ? ORDER BY timestamp LIMIT ${OLD_MAX} OFFSET ?`;

const SELECT_FIRST = `SELECT CAST(rowid AS TEXT) AS place, timestamp FROM circuit_breaker_audit
  WHERE bookmaker = ? AND hash IS NOT NULL ORDER BY rowid LIMIT ?`;

const DELETE_ROW = "DELETE FROM circuit_breaker_audit WHERE rowid = CAST(? AS INTEGER)";

export class Retention {
  readonly #keptMs: number;
  readonly #now: () => number;
  /** How many of the oldest were found to stay for what stands before them. */
  #skip = 0;

  constructor(keptMs: number, now: () => number) {
    this.#keptMs = keptMs;
    this.#now = now;
  }

  /** Whether it may have written. */
  deleteSome(connection: Connection): boolean {
    try {
      const places = this.#find(connection);
      if (places.length === 0) return false;
      connection.transaction(() => {
        for (const place of places) connection.prepared(DELETE_ROW).run(place);
      });
    } catch (error) {
      // Locked, full, read-only or without the table: they will be older still at the next try.
      if (isCorruption(sqliteCode(error))) throw error;
    }
    return true;
  }

  /** The ids of a slice of what may go. */
  #find(connection: Connection): readonly string[] {
    const beforeMs = this.#now() - this.#keptMs;
    const found = allRows(connection.prepared(SELECT_OLD), beforeMs, this.#skip);
    const places: string[] = [];
    const chained = new Map<string, number>();
    for (const { bookmaker, isFree, place } of found) {
      if (isFree === 1 || typeof bookmaker !== "string") places.push(String(place));
      else chained.set(bookmaker, (chained.get(bookmaker) ?? 0) + 1);
    }
    for (const [column, count] of chained) {
      for (const row of allRows(connection.prepared(SELECT_FIRST), column, count)) {
        if (typeof row.timestamp !== "number" || row.timestamp >= beforeMs) break;
        places.push(String(row.place));
      }
    }
    const isEnd = found.length < OLD_MAX;
    this.#skip = isEnd ? 0 : this.#skip + found.length - places.length;
    return places;
  }
}
