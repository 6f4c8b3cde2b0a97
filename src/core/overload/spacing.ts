// What is left of a limit when even its least is too much: calls are let in less often, not fewer at once.
//
// With many replicas before a few slow workers, two calls in flight at each are more than can be back in
// time, and as the work of a call that was given up is done all the same, nobody is ever served again. How
// many replicas there are nobody needs to know: a call that is late doubles the time until the next one,
// and each that is back early halves it. One that is back so early that nothing can have been before it shows
// that the upstream has recovered, and all that was doubled is taken back: else it would be kept out for minutes.
// Only what was let in after the last change counts, as TCP backs off once per round trip.

/** So many late ones, and none in time between them, are no accident. */
const LATE_MIN = 2;
/** The first time between two calls, in deadlines, and by what it changes. */
const FIRST = 0.5;
const GROWS = 2;
const SHRINKS = 0.5;
/** The longest, in deadlines and in milliseconds, but no less than a deadline: a healed upstream is found soon. */
const LONGEST = 16;
const LONGEST_MS = 30_000;
/** Back within this share of its deadline, a call has hardly waited for others. */
const EARLY_SHARE = 0.5;
/** And within this one for none: from here on the time is the first at most. */
const WELL_SHARE = 0.25;

export class Spacing {
  readonly #deadlineMs: number | undefined;
  #spaceMs = 0;
  #lates = 0;
  /** When the last call was let in, now and at the last change. */
  #lastMs = Number.NEGATIVE_INFINITY;
  #changedMs = Number.NEGATIVE_INFINITY;

  constructor(deadlineMs: number | undefined) {
    this.#deadlineMs = deadlineMs;
  }

  /** Whether there was a late call that no other made good: `ok` has nothing to do otherwise. */
  get isAlert(): boolean {
    return this.#lates > 0 || this.#spaceMs > 0;
  }

  get isOn(): boolean {
    return this.#spaceMs > 0;
  }

  /** Milliseconds between two calls; 0 while the limit alone decides. */
  get spaceMs(): number {
    return this.#spaceMs;
  }

  /** Whether it is too soon. `ahead`: calls that more critical tiers ask for in a millisecond; they go first. */
  isEarly(nowMs: number, ahead: number): boolean {
    const sinceMs = nowMs - this.#lastMs;
    // A clock that went back says nothing.
    if (sinceMs < 0) return false;
    return sinceMs < this.#spaceMs * (1 + Math.min(1, ahead * this.#spaceMs));
  }

  admitted(nowMs: number): void {
    this.#lastMs = nowMs;
  }

  /** A call was not back in time, though no more were let in than ever must be. */
  late(startMs: number): void {
    const deadlineMs = this.#deadlineMs;
    // Nobody says how long an upstream has: a caller in a hurry does not make it slow.
    if (deadlineMs === undefined) return;
    this.#lates += 1;
    if (this.#lates < LATE_MIN || this.#isOld(startMs)) return;
    this.#changedMs = this.#lastMs;
    const grown = this.isOn ? GROWS * this.#spaceMs : FIRST * deadlineMs;
    const longest = Math.max(deadlineMs, Math.min(LONGEST * deadlineMs, LONGEST_MS));
    this.#spaceMs = Math.min(longest, grown);
  }

  /** A call was back. `limit`: how many may be in flight; once that alone holds more back, this is over. */
  ok(startMs: number, latencyMs: number, limit: number): void {
    this.#lates = 0;
    const deadlineMs = this.#deadlineMs ?? 0;
    if (this.#isOld(startMs) || latencyMs > EARLY_SHARE * deadlineMs) return;
    this.#spaceMs *= SHRINKS;
    if (latencyMs <= WELL_SHARE * deadlineMs) {
      this.#spaceMs = Math.min(this.#spaceMs, FIRST * deadlineMs);
    }
    if (this.#spaceMs * limit < latencyMs) this.clear();
  }

  clear(): void {
    this.#spaceMs = 0;
    this.#lates = 0;
  }

  /** Let in before the last change; unless the clock went back since. */
  #isOld(startMs: number): boolean {
    return startMs <= this.#changedMs && this.#changedMs <= this.#lastMs;
  }
}
