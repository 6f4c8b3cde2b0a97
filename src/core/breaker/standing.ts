// Where a breaker stands that recovers by itself: its state and epoch, who tripped it, when and over
// what, and when probes are due. What trips it and what leads back is its machine's affair.
//
// A ticket is the epoch times 2^20 plus the number of the probe, 0 for a call that is none. While the
// breaker is tripped, probes alone have tickets. What was granted or asked for in one epoch means
// nothing in the next.

import type { AnyTripEvidence, MachineEvent, TransitionCause } from "../events.ts";
import type { Random } from "../random.ts";
import { backoffMs, jitteredMs, type Backoff } from "../retry/backoff.ts";
import { toNow, toWall } from "./dates.ts";
import { trippedByHand, trippedByRule, type TripByHand, type TripByRule } from "./events.ts";
import { CallFacts } from "./facts.ts";
import { LEASES_MAX } from "./leases.ts";
import {
  REFUSED,
  type Failure,
  type Instant,
  type MachinePorts,
  type MachineRefusal,
  type OperatorOrder,
  type Ticket,
} from "./machine.ts";
import type { StoredFacts, StoredStanding } from "./stored.ts";

const EPOCH_STEP = LEASES_MAX + 1;

/** Stands where no call but probes may have a ticket, and equals none. */
const NOBODYS: Ticket = -3;

/** Chance of those who were given none: the middle of every spread. */
const NO_CHANCE: Random = Object.freeze({ next: () => 0.5 });

interface GrowingWait {
  readonly growth: Backoff;
  /** How often it has grown. */
  readonly step: number;
  readonly jitter: number;
}

interface RestoredWait {
  /** From the trip, where no date was stored. */
  readonly ms: number;
  /** From now, whatever was stored: no wait is longer than a fresh one can be. */
  readonly msMax: number;
}

interface LastTrip<Evidence> {
  /** Trips so far, this one included. */
  readonly count: number;
  readonly by: Evidence | null;
  readonly nowMs: number;
  /** NaN when the call that tripped it brought no date. */
  readonly wallMs: number;
}

/**
 * Its machine reads the open fields, and only these methods write them. They are no getters, since
 * every call reads some: getters made refusals through a guard of three kinds 5 % dearer on Node.
 */
export class Standing<State extends string, Evidence extends AnyTripEvidence> {
  readonly events: MachineEvent[] = [];
  readonly facts = new CallFacts();
  state: State;
  sinceMs: number;
  /** The ticket of every call that is no probe; nobody's while such calls are turned away. */
  ticket: Ticket = 0;
  /** Whether a person tripped it: then no probe is ever due. */
  isManual = false;
  /** When the first probe is due, never after a trip by hand; meaningful while tripped. */
  dueMs = 0;
  readonly #random: Random;
  /** The epoch times `EPOCH_STEP`. */
  #base = 0;
  /** The upstream asked not to be called before; 0 when it asked for nothing. */
  #retryAtMs = 0;
  /** Undefined before the first: most never trip, and idle ones should be small. */
  #trip: LastTrip<Evidence> | undefined = undefined;

  constructor(state: State, { random, nowMs, epoch = 0 }: MachinePorts) {
    this.#base = epoch * EPOCH_STEP;
    this.ticket = this.#base;
    this.#random = random ?? NO_CHANCE;
    this.state = state;
    this.sinceMs = nowMs ?? 0;
  }

  get epoch(): number {
    return this.#base / EPOCH_STEP;
  }

  get isTripped(): boolean {
    return this.ticket === NOBODYS;
  }

  /** The ticket of a probe's lease; 0 stands for none. */
  ticketOf(lease: number): Ticket {
    return lease === 0 ? REFUSED : this.#base + lease;
  }

  /** The lease of a probe's ticket. A ticket of another epoch makes a number that no lease has. */
  leaseOf(ticket: Ticket): number {
    return ticket - this.#base;
  }

  /** Probes that are due, or under way, are not put off any more. */
  postpone(byMs: number, nowMs: number): void {
    if (this.isTripped && nowMs < this.dueMs) this.dueMs += byMs;
  }

  /** Changes the state within an epoch: results of calls under way keep their worth. */
  moveTo(to: State, cause: TransitionCause, nowMs: number): void {
    const from = this.state;
    this.state = to;
    if (from === to) return;
    this.sinceMs = nowMs;
    this.events.push({ type: "transition", from, to, cause });
  }

  startEpoch(to: State, isTripped: boolean, cause: TransitionCause, nowMs: number): void {
    // A person may half-open what no trip was told of: it is tripped since then all the same.
    if (isTripped && !this.isTripped) this.#dateTrip(this.#trip?.by ?? null, false, nowMs);
    this.#base += EPOCH_STEP;
    this.ticket = isTripped ? NOBODYS : this.#base;
    this.isManual = cause === "manual_trip";
    if (this.isManual) this.dueMs = Number.POSITIVE_INFINITY;
    // A person half-opened what a person had tripped.
    else if (this.dueMs === Number.POSITIVE_INFINITY) this.dueMs = nowMs;
    this.#retryAtMs = 0;
    this.moveTo(to, cause, nowMs);
  }

  /** What a failure said, and asked for: of all waits of this epoch the longest counts. */
  noteFailed({ message, retryAfterMs = 0 }: Failure, retryAfterMsMax: number, at: Instant): void {
    this.facts.lastFailureWallMs = at.wallMs;
    if (!this.isManual) this.facts.lastError = message;
    // Not NaN, not negative.
    if (!(retryAfterMs > 0)) return;
    const waitMs = Math.min(retryAfterMs, retryAfterMsMax);
    this.#retryAtMs = Math.max(this.#retryAtMs, at.nowMs + waitMs);
  }

  /** Draws and fixes the wait before probes, unless this epoch was asked to wait longer. */
  startWait({ growth, step, jitter }: GrowingWait, nowMs: number): void {
    const waitMs = jitteredMs(backoffMs(growth, step), jitter, this.#random);
    this.dueMs = Math.max(nowMs + waitMs, this.#retryAtMs);
  }

  /** A rule tripped it: dates and tells of the trip, once its epoch has begun. */
  noteTrip(trip: Omit<TripByRule<Evidence>, "lastError">, nowMs: number, wallMs: number): void {
    this.#dateTrip(trip.evidence, true, nowMs, wallMs);
    this.events.push(trippedByRule({ ...trip, lastError: this.facts.lastError ?? "" }));
  }

  /** A person tripped it. */
  noteOrder(order: OperatorOrder, trip: TripByHand, at: Instant): void {
    this.#dateTrip(null, trip.isNewTrip, at.nowMs, at.wallMs);
    this.facts.lastError = order.reason;
    this.events.push(trippedByHand(order, trip));
  }

  refusal(reason: MachineRefusal["reason"], dueMs: number, at: Instant): MachineRefusal {
    const waitMs = this.isManual ? 0 : Math.max(0, dueMs - at.nowMs);
    return {
      reason,
      retryAfterMs: this.isManual ? undefined : waitMs,
      remainingMs: waitMs,
      manual: this.isManual,
      trippedAt: this.#trippedAt(at),
      lastError: this.facts.lastError,
    };
  }

  stored(at: Instant): StoredStanding<State, Evidence> {
    const tripped = this.isTripped;
    return {
      state: this.state,
      stateChangedAt: toWall(this.sinceMs, at),
      tripped,
      manual: this.isManual,
      tripCount: this.#trip?.count ?? 0,
      trippedAt: this.#trippedAt(at),
      trippedUntil: tripped && !this.isManual ? toWall(this.dueMs, at) : null,
      trippedBy: this.#trip?.by ?? null,
    };
  }

  /** To be called once the machine is in the stored state. */
  restore(
    stored: StoredStanding<State, Evidence> & StoredFacts,
    wait: RestoredWait,
    at: Instant,
  ): void {
    const { tripCount: count, trippedBy: by, trippedAt, stateChangedAt } = stored;
    const wallMs = Math.min(trippedAt ?? at.wallMs, at.wallMs);
    this.#trip = { count, by: Object.freeze(by), nowMs: at.nowMs, wallMs };
    this.facts.restore(stored, at);
    if (stateChangedAt !== null) this.sinceMs = toNow(Math.min(stateChangedAt, at.wallMs), at);
    if (!stored.tripped) return;
    this.isManual = stored.manual;
    const dueMs = toNow(stored.trippedUntil ?? wallMs + wait.ms, at);
    this.dueMs = stored.manual ? Number.POSITIVE_INFINITY : Math.min(dueMs, at.nowMs + wait.msMax);
  }

  #dateTrip(by: Evidence | null, isNew: boolean, nowMs: number, wallMs = Number.NaN): void {
    const before = this.#trip?.count ?? 0;
    this.#trip = { count: isNew ? before + 1 : before, by, nowMs, wallMs };
  }

  #trippedAt(at: Instant): number | null {
    if (!this.isTripped || this.#trip === undefined) return null;
    const { nowMs, wallMs } = this.#trip;
    return Number.isNaN(wallMs) ? toWall(nowMs, at) : wallMs;
  }
}
