// Rows as a store hands them over: a stranger's objects, read once, each for itself. One that cannot be
// used must not cost the others their trips.

import { isBreakerKind, sanitiseSnapshot } from "../../core/breaker/restore.ts";
import { bounded } from "../../core/classify.ts";
import { isOperatorMode } from "../../core/events.ts";
import {
  AUDIT_ACTIONS,
  type AuditAction,
  type AuditEntry,
  type ChainReport,
  type StoredBreaker,
} from "../ports.ts";

/** The last moment that a `Date` can show. */
const DATE_MS_MAX = 8.64e15;

export interface ReadRows<Row> {
  readonly rows: readonly Row[];
  /** How many were left out. */
  readonly unreadable: number;
}

export function readBreakers(given: readonly unknown[], wallMs: number): ReadRows<StoredBreaker> {
  return readEach(given, given.length, (row) => breakerOf(row, wallMs));
}

/** At most `limit` of them. */
export function readAudits(given: readonly unknown[], limit: number): ReadRows<AuditEntry> {
  return readEach(given, Math.min(given.length, limit), auditOf);
}

function readEach<Row>(
  given: readonly unknown[],
  length: number,
  read: (row: Readonly<Record<string, unknown>>) => Row | undefined,
): ReadRows<Row> {
  const rows: Row[] = [];
  for (let index = 0; index < length; index += 1) {
    try {
      const row = given[index];
      const found =
        typeof row === "object" && row !== null ? read(row as Record<string, unknown>) : undefined;
      if (found !== undefined) rows.push(found);
    } catch {
      // A getter that throws: unreadable as the rest of them.
    }
  }
  return { rows, unreadable: length - rows.length };
}

/**
 * Undefined for a row of nobody. One without a state is tripped, as a state is that does not say: wrongly
 * refusing is noticed, and wrongly hammering a dead upstream is not.
 */
function breakerOf(
  row: Readonly<Record<string, unknown>>,
  wallMs: number,
): StoredBreaker | undefined {
  const { upstream, mode, modeAt, snapshot, places } = row;
  if (typeof upstream !== "string" || upstream === "") return undefined;
  const isState = typeof snapshot === "object" && snapshot !== null;
  const raw: Record<string, unknown> = isState
    ? { ...snapshot }
    : { lastError: "what is stored of it holds no state" };
  const kind = isBreakerKind(raw["kind"]) ? raw["kind"] : "latching";
  const isDated = typeof modeAt === "number" && modeAt > 0;
  return {
    upstream,
    mode: isOperatorMode(mode) ? mode : "normal",
    ...(isDated ? { modeAt: Math.min(modeAt, wallMs) } : {}),
    snapshot: sanitiseSnapshot(kind, raw, wallMs, undefined),
    ...placesOf(places),
  };
}

/** Nothing where one of them is no place: dates then tell whose order is the newer one. */
function placesOf(given: unknown): Pick<StoredBreaker, "places"> {
  if (typeof given !== "object" || given === null) return {};
  const { order, person, mode } = given as Readonly<Record<string, unknown>>;
  return isPlace(order) && isPlace(person) && isPlace(mode)
    ? { places: { order, person, mode } }
    : {};
}

export function isPlace(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function auditOf(row: Readonly<Record<string, unknown>>): AuditEntry | undefined {
  const { upstream, action, reason, actor, at, forced } = row;
  if (typeof upstream !== "string" || !isAction(action)) return undefined;
  return {
    upstream,
    action,
    reason: typeof reason === "string" ? bounded(reason) : "",
    actor: typeof actor === "string" ? bounded(actor) : "unknown",
    at: typeof at === "number" && Math.abs(at) <= DATE_MS_MAX ? at : 0,
    forced: forced === true,
  };
}

/** Undefined for what is none, or throws: that a chain is whole must not be taken from junk. */
export function readReport(upstream: string, given: unknown): ChainReport | undefined {
  const { rows, outside, isShortened, brokenAt } = given as Readonly<Record<string, unknown>>;
  const isReport =
    isPlace(rows) &&
    (outside === undefined || isPlace(outside)) &&
    typeof isShortened === "boolean";
  if (!isReport) return undefined;
  const report = { upstream, rows, ...(outside === undefined ? {} : { outside }), isShortened };
  if (brokenAt === undefined) return { ...report, brokenAt };
  const { row, why } = brokenAt as Readonly<Record<string, unknown>>;
  if (!isPlace(row) || typeof why !== "string") return undefined;
  return { ...report, brokenAt: { row, why: bounded(why) } };
}

function isAction(value: unknown): value is AuditAction {
  return AUDIT_ACTIONS.some((action) => action === value);
}
