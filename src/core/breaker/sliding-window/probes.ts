// The probes of one half-open episode: who holds a slot, and until when.
//
// A probe takes one of a few slots and keeps it for the length of its lease. One that is ignored
// gives its slot back. One that never answers loses it: not at the end of the lease by itself, but
// to the first caller after it who finds no other slot free. Until then its answer still counts; a
// late answer is better than none. A success keeps its slot, since enough of them end the episode.

/** Probes that an episode can number: tickets must stay safe integers. */
export const PROBES_MAX = 2 ** 20 - 1;

export class Probes {
  readonly #slots: number;
  readonly #leaseMs: number;
  /** Numbers of the probes that hold a lease, oldest first, and when each lease ends. */
  readonly #held: number[] = [];
  readonly #dueMs: number[] = [];
  #granted = 0;
  #successes = 0;

  constructor(settings: { readonly halfOpenMaxProbes: number; readonly probeLeaseMs: number }) {
    this.#slots = settings.halfOpenMaxProbes;
    this.#leaseMs = settings.probeLeaseMs;
  }

  get successes(): number {
    return this.#successes;
  }

  get isExhausted(): boolean {
    return this.#granted >= PROBES_MAX;
  }

  /** When the next slot is certain to be free. */
  get slotDueMs(): number {
    return this.#isFull ? (this.#dueMs[0] ?? 0) : 0;
  }

  /** The number of a new probe, from 1; 0 when no slot is free. */
  grant(nowMs: number): number {
    if (this.#isFull) {
      // Leases are equally long, so the oldest ends first.
      if (nowMs < (this.#dueMs[0] ?? Number.POSITIVE_INFINITY)) return 0;
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

  countSuccess(): void {
    this.#successes += 1;
  }

  get #isFull(): boolean {
    return this.#held.length + this.#successes >= this.#slots;
  }
}
