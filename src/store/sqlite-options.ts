// What a person may choose about a SQLite store, and the check of it.

import { InvalidOptionsError } from "../core/errors.ts";
import { checkOptions, show } from "../core/options.ts";
import type { SqliteHandle } from "./sqlite-handle.ts";

export interface SqliteStoreOptions {
  /**
   * How long an operation waits for another process's lock, in milliseconds, 0–10 000. Default
   * 250. The wait blocks the process; what then still fails is tried again by the pipeline.
   */
  readonly busyTimeoutMs?: number;
  /**
   * What happens to a file that is no database or a broken one. `quarantine`, the default, moves
   * it aside as `<path>.corrupt-<epoch ms>` and starts anew with what could be read; `throw`
   * leaves it alone and fails until a person has mended it. Locked, unreadable and read-only
   * files are left alone either way.
   */
  readonly onCorrupt?: "quarantine" | "throw";
  /**
   * Audits older than this many days are deleted; above 0. Default: kept for ever. In slices of 500 at
   * most once a second, after what was written is safe, so that no trip waits for a million old ones.
   */
  readonly auditRetentionDays?: number;
  /**
   * Names this process in the audits it writes, for people; 1 to 200 characters. Default: the host's name and
   * the process's id, such as `odds-7d4f/12`.
   */
  readonly replica?: string;
  /** Wall clock, epoch milliseconds. It dates rows and judges dates found. Default `Date.now`. */
  readonly now?: () => number;
  /** Opens the database file; default: the runtime's own driver. Tests inject faults here. */
  readonly open?: (path: string) => SqliteHandle;
}

/** Throws `InvalidOptionsError` naming every fault of the options, or that of the path. */
export function checkSqliteOptions(path: unknown, options: SqliteStoreOptions): void {
  checkOptions("sqliteStore", options, {
    busyTimeoutMs: { least: 0, most: 10_000, whole: true },
    onCorrupt: { oneOf: ["quarantine", "throw"] },
    auditRetentionDays: { above: 0 },
    replica: { is: "string" },
    now: { is: "function" },
    open: { is: "function" },
  });
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new InvalidOptionsError("sqliteStore", ["path must be a non-empty text without NUL"]);
  }
  const { replica } = options;
  if (replica === undefined || isReplicaName(replica)) return;
  const fault = `replica must be a text of 1 to ${REPLICA_LENGTH_MAX} characters, not ${show(replica)}`;
  throw new InvalidOptionsError("sqliteStore", [fault]);
}

const REPLICA_LENGTH_MAX = 200;

/** UTF-8 has no halves of surrogate pairs: what is read would not be what was written. */
function isReplicaName(text: string): boolean {
  return text !== "" && text.length <= REPLICA_LENGTH_MAX && text.isWellFormed();
}
