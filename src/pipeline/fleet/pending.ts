// What one upstream's replica still has to tell the store, oldest first. Of several trips and resets that wait
// only what they come to is told: a person's newest, and what the breaker did by itself since. Audits are all told.

import { isInForce, type BreakerPart, type FleetRow, type Seen } from "../../core/fleet/row.ts";
import type { FleetChange } from "../fleet-port.ts";
import type { AuditEntry } from "../ports.ts";

export interface Entry {
  readonly id: string;
  /** Counts all that were given here. */
  readonly place: number;
  readonly isByPerson: boolean;
  seen: Seen;
  /** No longer, too, once it is known to be stored, or to count for nothing. */
  breaker: FleetChange["breaker"];
  mode: FleetChange["mode"];
  readonly audits: AuditEntry[];
  /** It was sent, and may have arrived: nothing that came later may change it any more. */
  isSent: boolean;
}

export class Pending {
  #entries: Entry[] = [];

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  /** Whether the state here is one that the store is not known to have. */
  get holdsState(): boolean {
    return this.#entries.some(holdsState);
  }

  get holdsMode(): boolean {
    return this.#entries.some(({ mode }) => mode !== undefined);
  }

  add(entry: Entry): void {
    const last = this.#entries.at(-1);
    if (last !== undefined && !last.isSent && !holdsState(entry)) {
      last.audits.push(...entry.audits);
      return;
    }
    const kept: Entry[] = [];
    let audits: AuditEntry[] = [];
    for (const before of this.#entries) {
      if (!before.isSent) {
        if (replaces(entry.breaker, before.breaker)) before.breaker = undefined;
        if (entry.mode !== undefined) before.mode = undefined;
      }
      if (!before.isSent && !holdsState(before)) {
        audits.push(...before.audits);
        continue;
      }
      before.audits.unshift(...audits.splice(0));
      kept.push(before);
    }
    entry.audits.unshift(...audits);
    this.#entries = [...kept, entry];
  }

  /** Counts all that were given here; undefined where no audit can be dropped, since they may have arrived. */
  get oldestAudit(): number | undefined {
    return this.#entries.find(isDroppable)?.place;
  }

  dropAudit(): void {
    this.#entries.find(isDroppable)?.audits.shift();
  }

  /** The store has what is in this row: should it lose that, it gets the row back, and not the order anew. */
  told(row: FleetRow): void {
    const { breaker, mode } = row;
    for (const [index, entry] of this.#entries.entries()) {
      const versionOf = (order: { readonly id: string; readonly version: number } | undefined) =>
        order?.id === entry.id ? order.version : 0;
      const known = {
        person: versionOf(breaker?.person),
        order: versionOf(breaker?.order),
        mode: versionOf(mode?.order),
      };
      if (Math.max(known.person, known.order, known.mode) === 0) continue;
      entry.breaker = undefined;
      entry.mode = undefined;
      // What was given here afterwards was given by somebody who knew of it.
      for (const later of this.#entries.slice(index + 1)) later.seen = newest(later.seen, known);
    }
  }

  /** An order of this version was not seen when these were given. */
  unsee(part: "person" | "order", version: number): void {
    for (const entry of this.#entries) {
      const { seen } = entry;
      if (seen[part] >= version) entry.seen = { ...seen, [part]: version - 1 };
    }
  }

  /** It was answered. */
  remove(id: string): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
  }

  /** Whether what waits here counts more than what others have ordered meanwhile. */
  outweighs(stored: BreakerPart): boolean {
    return this.#entries.some(
      ({ breaker, seen }) => breaker !== undefined && isInForce(stored, { ...breaker, seen }),
    );
  }

  /**
   * Others' orders count more than those that wait; that they were given is told all the same. Answers the
   * persons' among them.
   */
  withdraw(): string[] {
    const ids: string[] = [];
    for (const entry of this.#entries) {
      if (entry.isSent || entry.breaker === undefined) continue;
      entry.breaker = undefined;
      if (entry.isByPerson) ids.push(entry.id);
    }
    return ids;
  }
}

type Given = FleetChange["breaker"];

/** A person's order is the newest of all; what the breaker did by itself replaces no person's. */
function replaces(now: Given, before: Given): boolean {
  if (now === undefined || before === undefined) return false;
  return now.isByPerson || !before.isByPerson;
}

function holdsState({ breaker, mode }: Entry): boolean {
  return breaker !== undefined || mode !== undefined;
}

function isDroppable({ audits, isSent }: Entry): boolean {
  return !isSent && audits.length > 0;
}

function newest(a: Seen, b: Seen): Seen {
  return {
    person: Math.max(a.person, b.person),
    order: Math.max(a.order, b.order),
    mode: Math.max(a.mode, b.mode),
  };
}
