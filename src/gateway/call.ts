// One call's life between the server that received it and the client that forwards it: admitted
// once, settled once, whichever of answer, error, deadline, caller and shutdown comes first.
//
// It knows whose turn it is: the caller's, to send its body or to read its answer, or the upstream's.
// What the caller took is not held against the upstream, neither as a missed deadline nor as latency.
//
// A caller who leaves, or gives less time than the upstream has, is let go at once. Its call may wait on
// as the upstream's witness (see vigil.ts): what becomes of it within the upstream's own time is evidence.
// Otherwise an upstream that hangs would never be found out by callers who leave before its deadline.

import type { Outcome } from "../core/outcome.ts";
import type { Admitted, CallOptions, Refused } from "../pipeline/call/admission.ts";
import type { DeadlineEntry, Expiring } from "../pipeline/call/deadline.ts";
import type { CallBook } from "./book.ts";
import type { CallWishes } from "./call-options.ts";
import { isGuardsRefusal, retryAfterMs } from "../core/http-status.ts";
import { outcomeOfAnswer, outcomeOfEnding, outcomeOfError } from "./classify.ts";
import { leavesUpstream, type Ending } from "./ending.ts";
import { SENT_ON_ENDING, type Problem, type ProblemReason } from "./problem.ts";
import type { Destination } from "./route.ts";
import type { Vigil } from "./vigil.ts";

/** A call's two connections, as its transport holds them. */
export interface Line {
  /** Lets go of both, as far as they are still held; the caller is told, as far as it still can. */
  cut(ending: Ending): void;
  /** Lets go of the caller alone, and tells it. */
  leave(ending: Ending): void;
}

/** What an answer's head says beside its status; asked for where it may matter. */
export interface AnswerFacts {
  readonly retryAfter?: string | null | undefined;
  /** Its `x-switchgear-reason`. */
  readonly reason?: string | null | undefined;
}

/**
 * Share of its time that an upstream must have had. Less than all, since a caller's head and a short body
 * are part of the deadline, and a body of one packet must not make every timeout the caller's fault.
 */
const OWN_SHARE = 0.9;

export class Call implements Expiring {
  readonly destination: Destination;
  readonly method: string;
  /** The caller's limit: the operation's, or a shorter one of its own. */
  readonly deadlineMs: number;
  /** On the monotonic clock. */
  readonly startedMs: number;
  /** Where the book keeps it. */
  place: number;
  /** Set by the transport. */
  line: Line | undefined;
  /** Why the call ended early for its caller, once it did. */
  ending: Ending | undefined;
  /** Whether it waits on without its caller. */
  isWitness = false;

  readonly #book: CallBook;
  readonly #options: CallOptions;
  readonly #admitted: Admitted;
  readonly #vigil: Vigil;
  /** The upstream's own limit. */
  readonly #ownMs: number;
  readonly #idleMs: number | undefined;
  #deadline: DeadlineEntry;
  /** The start, later by what the caller has taken: since when the upstream would be waited for alone. */
  #sinceMs: number;
  /** When the caller's turn began; undefined while it is the upstream's. */
  #callersSinceMs: number | undefined;
  /** When the last piece of a stream came. */
  #pieceMs = 0;
  #latencyMs: number | undefined;
  #retryAfterMs: number | undefined;
  #innerReason: string | undefined = undefined;
  #isSettled = false;
  #isStreaming = false;
  #isEvents = false;
  /** The upstream's. */
  #answerStatus = 0;
  /** What the caller was sent, and why when it was our own. */
  #sentStatus = 0;
  #sentReason: ProblemReason | null = null;
  /** When it was let go; undefined while it waits. */
  #leftMs: number | undefined;

  constructor(
    book: CallBook,
    destination: Destination,
    facts: Pick<
      Extract<CallWishes, { ok: true }>,
      "options" | "deadlineMs" | "ownMs" | "idleMs"
    > & {
      readonly method: string;
      readonly admitted: Admitted;
      readonly vigil: Vigil;
    },
  ) {
    this.destination = destination;
    this.deadlineMs = facts.deadlineMs;
    this.method = facts.method;
    this.#book = book;
    this.#options = facts.options;
    this.#admitted = facts.admitted;
    this.#vigil = facts.vigil;
    this.#ownMs = facts.ownMs;
    this.#idleMs = facts.idleMs;
    this.startedMs = book.clock.monotonic();
    this.#sinceMs = this.startedMs;
    this.#deadline = book.deadlines.add(this, facts.deadlineMs, this.startedMs);
    this.place = book.opened(this);
  }

  get upstream(): string {
    return this.destination.upstream.name;
  }

  get operation(): string {
    return this.#options.operation ?? "unknown";
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** The caller is to send or to read; the upstream is not waited for. */
  waitsForCaller(): void {
    this.#callersSinceMs ??= this.#book.clock.monotonic();
  }

  /** The caller has done its part. */
  waitsForUpstream(): void {
    if (this.#callersSinceMs === undefined) return;
    this.#sinceMs += this.#book.clock.monotonic() - this.#callersSinceMs;
    this.#callersSinceMs = undefined;
  }

  /** The caller still sends what the upstream is asked with. */
  awaitsBody(): void {
    this.#admitted.pause?.();
  }

  /**
   * All of it is here, or so much that the rest is passed on as it comes. A refusal when the upstream has no room
   * any more; not once it has answered.
   */
  hasBody(isWhole = true): Refused | undefined {
    return this.#latencyMs === undefined ? this.#admitted.resume?.(!isWhole) : undefined;
  }

  /** The caller sends so slowly that others may have its place meanwhile. */
  fallsBehind(): void {
    if (this.#latencyMs === undefined) this.#admitted.pause?.(true);
  }

  /** Marks the arrival of the answer's headers: that is its latency. */
  headersArrived(status: number, facts?: AnswerFacts): void {
    this.waitsForUpstream();
    this.#latencyMs = this.#book.clock.monotonic() - this.#sinceMs;
    this.#answerStatus = status;
    this.#vigil.answered();
    if (!this.isWitness) this.#sentStatus = status;
    if (facts === undefined) return;
    this.#retryAfterMs = retryAfterMs(facts.retryAfter, this.#book.clock.now());
    if (isGuardsRefusal(status, facts.reason)) this.#innerReason = facts.reason ?? undefined;
  }

  /**
   * Why another gateway behind this one refused the call, where one did; told on, so that a third one in front
   * knows a refusal from a failure, too.
   */
  get innerReason(): string | undefined {
    return this.#innerReason;
  }

  /** The answer's headers went out before its body was here: its status can no longer change. */
  streams(contentType: string | null | undefined): void {
    this.#isStreaming = true;
    this.#isEvents = contentType?.startsWith("text/event-stream") === true;
    // A long body settles late, and its upstream is alive now; how quick it is, only a good answer tells.
    const isGood = this.#outcomeSoFar().outcome === "ok";
    this.#admitted.answering?.(isGood ? this.#latencyMs : undefined);
    if (this.#idleMs === undefined) return;
    const { deadlines, clock } = this.#book;
    deadlines.remove(this.#deadline);
    this.#pieceMs = clock.monotonic();
    this.#deadline = deadlines.add(this, this.#idleMs, this.#pieceMs);
  }

  /** A piece of a streamed answer came. */
  piece(): void {
    if (this.#idleMs !== undefined) this.#pieceMs = this.#book.clock.monotonic();
  }

  /** The answer arrived whole, and is on its way to the caller. */
  complete(): void {
    this.#settle(this.#answered());
  }

  /**
   * The upstream broke off, or was not reached. The caller is sent `answer`, if it still can be.
   */
  fail(error: unknown, answer: Problem | undefined): void {
    this.#answerWith(answer);
    this.#settle(outcomeOfError(error, this.#elapsedMs()));
  }

  /** A fault of ours: no evidence. */
  fault(answer: Problem): void {
    this.#answerWith(answer);
    this.#settle({ outcome: "ignored", latencyMs: this.#elapsedMs() });
  }

  /** The caller left before the upstream was asked, which therefore owes nothing. */
  gone(): void {
    this.ending = "caller_left";
    this.#sentStatus = SENT_ON_ENDING.caller_left.status;
    this.#settle({ outcome: "ignored", latencyMs: this.#elapsedMs() });
  }

  /** Ends the call early: settles it, then lets go of the connections. */
  end(ending: Ending): void {
    if (this.#isSettled) return;
    if (this.isWitness) {
      // Its caller is gone; what ends it now is what it waited for.
      if (!leavesUpstream(ending)) this.#finish(ending);
      return;
    }
    this.ending = ending;
    if (!this.#isStreaming) {
      this.#sentStatus = SENT_ON_ENDING[ending].status;
      this.#sentReason = SENT_ON_ENDING[ending].reason;
    }
    this.#leftMs = this.#book.clock.monotonic();
    if (leavesUpstream(ending) && this.#owesAnswer && this.#becomesWitness()) {
      this.line?.leave(ending);
    } else this.#finish(ending);
  }

  expire(stalled: boolean): void {
    if (stalled) this.end("stalled");
    else if (this.#isStreaming && this.#idleMs !== undefined) this.#pausedFor(this.#idleMs);
    else if (this.#isCallersTurn) this.end("caller_slow");
    else if (this.waitedMs < this.#ownMs * OWN_SHARE) this.end("impatient");
    else this.end(this.#isStreaming && this.#isEvents ? "stream_over" : "deadline");
  }

  get #isCallersTurn(): boolean {
    return this.#callersSinceMs !== undefined;
  }

  /** Whether the head of the answer is still to come, and it is the upstream's turn. */
  get #owesAnswer(): boolean {
    return this.#latencyMs === undefined && !this.#isCallersTurn;
  }

  /** For which the upstream has been waited for. */
  get waitedMs(): number {
    return this.#book.clock.monotonic() - this.#sinceMs;
  }

  #pausedFor(idleMs: number): void {
    const { clock, deadlines } = this.#book;
    const nowMs = clock.monotonic();
    const leftMs = this.#pieceMs + idleMs - nowMs;
    if (leftMs > 0) this.#deadline = deadlines.add(this, leftMs, nowMs);
    else this.end(this.#isCallersTurn ? "caller_slow" : "idle");
  }

  #becomesWitness(): boolean {
    const leftMs = this.#ownMs - this.waitedMs;
    if (leftMs <= 0 || this.#book.isStopping || !this.#vigil.takes(this)) return false;
    this.isWitness = true;
    const { deadlines, clock } = this.#book;
    deadlines.remove(this.#deadline);
    this.#deadline = deadlines.add(this, leftMs, clock.monotonic());
    return true;
  }

  #finish(ending: Ending): void {
    const waitedMs = this.#latencyMs ?? this.waitedMs;
    const witnessMs = this.#vigil.witness?.waitedMs ?? 0;
    const times = {
      waitedMs,
      waitedInAllMs: Math.max(waitedMs, witnessMs),
      deadlineMs: this.#ownMs,
      idleMs: this.#idleMs,
    };
    // A stream that its caller leaves, or whose time is up, has been answered well.
    const isStreamsEnd =
      this.#isOpenEnded && (ending === "caller_left" || ending === "stream_over");
    const outcome = isStreamsEnd
      ? this.#answered()
      : outcomeOfEnding(ending, times, this.#owesAnswer);
    this.#settle(outcome);
    this.line?.cut(ending);
  }

  get #isOpenEnded(): boolean {
    return this.#isStreaming && (this.#isEvents || this.#idleMs !== undefined);
  }

  /** What the answer's head says. */
  #outcomeSoFar(): Outcome {
    const latencyMs = this.#elapsedMs();
    return this.#innerReason !== undefined
      ? { outcome: "ignored", latencyMs }
      : outcomeOfAnswer(this.#answerStatus, this.destination.upstream.status429, latencyMs);
  }

  #answered(): Outcome {
    const outcome = this.#outcomeSoFar();
    if (outcome.outcome === "ignored") this.#admitted.answering?.();
    const waitMs = this.#retryAfterMs;
    return waitMs === undefined ? outcome : { ...outcome, retryAfterMs: waitMs };
  }

  #answerWith(answer: Problem | undefined): void {
    if (answer === undefined) return;
    this.#sentStatus = answer.status;
    this.#sentReason = answer.reason;
  }

  #elapsedMs(): number {
    return this.#latencyMs ?? this.waitedMs;
  }

  #settle(outcome: Outcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#book.deadlines.remove(this.#deadline);
    try {
      this.#admitted.settle(outcome);
    } finally {
      if (this.#sentReason !== null) this.#book.answered(this.#sentReason);
      if (this.#book.hasListener) this.#report(outcome);
      this.#book.closed(this);
      if (this.isWitness) this.#vigil.over(this);
    }
  }

  #report(outcome: Outcome): void {
    const { clock } = this.#book;
    this.#book.report({
      upstream: this.upstream,
      operation: this.operation,
      method: this.method,
      status: this.#sentStatus,
      outcome: outcome.timeout === true ? "timeout" : outcome.outcome,
      reason: this.#sentReason,
      latencyMs: this.#elapsedMs(),
      durationMs: (this.#leftMs ?? clock.monotonic()) - this.startedMs,
      criticality: this.#options.criticality ?? null,
    });
  }
}
