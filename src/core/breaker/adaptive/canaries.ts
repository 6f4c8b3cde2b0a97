// The canaries of one half-open episode: who holds a slot, and how the others fared.
//
// Every verdict keeps its slot, since the episode ends when all have one, or as soon as the rest can
// no longer make it a success.

import { Leases } from "../leases.ts";

/** Share of successful canaries that is enough: two of three. */
export const CANARY_SUCCESS_THRESHOLD = 0.66;

export type CanaryVerdict = "passed" | "failed" | undefined;

export class Canaries {
  readonly leases: Leases;
  readonly #slots: number;
  #successes = 0;

  constructor(settings: { readonly canaryCount: number; readonly canaryLeaseMs: number }) {
    const { canaryCount: slots, canaryLeaseMs: leaseMs } = settings;
    this.#slots = slots;
    this.leases = new Leases({ slots, leaseMs });
  }

  get done(): number {
    return this.leases.kept;
  }

  get successes(): number {
    return this.#successes;
  }

  /** A released canary's result. Tells whether the episode is decided. */
  count(isOk: boolean): CanaryVerdict {
    this.leases.keep();
    if (isOk) this.#successes += 1;
    const best = this.#successes + this.#slots - this.done;
    if (best / this.#slots < CANARY_SUCCESS_THRESHOLD) return "failed";
    return this.done >= this.#slots ? "passed" : undefined;
  }
}
