// What one replica knows of one upstream: the newest that the fleet is known to have, what was ordered here and is
// not known to be stored, and which of these the breaker here is as.

import { mergeRows, type FleetRow, type Order } from "../../core/fleet/row.ts";
import type { Persisted } from "../breaker/persisted.ts";
import { Pending, type Entry } from "./pending.ts";

export class Known {
  readonly pending = new Pending();
  isSending = false;
  /** As others were last shown, or are about to be. */
  shownVersion = 0;
  row: FleetRow;
  /** Ids of the orders that the breaker here is as; undefined before the first. */
  #breaker: string | undefined = undefined;
  #mode: string | undefined = undefined;

  constructor(upstream: string) {
    this.row = { upstream, breaker: undefined, mode: undefined };
  }

  /** Whether the breaker here is as this order left it, or as one that the fleet has since. */
  follows(id: string): boolean {
    const { breaker, mode } = this.row;
    return mode?.order.id === id ? this.#mode === id : breaker?.order.id === this.#breaker;
  }

  /** It was ordered here, and is in force here. */
  give(entry: Entry): void {
    if (entry.breaker !== undefined) this.#breaker = entry.id;
    if (entry.mode !== undefined) this.#mode = entry.id;
    this.pending.add(entry);
  }

  /** The breaker here is a new one. */
  begin(): void {
    this.#breaker = undefined;
    this.#mode = undefined;
  }

  learn(row: FleetRow): void {
    const before = this.row.breaker;
    this.row = mergeRows(this.row, row);
    const { breaker } = this.row;
    // A store that had lost the first handed its version out again: what was given here knew nothing of the second.
    this.pending.unsee("person", twin(before?.person, breaker?.person));
    this.pending.unsee("order", twin(before?.order, breaker?.order));
    this.pending.told(row);
  }

  /**
   * Has the breaker do as the fleet's newest orders say, unless what waits here counts more. It is asked again
   * whenever less waits. Answers the orders of persons here that will never be in force.
   */
  takeOver(breaker: Persisted | undefined): string[] {
    const { pending } = this;
    const { breaker: part, mode } = this.row;
    let overruled: string[] = [];
    if (part !== undefined && part.order.id !== this.#breaker && !pending.outweighs(part)) {
      overruled = pending.withdraw();
      if (breaker !== undefined) {
        this.#breaker = part.order.id;
        breaker.takeOver(part);
      }
    }
    const isNewMode = mode !== undefined && mode.order.id !== this.#mode;
    if (isNewMode && breaker !== undefined && !pending.holdsMode) {
      this.#mode = mode.order.id;
      breaker.takeMode(mode);
    }
    if (breaker !== undefined && !pending.holdsState) breaker.isSaved = true;
    return overruled;
  }
}

/** The version that both have where they are not the same order; infinite where that is not so. */
function twin(a: Order | undefined, b: Order | undefined): number {
  if (a === undefined || a.version !== b?.version || a.id === b.id) return Infinity;
  return a.version;
}
