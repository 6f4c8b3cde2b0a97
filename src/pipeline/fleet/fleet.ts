// What the registry offers of its fleet: who is there, what they know, and who has taken over what was ordered here.

import { versionOf } from "../../core/fleet/row.ts";
import type { ChainedAudit, ChainReport, FleetStore, ReplicaView } from "../fleet-port.ts";
import type { HistoryQuery, Scheduler } from "../ports.ts";
import type { Known } from "./known.ts";
import type { Presence } from "./presence.ts";
import type { ReceiptBook, Receipts } from "./receipts.ts";

export interface Fleet {
  readonly replica: string;
  /** Whether what the store has was read since the connection was made. */
  readonly isSynced: boolean;
  /** True as soon as it is, false after `timeoutMs`. */
  synced(timeoutMs: number): Promise<boolean>;
  /** Replicas heard of lately, this one first. */
  replicas(): readonly ReplicaView[];
  /** Of the newest order of a person here about this upstream; undefined where there was none. */
  receipts(upstream: string, timeoutMs: number): Promise<Receipts | undefined>;
  /** As the store has it, newest first. Rejects with `StoreError`. */
  history(query: HistoryQuery): Promise<readonly ChainedAudit[]>;
  verify(upstream: string): Promise<ChainReport>;
  /** The newest version known here of each upstream that has one. */
  versions(): ReadonlyMap<string, number>;
}

export interface FleetParts {
  readonly store: FleetStore;
  readonly scheduler: Scheduler;
  readonly presence: Presence;
  readonly receipts: ReceiptBook;
  readonly known: ReadonlyMap<string, Known>;
  readonly isSynced: () => boolean;
  /** All upstreams that concern this replica. */
  readonly names: () => string[];
}

export class FleetView implements Fleet {
  readonly #parts: FleetParts;
  readonly #listeners = new Set<() => void>();

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  get replica(): string {
    return this.#parts.store.replica;
  }

  get isSynced(): boolean {
    return this.#parts.isSynced();
  }

  synced(timeoutMs: number): Promise<boolean> {
    if (this.isSynced) return Promise.resolve(true);
    return new Promise((done) => {
      const end = (isSynced: boolean): void => {
        timer.cancel();
        this.#listeners.delete(listener);
        done(isSynced);
      };
      const listener = (): void => end(true);
      const timer = this.#parts.scheduler.setTimer(() => end(false), timeoutMs);
      timer.keepAlive(true);
      this.#listeners.add(listener);
    });
  }

  /** What is stored was read. */
  wake(): void {
    for (const listener of this.#listeners) listener();
  }

  replicas(): readonly ReplicaView[] {
    return this.#parts.presence.replicas();
  }

  receipts(upstream: string, timeoutMs: number): Promise<Receipts | undefined> {
    const { receipts, presence } = this.#parts;
    return receipts.of(upstream, timeoutMs, () => presence.beat());
  }

  history(query: HistoryQuery): Promise<readonly ChainedAudit[]> {
    const { store, names } = this.#parts;
    return store.history(query.upstream === undefined ? names() : [query.upstream], query);
  }

  verify(upstream: string): Promise<ChainReport> {
    return this.#parts.store.verify(upstream);
  }

  versions(): ReadonlyMap<string, number> {
    const versions = new Map<string, number>();
    for (const [name, { row }] of this.#parts.known) {
      const version = versionOf(row);
      if (version > 0) versions.set(name, version);
    }
    return versions;
  }
}
