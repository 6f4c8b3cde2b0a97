// A call that goes on after its function's answer, until its holder says that the rest has come, such as
// the body of an HTTP answer. Whose time it is decides what an end says: while somebody waits for more it
// is the upstream's; while nobody does, the caller reads slowly or not at all, and that is no evidence.
//
// The answer itself is not kept here: one that its caller drops unread can be collected.

import { ask, property } from "../../core/foreign.ts";
import { adopted } from "./adopt.ts";
import type { CallRecord } from "./bounded-call.ts";
import { AbortableContext, type CallContext } from "./context.ts";
import type { DeadlineEntry, DeadlineQueue, Expiring } from "./deadline.ts";

/** What the holder tells of the rest. The first end counts, further ones do nothing. */
export interface Held {
  /** Whether somebody waits for the upstream now. False when the answer has come. */
  waiting(yes: boolean): void;
  /** Told before the answer: it decides alone, and is counted at once, while the rest still comes. */
  answerDecides(): void;
  /** All of it has come, or the caller wants no more of it. */
  done(): void;
  /** The rest failed. */
  failed(error: unknown): void;
}

/** Settles held calls. */
export interface HeldOwner {
  /** The answer has come. True when it was a good one, so that the rest decides; else it is settled. */
  answered(call: CallRecord, value: unknown): boolean;
  done(call: CallRecord): void;
  failed(call: CallRecord, error: unknown): void;
  /** Ended while nobody waited for the upstream: no evidence. */
  unread(call: CallRecord): void;
  timedOut(call: CallRecord, stalled: boolean, error: Error): void;
  aborted(call: CallRecord, reason: unknown): void;
  /** What a caller is told whose deadline passed; with `idleMs` it was a pause, not the whole. */
  deadlineError(call: CallRecord, idleMs: number | undefined): Error;
  /** As of a call that is not held. */
  leaves(call: CallRecord, isRunning: boolean): void;
  stopped(call: CallRecord, isFulfilled: boolean): void;
}

export interface HeldParts {
  readonly owner: HeldOwner;
  readonly record: CallRecord;
  readonly queue: DeadlineQueue;
  readonly signal: AbortSignal | undefined;
  /** Lets the deadline end with the answer, and allows pauses of so many milliseconds after it. */
  readonly idleMs: number | undefined;
  readonly monotonic: () => number;
}

type Settling = (owner: HeldOwner, call: CallRecord) => void;

export class HeldCall<Result> implements Expiring, Held {
  readonly #parts: HeldParts;
  readonly #context: AbortableContext;
  #settlers: { resolve: (value: Result) => void; reject: (error: unknown) => void } | undefined;
  #deadline: DeadlineEntry | undefined = undefined;
  #idle: DeadlineEntry | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;
  #isRunning = false;
  #isAnswered = false;
  /** How it ends, told before the answer: with it. */
  #end: Settling | undefined = undefined;
  #doesAnswerDecide = false;
  /** Counted. An answer that was bad is, while the rest of it still comes. */
  #isSettled = false;
  #isOver = false;
  /** For which the upstream has been waited for, up to the last pause. */
  #waitedMs = 0;
  /** Since when it is waited for; undefined while it is not. */
  #sinceMs: number | undefined;

  constructor(parts: HeldParts) {
    this.#parts = parts;
    this.#sinceMs = parts.record.startMs;
    this.#context = new AbortableContext(parts.record.extra?.endpoint);
  }

  start(fn: (context: CallContext, held: Held) => unknown): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#settlers = { resolve, reject };
    const { queue, record, signal } = this.#parts;
    const { deadlineMs, startMs } = record;
    if (deadlineMs !== undefined) this.#deadline = queue.add(this, deadlineMs, startMs);
    if (signal !== undefined) {
      this.#onAbort = () => this.#abort();
      ask(signal, "addEventListener", "abort", this.#onAbort);
    }
    // Aborted while it was admitted, by one who was told of that: nobody hears it again.
    if (property(signal, "aborted") === true) this.#abort();
    else this.#run(fn);
    return promise;
  }

  waiting(yes: boolean): void {
    if (this.#isOver || yes === (this.#sinceMs !== undefined)) return;
    const { queue, idleMs, monotonic } = this.#parts;
    const nowMs = monotonic();
    if (yes) {
      this.#sinceMs = nowMs;
      // Up to the answer the deadline holds.
      if (idleMs !== undefined && this.#isAnswered) this.#idle = queue.add(this, idleMs, nowMs);
    } else this.#pause(nowMs);
  }

  answerDecides(): void {
    this.#doesAnswerDecide = true;
  }

  done(): void {
    this.#finish((owner, call) => owner.done(call));
  }

  failed(error: unknown): void {
    this.#finish((owner, call) => owner.failed(call, error));
  }

  expire(stalled: boolean): void {
    const { owner, record, idleMs } = this.#parts;
    const isWaitedFor = this.#sinceMs !== undefined;
    this.#close();
    if (!this.#isSettled) owner.leaves(record, this.#isRunning);
    const error = owner.deadlineError(record, this.#isAnswered ? idleMs : undefined);
    this.#settle((_owner, call) => {
      if (isWaitedFor) owner.timedOut(call, stalled, error);
      else owner.unread(call);
    });
    this.#leave(error);
  }

  #abort(): void {
    if (this.#isOver) return;
    const isWaitedFor = this.#sinceMs !== undefined;
    this.#close();
    if (!this.#isSettled) this.#parts.owner.leaves(this.#parts.record, this.#isRunning);
    const reason = property(this.#parts.signal, "reason");
    this.#settle((owner, call) => {
      if (isWaitedFor) owner.aborted(call, reason);
      else owner.unread(call);
    });
    this.#leave(reason);
  }

  #run(fn: (context: CallContext, held: Held) => unknown): void {
    this.#isRunning = true;
    let promise: Promise<unknown> | undefined;
    try {
      const answer = fn(this.#context, this);
      promise = adopted(answer);
      if (promise === undefined) this.#onAnswer(answer as Result);
    } catch (error) {
      this.#onFailed(error);
    }
    promise?.then(
      (value) => this.#onAnswer(value as Result),
      (error: unknown) => this.#onFailed(error),
    );
  }

  #onAnswer(value: Result): void {
    if (this.#stopped(true)) return;
    const { owner, idleMs, queue, monotonic } = this.#parts;
    this.#isAnswered = true;
    this.#pause(monotonic());
    if (idleMs !== undefined && this.#deadline !== undefined) queue.remove(this.#deadline);
    if (!owner.answered(this.#seen(), value)) this.#isSettled = true;
    else if (this.#doesAnswerDecide) this.#settle((_owner, call) => owner.done(call));
    if (this.#end !== undefined) this.#finish(this.#end);
    this.#settlers?.resolve(value);
    // The promise holds the answer, and what resolves it holds the promise.
    this.#settlers = undefined;
  }

  #onFailed(error: unknown): void {
    if (this.#stopped(false)) return;
    this.#close();
    this.#settle((owner, call) => owner.failed(call, error));
    this.#settlers?.reject(error);
  }

  /** The function has settled; true when its call had ended before. */
  #stopped(isFulfilled: boolean): boolean {
    this.#isRunning = false;
    if (!this.#isOver) return false;
    this.#parts.owner.stopped(this.#parts.record, isFulfilled);
    return true;
  }

  /** It has ended for its caller, who is told before the function is. */
  #leave(reason: unknown): void {
    this.#settlers?.reject(reason);
    this.#context.abort(reason);
  }

  /** The first end counts. */
  #finish(how: Settling): void {
    if (this.#isAnswered) {
      this.#close();
      this.#settle(how);
    } else this.#end ??= how;
  }

  #settle(how: Settling): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    how(this.#parts.owner, this.#seen());
  }

  /** The record as if nothing but the upstream had been waited for. */
  #seen(): CallRecord {
    const { record, monotonic } = this.#parts;
    return { ...record, startMs: monotonic() - this.#waitedMs };
  }

  #pause(nowMs: number): void {
    if (this.#sinceMs === undefined) return;
    this.#waitedMs += nowMs - this.#sinceMs;
    this.#sinceMs = undefined;
    if (this.#idle !== undefined) this.#parts.queue.remove(this.#idle);
  }

  #close(): void {
    this.#isOver = true;
    const { queue, signal, monotonic } = this.#parts;
    this.#pause(monotonic());
    if (this.#deadline !== undefined) queue.remove(this.#deadline);
    if (this.#onAbort !== undefined) ask(signal, "removeEventListener", "abort", this.#onAbort);
  }
}
