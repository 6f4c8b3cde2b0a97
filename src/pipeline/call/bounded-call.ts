// One call with a deadline, a caller's signal, or both. It ends for its caller at the first of:
// the function's answer, the deadline, the caller's abort. A function that runs on after that is
// counted as abandoned until it settles, since it still holds its socket and its memory.

import type { Ticket } from "../../core/breaker/machine.ts";
import { property } from "../../core/foreign.ts";
import { adopted } from "./adopt.ts";
import { AbortableContext, type CallContext } from "./context.ts";
import type { OperationStats } from "./stats.ts";
import type { CallExtra } from "./extra.ts";
import type { DeadlineEntry, DeadlineQueue, Expiring } from "./deadline.ts";

/** What the owner must know of a call when it ends. */
export interface CallRecord {
  readonly operation: OperationStats;
  readonly ticket: Ticket;
  readonly startMs: number;
  readonly deadlineMs: number | undefined;
  /** Its endpoint and its watcher, where it has any. */
  readonly extra: CallExtra | undefined;
}

/** Told how calls ended for their callers. One for all calls of an upstream. */
export interface CallOwner {
  ok(call: CallRecord, value: unknown): void;
  failed(call: CallRecord, error: unknown): void;
  /** The deadline passed. Answers the error that the caller gets. */
  expired(call: CallRecord, stalled: boolean): Error;
  aborted(call: CallRecord, reason: unknown): void;
  /** A call ends for its caller while its function runs, or while nobody hears of its upstream any more. */
  leaves(call: CallRecord, isRunning: boolean): void;
  /** The function of a call that had ended for its caller has ended, too. */
  stopped(call: CallRecord, isFulfilled: boolean): void;
}

export class BoundedCall<Result> implements Expiring {
  readonly promise: Promise<Result>;
  readonly #owner: CallOwner;
  readonly #record: CallRecord;
  readonly #queue: DeadlineQueue;
  readonly #signal: AbortSignal | undefined;
  readonly #context: AbortableContext;
  readonly #resolve: (value: Result) => void;
  readonly #reject: (error: unknown) => void;
  #entry: DeadlineEntry | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;
  #isOver = false;
  #isRunning = false;

  constructor(
    owner: CallOwner,
    record: CallRecord,
    queue: DeadlineQueue,
    signal: AbortSignal | undefined,
  ) {
    this.#owner = owner;
    this.#record = record;
    this.#context = new AbortableContext(record.extra?.endpoint);
    this.#queue = queue;
    this.#signal = signal;
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(fn: (context: CallContext) => unknown): void {
    const { deadlineMs, startMs } = this.#record;
    if (deadlineMs !== undefined) this.#entry = this.#queue.add(this, deadlineMs, startMs);
    if (this.#signal !== undefined) {
      // Aborted while the call was admitted, by one who was told of it: nobody hears that again.
      if (this.#listen(this.#signal)) {
        this.#abort();
        return;
      }
    }
    this.#isRunning = true;
    let answer: unknown;
    try {
      answer = fn(this.#context);
    } catch (error) {
      this.#onFailed(error);
      return;
    }
    const promise = adopted(answer);
    if (promise === undefined) this.#onOk(answer as Result);
    else {
      promise.then(
        (value) => this.#onOk(value as Result),
        (error: unknown) => this.#onFailed(error),
      );
    }
  }

  /** Whether it was aborted already. Not by `ask`, with which such a call cost a quarter more. */
  #listen(signal: AbortSignal): boolean {
    const onAbort = (): void => this.#abort();
    this.#onAbort = onAbort;
    try {
      signal.addEventListener("abort", onAbort);
      return signal.aborted;
    } catch {
      // A stranger's signal: the call goes on without it.
      return false;
    }
  }

  expire(stalled: boolean): void {
    this.#close();
    this.#owner.leaves(this.#record, this.#isRunning);
    const error = this.#owner.expired(this.#record, stalled);
    // Rejected first: a function that answers the abort with an error of its own comes second.
    this.#reject(error);
    this.#context.abort(error);
  }

  #abort(): void {
    if (this.#isOver) return;
    this.#close();
    const reason = property(this.#signal, "reason");
    this.#owner.leaves(this.#record, this.#isRunning);
    this.#owner.aborted(this.#record, reason);
    this.#reject(reason);
    this.#context.abort(reason);
  }

  #onOk(value: Result): void {
    if (this.#stopped(true)) return;
    this.#close();
    this.#owner.ok(this.#record, value);
    this.#resolve(value);
  }

  #onFailed(error: unknown): void {
    if (this.#stopped(false)) return;
    this.#close();
    this.#owner.failed(this.#record, error);
    this.#reject(error);
  }

  /** The function has settled; true when its call had ended before. */
  #stopped(isFulfilled: boolean): boolean {
    this.#isRunning = false;
    if (!this.#isOver) return false;
    this.#owner.stopped(this.#record, isFulfilled);
    return true;
  }

  #close(): void {
    this.#isOver = true;
    if (this.#entry !== undefined) this.#queue.remove(this.#entry);
    if (this.#onAbort === undefined) return;
    try {
      this.#signal?.removeEventListener("abort", this.#onAbort);
    } catch {
      // As above.
    }
  }
}
