// The sliding-window breaker: trips when too large a share of the recent calls failed, or was slow,
// and finds out by itself whether the upstream is back.
//
// The intuition: a busy upstream that fails every third call never fails ten times in a row, so a
// count that a success zeroes does not see it. A share of the last hundred calls, none older than a
// minute, does; too few calls are no share. After a wait a few probes are let in. Enough successes
// close it, one failure opens it again, and where asked for the wait grows, is spread by chance,
// lasts at least as long as the upstream's own `Retry-After`, and full traffic returns in steps.
//
// Every transition starts from zero: window, probes and ramp belong to one state of one epoch.
//
// Nothing happens by the passing of time alone: what is due happens when somebody asks to be let
// in. What it deliberately does not do: weigh failures. A share has no weights; a failure of weight
// 0 is no evidence, any other is one failure.

import type { MachineEvent, TransitionCause } from "../../events.ts";
import { isLatency, type OutcomeKind } from "../../outcome.ts";
import { CallWindow } from "../../window/call-window.ts";
import { recovered, resetBy } from "../events.ts";
import type { CallFacts } from "../facts.ts";
import {
  REFUSED,
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
import { Standing } from "../standing.ts";
import type { StoredReset } from "../stored.ts";
import { slidingWindowMetrics, type SlidingWindowMetrics } from "./metrics.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
  type SlidingWindowSettings,
} from "./options.ts";
import { Probes } from "./probes.ts";
import { Ramp } from "./ramp.ts";
import { isUnhealthy, trippingRule, wordsOf } from "./rules.ts";
import type { SlidingWindowSnapshot, SlidingWindowState, TripEvidence } from "./snapshot.ts";

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
  readonly events: MachineEvent[];
  readonly #settings: SlidingWindowSettings;
  readonly #standing: Standing<SlidingWindowState, TripEvidence>;
  readonly #facts: CallFacts;
  readonly #window: CallWindow;

  /** Set while half-open and while ramping, respectively. */
  #probes: Probes | undefined = undefined;
  #ramp: Ramp | undefined = undefined;
  /** Openings since it last stayed closed. */
  #openings = 0;

  /** Totals of this process. */
  #successes = 0;
  #failures = 0;
  #rejected = 0;
  #stateChanges = 0;

  constructor(settings: SlidingWindowSettings, ports: MachinePorts = {}) {
    this.#settings = settings;
    this.#standing = new Standing<SlidingWindowState, TripEvidence>("closed", ports);
    this.#facts = this.#standing.facts;
    this.events = this.#standing.events;
    this.#window = new CallWindow({
      sizeMax: settings.windowSize,
      durationMs: settings.windowDurationMs,
    });
  }

  get kind(): "sliding-window" {
    return "sliding-window";
  }

  get savesEvidence(): boolean {
    return false;
  }

  get state(): SlidingWindowState {
    return this.#standing.state;
  }

  get epoch(): number {
    return this.#standing.epoch;
  }

  /** A ramp turns some calls away, and is no trip: what it lets in are ordinary calls. */
  get isTripped(): boolean {
    return this.#standing.isTripped;
  }

  /** As of the last call: a getter has no clock to see that they have grown old. */
  get hasFailures(): boolean {
    return this.state !== "closed" || this.#window.failures > 0 || this.#window.slow > 0;
  }

  get admitNeedsTime(): boolean {
    const standing = this.#standing;
    return standing.isTripped && !standing.isManual;
  }

  /** From which latency `settleOk` is in need of a date, since the call may trip it. */
  get slowCallMs(): number {
    return this.#settings.slowCallMs;
  }

  admit(nowMs: number): Ticket {
    const standing = this.#standing;
    if (standing.state === "closed") return standing.ticket;
    const ticket = this.#ramp === undefined ? this.#probe(nowMs) : this.#pass(this.#ramp);
    if (ticket === REFUSED) this.#rejected += 1;
    return ticket;
  }

  /** `wallMs` dates a trip by slowness; without it the trip is dated when somebody looks. */
  settleOk(ticket: Ticket, latencyMs: number, nowMs: number, wallMs = Number.NaN): boolean {
    if (ticket === this.#standing.ticket) {
      this.#countOk(latencyMs, nowMs);
      this.#judgeOk(latencyMs, nowMs, wallMs);
      return true;
    }
    const probes = this.#releaseProbe(ticket);
    if (probes === undefined) return false;
    this.#countOk(latencyMs, nowMs);
    if (this.#isSlow(latencyMs)) {
      this.#facts.lastError = slowText(latencyMs);
      this.#open("probe_failed", nowMs);
      return true;
    }
    if (probes.countSuccess()) this.#recover(latencyMs, nowMs);
    return true;
  }

  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, at: Instant): boolean {
    if (ticket === this.#standing.ticket) {
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
    if (this.state === "open" && !this.#standing.isManual) this.#facts.lastError = failure.message;
    return false;
  }

  /** A probe's slot is free again; no vote was cast. */
  settleIgnored(ticket: Ticket, _nowMs: number): void {
    this.#releaseProbe(ticket);
  }

  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void {
    if (outcome === "ok") {
      this.#countOk(latencyMs, at.nowMs);
      if (!this.isTripped) this.#judgeOk(latencyMs, at.nowMs, at.wallMs);
    }
    if (outcome !== "failed" || failure === undefined) return;
    if (!this.isTripped) this.#judgeFailed(failure, latencyMs, at);
    else if (failure.weightThousandths > 0) this.#countFailed(failure, at);
  }

  trip(order: OperatorOrder, at: Instant): void {
    const isNewTrip = !this.isTripped;
    const { failures: failureCount } = this.#window.countsAt(at.nowMs);
    this.#startEpoch("open", "manual_trip", at.nowMs);
    this.#standing.noteOrder(order, { isNewTrip, failureCount }, at);
  }

  /** Always accepted: there is no cooldown to keep. */
  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict {
    // Even a closed breaker starts a new epoch: what was in flight belongs to the time before.
    this.#startEpoch("closed", "reset", at.nowMs);
    this.#openings = 0;
    this.#facts.noteReset(order, at);
    this.events.push(resetBy(order));
    return { accepted: true };
  }

  get refusalReason(): MachineRefusal["reason"] {
    const { state } = this.#standing;
    if (state === "half-open") return "half_open_limit";
    return state === "ramping" ? "ramping" : "tripped";
  }

  refusal(at: Instant): MachineRefusal {
    return this.#standing.refusal(this.refusalReason, this.#dueMs(), at);
  }

  cooldownRemainingMs(_at: Instant): number {
    return 0;
  }

  metrics(at: Instant): SlidingWindowMetrics {
    const { state, sinceMs, dueMs, isManual } = this.#standing;
    const waitMs = state === "open" ? Math.max(0, dueMs - at.nowMs) : 0;
    return slidingWindowMetrics({
      state,
      successes: this.#successes,
      failures: this.#failures,
      rejected: this.#rejected,
      stateChanges: this.#stateChanges,
      inStateMs: at.nowMs - sinceMs,
      waitMs: isManual ? undefined : waitMs,
      window: this.#window.countsAt(at.nowMs),
    });
  }

  snapshot(at: Instant): SlidingWindowSnapshot {
    const { calls, failures, slow } = this.#window.countsAt(at.nowMs);
    return {
      version: 1,
      kind: "sliding-window",
      ...this.#standing.stored(at),
      recentCalls: calls,
      failureCount: failures,
      slowCount: slow,
      openings: this.#openings,
      rampStep: this.#ramp?.step ?? 0,
      ...this.#facts.stored(at),
    };
  }

  /** Its values are validated first; see `restore.ts`. The window starts empty. */
  restore(snapshot: SlidingWindowSnapshot, at: Instant): void {
    const { openDuration, openDurationMsLongest } = this.#settings;
    this.#openings = snapshot.openings;
    this.#restoreState(snapshot, at.nowMs);
    const wait = { ms: openDuration.baseMs, msMax: openDurationMsLongest };
    this.#standing.restore(snapshot, wait, at);
  }

  restoreReset(reset: StoredReset): void {
    this.#facts.restoreReset(reset);
  }

  postpone(byMs: number, nowMs: number): void {
    this.#standing.postpone(byMs, nowMs);
  }

  #restoreState({ tripped, state, rampStep }: SlidingWindowSnapshot, nowMs: number): void {
    // The probes of a half-open breaker died with their process: it is open, and they are due.
    if (tripped) this.#startEpoch("open", "restored", nowMs);
    else if (state === "ramping" && this.#settings.ramping) {
      this.#startRamp(rampStep, "restored", nowMs);
    } else if (this.state !== "closed") this.#startEpoch("closed", "restored", nowMs);
  }

  /** Lets probes in at once, whatever it was: a person wants to know. */
  halfOpen(nowMs: number): void {
    this.#openings = Math.max(1, this.#openings);
    this.#startHalfOpen(nowMs);
  }

  /** Lets a probe in when one is due and a slot is free. */
  #probe(nowMs: number): Ticket {
    const standing = this.#standing;
    if (this.#probes !== undefined) this.#endEpisode(this.#probes, nowMs);
    if (standing.state === "open") {
      if (nowMs < standing.dueMs) return REFUSED;
      this.#startHalfOpen(nowMs);
    }
    return standing.ticketOf(this.#probes?.leases.grant(nowMs) ?? 0);
  }

  /** An episode that came to no verdict ended when it had to, whenever somebody notices. */
  #endEpisode(probes: Probes, nowMs: number): void {
    if (nowMs >= probes.dueMs) this.#open("half_open_expired", probes.dueMs);
    else if (probes.leases.isExhausted) this.#open("half_open_expired", nowMs);
  }

  #pass(ramp: Ramp): Ticket {
    return ramp.admits() ? this.#standing.ticket : REFUSED;
  }

  /** The episode's probes when the ticket is of one that holds a slot; the slot is then free. */
  #releaseProbe(ticket: Ticket): Probes | undefined {
    const probes = this.#probes;
    const lease = this.#standing.leaseOf(ticket);
    return probes?.leases.release(lease) === true ? probes : undefined;
  }

  #isSlow(latencyMs: number): boolean {
    return latencyMs >= this.#settings.slowCallMs && isLatency(latencyMs);
  }

  #countOk(latencyMs: number, nowMs: number): void {
    this.#successes += 1;
    this.#facts.noteOk(latencyMs, nowMs);
  }

  #countFailed(failure: Failure, at: Instant): void {
    this.#failures += 1;
    this.#standing.noteFailed(failure, this.#settings.retryAfterMsMax, at);
  }

  /** A success while closed or ramping. */
  #judgeOk(latencyMs: number, nowMs: number, wallMs: number): void {
    const isSlow = this.#isSlow(latencyMs);
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
    const isSlow = this.#isSlow(latencyMs);
    this.#window.add(at.nowMs, true, isSlow);
    const evidence = trippingRule(this.#settings, this.#window, { isFailed: true, isSlow });
    if (evidence !== undefined) this.#tripBy(evidence, at.nowMs, at.wallMs);
  }

  #climb(ramp: Ramp, nowMs: number): void {
    ramp.countSuccess();
    // More traffic for an upstream that fails what it gets would only hurt it.
    if (!ramp.isStepDone(nowMs) || isUnhealthy(this.#settings, this.#window)) return;
    if (!ramp.advance(nowMs)) this.#startEpoch("closed", "ramp_completed", nowMs);
  }

  #tripBy(evidence: TripEvidence, nowMs: number, wallMs: number): void {
    const { failures: failureCount } = this.#window;
    const isStable = nowMs - this.#standing.sinceMs >= this.#settings.stableCloseMs;
    if (this.state === "closed" && isStable) this.#openings = 0;
    this.#open(evidence.rule === "failure_ratio" ? "failures" : "slow_calls", nowMs);
    const reason = wordsOf(evidence);
    this.#standing.noteTrip({ evidence, failureCount, reason }, nowMs, wallMs);
  }

  #open(cause: TransitionCause, nowMs: number): void {
    const { openDuration: growth, openDurationJitter: jitter } = this.#settings;
    this.#standing.startWait({ growth, step: this.#openings, jitter }, nowMs);
    this.#openings += 1;
    this.#startEpoch("open", cause, nowMs);
  }

  #startHalfOpen(nowMs: number): void {
    this.#startEpoch("half-open", "probe_due", nowMs);
    this.#probes = new Probes(this.#settings, nowMs);
  }

  #recover(latencyMs: number, nowMs: number): void {
    const { halfOpenSuccesses, ramping } = this.#settings;
    if (ramping) this.#startRamp(0, "probe_succeeded", nowMs);
    else this.#startEpoch("closed", "probe_succeeded", nowMs);
    const probes = halfOpenSuccesses === 1 ? "probe" : "probes";
    this.events.push(recovered(latencyMs, `${halfOpenSuccesses} ${probes} succeeded`));
  }

  #startRamp(step: number, cause: TransitionCause, nowMs: number): void {
    this.#startEpoch("ramping", cause, nowMs);
    this.#ramp = new Ramp(this.#settings, step, nowMs);
  }

  /** When a call that is refused now may be let in. */
  #dueMs(): number {
    if (this.state === "open") return this.#standing.dueMs;
    return this.#probes?.leases.slotDueMs ?? this.#ramp?.stepDueMs ?? 0;
  }

  /** What was counted or granted in one state means nothing in the next. */
  #startEpoch(to: SlidingWindowState, cause: TransitionCause, nowMs: number): void {
    if (to !== this.state) this.#stateChanges += 1;
    this.#window.clear();
    this.#probes = undefined;
    this.#ramp = undefined;
    const isTripped = to === "open" || to === "half-open";
    this.#standing.startEpoch(to, isTripped, cause, nowMs);
  }
}

function slowText(latencyMs: number): string {
  return `a call took ${Math.round(latencyMs)} ms`;
}
