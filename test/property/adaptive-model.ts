// The adaptive breaker told again, as naively as it can be: all results of an era of evidence are kept
// and everything is worked out from them anew each time, every admission keeps the era it was made
// in, and no number is packed into another. The machine must agree with it.

import type { AdaptiveSettings } from "../../src/core/breaker/adaptive/options.ts";
import type { Random } from "../../src/core/random.ts";

export interface ModelTicket {
  readonly era: number;
  readonly canary: ModelCanary | undefined;
}

interface ModelCanary {
  readonly leaseEndsMs: number;
}

export interface ModelFailure {
  readonly message: string;
  readonly weight: number;
  readonly retryAfterMs: number | undefined;
}

type Points = readonly (readonly [ms: number, score: number])[];

const LATENCY_POINTS: Points = [
  [0, 1],
  [100, 0.95],
  [1000, 0.5],
  [5000, 0],
];
const JITTER_POINTS: Points = [
  [0, 1],
  [50, 0.8],
  [200, 0.3],
  [500, 0],
];

/** Latencies whose mean and spread are computed in another order may differ by this much. */
const TIE = 1e-9;

export class AdaptiveModel {
  readonly settings: AdaptiveSettings;
  readonly #random: Random;
  state: "healthy" | "degraded" | "cooling-down" | "half-open" = "healthy";
  /** Changes with everything that trips, half-opens, ends that, or resets. */
  era = 0;
  manual = false;
  trips = 0;
  changes = 0;
  lastError: string | null = null;
  attempt = 0;
  sinceMs = 0;
  consecutive = 0;
  /** Whether a comparison was too close for two ways of computing it to agree. */
  isTie = false;
  outcomes: boolean[] = [];
  #latencies: number[] = [];
  /** Since the start or the last reset. */
  #history: boolean[] = [];
  #dueMs = 0;
  #asked: number[] = [];
  #canaries: ModelCanary[] = [];
  done: boolean[] = [];

  constructor(settings: AdaptiveSettings, random: Random) {
    this.settings = settings;
    this.#random = random;
  }

  get tripped(): boolean {
    return this.state === "cooling-down" || this.state === "half-open";
  }

  get live(): number {
    return this.#canaries.length;
  }

  get successes(): number {
    return this.outcomes.filter(Boolean).length;
  }

  get successRate(): number {
    return this.outcomes.length === 0 ? 1 : this.successes / this.outcomes.length;
  }

  get meanMs(): number {
    const values = this.#latencies;
    if (values.length === 0) return 0;
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  get jitterMs(): number {
    const values = this.#latencies;
    if (values.length < 2) return 0;
    const mean = this.meanMs;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    return Math.sqrt(squares / (values.length - 1));
  }

  get health(): number {
    const latency = between(LATENCY_POINTS, this.meanMs);
    return 0.5 * this.successRate + 0.3 * latency + 0.2 * between(JITTER_POINTS, this.jitterMs);
  }

  get errorRate(): { readonly value: number; readonly deviation: number } {
    const alpha = this.settings.ewmaAlpha;
    const [first = true, ...rest] = this.#history;
    let value = first ? 0 : 1;
    let variance = 0;
    for (const isOk of rest) {
      const delta = (isOk ? 0 : 1) - value;
      value += alpha * delta;
      variance = (1 - alpha) * (variance + alpha * delta * delta);
    }
    return { value, deviation: Math.sqrt(variance) };
  }

  get threshold(): number {
    const { adaptive, failureThreshold: base, adaptiveSensitivity, adaptiveFloor } = this.settings;
    if (!adaptive || this.#history.length < 10) return base;
    const { value, deviation } = this.errorRate;
    const margin = value + adaptiveSensitivity * deviation;
    const parts = margin > 0.7 ? 4 : margin > 0.5 ? 6 : margin > 0.3 ? 9 : 12;
    return Math.max(adaptiveFloor, Math.floor((base * parts) / 12));
  }

  waitMs(nowMs: number): number {
    if (this.state === "cooling-down") return Math.max(0, this.#dueMs - nowMs);
    const isFull = this.#canaries.length + this.done.length >= this.settings.canaryCount;
    const first = Math.min(...this.#canaries.map(({ leaseEndsMs }) => leaseEndsMs));
    return this.state === "half-open" && isFull ? Math.max(0, first - nowMs) : 0;
  }

  admit(nowMs: number): ModelTicket | undefined {
    if (!this.tripped) return { era: this.era, canary: undefined };
    if (this.manual) return undefined;
    if (this.state === "cooling-down") {
      if (nowMs < this.#dueMs) return undefined;
      this.outcomes = [];
      this.#enter("half-open", nowMs, true);
    }
    const { canaryCount, canaryLeaseMs } = this.settings;
    if (this.#canaries.length + this.done.length >= canaryCount) {
      const lost = this.#canaries.findIndex(({ leaseEndsMs }) => nowMs >= leaseEndsMs);
      if (lost === -1) return undefined;
      this.#canaries.splice(lost, 1);
    }
    const canary = { leaseEndsMs: nowMs + canaryLeaseMs };
    this.#canaries.push(canary);
    return { era: this.era, canary };
  }

  ok(ticket: ModelTicket, latencyMs: number, nowMs: number): boolean {
    if (!this.#take(ticket)) return false;
    this.directOk(latencyMs, nowMs);
    if (ticket.canary !== undefined) this.#vote(true, nowMs);
    return true;
  }

  failed(ticket: ModelTicket, failure: ModelFailure, latencyMs: number, nowMs: number): boolean {
    if (!this.#take(ticket)) {
      if (this.state === "cooling-down" && !this.manual) this.lastError = failure.message;
      return false;
    }
    this.directFailed(failure, latencyMs, nowMs);
    if (ticket.canary !== undefined && failure.weight > 0) this.#vote(false, nowMs);
    return true;
  }

  ignored(ticket: ModelTicket): void {
    this.#take(ticket);
  }

  directOk(latencyMs: number, nowMs: number): void {
    this.consecutive = 0;
    this.#keep(true, latencyMs);
    this.#judge(nowMs);
  }

  directFailed(failure: ModelFailure, latencyMs: number, nowMs: number): void {
    if (failure.weight === 0) return;
    this.consecutive += 1;
    this.#keep(false, latencyMs);
    if (!this.manual) this.lastError = failure.message;
    if (failure.retryAfterMs !== undefined) {
      this.#asked.push(nowMs + Math.min(failure.retryAfterMs, 32 * this.settings.cooldown.baseMs));
    }
    this.#judge(nowMs);
  }

  trip(reason: string, nowMs: number): void {
    if (!this.tripped) this.trips += 1;
    this.#enter("cooling-down", nowMs, true);
    this.manual = true;
    this.lastError = reason;
  }

  reset(nowMs: number): void {
    this.#forget();
    this.#enter("healthy", nowMs, true);
  }

  /** What was in flight died with the process, and so did what is not stored. */
  restart(nowMs: number): void {
    const { manual, sinceMs, attempt, changes } = this;
    const state = this.tripped ? "cooling-down" : this.state;
    this.#forget();
    this.#enter(state, nowMs, true);
    this.attempt = attempt;
    this.manual = manual;
    this.sinceMs = sinceMs;
    this.changes = changes;
  }

  #take({ era, canary }: ModelTicket): boolean {
    if (era !== this.era) return false;
    if (canary === undefined) return true;
    const index = this.#canaries.indexOf(canary);
    if (index === -1) return false;
    this.#canaries.splice(index, 1);
    return true;
  }

  #keep(isOk: boolean, latencyMs: number): void {
    this.outcomes = [...this.outcomes, isOk].slice(-100);
    this.#history.push(isOk);
    if (!(latencyMs >= 0) || latencyMs === Number.POSITIVE_INFINITY) return;
    this.#latencies = [...this.#latencies, Math.min(latencyMs, 1e9)].slice(-50);
  }

  #isBelow(value: number, bound: number): boolean {
    if (this.#latencies.length > 0 && Math.abs(value - bound) < TIE) this.isTie = true;
    return value < bound;
  }

  #judge(nowMs: number): void {
    const isCritical = this.#isBelow(this.health, this.settings.minHealthScore);
    if (this.state === "healthy") {
      if (isCritical || this.consecutive >= this.threshold) this.#enter("degraded", nowMs, false);
    } else if (this.state === "degraded") {
      const isRare = this.outcomes.length >= this.settings.sampleSize && this.successRate < 0.3;
      if (this.consecutive >= 2 * this.threshold || isRare || isCritical) {
        this.trips += 1;
        this.#coolDown(nowMs);
      } else if (this.consecutive === 0 && this.successRate > 0.7) {
        // Above is not below the other way round; the tie is what matters.
        if (!this.#isBelow(this.health, 0.7) && this.health !== 0.7) {
          this.attempt = 0;
          this.#enter("healthy", nowMs, false);
        }
      }
    }
  }

  #vote(isOk: boolean, nowMs: number): void {
    this.done.push(isOk);
    const { canaryCount } = this.settings;
    const failures = this.done.filter((each) => !each).length;
    if ((canaryCount - failures) / canaryCount < 0.66) this.#coolDown(nowMs);
    else if (this.done.length === canaryCount) {
      this.consecutive = 0;
      this.attempt = 0;
      this.#enter("degraded", nowMs, true);
    }
  }

  #coolDown(nowMs: number): void {
    const { cooldown, legacyFirstBackoff } = this.settings;
    let waitMs = cooldown.baseMs;
    for (let n = legacyFirstBackoff ? -1 : 0; n < this.attempt; n += 1) waitMs *= 2;
    waitMs = Math.min(waitMs, 32 * cooldown.baseMs);
    waitMs *= 1 + 0.3 * (2 * this.#random.next() - 1);
    this.attempt = Math.min(this.attempt + 1, 63);
    const dueMs = Math.max(nowMs + waitMs, ...this.#asked);
    this.#enter("cooling-down", nowMs, true);
    this.#dueMs = dueMs;
  }

  #forget(): void {
    this.consecutive = 0;
    this.attempt = 0;
    this.outcomes = [];
    this.#latencies = [];
    this.#history = [];
  }

  #enter(state: AdaptiveModel["state"], nowMs: number, isNewEra: boolean): void {
    if (this.state !== state) {
      this.changes += 1;
      this.sinceMs = nowMs;
    }
    this.state = state;
    if (!isNewEra) return;
    this.era += 1;
    this.manual = false;
    this.#asked = [];
    this.#canaries = [];
    this.done = [];
  }
}

/** A polyline through the points; the last value beyond them. */
function between(points: Points, ms: number): number {
  for (let n = 1; n < points.length; n += 1) {
    const [[fromMs, from], [toMs, to]] = [points[n - 1] ?? [0, 0], points[n] ?? [0, 0]];
    if (ms <= toMs) return from - ((from - to) * (ms - fromMs)) / (toMs - fromMs);
  }
  return 0;
}
