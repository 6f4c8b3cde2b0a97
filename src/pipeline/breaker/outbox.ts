// What waits to be written, and the writing.
//
// What the store refuses for its content holds back nothing else: states are written before audits, a
// state that is refused is set aside and tried again, an audit that is refused is told and dropped.

import type { RegistryEvent } from "../../core/events.ts";
import {
  AUDIT_ACTIONS,
  STALE,
  type AuditAction,
  type AuditEntry,
  type Scheduler,
  type Timer,
} from "../ports.ts";
import { COMMITS_MAX, commitApart, type Parted, type Refusal } from "./apart.ts";
import { faultOf, STORE_ASYNC, type CheckedStore, type StoreFault } from "./checked-store.ts";
import type { Persisted } from "./persisted.ts";
import { SetAside } from "./set-aside.ts";
import type { StoreFaults } from "./store-faults.ts";

/** Successes are written at most this often. */
const COALESCE_MS = 1000;

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

/** Audits waiting for a broken store; beyond it the oldest are dropped and counted. */
const AUDITS_MAX = 10_000;

/** Others who write between our look and our write, again and again: after so many it is written anyway. */
const RACES_MAX = 5;

export interface OutboxPorts {
  readonly store: CheckedStore;
  readonly scheduler: Scheduler;
  readonly faults: StoreFaults;
  readonly emit: (event: RegistryEvent) => void;
  /** Whether all that is stored has been read, now if not before. Nothing is written over the rest. */
  readonly isRead: () => boolean;
  /** Takes over what other processes wrote. */
  readonly poll: () => void;
}

export class Outbox {
  readonly #ports: OutboxPorts;
  readonly #changed = new Map<string, Persisted>();
  /** Those that changed while a commit was under way: what it wrote is older. */
  readonly #touched = new Set<string>();
  readonly #refused: SetAside;
  readonly #audits = new Set<AuditEntry>();
  /** Given to a store that answered with a promise: it may hold them, and must not get them twice. */
  readonly #handedOver = new WeakSet<AuditEntry>();
  /** All actions from the start: a counter that begins at 1 has no rate. */
  readonly #auditsRefused = new Map<AuditAction, number>(
    AUDIT_ACTIONS.map((action) => [action, 0]),
  );
  #auditsDropped = 0;
  #timer: Timer | undefined = undefined;
  #retryMs = RETRY_MS_MIN;
  #isFailing = false;
  /** Something was told that a recovery ends. */
  #isTroubled = false;
  #isAsync = false;
  #isClosed = false;

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
    this.#refused = new SetAside(ports.scheduler, () => this.#retryRefused());
  }

  /** Whether the store takes what it is given. */
  get isWell(): boolean {
    return !this.#isFailing && this.#refused.size === 0;
  }

  /** Upstreams whose last change is not stored yet. */
  get pending(): number {
    return this.#refused.size + (this.#isFailing ? this.#changed.size : 0);
  }

  get auditsDropped(): number {
    return this.#auditsDropped;
  }

  get auditsRefused(): ReadonlyMap<AuditAction, number> {
    return this.#auditsRefused;
  }

  /** Audits that wait, oldest first. */
  get waiting(): readonly AuditEntry[] {
    return [...this.#audits];
  }

  /** Upstreams whose state the store refuses while it takes others'. */
  refused(most: number): readonly string[] {
    return this.#refused.names(most);
  }

  /** Writes now: durable when it returns, unless the store fails; `isSaved` then stays false. */
  saveNow(upstream: Persisted, audit?: AuditEntry): void {
    const { name } = upstream;
    if (audit !== undefined) this.#addAudit(audit);
    upstream.isSaved = false;
    this.#touched.add(name);
    // While the store is broken or refuses it, failing calls must not each wait for another try; a
    // person's order is worth one.
    if (audit === undefined && this.#refused.has(name)) return;
    this.#refused.take(name);
    this.#changed.set(name, upstream);
    if (this.#isFailing && audit === undefined) return;
    this.#write();
  }

  /** Writes the audit only: the attempt changed nothing. */
  saveAudit(audit: AuditEntry): void {
    this.#addAudit(audit);
    this.#write();
  }

  /** Writes within a second. */
  saveSoon(upstream: Persisted): void {
    const { name } = upstream;
    if (this.#changed.has(name) || this.#refused.has(name) || this.#isClosed) return;
    this.#changed.set(name, upstream);
    this.#timer ??= this.#ports.scheduler.setTimer(this.#onTimer, COALESCE_MS);
  }

  /** Writes what waits, what was refused included. True when nothing is left. */
  flush(): boolean {
    this.#bringBack();
    this.#write();
    return this.#changed.size === 0 && this.#audits.size === 0 && this.#refused.size === 0;
  }

  /** Writes nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#refused.close();
  }

  fail(op: "load" | "commit" | "poll", fault: StoreFault): void {
    this.#isFailing = true;
    this.#isTroubled = true;
    for (const upstream of this.#changed.values()) upstream.notSaved();
    this.#ports.faults.addTrouble(op, fault);
    this.#retryLater();
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#write();
  };

  #write(): void {
    const { store, isRead } = this.#ports;
    if (this.#isClosed) return;
    if (store.isBusy) {
      // Ordered from inside of one of the store's own methods.
      this.#retryLater();
      return;
    }
    if (!isRead()) return;
    // While it fails an empty write is the question whether it still does.
    if (this.#changed.size === 0 && this.#audits.size === 0 && !this.#isFailing) return;
    const upstreams = [...this.#changed.values()];
    const audits = [...this.#audits];
    try {
      this.#commit(upstreams, audits);
    } catch (error) {
      const fault = faultOf(error);
      // Of nothing no part can be at fault.
      const isWhole = fault.concerns === "store" || upstreams.length + audits.length === 0;
      if (isWhole) this.fail("commit", fault);
      else this.#writeApart(upstreams, audits, fault);
      return;
    }
    this.#passed();
  }

  /** States first: without its audit a trip still holds. */
  #writeApart(
    upstreams: readonly Persisted[],
    waiting: readonly AuditEntry[],
    whole: StoreFault,
  ): void {
    const budget = { commits: COMMITS_MAX };
    const states = commitApart(upstreams, (part) => this.#commit(part, []), budget);
    const audits =
      states.fault === undefined
        ? commitApart(waiting, (part) => this.#commit([], part), budget)
        : NONE_PARTED;
    const isProven = states.hasPassed || audits.hasPassed || this.#takesAnything(whole);
    const aside = isProven ? states.refused : [];
    const lost = isProven ? audits.refused.filter(isLost(audits.hasPassed)) : [];
    for (const { item } of aside) this.#setAside(item);
    for (const { item } of lost) this.#lose(item);
    const isLeft = states.refused.length > aside.length || audits.refused.length > lost.length;
    const fault = states.fault ?? audits.fault ?? (isLeft ? whole : undefined);
    // Everything is final from here on: a listener may order more.
    if (fault !== undefined) this.fail("commit", fault);
    else if (budget.commits <= 0 && this.#changed.size + this.#audits.size > 0) this.#retryLater();
    else this.#passed();
    this.#tell(aside, lost);
    if (fault === undefined && aside.length + lost.length === 0) {
      this.#ports.faults.count("commit", whole);
    }
  }

  #setAside(upstream: Persisted): void {
    this.#changed.delete(upstream.name);
    this.#refused.add(upstream);
    upstream.notSaved();
    this.#isTroubled = true;
  }

  #lose(audit: AuditEntry): void {
    this.#audits.delete(audit);
    this.#auditsRefused.set(audit.action, (this.#auditsRefused.get(audit.action) ?? 0) + 1);
  }

  #tell(aside: readonly Refusal<Persisted>[], lost: readonly Refusal<AuditEntry>[]): void {
    const { faults } = this.#ports;
    for (const { fault } of [...aside, ...lost]) faults.count("commit", fault);
    for (const { item, fault } of aside) faults.tellRefused(item.name, fault);
    for (const { item, fault } of lost) faults.tellLost(item, fault);
  }

  /** Whether it commits at all: a handle that is closed refuses everything alike. */
  #takesAnything({ concerns }: StoreFault): boolean {
    if (concerns !== "change") return false;
    try {
      this.#ports.store.commit({ breakers: [], audits: [] });
      return true;
    } catch {
      return false;
    }
  }

  /** Writes these, and takes them off what waits. */
  #commit(upstreams: readonly Persisted[], waiting: readonly AuditEntry[]): void {
    const { store, poll } = this.#ports;
    for (let left = RACES_MAX; ; left -= 1) {
      // Somebody else's order must not be written over by the average of our last second.
      poll();
      this.#touched.clear();
      const breakers = store.isDurable ? upstreams.map((upstream) => upstream.toStored()) : [];
      const audits = waiting.filter(
        (audit) => this.#audits.has(audit) && !this.#handedOver.has(audit),
      );
      try {
        store.commit({ breakers, audits, ifUnchanged: store.polls && left > 0 });
      } catch (error) {
        const { code } = faultOf(error);
        if (code === STALE && left > 0) continue;
        if (code === STORE_ASYNC) {
          this.#isAsync = true;
          for (const audit of audits) this.#handedOver.add(audit);
        }
        throw error;
      }
      for (const audit of audits) this.#audits.delete(audit);
      for (const upstream of upstreams) {
        if (this.#touched.has(upstream.name)) continue;
        this.#changed.delete(upstream.name);
        upstream.saved(store.revision);
        if (this.#isTroubled) this.#ports.faults.taken(upstream.name);
      }
      return;
    }
  }

  #passed(): void {
    this.#retryMs = RETRY_MS_MIN;
    const wasFailing = this.#isFailing;
    this.#isFailing = false;
    if (wasFailing && this.#hasMissed()) {
      this.#write();
      return;
    }
    if (this.#refused.size > 0) return;
    this.#refused.calm();
    if (!this.#isTroubled) return;
    this.#isTroubled = false;
    this.#ports.faults.recovered();
    this.#ports.emit({ type: "store-recovered", at: this.#ports.scheduler.now(), pending: 0 });
  }

  /** Whether a listener changed something during the write that ended a failure: it was only noted. */
  #hasMissed(): boolean {
    for (const { isSaved } of this.#changed.values()) if (!isSaved) return true;
    return this.#audits.size > 0;
  }

  /** One by one, and all together as soon as one of them passes. */
  #retryRefused(): void {
    const { store, faults } = this.#ports;
    if (this.#isClosed || this.#isFailing || store.isBusy) return;
    for (const upstream of this.#refused.next()) {
      this.#refused.take(upstream.name);
      this.#changed.set(upstream.name, upstream);
      try {
        this.#commit([upstream], []);
      } catch (error) {
        const fault = faultOf(error);
        this.#setAside(upstream);
        faults.addTrouble("commit", fault);
        if (fault.concerns === "store") return;
        continue;
      }
      this.#bringBack();
      if (this.#changed.size + this.#audits.size > 0) this.#write();
      else this.#passed();
      return;
    }
  }

  #bringBack(): void {
    for (const upstream of this.#refused.takeAll()) this.#changed.set(upstream.name, upstream);
  }

  #retryLater(): void {
    // What answers with promises does so at the next try, too, and would be given everything again.
    if (this.#isClosed || this.#isAsync || this.#timer !== undefined) return;
    this.#timer = this.#ports.scheduler.setTimer(this.#onTimer, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #addAudit(audit: AuditEntry): void {
    // It waits here, and a listener may be handed it.
    this.#audits.add(Object.freeze(audit));
    if (this.#audits.size <= AUDITS_MAX) return;
    for (const oldest of this.#audits) {
      this.#audits.delete(oldest);
      break;
    }
    this.#auditsDropped += 1;
  }
}

const NONE_PARTED: Parted<never> = { refused: [], hasPassed: false, fault: undefined };

/** A failure that does not say what it is about is believed of one audit when the store took another. */
function isLost(hasPassed: boolean): (refusal: Refusal<AuditEntry>) => boolean {
  return ({ fault }) => fault.concerns === "change" || hasPassed;
}
