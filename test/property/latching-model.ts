// The latching breaker told again, as naively as it can be: every admission keeps a copy of the
// world it was made in, and no number is packed into another. The machine must agree with it.

import type { LatchingSettings } from "../../src/core/breaker/latching/options.ts";

export interface ModelTicket {
  readonly era: number;
  readonly isProbe: boolean;
}

export class LatchingModel {
  readonly settings: LatchingSettings;
  /** Changes with everything that opens, half-opens, closes or resets. */
  era = 0;
  tripped = false;
  manual = false;
  probe: { readonly era: number; readonly leaseEndsMs: number } | undefined;
  probeDueMs = 0;
  trippedAtMs = 0;
  failures = 0;
  trips = 0;
  lastError: string | null = null;

  constructor(settings: LatchingSettings) {
    this.settings = settings;
  }

  get state(): string {
    if (!this.tripped) return "closed";
    return this.probe === undefined ? "open" : "half-open";
  }

  admit(nowMs: number): ModelTicket | undefined {
    if (!this.tripped) return { era: this.era, isProbe: false };
    if (this.manual || this.settings.recovery === "manual") return undefined;
    if (this.probe !== undefined && nowMs >= this.probe.leaseEndsMs) {
      this.probeDueMs = this.probe.leaseEndsMs + this.settings.resetTimeoutMs;
      this.probe = undefined;
      this.era += 1;
    }
    if (this.probe !== undefined || nowMs < this.probeDueMs) return undefined;
    this.era += 1;
    this.probe = { era: this.era, leaseEndsMs: nowMs + this.settings.probeLeaseMs };
    return { era: this.era, isProbe: true };
  }

  ok(ticket: ModelTicket): boolean {
    if (ticket.era !== this.era) return false;
    this.failures = 0;
    if (ticket.isProbe) {
      this.era += 1;
      this.probe = undefined;
      this.tripped = false;
    }
    return true;
  }

  failed(ticket: ModelTicket, thousandths: number, message: string, nowMs: number): boolean {
    if (ticket.era === this.era) {
      this.lastError = message;
      if (ticket.isProbe) {
        this.era += 1;
        this.probe = undefined;
        this.probeDueMs = nowMs + this.settings.resetTimeoutMs;
      } else this.#count(thousandths, nowMs);
      return true;
    }
    if (this.state === "open" && !this.manual) this.lastError = message;
    return false;
  }

  ignored(ticket: ModelTicket, nowMs: number): void {
    if (ticket.era !== this.era || !ticket.isProbe) return;
    this.era += 1;
    this.probe = undefined;
    this.probeDueMs = nowMs;
  }

  directOk(): void {
    this.failures = 0;
  }

  directFailed(thousandths: number, message: string, nowMs: number): void {
    if (!this.manual) this.lastError = message;
    if (!this.tripped) this.#count(thousandths, nowMs);
  }

  trip(reason: string, nowMs: number): void {
    this.era += 1;
    if (!this.tripped) this.trips += 1;
    this.tripped = true;
    this.manual = true;
    this.probe = undefined;
    this.trippedAtMs = nowMs;
    this.lastError = reason;
  }

  reset(force: boolean, nowMs: number): boolean {
    if (this.remainingMs(nowMs) > 0 && !force) return false;
    this.era += 1;
    this.tripped = false;
    this.manual = false;
    this.probe = undefined;
    this.failures = 0;
    return true;
  }

  remainingMs(nowMs: number): number {
    return this.tripped ? Math.max(0, this.settings.cooldownMs - (nowMs - this.trippedAtMs)) : 0;
  }

  #count(thousandths: number, nowMs: number): void {
    this.failures += thousandths;
    if (this.failures < this.settings.thresholdThousandths) return;
    this.era += 1;
    this.tripped = true;
    this.trips += 1;
    this.trippedAtMs = nowMs;
    this.probeDueMs = nowMs + this.settings.resetTimeoutMs;
  }
}
