// Tells the store what was ordered here: of each upstream one change at a time, oldest first, of all of them so many at
// once. What waits for a store that is away is bounded.

import { earlier, seenOf } from "../../core/fleet/row.ts";
import type { FleetAnswer, FleetStore } from "../fleet-port.ts";
import type { AuditEntry, Scheduler } from "../ports.ts";
import type { Known } from "./known.ts";
import type { Entry } from "./pending.ts";

/** Changes under way at one time; a storm of trips waits for its turn. */
const COMMITS_MAX = 32;

/** Audits that wait for a store that is away; beyond it the oldest are dropped and counted. */
const AUDITS_MAX = 10_000;

/** What waits to be told when the registry is closed has so long to go. */
const CLOSE_MS = 2000;

export interface SendingPorts {
  readonly store: FleetStore;
  readonly scheduler: Scheduler;
  /** Unique for this process. */
  readonly prefix: string;
  readonly known: ReadonlyMap<string, Known>;
  /** Whether anything may be told now. */
  readonly isReady: () => boolean;
  /** It was taken, or counts for less than what others ordered; what it is made of is known already. */
  readonly answered: (name: string, known: Known, entry: Entry, answer: FleetAnswer) => void;
  readonly failed: (error: unknown) => void;
}

export class Sending {
  readonly #ports: SendingPorts;
  /** Those that have something to tell, and are not telling it. */
  readonly #queue = new Map<string, Known>();
  #count = 0;
  #underWay = 0;
  #audits = 0;
  #auditsDropped = 0;
  #isClosed = false;
  #drained: (() => void) | undefined = undefined;

  constructor(ports: SendingPorts) {
    this.#ports = ports;
  }

  /** Whether all that can be told at this moment is being told. */
  get isQueueEmpty(): boolean {
    return this.#queue.size === 0;
  }

  get isIdle(): boolean {
    return this.#queue.size + this.#underWay === 0;
  }

  get auditsDropped(): number {
    return this.#auditsDropped;
  }

  entry(name: string, audits: AuditEntry[], isByPerson: boolean): Entry {
    this.#count += 1;
    return {
      id: `${this.#ports.prefix}${this.#count}`,
      place: this.#count,
      isByPerson,
      seen: seenOf(this.#ports.known.get(name)?.row),
      breaker: undefined,
      mode: undefined,
      audits,
      isSent: false,
    };
  }

  add(name: string, known: Known, entry: Entry): void {
    this.#audits += entry.audits.length;
    known.give(entry);
    if (!known.isSending) this.#queue.set(name, known);
    if (this.#audits > AUDITS_MAX) this.#dropAudit();
    this.pump();
  }

  /**
   * Nothing is told to a store of which nobody knows what it has: it may have lost what an order was given after,
   * and gets that back first.
   */
  pump(): void {
    if (this.#isClosed || !this.#ports.isReady()) return;
    for (const [name, known] of this.#queue) {
      if (this.#underWay >= COMMITS_MAX) return;
      this.#queue.delete(name);
      const { first } = known.pending;
      if (first === undefined) continue;
      known.isSending = true;
      this.#underWay += 1;
      void this.#send(name, known, first);
    }
    if (this.isIdle) this.#drained?.();
  }

  /** Until nothing waits, and no longer than a while. */
  drain(): Promise<void> {
    return new Promise((done) => {
      const timer = this.#ports.scheduler.setTimer(done, CLOSE_MS);
      timer.keepAlive(true);
      this.#drained = () => {
        timer.cancel();
        done();
      };
    });
  }

  close(): void {
    this.#isClosed = true;
  }

  async #send(name: string, known: Known, entry: Entry): Promise<void> {
    entry.isSent = true;
    const { id, breaker, mode, audits, isByPerson } = entry;
    try {
      const answer = await this.#ports.store.commit({
        upstream: name,
        id,
        // What was seen and is no longer known was lost, and counts for less than what is.
        seen: earlier(entry.seen, seenOf(known.row)),
        breaker,
        mode,
        audits,
        wantsReceipts: isByPerson && (breaker !== undefined || mode !== undefined),
      });
      this.#audits -= audits.length;
      known.learn(answer.row);
      known.pending.remove(id);
      this.#sent(name, known);
      this.#ports.answered(name, known, entry, answer);
      this.pump();
    } catch (error) {
      this.#sent(name, known);
      this.#ports.failed(error);
    }
  }

  #sent(name: string, known: Known): void {
    known.isSending = false;
    this.#underWay -= 1;
    if (!known.pending.isEmpty) this.#queue.set(name, known);
  }

  /** The oldest that cannot have been sent. */
  #dropAudit(): void {
    let oldest: Known | undefined;
    let place = Number.POSITIVE_INFINITY;
    for (const known of this.#ports.known.values()) {
      const first = known.pending.oldestAudit;
      if (first === undefined || first >= place) continue;
      [oldest, place] = [known, first];
    }
    if (oldest === undefined) return;
    oldest.pending.dropAudit();
    this.#audits -= 1;
    this.#auditsDropped += 1;
  }
}
