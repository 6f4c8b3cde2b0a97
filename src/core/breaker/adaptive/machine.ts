// The adaptive breaker: judges one endpoint by its failures in a row, its share of successes and its
// health, and sets it aside in two steps, so that a bad spell is noticed before it is punished.
//
// The intuition: healthy → degraded is a mark, not a verdict. A degraded endpoint still takes calls,
// whoever has a choice just prefers others; its next results decide whether it heals or cools down.
// After a cooldown a few canaries are let in. Enough successes lead back to degraded, never straight
// to healthy; too few to a cooldown twice as long.
//
// Calls of healthy and degraded times carry one epoch: a mark between two calls does not make the
// results of the first worthless. Cooling down, half-open, the way out of it and a reset each begin
// another.
//
// Nothing happens by the passing of time alone, nor by asking: state changes with results, and with
// the first caller after a cooldown. What it deliberately does not do: weigh failures. A failure of
// weight 0 is no evidence, any other is one failure.

import type { MachineEvent, TransitionCause } from "../../events.ts";
import type { OutcomeKind } from "../../outcome.ts";
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
import { Canaries } from "./canaries.ts";
import { EndpointEvidence } from "./evidence.ts";
import {
  adaptiveSettings,
  BACKOFF_ATTEMPT_MAX,
  COOLDOWN_JITTER,
  type AdaptiveOptions,
  type AdaptiveSettings,
} from "./options.ts";
import { wordsOfAdaptive } from "./rules.ts";
import type {
  AdaptiveSnapshot,
  AdaptiveState,
  AdaptiveStats,
  AdaptiveTripEvidence,
} from "./snapshot.ts";

const CAUSES = {
  consecutive_failures: "failures",
  success_rate: "low_success_rate",
  health_score: "health_score",
} as const satisfies Record<AdaptiveTripEvidence["rule"], TransitionCause>;

export type AdaptivePolicy = Omit<BreakerPolicy, "kind" | "createMachine"> & {
  readonly kind: "adaptive";
  /** Most canaries at once. */
  readonly canaryCount: number;
  createMachine(ports?: MachinePorts): AdaptiveMachine;
};

/**
 * A breaker for one endpoint of several, with a threshold that follows the error rate. Throws
 * `InvalidOptionsError` with every fault listed.
 * @example createBreaker("rpc-eu", adaptive({ failureThreshold: 5, cooldownMs: 30_000 }))
 */
export function adaptive(options: AdaptiveOptions = {}): AdaptivePolicy {
  const settings = adaptiveSettings(options);
  return Object.freeze({
    kind: "adaptive",
    failureWeightThousandths: 1000,
    timeoutWeightThousandths: 1000,
    failureThreshold: settings.failureThreshold,
    cooldownMs: 0,
    canaryCount: settings.canaryCount,
    createMachine: (ports?: MachinePorts) => new AdaptiveMachine(settings, ports),
  });
}

export class AdaptiveMachine implements BreakerMachine<AdaptiveSnapshot> {
  readonly events: MachineEvent[];
  readonly #settings: AdaptiveSettings;
  readonly #standing: Standing<AdaptiveState, AdaptiveTripEvidence>;
  readonly #facts: CallFacts;
  readonly #evidence: EndpointEvidence;

  /** Set while half-open. */
  #canaries: Canaries | undefined = undefined;
  /** Cooldowns in a row without a half-open time that passed. */
  #backoffAttempt = 0;

  constructor(settings: AdaptiveSettings, ports: MachinePorts = {}) {
    this.#settings = settings;
    this.#standing = new Standing<AdaptiveState, AdaptiveTripEvidence>("healthy", ports);
    this.#facts = this.#standing.facts;
    this.events = this.#standing.events;
    this.#evidence = new EndpointEvidence(settings);
  }

  get kind(): "adaptive" {
    return "adaptive";
  }

  get savesEvidence(): boolean {
    return false;
  }

  /** A success can trip it by its latency, but the date of that can wait until somebody looks. */
  get slowCallMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  get state(): AdaptiveState {
    return this.#standing.state;
  }

  get epoch(): number {
    return this.#standing.epoch;
  }

  get isTripped(): boolean {
    return this.#standing.isTripped;
  }

  get hasFailures(): boolean {
    return this.state !== "healthy" || this.#evidence.failures > 0;
  }

  get admitNeedsTime(): boolean {
    const standing = this.#standing;
    return standing.isTripped && !standing.isManual;
  }

  admit(nowMs: number): Ticket {
    const standing = this.#standing;
    return standing.isTripped ? this.#canary(nowMs) : standing.ticket;
  }

  /** What `admit` would do. A read: it takes no slot and changes no state. */
  wouldAdmit(nowMs: number): boolean {
    return !this.isTripped || nowMs >= this.#dueMs();
  }

  /** Canaries that have not answered and whose lease is not over. */
  canariesUnderWay(nowMs: number): number {
    return this.#canaries?.leases.underWay(nowMs) ?? 0;
  }

  /** `wallMs` dates a trip by slowness; without it the trip is dated when somebody looks. */
  settleOk(ticket: Ticket, latencyMs: number, nowMs: number, wallMs = Number.NaN): boolean {
    if (ticket === this.#standing.ticket) {
      this.#countOk(latencyMs, nowMs);
      this.#judge(nowMs, wallMs);
      return true;
    }
    const canaries = this.#releaseCanary(ticket);
    if (canaries === undefined) return false;
    this.#countOk(latencyMs, nowMs);
    this.#judgeCanary(canaries, true, latencyMs, nowMs);
    return true;
  }

  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, at: Instant): boolean {
    if (ticket === this.#standing.ticket) {
      this.#judgeFailed(failure, latencyMs, at);
      return true;
    }
    const canaries = this.#releaseCanary(ticket);
    if (canaries !== undefined) {
      if (failure.weightThousandths === 0) return true;
      this.#countFailed(failure, latencyMs, at);
      this.#judgeCanary(canaries, false, latencyMs, at.nowMs);
      return true;
    }
    // A straggler of the era that tripped: its words are news, its vote is not.
    const isNews = this.state === "cooling-down" && !this.#standing.isManual;
    if (isNews) this.#facts.lastError = failure.message;
    return false;
  }

  /** A canary's slot is free again; no vote was cast. */
  settleIgnored(ticket: Ticket, _nowMs: number): void {
    this.#releaseCanary(ticket);
  }

  /** While tripped it is counted, but only canaries decide. */
  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void {
    if (outcome === "ok") {
      this.#countOk(latencyMs, at.nowMs);
      if (!this.isTripped) this.#judge(at.nowMs, at.wallMs);
    }
    if (outcome === "failed" && failure !== undefined) this.#judgeFailed(failure, latencyMs, at);
  }

  trip(order: OperatorOrder, at: Instant): void {
    const isNewTrip = !this.isTripped;
    const { consecutiveFailures: failureCount } = this.#evidence;
    this.#startEpoch("cooling-down", "manual_trip", at.nowMs);
    this.#standing.noteOrder(order, { isNewTrip, failureCount }, at);
  }

  /** Always accepted: there is no cooldown to keep. */
  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict {
    this.#forget();
    // Even a healthy endpoint starts a new epoch: what was in flight belongs to the time before.
    this.#startEpoch("healthy", "reset", at.nowMs);
    this.#facts.noteReset(order, at);
    this.events.push(resetBy(order));
    return { accepted: true };
  }

  get refusalReason(): MachineRefusal["reason"] {
    return this.#standing.state === "half-open" ? "half_open_limit" : "tripped";
  }

  refusal(at: Instant): MachineRefusal {
    const dueMs = this.isTripped ? this.#dueMs() : at.nowMs;
    return this.#standing.refusal(this.refusalReason, dueMs, at);
  }

  cooldownRemainingMs(_at: Instant): number {
    return 0;
  }

  stats(): AdaptiveStats {
    const canaries = this.#canaries;
    return {
      state: this.state,
      ...this.#evidence.stats(),
      canaryProgress: canaries === undefined ? null : [canaries.successes, canaries.done],
    };
  }

  snapshot(at: Instant): AdaptiveSnapshot {
    const { consecutiveFailures, avgLatencyMs: _unknownIsZero, ...stats } = this.stats();
    return {
      version: 1,
      kind: "adaptive",
      ...this.#standing.stored(at),
      failureCount: consecutiveFailures,
      ...stats,
      backoffAttempt: this.#backoffAttempt,
      ...this.#facts.stored(at),
      avgLatencyMs: this.#evidence.avgLatencyMs,
    };
  }

  /** Its values are validated first; see `restore.ts`. Evidence starts empty. */
  restore(snapshot: AdaptiveSnapshot, at: Instant): void {
    const { cooldown, cooldownMsLongest } = this.#settings;
    // Canaries of a half-open breaker died with their process: it cools down, and they are due.
    const closed = snapshot.state === "degraded" ? "degraded" : "healthy";
    const state = snapshot.tripped ? "cooling-down" : closed;
    if (state !== "healthy" || this.state !== "healthy") {
      this.#forget();
      this.#startEpoch(state, "restored", at.nowMs);
    }
    // A person's reset may come from a row that tripped again by itself since: the waits begin anew.
    this.#backoffAttempt = snapshot.tripped ? snapshot.backoffAttempt : 0;
    const wait = { ms: cooldown.baseMs, msMax: cooldownMsLongest };
    this.#standing.restore(snapshot, wait, at);
  }

  restoreReset(reset: StoredReset): void {
    this.#facts.restoreReset(reset);
  }

  postpone(byMs: number, nowMs: number): void {
    this.#standing.postpone(byMs, nowMs);
  }

  /** Lets a canary in when one is due and a slot is free. */
  #canary(nowMs: number): Ticket {
    const standing = this.#standing;
    if (standing.state === "cooling-down") {
      if (nowMs < standing.dueMs) return REFUSED;
      this.#startHalfOpen(nowMs);
    } else if (this.#canaries?.leases.isExhausted === true) this.#startHalfOpen(nowMs);
    return standing.ticketOf(this.#canaries?.leases.grant(nowMs) ?? 0);
  }

  #startHalfOpen(nowMs: number): void {
    // Successes of before the trip would speak for an endpoint that has not answered since.
    this.#evidence.forgetOutcomes();
    this.#startEpoch("half-open", "probe_due", nowMs);
    this.#canaries = new Canaries(this.#settings);
  }

  /** The episode's canaries when the ticket is of one that holds a slot; the slot is then free. */
  #releaseCanary(ticket: Ticket): Canaries | undefined {
    const canaries = this.#canaries;
    const lease = this.#standing.leaseOf(ticket);
    return canaries?.leases.release(lease) === true ? canaries : undefined;
  }

  #countOk(latencyMs: number, nowMs: number): void {
    this.#evidence.countOk(latencyMs);
    this.#facts.lastSuccessMs = nowMs;
  }

  #countFailed(failure: Failure, latencyMs: number, at: Instant): void {
    this.#evidence.countFailed(latencyMs);
    this.#standing.noteFailed(failure, this.#settings.cooldown.maxMs, at);
  }

  #judgeFailed(failure: Failure, latencyMs: number, at: Instant): void {
    if (failure.weightThousandths === 0) return;
    this.#countFailed(failure, latencyMs, at);
    if (!this.isTripped) this.#judge(at.nowMs, at.wallMs);
  }

  /** After a result while healthy or degraded: at most one transition. */
  #judge(nowMs: number, wallMs: number): void {
    const evidence = this.#evidence;
    if (this.#standing.state === "healthy") {
      if (evidence.isCritical) this.#standing.moveTo("degraded", "health_score", nowMs);
      else if (evidence.hasFailuresInRow(1)) this.#standing.moveTo("degraded", "failures", nowMs);
      return;
    }
    const trip = evidence.trippingRule();
    if (trip !== undefined) this.#tripBy(trip, nowMs, wallMs);
    else if (evidence.isWell) this.#standing.moveTo("healthy", "recovered", nowMs);
  }

  #judgeCanary(canaries: Canaries, isOk: boolean, latencyMs: number, nowMs: number): void {
    const verdict = canaries.count(isOk);
    if (verdict === "failed") this.#coolDown("probe_failed", nowMs);
    if (verdict !== "passed") return;
    this.#evidence.endRow();
    this.#backoffAttempt = 0;
    this.#startEpoch("degraded", "probe_succeeded", nowMs);
    const { successes, done } = canaries;
    this.events.push(recovered(latencyMs, `${successes} of ${done} canaries succeeded`));
  }

  #tripBy(evidence: AdaptiveTripEvidence, nowMs: number, wallMs: number): void {
    const { consecutiveFailures: failureCount } = this.#evidence;
    this.#coolDown(CAUSES[evidence.rule], nowMs);
    const reason = wordsOfAdaptive(evidence);
    this.#standing.noteTrip({ evidence, failureCount, reason }, nowMs, wallMs);
  }

  #coolDown(cause: TransitionCause, nowMs: number): void {
    const { cooldown: growth, legacyFirstBackoff } = this.#settings;
    const step = this.#backoffAttempt + (legacyFirstBackoff ? 1 : 0);
    this.#standing.startWait({ growth, step, jitter: COOLDOWN_JITTER }, nowMs);
    this.#backoffAttempt = Math.min(this.#backoffAttempt + 1, BACKOFF_ATTEMPT_MAX);
    this.#startEpoch("cooling-down", cause, nowMs);
  }

  /** When a call that is refused now may be let in. */
  #dueMs(): number {
    return this.#canaries?.leases.slotDueMs ?? this.#standing.dueMs;
  }

  /** All evidence; totals and dates stay. */
  #forget(): void {
    this.#evidence.forget();
    this.#backoffAttempt = 0;
  }

  /** What was granted in one epoch means nothing in the next. */
  #startEpoch(to: AdaptiveState, cause: TransitionCause, nowMs: number): void {
    this.#canaries = undefined;
    const isTripped = to === "cooling-down" || to === "half-open";
    this.#standing.startEpoch(to, isTripped, cause, nowMs);
  }
}
