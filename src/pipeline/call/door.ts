// The door of one upstream, and the one place where the order of admission is written down:
//
//   closing → operator's mode → breaker → load shedder → rate → limiter, with the endpoint
//
// A call that is refused before the rate takes no token, and one that is refused after it gives it back: what does
// not go to the upstream costs nothing of its quota. An operator's mode is about the breaker, and what we think of
// the upstream: it overrules the limiter, too. Forced-closed, the rate is kept all the same, since a quota is the
// upstream's and no opinion of ours; in shadow mode what it would refuse is told, and the call goes on.
//
// A refusal is a value, told to whoever listens; nothing in here throws or awaits.

import { REFUSED, type Ticket } from "../../core/breaker/machine.ts";
import type { RefusedError } from "../../core/errors.ts";
import type { RefusalReason } from "../../core/events.ts";
import { whenRejected } from "../../core/foreign.ts";
import { CRITICALITIES, tierOf, type Tier } from "../../core/overload/criticality.ts";
import {
  clampOperationLoad,
  clampSystemLoad,
  shouldShed,
  type LoadShedding,
} from "../../core/overload/load-shedder.ts";
import type { BreakerGuard } from "../breaker/guard.ts";
import type { Emitter } from "../emitter.ts";
import type { EndpointSet } from "../endpoints/set.ts";
import type { LimitGuard } from "../overload/guard.ts";
import { isLimitReason, type LimitReason } from "../overload/limit-reasons.ts";
import { UNTRACKED } from "../orders.ts";
import type { Clock, LoadSampler } from "../ports.ts";
import type { CallOptions, Refused } from "./admission.ts";
import { LimitedCall, refusalError, refusalOf } from "./admissions.ts";
import type { CallExtra } from "./extra.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { OperationStats } from "./stats.ts";
import type { CallWatcher, WatchedCall } from "./watcher.ts";
import type { Watching } from "./watching.ts";

/** What all doors of a registry share. */
export interface DoorPorts {
  readonly clock: Clock;
  readonly sampler: LoadSampler;
  readonly loadShedding: LoadShedding;
  /** Looked at by each admission: a closing registry admits nothing. */
  readonly watching: Watching;
  readonly gate: { readonly isClosing: boolean; readonly watcher: CallWatcher | undefined };
}

/** What `admit` answers a call that may wait for room. */
export const WAITS: Ticket = -3;

/** What an upstream may have beside its breaker. */
export interface DoorParts {
  readonly endpoints: EndpointSet | undefined;
  readonly limits: LimitGuard | undefined;
  readonly rates: RateLimits | undefined;
}

export class Door {
  /** What the last refused admission was refused for; read at once by the one who asked. */
  refusedFor: RefusalReason = "tripped";
  /** Endpoint and watcher of the last admitted call; read at once, too. */
  extra: CallExtra | undefined = undefined;
  /** When it was let in, where it has a permit of an upstream that is one place: to look once is enough. */
  startMs = 0;
  /** Undefined for an upstream that is one place. */
  endpoints: EndpointSet | undefined;
  /** Undefined where nothing limits the calls in flight, or where each endpoint has its own. */
  limits: LimitGuard | undefined;
  /** Whose room the last call waits for, and who watches it; read at once by the one who asked. */
  waitsFor: LimitGuard | undefined = undefined;
  watched: WatchedCall | undefined = undefined;
  /** Undefined for an upstream without any. */
  rates: RateLimits | undefined;
  readonly #guard: BreakerGuard;
  readonly #emitter: Emitter;
  readonly #ports: DoorPorts;
  #shedAt = 0;

  constructor(
    guard: BreakerGuard,
    emitter: Emitter,
    ports: DoorPorts,
    { endpoints, limits, rates }: DoorParts,
  ) {
    this.#guard = guard;
    this.#emitter = emitter;
    this.#ports = ports;
    this.endpoints = endpoints;
    this.limits = limits;
    this.rates = rates;
  }

  /**
   * Its ticket, or `REFUSED`; then `refusedFor` says why. `remainingMs`: until its deadline. A call that
   * `mayWait` may be answered `WAITS` instead: it is not refused, and asks again when `waitsFor` has room.
   */
  admit(
    operation: OperationStats,
    load: number | undefined,
    tier: Tier,
    remainingMs: number,
    mayWait = false,
  ): Ticket {
    if (this.#ports.gate.isClosing) return this.#refuse(operation, "closing", load, tier);
    let ticket = this.#guard.admit();
    let isShadowed = false;
    if (ticket === REFUSED) {
      const reason = this.#guard.refusalReason;
      if (this.#guard.mode !== "shadow") {
        if (reason === "tripped") this.limits?.freeze();
        return this.#refuse(operation, reason, load, tier);
      }
      this.#shadow(operation, reason, load, tier);
      isShadowed = true;
      ticket = UNTRACKED;
    }
    if (load !== undefined && this.#isShed(load)) {
      // The breaker may have lent a probe.
      this.#guard.settleIgnored(ticket);
      return this.#refuse(operation, "load_shed", load, tier);
    }
    const { rates } = this;
    if (rates !== undefined && !rates.take(operation.name, this.#ports.clock.monotonic())) {
      if (this.#guard.mode !== "shadow") {
        this.#guard.settleIgnored(ticket);
        return this.#refuse(operation, "rate_limited", load, tier);
      }
      // A call that would be refused twice is one call.
      if (!isShadowed) this.#shadow(operation, "rate_limited", load, tier);
      isShadowed = true;
    }
    // What the last call had is not this one's.
    this.extra = undefined;
    if (this.endpoints === undefined && this.limits === undefined) return ticket;
    if (this.#findRoom(operation, load, tier, remainingMs, isShadowed)) return ticket;
    // It was taken: in shadow mode, in which it may not have been, there always is room.
    rates?.giveBack(operation.name);
    this.#guard.settleIgnored(ticket);
    return this.#refuseRoom(operation, load, tier, mayWait);
  }

  /** An endpoint where there are several, and a permit where the calls in flight are limited: both in `extra`. */
  #findRoom(
    operation: OperationStats,
    load: number | undefined,
    tier: Tier,
    remainingMs: number,
    isShadowed: boolean,
  ): boolean {
    // Where the operator's mode overrules the breaker, it overrules these, too.
    const isForced = this.#guard.mode !== "normal";
    const { endpoints, limits } = this;
    let overruled: LimitReason | undefined;
    let extra: CallExtra | undefined;
    if (endpoints !== undefined) {
      extra = endpoints.choose(isForced, tier, remainingMs);
      ({ overruled } = endpoints);
    } else if (limits !== undefined && (isForced || !limits.refuseUntimed(tier, remainingMs))) {
      const nowMs = this.#ports.clock.monotonic();
      this.startMs = nowMs;
      extra = limits.hold(tier, nowMs, remainingMs);
      if (extra === undefined && isForced) {
        overruled = limits.refusedFor;
        extra = limits.holdAnyway(tier, nowMs);
      }
    }
    if (overruled !== undefined && !isShadowed) this.#shadow(operation, overruled, load, tier);
    // Last: a listener may have called back in.
    this.extra = extra;
    return extra !== undefined;
  }

  #refuseRoom(
    operation: OperationStats,
    load: number | undefined,
    tier: Tier,
    mayWait: boolean,
  ): Ticket {
    const full = this.limits ?? this.endpoints?.full;
    if (full === undefined) return this.#refuse(operation, "no_endpoint", load, tier);
    const { refusedFor } = full;
    this.waitsFor = full;
    if (mayWait && refusedFor === "limit" && full.line.hasRoom) {
      this.watched = undefined;
      full.asksAgain(tier);
      return WAITS;
    }
    full.countRefusal(tier, refusedFor);
    return this.#refuse(operation, refusedFor, load, tier);
  }

  /** As `admit`, with somebody told of it. */
  admitWatched(
    watcher: CallWatcher,
    operation: OperationStats,
    { load, criticality, parent }: CallOptions,
    remainingMs: number,
    mayWait = false,
  ): Ticket {
    const facts = { upstream: this.#guard.name, operation: operation.name, parent };
    const watched = this.#ports.watching.begin(watcher, facts);
    return this.admitFor(watched, operation, load, tierOf(criticality), remainingMs, mayWait);
  }

  /** As `admit`, for a call that is watched already, where somebody watches. */
  admitFor(
    watched: WatchedCall | undefined,
    operation: OperationStats,
    load: number | undefined,
    tier: Tier,
    remainingMs: number,
    mayWait = false,
  ): Ticket {
    const ticket = this.admit(operation, load, tier, remainingMs, mayWait);
    this.watched = watched;
    if (watched === undefined || ticket === WAITS) return ticket;
    const { watching } = this.#ports;
    const { name } = this.#guard;
    if (ticket === REFUSED) {
      const { refusedFor } = this;
      watching.refused(name, watched, refusedFor);
      // It may have called back in, as above.
      this.refusedFor = refusedFor;
      return ticket;
    }
    const { extra } = this;
    const endpoint = extra?.endpoint;
    watching.admitted(name, watched, endpoint?.name);
    this.extra = { endpoint, ticket: extra?.ticket ?? UNTRACKED, held: extra?.held, watched };
    return ticket;
  }

  #isShed(load: number): boolean {
    const rule = this.#ports.loadShedding;
    const operationLoad = clampOperationLoad(load);
    // The load is only measured for operations that could be shed.
    if (operationLoad <= rule.operationLoad) return false;
    try {
      const systemLoad = this.#ports.sampler.systemLoad();
      whenRejected(systemLoad);
      this.#shedAt = clampSystemLoad(systemLoad);
    } catch {
      // A sampler that fails must not refuse calls.
      return false;
    }
    return shouldShed(this.#shedAt, operationLoad, rule);
  }

  /** It would be refused, and goes on. */
  #shadow(
    operation: OperationStats,
    reason: RefusalReason,
    load: number | undefined,
    tier: Tier,
  ): void {
    operation.shadowRefused += 1;
    if (this.#emitter.hears("refused")) this.#tellRefusal(operation, reason, load, tier, true);
  }

  #refuse(
    operation: OperationStats,
    reason: RefusalReason,
    load: number | undefined,
    tier: Tier,
  ): Ticket {
    operation.countRefusal(reason);
    if (this.#emitter.hears("refused")) this.#tellRefusal(operation, reason, load, tier, false);
    // Last: a listener may have called back in, and been refused for another reason.
    this.refusedFor = reason;
    return REFUSED;
  }

  #tellRefusal(
    operation: OperationStats,
    reason: RefusalReason,
    load: number | undefined,
    tier: Tier,
    shadow: boolean,
  ): void {
    const refusal = this.refusal(operation, reason, load);
    const { retryAfterMs, remainingMs, manual, systemLoad, operationLoad } = refusal;
    this.#emitter.emit({
      type: "refused",
      upstream: this.#guard.name,
      operation: operation.name,
      criticality: CRITICALITIES[tier],
      reason,
      retryAfterMs,
      remainingMs,
      manual,
      systemLoad,
      operationLoad,
      shadow,
      at: this.#ports.clock.now(),
    });
  }

  /** The refusal as a value. */
  refusal(operation: OperationStats, reason: RefusalReason, load: number | undefined): Refused {
    if (isLimitReason(reason)) {
      return new LimitedCall(this.#guard.name, operation.name, reason, this.waitsFor);
    }
    return refusalOf(reason, this.#guard, operation.name, {
      systemLoad: this.#shedAt,
      operationLoad: clampOperationLoad(load),
      endpointMs: this.endpoints?.soonestMs(),
      rateMs: this.#rateMs(operation, reason),
    });
  }

  /** The last refusal as an error. */
  refusalError(operation: OperationStats, load: number | undefined): RefusedError {
    return refusalError(this.refusedFor, this.#guard, operation.name, {
      systemLoad: this.#shedAt,
      operationLoad: clampOperationLoad(load),
      threshold: this.#ports.loadShedding.threshold,
      limits: this.waitsFor,
      endpointMs: this.endpoints?.soonestMs(),
      rateMs: this.#rateMs(operation, this.refusedFor),
    });
  }

  #rateMs(operation: OperationStats, reason: RefusalReason): number {
    if (reason !== "rate_limited" || this.rates === undefined) return 0;
    return this.rates.waitMs(operation.name, this.#ports.clock.monotonic());
  }
}
