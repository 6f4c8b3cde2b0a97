// The probes of one half-open episode: a success keeps its slot, since enough of them end the episode,
// and so does its deadline.

import { Leases } from "../leases.ts";
import type { SlidingWindowSettings } from "./options.ts";

export class Probes {
  readonly leases: Leases;
  /** When the episode must have come to a verdict. */
  readonly dueMs: number;
  readonly #successesNeeded: number;

  constructor(settings: SlidingWindowSettings, nowMs: number) {
    const { halfOpenMaxProbes: slots, probeLeaseMs: leaseMs } = settings;
    this.leases = new Leases({ slots, leaseMs });
    this.dueMs = nowMs + settings.halfOpenDeadlineMs;
    this.#successesNeeded = settings.halfOpenSuccesses;
  }

  /** A released probe's success. Tells whether it ends the episode. */
  countSuccess(): boolean {
    this.leases.keep();
    return this.leases.kept >= this.#successesNeeded;
  }
}
