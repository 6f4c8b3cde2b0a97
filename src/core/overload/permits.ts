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
const GENERATION_MASK = 2 ** 14 - 1;
const NONE = -1;

/** How a slot is held. */
const FREE = 0;
const HELD = 1;
/** Its deadline has passed, and its holder will say when it ends. */
const OUTLIVED = 2;
/** Nobody will say when it ends. */
const UNHEARD = 3;

export class Permits {
  #startMs: Float64Array;
  #untilMs: Float64Array;
  #generation: Int32Array;
  #state: Uint8Array;
  #tier: Uint8Array;
  /** Next free slot, or next unheard call. */
  #next: Int32Array;
  #firstFree = NONE;
  /** Slots used so far; those from here on were never handed out. */
  #used = 0;
  #firstUnheard = NONE;
  #lastUnheard = NONE;
  readonly #inFlightOf = new Int32Array(TIERS);
  #inFlight = 0;
  #abandoned = 0;

  constructor(slots = 32) {
    this.#startMs = new Float64Array(slots);
    this.#untilMs = new Float64Array(slots);
    this.#generation = new Int32Array(slots);
    this.#state = new Uint8Array(slots);
    this.#tier = new Uint8Array(slots);
    this.#next = new Int32Array(slots);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  inFlightOf(tier: number): number {
    return this.#inFlightOf[tier] ?? 0;
  }

  /** Calls in flight whose deadline has passed or whose caller has left. */
  get abandoned(): number {
    return this.#abandoned;
  }

  get isExhausted(): boolean {
    return this.#inFlight >= PERMITS_MAX;
  }

  /** Not to be called when exhausted. */
  take(tier: Tier, nowMs: number): Permit {
    let slot = this.#firstFree;
    if (slot === NONE) {
      slot = this.#used;
      if (slot === this.#state.length) this.#grow();
      this.#used += 1;
    } else {
      this.#firstFree = this.#next[slot] ?? NONE;
    }
    this.#state[slot] = HELD;
    this.#tier[slot] = tier;
    this.#startMs[slot] = nowMs;
    this.#inFlight += 1;
    this.#countTier(slot, 1);
    return ((this.#generation[slot] ?? 0) << SLOT_BITS) | slot;
  }

  /** Whether its holder may still give it back. */
  isHeld(permit: Permit): boolean {
    const state = this.#stateOf(permit);
    return state === HELD || state === OUTLIVED;
  }

  isOutlived(permit: Permit): boolean {
    return this.#stateOf(permit) === OUTLIVED;
  }

  startMs(permit: Permit): number {
    return this.#startMs[permit & SLOT_MASK] ?? 0;
  }

  /** Of one that is held. */
  giveBack(permit: Permit): void {
    const slot = permit & SLOT_MASK;
    if (this.#state[slot] !== HELD) this.#abandoned -= 1;
    this.#free(slot);
  }

  /** Of one that is held, and not outlived yet. */
  outlive(permit: Permit): void {
    this.#state[permit & SLOT_MASK] = OUTLIVED;
    this.#abandoned += 1;
  }

  /** Of one that is held: it counts until `untilMs`, and its holder has nothing more to say. */
  leave(permit: Permit, untilMs: number): void {
    const slot = permit & SLOT_MASK;
    if (this.#state[slot] === HELD) this.#abandoned += 1;
    this.#state[slot] = UNHEARD;
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
    return first === NONE ? Number.POSITIVE_INFINITY : (this.#untilMs[first] ?? 0);
  }

  /** Frees the unheard calls whose time has come. */
  expire(nowMs: number): void {
    while (nowMs >= this.nextEndMs) {
      const slot = this.#firstUnheard;
      this.#firstUnheard = this.#next[slot] ?? NONE;
      if (this.#firstUnheard === NONE) this.#lastUnheard = NONE;
      this.#abandoned -= 1;
      this.#free(slot);
    }
  }

  #stateOf(permit: Permit): number {
    const slot = permit & SLOT_MASK;
    if (permit !== (((this.#generation[slot] ?? 0) << SLOT_BITS) | slot)) return FREE;
    return this.#state[slot] ?? FREE;
  }

  #free(slot: number): void {
    this.#state[slot] = FREE;
    this.#generation[slot] = ((this.#generation[slot] ?? 0) + 1) & GENERATION_MASK;
    this.#next[slot] = this.#firstFree;
    this.#firstFree = slot;
    this.#inFlight -= 1;
    this.#countTier(slot, -1);
  }

  /** By the tier as kept: one out of range must not be counted up here and down there. */
  #countTier(slot: number, by: number): void {
    const tier = this.#tier[slot] ?? 0;
    this.#inFlightOf[tier] = (this.#inFlightOf[tier] ?? 0) + by;
  }

  #grow(): void {
    const slots = Math.min(this.#state.length * 2, PERMITS_MAX);
    this.#startMs = copied(this.#startMs, new Float64Array(slots));
    this.#untilMs = copied(this.#untilMs, new Float64Array(slots));
    this.#generation = copied(this.#generation, new Int32Array(slots));
    this.#state = copied(this.#state, new Uint8Array(slots));
    this.#tier = copied(this.#tier, new Uint8Array(slots));
    this.#next = copied(this.#next, new Int32Array(slots));
  }
}

function copied<Numbers extends { set(from: Numbers): void }>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
