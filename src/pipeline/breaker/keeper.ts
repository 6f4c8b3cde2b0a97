// Who keeps what breakers have become, beyond this process: a store that is written at once, or a fleet's.

import type { EventOf } from "../../core/events.ts";
import type { AuditAction, AuditEntry, ChainReport, HistoryQuery } from "../ports.ts";
import type { Persisted } from "./persisted.ts";
import type { StoreErrorCount } from "./store-faults.ts";

export interface StoreHealth {
  readonly kind: string;
  readonly location: string;
  /** False while memory holds a state that the store does not. */
  readonly ok: boolean;
  /** Upstreams whose last change is not stored yet. */
  readonly pending: number;
  /** Those of them whose state the store refuses while it takes others'; the first 20. */
  readonly refused: readonly string[];
  /** Audits lost because the store failed for so long. */
  readonly auditsDropped: number;
  /** Audits that the store refused for their content: they were told, and are kept nowhere else. */
  readonly auditsRefused: number;
  readonly lastError: string | null;
  /** A broken file was put aside when the store was opened. */
  readonly recoveredFrom: string | null;
}

/** What is to be kept: a trip, reset or recovery, or a change of mode. */
export type Ordered =
  | { readonly part: "breaker"; readonly isByPerson: boolean; readonly isTrip: boolean }
  | { readonly part: "mode" };

export interface Keeper {
  /** Whether a look for other processes' changes can be due at all. */
  readonly polls: boolean;
  /** The number of the store's last commit; undefined where it does not tell what was written later. */
  readonly revision: number | undefined;
  /** Whether evidence is worth writing. */
  readonly isDurable: boolean;
  readonly errors: readonly StoreErrorCount[];
  readonly auditsRefused: ReadonlyMap<AuditAction, number>;
  /** Failures that were told and still hold. */
  readonly standingErrors: readonly EventOf<"store-error">[];
  health(): StoreHealth;
  /** Reads what is stored, now or as soon as it can be read. */
  load(): void;
  /** Reads what is stored of names that are new here. */
  loadAgain(names: Iterable<string>): void;
  history(query: HistoryQuery): readonly AuditEntry[];
  /** Undefined where the store keeps no chain. Throws `StoreError`. Absent where the fleet is to be asked. */
  verify?(upstream: string): ChainReport | undefined;
  saveNow(upstream: Persisted, audit?: AuditEntry, ordered?: Ordered): void;
  /** The attempt changed nothing. */
  saveAudit(audit: AuditEntry): void;
  saveSoon(upstream: Persisted): void;
  isPollDue(nowMs: number): boolean;
  poll(nowMs: number): void;
  /** Writes what waits. True when nothing is left. */
  flush(): boolean;
  close(): void | Promise<void>;
}
