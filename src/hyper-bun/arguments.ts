// What the host hands in, read once, before anything has changed.

import { InvalidOptionsError, type ResetOrder, type Store } from "../index.ts";
import { sqliteStore } from "../store/sqlite.ts";
import { foreignStore, type ForeignDatabase } from "./foreign-database.ts";
import type { CircuitBreakerContext } from "./options.ts";

export interface ResetOptions {
  /** Why, for the audit and the log. Default `Manual reset`. */
  reason?: string | undefined;
  /** Who. Default `system`. */
  user?: string | undefined;
  /** Only `true` itself bypasses the cooldown. Default false. */
  force?: boolean | undefined;
}

export function named(bookmaker: string): string {
  if (typeof bookmaker === "string" && bookmaker !== "") return bookmaker;
  throw new TypeError("a bookmaker's name must be a text that is not empty");
}

/** The library's order. Consoles hand in anything, and what cannot be read must not reset half. */
export function readOrder(options: ResetOptions | null | undefined): ResetOrder {
  const refused = (): InvalidOptionsError =>
    new InvalidOptionsError("reset", [
      "options must be a reason or an object { reason, user, force }, each of them readable",
    ]);
  if (options !== null && options !== undefined && typeof options !== "object") throw refused();
  try {
    const { reason, user: actor, force } = options ?? {};
    return { reason, actor, force };
  } catch {
    throw refused();
  }
}

export function storeOf(
  db: ForeignDatabase | string,
  now: () => number,
  busyTimeoutMs: number | undefined,
): Store {
  if (typeof db === "string") {
    return sqliteStore(db, { now, ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }) });
  }
  if (typeof db?.exec !== "function" || typeof db.prepare !== "function") {
    throw new TypeError("db must be an open database with exec() and prepare(), or a path");
  }
  return foreignStore(db, { now, busyTimeoutMs });
}

export function callOptions(context: Partial<CircuitBreakerContext> | null | undefined): {
  operation?: string;
  load: number;
} {
  const { operation, estimatedLoad } = context ?? {};
  return {
    load: typeof estimatedLoad === "number" ? estimatedLoad : 0,
    ...(typeof operation === "string" ? { operation } : {}),
  };
}
