// What one upstream's replica still has to tell the store, oldest first. Of several trips and resets that wait
// only what they come to is told: a person's newest, and what the breaker did by itself since. Audits are all told.

import { isInForce, type BreakerPart, type FleetRow, type Seen } from "../../core/fleet/row.ts";
import type { FleetChange } from "../fleet-port.ts";
import type { AuditEntry } from "../ports.ts";

export interface Entry {
  readonly id: string;
  seen: Seen;
  breaker: FleetChange["breaker"];
  mode: FleetChange["mode"];
  readonly audits: AuditEntry[];
  /** It was sent, and may have arrived: nothing in it changes any more. */
  isSent: boolean;
}

export class Pending {
  readonly #entries: Entry[] = [];

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get first(): Entry | undefined {
    return this.#entries[0];
  }

  get audits(): readonly AuditEntry[] {
    return this.#entries.flatMap((entry) => entry.audits);
  }

  /** Whether the state here is one that the store has not taken. */
  get holdsState(): boolean {
    return this.#entries.some(({ breaker, mode }) => breaker !== undefined || mode !== undefined);
  }

  holds(id: string | undefined): boolean {
    return this.#entries.some((entry) => entry.id === id);
  }

  add(entry: Entry): void {
    const last = this.#entries.at(-1);
    const isAuditOnly = entry.breaker === undefined && entry.mode === undefined;
    if (last !== undefined && !last.isSent && isAuditOnly) {
      last.audits.push(...entry.audits);
      return;
    }
    const audits: AuditEntry[] = [];
    for (const before of this.#entries.filter(({ isSent }) => !isSent)) {
      if (entry.breaker !== undefined && replaces(entry.breaker, before.breaker)) {
        before.breaker = undefined;
      }
      if (entry.mode !== undefined) before.mode = undefined;
      if (before.breaker !== undefined || before.mode !== undefined) continue;
      audits.push(...before.audits);
      this.#entries.splice(this.#entries.indexOf(before), 1);
    }
    entry.audits.unshift(...audits);
    this.#entries.push(entry);
  }

  /** The oldest audit that was not sent; undefined where there is none. */
  dropAudit(): boolean {
    const entry = this.#entries.find(({ audits, isSent }) => !isSent && audits.length > 0);
    entry?.audits.shift();
    return entry !== undefined;
  }

  /** The first was answered. What was given after it was given by somebody who knew of it. */
  taken(id: string, row: FleetRow): void {
    const index = this.#entries.findIndex((entry) => entry.id === id);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    const { breaker, mode } = row;
    const own = (version: number, order: { readonly id: string } | undefined): number =>
      order?.id === id ? version : 0;
    const person = own(breaker?.person?.version ?? 0, breaker?.person);
    const order = own(breaker?.order.version ?? 0, breaker?.order);
    const modeVersion = own(mode?.order.version ?? 0, mode?.order);
    for (const entry of this.#entries) {
      if (entry.isSent) continue;
      entry.seen = {
        person: Math.max(entry.seen.person, person),
        order: Math.max(entry.seen.order, order),
        mode: Math.max(entry.seen.mode, modeVersion),
      };
    }
  }

  /** Whether what waits here counts more than what others have ordered meanwhile. */
  outweighs(stored: BreakerPart): boolean {
    const first = this.#entries.find(({ breaker }) => breaker !== undefined);
    if (first?.breaker === undefined) return false;
    return isInForce(stored, { ...first.breaker, seen: first.seen });
  }

  /** Others' orders count more than those that wait; that they were given is told all the same. */
  withdraw(): void {
    for (const entry of this.#entries) if (!entry.isSent) entry.breaker = undefined;
  }

  get holdsMode(): boolean {
    return this.#entries.some(({ mode }) => mode !== undefined);
  }
}

type Given = NonNullable<FleetChange["breaker"]>;

/** A person's order is the newest of all; what the breaker did by itself replaces no person's. */
function replaces(now: Given, before: FleetChange["breaker"]): boolean {
  return before !== undefined && (now.isByPerson || !before.isByPerson);
}
