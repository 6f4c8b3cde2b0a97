// One call's life between the server that received it and the client that forwards it: admitted
// once, settled once, whichever of answer, error, deadline, caller and shutdown comes first.

import type { Clock, Scheduler } from "../core/clock.ts";
import type { Outcome } from "../core/outcome.ts";
import type { Admitted } from "../pipeline/call/admission.ts";
import type { DeadlineEntry, Expiring } from "../pipeline/call/deadline.ts";
import { DeadlineQueue } from "../pipeline/call/deadline.ts";
import type { Ending } from "./classify.ts";
import { outcomeOfEnding, outcomeOfError, outcomeOfStatus } from "./classify.ts";
import type { AccessEntry, GatewayCallOptions, GatewayOptions } from "./ports.ts";
import type { Problem } from "./problem.ts";
import { retryAfterMs } from "./retry-after.ts";
import type { Destination } from "./route.ts";

/** A call's two connections, as its transport holds them. */
export interface Line {
  /** Lets go of both, as far as they are still held; the caller is told, as far as it still can. */
  cut(ending: Ending): void;
}

/** What all calls of one gateway share. */
export class CallBook {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /**
   * Each call knows its place. A `Set` on Bun is taken to link its dead entries to later ones, as
   * the deadline queue did: see there for what that cost.
   */
  readonly #open: Call[] = [];
  readonly #onAccess: GatewayOptions["onAccess"];
  #onIdle: (() => void) | undefined;

  constructor(scheduler: Scheduler, onAccess: GatewayOptions["onAccess"]) {
    this.clock = scheduler;
    this.deadlines = new DeadlineQueue(scheduler);
    this.#onAccess = onAccess;
  }

  get size(): number {
    return this.#open.length;
  }

  /** Answers the call's place, by which it is taken out again. */
  opened(call: Call): number {
    return this.#open.push(call) - 1;
  }

  closed(call: Call): void {
    const last = this.#open.pop();
    if (last !== undefined && last !== call) {
      this.#open[call.place] = last;
      last.place = call.place;
    }
    if (this.#open.length === 0) this.#onIdle?.();
  }

  /** Resolves true when no call is left, false after `graceMs`. */
  async drained(graceMs: number): Promise<boolean> {
    if (this.#open.length === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), Math.max(0, graceMs));
    this.#onIdle = () => resolve(true);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#onIdle = undefined;
    }
  }

  abortAll(): void {
    // A copy: calls leave the list as they end.
    for (const call of this.#open.slice()) call.end("stopping");
  }

  get hasListener(): boolean {
    return this.#onAccess !== undefined;
  }

  /** An answer of our own to a call that was not admitted. */
  refused(
    method: string,
    answer: Problem,
    destination: Destination | undefined,
    operation: string | null,
  ): void {
    if (this.#onAccess === undefined) return;
    this.report({
      upstream: destination?.upstream.name ?? null,
      operation,
      method,
      status: answer.status,
      outcome: "refused",
      reason: answer.reason,
      latencyMs: 0,
      durationMs: 0,
      criticality: null,
    });
  }

  report(entry: AccessEntry): void {
    try {
      this.#onAccess?.(entry);
    } catch {
      // A log that cannot be written must not take the call with it.
    }
  }
}

export class Call implements Expiring {
  readonly destination: Destination;
  readonly deadlineMs: number;
  readonly method: string;
  /** On the monotonic clock. */
  readonly startedMs: number;
  /** Where the book keeps it. */
  place: number;
  /** Set by the transport. */
  line: Line | undefined;
  /** Why the call ended early, once it did. */
  ending: Ending | undefined;

  readonly #book: CallBook;
  readonly #options: GatewayCallOptions;
  readonly #admitted: Admitted;
  readonly #deadline: DeadlineEntry;
  #latencyMs: number | undefined;
  #retryAfterMs: number | undefined;
  #isSettled = false;
  #isStreaming = false;
  /** What the caller was sent, and why when it was our own. */
  #sentStatus = 0;
  #sentReason: string | null = null;

  constructor(
    book: CallBook,
    destination: Destination,
    facts: {
      readonly method: string;
      readonly options: GatewayCallOptions;
      readonly deadlineMs: number;
      readonly admitted: Admitted;
    },
  ) {
    this.destination = destination;
    this.deadlineMs = facts.deadlineMs;
    this.method = facts.method;
    this.#book = book;
    this.#options = facts.options;
    this.#admitted = facts.admitted;
    this.startedMs = book.clock.monotonic();
    this.#deadline = book.deadlines.add(this, facts.deadlineMs, this.startedMs);
    this.place = book.opened(this);
  }

  get operation(): string {
    return this.#options.operation ?? "unknown";
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Marks the arrival of the answer's headers: that is its latency. */
  headersArrived(status: number, retryAfter?: string | null): void {
    this.#latencyMs = this.#book.clock.monotonic() - this.startedMs;
    this.#sentStatus = status;
    if (retryAfter !== undefined) {
      this.#retryAfterMs = retryAfterMs(retryAfter, this.#book.clock.now());
    }
  }

  /** The answer's headers went out before its body was here: its status can no longer change. */
  streams(): void {
    this.#isStreaming = true;
  }

  /** The answer arrived whole. */
  complete(): void {
    const { status429 } = this.destination.upstream;
    const outcome = outcomeOfStatus(this.#sentStatus, status429, this.#elapsedMs());
    const retryAfterMs = this.#retryAfterMs;
    this.#settle(retryAfterMs === undefined ? outcome : { ...outcome, retryAfterMs });
  }

  /** The upstream broke off, or was not reached. The caller is sent `answer`, if it still can be. */
  fail(error: unknown, answer: Problem | undefined): void {
    this.#answerWith(answer);
    this.#settle(outcomeOfError(error, this.#elapsedMs()));
  }

  /** Ends the call early: settles it, then lets go of the connections. */
  end(ending: Ending): void {
    if (this.#isSettled) return;
    this.ending = ending;
    this.#settle(outcomeOfEnding(ending, this.deadlineMs, this.#elapsedMs()), ending);
    this.line?.cut(ending);
  }

  expire(stalled: boolean): void {
    this.end(stalled ? "stalled" : "deadline");
  }

  #answerWith(answer: Problem | undefined): void {
    if (answer === undefined) return;
    this.#sentStatus = answer.status;
    this.#sentReason = answer.reason;
  }

  #elapsedMs(): number {
    return this.#latencyMs ?? this.#book.clock.monotonic() - this.startedMs;
  }

  #settle(outcome: Outcome, ending?: Ending): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#book.deadlines.remove(this.#deadline);
    try {
      this.#admitted.settle(outcome);
    } finally {
      if (this.#book.hasListener) this.#report(outcome, ending);
      this.#book.closed(this);
    }
  }

  #report(outcome: Outcome, ending: Ending | undefined): void {
    const isCut = ending !== undefined && !this.#isStreaming;
    const sent = isCut
      ? SENT_ON_ENDING[ending]
      : { status: this.#sentStatus, reason: this.#sentReason };
    this.#book.report({
      upstream: this.destination.upstream.name,
      operation: this.operation,
      method: this.method,
      status: sent.status,
      outcome: outcome.timeout === true ? "timeout" : outcome.outcome,
      reason: sent.reason,
      latencyMs: this.#elapsedMs(),
      durationMs: this.#book.clock.monotonic() - this.startedMs,
      criticality: this.#options.criticality ?? null,
    });
  }
}

/** What a caller is sent when the call ends before the answer's headers went out. */
const SENT_ON_ENDING: Readonly<Record<Ending, { status: number; reason: string | null }>> = {
  deadline: { status: 504, reason: "upstream_timeout" },
  stalled: { status: 504, reason: "upstream_timeout" },
  caller_left: { status: 0, reason: null },
  body_too_large: { status: 413, reason: "body_too_large" },
  stopping: { status: 503, reason: "closing" },
};
