// The sliding-window breaker: trips when too large a share of the recent calls failed, or was slow,
// and finds out by itself whether the upstream is back.
//
// The intuition: a busy upstream that fails every third call never fails ten times in a row, so a
// count that a success zeroes does not see it. A share of the last hundred calls, none older than a
// minute, does; too few calls are no share. After a wait a few probes are let in. Enough successes
// close it, one failure opens it again, and where asked for the wait grows, is spread by chance,
// lasts at least as long as the upstream's own `Retry-After`, and full traffic returns in steps.
//
// Every transition starts from zero: window, probes and ramp belong to one state of one epoch. A
// ticket is the epoch times 2^20 plus the number of the probe, 0 for a call that is none.
//
// Nothing happens by the passing of time alone: what is due happens when somebody asks to be let
// in. What it deliberately does not do: weigh failures. A share has no weights; a failure of weight
// 0 is no evidence, any other is one failure.

import type { MachineEvent, TransitionCause, TripEvent } from "../../events.ts";
import { isLatency, type OutcomeKind } from "../../outcome.ts";
import type { Random } from "../../random.ts";
import { backoffMs, jitteredMs } from "../../retry/backoff.ts";
import { CallWindow } from "../../window/call-window.ts";
import { toNow, toWall } from "../dates.ts";
import { CallFacts } from "../facts.ts";
import { Leases, LEASES_MAX } from "../leases.ts";
import {
  REFUSED,
  SYSTEM,
  type BreakerMachine,
  type BreakerPolicy,
  type Failure,
  type Instant,
  type MachinePorts,
  type MachineRefusal,
  type OperatorOrder,
  type ResetVerdict,
  type Ticket,
} from "../machine.ts";
import type { SlidingWindowMetrics } from "./metrics.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
  type SlidingWindowSettings,
} from "./options.ts";
import { Ramp } from "./ramp.ts";
import { isUnhealthy, trippingRule, wordsOf } from "./rules.ts";
import type { SlidingWindowSnapshot, SlidingWindowState, TripEvidence } from "./snapshot.ts";

const EPOCH_STEP = LEASES_MAX + 1;

/** Stands where no call but probes may have a ticket, and equals none. */
const NOBODYS: Ticket = -3;

/** Chance of those who were given none: the middle of every spread. */
const NO_CHANCE: Random = Object.freeze({ next: () => 0.5 });

export type SlidingWindowPolicy = Omit<BreakerPolicy, "kind" | "createMachine"> & {
  readonly kind: "sliding-window";
  createMachine(ports?: MachinePorts): SlidingWindowMachine;
};

/**
 * A breaker that judges the share of failed and slow calls. Throws `InvalidOptionsError` with every
 * fault listed.
 * @example createBreaker("pinnacle", slidingWindow({ failureRatio: 0.5, minimumCalls: 10 }))
 */
export function slidingWindow(options: SlidingWindowOptions = {}): SlidingWindowPolicy {
  const settings = slidingWindowSettings(options);
  return Object.freeze({
    kind: "sliding-window",
    failureWeightThousandths: 1000,
    timeoutWeightThousandths: 1000,
    failureThreshold: settings.failureRatio,
    cooldownMs: 0,
    createMachine: (ports?: MachinePorts) => new SlidingWindowMachine(settings, ports),
  });
}

export class SlidingWindowMachine implements BreakerMachine<SlidingWindowSnapshot> {
  readonly kind = "sliding-window";
  readonly savesEvidence = false;
  readonly events: MachineEvent[] = [];
  readonly #settings: SlidingWindowSettings;
  readonly #random: Random;
  readonly #window: CallWindow;

  #state: SlidingWindowState = "closed";
  /** The epoch times `EPOCH_STEP`. */
  #base = 0;
  /** The ticket of every call that is no probe; `NOBODYS` while such calls are turned away. */
  #ticket: Ticket = 0;
  #sinceMs: number;
  #stateChanges = 0;

  /** Set while half-open and while ramping, respectively. */
  #probes: Leases | undefined = undefined;
  #ramp: Ramp | undefined = undefined;

  #manual = false;
  #tripCount = 0;
  #trippedNowMs = 0;
  /** NaN when the call that tripped it brought no date. */
  #trippedWallMs = Number.NaN;
  #trippedBy: TripEvidence | null = null;
  /** Openings since it last stayed closed. */
  #openings = 0;
  /** When probes are due; meaningful while open and not by hand. */
  #probeDueMs = 0;
  /** When the half-open episode must have come to a verdict. */
  #halfOpenDueMs = Number.POSITIVE_INFINITY;
  /** The upstream asked not to be called before. */
  #retryAtMs = Number.NEGATIVE_INFINITY;

  /** Totals of this process. */
  #successes = 0;
  #failures = 0;
  #rejected = 0;
  readonly #facts = new CallFacts();

  constructor(settings: SlidingWindowSettings, { random, nowMs }: MachinePorts = {}) {
    this.#settings = settings;
    this.#random = random ?? NO_CHANCE;
    this.#sinceMs = nowMs ?? 0;
    this.#window = new CallWindow({
      sizeMax: settings.windowSize,
      durationMs: settings.windowDurationMs,
    });
  }

  get state(): SlidingWindowState {
    return this.#state;
  }

  get epoch(): number {
    return this.#base / EPOCH_STEP;
  }

  /** A ramp turns some calls away, and is no trip: what it lets in are ordinary calls. */
  get isTripped(): boolean {
    return this.#ticket === NOBODYS;
  }

  /** As of the last call: a getter has no clock to see that they have grown old. */
  get hasFailures(): boolean {
    return this.#state !== "closed" || this.#window.failures > 0 || this.#window.slow > 0;
  }

  get admitNeedsTime(): boolean {
    return this.isTripped && !this.#manual;
  }

  /** From which latency `settleOk` is in need of a date, since the call may trip it. */
  get slowCallMs(): number {
    return this.#settings.slowCallMs;
  }

  admit(nowMs: number): Ticket {
    if (this.#state === "closed") return this.#ticket;
    const ticket = this.#ramp === undefined ? this.#probe(nowMs) : this.#pass(this.#ramp);
    if (ticket === REFUSED) this.#rejected += 1;
    return ticket;
  }

  /** `wallMs` dates a trip by slowness; without it the trip is dated when somebody looks. */
  settleOk(ticket: Ticket, latencyMs: number, nowMs: number, wallMs = Number.NaN): boolean {
    const isSlow = isLatency(latencyMs) && latencyMs >= this.#settings.slowCallMs;
    if (ticket === this.#ticket) {
      this.#countOk(latencyMs, nowMs);
      this.#judgeOk(isSlow, latencyMs, nowMs, wallMs);
      return true;
    }
    const probes = this.#releaseProbe(ticket);
    if (probes === undefined) return false;
    this.#countOk(latencyMs, nowMs);
    if (isSlow) {
      this.#facts.lastError = slowText(latencyMs);
      this.#open("probe_failed", nowMs);
      return true;
    }
    probes.keep();
    if (probes.kept >= this.#settings.halfOpenSuccesses) this.#recover(latencyMs, nowMs);
    return true;
  }

  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, at: Instant): boolean {
    if (ticket === this.#ticket) {
      this.#judgeFailed(failure, latencyMs, at);
      return true;
    }
    if (this.#releaseProbe(ticket) !== undefined) {
      if (failure.weightThousandths === 0) return true;
      this.#countFailed(failure, at);
      this.#open("probe_failed", at.nowMs);
      return true;
    }
    // A straggler of the era that tripped: its words are news, its vote is not.
    if (this.#state === "open" && !this.#manual) this.#facts.lastError = failure.message;
    return false;
  }

  /** A probe's slot is free again; no vote was cast. */
  settleIgnored(ticket: Ticket, _nowMs: number): void {
    this.#releaseProbe(ticket);
  }

  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void {
    if (outcome === "ok") {
      this.#countOk(latencyMs, at.nowMs);
      const isSlow = isLatency(latencyMs) && latencyMs >= this.#settings.slowCallMs;
      if (!this.isTripped) this.#judgeOk(isSlow, latencyMs, at.nowMs, at.wallMs);
    }
    if (outcome !== "failed" || failure === undefined) return;
    if (!this.isTripped) this.#judgeFailed(failure, latencyMs, at);
    else if (failure.weightThousandths > 0) this.#countFailed(failure, at);
  }

  trip(order: OperatorOrder, at: Instant): void {
    const isNewTrip = !this.isTripped;
    const { failures } = this.#window.countsAt(at.nowMs);
    this.#startTrip(null, isNewTrip, at.nowMs, at.wallMs);
    this.#facts.lastError = order.reason;
    this.#moveTo("open", "manual_trip", at.nowMs);
    this.#announceTrip({
      type: "trip",
      manual: true,
      isNewTrip,
      failureCount: failures,
      lastError: order.reason,
      actor: order.actor,
      reason: order.reason,
      evidence: null,
    });
  }

  /** Always accepted: there is no cooldown to keep. */
  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict {
    const { reason, actor } = order;
    // Even a closed breaker starts a new epoch: what was in flight belongs to the time before.
    this.#moveTo("closed", "reset", at.nowMs);
    this.#openings = 0;
    this.#facts.noteReset(order, at);
    this.events.push({ type: "reset", forced: order.force, actor, reason });
    return { accepted: true };
  }

  get refusalReason(): MachineRefusal["reason"] {
    if (this.#state === "half-open") return "half_open_limit";
    return this.#state === "ramping" ? "ramping" : "tripped";
  }

  refusal(at: Instant): MachineRefusal {
    const waitMs = this.#manual ? 0 : Math.max(0, this.#dueMs() - at.nowMs);
    return {
      reason: this.refusalReason,
      retryAfterMs: this.#manual ? undefined : waitMs,
      remainingMs: waitMs,
      manual: this.#manual,
      trippedAt: this.isTripped ? this.#trippedAt(at) : null,
      lastError: this.#facts.lastError,
    };
  }

  cooldownRemainingMs(_at: Instant): number {
    return 0;
  }

  metrics(at: Instant): SlidingWindowMetrics {
    const { calls, failures, slow } = this.#window.countsAt(at.nowMs);
    const totalRequests = this.#successes + this.#failures;
    const waitMs = this.#state === "open" ? Math.max(0, this.#probeDueMs - at.nowMs) : 0;
    return {
      state: this.#state,
      totalRequests,
      totalSuccesses: this.#successes,
      totalFailures: this.#failures,
      rejected: this.#rejected,
      successRate: totalRequests === 0 ? 1 : this.#successes / totalRequests,
      recentFailureRate: calls === 0 ? 0 : failures / calls,
      recentSlowRate: calls === 0 ? 0 : slow / calls,
      recentRequests: calls,
      stateChanges: this.#stateChanges,
      timeInCurrentState: (at.nowMs - this.#sinceMs) / 1000,
      timeUntilRetry: this.#manual ? null : waitMs / 1000,
    };
  }

  snapshot(at: Instant): SlidingWindowSnapshot {
    const { calls, failures, slow } = this.#window.countsAt(at.nowMs);
    const tripped = this.isTripped;
    return {
      version: 1,
      kind: "sliding-window",
      state: this.#state,
      stateChangedAt: toWall(this.#sinceMs, at),
      recentCalls: calls,
      failureCount: failures,
      slowCount: slow,
      tripped,
      manual: this.#manual,
      tripCount: this.#tripCount,
      trippedAt: tripped ? this.#trippedAt(at) : null,
      trippedUntil: tripped && !this.#manual ? toWall(this.#probeDueMs, at) : null,
      trippedBy: this.#trippedBy,
      openings: this.#openings,
      rampStep: this.#ramp?.step ?? 0,
      ...this.#facts.stored(at),
    };
  }

  /** Its values are validated first; see `restore.ts`. The window starts empty. */
  restore(snapshot: SlidingWindowSnapshot, at: Instant): void {
    this.#tripCount = snapshot.tripCount;
    this.#openings = snapshot.openings;
    this.#facts.restore(snapshot, at);
    this.#trippedBy = snapshot.trippedBy;
    this.#restoreState(snapshot, at);
    if (snapshot.stateChangedAt !== null) {
      this.#sinceMs = toNow(Math.min(snapshot.stateChangedAt, at.wallMs), at);
    }
  }

  #restoreState(snapshot: SlidingWindowSnapshot, at: Instant): void {
    const { ramping, openDuration, openDurationMsLongest } = this.#settings;
    if (!snapshot.tripped) {
      if (ramping && snapshot.state === "ramping") {
        this.#moveTo("ramping", "restored", at.nowMs);
        this.#ramp = new Ramp(this.#settings, snapshot.rampStep, at.nowMs);
      } else if (this.#state !== "closed") this.#moveTo("closed", "restored", at.nowMs);
      return;
    }
    // The probes of a half-open breaker died with their process: it is open, and they are due.
    this.#moveTo("open", "restored", at.nowMs);
    this.#manual = snapshot.manual;
    this.#trippedWallMs = Math.min(snapshot.trippedAt ?? at.wallMs, at.wallMs);
    const dueWallMs = snapshot.trippedUntil ?? this.#trippedWallMs + openDuration.baseMs;
    // No stored date may make the wait longer than a fresh trip's.
    this.#probeDueMs = Math.min(toNow(dueWallMs, at), at.nowMs + openDurationMsLongest);
  }

  /** Lets probes in at once, whatever it was: a person wants to know. */
  halfOpen(nowMs: number): void {
    this.#openings = Math.max(1, this.#openings);
    this.#startHalfOpen(nowMs);
  }

  #startHalfOpen(nowMs: number): void {
    const { halfOpenMaxProbes: slots, probeLeaseMs: leaseMs, halfOpenDeadlineMs } = this.#settings;
    this.#moveTo("half-open", "probe_due", nowMs);
    this.#probes = new Leases({ slots, leaseMs });
    this.#halfOpenDueMs = nowMs + halfOpenDeadlineMs;
  }

  /** Lets a probe in when one is due and a slot is free. */
  #probe(nowMs: number): Ticket {
    if (this.#manual) return REFUSED;
    // An episode that came to no verdict ended when it had to, whenever somebody notices.
    if (nowMs >= this.#halfOpenDueMs) this.#open("half_open_expired", this.#halfOpenDueMs);
    else if (this.#probes?.isExhausted === true) this.#open("half_open_expired", nowMs);
    if (this.#state === "open") {
      if (nowMs < this.#probeDueMs) return REFUSED;
      this.#startHalfOpen(nowMs);
    }
    const probe = this.#probes?.grant(nowMs) ?? 0;
    return probe === 0 ? REFUSED : this.#base + probe;
  }

  #pass(ramp: Ramp): Ticket {
    return ramp.admits() ? this.#ticket : REFUSED;
  }

  /** The episode's probes when the ticket is of one that holds a slot; the slot is then free. */
  #releaseProbe(ticket: Ticket): Leases | undefined {
    const probes = this.#probes;
    return probes?.release(ticket - this.#base) === true ? probes : undefined;
  }

  #countOk(latencyMs: number, nowMs: number): void {
    this.#successes += 1;
    this.#facts.noteOk(latencyMs, nowMs);
  }

  #countFailed({ message, retryAfterMs = 0 }: Failure, at: Instant): void {
    this.#failures += 1;
    this.#facts.lastFailureWallMs = at.wallMs;
    if (!this.#manual) this.#facts.lastError = message;
    // Not NaN, not negative; the longest of those that asked counts.
    if (!(retryAfterMs > 0)) return;
    const waitMs = Math.min(retryAfterMs, this.#settings.retryAfterMsMax);
    this.#retryAtMs = Math.max(this.#retryAtMs, at.nowMs + waitMs);
  }

  /** A success while closed or ramping. */
  #judgeOk(isSlow: boolean, latencyMs: number, nowMs: number, wallMs: number): void {
    this.#window.add(nowMs, false, isSlow);
    if (isSlow) {
      const evidence = trippingRule(this.#settings, this.#window, { isFailed: false, isSlow });
      if (evidence !== undefined) {
        this.#facts.lastError = slowText(latencyMs);
        this.#tripBy(evidence, nowMs, wallMs);
        return;
      }
    }
    if (this.#ramp !== undefined) this.#climb(this.#ramp, nowMs);
  }

  /** A failure while closed or ramping. */
  #judgeFailed(failure: Failure, latencyMs: number, at: Instant): void {
    if (failure.weightThousandths === 0) return;
    this.#countFailed(failure, at);
    const isSlow = isLatency(latencyMs) && latencyMs >= this.#settings.slowCallMs;
    this.#window.add(at.nowMs, true, isSlow);
    const evidence = trippingRule(this.#settings, this.#window, { isFailed: true, isSlow });
    if (evidence !== undefined) this.#tripBy(evidence, at.nowMs, at.wallMs);
  }

  #climb(ramp: Ramp, nowMs: number): void {
    ramp.countSuccess();
    // More traffic for an upstream that fails what it gets would only hurt it.
    if (!ramp.isStepDone(nowMs) || isUnhealthy(this.#settings, this.#window)) return;
    if (!ramp.advance(nowMs)) this.#moveTo("closed", "ramp_completed", nowMs);
  }

  #tripBy(evidence: TripEvidence, nowMs: number, wallMs: number): void {
    const { failures: failureCount } = this.#window;
    const isStable = nowMs - this.#sinceMs >= this.#settings.stableCloseMs;
    if (this.#state === "closed" && isStable) this.#openings = 0;
    this.#startTrip(evidence, true, nowMs, wallMs);
    this.#open(evidence.rule === "failure_ratio" ? "failures" : "slow_calls", nowMs);
    this.#announceTrip({
      type: "trip",
      manual: false,
      isNewTrip: true,
      failureCount,
      lastError: this.#facts.lastError ?? "",
      actor: SYSTEM,
      reason: wordsOf(evidence),
      evidence,
    });
  }

  #announceTrip(event: TripEvent): void {
    this.events.push(event);
  }

  #startTrip(
    evidence: TripEvidence | null,
    isNewTrip: boolean,
    nowMs: number,
    wallMs: number,
  ): void {
    if (isNewTrip) this.#tripCount += 1;
    this.#trippedNowMs = nowMs;
    this.#trippedWallMs = wallMs;
    this.#trippedBy = evidence;
  }

  /** Opens with a wait before the next probes, drawn and fixed here. */
  #open(cause: TransitionCause, nowMs: number): void {
    const { openDuration, openDurationJitter } = this.#settings;
    const grownMs = backoffMs(openDuration, this.#openings);
    const waitMs = jitteredMs(grownMs, openDurationJitter, this.#random);
    this.#probeDueMs = Math.max(nowMs + waitMs, this.#retryAtMs);
    this.#openings += 1;
    this.#moveTo("open", cause, nowMs);
  }

  #recover(latencyMs: number, nowMs: number): void {
    this.#moveTo(this.#settings.ramping ? "ramping" : "closed", "probe_succeeded", nowMs);
    if (this.#settings.ramping) this.#ramp = new Ramp(this.#settings, 0, nowMs);
    const { halfOpenSuccesses } = this.#settings;
    this.events.push({
      type: "recovery",
      latencyMs,
      actor: SYSTEM,
      reason: `${halfOpenSuccesses} ${halfOpenSuccesses === 1 ? "probe" : "probes"} succeeded`,
    });
  }

  #trippedAt(at: Instant): number {
    return Number.isNaN(this.#trippedWallMs) ? toWall(this.#trippedNowMs, at) : this.#trippedWallMs;
  }

  /** When a call that is refused now may be let in. */
  #dueMs(): number {
    if (this.#state === "open") return this.#probeDueMs;
    return this.#probes?.slotDueMs ?? this.#ramp?.stepDueMs ?? 0;
  }

  /** What was counted, granted or asked for in one state means nothing in the next. */
  #moveTo(to: SlidingWindowState, cause: TransitionCause, nowMs: number): void {
    const from = this.#state;
    this.#base += EPOCH_STEP;
    this.#state = to;
    this.#ticket = to === "closed" || to === "ramping" ? this.#base : NOBODYS;
    this.#window.clear();
    this.#probes = undefined;
    this.#ramp = undefined;
    this.#halfOpenDueMs = Number.POSITIVE_INFINITY;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.#manual = cause === "manual_trip";
    if (from === to) return;
    this.#sinceMs = nowMs;
    this.#stateChanges += 1;
    this.events.push({ type: "transition", from, to, cause });
  }
}

function slowText(latencyMs: number): string {
  return `a call took ${Math.round(latencyMs)} ms`;
}
