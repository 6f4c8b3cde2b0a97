// A sliding-window machine on clocks of its own, with verbs.

import assert from "node:assert/strict";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { TransitionCause, TripEvent } from "../../../src/core/events.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { sanitiseSlidingWindow } from "../../../src/core/breaker/sliding-window/restore.ts";
import {
  slidingWindow,
  type SlidingWindowMachine,
} from "../../../src/core/breaker/sliding-window/machine.ts";
import type { MachineEvent } from "../../../src/core/events.ts";
import type { Random } from "../../../src/core/random.ts";

export const BOOM = { weightThousandths: 1000, message: "boom" };
export const WEIGHTLESS = { weightThousandths: 0, message: "quota" };

/** Monotonic time begins anywhere but at 0. */
const START_MS = 12_345.5;
const START_WALL_MS = 1_800_000_000_000;

export class Rig {
  machine: SlidingWindowMachine;
  nowMs = START_MS;
  wallMs = START_WALL_MS;
  readonly #options: SlidingWindowOptions;
  readonly #random: Random | undefined;

  constructor(options: SlidingWindowOptions = {}, random?: Random) {
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

  get metrics(): ReturnType<SlidingWindowMachine["metrics"]> {
    return this.machine.metrics(this.at);
  }

  get snapshot(): ReturnType<SlidingWindowMachine["snapshot"]> {
    return this.machine.snapshot(this.at);
  }

  get retryAfterMs(): number | undefined {
    return this.machine.refusal(this.at).retryAfterMs;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  jumpWall(ms: number): void {
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

  ok(ticket: Ticket, latencyMs = 5): boolean {
    return this.machine.settleOk(ticket, latencyMs, this.nowMs, this.wallMs);
  }

  fail(ticket: Ticket, retryAfterMs?: number, latencyMs = 5): boolean {
    const failure = { ...BOOM, retryAfterMs };
    return this.machine.settleFailed(ticket, failure, latencyMs, this.at);
  }

  ignore(ticket: Ticket): void {
    this.machine.settleIgnored(ticket, this.nowMs);
  }

  okTimes(times: number, latencyMs = 5): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.ok(this.admit(), latencyMs), true);
  }

  failTimes(times: number, retryAfterMs?: number): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.fail(this.admit(), retryAfterMs), true);
  }

  /** Closed to open by ten failures, the default's minimum. */
  open(): this {
    this.failTimes(10);
    assert.equal(this.state, "open");
    return this;
  }

  /** Closed to half-open: the first probe is admitted and runs. */
  halfOpen(): Ticket {
    this.open();
    this.advance(this.retryAfterMs ?? 0);
    const probe = this.admit();
    assert.equal(this.state, "half-open");
    return probe;
  }

  /** Through open and two probes, to wherever that leads. */
  recover(): void {
    this.advance(this.retryAfterMs ?? 0);
    this.okTimes(2);
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
    const clean = sanitiseSlidingWindow(raw, this.wallMs, undefined);
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

  #create(): SlidingWindowMachine {
    return slidingWindow(this.#options).createMachine({
      ...(this.#random === undefined ? {} : { random: this.#random }),
      nowMs: this.nowMs,
    });
  }
}
