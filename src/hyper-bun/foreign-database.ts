// A database handle that the host opened, as a store: `bun:sqlite`, better-sqlite3 or `node:sqlite`.
//
// The handle stays the host's. It is never closed and never replaced, and a broken file is never put
// aside: what fails is kept in memory and tried again on the same handle. It should be the breaker's
// own: inside a transaction of the host's nothing can be committed, and is written after it.

import { adapted, type ForeignDatabase } from "../store/sqlite-adapted.ts";
import { sqliteStore } from "../store/sqlite.ts";
import { IN_MEMORY } from "../store/sqlite-connection.ts";
import { fileIdentity } from "../store/sqlite-watch.ts";
import type { Store } from "../index.ts";

export type { ForeignDatabase, ForeignStatement } from "../store/sqlite-adapted.ts";

/** Where the file is: `bun:sqlite`, better-sqlite3, `node:sqlite`. */
interface DatabasePlace {
  readonly filename?: unknown;
  readonly name?: unknown;
  location?(): unknown;
}

/** SQLite's own code for a file that is no longer at its path; only some journals let it notice. */
const SQLITE_READONLY_DBMOVED = 1032;

export function foreignStore(
  db: ForeignDatabase,
  options: { readonly now: () => number; readonly busyTimeoutMs?: number | undefined },
): Store {
  const path = pathOf(db);
  const identity = path === IN_MEMORY ? undefined : fileIdentity(path);
  const { now, busyTimeoutMs } = options;
  return sqliteStore(path, {
    now,
    onCorrupt: "throw",
    ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
    open: () => {
      // Writes into a deleted file succeed, and are gone with the process.
      if (identity !== undefined && fileIdentity(path) !== identity) {
        const error = new Error("the file of the given handle was moved, deleted or replaced");
        throw Object.assign(error, { errcode: SQLITE_READONLY_DBMOVED });
      }
      return adapted(db, () => {
        // It is not ours.
      });
    },
  });
}

function pathOf(db: ForeignDatabase & DatabasePlace): string {
  const known = [db.filename, db.name, db.location?.()].find((path) => typeof path === "string");
  // A URI is a file that cannot be watched by its path; the rest is the same.
  return typeof known !== "string" || known === "" || known.startsWith("file:") ? IN_MEMORY : known;
}
