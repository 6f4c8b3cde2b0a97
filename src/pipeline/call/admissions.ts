// Refusals as values and as errors, and the admissions of `tryAcquire`. Classes, because their shape is
// then known before the first one is made; a refusal's times are only computed for those who ask. Of
// those that come by the thousand, what is the same for all is no field.

import type { MachineRefusal, Ticket } from "../../core/breaker/machine.ts";
import {
  BreakerOpenError,
  ClosingError,
  InvalidOptionsError,
  LimitedError,
  LoadShedError,
  NoEndpointError,
  RateLimitedError,
  withoutStack,
  type RefusedError,
} from "../../core/errors.ts";
import type { RefusalReason } from "../../core/events.ts";
import type { Outcome } from "../../core/outcome.ts";
import { isLimitReason, type LimitReason } from "../overload/limit-reasons.ts";
import type { Admitted, EndpointTarget, Refused } from "./admission.ts";
import type { OperationStats } from "./stats.ts";
import type { CallExtra } from "./extra.ts";
import type { WatchedCall } from "./watcher.ts";

/** Load is measured anew within a second. */
const SHED_RETRY_MS = 1000;

/** Who takes the outcome. */
export interface Settler {
  answering(latencyMs: unknown, extra: CallExtra | undefined): void;
  settle(
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    outcome: Outcome,
    extra: CallExtra | undefined,
  ): void;
  pause(hasBegun: boolean, extra: CallExtra | undefined): void;
  resume(
    isSending: boolean,
    operation: OperationStats,
    extra: CallExtra | undefined,
  ): Refused | undefined;
}

export class AdmittedCall implements Admitted {
  readonly admitted = true;
  readonly #settler: Settler;
  readonly #operation: OperationStats;
  readonly #ticket: Ticket;
  readonly #startMs: number;
  readonly #extra: CallExtra | undefined;
  #isSettled = false;

  constructor(
    settler: Settler,
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    extra: CallExtra | undefined,
  ) {
    this.#extra = extra;
    this.#settler = settler;
    this.#operation = operation;
    this.#ticket = ticket;
    this.#startMs = startMs;
  }

  get endpoint(): EndpointTarget | undefined {
    return this.#extra?.endpoint;
  }

  get watched(): WatchedCall | undefined {
    return this.#extra?.watched;
  }

  answering(latencyMs?: number): void {
    checkOwner(this, "answering");
    this.#settler.answering(latencyMs, this.#extra);
  }

  pause(hasBegun = false): void {
    checkOwner(this, "pause");
    if (!this.#isSettled) this.#settler.pause(hasBegun, this.#extra);
  }

  resume(isSending = false): Refused | undefined {
    checkOwner(this, "resume");
    if (this.#isSettled) return undefined;
    return this.#settler.resume(isSending, this.#operation, this.#extra);
  }

  settle(outcome: Outcome): void {
    checkOwner(this, "settle");
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settler.settle(this.#operation, this.#ticket, this.#startMs, outcome, this.#extra);
  }
}

/** Taken off its admission a method is nobody's; one that could be would cost each admission a tenth on Node. */
function checkOwner(admission: AdmittedCall | undefined, method: string): void {
  if (admission !== undefined) return;
  throw new InvalidOptionsError("tryAcquire", [
    `call ${method} on the admission, as in admission.${method}(…): taken off it, it belongs to no call`,
  ]);
}

/** Where a tripped breaker's times are read. */
interface RefusalSource {
  readonly name: string;
  refusal(): MachineRefusal;
}

class TrippedCall implements Refused {
  readonly admitted = false;
  readonly reason: RefusalReason;
  readonly operation: string;
  readonly #source: RefusalSource;

  constructor(source: RefusalSource, operation: string, reason: RefusalReason) {
    this.#source = source;
    this.operation = operation;
    this.reason = reason;
  }

  get upstream(): string {
    return this.#source.name;
  }

  get retryAfterMs(): number | undefined {
    return this.#source.refusal().retryAfterMs;
  }

  get remainingMs(): number {
    return this.#source.refusal().remainingMs;
  }

  get manual(): boolean {
    return this.#source.refusal().manual;
  }

  get systemLoad(): undefined {
    return undefined;
  }

  get operationLoad(): undefined {
    return undefined;
  }
}

/** Where the time is read after which there may be room. */
interface LimitSource {
  readonly retryAfterMs: number;
  /** Why there is none, where that is unusual. */
  readonly whyFull: string | undefined;
}

/** As much is in flight as may be. */
export class LimitedCall implements Refused {
  readonly admitted = false;
  readonly reason: RefusalReason;
  readonly upstream: string;
  readonly operation: string;
  readonly #limits: LimitSource | undefined;

  constructor(
    upstream: string,
    operation: string,
    reason: RefusalReason,
    limits: LimitSource | undefined,
  ) {
    this.upstream = upstream;
    this.operation = operation;
    this.reason = reason;
    this.#limits = limits;
  }

  get retryAfterMs(): number {
    return this.#limits?.retryAfterMs ?? 0;
  }

  get remainingMs(): number {
    return this.retryAfterMs;
  }

  get why(): string | undefined {
    return this.reason === "limit" ? this.#limits?.whyFull : undefined;
  }

  get manual(): boolean {
    return false;
  }

  get systemLoad(): undefined {
    return undefined;
  }

  get operationLoad(): undefined {
    return undefined;
  }
}

/** Every endpoint cools down. */
class StrandedCall implements Refused {
  readonly admitted = false;
  readonly reason = "no_endpoint";
  readonly manual = false;
  readonly systemLoad = undefined;
  readonly operationLoad = undefined;
  readonly upstream: string;
  readonly operation: string;
  readonly retryAfterMs: number | undefined;

  constructor(upstream: string, operation: string, retryAfterMs: number | undefined) {
    this.upstream = upstream;
    this.operation = operation;
    this.retryAfterMs = retryAfterMs;
  }

  get remainingMs(): number {
    return this.retryAfterMs ?? 0;
  }
}

class RateLimitedCall implements Refused {
  readonly admitted = false;
  readonly reason = "rate_limited";
  readonly manual = false;
  readonly systemLoad = undefined;
  readonly operationLoad = undefined;
  readonly upstream: string;
  readonly operation: string;
  readonly retryAfterMs: number;

  constructor(upstream: string, operation: string, retryAfterMs: number) {
    this.upstream = upstream;
    this.operation = operation;
    this.retryAfterMs = retryAfterMs;
  }

  get remainingMs(): number {
    return this.retryAfterMs;
  }
}

class ShedCall implements Refused {
  readonly admitted = false;
  readonly reason = "load_shed";
  readonly retryAfterMs = SHED_RETRY_MS;
  readonly remainingMs = 0;
  readonly manual = false;
  readonly upstream: string;
  readonly operation: string;
  readonly systemLoad: number;
  readonly operationLoad: number;

  constructor(upstream: string, operation: string, systemLoad: number, operationLoad: number) {
    this.upstream = upstream;
    this.operation = operation;
    this.systemLoad = systemLoad;
    this.operationLoad = operationLoad;
  }
}

class ClosingCall implements Refused {
  readonly admitted = false;
  readonly reason = "closing";
  /** A closing process never admits again. */
  readonly retryAfterMs = undefined;
  readonly remainingMs = 0;
  readonly manual = false;
  readonly systemLoad = undefined;
  readonly operationLoad = undefined;
  readonly upstream: string;
  readonly operation: string;

  constructor(upstream: string, operation: string) {
    this.upstream = upstream;
    this.operation = operation;
  }
}

interface Circumstances {
  /** How loaded we were, and how heavy the call: meaningful for a shed call only. */
  readonly systemLoad: number;
  readonly operationLoad: number;
  /** Until an endpoint may take a call; undefined when only a person can help. */
  readonly endpointMs: number | undefined;
  /** Until the rate lets the next call go: meaningful for a call over its rate only. */
  readonly rateMs: number;
}

/** Of any reason but the limiter's, which has `LimitedCall`. */
export function refusalOf(
  reason: Exclude<RefusalReason, LimitReason>,
  source: RefusalSource,
  operation: string,
  { systemLoad, operationLoad, endpointMs, rateMs }: Circumstances,
): Refused {
  if (reason === "load_shed") {
    return new ShedCall(source.name, operation, systemLoad, operationLoad);
  }
  if (reason === "rate_limited") return new RateLimitedCall(source.name, operation, rateMs);
  if (reason === "no_endpoint") return new StrandedCall(source.name, operation, endpointMs);
  return reason === "closing"
    ? new ClosingCall(source.name, operation)
    : new TrippedCall(source, operation, reason);
}

export function refusalError(
  reason: RefusalReason,
  source: RefusalSource,
  operation: string,
  circumstances: Circumstances & {
    readonly threshold: number;
    /** Who refused a call over a limit; meaningless for others. */
    readonly limits: LimitSource | undefined;
  },
): RefusedError {
  const upstream = source.name;
  if (isLimitReason(reason)) {
    const { limits } = circumstances;
    const facts = { upstream, operation, reason, retryAfterMs: limits?.retryAfterMs };
    const why = reason === "limit" ? limits?.whyFull : undefined;
    return withoutStack(() => new LimitedError(facts, why));
  }
  if (reason === "tripped" || reason === "half_open_limit" || reason === "ramping") {
    const refusal = source.refusal();
    const facts = { upstream, operation, reason, retryAfterMs: refusal.retryAfterMs };
    return withoutStack(() => new BreakerOpenError(facts, refusal));
  }
  if (reason === "closing") {
    const facts = { upstream, operation, reason, retryAfterMs: undefined };
    return withoutStack(() => new ClosingError(facts));
  }
  if (reason === "no_endpoint") {
    const facts = { upstream, operation, reason, retryAfterMs: circumstances.endpointMs };
    return withoutStack(() => new NoEndpointError(facts));
  }
  if (reason === "rate_limited") {
    const facts = { upstream, operation, reason, retryAfterMs: circumstances.rateMs };
    return withoutStack(() => new RateLimitedError(facts));
  }
  const facts = { upstream, operation, reason, retryAfterMs: SHED_RETRY_MS };
  return withoutStack(() => new LoadShedError(facts, circumstances));
}
