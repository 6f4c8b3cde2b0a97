// The sliding-window breaker's oracle. It keeps every call of an era with its time and counts them
// anew each time it is asked; probes and their leases are a list. Unlike the property suite's model
// it can start from any stored state, since here states come back from a store.

import type { Failure, Instant } from "../../src/core/breaker/machine.ts";
import type { SlidingWindowSettings } from "../../src/core/breaker/sliding-window/options.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import type { OutcomeKind } from "../../src/core/outcome.ts";
import type { Random } from "../../src/core/random.ts";
import { Average, type ExpectedAudit, type Facts, type Oracle, type Token } from "./oracle.ts";

type State = "closed" | "open" | "half-open" | "ramping";

interface Admitted {
  readonly era: number;
  readonly lease: { readonly endsMs: number } | undefined;
}

interface Sample {
  readonly atMs: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

interface Counts {
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
}

/** One call in so many is let in, step after step. */
const ONE_IN = [20, 10, 4, 2];

export class WindowOracle implements Oracle {
  readonly audits: ExpectedAudit[] = [];
  manual = false;
  readonly #settings: SlidingWindowSettings;
  readonly #random: Random;
  readonly #average = new Average();
  #state: State = "closed";
  #era = 0;
  #trips = 0;
  #openings = 0;
  #sinceMs: number;
  #lastError: string | null = null;
  #samples: Sample[] = [];
  #dueMs = 0;
  #askedUntilMs = Number.NEGATIVE_INFINITY;
  #leases: { readonly endsMs: number }[] = [];
  #probeSuccesses = 0;
  #verdictDueMs = Number.POSITIVE_INFINITY;
  #ramp = { step: 0, sinceMs: 0, successes: 0, asked: 0 };

  constructor(settings: SlidingWindowSettings, random: Random, nowMs: number) {
    this.#settings = settings;
    this.#random = random;
    this.#sinceMs = nowMs;
  }

  get isTripped(): boolean {
    return this.#state === "open" || this.#state === "half-open";
  }

  admit({ nowMs }: Instant): Token | undefined {
    const { halfOpenMaxProbes, probeLeaseMs, halfOpenDeadlineMs } = this.#settings;
    if (this.#state === "closed") return { era: this.#era, lease: undefined };
    if (this.#state === "ramping") {
      const isLetIn = this.#ramp.asked % (ONE_IN[this.#ramp.step] ?? 1) === 0;
      this.#ramp.asked += 1;
      return isLetIn ? { era: this.#era, lease: undefined } : undefined;
    }
    if (this.manual) return undefined;
    if (this.#state === "half-open" && nowMs >= this.#verdictDueMs) this.#open(this.#verdictDueMs);
    if (this.#state === "open") {
      if (nowMs < this.#dueMs) return undefined;
      this.#enter("half-open", nowMs);
      this.#verdictDueMs = nowMs + halfOpenDeadlineMs;
    }
    if (this.#leases.length + this.#probeSuccesses >= halfOpenMaxProbes) {
      const ended = this.#leases.findIndex(({ endsMs }) => endsMs <= nowMs);
      if (ended === -1) return undefined;
      this.#leases.splice(ended, 1);
    }
    const lease = { endsMs: nowMs + probeLeaseMs };
    this.#leases.push(lease);
    return { era: this.#era, lease };
  }

  ok(token: Token, latencyMs: number, { nowMs }: Instant): boolean {
    if (!this.#take(token as Admitted)) return false;
    this.#average.add(latencyMs);
    if ((token as Admitted).lease === undefined) {
      this.#judgeOk(latencyMs, nowMs);
      return true;
    }
    if (latencyMs >= this.#settings.slowCallMs && latencyMs < Number.POSITIVE_INFINITY) {
      this.#lastError = slowText(latencyMs);
      this.#open(nowMs);
      return true;
    }
    this.#probeSuccesses += 1;
    if (this.#probeSuccesses < this.#settings.halfOpenSuccesses) return true;
    this.#enter(this.#settings.ramping ? "ramping" : "closed", nowMs);
    this.#startStep(0, nowMs);
    this.audits.push({ action: "RESET", actor: "system" });
    return true;
  }

  failed(token: Token, failure: Failure, latencyMs: number, { nowMs }: Instant): boolean {
    if (!this.#take(token as Admitted)) {
      if (this.#state === "open" && !this.manual) this.#lastError = failure.message;
      return false;
    }
    if (failure.weightThousandths === 0) return true;
    if ((token as Admitted).lease === undefined) this.#judgeFailed(failure, latencyMs, nowMs);
    else {
      this.#hear(failure, nowMs);
      this.#open(nowMs);
    }
    return true;
  }

  ignored(token: Token): void {
    this.#take(token as Admitted);
  }

  record(
    outcome: OutcomeKind,
    failure: Failure | undefined,
    latencyMs: number,
    { nowMs }: Instant,
  ): void {
    if (outcome === "ok") {
      this.#average.add(latencyMs);
      if (!this.isTripped) this.#judgeOk(latencyMs, nowMs);
    } else if (failure !== undefined && failure.weightThousandths > 0) {
      if (this.isTripped) this.#hear(failure, nowMs);
      else this.#judgeFailed(failure, latencyMs, nowMs);
    }
  }

  trip(reason: string, actor: string, { nowMs }: Instant): void {
    if (!this.isTripped) this.#trips += 1;
    this.#enter("open", nowMs);
    this.manual = true;
    this.#lastError = reason;
    this.audits.push({ action: "TRIP", actor, reason });
  }

  reset(reason: string, actor: string, _force: boolean, { nowMs }: Instant): boolean {
    this.#enter("closed", nowMs);
    this.#openings = 0;
    this.audits.push({ action: "RESET", actor, reason });
    return true;
  }

  restore(stored: BreakerSnapshot, at: Instant): void {
    if (stored.kind !== "sliding-window") return;
    const { ramping, openDuration, openDurationMsLongest } = this.#settings;
    const toNow = (wallMs: number): number => at.nowMs - (at.wallMs - wallMs);
    this.#trips = stored.tripCount;
    this.#openings = stored.openings;
    this.#lastError = stored.lastError;
    this.#average.value = stored.avgLatencyMs;
    if (stored.tripped) {
      this.#enter("open", at.nowMs);
      this.manual = stored.manual;
      const trippedAt = Math.min(stored.trippedAt ?? at.wallMs, at.wallMs);
      const dueMs = toNow(stored.trippedUntil ?? trippedAt + openDuration.baseMs);
      this.#dueMs = Math.min(dueMs, at.nowMs + openDurationMsLongest);
    } else if (ramping && stored.state === "ramping") {
      this.#enter("ramping", at.nowMs);
      this.#startStep(stored.rampStep, at.nowMs);
    } else if (this.#state !== "closed") this.#enter("closed", at.nowMs);
    if (stored.stateChangedAt !== null) {
      this.#sinceMs = toNow(Math.min(stored.stateChangedAt, at.wallMs));
    }
  }

  facts({ nowMs }: Instant): Facts {
    const { calls, failed, slow } = this.#counts(nowMs);
    return {
      state: this.#state,
      tripped: this.isTripped,
      manual: this.manual,
      recentCalls: calls,
      failureCount: failed,
      slowCount: slow,
      tripCount: this.#trips,
      openings: this.#openings,
      rampStep: this.#state === "ramping" ? this.#ramp.step : 0,
      lastError: this.#lastError,
      avgLatencyMs: this.#average.value,
      waitMs: this.#state === "open" && !this.manual ? Math.max(0, this.#dueMs - nowMs) : null,
    };
  }

  #counts(nowMs: number): Counts {
    const { windowSize, windowDurationMs } = this.#settings;
    const kept = this.#samples
      .slice(-windowSize)
      .filter(({ atMs }) => nowMs - atMs <= windowDurationMs);
    return {
      calls: kept.length,
      failed: kept.filter(({ failed }) => failed).length,
      slow: kept.filter(({ slow }) => slow).length,
    };
  }

  #take({ era, lease }: Admitted): boolean {
    if (era !== this.#era) return false;
    if (lease === undefined) return true;
    const index = this.#leases.indexOf(lease);
    if (index === -1) return false;
    this.#leases.splice(index, 1);
    return true;
  }

  #hear({ message, retryAfterMs = 0 }: Failure, nowMs: number): void {
    if (!this.manual) this.#lastError = message;
    if (retryAfterMs <= 0) return;
    const untilMs = nowMs + Math.min(retryAfterMs, this.#settings.retryAfterMsMax);
    this.#askedUntilMs = Math.max(this.#askedUntilMs, untilMs);
  }

  #judgeOk(latencyMs: number, nowMs: number): void {
    const slow = latencyMs >= this.#settings.slowCallMs && latencyMs < Number.POSITIVE_INFINITY;
    this.#samples.push({ atMs: nowMs, failed: false, slow });
    const counts = this.#counts(nowMs);
    if (slow && counts.calls >= this.#settings.minimumCalls && this.#isTooSlow(counts)) {
      this.#lastError = slowText(latencyMs);
      this.#tripBySystem(nowMs);
    } else if (this.#state === "ramping") this.#climb(counts, nowMs);
  }

  #judgeFailed(failure: Failure, latencyMs: number, nowMs: number): void {
    this.#hear(failure, nowMs);
    const slow = latencyMs >= this.#settings.slowCallMs && latencyMs < Number.POSITIVE_INFINITY;
    this.#samples.push({ atMs: nowMs, failed: true, slow });
    const counts = this.#counts(nowMs);
    if (counts.calls < this.#settings.minimumCalls) return;
    if (this.#isTooFaulty(counts) || (slow && this.#isTooSlow(counts))) this.#tripBySystem(nowMs);
  }

  #isTooFaulty({ calls, failed }: Counts): boolean {
    const { failureRatio, thresholdInclusive } = this.#settings;
    return failed / calls > failureRatio || (thresholdInclusive && failed / calls === failureRatio);
  }

  #isTooSlow({ calls, slow }: Counts): boolean {
    const { slowCallRatio, thresholdInclusive } = this.#settings;
    return slow / calls > slowCallRatio || (thresholdInclusive && slow / calls === slowCallRatio);
  }

  #climb(counts: Counts, nowMs: number): void {
    const { rampSuccesses, rampStepMs } = this.#settings;
    this.#ramp.successes += 1;
    const isDone = this.#ramp.successes >= rampSuccesses;
    if (!isDone && nowMs < this.#ramp.sinceMs + rampStepMs) return;
    if (this.#isTooFaulty(counts) || this.#isTooSlow(counts)) return;
    if (this.#ramp.step + 1 < ONE_IN.length) this.#startStep(this.#ramp.step + 1, nowMs);
    else this.#enter("closed", nowMs);
  }

  #startStep(step: number, sinceMs: number): void {
    this.#ramp = { step, sinceMs, successes: 0, asked: 0 };
  }

  #tripBySystem(nowMs: number): void {
    const isStable = nowMs - this.#sinceMs >= this.#settings.stableCloseMs;
    if (this.#state === "closed" && isStable) this.#openings = 0;
    this.#trips += 1;
    this.#open(nowMs);
    this.audits.push({ action: "TRIP", actor: "system" });
  }

  #open(nowMs: number): void {
    const { openDuration, openDurationJitter: jitter } = this.#settings;
    const { baseMs, factor, maxMs } = openDuration;
    let waitMs = Math.min(baseMs * factor ** this.#openings, maxMs);
    if (jitter > 0) waitMs *= 1 + jitter * (2 * this.#random.next() - 1);
    const dueMs = Math.max(nowMs + waitMs, this.#askedUntilMs);
    this.#openings += 1;
    this.#enter("open", nowMs);
    this.#dueMs = dueMs;
  }

  /** Every state begins with nothing. */
  #enter(state: State, nowMs: number): void {
    if (state !== this.#state) this.#sinceMs = nowMs;
    this.#era += 1;
    this.#state = state;
    this.manual = false;
    this.#samples = [];
    this.#leases = [];
    this.#probeSuccesses = 0;
    this.#verdictDueMs = Number.POSITIVE_INFINITY;
    this.#askedUntilMs = Number.NEGATIVE_INFINITY;
  }
}

function slowText(latencyMs: number): string {
  return `a call took ${Math.round(latencyMs)} ms`;
}
