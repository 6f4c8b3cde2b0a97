// What was ordered, what the store took, and what was confirmed: written down beside the code, in the world's own words.

import type { FleetRow, Order } from "../../../src/core/fleet/row.ts";
import type { FleetAnswer, FleetChange } from "../../../src/pipeline/fleet-port.ts";
import type { AuditEntry } from "../../../src/pipeline/ports.ts";
import type { Journal } from "../journal.ts";
import type { Replica } from "./replica.ts";
import { Reports } from "./reports.ts";

/** One order of a person; its reason is its name. */
export interface Given {
  readonly reason: string;
  readonly upstream: string;
  readonly kind: "trip" | "reset" | "mode";
  readonly replica: Replica;
  /** Persons' orders that whoever gave it could know of. */
  readonly known: ReadonlySet<string>;
}

export class Ledger {
  readonly given = new Map<string, Given>();
  /** What breakers did by themselves, by what their audits say, and how often. */
  readonly happenings = new Map<string, number>();
  readonly changes = new Map<string, { readonly giver: Replica }>();
  /** By the reason of the order that a change is about. */
  readonly ids = new Map<string, string>();
  /** Persons' trips and resets that a store took. */
  readonly taken = new Set<string>();
  readonly refused = new Set<string>();
  /** Every version that a trip or reset was given, with its id. */
  readonly #handedOut = new Set<string>();
  /** Persons' orders about breakers of which somebody was told that they are in force. */
  readonly confirmations: {
    readonly id: string;
    readonly upstream: string;
    /** As the store had it then: this order, or a newer one. */
    readonly person: Order | undefined;
    readonly by: Replica;
  }[] = [];
  /** Of a change, whose order counted when it was sent. */
  readonly #toldThen = new WeakMap<FleetChange, string | undefined>();
  readonly #reports: Reports;
  readonly #journal: Journal;
  readonly #hasLost: () => boolean;

  /** `hasLost`: whether a store has lost anything that it had acknowledged. */
  constructor(journal: Journal, nowMs: () => number, hasLost: () => boolean) {
    this.#reports = new Reports(nowMs);
    this.#journal = journal;
    this.#hasLost = hasLost;
  }

  give(given: Given): void {
    this.given.set(given.reason, given);
  }

  happened(replica: Replica, audit: AuditEntry): void {
    const key = `${replica.name} ${auditKey(audit)}`;
    this.#journal.note("happened", replica.name, audit.upstream, audit.action);
    this.happenings.set(key, (this.happenings.get(key) ?? 0) + 1);
  }

  committing(replica: Replica, change: FleetChange): void {
    const { id, breaker, mode, audits } = change;
    const isTrip = breaker?.isTrip;
    this.#journal.note("commit", id, breaker?.isByPerson, isTrip, mode?.mode, audits.length);
    this.#toldThen.set(change, replica.told.get(change.upstream)?.breaker?.person?.id);
    if (this.changes.has(id)) return;
    this.changes.set(id, { giver: replica });
    const about = this.#about(audits);
    if (breaker?.isByPerson === true || mode !== undefined) {
      if (about !== undefined) this.ids.set(about.reason, id);
    } else if (about !== undefined && breaker === undefined) this.#checkWithdrawn(replica, about);
  }

  /** An order that is not told any more counts for less than another person's, which its giver knew nothing of. */
  #checkWithdrawn(replica: Replica, { kind, reason, known }: Given): void {
    if (kind === "mode") return;
    const isOther = (id: string): boolean =>
      !known.has(id) && this.changes.get(id)?.giver !== replica;
    // One that a store lost again, and whose answer was lost, too, is given anew: it may be known from before that.
    const isExplained = this.#hasLost() || [...replica.toldPersons].some(isOther);
    if (kind === "trip" || !isExplained) {
      this.#break("only another person's order overrules a person's", reason);
    }
  }

  /** What the store made of it, held against what may be. */
  committed(
    replica: Replica,
    change: FleetChange,
    { before, answer }: { readonly before: FleetRow | undefined; readonly answer: FleetAnswer },
  ): void {
    const { id, breaker, audits } = change;
    const { order, person } = answer.row.breaker ?? {};
    this.#journal.note("committed", id, answer.isInForce, order?.version, order?.isTrip);
    const stored = before?.breaker;
    const isTaken = order?.id === id && stored?.order.id !== id;
    this.#reports.hear(replica.name, change, isTaken);
    // Taken anew by a store that had it back, and had forgotten that it was asked: it has another version.
    if (order?.id === id) this.#handedOut.add(`${id} ${order.version}`);
    if (breaker?.isByPerson === true) {
      if (isTaken) {
        this.taken.add(id);
        // By a store that had lost what counted more.
        this.refused.delete(id);
      } else if (!answer.isInForce) this.refused.add(id);
    }
    if (!isTaken || stored === undefined) return;
    if (order.version <= stored.order.version) {
      this.#break("versions go up", `${id}: ${order.version} after ${stored.order.version}`);
    }
    if (breaker?.isByPerson !== true && person?.id !== stored.person?.id) {
      this.#break("what breakers do by themselves is no person's", id);
    }
    const about = breaker?.isByPerson === true ? this.#about(audits) : undefined;
    const known = about?.known ?? replica.toldPersons;
    // A store that was emptied hands its versions out again, and cannot tell the two apart; one who has seen
    // both can.
    const isTwin =
      this.#hasLost() &&
      stored.person?.version === change.seen.person &&
      this.#toldThen.get(change) !== stored.person.id;
    const isUnknown =
      stored.person !== undefined &&
      !isTwin &&
      !known.has(stored.person.id) &&
      this.changes.get(stored.person.id)?.giver !== replica;
    if (isUnknown && breaker?.isByPerson !== true) {
      this.#break(
        "persons' orders count more than what breakers do",
        `${id} over ${stored.person.id}`,
      );
    }
    if (isUnknown && stored.person.isTrip && breaker?.isTrip === false) {
      this.#break("a reset is about what its giver could know", `${id} over ${stored.person.id}`);
    }
  }

  /** A replica has opened with others: because a person said so, or as many as are wanted. */
  openedWith({ name, told }: Replica, upstream: string, wanted: number): void {
    const { order, person } = told.get(upstream)?.breaker ?? {};
    this.#journal.note("opened with", name, upstream, order?.id);
    if (order === undefined || order.id === person?.id) return;
    const backers = this.#reports.backersOf(order.id);
    if (backers >= wanted) return;
    this.#break("nobody opens for fewer than are wanted", `${name} ${order.id}: ${backers}`);
  }

  /** The answer has reached whoever gave it. */
  confirmed(by: Replica, change: FleetChange, { isInForce, row }: FleetAnswer): void {
    const { id, upstream, breaker } = change;
    this.#journal.note("answered", id, isInForce);
    const person = row.breaker?.person;
    if (isInForce && breaker?.isByPerson === true) {
      this.confirmations.push({ id, upstream, person, by });
    }
  }

  /** What is written back is as it was. */
  checkVersions({ breaker }: FleetRow): void {
    for (const order of [breaker?.person, breaker?.order]) {
      if (order === undefined || this.#handedOut.has(`${order.id} ${order.version}`)) continue;
      this.#break("only an order has a new version", `${order.id} ${order.version}`);
    }
  }

  /** All that were heard of lately have said that they took it over. */
  received(reason: string): void {
    const id = this.ids.get(reason);
    this.#journal.note("received", reason, id);
    if (id === undefined) this.#break("only what was stored is confirmed", reason);
    else if (this.refused.has(id)) this.#break("what is not in force is not confirmed", reason);
  }

  /** The newest of a person's orders that these audits are of. */
  #about(audits: readonly AuditEntry[]): Given | undefined {
    const newest = audits.findLast(
      ({ action, reason }) => action !== "RESET_DENIED" && this.given.has(reason),
    );
    return this.given.get(newest?.reason ?? "");
  }

  #break(invariant: string, detail: string): void {
    this.#journal.break(invariant, detail);
  }
}

export function auditKey({ upstream, action, reason, at }: AuditEntry): string {
  return `${upstream} ${action} ${at} ${reason}`;
}
