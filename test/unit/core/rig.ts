// A machine on clocks of its own, with verbs. What each kind adds to it is in its harness.

import assert from "node:assert/strict";
import {
  REFUSED,
  type BreakerMachine,
  type Instant,
  type MachinePorts,
  type Ticket,
} from "../../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../../src/core/breaker/snapshot.ts";
import type { MachineEvent, TransitionCause, TripEvent } from "../../../src/core/events.ts";
import type { OutcomeKind } from "../../../src/core/outcome.ts";
import type { Random } from "../../../src/core/random.ts";

export const BOOM = { weightThousandths: 1000, message: "boom" };
export const WEIGHTLESS = { weightThousandths: 0, message: "quota" };

/** Monotonic time begins anywhere but at 0. */
const START_MS = 12_345.5;
const START_WALL_MS = 1_800_000_000_000;

export interface RigKind<Snapshot extends BreakerSnapshot, Machine> {
  create(ports: MachinePorts): Machine;
  sanitise(raw: object, wallMs: number, updatedAt: unknown): Snapshot;
  /** Of calls for which a test names none. */
  readonly latencyMs: number;
  readonly random?: Random | undefined;
}

interface FailedCall {
  readonly latencyMs?: number;
  readonly retryAfterMs?: number | undefined;
}

export class Rig<Snapshot extends BreakerSnapshot, Machine extends BreakerMachine<Snapshot>> {
  machine: Machine;
  nowMs = START_MS;
  wallMs = START_WALL_MS;
  readonly #kind: RigKind<Snapshot, Machine>;

  constructor(kind: RigKind<Snapshot, Machine>) {
    this.#kind = kind;
    this.machine = this.#create();
  }

  get at(): Instant {
    return { nowMs: this.nowMs, wallMs: this.wallMs };
  }

  get state(): string {
    return this.machine.state;
  }

  get snapshot(): Snapshot {
    return this.machine.snapshot(this.at);
  }

  get retryAfterMs(): number | undefined {
    return this.machine.refusal(this.at).retryAfterMs;
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  /** Until a call may be let in. */
  wait(): void {
    this.advance(this.retryAfterMs ?? 0);
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

  ok(ticket: Ticket, latencyMs = this.#kind.latencyMs): boolean {
    return this.machine.settleOk(ticket, latencyMs, this.nowMs, this.wallMs);
  }

  fail(
    ticket: Ticket,
    { latencyMs = this.#kind.latencyMs, retryAfterMs }: FailedCall = {},
  ): boolean {
    const failure = { ...BOOM, retryAfterMs };
    return this.machine.settleFailed(ticket, failure, latencyMs, this.at);
  }

  ignore(ticket: Ticket): void {
    this.machine.settleIgnored(ticket, this.nowMs);
  }

  okTimes(times: number, latencyMs?: number): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.ok(this.admit(), latencyMs), true);
  }

  failTimes(times: number, call: FailedCall = {}): void {
    for (let n = 0; n < times; n += 1) assert.equal(this.fail(this.admit(), call), true);
  }

  /** Evidence without an admission; it is taken in every state. */
  direct(outcome: OutcomeKind, latencyMs = this.#kind.latencyMs): void {
    this.machine.record(outcome, outcome === "failed" ? BOOM : undefined, latencyMs, this.at);
  }

  /** By ten failures, which the defaults of all kinds take for a trip. */
  tripByFailures(): this {
    this.failTimes(10);
    assert.equal(this.machine.isTripped, true);
    return this;
  }

  /** Trips, waits and admits the first probe, which runs. */
  halfOpen(): Ticket {
    this.tripByFailures();
    this.wait();
    const probe = this.admit();
    assert.equal(this.state, "half-open");
    return probe;
  }

  tripByHand(): void {
    this.machine.trip({ reason: "maintenance", actor: "ann" }, this.at);
  }

  reset(force = false): void {
    const verdict = this.machine.reset({ reason: "done", actor: "ann", force }, this.at);
    assert.deepEqual(verdict, { accepted: true });
  }

  restore(raw: object): void {
    this.machine.restore(this.#kind.sanitise(raw, this.wallMs, undefined), this.at);
  }

  /** The next process, so much later: what the store kept, and nothing else. */
  restart(edit: Record<string, unknown> = {}, awayMs = 0): void {
    const raw = { ...(JSON.parse(JSON.stringify(this.snapshot)) as object), ...edit };
    this.wallMs += awayMs;
    this.machine = this.#create();
    this.nowMs = 3;
    this.restore(raw);
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

  #create(): Machine {
    const { random } = this.#kind;
    return this.#kind.create({ ...(random === undefined ? {} : { random }), nowMs: this.nowMs });
  }
}
