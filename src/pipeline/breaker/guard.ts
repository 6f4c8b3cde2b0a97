// The machine of one upstream with everything that a pure machine has not: operator modes, audit,
// events, counters, and the store. Admission and settlement are a comparison away from the machine.

import type { BreakerSnapshot } from "../../core/breaker/snapshot.ts";
import { asKind } from "../../core/breaker/restore.ts";
import {
  SYSTEM,
  type BreakerMachine,
  type BreakerPolicy,
  type Failure,
  type Instant,
  type MachineRefusal,
  type OperatorOrder,
  type Ticket,
} from "../../core/breaker/machine.ts";
import { ResetDeniedError } from "../../core/errors.ts";
import { replicaOf, type BreakerPart, type ModePart } from "../../core/fleet/row.ts";
import type { EventOf, MachineEvent, OperatorMode, TransitionCause } from "../../core/events.ts";
import { isLatency, type OutcomeKind } from "../../core/outcome.ts";
import type { Random } from "../../core/random.ts";
import type { Emitter } from "../emitter.ts";
import { UNTRACKED } from "../orders.ts";
import {
  isEarlier,
  isLater,
  marksOf,
  newMark,
  NO_MARKS,
  placesOf,
  waited,
  written,
  type OrderMarks,
} from "./marks.ts";
import type { Keeper, Ordered } from "./keeper.ts";
import type { Persisted } from "./persisted.ts";
import type { AuditAction, AuditEntry, Clock, StoredBreaker } from "../ports.ts";

const MODE_ACTIONS: Readonly<Record<OperatorMode, AuditAction>> = {
  normal: "NORMAL",
  shadow: "SHADOW",
  "forced-closed": "FORCE_CLOSED",
};

/** Every other transition comes with an event that is stored for its own sake. */
const SAVED_CAUSES: ReadonlySet<TransitionCause> = new Set([
  "probe_failed",
  "probe_lease_expired",
  "half_open_expired",
  "ramp_completed",
]);

/** Counts of what happened to the breaker; metrics read them. */
export class BreakerCounters {
  trips = 0;
  resets = 0;
  resetsDenied = 0;
  lateOk = 0;
  lateFailed = 0;
  invalidSamples = 0;
}

export class BreakerGuard implements Persisted {
  readonly name: string;
  readonly counters = new BreakerCounters();
  isSaved = true;
  /** When it last began to refuse, epoch milliseconds; null before the first time in this process. */
  lastOpenedAt: number | null = null;
  #policy: BreakerPolicy;
  #machine: BreakerMachine;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #persistence: Keeper;
  readonly #emitter: Emitter;
  /** Asked by every call. */
  readonly #polls: boolean;
  #isDurable: boolean;
  #mode: OperatorMode;
  #marks: OrderMarks = NO_MARKS;
  #share = 0;
  /** Id of the newest order of a person that a fleet told of. */
  #person: string | undefined = undefined;
  /** Of a mode that was taken over, and is not announced yet. */
  #modeTaken: EventOf<"mode"> | undefined = undefined;

  constructor(
    name: string,
    policy: BreakerPolicy,
    mode: OperatorMode,
    ports: {
      readonly clock: Clock;
      readonly random: Random;
      readonly persistence: Keeper;
      readonly emitter: Emitter;
    },
  ) {
    this.name = name;
    this.#policy = policy;
    this.#mode = mode;
    const { clock, random } = ports;
    this.#random = random;
    this.#machine = policy.createMachine({ random, nowMs: clock.monotonic() });
    this.#clock = ports.clock;
    this.#persistence = ports.persistence;
    this.#emitter = ports.emitter;
    this.#polls = ports.persistence.polls;
    this.#isDurable = ports.persistence.isDurable && this.#machine.savesEvidence;
  }

  /** What answers take on average, in milliseconds; null before the first. */
  get averageMs(): number | null {
    return this.snapshot().avgLatencyMs;
  }

  get slowCallMs(): number {
    return this.#machine.slowCallMs;
  }

  get policy(): BreakerPolicy {
    return this.#policy;
  }

  get mode(): OperatorMode {
    return this.#mode;
  }

  get state(): string {
    return this.#machine.state;
  }

  get epoch(): number {
    return this.#machine.epoch;
  }

  get isTripped(): boolean {
    return this.#machine.isTripped;
  }

  /** Whether nothing has happened to it yet, in this process or a stored one. */
  get isPristine(): boolean {
    return this.#machine.epoch === 0 && !this.#machine.hasFailures && this.isSaved;
  }

  /** Whether forgetting it would lose nothing but an average. */
  get isIdle(): boolean {
    if (this.#machine.hasFailures || this.#mode !== "normal" || !this.isSaved) return false;
    const { tripCount, lastResetAt } = this.snapshot();
    return tripCount === 0 && lastResetAt === null;
  }

  /** Takes over what other processes ordered, at most once a second; where there can be none it costs nothing. */
  look(): void {
    if (!this.#polls) return;
    const nowMs = this.#clock.monotonic();
    if (this.#persistence.isPollDue(nowMs)) this.#persistence.poll(nowMs);
  }

  /** The machine's verdict; what the operator's mode makes of it is the caller's to apply. */
  admit(): Ticket {
    const machine = this.#machine;
    // A closed breaker admits without a look at the clock, unless other processes may have changed it.
    if (this.#polls) this.look();
    if (this.#mode === "forced-closed") return UNTRACKED;
    const ticket = machine.admit(machine.admitNeedsTime ? this.#clock.monotonic() : 0);
    if (machine.events.length > 0) this.#announce();
    return ticket;
  }

  get refusalReason(): MachineRefusal["reason"] {
    return this.#machine.refusalReason;
  }

  refusal(): MachineRefusal {
    return this.#machine.refusal(this.#instant());
  }

  settleOk(ticket: Ticket, latencyMs: number, nowMs: number): void {
    if (ticket < 0) return;
    const machine = this.#machine;
    if (!isLatency(latencyMs)) this.counters.invalidSamples += 1;
    const hadFailures = machine.hasFailures;
    const wallMs = latencyMs >= machine.slowCallMs ? this.#clock.now() : undefined;
    if (!machine.settleOk(ticket, latencyMs, nowMs, wallMs)) this.counters.lateOk += 1;
    else if (machine.events.length > 0) this.#announce();
    else if (this.#isDurable) this.#saveOk(hadFailures);
  }

  #saveOk(hadFailures: boolean): void {
    if (hadFailures) this.#persistence.saveNow(this);
    else this.#persistence.saveSoon(this);
  }

  settleFailed(ticket: Ticket, failure: Failure, latencyMs: number, nowMs: number): void {
    if (ticket < 0) return;
    if (!isLatency(latencyMs)) this.counters.invalidSamples += 1;
    const at = { nowMs, wallMs: this.#clock.now() };
    if (!this.#machine.settleFailed(ticket, failure, latencyMs, at)) {
      this.counters.lateFailed += 1;
    }
    this.#afterEvidence();
  }

  settleIgnored(ticket: Ticket): void {
    if (ticket < 0) return;
    const machine = this.#machine;
    // Where no probe is lent there is nothing to give back, and no time to ask for.
    machine.settleIgnored(ticket, machine.admitNeedsTime ? this.#clock.monotonic() : 0);
    if (machine.events.length > 0) this.#announce();
  }

  /** Evidence without an admission, for the present epoch. */
  record(outcome: OutcomeKind, failure: Failure | undefined, latencyMs: number | undefined): void {
    if (latencyMs !== undefined && !isLatency(latencyMs)) this.counters.invalidSamples += 1;
    this.#machine.record(outcome, failure, latencyMs ?? Number.NaN, this.#instant());
    this.#afterEvidence();
  }

  trip({ hold, reason, actor }: OperatorOrder & { readonly hold: boolean }): void {
    if (!hold && this.isTripped) {
      const at = this.#clock.now();
      this.#persistence.saveAudit(this.#audit("TRIP_NOTED", reason, actor, at, false));
      // Writing looks for others' orders: where one has closed it meanwhile, this one is no mere note.
      if (this.isTripped) return;
    }
    this.#machine.trip({ reason, actor }, this.#instant());
    this.#announce();
  }

  reset(order: OperatorOrder & { readonly force: boolean }): void {
    // The cooldown of a trip in another process runs here, too.
    this.look();
    const verdict = this.#machine.reset(order, this.#instant());
    this.#announce();
    if (verdict.accepted) return;
    throw new ResetDeniedError(this.name, this.#policy.cooldownMs, verdict.remainingMs);
  }

  setMode({ mode: to, reason, actor }: OperatorOrder & { readonly mode: OperatorMode }): void {
    const from = this.#mode;
    this.#mode = to;
    const at = this.#clock.now();
    this.#marks = { ...this.#marks, mode: newMark(at, this.#persistence.revision) };
    this.#persistence.saveNow(this, this.#audit(MODE_ACTIONS[to], reason, actor, at, false), {
      part: "mode",
    });
    this.#emitter.emit({ type: "mode", from, to, actor, reason, upstream: this.name, at });
  }

  cooldownRemainingMs(): number {
    return this.#machine.cooldownRemainingMs(this.#instant());
  }

  snapshot(): ReturnType<BreakerMachine["snapshot"]> {
    return this.#machine.snapshot(this.#instant());
  }

  toStored(): StoredBreaker {
    const { wallMs: modeAt } = this.#marks.mode;
    const places = this.#persistence.revision !== undefined ? placesOf(this.#marks) : undefined;
    return {
      upstream: this.name,
      mode: this.#mode,
      ...(modeAt === 0 ? {} : { modeAt }),
      snapshot: this.snapshot(),
      ...(places === undefined ? {} : { places }),
    };
  }

  saved(revision: number | undefined): void {
    this.isSaved = true;
    this.#marks = written(this.#marks, revision);
  }

  notSaved(): void {
    this.#marks = waited(this.#marks);
  }

  /** Takes over what the previous process left. `announce` is owed once all breakers have. */
  restore(stored: StoredBreaker): void {
    this.#adoptMode(stored);
    const { order, person } = marksOf(stored);
    this.#marks = { ...this.#marks, order, person };
    const at = this.#instant();
    this.#machine.restore(asKind(stored.snapshot, this.#machine.kind, at.wallMs), at);
  }

  /**
   * Judges by another policy from now on. What was tripped stays tripped, by whom and until when, as far as
   * the new kind knows it; calls under way come back to another epoch.
   */
  changePolicy(policy: BreakerPolicy): void {
    const stored = this.toStored();
    const { epoch } = this.#machine;
    const at = this.#instant();
    this.#policy = policy;
    this.#machine = policy.createMachine({ random: this.#random, nowMs: at.nowMs, epoch });
    this.#machine.restore(asKind(stored.snapshot, this.#machine.kind, at.wallMs), at);
    this.#isDurable = this.#persistence.isDurable && this.#machine.savesEvidence;
    this.#persistence.saveNow(this);
    this.announce();
  }

  /** As the options have it; a person's order wins over it. */
  configureMode(mode: OperatorMode): void {
    if (this.#marks.mode.wallMs === 0) this.#mode = mode;
  }

  /** Whether nobody and nothing has opened or closed it since it was made. */
  get isUnordered(): boolean {
    return this.#marks.order.wallMs === 0;
  }

  /**
   * Takes over what another process did to the same breaker: the newest trip or reset wins, and a
   * trip by hand over all that breakers did by themselves since. Counts are not merged; two
   * processes that call one upstream count for themselves. What a breaker that recovers by itself did
   * by itself is its process's own affair: only people's orders travel.
   */
  adopt(stored: StoredBreaker): void {
    const { snapshot } = stored;
    const { order, person } = marksOf(stored);
    const isUnknownOrder = isLater(person, this.#marks.person);
    const isNewer = isLater(order, this.#marks.order);
    const isManual = this.snapshot().manual;
    if (isUnknownOrder && snapshot.manual) this.restore(stored);
    else if (isNewer && this.#machine.savesEvidence && (isUnknownOrder || !isManual)) {
      this.restore(stored);
    } else if (isUnknownOrder && isLater(person, this.#marks.order)) {
      // A person's reset, without the trip that its process had by itself since.
      this.restore({ ...stored, snapshot: { ...snapshot, tripped: false, trippedAt: null } });
    } else if (isUnknownOrder) {
      // A reset from before our own newest order ends nothing here, but our row is all that is left of it.
      this.#marks = { ...this.#marks, person };
      this.#machine.restoreReset(snapshot);
    }
    const from = this.#mode;
    this.#adoptMode(stored);
    this.#noteMode(from, "ordered in another process");
  }

  /** The newest wins; one without a date is from before there were dates. */
  #adoptMode(stored: StoredBreaker): void {
    const { mode } = marksOf(stored);
    if (isEarlier(mode, this.#marks.mode)) return;
    this.#mode = stored.mode;
    this.#marks = { ...this.#marks, mode };
  }

  /** Nobody but a person closes a latching one: it is told of in any case. */
  get reporters(): number {
    return this.#machine.savesEvidence ? 1 : this.#share;
  }

  /** As `reportersOf` has it. */
  configureShare(reporters: number): void {
    this.#share = reporters;
  }

  takeOver({ person, order, snapshot }: BreakerPart): void {
    const isNewPerson = person !== undefined && person.id !== this.#person;
    this.#person = person?.id;
    const isByPerson = person?.id === order.id;
    if (!isByPerson && this.reporters === 0) {
      // What another kind did by itself since counts for nothing here, but the person's word before it does.
      if (isNewPerson && !person.isTrip) this.#takeSnapshot(snapshot, false);
      return;
    }
    // What it does by itself it has done already, with evidence of its own.
    const isAsItIs = order.isTrip === this.isTripped && !this.snapshot().manual;
    if (isByPerson || !isAsItIs) this.#takeSnapshot(snapshot, order.isTrip);
  }

  #takeSnapshot(snapshot: BreakerSnapshot, isTrip: boolean): void {
    const at = this.#instant();
    const taken = asKind(ownTime(snapshot, at.wallMs), this.#machine.kind, at.wallMs);
    const closed = { ...taken, tripped: false, manual: false, trippedAt: null };
    this.#machine.restore(isTrip ? taken : closed, at);
  }

  get probesAt(): number | null {
    // What is tripped and asks for no time is closed by a person only.
    return this.#machine.admitNeedsTime ? this.snapshot().trippedUntil : null;
  }

  postpone(epoch: number, byMs: number): void {
    const isStill = this.epoch === epoch && this.probesAt !== null;
    if (byMs > 0 && isStill) this.#machine.postpone(byMs, this.#clock.monotonic());
  }

  takeMode({ order, mode, at }: ModePart): void {
    const from = this.#mode;
    this.#mode = mode;
    this.#marks = { ...this.#marks, mode: newMark(at) };
    this.#noteMode(from, `ordered on ${replicaOf(order.id)}`);
  }

  /** Who ordered it, and why, the history there tells. */
  #noteMode(from: OperatorMode, reason: string): void {
    const to = this.#mode;
    if (from === to) return;
    const at = this.#clock.now();
    this.#modeTaken = { type: "mode", from, to, actor: SYSTEM, reason, upstream: this.name, at };
  }

  /** Tells what was taken over. */
  announce(): void {
    if (this.#machine.events.length > 0) this.#announce();
    const mode = this.#modeTaken;
    this.#modeTaken = undefined;
    if (mode !== undefined) this.#emitter.emit(mode);
  }

  #afterEvidence(): void {
    if (this.#machine.events.length > 0) this.#announce();
    else if (this.#isDurable) this.#persistence.saveNow(this);
  }

  /** The state is final: count, store, and only then tell. */
  #announce(): void {
    // Taken out first, since a listener may call back in and cause events of its own.
    const events = this.#machine.events.splice(0);
    const at = this.#clock.now();
    for (const event of events) this.#account(event, at);
    for (const event of events) this.#emitter.emit({ ...event, upstream: this.name, at });
  }

  #account(event: MachineEvent, at: number): void {
    switch (event.type) {
      case "transition":
        if (event.to === "open" || event.to === "cooling-down") this.lastOpenedAt = at;
        if (SAVED_CAUSES.has(event.cause)) this.#persistence.saveNow(this);
        break;
      case "trip":
        this.#ordered(at, event.manual);
        if (event.isNewTrip) this.counters.trips += 1;
        this.#persistence.saveNow(
          this,
          this.#audit("TRIP", event.reason, event.actor, at, false),
          breakerOrder(event.manual, true),
        );
        break;
      case "reset":
        this.#ordered(at, true);
        this.counters.resets += 1;
        this.#persistence.saveNow(
          this,
          this.#audit("RESET", event.reason, event.actor, at, event.forced),
          breakerOrder(true, false),
        );
        break;
      case "recovery":
        this.#ordered(at, false);
        this.#persistence.saveNow(
          this,
          this.#audit("RESET", event.reason, event.actor, at, false),
          breakerOrder(false, false),
        );
        break;
      case "reset-denied":
        this.counters.resetsDenied += 1;
        this.#persistence.saveAudit(
          this.#audit("RESET_DENIED", event.reason, event.actor, at, false),
        );
        break;
      default:
        event satisfies never;
    }
  }

  #ordered(at: number, isByPerson: boolean): void {
    const order = newMark(at, this.#persistence.revision);
    this.#marks = { ...this.#marks, order, ...(isByPerson ? { person: order } : {}) };
  }

  #audit(
    action: AuditAction,
    reason: string,
    actor: string,
    at: number,
    forced: boolean,
  ): AuditEntry {
    return { upstream: this.name, action, reason, actor, at, forced };
  }

  #instant(): Instant {
    return { nowMs: this.#clock.monotonic(), wallMs: this.#clock.now() };
  }
}

/** It stays open for as long as it would have, whatever the other's clock shows. */
function ownTime(snapshot: BreakerSnapshot, wallMs: number): BreakerSnapshot {
  const { trippedAt, trippedUntil } = snapshot;
  if (trippedAt === null || trippedUntil === null) return snapshot;
  const until = wallMs + Math.max(0, trippedUntil - trippedAt);
  return { ...snapshot, trippedAt: Math.min(trippedAt, wallMs), trippedUntil: until };
}

function breakerOrder(isByPerson: boolean, isTrip: boolean): Ordered {
  return { part: "breaker", isByPerson, isTrip };
}
