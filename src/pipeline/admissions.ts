// Refusals as values and as errors, and the admissions of `tryAcquire`. Classes, because their shape is
// then known before the first one is made; a refusal's times are only computed for those who ask.

import type { MachineRefusal, Ticket } from "../core/breaker/machine.ts";
import {
  BreakerOpenError,
  ClosingError,
  LoadShedError,
  withoutStack,
  type RefusedError,
} from "../core/errors.ts";
import type { RefusalReason } from "../core/events.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Admitted, Refused } from "./admission.ts";
import type { OperationStats } from "./call-stats.ts";

/** Load is measured anew within a second. */
const SHED_RETRY_MS = 1000;

/** Who takes the outcome. */
export interface Settler {
  settle(operation: OperationStats, ticket: Ticket, startMs: number, outcome: Outcome): void;
}

export class AdmittedCall implements Admitted {
  readonly admitted = true;
  readonly #settler: Settler;
  readonly #operation: OperationStats;
  readonly #ticket: Ticket;
  readonly #startMs: number;
  #isSettled = false;

  constructor(settler: Settler, operation: OperationStats, ticket: Ticket, startMs: number) {
    this.#settler = settler;
    this.#operation = operation;
    this.#ticket = ticket;
    this.#startMs = startMs;
  }

  settle(outcome: Outcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settler.settle(this.#operation, this.#ticket, this.#startMs, outcome);
  }
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
  readonly systemLoad = undefined;
  readonly operationLoad = undefined;
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

/** How loaded we were, and how heavy the call: meaningful for a shed call only. */
interface Load {
  readonly systemLoad: number;
  readonly operationLoad: number;
}

export function refusalOf(
  reason: RefusalReason,
  source: RefusalSource,
  operation: string,
  load: Load,
): Refused {
  if (reason === "load_shed") {
    return new ShedCall(source.name, operation, load.systemLoad, load.operationLoad);
  }
  return reason === "closing"
    ? new ClosingCall(source.name, operation)
    : new TrippedCall(source, operation, reason);
}

export function refusalError(
  reason: RefusalReason,
  source: RefusalSource,
  operation: string,
  load: Load & { readonly threshold: number },
): RefusedError {
  const upstream = source.name;
  if (reason === "tripped" || reason === "half_open_limit" || reason === "ramping") {
    const refusal = source.refusal();
    const facts = { upstream, operation, reason, retryAfterMs: refusal.retryAfterMs };
    return withoutStack(() => new BreakerOpenError(facts, refusal));
  }
  if (reason === "closing") {
    const facts = { upstream, operation, reason, retryAfterMs: undefined };
    return withoutStack(() => new ClosingError(facts));
  }
  const facts = { upstream, operation, reason, retryAfterMs: SHED_RETRY_MS };
  return withoutStack(() => new LoadShedError(facts, load));
}
