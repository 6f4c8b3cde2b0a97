// What the REST contract shows of an upstream and of the audit (spec ). Every key is always
// there: what is absent is null.

import type { ChainedAudit } from "../pipeline/fleet-port.ts";
import type { AuditEntry, ChainReport } from "../pipeline/ports.ts";
import type { UpstreamStatus } from "../pipeline/call/status.ts";
import type { StoreHealth } from "../pipeline/breaker/keeper.ts";

export interface BookmakerView {
  readonly bookmaker: string;
  readonly tripped: boolean;
  /** The same number twice: Hyper-Bun's routes read one name and its metrics the other. */
  readonly failures: number;
  readonly failureCount: number;
  readonly failureThreshold: number;
  readonly lastError: string | null;
  /** Milliseconds. */
  readonly avgLatency: number | null;
  readonly lastFailureAt: number | null;
  readonly tripCount: number;
  readonly lastResetAt: number | null;
  readonly lastResetBy: string | null;
  readonly lastResetReason: string | null;
  readonly state: string;
  readonly manual: boolean;
  readonly trippedAt: number | null;
  readonly trippedUntil: number | null;
  /** Whether it is tripped and only a person closes it. */
  readonly needsPerson: boolean;
  readonly cooldownRemainingMs: number;
  readonly lastSuccessAt: number | null;
  readonly mode: string;
  readonly kind: string;
  /** Which rule tripped it last, with its numbers. */
  readonly trippedBy: UpstreamStatus["trippedBy"];
  /** What a sliding window holds. */
  readonly window: UpstreamStatus["window"];
  /** What an adaptive breaker judges by. */
  readonly health: UpstreamStatus["health"];
  readonly endpoints: UpstreamStatus["endpoints"];
  readonly persisted: boolean;
  readonly inFlight: number;
  readonly abandoned: number;
  /** What limits the calls in flight; of several endpoints each has its own. */
  readonly limit: UpstreamStatus["limit"];
  /** Rate limits, the upstream's own first, and what is left of them. */
  readonly rates: UpstreamStatus["rates"];
}

export function bookmakerView(status: UpstreamStatus): BookmakerView {
  return {
    bookmaker: status.upstream,
    tripped: status.tripped,
    failures: status.failureCount,
    failureCount: status.failureCount,
    failureThreshold: status.failureThreshold,
    lastError: status.lastError,
    avgLatency: status.avgLatencyMs,
    lastFailureAt: status.lastFailureAt,
    tripCount: status.tripCount,
    lastResetAt: status.lastResetAt,
    lastResetBy: status.lastResetBy,
    lastResetReason: status.lastResetReason,
    state: status.state,
    manual: status.manual,
    trippedAt: status.trippedAt,
    trippedUntil: status.trippedUntil,
    needsPerson: status.needsPerson,
    cooldownRemainingMs: status.cooldownRemainingMs,
    lastSuccessAt: status.lastSuccessAt,
    mode: status.mode,
    kind: status.kind,
    trippedBy: status.trippedBy,
    window: status.window,
    health: status.health,
    endpoints: status.endpoints,
    persisted: status.persisted,
    inFlight: status.inFlight,
    abandoned: status.abandoned,
    limit: status.limit,
    rates: status.rates,
  };
}

export type StoreView = Pick<
  StoreHealth,
  "kind" | "ok" | "pending" | "refused" | "auditsRefused" | "lastError"
>;

export function storeView(health: StoreHealth): StoreView {
  const { kind, ok, pending, refused, auditsRefused, lastError } = health;
  return { kind, ok, pending, refused, auditsRefused, lastError };
}

/** Why it is not well, in words. */
export function storeTrouble({ pending, refused, lastError }: StoreHealth): string {
  const why = `(${lastError ?? "unknown"})`;
  if (refused.length === 0) return `the store fails ${why}`;
  const more = pending > refused.length ? ` and ${pending - refused.length} more` : "";
  return `the store does not take the state of ${refused.join(", ")}${more} ${why}`;
}

/** Nothing where none was. */
export function refusedAudits({ auditsRefused: count }: StoreHealth): string[] {
  if (count === 0) return [];
  const what = count === 1 ? "1 audit was" : `${count} audits were`;
  return [`${what} refused by the store, and stands in the log alone`];
}

/** Named as the columns of the audit table. */
export interface AuditView {
  readonly bookmaker: string;
  readonly action: string;
  readonly reason: string;
  readonly user: string;
  readonly timestamp: number;
  readonly forced: boolean;
  /** Of a fleet's alone: who wrote it, and the upstream's version then. */
  readonly replica?: string;
  readonly version?: number;
}

export function auditView(entry: AuditEntry & Partial<ChainedAudit>): AuditView {
  const { replica, version } = entry;
  return {
    bookmaker: entry.upstream,
    action: entry.action,
    reason: entry.reason,
    user: entry.actor,
    timestamp: entry.at,
    forced: entry.forced,
    ...(replica === undefined ? {} : { replica }),
    ...(version === undefined ? {} : { version }),
  };
}

/** What became of the audits of an upstream since they were written. */
export interface ChainView {
  readonly bookmaker: string;
  /** In the chain. */
  readonly rows: number;
  /** Audits that no chain holds, such as those from before there was one. */
  readonly outside: number;
  /** The oldest were deleted. */
  readonly shortened: boolean;
  readonly brokenAt: { readonly row: number; readonly why: string } | null;
  /** False where the store keeps no chain: nothing is said then. */
  readonly chained: boolean;
}

export function chainView(bookmaker: string, report: ChainReport | undefined): ChainView {
  return {
    bookmaker,
    rows: report?.rows ?? 0,
    outside: report?.outside ?? 0,
    shortened: report?.isShortened ?? false,
    brokenAt: report?.brokenAt ?? null,
    chained: report !== undefined,
  };
}
