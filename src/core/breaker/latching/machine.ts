// The latching breaker: counts weighted failures, trips at a threshold, and stays tripped until a
// person resets it.
//
// The intuition: a bookmaker that fails ten times without one success in between is not having a
// bad second, and odds that nobody looked at are worse than no odds. So there is no decay and no
// window: the count falls on a success or a reset only. A tenth failure trips (`>=`), time never
// does anything by itself, and a reset inside the cooldown needs force, so that five people on a
// call do not reset it five times.
//
// With `recovery: "single-probe"` one call is let through once `resetTimeoutMs` has passed since
// the trip, or since the last failed probe. Its success closes the breaker; anything else re-arms
// the wait. A trip by hand is never probed: a maintenance window is not to be tested.
//
// What it deliberately does not do: notice an upstream that fails nine calls in ten. One success
// zeroes the count. The sliding window is the machine for that.

import type { MachineEvent, TransitionCause } from "../../events.ts";
import { fromThousandths, toThousandths, type OutcomeKind } from "../../outcome.ts";
import { toNow, toWall } from "../dates.ts";
import { recovered, resetBy, trippedByHand, trippedByRule } from "../events.ts";
import { CallFacts } from "../facts.ts";
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
import { latchingSettings, type LatchingOptions, type LatchingSettings } from "./options.ts";
import type { LatchingSnapshot } from "../snapshot.ts";
import type { StoredReset } from "../stored.ts";

/** Closed and tripped breakers hand out even tickets, the single probe an odd one. */
const PROBE = 1;
const EPOCH_STEP = 2;

type State = "closed" | "open" | "half-open";

/**
 * A breaker that a person must reset. Throws `InvalidOptionsError` with every fault listed.
 * @example createBreaker("draftkings", latching({ failureThreshold: 10, cooldownMs: 60_000 }))
 */
export function latching(options: LatchingOptions = {}): BreakerPolicy {
  const settings = latchingSettings(options);
  return Object.freeze({
    kind: "latching",
    failureWeightThousandths: settings.failureWeightThousandths,
    timeoutWeightThousandths: settings.timeoutWeightThousandths,
    failureThreshold: fromThousandths(settings.thresholdThousandths),
    cooldownMs: settings.cooldownMs,
    createMachine: (ports?: MachinePorts) => new LatchingMachine(settings, ports),
  });
}

export class LatchingMachine implements BreakerMachine {
  readonly events: MachineEvent[] = [];
  readonly #settings: LatchingSettings;

  #state: State = "closed";
  /** The epoch times two: a closed call's ticket, ready to hand out. */
  #ticket = 0;
  #failureThousandths = 0;
  #tripCount = 0;
  #manual = false;
  #trippedNowMs = 0;
  #trippedWallMs = 0;
  /** When the next probe is due; meaningful while open under single-probe recovery. */
  #probeDueMs = Number.POSITIVE_INFINITY;
  /** When the running probe loses its right; meaningful while half-open. */
  #leaseDueMs = 0;
  readonly #facts = new CallFacts();

  constructor(settings: LatchingSettings, { epoch = 0 }: MachinePorts = {}) {
    this.#settings = settings;
    this.#ticket = epoch * EPOCH_STEP;
  }

  get kind(): "latching" {
    return "latching";
  }

  get savesEvidence(): boolean {
    return true;
  }

  get slowCallMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  get refusalReason(): "tripped" {
    return "tripped";
  }

  get state(): State {
    return this.#state;
  }

  get epoch(): number {
    return this.#ticket / EPOCH_STEP;
  }

  get isTripped(): boolean {
    return this.#state !== "closed";
  }

  get hasFailures(): boolean {
    return this.#failureThousandths > 0 || this.#state !== "closed";
  }

  get admitNeedsTime(): boolean {
    return this.#state !== "closed" && !this.#isManualOnly();
  }

  admit(nowMs: number): Ticket {
    if (this.#state === "closed") return this.#ticket;
    if (this.#state === "half-open" && nowMs >= this.#leaseDueMs) {
      // A probe that never came back must not keep the slot: nobody else would ever be let in.
      this.#rearm("probe_lease_expired", this.#leaseDueMs);
    }
    if (this.#state === "half-open" || nowMs < this.#probeDueMs) return REFUSED;
    this.#moveTo("half-open", "probe_due");
    this.#leaseDueMs = nowMs + this.#settings.probeLeaseMs;
    return this.#ticket + PROBE;
  }

  settleOk(ticket: Ticket, latencyMs: number, nowMs: number): boolean {
    if (ticket === this.#ticket) {
      this.#recordOk(latencyMs, nowMs);
      return true;
    }
    return ticket === this.#ticket + PROBE && this.#closeByProbe(latencyMs, nowMs);
  }

  #closeByProbe(latencyMs: number, nowMs: number): boolean {
    this.#recordOk(latencyMs, nowMs);
    this.#moveTo("closed", "probe_succeeded");
    this.events.push(recovered(latencyMs, "the single probe succeeded"));
    return true;
  }

  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, at: Instant): boolean {
    if (ticket === this.#ticket) {
      this.#recordFailed(failure, at);
      return true;
    }
    if (ticket === this.#ticket + PROBE) {
      this.#facts.lastError = failure.message;
      this.#facts.lastFailureWallMs = at.wallMs;
      this.#rearm("probe_failed", at.nowMs);
      return true;
    }
    // A straggler of the era that tripped: its words are news, its vote is not.
    if (this.#state === "open" && !this.#manual) this.#facts.lastError = failure.message;
    return false;
  }

  settleIgnored(ticket: Ticket, nowMs: number): void {
    if (ticket !== this.#ticket + PROBE) return;
    // The probe's caller went away: no vote was cast, so the next call may probe at once.
    this.#moveTo("open", "probe_ignored");
    this.#probeDueMs = nowMs;
  }

  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void {
    if (outcome === "ok") this.#recordOk(latencyMs, at.nowMs);
    if (failure === undefined) return;
    if (this.#state === "closed") this.#recordFailed(failure, at);
    else if (!this.#manual) this.#facts.lastError = failure.message;
  }

  trip(order: OperatorOrder, at: Instant): void {
    const isNewTrip = this.#state === "closed";
    if (isNewTrip) this.#tripCount += 1;
    this.#manual = true;
    this.#probeDueMs = Number.POSITIVE_INFINITY;
    this.#startTrip(at);
    this.#facts.lastError = order.reason;
    // Old tools measure the cooldown from the last failure; they must not find none.
    if (Number.isNaN(this.#facts.lastFailureWallMs)) this.#facts.lastFailureWallMs = at.wallMs;
    this.#moveTo("open", "manual_trip");
    const failureCount = fromThousandths(this.#failureThousandths);
    this.events.push(trippedByHand(order, { isNewTrip, failureCount }));
  }

  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict {
    const remainingMs = this.cooldownRemainingMs(at);
    if (remainingMs > 0 && !order.force) {
      const { reason, actor } = order;
      this.events.push({ type: "reset-denied", remainingMs, actor, reason });
      return { accepted: false, remainingMs };
    }
    // Even a closed breaker starts a new epoch: what was in flight belongs to the time before.
    this.#moveTo("closed", "reset");
    this.#failureThousandths = 0;
    this.#manual = false;
    this.#facts.noteReset(order, at);
    this.events.push(resetBy(order));
    return { accepted: true };
  }

  refusal(at: Instant): MachineRefusal {
    const isManualOnly = this.#isManualOnly();
    // While a probe runs its lease bounds the wait, since nobody knows when it will answer.
    const dueMs = this.#state === "half-open" ? this.#leaseDueMs : this.#probeDueMs;
    const waitMs = Math.max(0, dueMs - at.nowMs);
    return {
      reason: this.refusalReason,
      retryAfterMs: isManualOnly ? undefined : waitMs,
      remainingMs: isManualOnly ? this.cooldownRemainingMs(at) : waitMs,
      manual: this.#manual,
      trippedAt: this.#trippedWallMs,
      lastError: this.#facts.lastError,
    };
  }

  /**
   * Counted from the trip, not from the last failure: stragglers would push it ahead for ever.
   * The larger of both clocks' readings: a wall clock set back must not lengthen the wait, and a
   * machine that slept (its monotonic clock stood still) has waited all the same.
   */
  cooldownRemainingMs(at: Instant): number {
    if (this.#state === "closed") return 0;
    const elapsedMs = Math.max(at.nowMs - this.#trippedNowMs, at.wallMs - this.#trippedWallMs);
    return Math.max(0, this.#settings.cooldownMs - elapsedMs);
  }

  snapshot(at: Instant): LatchingSnapshot {
    const tripped = this.#state !== "closed";
    return {
      version: 1,
      kind: "latching",
      failureCount: fromThousandths(this.#failureThousandths),
      tripped,
      manual: this.#manual,
      tripCount: this.#tripCount,
      trippedAt: tripped ? this.#trippedWallMs : null,
      trippedUntil: tripped && !this.#manual ? this.#trippedUntil(at) : null,
      ...this.#facts.stored(at),
    };
  }

  restore(snapshot: LatchingSnapshot, at: Instant): void {
    const { resetTimeoutMs } = this.#settings;
    this.#failureThousandths = toThousandths(snapshot.failureCount);
    this.#tripCount = snapshot.tripCount;
    this.#facts.restore(snapshot, at);
    this.#moveTo(snapshot.tripped ? "open" : "closed", "restored");
    this.#manual = snapshot.manual;
    this.#trippedWallMs = Math.min(snapshot.trippedAt ?? at.wallMs, at.wallMs);
    this.#trippedNowMs = toNow(this.#trippedWallMs, at);
    const dueWallMs = snapshot.trippedUntil ?? this.#trippedWallMs + resetTimeoutMs;
    // No stored date may make the wait longer than a fresh trip's.
    this.#probeDueMs = this.#isManualOnly()
      ? Number.POSITIVE_INFINITY
      : Math.min(toNow(dueWallMs, at), at.nowMs + resetTimeoutMs);
  }

  restoreReset(reset: StoredReset): void {
    this.#facts.restoreReset(reset);
  }

  postpone(byMs: number, nowMs: number): void {
    if (this.#state === "open" && nowMs < this.#probeDueMs) this.#probeDueMs += byMs;
  }

  /** True when nothing but a person can close it. */
  #isManualOnly(): boolean {
    return this.#manual || this.#settings.recovery === "manual";
  }

  #recordOk(latencyMs: number, nowMs: number): void {
    this.#failureThousandths = 0;
    this.#facts.noteOk(latencyMs, nowMs);
  }

  #recordFailed(failure: Failure, at: Instant): void {
    this.#failureThousandths += failure.weightThousandths;
    this.#facts.lastFailureWallMs = at.wallMs;
    this.#facts.lastError = failure.message;
    if (this.#failureThousandths < this.#settings.thresholdThousandths) return;
    this.#tripCount += 1;
    this.#startTrip(at);
    this.#armProbe(at.nowMs);
    this.#moveTo("open", "failures");
    const failureCount = fromThousandths(this.#failureThousandths);
    const threshold = fromThousandths(this.#settings.thresholdThousandths);
    this.events.push(
      trippedByRule({
        evidence: { rule: "failure_count", value: failureCount, threshold },
        failureCount,
        lastError: failure.message,
        reason: `${failureCount} failures reached the threshold of ${threshold}`,
      }),
    );
  }

  #startTrip(at: Instant): void {
    this.#trippedNowMs = at.nowMs;
    this.#trippedWallMs = at.wallMs;
  }

  #armProbe(nowMs: number): void {
    this.#probeDueMs =
      this.#settings.recovery === "manual"
        ? Number.POSITIVE_INFINITY
        : nowMs + this.#settings.resetTimeoutMs;
  }

  #rearm(cause: "probe_failed" | "probe_lease_expired", nowMs: number): void {
    this.#moveTo("open", cause);
    this.#armProbe(nowMs);
  }

  #trippedUntil(at: Instant): number {
    return this.#probeDueMs === Number.POSITIVE_INFINITY
      ? this.#trippedWallMs + this.#settings.resetTimeoutMs
      : toWall(this.#probeDueMs, at);
  }

  #moveTo(to: State, cause: TransitionCause): void {
    const from = this.#state;
    this.#ticket += EPOCH_STEP;
    this.#state = to;
    if (from !== to) this.events.push({ type: "transition", from, to, cause });
  }
}
