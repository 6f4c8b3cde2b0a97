// What all stores agree on about audits: the bound on a query and the bound on a text.

import { TEXT_LENGTH_MAX } from "../core/breaker/snapshot.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { HISTORY_LIMIT_MAX, type AuditEntry, type HistoryQuery } from "../pipeline/ports.ts";

export function checkHistoryQuery({ limit }: HistoryQuery): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= HISTORY_LIMIT_MAX) return;
  const fault = `limit must be a whole number of 1 to ${HISTORY_LIMIT_MAX}, not ${String(limit)}`;
  throw new InvalidOptionsError("history", [fault]);
}

/** Clips what people typed, so that neither memory nor a database grows with it. */
export function boundAudit(entry: AuditEntry): AuditEntry {
  return { ...entry, reason: boundText(entry.reason), actor: boundText(entry.actor) };
}

/** Clipping may halve a surrogate pair, and UTF-8 has no halves: what is kept is well formed. */
function boundText(text: string): string {
  return text.slice(0, TEXT_LENGTH_MAX).toWellFormed();
}
