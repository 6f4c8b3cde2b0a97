// The adaptive breaker: judges one endpoint by its failures in a row, its share of successes and its
// health, and sets it aside in two steps, so that a bad spell is noticed before it is punished.
//
// The intuition: healthy → degraded is a mark, not a verdict. A degraded endpoint still takes calls,
// whoever has a choice just prefers others; its next results decide whether it heals or cools down.
// Five failures in a row mean little where calls often fail and much where they never do, so the
// threshold follows the error rate and its spread. After a cooldown a few canaries are let in. Enough
// successes lead back to degraded, never straight to healthy; too few to a cooldown twice as long.
//
// Calls of healthy and degraded times carry one epoch: a mark between two calls does not make the
// results of the first worthless. Cooling down, half-open, the way out of it and a reset each begin
// another. A ticket is the epoch times 2^20 plus the number of the canary, 0 for a call that is none.
//
// Nothing happens by the passing of time alone, nor by asking: state changes with results, and with
// the first caller after a cooldown. What it deliberately does not do: weigh failures. A failure of
// weight 0 is no evidence, any other is one failure.

import type { MachineEvent, TransitionCause } from "../../events.ts";
import { healthScore, SUCCESS_SHARE } from "./health-score.ts";
import { isLatency, type OutcomeKind } from "../../outcome.ts";
import type { Random } from "../../random.ts";
import { backoffMs, jitteredMs } from "../../retry/backoff.ts";
import { Ewma } from "../../window/ewma.ts";
import { LatencyWindow } from "../../window/latency-window.ts";
import { OutcomeWindow } from "../../window/outcome-window.ts";
import { Canaries } from "./canaries.ts";
import {
  adaptiveSettings,
  BACKOFF_ATTEMPT_MAX,
  COOLDOWN_JITTER,
  type AdaptiveOptions,
  type AdaptiveSettings,
} from "./options.ts";
import {
  ADAPTIVE_SAMPLES_MIN,
  adaptiveThreshold,
  RECOVERY_MIN,
  SUCCESS_RATE_MIN,
  wordsOfAdaptive,
} from "./rules.ts";
import type {
  AdaptiveSnapshot,
  AdaptiveState,
  AdaptiveStats,
  AdaptiveTripEvidence,
} from "./snapshot.ts";
import { toNow, toWall } from "../dates.ts";
import { CallFacts } from "../facts.ts";
import { LEASES_MAX } from "../leases.ts";
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

const EPOCH_STEP = LEASES_MAX + 1;

/** Stands where no call but canaries may have a ticket, and equals none. */
const NOBODYS: Ticket = -3;

/** Chance of those who were given none: the middle of every spread. */
const NO_CHANCE: Random = Object.freeze({ next: () => 0.5 });

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
  readonly kind = "adaptive";
  readonly savesEvidence = false;
  /** A success can trip it by its latency, but the date of that can wait until somebody looks. */
  readonly slowCallMs = Number.POSITIVE_INFINITY;
  readonly events: MachineEvent[] = [];
  readonly #settings: AdaptiveSettings;
  readonly #random: Random;

  #state: AdaptiveState = "healthy";
  /** The epoch times `EPOCH_STEP`. */
  #base = 0;
  /** The ticket of every call that is no canary; `NOBODYS` while such calls are turned away. */
  #ticket: Ticket = 0;
  #sinceMs: number;

  #consecutiveFailures = 0;
  readonly #outcomes = new OutcomeWindow();
  readonly #latencies = new LatencyWindow();
  readonly #errorRate: Ewma;

  /** Set while half-open. */
  #canaries: Canaries | undefined = undefined;
  /** Cooldowns in a row without a half-open time that passed. */
  #backoffAttempt = 0;
  /** When canaries are due; meaningful while tripped and not by hand. */
  #canaryDueMs = 0;
  /** The endpoint asked not to be called before. */
  #retryAtMs = Number.NEGATIVE_INFINITY;

  #manual = false;
  #tripCount = 0;
  #trippedNowMs = 0;
  /** NaN when the call that tripped it brought no date. */
  #trippedWallMs = Number.NaN;
  #trippedBy: AdaptiveTripEvidence | null = null;
  readonly #facts = new CallFacts();

  constructor(settings: AdaptiveSettings, { random, nowMs }: MachinePorts = {}) {
    this.#settings = settings;
    this.#random = random ?? NO_CHANCE;
    this.#sinceMs = nowMs ?? 0;
    this.#errorRate = new Ewma(settings.ewmaAlpha);
  }

  get state(): AdaptiveState {
    return this.#state;
  }

  get epoch(): number {
    return this.#base / EPOCH_STEP;
  }

  get isTripped(): boolean {
    return this.#ticket === NOBODYS;
  }

  get hasFailures(): boolean {
    return this.#state !== "healthy" || this.#outcomes.failures > 0;
  }

  get admitNeedsTime(): boolean {
    return this.isTripped && !this.#manual;
  }

  admit(nowMs: number): Ticket {
    return this.#ticket === NOBODYS ? this.#canary(nowMs) : this.#ticket;
  }

  /** What `admit` would do. A read: it takes no slot and changes no state. */
  wouldAdmit(nowMs: number): boolean {
    if (this.#ticket !== NOBODYS) return true;
    return !this.#manual && nowMs >= this.#dueMs();
  }

  /** Canaries that have not answered and whose lease is not over. */
  canariesUnderWay(nowMs: number): number {
    return this.#canaries?.leases.underWay(nowMs) ?? 0;
  }

  /** `wallMs` dates a trip by slowness; without it the trip is dated when somebody looks. */
  settleOk(ticket: Ticket, latencyMs: number, nowMs: number, wallMs = Number.NaN): boolean {
    if (ticket === this.#ticket) {
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
    if (ticket === this.#ticket) {
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
    if (this.#state === "cooling-down" && !this.#manual) this.#facts.lastError = failure.message;
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
    this.#startTrip(null, isNewTrip, at.nowMs, at.wallMs);
    this.#facts.lastError = order.reason;
    this.#startEpoch("cooling-down", "manual_trip", at.nowMs);
    this.events.push({
      type: "trip",
      manual: true,
      isNewTrip,
      failureCount: this.#consecutiveFailures,
      lastError: order.reason,
      actor: order.actor,
      reason: order.reason,
      evidence: null,
    });
  }

  /** Always accepted: there is no cooldown to keep. */
  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict {
    const { reason, actor } = order;
    this.#forget();
    // Even a healthy endpoint starts a new epoch: what was in flight belongs to the time before.
    this.#startEpoch("healthy", "reset", at.nowMs);
    this.#facts.noteReset(order, at);
    this.events.push({ type: "reset", forced: order.force, actor, reason });
    return { accepted: true };
  }

  get refusalReason(): MachineRefusal["reason"] {
    return this.#state === "half-open" ? "half_open_limit" : "tripped";
  }

  refusal(at: Instant): MachineRefusal {
    const waitMs = this.isTripped && !this.#manual ? Math.max(0, this.#dueMs() - at.nowMs) : 0;
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

  stats(): AdaptiveStats {
    const { kept, successes, successRate } = this.#outcomes;
    const canaries = this.#canaries;
    return {
      state: this.#state,
      consecutiveFailures: this.#consecutiveFailures,
      successRate,
      totalAttempts: kept,
      successfulAttempts: successes,
      adaptiveThreshold: this.#threshold,
      canaryProgress: canaries === undefined ? null : [canaries.successes, canaries.done],
      healthScore: this.#health,
      avgLatencyMs: this.#latencies.mean,
      latencyJitterMs: this.#latencies.jitter,
      ewmaErrorRate: this.#errorRate.value,
    };
  }

  snapshot(at: Instant): AdaptiveSnapshot {
    const { state, consecutiveFailures, avgLatencyMs, ...stats } = this.stats();
    const tripped = this.isTripped;
    return {
      version: 1,
      kind: "adaptive",
      state,
      stateChangedAt: toWall(this.#sinceMs, at),
      failureCount: consecutiveFailures,
      ...stats,
      backoffAttempt: this.#backoffAttempt,
      tripped,
      manual: this.#manual,
      tripCount: this.#tripCount,
      trippedAt: tripped ? this.#trippedAt(at) : null,
      trippedUntil: tripped && !this.#manual ? toWall(this.#canaryDueMs, at) : null,
      trippedBy: this.#trippedBy,
      ...this.#facts.stored(at),
      avgLatencyMs: this.#latencies.kept === 0 ? null : avgLatencyMs,
    };
  }

  /** Its values are validated first; see `restore.ts`. Evidence starts empty. */
  restore(snapshot: AdaptiveSnapshot, at: Instant): void {
    this.#tripCount = snapshot.tripCount;
    this.#facts.restore(snapshot, at);
    this.#trippedBy = snapshot.trippedBy;
    // Canaries of a half-open breaker died with their process: it cools down, and they are due.
    const closed = snapshot.state === "degraded" ? "degraded" : "healthy";
    const state = snapshot.tripped ? "cooling-down" : closed;
    if (state !== "healthy" || this.#state !== "healthy") {
      this.#forget();
      this.#startEpoch(state, "restored", at.nowMs);
    }
    this.#backoffAttempt = snapshot.tripped ? snapshot.backoffAttempt : 0;
    if (snapshot.tripped) this.#restoreTrip(snapshot, at);
    if (snapshot.stateChangedAt !== null) {
      this.#sinceMs = toNow(Math.min(snapshot.stateChangedAt, at.wallMs), at);
    }
  }

  #restoreTrip(snapshot: AdaptiveSnapshot, at: Instant): void {
    const { cooldown, cooldownMsLongest } = this.#settings;
    this.#manual = snapshot.manual;
    this.#trippedWallMs = Math.min(snapshot.trippedAt ?? at.wallMs, at.wallMs);
    const dueWallMs = snapshot.trippedUntil ?? this.#trippedWallMs + cooldown.baseMs;
    // No stored date may make the cooldown longer than a fresh one.
    this.#canaryDueMs = Math.min(toNow(dueWallMs, at), at.nowMs + cooldownMsLongest);
  }

  /** Lets a canary in when one is due and a slot is free. */
  #canary(nowMs: number): Ticket {
    if (this.#manual) return REFUSED;
    if (this.#state === "cooling-down") {
      if (nowMs < this.#canaryDueMs) return REFUSED;
      this.#startHalfOpen(nowMs);
    } else if (this.#canaries?.leases.isExhausted === true) this.#startHalfOpen(nowMs);
    const canary = this.#canaries?.leases.grant(nowMs) ?? 0;
    return canary === 0 ? REFUSED : this.#base + canary;
  }

  #startHalfOpen(nowMs: number): void {
    // Successes of before the trip would speak for an endpoint that has not answered since.
    this.#outcomes.clear();
    this.#startEpoch("half-open", "probe_due", nowMs);
    this.#canaries = new Canaries(this.#settings);
  }

  /** The episode's canaries when the ticket is of one that holds a slot; the slot is then free. */
  #releaseCanary(ticket: Ticket): Canaries | undefined {
    const canaries = this.#canaries;
    return canaries?.leases.release(ticket - this.#base) === true ? canaries : undefined;
  }

  #countOk(latencyMs: number, nowMs: number): void {
    this.#consecutiveFailures = 0;
    this.#outcomes.addOk();
    this.#errorRate.add(0);
    if (isLatency(latencyMs)) this.#latencies.add(latencyMs);
    this.#facts.lastSuccessMs = nowMs;
  }

  #countFailed({ message, retryAfterMs = 0 }: Failure, latencyMs: number, at: Instant): void {
    this.#consecutiveFailures += 1;
    this.#outcomes.addFailed();
    this.#errorRate.add(1);
    if (isLatency(latencyMs)) this.#latencies.add(latencyMs);
    this.#facts.lastFailureWallMs = at.wallMs;
    if (!this.#manual) this.#facts.lastError = message;
    // Not NaN, not negative; the longest of those that asked counts.
    if (!(retryAfterMs > 0)) return;
    const waitMs = Math.min(retryAfterMs, this.#settings.cooldown.maxMs);
    this.#retryAtMs = Math.max(this.#retryAtMs, at.nowMs + waitMs);
  }

  #judgeFailed(failure: Failure, latencyMs: number, at: Instant): void {
    if (failure.weightThousandths === 0) return;
    this.#countFailed(failure, latencyMs, at);
    if (!this.isTripped) this.#judge(at.nowMs, at.wallMs);
  }

  /** After a result while healthy or degraded: at most one transition. */
  #judge(nowMs: number, wallMs: number): void {
    if (this.#state === "healthy") {
      if (this.#isCritical) this.#moveTo("degraded", "health_score", nowMs);
      else if (this.#hasFailuresInRow(1)) this.#moveTo("degraded", "failures", nowMs);
      return;
    }
    const evidence = this.#trippingRule();
    if (evidence !== undefined) this.#tripBy(evidence, nowMs, wallMs);
    else if (
      this.#consecutiveFailures === 0 &&
      this.#outcomes.successRate > RECOVERY_MIN &&
      this.#health > RECOVERY_MIN
    ) {
      this.#moveTo("healthy", "recovered", nowMs);
    }
  }

  #trippingRule(): AdaptiveTripEvidence | undefined {
    const { sampleSize, minHealthScore } = this.#settings;
    const { kept, successRate } = this.#outcomes;
    if (this.#hasFailuresInRow(2)) {
      const [value, threshold] = [this.#consecutiveFailures, 2 * this.#threshold];
      return { rule: "consecutive_failures", value, threshold };
    }
    if (kept >= sampleSize && successRate < SUCCESS_RATE_MIN) {
      return { rule: "success_rate", value: successRate, threshold: SUCCESS_RATE_MIN };
    }
    return this.#isCritical
      ? { rule: "health_score", value: this.#health, threshold: minHealthScore }
      : undefined;
  }

  /** The threshold is at least 1, so a success needs none. */
  #hasFailuresInRow(times: number): boolean {
    const failures = this.#consecutiveFailures;
    return failures > 0 && failures >= times * this.#threshold;
  }

  get #threshold(): number {
    const { adaptive, failureThreshold, adaptiveFloor, adaptiveSensitivity } = this.#settings;
    const rate = this.#errorRate;
    if (!adaptive || rate.count < ADAPTIVE_SAMPLES_MIN) return failureThreshold;
    const margin = rate.value + adaptiveSensitivity * rate.deviation;
    return adaptiveThreshold(failureThreshold, adaptiveFloor, margin);
  }

  get #health(): number {
    const { mean, jitter } = this.#latencies;
    return healthScore(this.#outcomes.successRate, mean, jitter);
  }

  get #isCritical(): boolean {
    const { minHealthScore } = this.#settings;
    // Latencies can only add to it: mostly there is no need to look at them.
    if (SUCCESS_SHARE * this.#outcomes.successRate >= minHealthScore) return false;
    return this.#health < minHealthScore;
  }

  #judgeCanary(canaries: Canaries, isOk: boolean, latencyMs: number, nowMs: number): void {
    const verdict = canaries.count(isOk);
    if (verdict === "failed") this.#coolDown("probe_failed", nowMs);
    if (verdict !== "passed") return;
    const { successes, done } = canaries;
    this.#consecutiveFailures = 0;
    this.#backoffAttempt = 0;
    this.#startEpoch("degraded", "probe_succeeded", nowMs);
    this.events.push({
      type: "recovery",
      latencyMs,
      actor: SYSTEM,
      reason: `${successes} of ${done} canaries succeeded`,
    });
  }

  #tripBy(evidence: AdaptiveTripEvidence, nowMs: number, wallMs: number): void {
    this.#startTrip(evidence, true, nowMs, wallMs);
    this.#coolDown(CAUSES[evidence.rule], nowMs);
    this.events.push({
      type: "trip",
      manual: false,
      isNewTrip: true,
      failureCount: this.#consecutiveFailures,
      lastError: this.#facts.lastError ?? "",
      actor: SYSTEM,
      reason: wordsOfAdaptive(evidence),
      evidence,
    });
  }

  #startTrip(
    evidence: AdaptiveTripEvidence | null,
    isNewTrip: boolean,
    nowMs: number,
    wallMs: number,
  ): void {
    if (isNewTrip) this.#tripCount += 1;
    this.#trippedNowMs = nowMs;
    this.#trippedWallMs = wallMs;
    this.#trippedBy = evidence;
  }

  /** Cools down for a time that is drawn and fixed here. */
  #coolDown(cause: TransitionCause, nowMs: number): void {
    const { cooldown, legacyFirstBackoff } = this.#settings;
    const doublings = this.#backoffAttempt + (legacyFirstBackoff ? 1 : 0);
    const waitMs = jitteredMs(backoffMs(cooldown, doublings), COOLDOWN_JITTER, this.#random);
    this.#canaryDueMs = Math.max(nowMs + waitMs, this.#retryAtMs);
    this.#backoffAttempt = Math.min(this.#backoffAttempt + 1, BACKOFF_ATTEMPT_MAX);
    this.#startEpoch("cooling-down", cause, nowMs);
  }

  #trippedAt(at: Instant): number {
    return Number.isNaN(this.#trippedWallMs) ? toWall(this.#trippedNowMs, at) : this.#trippedWallMs;
  }

  /** When a call that is refused now may be let in. */
  #dueMs(): number {
    return this.#canaries?.leases.slotDueMs ?? this.#canaryDueMs;
  }

  /** All evidence; totals and dates stay. */
  #forget(): void {
    this.#consecutiveFailures = 0;
    this.#backoffAttempt = 0;
    this.#outcomes.clear();
    this.#latencies.clear();
    this.#errorRate.clear();
  }

  /** What was granted or asked for in one epoch means nothing in the next. */
  #startEpoch(to: AdaptiveState, cause: TransitionCause, nowMs: number): void {
    this.#base += EPOCH_STEP;
    this.#ticket = to === "healthy" || to === "degraded" ? this.#base : NOBODYS;
    this.#canaries = undefined;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.#manual = cause === "manual_trip";
    this.#moveTo(to, cause, nowMs);
  }

  #moveTo(to: AdaptiveState, cause: TransitionCause, nowMs: number): void {
    const from = this.#state;
    this.#state = to;
    if (from === to) return;
    this.#sinceMs = nowMs;
    this.events.push({ type: "transition", from, to, cause });
  }
}
