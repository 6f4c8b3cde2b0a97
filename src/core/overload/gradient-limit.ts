// A limit that finds by itself how many calls an upstream can serve at once.
//
// The intuition: below its capacity an upstream answers in the time the work takes; above it, calls wait
// for each other, and every further one only makes all of them later. So the limit grows while calls come
// back nearly as fast as the work allows, and shrinks by the ratio once they take twice as long. Gradient
// limits are those of Netflix's concurrency-limits, Envoy and failsafe-go. What is done otherwise, and why:
//
// - It grows only when it is needed, but then by up to twice in one and a half round trips: others float up
//   while there is little to do, and let the first second of a spike through.
// - A deadline bounds it absolutely (`capacity.ts`). Ratios cannot see what is bad all the time.
// - Every row of cuts is read as an experiment (`cut-experiment.ts`), and now and then the limit is halved to
//   see what calls take without a queue (`drain-schedule.ts`): a baseline that drifts up with the load is
//   what users of all of them report.
// - The base latency rises slowly, and falls at once: calls may have waited for other replicas' calls.
// - Cut or not, the square root of the limit is added: replicas whose base latencies differ then settle at
//   shares that differ, where otherwise the one with the highest takes all.
//
// It does not count permits, and knows nothing of tiers: `limiter.ts`.

import { Capacity } from "./capacity.ts";
import { CutExperiment } from "./cut-experiment.ts";
import { DrainSchedule } from "./drain-schedule.ts";
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

/** Share of the deadline that the median may use; the other half is for the tail, and a little for noise. */
const DEADLINE_SHARE = 0.48;
/** Of work that lasts longer by itself it may use more: this much more, and half of what is left of the deadline. */
const WORK_SLACK = 1.25;
/** Work that is taken to last longer than this share of the deadline is never back in time. */
const WORK_SHARE_MAX = 0.9;
/** It does not grow while one call in twenty takes longer than this share. */
const TAIL_SHARE = 0.7;
/** Unless the median is so far within its target that the tail is the work's own. */
const TAIL_EXCUSED = 1.4;
/** A median below this share of the deadline is no overload, however it compares to the base. */
const FREE_SHARE = 0.01;
/** The same without a deadline, in milliseconds. */
const FREE_MS = 1;

/** Least growth per window while nothing has suggested that the capacity is near; the most is twice. */
const SLOW_START = 1.25;
/** Square roots of itself that it grows by once something has. */
const ROOTS = 1.5;
/** Multiple of the calls in flight that there is room for when the limit is not needed. */
const HEADROOM = 2;
/** Least that is left of it by one cut, and by a row of cuts until the first drain: by then all may be wrong. */
const CUT_MIN = 0.7;
/** By one cut when most of what came to an end was late. */
const MOSTLY_LATE_CUT = 0.5;
const FIRST_CUTS_MIN = 1 / 3;
/** Timeouts are no accident from so many on that are such a share of what came back. */
const LATE_MIN = 3;
const LATE_SHARE = 0.15;
/** How slowly the base rises while the limit is not needed. */
const BASE_RISES_MS = 20_000;

const DRAIN_SHARE = 0.5;
/** From this share of the median before it, a drained one shows that nothing had been waiting. */
const DRAIN_SAME = 0.8;
/** Otherwise half the calls may still have waited for each other: the work is less than what they took. */
const DRAIN_LESS = 0.7;
/** Of the limit, what is no drain. */
const DRAINED = 0.8;
/** Share of the rate beyond which a drain has cost nothing. */
const DRAIN_SERVED = 0.75;
/** How much less it must have left of the rate than of the latency for calls to be fewer rather than quicker. */
const CLEARLY = 0.9;
/** Of the calls in flight, what Little's law makes of rate and latency: with less the limit was still filling up. */
const SETTLED = 0.5;
/** Most that a drain raises the base by, unless the upstream was seen to become slower. */
const RAISE_MAX = 3;
/** Windows with fewer samples have no median worth acting on. */
const SAMPLES_MIN = 3;
/** Of the limit before a restart, what is begun with. */
const RESTART_SHARE = 0.25;

export class GradientLimit implements Limit {
  readonly kind = "adaptive";
  readonly #settings: GradientSettings;
  readonly #experiment = new CutExperiment();
  readonly #capacity = new Capacity();
  readonly #drains: DrainSchedule;
  /** What the work may be taken to last before anything shows that it is longer, and when that is shown. */
  readonly #workMsUsual: number;
  readonly #workMsMax: number;
  readonly #freeMs: number;
  #limit: number;
  #value: number;
  /** Below it, growth is fast. */
  #threshold = Number.POSITIVE_INFINITY;
  #evidenceFromMs = Number.NEGATIVE_INFINITY;
  #baseMs = 0;
  /** The base as last seen while the limit was not needed: no drain makes it less. */
  #healthyMs = 0;
  #isDraining = false;
  #isCollapsed = false;
  #medianMsBeforeDrain = 0;
  #rateBeforeDrain = 0;
  /** What it was when it first had to be cut, until a drain restores it; 0 when it was not. */
  #limitAtFirst = 0;
  #medianMsAtFirst = 0;

  constructor(settings: GradientSettings) {
    const { initial, deadlineMs, phaseMs } = settings;
    this.#settings = settings;
    this.#drains = new DrainSchedule(phaseMs);
    this.#limit = initial;
    this.#value = initial;
    this.#workMsUsual = DEADLINE_SHARE * (deadlineMs ?? Number.POSITIVE_INFINITY);
    this.#workMsMax = WORK_SHARE_MAX * (deadlineMs ?? Number.POSITIVE_INFINITY);
    this.#freeMs = deadlineMs === undefined ? FREE_MS : FREE_SHARE * deadlineMs;
  }

  get value(): number {
    return this.#value;
  }

  get baseMs(): number {
    return this.#baseMs;
  }

  get isLeast(): boolean {
    return this.#value <= this.#settings.min;
  }

  get share(): number {
    return this.#isDraining ? DRAIN_SHARE : 1;
  }

  get nextProbeMs(): number {
    return this.#drains.nextMs;
  }

  get evidenceFromMs(): number {
    return this.#evidenceFromMs;
  }

  onWindow(window: LimitWindow, isFull: boolean, nowMs: number): void {
    const windowMs = nowMs - window.startMs;
    if (this.#isDraining) this.#endDrain(window, nowMs);
    else if (isFull || isLate(window)) this.#update(window, nowMs);
    else this.#relax(window, windowMs, nowMs);
    const isSettled = window.okRate(nowMs) * window.meanMs > SETTLED * window.meanInFlight;
    if (this.#drains.isDue(isFull, windowMs, nowMs, isSettled)) this.#startDrain(window, nowMs);
    this.#publish();
  }

  collapse(nowMs: number): void {
    this.#isCollapsed = true;
    this.#isDraining = false;
    this.#evidenceFromMs = nowMs;
    this.#publish();
  }

  restart(nowMs: number): void {
    this.#isCollapsed = false;
    this.#isDraining = false;
    this.#limit *= RESTART_SHARE;
    this.#limitAtFirst = 0;
    this.#threshold = Number.POSITIVE_INFINITY;
    this.#experiment.end();
    this.#evidenceFromMs = nowMs;
    this.#publish();
  }

  #publish(): void {
    const { min, max } = this.#settings;
    this.#limit = Math.min(max, Math.max(min, this.#limit));
    const limit = this.#isCollapsed ? min : this.#limit * this.share;
    this.#value = Math.max(min, Math.floor(limit));
  }

  /** It was not needed: it follows what is, at a distance, and what calls take now is the base. */
  #relax(window: LimitWindow, windowMs: number, nowMs: number): void {
    const wanted = Math.max(this.#idle, HEADROOM * window.peak);
    const medianMs = window.quantileMs(0.5);
    if (wanted < this.#limit || medianMs <= this.#targetMs) {
      const weight = 1 - (wanted > this.#limit ? 0.9 : 0.95) ** (windowMs / 100);
      this.#limit += weight * (wanted - this.#limit);
    }
    this.#threshold = Number.POSITIVE_INFINITY;
    this.#experiment.end();
    if (this.#drains.isFirst) this.#limitAtFirst = 0;
    if (window.samples === 0) return;
    const baseMs = Math.min(medianMs, this.#workMsMax);
    if (this.#baseMs === 0) this.#baseMs = baseMs;
    const weight = baseMs < this.#baseMs ? 0.5 : 1 - Math.exp(-windowMs / BASE_RISES_MS);
    this.#baseMs += weight * (baseMs - this.#baseMs);
    this.#healthyMs = this.#baseMs;
    this.#experiment.rememberUsual(medianMs, window.okRate(nowMs));
  }

  /** What there is room for when nothing is asked: no more than a single worker could serve in time. */
  get #idle(): number {
    const { initial, min } = this.#settings;
    return Math.min(initial, Math.max(min, this.#targetMsMax / this.#baseMs));
  }

  /** It was needed. */
  #update(window: LimitWindow, nowMs: number): void {
    const before = this.#limit;
    const { samples } = window;
    const isSure = samples >= SAMPLES_MIN;
    const medianMs = medianOf(window, nowMs);
    const rate = window.okRate(nowMs);
    const late = isLate(window);
    if (this.#baseMs === 0 && isSure) this.#baseMs = Math.min(medianMs, this.#workMsUsual);
    const used = window.meanInFlight / before;
    this.#capacity.remember(rate, used, nowMs, late || medianMs > this.#targetMsMax);

    const leastLeft = window.timeoutShare > 0.5 ? MOSTLY_LATE_CUT : CUT_MIN;
    const ratio = isSure ? this.#targetMs / medianMs : 1;
    const experiment = this.#experiment;
    if (isSure && experiment.sawSlowdown && experiment.showsWork(before, medianMs)) {
      this.#accept(medianMs);
    } else if (late || ratio < 1) {
      this.#noteCut(medianMs, rate, samples);
      this.#limit = late ? leastLeft * before : this.#cutTo(ratio, rate);
      this.#threshold = this.#limit;
    } else if (isSure) {
      this.#grow(ratio, window);
      experiment.end();
      experiment.rememberUsual(medianMs, rate);
    }

    const most = this.#capacity.limitWithin(this.#targetMsMax);
    this.#limit = Math.max(leastLeft * before, Math.min(this.#limit, most));
    if (this.#drains.isFirst && !late) {
      this.#limit = Math.max(this.#limit, FIRST_CUTS_MIN * this.#limitAtFirst);
    }
    // At its least nothing was taken away, and what comes back is evidence.
    const isCut = this.#limit < before && before > this.#settings.min;
    if (isCut) this.#awaitEvidence(this.#limit / before, medianMs, nowMs);
  }

  #grow(ratio: number, window: LimitWindow): void {
    const before = this.#limit;
    const { deadlineMs = Number.POSITIVE_INFINITY } = this.#settings;
    const tailMsMax = Math.max(TAIL_SHARE * deadlineMs, this.#targetMsMax);
    const isTailLong = window.quantileMs(0.95) > tailMsMax;
    if (isTailLong && ratio < TAIL_EXCUSED) return;
    const steady = Math.max(1 + 0.5 * (ratio - 1.5), 1 + ROOTS / Math.sqrt(before));
    const fast = Math.min(2, Math.max(SLOW_START, ratio));
    let grown = steady * before;
    if (before < this.#threshold) {
      grown = Math.min(fast * before, Math.max(this.#threshold, before + 1));
    }
    // To what the deadline allows, and no further.
    if (this.#isBoundByDeadline) grown = Math.min(grown, ratio * before);
    // Nobody was refused: the usual headroom will do.
    if (window.refusals === 0) grown = Math.max(before, Math.min(grown, HEADROOM * window.peak));
    this.#limit = grown;
  }

  #cutTo(ratio: number, rate: number): number {
    const before = this.#limit;
    const added = this.#isBoundByDeadline ? 0 : ROOTS * Math.sqrt(before);
    // Never below what is being worked on, four fifths of it to be safe.
    return Math.min(before, Math.max(ratio * before + added, 0.8 * rate * this.#baseMs));
  }

  #noteCut(medianMs: number, rate: number, samples: number): void {
    const before = this.#limit;
    if (!this.#experiment.noteCut(before, medianMs, rate, samples)) return;
    if (this.#limitAtFirst > 0 && medianMs <= 2 * this.#medianMsAtFirst) return;
    this.#limitAtFirst = before;
    this.#medianMsAtFirst = medianMs;
  }

  /** What calls take is the work: the limit goes back to what that allows. */
  #accept(medianMs: number): void {
    const experiment = this.#experiment;
    this.#baseMs = Math.max(this.#baseMs, Math.min(0.9 * medianMs, this.#workMsMax));
    this.#restore(experiment.limitBefore, experiment.medianMsBefore);
    this.#threshold = experiment.limitBefore;
    experiment.end();
  }

  #restore(limit: number, medianMs: number): void {
    this.#limit = Math.max(this.#limit, Math.min(1, this.#targetMs / medianMs) * limit);
  }

  get #targetMs(): number {
    const wanted = Math.max(this.#settings.tolerance * this.#baseMs, this.#freeMs);
    return Math.min(wanted, this.#targetMsMax);
  }

  /** What the median may take for the deadline's sake. */
  get #targetMsMax(): number {
    const { deadlineMs = Number.POSITIVE_INFINITY } = this.#settings;
    const ownMs = Math.min(WORK_SLACK * this.#baseMs, (this.#baseMs + deadlineMs) / 2);
    return Math.max(this.#workMsUsual, ownMs);
  }

  get #isBoundByDeadline(): boolean {
    return this.#targetMs === this.#targetMsMax;
  }

  #startDrain(window: LimitWindow, nowMs: number): void {
    if (window.samples < SAMPLES_MIN) return;
    this.#isDraining = true;
    this.#medianMsBeforeDrain = window.quantileMs(0.5);
    this.#rateBeforeDrain = window.okRate(nowMs);
    this.#awaitEvidence(DRAIN_SHARE, this.#medianMsBeforeDrain, nowMs);
  }

  #endDrain(window: LimitWindow, nowMs: number): void {
    this.#isDraining = false;
    if (window.samples < SAMPLES_MIN) return;
    const medianMs = Math.min(window.quantileMs(0.5), this.#workMsMax);
    const windowMs = nowMs - window.startMs;
    const before = this.#baseMs;
    const limit = this.#limit;
    this.#experiment.end();
    const quicker = medianMs / this.#medianMsBeforeDrain;
    if (this.#drains.isTogether && this.#showsWork(window, quicker)) this.#raise(medianMs);
    else if (quicker <= DRAIN_SAME) {
      this.#baseMs = Math.min(before, Math.max(this.#healthyMs, DRAIN_LESS * medianMs));
    }
    const change = this.#baseMs / before;
    this.#drains.ended(change < 0.8 || change > 1.25, change > 1, windowMs, nowMs);
    if (change > 0.8) return;
    const ratio = Math.max(DRAIN_SHARE, this.#targetMs / this.#medianMsBeforeDrain);
    this.#limit = Math.min(1, ratio) * limit;
    this.#threshold = this.#limit;
  }

  /**
   * Whether half as many at once came back as late as before, `quicker` times: then fewer came back. Latency alone
   * deceives, since a queue that was still growing when the drain began is as long in its midst; but calls that
   * wait for each other come back as many, however few are let in.
   */
  #showsWork(window: LimitWindow, quicker: number): boolean {
    // At its least the limit cannot be halved.
    if (this.#value > DRAINED * this.#limit) return quicker > DRAIN_SAME;
    // What is let in where nobody arrives is as many as may be.
    const inFlight = Math.min(this.#value, window.meanInFlight || this.#value);
    const served = inFlight / window.meanMs / this.#rateBeforeDrain;
    return served < DRAIN_SERVED && served < CLEARLY * quicker;
  }

  /** Nothing got quicker by the drain: that is what the work takes. */
  #raise(medianMs: number): void {
    const before = this.#baseMs;
    const isBelieved = this.#drains.isFirst || this.#experiment.sawSlowdown;
    this.#baseMs = Math.min(medianMs, isBelieved ? medianMs : RAISE_MAX * before);
    this.#threshold = Math.max(this.#threshold, (this.#limit * this.#baseMs) / before);
    if (!isBelieved) return;
    this.#restore(this.#limitAtFirst, this.#medianMsAtFirst);
    this.#limitAtFirst = 0;
  }

  /** Calls that leave before the excess has come back still find it there: they are no evidence. */
  #awaitEvidence(share: number, medianMs: number, nowMs: number): void {
    this.#evidenceFromMs = nowMs + (1 - share) * Math.min(medianMs, this.#targetMsMax);
  }
}

/** Timeouts are no accident any more. */
function isLate(window: LimitWindow): boolean {
  return window.timeouts >= LATE_MIN && window.timeoutShare > LATE_SHARE;
}

/** When fewer than half of those let in and waited for came back, the median has not been seen yet, and is no less than this. */
function medianOf(window: LimitWindow, nowMs: number): number {
  const seenMs = window.samples >= SAMPLES_MIN ? window.quantileMs(0.5) : 0;
  // Who left before it could have come back says nothing; who left later was not served.
  const awaited = window.admitted - window.leftEarly;
  const pilesUp = awaited >= 10 && 2 * window.ended < awaited;
  return pilesUp ? Math.max(seenMs, (nowMs - window.startMs) / 2) : seenMs;
}
