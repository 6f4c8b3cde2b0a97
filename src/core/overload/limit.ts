// How many calls may be in flight: the contract, and the limit that never moves. A limit only turns
// measured windows into a number; who holds a permit is counted in `limiter.ts`, so that either can
// be tested, and replaced, without the other.

import type { LimitWindow } from "./limit-window.ts";

export type LimitKind = "adaptive" | "fixed";

export interface Limit {
  readonly kind: LimitKind;
  /** Calls that may be in flight at this moment: a whole number, at least 1. */
  readonly value: number;
  /** Whether it can shrink no further, though it would; never of one set by hand. */
  readonly isLeast: boolean;
  /** Milliseconds a call takes when nothing waits, as far as is known; 0 before the first sample. */
  readonly baseMs: number;
  /** Share of the limit proper that `value` is at this moment: below 1 during an experiment. */
  readonly share: number;
  /** When it will make its next experiment, which a window should not straddle; 0 when none is due. */
  readonly nextProbeMs: number;
  /** Calls that started earlier were served under another limit, and say nothing of this one. */
  readonly evidenceFromMs: number;
  /** Takes a closed window. `isFull`: its calls needed the limit, or were refused by it. */
  onWindow(window: LimitWindow, isFull: boolean, nowMs: number): void;
  /** No call has come back for as long as one can be waited for: lets in trials only. */
  collapse(nowMs: number): void;
  /** Begins anew, low: a call came back from a silent upstream, or its breaker lets calls in again. */
  restart(nowMs: number): void;
}

/** A limit set by hand: right when capacity is known and constant, and wrong whenever it is not. */
export class FixedLimit implements Limit {
  readonly kind = "fixed";
  readonly value: number;
  readonly share = 1;
  readonly isLeast = false;
  readonly nextProbeMs = 0;
  readonly evidenceFromMs = Number.NEGATIVE_INFINITY;
  #baseMs = 0;

  constructor(value: number) {
    this.value = value;
  }

  get baseMs(): number {
    return this.#baseMs;
  }

  onWindow(window: LimitWindow, isFull: boolean): void {
    if (!isFull && window.samples > 0) this.#baseMs = window.quantileMs(0.5);
  }

  /** A number set by hand is not taken back: whoever set it was told by `isHung`. */
  collapse(): void {}

  restart(): void {}
}
