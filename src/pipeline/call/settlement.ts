// Brings outcomes home: decides what a call that came to its end says about the upstream. Counting it and
// telling the breaker is the books' affair. Nothing in here may replace the result or the error of the call.

import {
  classifyError,
  errorText,
  isTimeUp,
  retryAfterOf,
  type ErrorClass,
} from "../../core/classify.ts";
import type { Failure, Ticket } from "../../core/breaker/machine.ts";
import { DeadlineError, withoutStack } from "../../core/errors.ts";
import { isLatency, toThousandths, type Outcome } from "../../core/outcome.ts";
import { isImpatient, seenByLeaver, type Wait } from "../../core/patience.ts";
import type { Settler } from "./admissions.ts";
import type { CallOwner, CallRecord } from "./bounded-call.ts";
import type { CallExtra } from "./extra.ts";
import type { BreakerGuard } from "../breaker/guard.ts";
import type { OperationStats } from "./stats.ts";
import type { Emitter } from "../emitter.ts";
import type { EndpointSet } from "../endpoints/set.ts";
import { CallBooks } from "./books.ts";
import type { Clock } from "../ports.ts";

/** What a fulfilled value says about the upstream. */
export type ResultClass = "success" | "failure" | "timeout" | "ignore";

export interface Classifiers {
  /** How an error counts. Default: timeouts are recognised, aborts and refusals are ignored. */
  readonly classifyError?: ((error: unknown) => ErrorClass) | undefined;
  /** How a fulfilled value counts; the value is returned all the same. Default: success. */
  readonly classifyResult?: ((value: unknown) => ResultClass) | undefined;
}

interface SettlementSettings extends Classifiers {
  readonly deadlineMs: number | undefined;
}

export class Settlement implements Settler, CallOwner {
  readonly books: CallBooks;
  readonly #guard: BreakerGuard;
  readonly #clock: Clock;
  #classifyError: (error: unknown) => ErrorClass = classifyError;
  #classifyResult: ((value: unknown) => ResultClass) | undefined;
  /** What the upstream may take, by its own options. */
  #deadlineMs: number | undefined;

  constructor(
    guard: BreakerGuard,
    emitter: Emitter,
    clock: Clock,
    settings: SettlementSettings,
    endpoints: EndpointSet | undefined,
  ) {
    this.#guard = guard;
    this.books = new CallBooks(guard, emitter, clock);
    this.#clock = clock;
    this.configure(settings, endpoints);
  }

  /** What is settled from now on is judged by these. */
  configure(settings: SettlementSettings, endpoints: EndpointSet | undefined): void {
    this.books.endpoints = endpoints;
    this.#deadlineMs = settings.deadlineMs;
    this.#classifyError = settings.classifyError ?? classifyError;
    this.#classifyResult = settings.classifyResult;
  }

  /** A call fulfilled. */
  value(
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    value: unknown,
    extra?: CallExtra,
  ): void {
    const nowMs = this.#clock.monotonic();
    const classify = this.#classifyResult;
    if (classify === undefined) {
      this.books.finishOk(operation, ticket, nowMs - startMs, nowMs, extra);
      return;
    }
    const result = safely(() => classify(value), "success");
    const latencyMs = nowMs - startMs;
    if (result === "success") this.books.finishOk(operation, ticket, latencyMs, nowMs, extra);
    else if (result === "ignore") {
      this.books.answeredMs = nowMs;
      this.books.finishIgnored(operation, ticket, latencyMs, extra);
    } else {
      const kind = result === "timeout" ? "timeout" : "failed";
      const failure = this.#failure(kind, `the result was classified as ${result}`);
      this.books.finishFailed(operation, ticket, kind, failure, latencyMs, nowMs, extra);
    }
  }

  /** A call rejected or threw. */
  error(
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    error: unknown,
    extra?: CallExtra,
  ): void {
    const nowMs = this.#clock.monotonic();
    const kind = safely(() => this.#classifyError(error), "failed");
    if (kind === "ignored") this.books.finishIgnored(operation, ticket, nowMs - startMs, extra);
    else {
      const failure = this.#failure(kind, error);
      this.books.finishFailed(operation, ticket, kind, failure, nowMs - startMs, nowMs, extra);
    }
  }

  /** An adapter says itself what came of its call. */
  settle(
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    outcome: Outcome,
    extra?: CallExtra,
  ): void {
    const nowMs = this.#clock.monotonic();
    const latencyMs = outcome.latencyMs ?? nowMs - startMs;
    if (outcome.outcome === "ok") this.books.finishOk(operation, ticket, latencyMs, nowMs, extra);
    else if (outcome.outcome === "ignored") {
      const { leftAfterMs: waitedMs, waitedInAllMs: silentMs = waitedMs } = outcome;
      if (waitedMs === undefined || silentMs === undefined) {
        this.books.finishIgnored(operation, ticket, latencyMs, extra);
      } else this.#finishLeft(operation, ticket, { waitedMs, silentMs }, nowMs, extra);
    } else {
      const kind = outcome.timeout === true ? "timeout" : "failed";
      const failure = this.failureOf(outcome);
      this.books.finishFailed(operation, ticket, kind, failure, latencyMs, nowMs, extra);
    }
  }

  /** What a failed outcome weighs and says. */
  failureOf({ weight, timeout, error, retryAfterMs }: Outcome): Failure {
    const usual = this.#failure(timeout === true ? "timeout" : "failed", error);
    if (weight === undefined && retryAfterMs === undefined) return usual;
    return {
      weightThousandths:
        weight === undefined || !isLatency(weight)
          ? usual.weightThousandths
          : toThousandths(weight),
      message: usual.message,
      retryAfterMs: retryAfterMs ?? usual.retryAfterMs,
    };
  }

  ok({ operation, ticket, startMs, extra }: CallRecord, value: unknown): void {
    this.value(operation, ticket, startMs, value, extra);
  }

  failed({ operation, ticket, startMs, extra }: CallRecord, error: unknown): void {
    this.error(operation, ticket, startMs, error, extra);
  }

  /** A caller's time that was up is a deadline, given in another way. */
  aborted({ operation, ticket, startMs, extra }: CallRecord, reason: unknown): void {
    const nowMs = this.#clock.monotonic();
    const waitedMs = nowMs - startMs;
    if (isTimeUp(reason)) {
      const failure = this.#failure("timeout", reason);
      this.#finishTimeout(operation, ticket, failure, waitedMs, waitedMs, nowMs, extra);
    } else {
      this.#finishLeft(operation, ticket, { waitedMs, silentMs: waitedMs }, nowMs, extra);
    }
  }

  answering(): void {
    this.books.answeredMs = this.#clock.monotonic();
  }

  expired(call: CallRecord, stalled: boolean): Error {
    const { operation, ticket, startMs, deadlineMs = 0, extra } = call;
    const nowMs = this.#clock.monotonic();
    const latencyMs = nowMs - startMs;
    const facts = {
      upstream: this.#guard.name,
      operation: operation.name,
      reason: "deadline",
      retryAfterMs: undefined,
    } as const;
    const error = withoutStack(() => new DeadlineError(facts, deadlineMs));
    if (stalled) this.books.finishIgnored(operation, ticket, latencyMs, extra);
    else {
      const failure = this.#failure("timeout", error);
      this.#finishTimeout(operation, ticket, failure, deadlineMs, latencyMs, nowMs, extra);
    }
    return error;
  }

  /** The upstream's own limit is evidence; a shorter one of the caller's only where it was not too short. */
  #finishTimeout(
    operation: OperationStats,
    ticket: Ticket,
    failure: Failure,
    limitMs: number,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    const isOwn = this.#deadlineMs !== undefined && limitMs >= this.#deadlineMs;
    if (!isOwn && isImpatient(limitMs, this.#guard.averageMs)) {
      this.books.finishIgnored(operation, ticket, latencyMs, extra);
    } else {
      this.books.finishFailed(operation, ticket, "timeout", failure, latencyMs, nowMs, extra);
    }
  }

  /** The caller gave up while the upstream owed it an answer. */
  #finishLeft(
    operation: OperationStats,
    ticket: Ticket,
    { waitedMs, silentMs }: Wait,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    const silence = Math.min(silentMs, nowMs - this.books.answeredMs);
    const { slowCallMs, averageMs } = this.#guard;
    const standard = { slowCallMs, averageMs, deadlineMs: this.#deadlineMs };
    const seen = seenByLeaver({ waitedMs, silentMs: silence }, standard);
    if (seen === "timeout") {
      const failure = this.#failure("timeout", `nobody was answered for ${Math.round(silence)} ms`);
      this.books.finishFailed(operation, ticket, "timeout", failure, waitedMs, nowMs, extra);
      return;
    }
    if (seen === "slow") this.books.finishSlow(operation, ticket, waitedMs, nowMs, extra);
    else this.books.finishIgnored(operation, ticket, waitedMs, extra);
  }

  abandoned(change: 1 | -1): void {
    this.books.abandoned += change;
  }

  #failure(kind: "failed" | "timeout", error: unknown): Failure {
    const { policy } = this.#guard;
    return {
      weightThousandths:
        kind === "timeout" ? policy.timeoutWeightThousandths : policy.failureWeightThousandths,
      message: error === undefined ? "no reason given" : errorText(error),
      retryAfterMs: retryAfterOf(error),
    };
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
