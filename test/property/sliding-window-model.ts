// The sliding-window breaker told again, as naively as it can be: all calls of an era are kept in an
// array that is scanned anew each time, every admission keeps the era it was made in, and no number
// is packed into another. The machine must agree with it.

import type { SlidingWindowSettings } from "../../src/core/breaker/sliding-window/options.ts";
import type { Random } from "../../src/core/random.ts";

export interface ModelTicket {
  readonly era: number;
  readonly probe: ModelProbe | undefined;
}

interface ModelProbe {
  readonly leaseEndsMs: number;
}

interface Entry {
  readonly atMs: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

const SHARES = [0.05, 0.1, 0.25, 0.5];

export class SlidingWindowModel {
  readonly settings: SlidingWindowSettings;
  readonly #random: Random;
  state: "closed" | "open" | "half-open" | "ramping" = "closed";
  /** Changes with everything that opens, half-opens, closes or resets. */
  era = 0;
  manual = false;
  trips = 0;
  successes = 0;
  failures = 0;
  rejected = 0;
  changes = 0;
  lastError: string | null = null;
  openings = 0;
  sinceMs = 0;
  #entries: Entry[] = [];
  #openUntilMs = 0;
  #asked: number[] = [];
  #probes: ModelProbe[] = [];
  #probeSuccesses = 0;
  #halfOpenAtMs = 0;
  rampStep = 0;
  #rampAtMs = 0;
  #rampSuccesses = 0;
  #rampAsked = 0;

  constructor(settings: SlidingWindowSettings, random: Random) {
    this.settings = settings;
    this.#random = random;
  }

  get tripped(): boolean {
    return this.state === "open" || this.state === "half-open";
  }

  get liveProbes(): number {
    return this.#probes.length;
  }

  window(nowMs: number): { calls: number; failed: number; slow: number } {
    const { windowSize, windowDurationMs } = this.settings;
    const kept = this.#entries
      .slice(-windowSize)
      .filter(({ atMs }) => nowMs - atMs <= windowDurationMs);
    return {
      calls: kept.length,
      failed: kept.filter(({ failed }) => failed).length,
      slow: kept.filter(({ slow }) => slow).length,
    };
  }

  waitMs(nowMs: number): number {
    return this.state === "open" ? Math.max(0, this.#openUntilMs - nowMs) : 0;
  }

  admit(nowMs: number): ModelTicket | undefined {
    const ticket = this.#tryAdmit(nowMs);
    if (ticket === undefined) this.rejected += 1;
    return ticket;
  }

  #tryAdmit(nowMs: number): ModelTicket | undefined {
    const { halfOpenMaxProbes, probeLeaseMs, halfOpenDeadlineMs } = this.settings;
    if (this.state === "closed") return { era: this.era, probe: undefined };
    if (this.state === "ramping") {
      // The first, and then as many of all who asked in this step as its share says.
      const share = SHARES[this.rampStep] ?? 1;
      const isLetIn = this.#rampAsked % Math.round(1 / share) === 0;
      this.#rampAsked += 1;
      return isLetIn ? { era: this.era, probe: undefined } : undefined;
    }
    if (this.manual) return undefined;
    const deadlineMs = this.#halfOpenAtMs + halfOpenDeadlineMs;
    if (this.state === "half-open" && nowMs >= deadlineMs) this.#open(deadlineMs);
    if (this.state === "open") {
      if (nowMs < this.#openUntilMs) return undefined;
      this.#enter("half-open", nowMs);
      this.#halfOpenAtMs = nowMs;
    }
    if (this.#probes.length + this.#probeSuccesses >= halfOpenMaxProbes) {
      const lost = this.#probes.findIndex(({ leaseEndsMs }) => nowMs >= leaseEndsMs);
      if (lost === -1) return undefined;
      this.#probes.splice(lost, 1);
    }
    const probe = { leaseEndsMs: nowMs + probeLeaseMs };
    this.#probes.push(probe);
    return { era: this.era, probe };
  }

  ok(ticket: ModelTicket, latencyMs: number, nowMs: number): boolean {
    if (!this.#take(ticket)) return false;
    if (ticket.probe === undefined) {
      this.directOk(latencyMs, nowMs);
      return true;
    }
    this.successes += 1;
    if (latencyMs >= this.settings.slowCallMs) {
      this.lastError = `a call took ${latencyMs} ms`;
      this.#open(nowMs);
      return true;
    }
    this.#probeSuccesses += 1;
    if (this.#probeSuccesses < this.settings.halfOpenSuccesses) return true;
    this.#enter(this.settings.ramping ? "ramping" : "closed", nowMs);
    this.#startStep(0, nowMs);
    return true;
  }

  failed(ticket: ModelTicket, failure: ModelFailure, latencyMs: number, nowMs: number): boolean {
    if (!this.#take(ticket)) {
      if (this.state === "open" && !this.manual) this.lastError = failure.message;
      return false;
    }
    if (ticket.probe === undefined) this.directFailed(failure, latencyMs, nowMs);
    else if (failure.weight > 0) {
      this.#count(failure, nowMs);
      this.#open(nowMs);
    }
    return true;
  }

  ignored(ticket: ModelTicket): void {
    this.#take(ticket);
  }

  directOk(latencyMs: number, nowMs: number): void {
    this.successes += 1;
    if (this.tripped) return;
    const slow = latencyMs >= this.settings.slowCallMs;
    this.#entries.push({ atMs: nowMs, failed: false, slow });
    const seen = this.window(nowMs);
    if (slow && seen.calls >= this.settings.minimumCalls && this.#isTooSlow(seen)) {
      this.lastError = `a call took ${latencyMs} ms`;
      this.#tripBySystem(nowMs);
    } else if (this.state === "ramping") this.#climb(seen, nowMs);
  }

  directFailed(failure: ModelFailure, latencyMs: number, nowMs: number): void {
    if (failure.weight === 0) return;
    this.#count(failure, nowMs);
    if (this.tripped) return;
    const slow = latencyMs >= this.settings.slowCallMs;
    this.#entries.push({ atMs: nowMs, failed: true, slow });
    const seen = this.window(nowMs);
    if (seen.calls < this.settings.minimumCalls) return;
    if (this.#isTooFaulty(seen) || (slow && this.#isTooSlow(seen))) this.#tripBySystem(nowMs);
  }

  trip(reason: string, nowMs: number): void {
    if (!this.tripped) this.trips += 1;
    this.#enter("open", nowMs);
    this.manual = true;
    this.lastError = reason;
  }

  reset(nowMs: number): void {
    this.#enter("closed", nowMs);
    this.openings = 0;
  }

  /** What was in flight died with the process, and so did what is not stored. */
  restart(nowMs: number): void {
    const { manual, sinceMs, rampStep, changes } = this;
    const until = this.#openUntilMs;
    if (this.tripped) this.#enter("open", nowMs);
    else if (this.state === "ramping") {
      this.#enter("ramping", nowMs);
      this.#startStep(rampStep, nowMs);
    } else this.#enter("closed", nowMs);
    this.manual = manual;
    this.#openUntilMs = until;
    this.sinceMs = sinceMs;
    this.successes = 0;
    this.failures = 0;
    this.rejected = 0;
    this.changes = changes;
  }

  #take({ era, probe }: ModelTicket): boolean {
    if (era !== this.era) return false;
    if (probe === undefined) return true;
    const index = this.#probes.indexOf(probe);
    if (index === -1) return false;
    this.#probes.splice(index, 1);
    return true;
  }

  #count({ message, retryAfterMs }: ModelFailure, nowMs: number): void {
    this.failures += 1;
    if (!this.manual) this.lastError = message;
    if (retryAfterMs === undefined) return;
    this.#asked.push(nowMs + Math.min(retryAfterMs, this.settings.retryAfterMsMax));
  }

  #isTooFaulty({ calls, failed }: { calls: number; failed: number }): boolean {
    const { failureRatio, thresholdInclusive } = this.settings;
    return failed / calls > failureRatio || (thresholdInclusive && failed / calls === failureRatio);
  }

  #isTooSlow({ calls, slow }: { calls: number; slow: number }): boolean {
    const { slowCallRatio, thresholdInclusive } = this.settings;
    return slow / calls > slowCallRatio || (thresholdInclusive && slow / calls === slowCallRatio);
  }

  #climb(seen: { calls: number; failed: number; slow: number }, nowMs: number): void {
    const { rampSuccesses, rampStepMs } = this.settings;
    this.#rampSuccesses += 1;
    if (this.#rampSuccesses < rampSuccesses && nowMs < this.#rampAtMs + rampStepMs) return;
    if (this.#isTooFaulty(seen) || this.#isTooSlow(seen)) return;
    if (this.rampStep < SHARES.length - 1) this.#startStep(this.rampStep + 1, nowMs);
    else this.#enter("closed", nowMs);
  }

  #startStep(step: number, nowMs: number): void {
    this.rampStep = this.state === "ramping" ? step : 0;
    this.#rampAtMs = nowMs;
    this.#rampSuccesses = 0;
    this.#rampAsked = 0;
  }

  #tripBySystem(nowMs: number): void {
    const closedMs = this.state === "closed" ? nowMs - this.sinceMs : -1;
    if (closedMs >= this.settings.stableCloseMs) this.openings = 0;
    this.trips += 1;
    this.#open(nowMs);
  }

  #open(nowMs: number): void {
    const { openDuration, openDurationJitter } = this.settings;
    let waitMs = openDuration.baseMs;
    for (let n = 0; n < this.openings; n += 1) waitMs *= openDuration.factor;
    waitMs = Math.min(waitMs, openDuration.maxMs);
    if (openDurationJitter > 0) {
      waitMs *= 1 + openDurationJitter * (2 * this.#random.next() - 1);
    }
    this.openings += 1;
    const untilMs = Math.max(nowMs + waitMs, ...this.#asked);
    this.#enter("open", nowMs);
    this.#openUntilMs = untilMs;
  }

  #enter(state: SlidingWindowModel["state"], nowMs: number): void {
    this.era += 1;
    if (this.state !== state) {
      this.changes += 1;
      this.sinceMs = nowMs;
    }
    this.state = state;
    this.manual = false;
    this.#entries = [];
    this.#asked = [];
    this.#probes = [];
    this.#probeSuccesses = 0;
    this.rampStep = 0;
  }
}

export interface ModelFailure {
  readonly message: string;
  readonly weight: number;
  readonly retryAfterMs: number | undefined;
}
