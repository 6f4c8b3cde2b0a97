// Lets in as many calls as the limit says, the important ones first. Pure: it is told the time.
//
// A permit is held from admission until the call has ended, wherever that is known: a call that
// outlives its deadline still occupies its upstream, and to forget it would be to send more there than
// the limit says, at the very moment it is overloaded.
//
// It does not do: queueing (it says who may), breakers, metrics; the guard around it does.

import type { Tier } from "./criticality.ts";
import { Demand, TIERS } from "./demand.ts";
import type { Limit } from "./limit.ts";
import { LimitWindow } from "./limit-window.ts";
import { Pace } from "./pace.ts";
import { FREE, HELD, Permits, type Permit } from "./permits.ts";
import { Spacing } from "./spacing.ts";

/** How a call ended. */
export const ENDED_OK = 0;
/** The upstream answered badly, or could not be reached. */
export const ENDED_FAILED = 1;
/** Its deadline passed before it ended. */
export const ENDED_TIMEOUT = 2;
/** Says nothing of the upstream: its caller left, or it never started. */
export const ENDED_IGNORED = 3;
export type Ending = 0 | 1 | 2 | 3;

/** What `admit` answers in place of a permit: everything in flight that may be. */
export const REFUSED_LIMIT = -1;
/** What is left is kept for more critical calls. */
export const REFUSED_PRIORITY = -2;
/** The call would not be back before its deadline. */
export const REFUSED_DEADLINE = -3;
/** A permit, or why there is none. */
export type Verdict = number;

export interface LimiterPorts {
  /** When it was made, monotonic milliseconds. */
  readonly nowMs: number;
  /** Epoch milliseconds at 0 of `nowMs`. */
  readonly phaseMs: number;
  /** Milliseconds callers wait at most; undefined where nobody says. */
  readonly deadlineMs: number | undefined;
}

/** A window is judged with so many samples, or as many as the limit is, but no fewer than the least. */
const SAMPLES = 10;
const SAMPLES_MIN = 5;
/** Timeouts judge it, too: so many, if they are such a share of what came back. */
const TIMEOUTS = 3;
const TIMEOUT_SHARE = 0.05;
/** After so many window lengths it is judged by what it has, and after more it is no load to speak of. */
const LENGTHS_MAX = 4;
const LENGTHS_IDLE = 10;
/** A limit is needed when so much of it is used, or somebody was refused. */
const FULL_SHARE = 0.7;
/** Silence is a hang after this share of a deadline, unless so many usual gaps or latencies are longer. */
const HUNG_SHARE = 0.5;
/** Before anything is known of how long its calls take. */
const HUNG_SHARE_UNKNOWN = 0.9;
const HUNG_GAPS = 4;
const HUNG_LATENCIES = 2;
const QUEUE_SHARE = 0.1;
const QUEUE_MS_MAX = 100;
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 30_000;
/** Fewer in flight than this are always let in by the deadline test, or nothing would renew it. */
export const TRIALS = 2;

export class Limiter {
  readonly #limit: Limit;
  readonly #ports: LimiterPorts;
  readonly #permits = new Permits();
  readonly #demand: Demand;
  readonly #window: LimitWindow;
  readonly #pace: Pace;
  readonly #spacing: Spacing;
  #value: number;
  /** When something has to be looked at: a window's end, or an unheard call's. */
  #dueMs: number;
  #windowDueMs: number;
  /** When a call last came back, or the first of those in flight left. */
  #progressMs: number;
  #isHung = false;
  #isFrozen = false;
  /** Whether the limit was needed in the last window that was judged. */
  #wasFull = false;

  constructor(limit: Limit, ports: LimiterPorts) {
    const { nowMs } = ports;
    this.#limit = limit;
    this.#ports = ports;
    this.#pace = new Pace(ports.deadlineMs);
    this.#spacing = new Spacing(ports.deadlineMs);
    this.#demand = new Demand(nowMs);
    this.#window = new LimitWindow(nowMs);
    this.#value = limit.value;
    this.#progressMs = nowMs;
    this.#windowDueMs = this.#boundary(nowMs);
    this.#dueMs = this.#windowDueMs;
  }

  /** Calls that may be in flight at this moment. Whole; momentarily lower while it is being probed. */
  get limit(): number {
    return this.#value;
  }

  /** Calls in flight, the abandoned ones included. */
  get inFlight(): number {
    return this.#permits.inFlight;
  }

  inFlightOf(tier: Tier): number {
    return this.#permits.inFlightOf(tier);
  }

  /** Calls in flight that nobody waits for any more. */
  get abandoned(): number {
    return this.#permits.abandoned;
  }

  /** Those of them that hold their permits until they end, should that be never. */
  get unended(): number {
    return this.#permits.outlived;
  }

  /** Permits kept for a tier from the less critical ones, those it holds included. */
  reserveOf(tier: Tier, nowMs: number): number {
    if (!this.#isScarce) return 0;
    return this.#demand.reserveNow(tier, this.#heldMs(nowMs), nowMs);
  }

  /** Calls of a tier that arrive in a second, refused ones included; quick to rise, slow to fall. */
  demandPerSecond(tier: Tier): number {
    return this.#demand.perSecond(tier);
  }

  /** Milliseconds that the median call takes when nothing waits, as far as known; 0 before that. */
  get baseMs(): number {
    return this.#limit.baseMs;
  }

  /** Milliseconds that the median call takes at present; 0 before the first. */
  get latencyMs(): number {
    return this.#pace.latencyMs;
  }

  /** Milliseconds between two calls, where even the least limit is too much; 0 otherwise. */
  get spaceMs(): number {
    return this.#spacing.spaceMs;
  }

  /** Whether calls are out, and for half a deadline or longer none has come back. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** Whether nothing is learnt, its breaker being open. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /**
   * Lets one call in, and answers its permit, or says why not with a number below 0. `remainingMs`: until
   * the caller's deadline; `Infinity` when there is none. Allocates nothing.
   */
  admit(tier: Tier, nowMs: number, remainingMs: number): Verdict {
    if (nowMs >= this.#dueMs) this.#evaluate(nowMs);
    const { inFlight } = this.#permits;
    this.#window.addArrival(inFlight);
    // Not asked for, as far as room is concerned: whoever is in too much of a hurry shall not have it kept.
    if (remainingMs < this.#pace.latencyMs && inFlight >= TRIALS) return REFUSED_DEADLINE;
    this.#demand.add(tier);
    const isPlain =
      inFlight < this.#value && tier <= this.#demand.firstReserved && !this.#spacing.isOn;
    return isPlain ? this.#take(tier, nowMs) : this.#weigh(tier, nowMs);
  }

  /** Apart from `admit`, whose usual case is thereby small enough to become part of its caller's code. */
  #weigh(tier: Tier, nowMs: number): Verdict {
    const { inFlight } = this.#permits;
    if (inFlight >= this.#value || (this.#spacing.isOn && this.#isEarly(tier, nowMs))) {
      this.#window.refusals += 1;
      return REFUSED_LIMIT;
    }
    if (this.#needed(tier) >= this.#value && this.#neededNow(tier, nowMs) >= this.#value) {
      this.#window.refusals += 1;
      return REFUSED_PRIORITY;
    }
    return this.#take(tier, nowMs);
  }

  /** What is in flight, and what is kept for the tiers above `tier`. */
  #needed(tier: Tier): number {
    const permits = this.#permits;
    let needed = permits.inFlight;
    for (let higher = this.#demand.firstReserved; higher < tier; higher += 1) {
      const short = this.#demand.reserve(higher) - permits.inFlightOf(higher);
      if (short > 0) needed += short;
    }
    return needed;
  }

  /** The same, less what was asked for before and is not any more: a spike that is over keeps nobody out. */
  #neededNow(tier: Tier, nowMs: number): number {
    const permits = this.#permits;
    let needed = permits.inFlight;
    for (let higher = this.#demand.firstReserved; higher < tier; higher += 1) {
      const short = this.reserveOf(higher as Tier, nowMs) - permits.inFlightOf(higher);
      if (short > 0) needed += short;
    }
    return needed;
  }

  /** The call that was just refused waits, and asks again: it is one call, however often it asks. */
  asksAgain(tier: Tier): void {
    this.#demand.remove(tier);
  }

  /**
   * Refuses a call without being told the time, as `REFUSED_LIMIT` does, where only the end of a call can make
   * room: to read a clock costs more than the rest of a refusal. False, and nothing happens, in any other case.
   * To be mixed with timed ones, by which the limiter notices that nothing ends. `remainingMs` as for `admit`.
   */
  refuseUntimed(tier: Tier, remainingMs: number): boolean {
    const permits = this.#permits;
    const { inFlight } = permits;
    // Those of which nobody will hear end by the clock.
    if (inFlight < this.#value || permits.abandoned > 0) return false;
    if (remainingMs < this.#pace.latencyMs) return false;
    this.#demand.add(tier);
    this.#window.addArrival(inFlight);
    this.#window.refusals += 1;
    return true;
  }

  /**
   * A permit whatever the limit says, for a call that nothing can keep out: in shadow mode, after `admit`
   * has refused it and counted it as asked for; also for probes. It counts as any other from here on.
   * Below 0, and so not counted, only when 65,536 calls are in flight.
   */
  admitAnyway(tier: Tier, nowMs: number): Permit {
    if (nowMs >= this.#dueMs) this.#evaluate(nowMs);
    return this.#permits.isExhausted ? REFUSED_LIMIT : this.#take(tier, nowMs);
  }

  /**
   * A call has ended, and its permit is free. False, and nothing happens, for a permit that is not held:
   * given back before, left, or never handed out. After `outlived` only the permit is given back: the
   * timeout has been counted, and a latency that began under another limit is no evidence of this one;
   * but that the upstream is alive is learnt. `latencyMs`: how long the upstream took, where that is less
   * than the call did.
   */
  settle(permit: Permit, ending: Ending, nowMs: number, latencyMs?: number): boolean {
    const permits = this.#permits;
    const how = permits.end(permit);
    if (how === FREE) return false;
    const startMs = permits.endedStartMs;
    if (ending <= ENDED_FAILED) this.#progress(nowMs);
    // What is given back unserved is gone, however old it was.
    const tookMs = ending === ENDED_IGNORED ? 0 : (latencyMs ?? nowMs - startMs);
    if (how === HELD) this.#count(ending, startMs, tookMs);
    if (nowMs >= this.#dueMs) this.#evaluate(nowMs);
    return true;
  }

  /**
   * Nobody waits for the call any more and it goes on: it counts until `settle` or `leave`. Once per permit.
   * `ending`: `ENDED_TIMEOUT`, or `ENDED_IGNORED` when its caller left.
   */
  outlived(permit: Permit, ending: Ending, nowMs: number): boolean {
    const permits = this.#permits;
    if (!permits.isHeld(permit) || permits.isOutlived(permit)) return false;
    permits.outlive(permit);
    const startMs = permits.startMs(permit);
    this.#count(ending, startMs, nowMs - startMs);
    return true;
  }

  /**
   * Nobody waits for the call any more, and nobody will learn when the upstream is done with it, as over
   * HTTP: its permit stays taken for the estimated rest, at most a deadline more, and frees itself.
   * `ending`: `ENDED_TIMEOUT`, or `ENDED_IGNORED` when its caller left.
   */
  leave(permit: Permit, ending: Ending, nowMs: number): boolean {
    const permits = this.#permits;
    if (!permits.isHeld(permit)) return false;
    const isLate = permits.isOutlived(permit);
    const ageMs = nowMs - permits.startMs(permit);
    const untilMs = nowMs + this.#pace.restMs(ageMs, permits.inFlight, this.#limit.baseMs);
    const startMs = permits.startMs(permit);
    permits.leave(permit, untilMs);
    if (untilMs < this.#dueMs) this.#dueMs = untilMs;
    if (!isLate) this.#count(ending, startMs, ageMs);
    return true;
  }

  /**
   * Frees the permits of unheard calls whose time has come, and learns nothing: for whoever reads while nobody
   * calls.
   */
  look(nowMs: number): void {
    this.#permits.expire(nowMs);
  }

  /** Nothing is owed at the moment: that nothing comes back is no silence. */
  excuse(nowMs: number): void {
    this.#progressMs = nowMs;
  }

  /** The breaker opened: what few calls still come back say nothing of the load. */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** The breaker lets calls in again: begins at a quarter of the limit it had. */
  thaw(nowMs: number): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#spacing.clear();
    this.#restart(nowMs);
  }

  /** Calls of the most critical tier that may wait for a permit at once: a tenth of the limit. */
  get queueMax(): number {
    return Math.floor(QUEUE_SHARE * this.#value);
  }

  /**
   * Longest that one of them may wait, milliseconds: a tenth of its deadline, at most 100. Served in order
   * of arrival: so short a queue, with so short a wait, never holds a call that is too old to be useful,
   * which is what newest-first is for.
   */
  get queueMsMax(): number {
    const { deadlineMs } = this.#ports;
    return deadlineMs === undefined
      ? QUEUE_MS_MAX
      : Math.min(QUEUE_MS_MAX, QUEUE_SHARE * deadlineMs);
  }

  /**
   * When a refused caller may come back, milliseconds: after the calls now in flight, times how much more
   * is asked for than there is room. An estimate, from 50 to 30,000.
   */
  retryAfterMs(): number {
    let asked = 0;
    for (let tier = 0; tier < TIERS; tier += 1) asked += this.#demand.perSecond(tier as Tier);
    const { latencyMs } = this.#pace;
    const excess = Math.max(1, (asked * latencyMs) / 1000 / this.#value);
    const ms = Math.max(RETRY_MS_MIN, this.#spacing.spaceMs, Math.ceil(latencyMs * excess));
    return Math.min(RETRY_MS_MAX, ms);
  }

  #isEarly(tier: Tier, nowMs: number): boolean {
    let ahead = 0;
    for (let higher = 0; higher < tier; higher += 1)
      ahead += this.#demand.perSecond(higher as Tier);
    return this.#spacing.isEarly(nowMs, ahead / 1000);
  }

  #take(tier: Tier, nowMs: number): Verdict {
    const permits = this.#permits;
    const permit = permits.take(tier, nowMs);
    this.#spacing.admitted(nowMs);
    const { inFlight } = permits;
    if (inFlight - permits.abandoned === 1) this.#progressMs = nowMs;
    this.#window.admitted += 1;
    if (inFlight > this.#window.peak) this.#window.peak = inFlight;
    return permit;
  }

  #count(ending: Ending, startMs: number, latencyMs: number): void {
    const window = this.#window;
    if (ending === ENDED_OK) {
      window.oks += 1;
      if (this.#spacing.isAlert) this.#spacing.ok(startMs, latencyMs, this.#value);
      // A clock that went back measures nothing.
      if (!(latencyMs >= 0)) return;
      if (startMs >= this.#limit.evidenceFromMs) window.addLatency(latencyMs);
      else window.addStale(latencyMs);
    } else if (ending === ENDED_TIMEOUT) {
      window.timeouts += 1;
      if (this.#limit.isLeast && !this.#isHung) this.#spacing.late(startMs);
    } else if (ending === ENDED_FAILED) window.failures += 1;
    else {
      window.ignored += 1;
      if (latencyMs <= this.#pace.latencyMs) window.leftEarly += 1;
    }
  }

  #progress(nowMs: number): void {
    this.#progressMs = nowMs;
    if (this.#isHung) this.#restart(nowMs);
  }

  #restart(nowMs: number): void {
    this.#isHung = false;
    this.#progressMs = nowMs;
    this.#limit.restart(nowMs);
    this.#begin(nowMs);
  }

  /** A limit that nobody has run into is no scarce room, where it grows as it is used. */
  get #isScarce(): boolean {
    return this.#limit.kind === "fixed" || this.#wasFull || this.#window.refusals > 0;
  }

  #evaluate(nowMs: number): void {
    this.#permits.expire(nowMs);
    if (nowMs >= this.#windowDueMs) {
      this.#demand.measure(nowMs, this.#heldMs(nowMs), this.#value);
      if (!this.#isFrozen) this.#judge(nowMs);
      this.#windowDueMs = this.#boundary(nowMs);
    }
    this.#dueMs = Math.min(this.#windowDueMs, this.#permits.nextEndMs);
  }

  #judge(nowMs: number): void {
    this.#watch(nowMs);
    const window = this.#window;
    const lengths = (nowMs - window.startMs) / this.#pace.windowMs;
    const enough = Math.min(SAMPLES, Math.max(SAMPLES_MIN, this.#value));
    const isSure =
      window.samples >= enough ||
      (window.timeouts >= TIMEOUTS && window.timeoutShare >= TIMEOUT_SHARE) ||
      lengths >= LENGTHS_MAX;
    if (!isSure || this.#isHung) return;
    this.#pace.take(window, nowMs);
    // Nobody called for long: what was in flight when the window began is a memory.
    if (lengths >= LENGTHS_IDLE) window.peak = this.#permits.inFlight;
    const isFull = window.refusals > 0 || window.peak >= FULL_SHARE * this.#value;
    this.#wasFull = isFull;
    // While calls are spaced out, the limit is not what they need.
    if (!this.#spacing.isOn) this.#limit.onWindow(window, isFull && lengths < LENGTHS_IDLE, nowMs);
    this.#begin(nowMs);
  }

  /** Notices that nothing comes back, where that is not usual. */
  #watch(nowMs: number): void {
    const { deadlineMs } = this.#ports;
    if (deadlineMs === undefined || this.#isHung) return;
    // Of calls that were left nothing may be heard at all: that is no silence, unless several were waited for to the end.
    const { inFlight, abandoned } = this.#permits;
    const isAwaited = inFlight - abandoned >= Math.min(TRIALS, this.#value);
    if (!isAwaited && this.#window.timeouts < TIMEOUTS) return;
    const { gapMs, latencyMs } = this.#pace;
    const usualMs = Math.max(HUNG_GAPS * gapMs, HUNG_LATENCIES * latencyMs);
    const share = latencyMs === 0 ? HUNG_SHARE_UNKNOWN : HUNG_SHARE;
    if (nowMs - this.#progressMs < Math.max(share * deadlineMs, usualMs)) return;
    this.#isHung = true;
    this.#limit.collapse(nowMs);
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    const heldMs = this.#heldMs(nowMs);
    this.#value = this.#limit.value;
    this.#window.begin(nowMs, this.#permits.inFlight);
    this.#demand.apportion(heldMs, this.#value);
  }

  /** Fewer at once are held less long, as far as they wait for each other. */
  #heldMs(nowMs: number): number {
    return this.#pace.heldMs(this.#window, nowMs) * this.#limit.share;
  }

  /**
   * The end of a window that begins now. On the wall clock's grid: replicas before the same upstream then
   * change their limits together, and each sees what the change of all of them did.
   */
  #boundary(nowMs: number): number {
    const { windowMs } = this.#pace;
    const { phaseMs } = this.#ports;
    const boundary = Math.ceil((nowMs + phaseMs) / windowMs + 0.75) * windowMs - phaseMs;
    const { nextProbeMs } = this.#limit;
    return nextProbeMs > nowMs && nextProbeMs < boundary ? nextProbeMs : boundary;
  }
}
