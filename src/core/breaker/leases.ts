// The slots of one half-open episode: which probes hold one, and until when.
//
// A probe takes one of a few slots and keeps it for the length of its lease. One that is ignored
// gives its slot back. One that never answers loses it: not at the end of the lease by itself, but
// to the first caller after it who finds no other slot free. Until then its answer still counts; a
// late answer is better than none. A verdict keeps its slot to the end of the episode.
//
// What a verdict says, and how many of them end the episode, is its owner's affair.

/** Probes that an episode can number: tickets must stay safe integers. */
export const LEASES_MAX = 2 ** 20 - 1;

export class Leases {
  readonly #slots: number;
  readonly #leaseMs: number;
  /** Numbers of the probes that hold a lease, oldest first, and when each lease ends. */
  readonly #held: number[] = [];
  readonly #dueMs: number[] = [];
  #granted = 0;
  #kept = 0;

  constructor(options: { readonly slots: number; readonly leaseMs: number }) {
    this.#slots = options.slots;
    this.#leaseMs = options.leaseMs;
  }

  /** Slots that verdicts keep. */
  get kept(): number {
    return this.#kept;
  }

  get isExhausted(): boolean {
    return this.#granted >= LEASES_MAX;
  }

  /** When a slot is certain to be free; never while verdicts keep them all. */
  get slotDueMs(): number {
    // Leases are equally long, so the oldest ends first.
    return this.#isFull ? (this.#dueMs[0] ?? Number.POSITIVE_INFINITY) : 0;
  }

  /** How many are under way: a lease that is over counts no longer. */
  underWay(nowMs: number): number {
    const live = this.#dueMs.findIndex((dueMs) => nowMs < dueMs);
    return live === -1 ? 0 : this.#dueMs.length - live;
  }

  /** The number of a new probe, from 1; 0 when no slot is free. */
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

  /** Takes the probe's slot back. False when it holds none: it never had one, or lost it. */
  release(probe: number): boolean {
    const index = this.#held.indexOf(probe);
    if (index === -1) return false;
    this.#held.splice(index, 1);
    this.#dueMs.splice(index, 1);
    return true;
  }

  /** A released probe's verdict: its slot stays taken. */
  keep(): void {
    this.#kept += 1;
  }

  get #isFull(): boolean {
    return this.#held.length + this.#kept >= this.#slots;
  }
}
