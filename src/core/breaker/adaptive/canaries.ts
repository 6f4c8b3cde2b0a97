// The canaries of one half-open episode: who holds a slot, until when, and how the others fared.
//
// A canary takes one of a few slots. Its verdict keeps the slot, since the episode ends when all
// have one, or as soon as the rest can no longer make it a success. One that is ignored gives the
// slot back. One that never answers loses it to the first caller after its lease who finds no other
// slot free; until then its answer counts.

/** Canaries that an episode can number: tickets must stay safe integers. */
export const CANARIES_MAX = 2 ** 20 - 1;

/** Share of successful canaries that is enough: two of three. */
export const CANARY_SUCCESS_THRESHOLD = 0.66;

export type CanaryVerdict = "passed" | "failed" | undefined;

export class Canaries {
  readonly #slots: number;
  readonly #leaseMs: number;
  /** Numbers of the canaries that hold a lease, oldest first, and when each lease ends. */
  readonly #held: number[] = [];
  readonly #dueMs: number[] = [];
  #granted = 0;
  #done = 0;
  #successes = 0;

  constructor(settings: { readonly canaryCount: number; readonly canaryLeaseMs: number }) {
    this.#slots = settings.canaryCount;
    this.#leaseMs = settings.canaryLeaseMs;
  }

  get done(): number {
    return this.#done;
  }

  get successes(): number {
    return this.#successes;
  }

  get isExhausted(): boolean {
    return this.#granted >= CANARIES_MAX;
  }

  /** When a slot is certain to be free. */
  get slotDueMs(): number {
    return this.#isFull ? (this.#dueMs[0] ?? 0) : 0;
  }

  /** How many are under way: a lease that is over counts no longer. */
  underWay(nowMs: number): number {
    // Leases are equally long, so the oldest ends first.
    const live = this.#dueMs.findIndex((dueMs) => nowMs < dueMs);
    return live === -1 ? 0 : this.#dueMs.length - live;
  }

  /** The number of a new canary, from 1; 0 when no slot is free. */
  grant(nowMs: number): number {
    if (nowMs < this.slotDueMs) return 0;
    if (this.#isFull) {
      this.#held.shift();
      this.#dueMs.shift();
    }
    this.#granted += 1;
    this.#held.push(this.#granted);
    this.#dueMs.push(nowMs + this.#leaseMs);
    return this.#granted;
  }

  /** Takes the canary's slot back. False when it holds none: it never had one, or lost it. */
  release(canary: number): boolean {
    const index = this.#held.indexOf(canary);
    if (index === -1) return false;
    this.#held.splice(index, 1);
    this.#dueMs.splice(index, 1);
    return true;
  }

  /** A released canary's result: its slot stays taken. Tells whether the episode is decided. */
  count(isOk: boolean): CanaryVerdict {
    this.#done += 1;
    if (isOk) this.#successes += 1;
    const best = this.#successes + this.#slots - this.#done;
    if (best / this.#slots < CANARY_SUCCESS_THRESHOLD) return "failed";
    return this.#done >= this.#slots ? "passed" : undefined;
  }

  get #isFull(): boolean {
    return this.#held.length + this.#done >= this.#slots;
  }
}
