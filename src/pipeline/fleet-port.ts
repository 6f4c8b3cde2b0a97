// The port of a store that many processes share over a network, and that answers later. No call waits for it:
// every replica decides from memory, tells the store what was ordered, and is told what others ordered.

import type { BreakerSnapshot } from "../core/breaker/snapshot.ts";
import type { OperatorMode } from "../core/events.ts";
import type { FleetRow, Seen } from "../core/fleet/row.ts";
import type { AuditEntry, ChainReport, HistoryQuery } from "./ports.ts";

export type { ChainReport } from "./ports.ts";

/** What one replica asks the store to take, all or nothing. */
export interface FleetChange {
  readonly upstream: string;
  /** Unique for good: a change that is sent again, since nobody knows whether it arrived, counts once. */
  readonly id: string;
  readonly seen: Seen;
  /** A trip, reset or recovery. */
  readonly breaker:
    | {
        readonly isByPerson: boolean;
        readonly isTrip: boolean;
        readonly snapshot: BreakerSnapshot;
        /** How many replicas must have tripped by themselves before it counts; 1 or more. */
        readonly reporters: number;
      }
    | undefined;
  readonly mode: { readonly mode: OperatorMode; readonly at: number } | undefined;
  /** In the order of their giving. */
  readonly audits: readonly AuditEntry[];
  /** Whether every replica is to say that it has taken it over: a person waits for that. */
  readonly wantsReceipts: boolean;
}

/** The store's code for a change whose giver has seen what is not stored: nothing was taken. */
export const BEHIND = "BEHIND";

export interface FleetAnswer {
  /** False: what others ordered meanwhile counts more, and `row` is that. The audits are written all the same. */
  readonly isInForce: boolean;
  /** As it stands now. */
  readonly row: FleetRow;
}

/** What others see of one replica. */
export interface ReplicaView {
  readonly replica: string;
  /** Milliseconds since it was last heard of, by the store's own clock. */
  readonly ageMs: number;
  /** By upstream, those that differ from a new one: whether it refuses, in which mode, and the version it knows. */
  readonly breakers: Readonly<
    Record<
      string,
      { readonly tripped: boolean; readonly mode: OperatorMode; readonly version: number }
    >
  >;
}

/** An audit with its place in the chain. */
export interface ChainedAudit extends AuditEntry {
  readonly replica: string;
  /** Of the breaker, when it was written. */
  readonly version: number;
  readonly hash: string;
}

export interface FleetListener {
  /** A row as it stands now, pushed by the store. `receipt` is the change's id where it wants one. */
  changed(row: FleetRow, receipt: string | undefined): void;
  /** Another replica has taken over what this one ordered. */
  received(id: string, replica: string): void;
  /** Pushes arrive from now on; some may have been missed. */
  connected(): void;
  /** Some pushes were missed. */
  missed(): void;
  /** It cannot be reached, or refuses; told as often as it is noticed. */
  failed(error: unknown): void;
}

export interface FleetStore {
  readonly kind: string;
  /** Where it is, for people, without credentials. */
  readonly location: string;
  /** This process's name among those that share the store, for people and receipts; no two at a time have the same. */
  readonly replica: string;
  /** Called once. Connects, and again whenever the connection is lost, until `close`. Never throws. */
  open(listener: FleetListener): void;
  /** Rejects with `StoreError` when nobody knows whether it was taken: the same is then sent again. */
  commit(change: FleetChange): Promise<FleetAnswer>;
  /** In the order of the names; undefined for one of which nothing is stored. */
  read(upstreams: readonly string[]): Promise<readonly (FleetRow | undefined)[]>;
  /** What is known here and missing there, as after a fail-over that lost it. Merged, with no new version. */
  restore(rows: readonly FleetRow[]): Promise<void>;
  /**
   * A turn to let probes in: how many milliseconds later than in `inMs` it is, 0 to `windowMs`, so that those of
   * several replicas come `spacingMs` after each other.
   */
  turn(
    upstream: string,
    when: { readonly inMs: number; readonly spacingMs: number; readonly windowMs: number },
  ): Promise<number>;
  /** Says that this replica took over a change of another one. May be lost. */
  confirm(change: string, by: string): void;
  /** Shows others what this replica sees, and answers what they last showed. */
  present(view: ReplicaView["breakers"]): Promise<readonly ReplicaView[]>;
  /** Newest first, of one upstream or of those named. */
  history(upstreams: readonly string[], query: HistoryQuery): Promise<readonly ChainedAudit[]>;
  verify(upstream: string): Promise<ChainReport>;
  /** Sends what is under way, within a bound, and ends. */
  close(): Promise<void>;
}
