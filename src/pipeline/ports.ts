// What the pipeline needs from outside: implemented in `store`, `telemetry` and `runtime`, handed
// in by whoever composes. Nothing in here knows a package.

import type { BreakerSnapshot } from "../core/breaker/snapshot.ts";
import type { OperatorMode } from "../core/events.ts";

export type { Clock, Scheduler, Timer } from "../core/clock.ts";

/** One upstream's state as stored. */
export interface StoredBreaker {
  readonly upstream: string;
  readonly mode: OperatorMode;
  /** When a person set the mode, epoch milliseconds; absent when nobody is known to have. */
  readonly modeAt?: number;
  readonly snapshot: BreakerSnapshot;
  /** Absent where the store keeps no order of writing, or where it was written by who knows of none. */
  readonly places?: OrderPlaces;
}

/**
 * Where a breaker's newest orders stand in the store's order of writing (`Store.revision`). 0 where
 * none is known, `UNWRITTEN` for one that the commit is about to write.
 */
export interface OrderPlaces {
  /** The newest trip, reset or recovery, by anybody. */
  readonly order: number;
  /** The newest trip or reset by a person. */
  readonly person: number;
  /** The newest order about the mode. */
  readonly mode: number;
}

/** After all that is written. */
export const UNWRITTEN: number = Number.POSITIVE_INFINITY;

export const AUDIT_ACTIONS = [
  "TRIP",
  // A trip of what was tripped already: it changed nothing.
  "TRIP_NOTED",
  "RESET",
  "RESET_DENIED",
  "FORCE_CLOSED",
  "SHADOW",
  "NORMAL",
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** Who did what to which upstream, and why. Written once, never changed. */
export interface AuditEntry {
  readonly upstream: string;
  readonly action: AuditAction;
  readonly reason: string;
  /** A person's name, `api`, or `system` for the machine's own trips and recoveries. */
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly forced: boolean;
}

/** What was found when the audits of one upstream were read from the first to the last. */
export interface ChainReport {
  readonly upstream: string;
  /** In the chain. */
  readonly rows: number;
  /** Audits that no chain holds, such as those from before there was one; absent where there can be none. */
  readonly outside?: number;
  /** The first row's predecessor was deleted, as retention does. */
  readonly isShortened: boolean;
  /**
   * The first row, counted from 1, that does not follow from the one before it, or is not what was written;
   * undefined when all is well.
   */
  readonly brokenAt: { readonly row: number; readonly why: string } | undefined;
}

/** What one call to `commit` writes, all or nothing. */
export interface StoreChange {
  readonly breakers: readonly StoredBreaker[];
  readonly audits: readonly AuditEntry[];
  /**
   * Set by who has just polled: when another process has written since, nothing is written and a
   * `StoreError` of the code `STALE` is thrown. Else what that one wrote would be lost. A store that
   * no other process can write need not look.
   */
  readonly ifUnchanged?: boolean;
}

/** The store's code for a change that came too late. */
export const STALE = "STALE";

/**
 * Where breaker state outlives the process. Synchronous, because a trip and a reset are durable
 * before they return: what answers with a promise has stored nothing (`STORE_ASYNC`). Every method may
 * throw `StoreError`; the pipeline then keeps the change in memory and tries again, in parts when the
 * error's `concerns` says that only a part is at fault. It never calls a store while a call to an
 * upstream holds anything.
 */
export interface Store {
  readonly kind: string;
  /** Whether state outlives the process here. Where it does not, only audits are written. */
  readonly durable: boolean;
  /** Where it is, for people: a path or a URL without credentials. */
  readonly location: string;
  /** Opens what must be opened, and gives every stored breaker, validated. */
  load(): readonly StoredBreaker[];
  /** Writes all of it in one transaction that is durable when this returns. */
  commit(change: StoreChange): void;
  /**
   * The number of the last commit: each is higher than all before it, whoever made them. Whose order is
   * the newer one is then told by these, and not by clocks, which differ between processes. A store
   * that has it gives every `UNWRITTEN` place the number of the commit, and gives places back. Absent
   * where a store keeps no such order; orders are then compared by their dates.
   */
  readonly revision?: number;
  /** Newest first. */
  history(query: HistoryQuery): readonly AuditEntry[];
  /**
   * Reads all audits of this upstream, and tells whether each follows from the one before it. Absent where
   * a store keeps no chain of them.
   */
  verify?(upstream: string): ChainReport;
  /**
   * Breakers as another process left them since the last call of `load`, `poll` or `commit`;
   * undefined when nobody else wrote. Absent where no other process can write.
   */
  poll?(): readonly StoredBreaker[] | undefined;
  /** Set when opening found a broken file and put it aside; the path it was moved to. */
  readonly recoveredFrom?: string | undefined;
  close(): void;
}

/** Most audit entries that one question is answered with: a page for a person, not an export. */
export const HISTORY_LIMIT_MAX = 1000;

export interface HistoryQuery {
  readonly upstream?: string;
  /** 1 to `HISTORY_LIMIT_MAX`. */
  readonly limit: number;
}

/** How loaded this process is. */
export interface LoadSampler {
  /** 0 (idle) to 1 (saturated). Cheap enough to be asked by every heavy call. */
  systemLoad(): number;
  /** What the last answer is made of most; null when nothing is. Left out by samplers that do not know. */
  readonly driver?: LoadDriver | null;
}

/** The parts of a system load. */
export const LOAD_DRIVERS = ["memory", "cpu", "pending", "event_loop"] as const;
export type LoadDriver = (typeof LOAD_DRIVERS)[number];
