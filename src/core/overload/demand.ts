// What each tier asks for, and what is therefore kept free for it.
//
// Little's law: a tier whose calls arrive at λ and last W needs d = λ·W permits on average, and as
// arrivals come in no order, less than d + 2·√d nearly always. So much is kept from the tiers below it, what it
// holds already deducted. A fixed share would starve a tier that needs more and idle in one that
// needs less. λ counts refused calls too, or a tier once squeezed out would seem to want nothing.

import type { Tier } from "./criticality.ts";

export const TIERS = 4;

/** Weight of a measurement that is above what was known, and of one that is below. */
const ATTACK = 0.5;
const DECAY = 0.05;
/** The weights are those of a measurement this long, in milliseconds. */
const MEASURE_MS = 100;
/** Roots of the mean need that are kept free beyond it, for arrivals that come in no order. */
const MARGIN_ROOTS = 1.8;
/** But no more of the limit than this: of a small one, two roots are all. */
const MARGIN_SHARE_MAX = 0.3;

export class Demand {
  readonly #arrivals = new Int32Array(TIERS);
  /** Arrivals a millisecond. */
  readonly #rates = new Float64Array(TIERS);
  readonly #reserves = new Float64Array(TIERS);
  #sinceMs: number;
  /** The first tier for which anything is kept. */
  firstReserved = TIERS;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  add(tier: Tier): void {
    this.#arrivals[tier] = (this.#arrivals[tier] ?? 0) + 1;
  }

  /** Takes one `add` back: of a call that will ask again. */
  remove(tier: Tier): void {
    this.#arrivals[tier] = (this.#arrivals[tier] ?? 0) - 1;
  }

  /** Calls of a tier that arrive in a second, as far as measured. */
  perSecond(tier: Tier): number {
    return (this.#rates[tier] ?? 0) * 1000;
  }

  /** Permits kept for a tier from the ones below it. */
  reserve(tier: number): number {
    return this.#reserves[tier] ?? 0;
  }

  /** The same, but no more than it can need by what has arrived since the last measurement. */
  reserveNow(tier: number, latencyMs: number, nowMs: number): number {
    const elapsed = nowMs - this.#sinceMs;
    if (!(elapsed > 0)) return this.reserve(tier);
    const most = mostDue(this.#arrivals[tier] ?? 0) / elapsed;
    return Math.min(this.reserve(tier), most * latencyMs);
  }

  /** Takes what arrived since the last time. `latencyMs`: how long a call lasts at present. */
  measure(nowMs: number, latencyMs: number, limit: number): void {
    const elapsed = nowMs - this.#sinceMs;
    if (!(elapsed > 0)) return;
    this.#sinceMs = nowMs;
    const attack = 1 - (1 - ATTACK) ** (elapsed / MEASURE_MS);
    const decay = 1 - (1 - DECAY) ** (elapsed / MEASURE_MS);
    for (let tier = 0; tier < TIERS; tier += 1) {
      const measured = (this.#arrivals[tier] ?? 0) / elapsed;
      const known = this.#rates[tier] ?? 0;
      const rate = known + (measured > known ? attack : decay) * (measured - known);
      this.#rates[tier] = Math.min(rate, mostDue(this.#arrivals[tier] ?? 0) / elapsed);
      this.#arrivals[tier] = 0;
    }
    this.apportion(latencyMs, limit);
  }

  /** Works out the reserves for another limit. */
  apportion(latencyMs: number, limit: number): void {
    this.firstReserved = TIERS;
    for (let tier = TIERS - 1; tier >= 0; tier -= 1) {
      const mean = (this.#rates[tier] ?? 0) * latencyMs;
      const margin = Math.min(MARGIN_ROOTS * Math.sqrt(mean), MARGIN_SHARE_MAX * limit);
      const reserve = Math.min(limit, mean + margin);
      this.#reserves[tier] = reserve;
      if (reserve > 0) this.firstReserved = tier;
    }
  }
}

/**
 * Of arrivals in no order, how many there can have been due where so many came: three deviations of
 * Poisson's distribution, and four where none came. What is known falls slowly, but never stands above it.
 */
function mostDue(arrivals: number): number {
  return arrivals + 3 * Math.sqrt(arrivals) + 4;
}
