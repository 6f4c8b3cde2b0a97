// Brings outcomes home: classifies what a call came to, counts it, and tells the breaker. Nothing in
// here may replace the result or the error of the call.

import { classifyError, errorText, type ErrorClass } from "../core/classify.ts";
import type { Failure, Ticket } from "../core/breaker/machine.ts";
import { DeadlineError, withoutStack } from "../core/errors.ts";
import { isLatency, toThousandths, type Outcome } from "../core/outcome.ts";
import type { Settler } from "./admissions.ts";
import type { CallOwner, CallRecord } from "./bounded-call.ts";
import type { BreakerGuard } from "./breaker-guard.ts";
import type { OperationStats } from "./call-stats.ts";
import type { Emitter } from "./emitter.ts";
import type { Clock } from "./ports.ts";

/** What a fulfilled value says about the upstream. */
export type ResultClass = "success" | "failure" | "timeout" | "ignore";

export interface Classifiers {
  /** How an error counts. Default: timeouts are recognised, aborts and refusals are ignored. */
  readonly classifyError?: ((error: unknown) => ErrorClass) | undefined;
  /** How a fulfilled value counts; the value is returned all the same. Default: success. */
  readonly classifyResult?: ((value: unknown) => ResultClass) | undefined;
}

export class Settlement implements Settler, CallOwner {
  /** Calls whose callers wait. */
  inFlight = 0;
  /** Calls that ended for their callers and still run. */
  abandonedCalls = 0;
  readonly #guard: BreakerGuard;
  readonly #emitter: Emitter;
  readonly #clock: Clock;
  readonly #classifyError: (error: unknown) => ErrorClass;
  readonly #classifyResult: ((value: unknown) => ResultClass) | undefined;

  constructor(guard: BreakerGuard, emitter: Emitter, clock: Clock, classifiers: Classifiers) {
    this.#guard = guard;
    this.#emitter = emitter;
    this.#clock = clock;
    this.#classifyError = classifiers.classifyError ?? classifyError;
    this.#classifyResult = classifiers.classifyResult;
  }

  /** A call fulfilled. */
  value(operation: OperationStats, ticket: Ticket, startMs: number, value: unknown): void {
    const nowMs = this.#clock.monotonic();
    const classify = this.#classifyResult;
    if (classify === undefined) {
      this.#finishOk(operation, ticket, nowMs - startMs, nowMs);
      return;
    }
    const result = safely(() => classify(value), "success");
    const latencyMs = nowMs - startMs;
    if (result === "success") this.#finishOk(operation, ticket, latencyMs, nowMs);
    else if (result === "ignore") this.#finishIgnored(operation, ticket, latencyMs);
    else {
      const message = `the result was classified as ${result}`;
      const kind = result === "timeout" ? "timeout" : "failed";
      this.#finishFailed(operation, ticket, kind, this.#failure(kind, message), latencyMs, nowMs);
    }
  }

  /** A call rejected or threw. */
  error(operation: OperationStats, ticket: Ticket, startMs: number, error: unknown): void {
    const nowMs = this.#clock.monotonic();
    const kind = safely(() => this.#classifyError(error), "failed");
    if (kind === "ignored") this.#finishIgnored(operation, ticket, nowMs - startMs);
    else {
      const failure = this.#failure(kind, error);
      this.#finishFailed(operation, ticket, kind, failure, nowMs - startMs, nowMs);
    }
  }

  /** An adapter says itself what came of its call. */
  settle(operation: OperationStats, ticket: Ticket, startMs: number, outcome: Outcome): void {
    const nowMs = this.#clock.monotonic();
    const latencyMs = outcome.latencyMs ?? nowMs - startMs;
    if (outcome.outcome === "ok") this.#finishOk(operation, ticket, latencyMs, nowMs);
    else if (outcome.outcome === "ignored") this.#finishIgnored(operation, ticket, latencyMs);
    else {
      const kind = outcome.timeout === true ? "timeout" : "failed";
      this.#finishFailed(operation, ticket, kind, this.failureOf(outcome), latencyMs, nowMs);
    }
  }

  /** What a failed outcome weighs and says. */
  failureOf({ weight, timeout, error }: Outcome): Failure {
    const usual = this.#failure(timeout === true ? "timeout" : "failed", error);
    if (weight === undefined || !isLatency(weight)) return usual;
    return { weightThousandths: toThousandths(weight), message: usual.message };
  }

  ok({ operation, ticket, startMs }: CallRecord, value: unknown): void {
    this.value(operation, ticket, startMs, value);
  }

  failed({ operation, ticket, startMs }: CallRecord, error: unknown): void {
    this.error(operation, ticket, startMs, error);
  }

  aborted({ operation, ticket, startMs }: CallRecord): void {
    this.#finishIgnored(operation, ticket, this.#clock.monotonic() - startMs);
  }

  expired({ operation, ticket, startMs, deadlineMs = 0 }: CallRecord, stalled: boolean): Error {
    const nowMs = this.#clock.monotonic();
    const latencyMs = nowMs - startMs;
    const facts = {
      upstream: this.#guard.name,
      operation: operation.name,
      reason: "deadline",
      retryAfterMs: undefined,
    } as const;
    const error = withoutStack(() => new DeadlineError(facts, deadlineMs));
    if (stalled) this.#finishIgnored(operation, ticket, latencyMs);
    else {
      const failure = this.#failure("timeout", error);
      this.#finishFailed(operation, ticket, "timeout", failure, latencyMs, nowMs);
    }
    return error;
  }

  abandoned(change: 1 | -1): void {
    this.abandonedCalls += change;
  }

  #finishOk(operation: OperationStats, ticket: Ticket, latencyMs: number, nowMs: number): void {
    this.inFlight -= 1;
    operation.ok += 1;
    operation.countDuration(latencyMs);
    this.#guard.settleOk(ticket, latencyMs, nowMs);
    if (this.#emitter.hears("settled")) this.#tell(operation, "ok", latencyMs);
  }

  #finishFailed(
    operation: OperationStats,
    ticket: Ticket,
    kind: "failed" | "timeout",
    failure: Failure,
    latencyMs: number,
    nowMs: number,
  ): void {
    this.inFlight -= 1;
    operation[kind] += 1;
    operation.countDuration(latencyMs);
    this.#guard.settleFailed(ticket, failure, latencyMs, nowMs);
    if (this.#emitter.hears("settled")) this.#tell(operation, kind, latencyMs);
  }

  #finishIgnored(operation: OperationStats, ticket: Ticket, latencyMs: number): void {
    this.inFlight -= 1;
    operation.ignored += 1;
    this.#guard.settleIgnored(ticket);
    if (this.#emitter.hears("settled")) this.#tell(operation, "ignored", latencyMs);
  }

  #failure(kind: "failed" | "timeout", error: unknown): Failure {
    const { policy } = this.#guard;
    return {
      weightThousandths:
        kind === "timeout" ? policy.timeoutWeightThousandths : policy.failureWeightThousandths,
      message: error === undefined ? "no reason given" : errorText(error),
    };
  }

  #tell(operation: OperationStats, outcome: "ok" | ErrorClass, latencyMs: number): void {
    this.#emitter.emit({
      type: "settled",
      upstream: this.#guard.name,
      operation: operation.name,
      outcome,
      latencyMs,
      at: this.#clock.now(),
    });
  }
}

/** Classifiers are the host's code: what they throw must not replace a call's result. */
function safely<Value>(run: () => Value, otherwise: Value): Value {
  try {
    return run();
  } catch {
    return otherwise;
  }
}
