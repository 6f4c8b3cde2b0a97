// The latching breaker's oracle: the naive model of the property suite, with what that leaves out,
// which is the wall clock, the average latency, and states that come from elsewhere.

import type { LatchingSettings } from "../../src/core/breaker/latching/options.ts";
import type { Failure, Instant } from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import { toThousandths, type OutcomeKind } from "../../src/core/outcome.ts";
import { LatchingModel, type ModelTicket } from "../property/latching-model.ts";
import { Average, type ExpectedAudit, type Facts, type Oracle, type Token } from "./oracle.ts";

export class LatchingOracle implements Oracle {
  readonly audits: ExpectedAudit[] = [];
  readonly #settings: LatchingSettings;
  readonly #model: LatchingModel;
  readonly #average = new Average();
  #trippedAtWallMs = 0;

  constructor(settings: LatchingSettings) {
    this.#settings = settings;
    this.#model = new LatchingModel(settings);
  }

  get isTripped(): boolean {
    return this.#model.tripped;
  }

  get manual(): boolean {
    return this.#model.manual;
  }

  admit({ nowMs }: Instant): Token | undefined {
    return this.#model.admit(nowMs);
  }

  ok(token: Token, latencyMs: number, at: Instant): boolean {
    const { isProbe } = token as ModelTicket;
    const isCounted = this.#model.ok(token as ModelTicket);
    if (isCounted) this.#average.add(latencyMs);
    if (isCounted && isProbe) this.audits.push({ action: "RESET", actor: "system" });
    void at;
    return isCounted;
  }

  failed(token: Token, failure: Failure, _latencyMs: number, at: Instant): boolean {
    const { weightThousandths, message } = failure;
    return this.#watchTrips(at, () =>
      this.#model.failed(token as ModelTicket, weightThousandths, message, at.nowMs),
    );
  }

  ignored(token: Token, { nowMs }: Instant): void {
    this.#model.ignored(token as ModelTicket, nowMs);
  }

  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void {
    if (outcome === "ok") {
      this.#model.directOk();
      this.#average.add(latencyMs);
    } else if (failure !== undefined) {
      const { weightThousandths, message } = failure;
      this.#watchTrips(at, () => this.#model.directFailed(weightThousandths, message, at.nowMs));
    }
  }

  trip(reason: string, actor: string, at: Instant): void {
    this.#model.trip(reason, at.nowMs);
    this.#trippedAtWallMs = at.wallMs;
    this.audits.push({ action: "TRIP", actor, reason });
  }

  reset(reason: string, actor: string, force: boolean, at: Instant): boolean {
    const isAccepted = force || this.#remainingMs(at) <= 0;
    if (isAccepted) this.#model.reset(true, at.nowMs);
    this.audits.push({ action: isAccepted ? "RESET" : "RESET_DENIED", actor, reason });
    return isAccepted;
  }

  restore(stored: BreakerSnapshot, at: Instant): void {
    if (stored.kind !== "latching") return;
    const model = this.#model;
    const { resetTimeoutMs } = this.#settings;
    const toNow = (wallMs: number): number => at.nowMs - (at.wallMs - wallMs);
    model.era += 1;
    model.probe = undefined;
    model.tripped = stored.tripped;
    model.manual = stored.manual;
    model.failures = toThousandths(stored.failureCount);
    model.trips = stored.tripCount;
    model.lastError = stored.lastError;
    this.#trippedAtWallMs = Math.min(stored.trippedAt ?? at.wallMs, at.wallMs);
    model.trippedAtMs = toNow(this.#trippedAtWallMs);
    const dueMs = toNow(stored.trippedUntil ?? this.#trippedAtWallMs + resetTimeoutMs);
    model.probeDueMs = Math.min(dueMs, at.nowMs + resetTimeoutMs);
    this.#average.value = stored.avgLatencyMs;
  }

  facts(at: Instant): Facts {
    const { state, tripped, manual, failures, trips, lastError } = this.#model;
    return {
      state,
      tripped,
      manual,
      failureCount: failures / 1000,
      tripCount: trips,
      lastError,
      avgLatencyMs: this.#average.value,
      cooldownRemainingMs: this.#remainingMs(at),
    };
  }

  /** By whichever clock has gone farther: neither a jump nor a sleep may lengthen it. */
  #remainingMs(at: Instant): number {
    const { tripped, trippedAtMs } = this.#model;
    if (!tripped) return 0;
    const passedMs = Math.max(at.nowMs - trippedAtMs, at.wallMs - this.#trippedAtWallMs);
    return Math.max(0, this.#settings.cooldownMs - passedMs);
  }

  #watchTrips<Result>(at: Instant, change: () => Result): Result {
    const { trips } = this.#model;
    const result = change();
    if (this.#model.trips > trips) {
      this.#trippedAtWallMs = at.wallMs;
      this.audits.push({ action: "TRIP", actor: "system" });
    }
    return result;
  }
}
