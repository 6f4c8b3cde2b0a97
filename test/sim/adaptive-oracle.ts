// The adaptive breaker's oracle: the naive model of the property suite, with what that leaves out:
// states that come from elsewhere, and dates. A state that is taken over starts a new model, since
// evidence is not stored.

import type { AdaptiveSettings } from "../../src/core/breaker/adaptive/options.ts";
import type { Failure, Instant } from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import type { OutcomeKind } from "../../src/core/outcome.ts";
import type { Random } from "../../src/core/random.ts";
import { AdaptiveModel, type ModelFailure, type ModelTicket } from "../property/adaptive-model.ts";
import type { ExpectedAudit, Facts, Oracle, Token } from "./oracle.ts";

export class AdaptiveOracle implements Oracle {
  readonly audits: ExpectedAudit[] = [];
  /** Means and deviations are summed up in another order than the machine's. */
  readonly tolerance = 1e-9;
  readonly #settings: AdaptiveSettings;
  readonly #random: Random;
  #model: AdaptiveModel;
  /** When canaries are due after a cooldown that came from elsewhere, and the era that it is. */
  #restored = { era: -1, dueMs: 0 };

  constructor(settings: AdaptiveSettings, random: Random, nowMs: number) {
    this.#settings = settings;
    this.#random = random;
    this.#model = new AdaptiveModel(settings, random);
    this.#model.sinceMs = nowMs;
  }

  get isTripped(): boolean {
    return this.#model.tripped;
  }

  get manual(): boolean {
    return this.#model.manual;
  }

  get state(): string {
    return this.#model.state;
  }

  /** Once a comparison was too close to call there is nothing to be compared with any more. */
  get isUncertain(): boolean {
    return this.#model.isTie;
  }

  wouldAdmit(nowMs: number): boolean {
    return !this.isTripped || (!this.manual && this.#waitMs(nowMs) <= 0);
  }

  /** Until a call may be let in; nothing where only a person can help. */
  waitMs(nowMs: number): readonly number[] {
    if (!this.isTripped) return [0];
    return this.manual ? [] : [this.#waitMs(nowMs)];
  }

  admit({ nowMs }: Instant): Token | undefined {
    if (this.isTripped && this.#waitMs(nowMs) > 0) return undefined;
    return this.#model.admit(nowMs);
  }

  ok(token: Token, latencyMs: number, { nowMs }: Instant): boolean {
    const ticket = token as ModelTicket;
    return this.#watch(() => this.#model.ok(ticket, latencyMs, nowMs));
  }

  failed(token: Token, failure: Failure, latencyMs: number, { nowMs }: Instant): boolean {
    const ticket = token as ModelTicket;
    return this.#watch(() => this.#model.failed(ticket, told(failure), latencyMs, nowMs));
  }

  ignored(token: Token): void {
    this.#model.ignored(token as ModelTicket);
  }

  record(
    outcome: OutcomeKind,
    failure: Failure | undefined,
    latencyMs: number,
    { nowMs }: Instant,
  ): void {
    this.#watch(() => {
      if (outcome === "ok") this.#model.directOk(latencyMs, nowMs);
      else if (failure !== undefined) {
        this.#model.directFailed(told(failure), latencyMs, nowMs);
      }
    });
  }

  trip(reason: string, actor: string, { nowMs }: Instant): void {
    this.#model.trip(reason, nowMs);
    this.audits.push({ action: "TRIP", actor, reason });
  }

  reset(reason: string, actor: string, _force: boolean, { nowMs }: Instant): boolean {
    this.#model.reset(nowMs);
    this.audits.push({ action: "RESET", actor, reason });
    return true;
  }

  restore(stored: BreakerSnapshot, at: Instant): void {
    if (stored.kind !== "adaptive") return;
    const closed = stored.state === "degraded" ? "degraded" : "healthy";
    const state = stored.tripped ? "cooling-down" : closed;
    const isNewEra = state !== "healthy" || this.#model.state !== "healthy";
    const model = isNewEra ? this.#startModel(state, at.nowMs) : this.#model;
    model.trips = stored.tripCount;
    model.lastError = stored.lastError;
    model.attempt = stored.tripped ? stored.backoffAttempt : 0;
    if (stored.tripped) this.#restoreTrip(model, stored, at);
    if (stored.stateChangedAt !== null) {
      model.sinceMs = at.nowMs - (at.wallMs - Math.min(stored.stateChangedAt, at.wallMs));
    }
  }

  facts(at: Instant): Facts {
    const model = this.#model;
    return {
      state: model.state,
      tripped: model.tripped,
      manual: model.manual,
      failureCount: model.consecutive,
      successRate: model.successRate,
      totalAttempts: model.outcomes.length,
      successfulAttempts: model.successes,
      adaptiveThreshold: model.threshold,
      healthScore: Math.min(1, Math.max(0, model.health)),
      latencyJitterMs: model.jitterMs,
      ewmaErrorRate: model.errorRate.value,
      canaryProgress:
        model.state === "half-open"
          ? `${model.done.filter(Boolean).length},${model.done.length}`
          : null,
      backoffAttempt: model.attempt,
      tripCount: model.trips,
      lastError: model.lastError,
      stateChangedAt: Math.round(at.wallMs - (at.nowMs - model.sinceMs)),
      waitMs: model.tripped && !model.manual ? this.#waitMs(at.nowMs) : null,
    };
  }

  #waitMs(nowMs: number): number {
    const { state, era } = this.#model;
    const isRestored = state === "cooling-down" && era === this.#restored.era;
    return isRestored ? Math.max(0, this.#restored.dueMs - nowMs) : this.#model.waitMs(nowMs);
  }

  #startModel(state: AdaptiveModel["state"], nowMs: number): AdaptiveModel {
    const { era, state: from, sinceMs } = this.#model;
    const model = new AdaptiveModel(this.#settings, this.#random);
    model.era = era + 1;
    model.state = state;
    model.sinceMs = from === state ? sinceMs : nowMs;
    this.#model = model;
    return model;
  }

  #restoreTrip(model: AdaptiveModel, stored: BreakerSnapshot, at: Instant): void {
    const { cooldown, cooldownMsLongest } = this.#settings;
    model.manual = stored.manual;
    const trippedAt = Math.min(stored.trippedAt ?? at.wallMs, at.wallMs);
    const dueAt = stored.trippedUntil ?? trippedAt + cooldown.baseMs;
    const dueMs = at.nowMs - (at.wallMs - dueAt);
    this.#restored = { era: model.era, dueMs: Math.min(dueMs, at.nowMs + cooldownMsLongest) };
  }

  /** The model names no reasons: a trip and a recovery are what changes the state like one. */
  #watch<Result>(change: () => Result): Result {
    const { trips, state } = this.#model;
    const result = change();
    const isTrip = this.#model.trips > trips;
    if (isTrip) this.audits.push({ action: "TRIP", actor: "system" });
    else if (state === "half-open" && this.#model.state === "degraded") {
      this.audits.push({ action: "RESET", actor: "system" });
    }
    return result;
  }
}

function told({ message, weightThousandths, retryAfterMs }: Failure): ModelFailure {
  return { message, weight: weightThousandths, retryAfterMs };
}
