// Errors of SQLite, of the file system and of drivers under one name each: SQLite's own primary
// code. Metrics carry it as a label, so the set must be closed; extended codes are folded.

import { StoreError, type StoreConcern } from "../core/errors.ts";
import { STALE } from "../pipeline/ports.ts";

/** Primary result codes by number, https://www.sqlite.org/rescode.html. */
const PRIMARY_CODES: Readonly<Record<number, string>> = {
  1: "SQLITE_ERROR",
  2: "SQLITE_INTERNAL",
  3: "SQLITE_PERM",
  4: "SQLITE_ABORT",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  9: "SQLITE_INTERRUPT",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  12: "SQLITE_NOTFOUND",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  15: "SQLITE_PROTOCOL",
  17: "SQLITE_SCHEMA",
  18: "SQLITE_TOOBIG",
  19: "SQLITE_CONSTRAINT",
  20: "SQLITE_MISMATCH",
  21: "SQLITE_MISUSE",
  22: "SQLITE_NOLFS",
  23: "SQLITE_AUTH",
  25: "SQLITE_RANGE",
  26: "SQLITE_NOTADB",
};

const PRIMARY_NAMES: ReadonlySet<string> = new Set(Object.values(PRIMARY_CODES));

/** What `mkdir`, `stat` and `rename` report, in SQLite's words. */
const FILE_SYSTEM_CODES: Readonly<Record<string, string>> = {
  ENOSPC: "SQLITE_FULL",
  EDQUOT: "SQLITE_FULL",
  EROFS: "SQLITE_READONLY",
  EIO: "SQLITE_IOERR",
  EACCES: "SQLITE_CANTOPEN",
  EPERM: "SQLITE_CANTOPEN",
  ENOTDIR: "SQLITE_CANTOPEN",
  EEXIST: "SQLITE_CANTOPEN",
  EISDIR: "SQLITE_CANTOPEN",
  ELOOP: "SQLITE_CANTOPEN",
  ENAMETOOLONG: "SQLITE_CANTOPEN",
  EMFILE: "SQLITE_CANTOPEN",
  ENFILE: "SQLITE_CANTOPEN",
};

/**
 * Errors after which the connection is as good as before: somebody else is writing, the disk is
 * full, or a value was refused. After all others it is opened anew, since only that notices that
 * a disk was remounted writable, a directory is back or a broken file was mended.
 */
const CODES_KEEPING_CONNECTION: ReadonlySet<string> = new Set([
  STALE,
  "SQLITE_BUSY",
  "SQLITE_LOCKED",
  "SQLITE_FULL",
  "SQLITE_CONSTRAINT",
  "SQLITE_TOOBIG",
  "SQLITE_MISMATCH",
  "SQLITE_RANGE",
]);

/** A value or a row is refused, by SQLite, a constraint, a trigger or the driver: the next may pass. */
const CODES_OF_CONTENT: ReadonlySet<string> = new Set([
  "SQLITE_CONSTRAINT",
  "SQLITE_TOOBIG",
  "SQLITE_MISMATCH",
  "SQLITE_RANGE",
]);

/** A table that became a view, a trigger that names no table: one kind of row fails, or all do. */
function concernOf(storeCode: string): StoreConcern {
  if (CODES_OF_CONTENT.has(storeCode)) return "change";
  return storeCode === "SQLITE_ERROR" ? "either" : "store";
}

/** Whether it is about the row or value alone: all others may pass. */
export function isRefusal(error: unknown): boolean {
  return concernOf(sqliteCode(error)) === "change";
}

export function keepsConnection(storeCode: string): boolean {
  return CODES_KEEPING_CONNECTION.has(storeCode);
}

/** Whether the file's content is at fault, as opposed to access to it. */
export function isCorruption(storeCode: string): boolean {
  return storeCode === "SQLITE_CORRUPT" || storeCode === "SQLITE_NOTADB";
}

export function sqliteCode(error: unknown): string {
  if (error instanceof StoreError) return error.storeCode;
  const { errcode, code } = (error ?? {}) as {
    readonly errcode?: unknown;
    readonly code?: unknown;
  };
  // The low byte of an extended code is its primary one: 3850, SQLITE_IOERR_LOCK, is 10.
  if (typeof errcode === "number") return PRIMARY_CODES[errcode & 0xff] ?? "SQLITE_ERROR";
  if (typeof code !== "string") return "SQLITE_ERROR";
  // `bun:sqlite` and better-sqlite3 say it by name, extended: SQLITE_IOERR_WRITE.
  const primary = /^SQLITE_[A-Z]+/.exec(code)?.[0];
  if (primary !== undefined) return PRIMARY_NAMES.has(primary) ? primary : "SQLITE_ERROR";
  // A value that cannot be bound.
  if (code.startsWith("ERR_INVALID_ARG")) return "SQLITE_MISMATCH";
  // Not a number that was read: this file's bugs, or a handle closed.
  if (code.startsWith("ERR_")) return "SQLITE_MISUSE";
  return FILE_SYSTEM_CODES[code] ?? "SQLITE_ERROR";
}

export function toStoreError(operation: string, location: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = sqliteCode(cause);
  return new StoreError(code, `${operation} of ${location}: ${message}`, {
    cause,
    concerns: concernOf(code),
  });
}
