// A limit that finds by itself how many calls an upstream can serve at once.
//
// The intuition: below its capacity an upstream answers in the time the work takes; above it, calls wait
// for each other, and every further one only makes all of them later. So the limit grows while calls come
// back as fast as they ever did, and shrinks by the ratio once they take more than twice that.
// Gradient limits are those of Netflix's concurrency-limits, Envoy and failsafe-go; this one differs where
// theirs are known to fail, and each difference is told where it is made.
//
// It does not count permits, and knows nothing of tiers: `limiter.ts`.

import type { Limit } from "./limit.ts";
import type { LimitWindow } from "./limit-window.ts";

/** What a gradient limit is made of. */
export interface GradientSettings {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** Times the base latency that calls may take before the limit shrinks. */
  readonly tolerance: number;
  /** Milliseconds a caller waits at most; undefined where nobody says. */
  readonly deadlineMs: number | undefined;
  /** Epoch milliseconds at 0 of `nowMs`, so that replicas make their experiments at the same moment. */
  readonly phaseMs: number;
}

/** Share of the deadline that the median may use: of an upstream's tail, this leaves a half. */
export const DEADLINE_SHARE = 0.5;
/** A median below this share of the deadline is no overload, however it compares to the base. */
const FREE_SHARE = 0.01;
/** Without a deadline, in milliseconds. */
const FREE_MS = 1;

/** Growth per window while nothing suggests that the capacity is near, and beyond that. */
const SLOW_START = 1.25;
const GROWTH_ROOTS = 0.5;
const CUT_MIN = 0.6;

const DRAIN_EVERY_MS = 5000;
const DRAIN_SHARE = 0.5;
/** Windows with fewer samples have no median worth acting on. */
const SAMPLES_MIN = 3;

export class GradientLimit implements Limit {
  readonly kind = "adaptive";
  readonly #settings: GradientSettings;
  readonly #targetMsMax: number;
  readonly #freeMs: number;
  #limit: number;
  #value: number;
  #baseMs = 0;
  #threshold = Number.POSITIVE_INFINITY;
  #evidenceFromMs = Number.NEGATIVE_INFINITY;
  /** Best rate of late, a millisecond. */
  #bestRate = 0;
  #rateAtMs = 0;
  #isDraining = false;
  #nextDrainMs = 0;
  #rateBefore = 0;
  #medianBefore = 0;
  /** The limit and rate that a row of cuts began with; 0 when there is none. */
  #limitAtCut = 0;
  #rateAtCut = 0;

  constructor(settings: GradientSettings) {
    const { initial, deadlineMs } = settings;
    this.#settings = settings;
    this.#limit = initial;
    this.#value = initial;
    this.#targetMsMax =
      deadlineMs === undefined ? Number.POSITIVE_INFINITY : DEADLINE_SHARE * deadlineMs;
    this.#freeMs = deadlineMs === undefined ? FREE_MS : FREE_SHARE * deadlineMs;
  }

  get value(): number {
    return this.#value;
  }

  get baseMs(): number {
    return this.#baseMs;
  }

  get evidenceFromMs(): number {
    return this.#evidenceFromMs;
  }

  onWindow(window: LimitWindow, isFull: boolean, nowMs: number): void {
    if (this.#isDraining) this.#endDrain(window, nowMs);
    else if (isFull) this.#update(window, nowMs);
    else this.#relax(window, nowMs);
    if (isFull && !this.#isDraining && nowMs >= this.#nextDrainMs) this.#startDrain(window, nowMs);
    this.#publish();
  }

  collapse(nowMs: number): void {
    this.#isDraining = false;
    this.#limit = this.#settings.min;
    this.#evidenceFromMs = nowMs;
    this.#publish();
  }

  restart(nowMs: number): void {
    const { min } = this.#settings;
    this.#isDraining = false;
    this.#limit = Math.max(min, 0.25 * this.#limit);
    this.#threshold = Number.POSITIVE_INFINITY;
    this.#limitAtCut = 0;
    this.#evidenceFromMs = nowMs;
    this.#publish();
  }

  #publish(): void {
    const { min, max } = this.#settings;
    this.#limit = Math.min(max, Math.max(min, this.#limit));
    const limit = this.#isDraining ? DRAIN_SHARE * this.#limit : this.#limit;
    this.#value = Math.max(min, Math.floor(limit));
  }

  #relax(window: LimitWindow, nowMs: number): void {
    const elapsed = nowMs - window.startMs;
    const wanted = Math.max(this.#settings.initial, 2.5 * window.peak);
    const share = 1 - (wanted > this.#limit ? 0.9 : 0.95) ** (elapsed / 100);
    this.#limit += share * (wanted - this.#limit);
    this.#threshold = Number.POSITIVE_INFINITY;
    this.#limitAtCut = 0;
    if (window.samples === 0) return;
    const median = Math.min(window.quantileMs(0.5), this.#targetMsMax);
    if (this.#baseMs === 0) this.#baseMs = median;
    this.#baseMs += (median < this.#baseMs ? 0.5 : 0.25) * (median - this.#baseMs);
  }

  #update(window: LimitWindow, nowMs: number): void {
    const rate = window.okRate(nowMs);
    const { timeoutShare, timeouts } = window;
    const isLate = timeouts >= 3 && timeoutShare > 0.1;
    const enough = window.samples >= SAMPLES_MIN;
    const median = enough ? window.quantileMs(0.5) : 0;
    if (this.#baseMs === 0 && enough) this.#baseMs = Math.min(median, this.#targetMsMax);
    const before = this.#limit;
    const target = this.#targetMs;
    this.#rememberRate(rate, nowMs, isLate || median > this.#targetMsMax);
    if (isLate) {
      this.#noteCut(rate);
      this.#limit = Math.max(CUT_MIN * before, Math.min(0.7 * before, this.#cap));
      this.#threshold = this.#limit;
    } else if (enough && median > target) {
      const gradient = target / median;
      this.#noteCut(rate);
      this.#limit = Math.max(gradient * before, CUT_MIN * before, 0.8 * rate * this.#baseMs);
      this.#threshold = this.#limit;
    } else if (enough) {
      this.#limitAtCut = 0;
      this.#limit =
        before < this.#threshold ? SLOW_START * before : before + GROWTH_ROOTS * Math.sqrt(before);
    }
    this.#limit = Math.min(this.#limit, Math.max(this.#cap, CUT_MIN * before));
    if (enough) this.#regret(rate, median);
    if (this.#limit < before) this.#evidenceFromMs = nowMs;
  }

  get #targetMs(): number {
    const wanted = Math.max(this.#settings.tolerance * this.#baseMs, this.#freeMs);
    return Math.min(wanted, this.#targetMsMax);
  }

  get #cap(): number {
    return this.#bestRate > 0 ? this.#bestRate * this.#targetMsMax : Number.POSITIVE_INFINITY;
  }

  #rememberRate(rate: number, nowMs: number, isBad: boolean): void {
    const faded = this.#bestRate * Math.exp(-(nowMs - this.#rateAtMs) / 5000);
    this.#rateAtMs = nowMs;
    this.#bestRate = isBad ? rate : Math.max(rate, faded);
  }

  #noteCut(rate: number): void {
    if (this.#limitAtCut > 0) return;
    this.#limitAtCut = this.#limit;
    this.#rateAtCut = rate;
  }

  #regret(rate: number, median: number): void {
    if (this.#limitAtCut === 0 || this.#limit > 0.75 * this.#limitAtCut) return;
    const loss = 1 - rate / this.#rateAtCut;
    const cut = 1 - this.#limit / this.#limitAtCut;
    if (loss <= 0.6 * cut) return;
    this.#baseMs = Math.min(0.9 * median, this.#targetMsMax);
    this.#limit = Math.min(this.#limitAtCut, 1.3 * this.#limit);
    this.#limitAtCut = 0;
  }

  #startDrain(window: LimitWindow, nowMs: number): void {
    this.#nextDrainMs = this.#after(nowMs, DRAIN_EVERY_MS);
    if (this.#limit <= this.#settings.min) return;
    this.#isDraining = true;
    this.#rateBefore = window.okRate(nowMs);
    this.#medianBefore = window.quantileMs(0.5);
    this.#evidenceFromMs = nowMs;
  }

  #endDrain(window: LimitWindow, nowMs: number): void {
    this.#isDraining = false;
    if (window.samples < SAMPLES_MIN) return;
    const median = Math.min(window.quantileMs(0.5), this.#targetMsMax);
    if (median < this.#baseMs) this.#baseMs = median;
    else if (window.okRate(nowMs) < 0.7 * this.#rateBefore && median > 0.8 * this.#medianBefore)
      this.#baseMs = median;
  }

  /** The next multiple of a period of the wall clock. */
  #after(nowMs: number, periodMs: number): number {
    const { phaseMs } = this.#settings;
    return (Math.floor((nowMs + phaseMs) / periodMs) + 1) * periodMs - phaseMs;
  }
}
