// A call of the most critical tier that waits for room: a moment, in line, and no timer of its own. It is let
// in, refused when its time is up, or ended by its caller.

import type { Ticket } from "../../core/breaker/machine.ts";
import { ask, property } from "../../core/foreign.ts";
import type { Waiting, WaitingLine } from "../overload/waiting-line.ts";
import type { DeadlineEntry, DeadlineQueue, Expiring } from "./deadline.ts";
import type { CallExtra } from "./extra.ts";

/** What came of the wait. */
export interface LetIn {
  readonly ticket: Ticket;
  readonly extra: CallExtra | undefined;
}

export interface WaitingParts<Refusal> {
  readonly line: WaitingLine;
  readonly queue: DeadlineQueue;
  readonly nowMs: number;
  /** Longest wait, milliseconds. */
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
  /** Asks again; undefined while there is no room. The last time, a refusal stands. */
  readonly ask: (isLast: boolean) => LetIn | Refusal | undefined;
  /** The caller left: it was neither admitted nor refused. */
  readonly left: () => void;
}

export class WaitingCall<Refusal> implements Waiting, Expiring {
  readonly promise: Promise<LetIn | Refusal>;
  readonly #parts: WaitingParts<Refusal>;
  readonly #resolve: (came: LetIn | Refusal) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #entry: DeadlineEntry;
  readonly #onAbort = (): void => this.#abort();

  constructor(parts: WaitingParts<Refusal>) {
    this.#parts = parts;
    const { promise, resolve, reject } = Promise.withResolvers<LetIn | Refusal>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#entry = parts.queue.add(this, parts.waitMs, parts.nowMs);
    parts.line.add(this);
    ask(parts.signal, "addEventListener", "abort", this.#onAbort);
  }

  retry(): boolean {
    const came = this.#parts.ask(false);
    if (came === undefined) return false;
    this.#parts.queue.remove(this.#entry);
    this.#end(came);
    return true;
  }

  expire(): void {
    this.#parts.line.leave(this);
    const came = this.#parts.ask(true);
    if (came !== undefined) this.#end(came);
  }

  #end(came: LetIn | Refusal): void {
    this.#stopListening();
    this.#resolve(came);
  }

  #abort(): void {
    const { line, queue, signal, left } = this.#parts;
    line.leave(this);
    queue.remove(this.#entry);
    this.#stopListening();
    left();
    this.#reject(property(signal, "reason"));
  }

  #stopListening(): void {
    ask(this.#parts.signal, "removeEventListener", "abort", this.#onAbort);
  }
}
