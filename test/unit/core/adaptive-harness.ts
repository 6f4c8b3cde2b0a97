// An adaptive machine on clocks of its own, with verbs.

import assert from "node:assert/strict";
import type { AdaptiveOptions } from "../../../src/core/breaker/adaptive/options.ts";
import { sanitiseAdaptive } from "../../../src/core/breaker/adaptive/restore.ts";
import type { AdaptiveStats } from "../../../src/core/breaker/adaptive/snapshot.ts";
import { adaptive, type AdaptiveMachine } from "../../../src/core/breaker/adaptive/machine.ts";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { MachineEvent, TransitionCause, TripEvent } from "../../../src/core/events.ts";
import type { Random } from "../../../src/core/random.ts";

export const BOOM = { weightThousandths: 1000, message: "boom" };
export const WEIGHTLESS = { weightThousandths: 0, message: "quota" };

/** What the source system does: its numbers are what the specification's tables show. */
export const SOURCE: AdaptiveOptions = { adaptiveFloor: 1 };

/** Monotonic time begins anywhere but at 0. */
const START_MS = 12_345.5;
const START_WALL_MS = 1_800_000_000_000;

export class Rig {
  machine: AdaptiveMachine;
  nowMs = START_MS;
  wallMs = START_WALL_MS;
  readonly #options: AdaptiveOptions;
  readonly #random: Random | undefined;

  constructor(options: AdaptiveOptions = {}, random?: Random) {
    this.#options = options;
    this.#random = random;
    this.machine = this.#create();
  }

  get at(): { nowMs: number; wallMs: number } {
    return { nowMs: this.nowMs, wallMs: this.wallMs };
  }

  get state(): string {
    return this.machine.state;
  }

  get stats(): AdaptiveStats {
    return this.machine.stats();
  }

  get snapshot(): ReturnType<AdaptiveMachine["snapshot"]> {
    return this.machine.snapshot(this.at);
  }

  get retryAfterMs(): number | undefined {
    return this.machine.refusal(this.at).retryAfterMs;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  tryAdmit(): Ticket {
    return this.machine.admit(this.machine.admitNeedsTime ? this.nowMs : 0);
  }

  admit(): Ticket {
    const ticket = this.tryAdmit();
    assert.notEqual(ticket, REFUSED, "refused");
    assert.ok(Number.isSafeInteger(ticket) && ticket >= 0);
    return ticket;
  }

  refuses(): boolean {
    return this.tryAdmit() === REFUSED;
  }

  ok(ticket: Ticket, latencyMs = Number.NaN): boolean {
    return this.machine.settleOk(ticket, latencyMs, this.nowMs, this.wallMs);
  }

  fail(ticket: Ticket, latencyMs = Number.NaN, retryAfterMs?: number): boolean {
    const failure = { ...BOOM, retryAfterMs };
    return this.machine.settleFailed(ticket, failure, latencyMs, this.at);
  }

  ignore(ticket: Ticket): void {
    this.machine.settleIgnored(ticket, this.nowMs);
  }

  okTimes(times: number, latencyMs?: number): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.ok(this.admit(), latencyMs), true);
  }

  failTimes(times: number, latencyMs?: number): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.fail(this.admit(), latencyMs), true);
  }

  /** Evidence without an admission; it is taken in every state. */
  direct(results: string, latencyMs = Number.NaN): void {
    for (const result of results) {
      if (result === "S") this.machine.record("ok", undefined, latencyMs, this.at);
      else this.machine.record("failed", BOOM, latencyMs, this.at);
    }
  }

  /** The numbers of the results, from 1, at which the state changed, and to what. */
  trace(results: string): string[] {
    const seen: string[] = [];
    let before = this.state;
    for (const [index, result] of [...results].entries()) {
      this.direct(result);
      if (this.state !== before) seen.push(`${index + 1} ${this.state}`);
      before = this.state;
    }
    return seen;
  }

  /** Healthy to cooling down by ten failures, the default's twice five. */
  coolDown(): this {
    this.failTimes(10);
    assert.equal(this.state, "cooling-down");
    return this;
  }

  /** Until canaries are due. */
  wait(): void {
    this.advance(this.retryAfterMs ?? 0);
  }

  /** Healthy to half-open: the first canary is admitted and runs. */
  halfOpen(): Ticket {
    this.coolDown();
    this.wait();
    const canary = this.admit();
    assert.equal(this.state, "half-open");
    return canary;
  }

  trip(): void {
    this.machine.trip({ reason: "maintenance", actor: "ann" }, this.at);
  }

  reset(force = false): void {
    const verdict = this.machine.reset({ reason: "done", actor: "ann", force }, this.at);
    assert.deepEqual(verdict, { accepted: true });
  }

  /** The next process, so much later: what the store kept, and nothing else. */
  restart(edit: Record<string, unknown> = {}, awayMs = 0): void {
    const raw = { ...(JSON.parse(JSON.stringify(this.snapshot)) as object), ...edit };
    this.wallMs += awayMs;
    const clean = sanitiseAdaptive(raw, this.wallMs, undefined);
    this.machine = this.#create();
    this.nowMs = 3;
    this.machine.restore(clean, this.at);
  }

  drain(): MachineEvent[] {
    return this.machine.events.splice(0);
  }

  causes(): TransitionCause[] {
    return this.drain().flatMap((event) => (event.type === "transition" ? [event.cause] : []));
  }

  trips(): TripEvent[] {
    return this.drain().flatMap((event) => (event.type === "trip" ? [event] : []));
  }

  #create(): AdaptiveMachine {
    return adaptive(this.#options).createMachine({
      ...(this.#random === undefined ? {} : { random: this.#random }),
      nowMs: this.nowMs,
    });
  }
}

/** To the tolerance of the specification's tables. */
export function near(actual: number, expected: number, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}
