// Who holds a permit, since when, and of which tier. A permit is a number, so that handing one out
// allocates nothing: the slot it occupies, and how often that slot was handed out before. A permit
// that is given back twice, or that nobody ever got, is therefore recognised and changes nothing.
//
// Calls whose end nobody will hear of stand in a queue until their estimated end. It is taken from
// the front only: a call whose end is nearer than those before it waits for them, which the bound on
// estimates makes short.

import { TIERS } from "./demand.ts";
import type { Tier } from "./criticality.ts";

/** An admission, opaque to its holder. Never negative. */
export type Permit = number;

/** Slots for everything in flight, those let in against the limit included. */
export const PERMITS_MAX = 2 ** 16;

const SLOT_BITS = 16;
const SLOT_MASK = PERMITS_MAX - 1;
/** Permits stay below 2^30, which both runtimes hold without a heap object. */
const GENERATION_MASK = (2 ** 14 - 1) << SLOT_BITS;
const NONE = -1;

/** How a slot is held. */
export const FREE = 0;
export const HELD = 1;
/** Nobody waits for it any more, and its holder will say when it ends. */
export const OUTLIVED = 2;
/** Nobody will say when it ends. */
const UNHEARD = 3;
const STATE_MASK = 3;
const TIER_SHIFT = 2;
const TIER_MASK = 3;

export class Permits {
  /** Of each slot its generation, its tier and how it is held, in one: read once for all three. */
  #words: Int32Array;
  #startMs: Float64Array;
  #untilMs: Float64Array;
  /** Next free slot, or next unheard call. */
  #next: Int32Array;
  #firstFree = NONE;
  /** Slots used so far; those from here on were never handed out. */
  #used = 0;
  #firstUnheard = NONE;
  #lastUnheard = NONE;
  readonly #inFlightOf = new Int32Array(TIERS);
  /** Calls that hold one. */
  inFlight = 0;
  /** Those of them that nobody waits for any more. */
  abandoned = 0;
  /** Those of them whose end will be heard of, whenever that is. */
  outlived = 0;
  /** When the call began that `end` has just ended. */
  endedStartMs = 0;

  constructor(slots = 32) {
    this.#words = new Int32Array(slots);
    this.#startMs = new Float64Array(slots);
    this.#untilMs = new Float64Array(slots);
    this.#next = new Int32Array(slots);
  }

  inFlightOf(tier: number): number {
    return this.#inFlightOf[tier] as number;
  }

  get isExhausted(): boolean {
    return this.inFlight >= PERMITS_MAX;
  }

  /** Not to be called when exhausted. */
  take(tier: Tier, nowMs: number): Permit {
    let slot = this.#firstFree;
    if (slot === NONE) {
      slot = this.#used;
      if (slot === this.#words.length) this.#grow();
      this.#used += 1;
    } else {
      this.#firstFree = this.#next[slot] as number;
    }
    const generation = (this.#words[slot] as number) & GENERATION_MASK;
    // As kept: one out of range must not be counted up here and down elsewhere.
    const own = tier & TIER_MASK;
    this.#words[slot] = generation | (own << TIER_SHIFT) | HELD;
    this.#startMs[slot] = nowMs;
    this.inFlight += 1;
    this.#inFlightOf[own] = (this.#inFlightOf[own] as number) + 1;
    return generation | slot;
  }

  /** Its holder gives it back. How it was held: `HELD`, `OUTLIVED`, or `FREE` for none that is held. */
  end(permit: Permit): number {
    const slot = permit & SLOT_MASK;
    const word = this.#words[slot] ?? 0;
    const state = stateFor(permit, word);
    if (state === FREE) return FREE;
    if (state === OUTLIVED) {
      this.abandoned -= 1;
      this.outlived -= 1;
    }
    this.endedStartMs = this.#startMs[slot] as number;
    this.#free(slot, word);
    return state;
  }

  /** Whether its holder may still give it back. */
  isHeld(permit: Permit): boolean {
    return this.#stateOf(permit) !== FREE;
  }

  isOutlived(permit: Permit): boolean {
    return this.#stateOf(permit) === OUTLIVED;
  }

  startMs(permit: Permit): number {
    return this.#startMs[permit & SLOT_MASK] as number;
  }

  /** Of one that is held, and not outlived yet. */
  outlive(permit: Permit): void {
    this.#hold(permit & SLOT_MASK, OUTLIVED);
    this.abandoned += 1;
    this.outlived += 1;
  }

  /** Of one that is held: it counts until `untilMs`, and its holder has nothing more to say. */
  leave(permit: Permit, untilMs: number): void {
    const slot = permit & SLOT_MASK;
    if (this.#stateOf(permit) === HELD) this.abandoned += 1;
    else this.outlived -= 1;
    this.#hold(slot, UNHEARD);
    // NaN would never come.
    this.#untilMs[slot] = untilMs > 0 ? untilMs : 0;
    this.#next[slot] = NONE;
    if (this.#lastUnheard === NONE) this.#firstUnheard = slot;
    else this.#next[this.#lastUnheard] = slot;
    this.#lastUnheard = slot;
  }

  /** When the next unheard call is taken to have ended; `Infinity` when there is none. */
  get nextEndMs(): number {
    const first = this.#firstUnheard;
    return first === NONE ? Number.POSITIVE_INFINITY : (this.#untilMs[first] as number);
  }

  /** Frees the unheard calls whose time has come. */
  expire(nowMs: number): void {
    while (nowMs >= this.nextEndMs) {
      const slot = this.#firstUnheard;
      this.#firstUnheard = this.#next[slot] as number;
      if (this.#firstUnheard === NONE) this.#lastUnheard = NONE;
      this.abandoned -= 1;
      this.#free(slot, this.#words[slot] as number);
    }
  }

  #stateOf(permit: Permit): number {
    return stateFor(permit, this.#words[permit & SLOT_MASK] ?? 0);
  }

  #hold(slot: number, state: number): void {
    this.#words[slot] = ((this.#words[slot] as number) & ~STATE_MASK) | state;
  }

  #free(slot: number, word: number): void {
    const tier = (word >> TIER_SHIFT) & TIER_MASK;
    this.#words[slot] = (word + PERMITS_MAX) & GENERATION_MASK;
    this.#next[slot] = this.#firstFree;
    this.#firstFree = slot;
    this.inFlight -= 1;
    this.#inFlightOf[tier] = (this.#inFlightOf[tier] as number) - 1;
  }

  #grow(): void {
    const slots = Math.min(this.#words.length * 2, PERMITS_MAX);
    this.#words = copied(this.#words, new Int32Array(slots));
    this.#startMs = copied(this.#startMs, new Float64Array(slots));
    this.#untilMs = copied(this.#untilMs, new Float64Array(slots));
    this.#next = copied(this.#next, new Int32Array(slots));
  }
}

/** `FREE` also for a permit of another generation than the slot's, and for one that nobody has to give back. */
function stateFor(permit: Permit, word: number): number {
  if ((word & GENERATION_MASK) !== (permit & ~SLOT_MASK)) return FREE;
  const state = word & STATE_MASK;
  return state === UNHEARD ? FREE : state;
}

function copied<Numbers extends { set(from: Numbers): void }>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
