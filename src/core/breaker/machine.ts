// The contract of all breaker machines: latching, sliding window and adaptive.
//
// A machine is pure: it holds state, takes facts and `nowMs`, and answers. It awaits nothing, calls
// nobody and reads no clock. What its owner must tell others lies in `events` after a call; the
// owner empties it once the state is final. That keeps the common path free of allocations.
//
// Every admission hands out a ticket that names the epoch it was admitted in. The epoch counts
// transitions, so a result that comes back to a different world is recognised and dropped instead
// of being counted against a state it says nothing about.
//
// A machine does not do: retries, deadlines, operator modes, persistence, metrics, logging.

import type { MachineEvent } from "../events.ts";
import type { Random } from "../random.ts";
import type { OutcomeKind } from "../outcome.ts";
import type { BreakerSnapshot } from "./snapshot.ts";
import type { StoredReset } from "./stored.ts";

export type BreakerKind = BreakerSnapshot["kind"];

/**
 * Proof of admission, opaque to its holder: the machine packs into it the epoch and, where there
 * are probes, the lease. A number, so that admitting allocates nothing. Never negative.
 */
export type Ticket = number;

/** What `admit` answers when it turns a call away. `refusal()` then says why. */
export const REFUSED: Ticket = -1;

/** Who trips or closes a breaker when no person does. */
export const SYSTEM = "system";

/** Two readings of one moment: intervals use `nowMs`, records that people read use `wallMs`. */
export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** Why a machine turns calls away at this moment. */
export interface MachineRefusal {
  /** Closed set; becomes the `reason` label of `circuit_breaker_rejected_total`. */
  readonly reason: "tripped" | "half_open_limit" | "ramping";
  /** Until a call may be admitted without anybody's help; undefined when only a person can help. */
  readonly retryAfterMs: number | undefined;
  /** Latching: until a reset is accepted without force. Others: as `retryAfterMs`, else 0. */
  readonly remainingMs: number;
  /** Whether a person tripped it. */
  readonly manual: boolean;
  /** Epoch milliseconds of the trip. */
  readonly trippedAt: number | null;
  readonly lastError: string | null;
}

/** What a failure is made of: its weight in thousandths, and what the upstream or caller said. */
export interface Failure {
  readonly weightThousandths: number;
  readonly message: string;
  /** Milliseconds from now before which the upstream asked not to be called; most say nothing. */
  readonly retryAfterMs?: number | undefined;
}

export interface OperatorOrder {
  readonly reason: string;
  readonly actor: string;
}

export type ResetVerdict =
  { readonly accepted: true } | { readonly accepted: false; readonly remainingMs: number };

/**
 * What is the same for all machines of a kind is a getter in them, not a field: ten thousand idle
 * breakers hold it once.
 */
export interface BreakerMachine<Snapshot extends BreakerSnapshot = BreakerSnapshot> {
  readonly kind: Snapshot["kind"];
  readonly state: string;
  /** Counts transitions. A settlement whose ticket carries another epoch is late. */
  readonly epoch: number;
  /** Whether calls are being turned away, or only probes let through. */
  readonly isTripped: boolean;
  /** Whether failures are held, or worse: something that must not be lost or evicted. */
  readonly hasFailures: boolean;
  /** False while `admit` would answer without looking at `nowMs`: its caller may then pass 0. */
  readonly admitNeedsTime: boolean;
  /** From this latency on a success may trip it; `Infinity` where none can. */
  readonly slowCallMs: number;
  /** Whether evidence short of a transition is worth storing: it outlives a restart. */
  readonly savesEvidence: boolean;
  /** What happened since the owner last emptied it. */
  readonly events: MachineEvent[];

  /** Lets one call in, or answers `REFUSED`. The only hot method besides the settling ones. */
  admit(nowMs: number): Ticket;
  /**
   * Records a success. False when the result was late and therefore dropped. `wallMs` is owed only
   * from `slowCallMs` on, and dates what a slow success trips.
   */
  settleOk(ticket: Ticket, latencyMs: number, nowMs: number, wallMs?: number): boolean;
  /** Records a failure. False when the result was late and therefore dropped. */
  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, at: Instant): boolean;
  /** Gives the admission back without a vote: the caller went away, or the call never started. */
  settleIgnored(ticket: Ticket, nowMs: number): void;

  /** Direct evidence without an admission acts on the present epoch and is never a probe's. */
  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number, at: Instant): void;

  /** A person stops all traffic. Holds until a reset, whatever the recovery mode. */
  trip(order: OperatorOrder, at: Instant): void;
  /** A person closes the breaker. Refused inside the cooldown unless forced. */
  reset(order: OperatorOrder & { readonly force: boolean }, at: Instant): ResetVerdict;

  /** Why `admit` has just refused; needs no clock. */
  readonly refusalReason: MachineRefusal["reason"];
  refusal(at: Instant): MachineRefusal;
  /** Until a reset is accepted without force; 0 while closed, and when it is accepted now. */
  cooldownRemainingMs(at: Instant): number;
  /** State for the store and for people. A read: it changes nothing. */
  snapshot(at: Instant): Snapshot;
  /** Takes over a stored state. Its values are validated first; see `sanitise.ts`. */
  restore(snapshot: Snapshot, at: Instant): void;
  /** Takes over who reset it, from before what it did by itself since: nothing else changes. */
  restoreReset(reset: StoredReset): void;
  /** Lets probes in so many milliseconds later, where they are not due yet. */
  postpone(byMs: number, nowMs: number): void;
}

/** What a machine may be given beside its settings. */
export interface MachinePorts {
  /** Where jitter is drawn from. Default: none is applied. */
  readonly random?: Random;
  /** When it was made, monotonic; how long its first state lasts depends on it. Default 0. */
  readonly nowMs?: number;
  /**
   * Its first epoch, for one that takes another's place: tickets of that one are then late here. A whole
   * number; default 0.
   */
  readonly epoch?: number;
}

/** A configured kind of breaker: what `latching({…})` returns, and each upstream is given. */
export interface BreakerPolicy {
  readonly kind: BreakerKind;
  /** What a failure, and a timeout, counts when its call does not say. Thousandths. */
  readonly failureWeightThousandths: number;
  readonly timeoutWeightThousandths: number;
  /** For people: the count or ratio at which it trips. */
  readonly failureThreshold: number;
  /** Milliseconds after a trip in which a reset needs force; 0 where there is no cooldown. */
  readonly cooldownMs: number;
  createMachine(ports?: MachinePorts): BreakerMachine;
}
