// Reading a database that cannot be opened in its place: a read-only disk or folder, where SQLite
// cannot make the index of the log, a full one, or a file that somebody else keeps locked. Its trips
// must be known all the same, or every breaker would be closed. Nothing is kept open, so that the next
// operation finds out by itself whether the cause is gone, and nothing beside the file is touched.

import { copyFileSync, mkdtempSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openDatabase, openReadOnly } from "./sqlite-driver.ts";
import { closeQuietly } from "./sqlite-handle.ts";
import type { SqliteHandle } from "./sqlite-handle.ts";

/** The logs of SQLite's two ways to write: what they hold belongs to the database's content. */
const LOGS = ["-wal", "-journal"] as const;

/** A copy larger than this would hold up the start, and fill a container's memory. */
const COPY_BYTES_MAX = 256 * 1024 * 1024;

/** Containers with a read-only root have at least the second one. */
const COPY_FOLDERS: readonly string[] = [tmpdir(), "/dev/shm"];

/** Somebody who writes meanwhile spoils a copy; who writes all the time lets us in at some moment. */
const TRIES_MAX = 3;

/** What `read` makes of the file at `path`; undefined where nobody can say. */
export function readAside<Result>(
  path: string,
  read: (db: SqliteHandle) => Result,
): Result | undefined {
  const found = readUndisturbed(path, (real) =>
    hasLog(real) ? readCopy(real, read) : readImmutable(real, read),
  );
  if (found !== undefined) return found.result;
  try {
    // Without its log, where there is no room for a copy: an older truth is better than none.
    return readImmutable(realpathSync(path), read);
  } catch {
    return undefined;
  }
}

/** What `read` makes of what a process would find that opened the file now; undefined where nobody can say. */
export function readAsNext<Result>(
  path: string,
  read: (db: SqliteHandle) => Result,
): Result | undefined {
  return readUndisturbed(path, (real) => readCopy(real, read))?.result;
}

function readUndisturbed<Result>(
  path: string,
  read: (realPath: string) => Result,
): { readonly result: Result } | undefined {
  for (let left = TRIES_MAX; left > 0; left -= 1) {
    try {
      const real = realpathSync(path);
      const before = stamps(real);
      const result = read(real);
      if (stamps(real) === before) return { result };
    } catch {
      // Unreadable, no database, or torn by a writer: the last case is gone at the next try.
    }
  }
  return undefined;
}

/** Opened so, SQLite looks at this one file only, and takes no lock. */
function readImmutable<Result>(path: string, read: (db: SqliteHandle) => Result): Result {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  const db = openReadOnly(url);
  try {
    return read(db);
  } finally {
    closeQuietly(db);
  }
}

/** A copy with its log, in which SQLite may make what it needs. */
function readCopy<Result>(path: string, read: (db: SqliteHandle) => Result): Result {
  const sizeBytes = sizeOf(path) + LOGS.reduce((sum, log) => sum + sizeOf(path + log), 0);
  if (sizeBytes > COPY_BYTES_MAX) throw new Error(`${path} is too large to be copied`);
  let failure: unknown;
  for (const folder of COPY_FOLDERS) {
    let copies: string | undefined;
    try {
      copies = mkdtempSync(join(folder, "switchgear-"));
      const copy = join(copies, "copy.db");
      copyFileSync(path, copy);
      for (const log of LOGS) if (sizeOf(path + log) > 0) copyFileSync(path + log, copy + log);
      const db = openDatabase(copy);
      try {
        return read(db);
      } finally {
        closeQuietly(db);
      }
    } catch (error) {
      failure = error;
    } finally {
      if (copies !== undefined) rmSync(copies, { recursive: true, force: true });
    }
  }
  throw failure;
}

function hasLog(path: string): boolean {
  return LOGS.some((log) => sizeOf(path + log) > 0);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Of all that is copied: the same before and after means that nobody wrote in between. */
function stamps(path: string): string {
  return ["", ...LOGS]
    .map((log) => statSync(path + log, { bigint: true, throwIfNoEntry: false }))
    .map((found) => `${found?.ino} ${found?.size} ${found?.mtimeNs}`)
    .join();
}
