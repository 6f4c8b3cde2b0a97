// The runtime's own SQLite driver, asked for at the first opening and not by an import: Bun before 1.4
// has no `node:sqlite`, and a module that fails to load takes with it what never opens a file.

import { adapted, type ForeignDatabase } from "./sqlite-adapted.ts";
import type { SqliteHandle } from "./sqlite-handle.ts";

interface BunDatabase extends ForeignDatabase {
  close(): unknown;
}

/** What is used of `bun:sqlite`. */
interface BunDriver {
  readonly Database: new (path: string, flags: number) => BunDatabase;
  readonly constants: Readonly<
    Record<
      "SQLITE_OPEN_READONLY" | "SQLITE_OPEN_READWRITE" | "SQLITE_OPEN_CREATE" | "SQLITE_OPEN_URI",
      number
    >
  >;
}

/** Opens the file at `path`, and makes it when missing. */
export function openDatabase(path: string): SqliteHandle {
  const node = process.getBuiltinModule("node:sqlite");
  if (node !== undefined) return new node.DatabaseSync(path);
  const { Database, constants } = bunDriver();
  const flags = constants.SQLITE_OPEN_READWRITE | constants.SQLITE_OPEN_CREATE;
  return opened(new Database(path, flags));
}

/** Opens what the `file:` address names, to be read and never written. */
export function openReadOnly(url: URL): SqliteHandle {
  const node = process.getBuiltinModule("node:sqlite");
  if (node !== undefined) return new node.DatabaseSync(url, { readOnly: true });
  const { Database, constants } = bunDriver();
  const flags = constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI;
  return opened(new Database(url.href, flags));
}

function opened(db: BunDatabase): SqliteHandle {
  return adapted(db, () => db.close());
}

function bunDriver(): BunDriver {
  const driver = process.getBuiltinModule("bun:sqlite") as BunDriver | undefined;
  if (driver !== undefined) return driver;
  throw new Error(
    "this runtime has no SQLite: neither node:sqlite (Node 24, Bun 1.4) nor bun:sqlite; " +
      "use a newer one, or hand in an open database",
  );
}
