// Brings outcomes home: decides what a call that came to its end says about the upstream. Counting it and
// telling the breaker is the books' affair. Nothing in here may replace the result or the error of the call.

import { errorText, failureText, isTimeUp, retryAfterOf } from "../../core/classify.ts";
import type { Failure, Ticket } from "../../core/breaker/machine.ts";
import { factsOf } from "../../core/error-facts.ts";
import { DeadlineError, InvalidOptionsError, withoutStack } from "../../core/errors.ts";
import { isLatency, readOutcome, toThousandths, type Outcome } from "../../core/outcome.ts";
import { isImpatient, seenByLeaver, type Wait } from "../../core/patience.ts";
import type { Refused } from "./admission.ts";
import { LimitedCall, type Settler } from "./admissions.ts";
import type { CallOwner, CallRecord } from "./bounded-call.ts";
import type { CallExtra } from "./extra.ts";
import type { HeldOwner } from "./held-call.ts";
import type { BreakerGuard } from "../breaker/guard.ts";
import type { OperationStats } from "./stats.ts";
import type { Emitter } from "../emitter.ts";
import type { EndpointSet } from "../endpoints/set.ts";
import { CallBooks, type BooksPorts } from "./books.ts";
import { Judge, type Classifiers, type Judgement } from "./judge.ts";
import type { Clock } from "../ports.ts";

/** An adapter's word, if it is one. */
function readLatency(latencyMs: unknown): number | undefined {
  return typeof latencyMs === "number" && isLatency(latencyMs) ? latencyMs : undefined;
}

interface SettlementSettings extends Classifiers {
  readonly deadlineMs: number | undefined;
}

export class Settlement implements Settler, CallOwner, HeldOwner {
  readonly books: CallBooks;
  readonly #guard: BreakerGuard;
  readonly #clock: Clock;
  readonly #ports: BooksPorts;
  readonly #judge: Judge;
  /** What the upstream may take, by its own options. */
  #deadlineMs: number | undefined;

  constructor(
    guard: BreakerGuard,
    emitter: Emitter,
    ports: BooksPorts,
    settings: SettlementSettings,
    endpoints: EndpointSet | undefined,
  ) {
    this.#guard = guard;
    this.books = new CallBooks(guard, emitter, ports);
    this.#clock = ports.clock;
    this.#ports = ports;
    this.#judge = new Judge(guard.name, ports);
    this.configure(settings, endpoints);
  }

  /** What is settled from now on is judged by these. */
  configure(settings: SettlementSettings, endpoints: EndpointSet | undefined): void {
    this.books.endpoints = endpoints;
    this.#deadlineMs = settings.deadlineMs;
    this.#judge.configure(settings);
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
    const judgement = this.#judge.ofValue(value);
    if (judgement === "ok") {
      this.books.finishOk(operation, ticket, nowMs - startMs, nowMs, extra);
      return;
    }
    // A value that stands for a timeout is no answer.
    if (judgement === "ignored") this.books.answeredMs = nowMs;
    this.#finish(judgement, operation, ticket, nowMs - startMs, nowMs, extra);
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
    const judgement = this.#judge.ofError(error);
    this.#finish(judgement, operation, ticket, nowMs - startMs, nowMs, extra);
  }

  #finish(
    judgement: Judgement,
    operation: OperationStats,
    ticket: Ticket,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    if (judgement === "ok") this.books.finishOk(operation, ticket, latencyMs, nowMs, extra);
    else if (judgement === "ignored") {
      this.books.finishIgnored(operation, ticket, latencyMs, extra);
    } else {
      const { kind, message, retryAfterMs } = judgement;
      const failure = this.#weighed(kind, message, retryAfterMs);
      this.books.finishFailed(operation, ticket, kind, failure, latencyMs, nowMs, extra);
    }
  }

  /** An adapter says itself what came of its call. */
  settle(
    operation: OperationStats,
    ticket: Ticket,
    startMs: number,
    given: Outcome,
    extra?: CallExtra,
  ): void {
    const nowMs = this.#clock.monotonic();
    const outcome = this.#read(given);
    const latencyMs = outcome.latencyMs ?? nowMs - startMs;
    if (outcome.leftAfterMs !== undefined) extra?.held?.leaves(false);
    if (outcome.outcome === "ok") this.books.finishOk(operation, ticket, latencyMs, nowMs, extra);
    else this.#settleOther(operation, ticket, outcome, latencyMs, nowMs, extra);
  }

  #settleOther(
    operation: OperationStats,
    ticket: Ticket,
    outcome: Outcome,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    if (outcome.outcome === "ignored") {
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

  /** Once admitted, a call must be settled: what cannot be used is told, and says nothing. */
  #read(given: Outcome): Outcome {
    try {
      return readOutcome("an outcome", given);
    } catch (error) {
      return this.#unusable(error);
    }
  }

  #unusable(error: unknown): Outcome {
    const faults =
      error instanceof InvalidOptionsError ? error.faults.join("; ") : errorText(error);
    const sentence = `settle(…) was given what is no outcome, and the call counts as ignored: ${faults}`;
    this.#ports.complaints.tell(this.#guard.name, "settle", sentence);
    return { outcome: "ignored" };
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

  answering(latencyMs: unknown, extra: CallExtra | undefined): void {
    const nowMs = this.#clock.monotonic();
    this.books.answeredMs = nowMs;
    const readMs = readLatency(latencyMs);
    // Without it nothing is said of the answer: a quick 429 is no sign of room.
    if (readMs !== undefined) extra?.held?.answers(nowMs, readMs);
  }

  pause(hasBegun: boolean, extra: CallExtra | undefined): void {
    extra?.held?.giveBack(this.#clock.monotonic(), hasBegun);
  }

  resume(
    isSending: boolean,
    operation: OperationStats,
    extra: CallExtra | undefined,
  ): Refused | undefined {
    const held = extra?.held;
    if (held === undefined || held.takeAgain(this.#clock.monotonic(), isSending)) return undefined;
    const { office } = held;
    operation.countRefusal(office.refusedFor);
    return new LimitedCall(this.#guard.name, operation.name, office.refusedFor, office);
  }

  expired(call: CallRecord, stalled: boolean): Error {
    const error = this.deadlineError(call, undefined);
    this.timedOut(call, stalled, error);
    return error;
  }

  timedOut(call: CallRecord, stalled: boolean, error: Error): void {
    const { operation, ticket, startMs, deadlineMs, extra } = call;
    const nowMs = this.#clock.monotonic();
    const latencyMs = nowMs - startMs;
    if (stalled) this.books.finishIgnored(operation, ticket, latencyMs, extra);
    else {
      const failure = this.#failure("timeout", error);
      const limitMs = deadlineMs ?? latencyMs;
      this.#finishTimeout(operation, ticket, failure, limitMs, latencyMs, nowMs, extra);
    }
  }

  deadlineError({ operation, deadlineMs = 0 }: CallRecord, idleMs: number | undefined): Error {
    const facts = {
      upstream: this.#guard.name,
      operation: operation.name,
      reason: "deadline",
      retryAfterMs: undefined,
    } as const;
    return withoutStack(() => new DeadlineError(facts, idleMs ?? deadlineMs, idleMs !== undefined));
  }

  /** The answer of a held call. True when it was good, so that the rest of it decides. */
  answered(call: CallRecord, value: unknown): boolean {
    const nowMs = this.#clock.monotonic();
    const judgement = this.#judge.ofValue(value);
    if (judgement === "ok" || judgement === "ignored") this.books.answeredMs = nowMs;
    const { operation, ticket, startMs, extra } = call;
    if (judgement === "ok") {
      extra?.held?.answers(nowMs, nowMs - startMs);
      return true;
    }
    this.#finish(judgement, operation, ticket, nowMs - startMs, nowMs, extra);
    return false;
  }

  done({ operation, ticket, startMs, extra }: CallRecord): void {
    const nowMs = this.#clock.monotonic();
    this.books.finishOk(operation, ticket, nowMs - startMs, nowMs, extra);
  }

  unread({ operation, ticket, startMs, extra }: CallRecord): void {
    this.books.finishIgnored(operation, ticket, this.#clock.monotonic() - startMs, extra);
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

  leaves({ extra }: CallRecord, isRunning: boolean): void {
    if (isRunning) this.books.abandoned += 1;
    extra?.held?.leaves(isRunning);
  }

  stopped({ extra }: CallRecord, isFulfilled: boolean): void {
    this.books.abandoned -= 1;
    extra?.held?.stopped(isFulfilled, this.#clock.monotonic());
  }

  #failure(kind: "failed" | "timeout", error: unknown): Failure {
    const facts = factsOf(error);
    return this.#weighed(kind, failureText(error, facts), retryAfterOf(facts));
  }

  #weighed(kind: "failed" | "timeout", message: string, retryAfterMs: number | undefined): Failure {
    const { timeoutWeightThousandths, failureWeightThousandths } = this.#guard.policy;
    const weightThousandths =
      kind === "timeout" ? timeoutWeightThousandths : failureWeightThousandths;
    return { weightThousandths, message, retryAfterMs };
  }
}
