// Callers while they send. The beginning of each body is waited for before the upstream is asked, and nothing of
// the upstream's is held for it. What is longer is passed on as it comes, with a permit: but only for as long as
// its caller sends about as fast as it can. One that does not gives its permit back and asks again when it has
// sent all; the upstream is not sent the end of the request before that, and so has never been asked to do
// anything when there is no room then, and the call is refused.

import type { Refused } from "../pipeline/call/admission.ts";
import type { DeadlineEntry, Expiring } from "../pipeline/call/deadline.ts";
import type { CallBook } from "./book.ts";
import type { Call } from "./call.ts";

/** Share of its deadline that a caller may be waited for with the permit held: what a quick one needs, and less than a hang. */
const HOLD_SHARE = 0.1;

/** For a thousand of the longest beginnings at once. */
const ROOM_BYTES_DEFAULT = 64 * 1024 * 1024;

/** Memory for the beginnings of bodies that are waited for, of all callers together. */
export class BodyRoom {
  #left: number;

  constructor(bytes = ROOM_BYTES_DEFAULT) {
    this.#left = bytes;
  }

  /** False, and nothing is taken, when there is not so much. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#left += bytes;
  }
}

/** Of a body whose beginning the upstream has. */
export class Sender implements Expiring {
  readonly #call: Call;
  readonly #book: Pick<CallBook, "clock" | "deadlines">;
  /** For so long it may be waited for in all with the permit held. */
  readonly #holdMs: number;
  #waitedMs = 0;
  /** Since when it is waited for; undefined while the upstream is. */
  #sinceMs: number | undefined;
  /** Undefined before it is waited for, and when nothing depends on it any more. */
  #entry: DeadlineEntry | undefined;
  #isOver = false;

  constructor(call: Call, book: Pick<CallBook, "clock" | "deadlines">) {
    this.#call = call;
    this.#book = book;
    this.#holdMs = HOLD_SHARE * call.deadlineMs;
  }

  /** More is to come from the caller. */
  callersTurn(): void {
    if (this.#isOver) return;
    const nowMs = this.#book.clock.monotonic();
    this.#call.waitsForCaller();
    this.#sinceMs ??= nowMs;
    this.#entry ??= this.#book.deadlines.add(this, this.#holdMs, nowMs);
  }

  /** The upstream is to take what came. */
  upstreamsTurn(): void {
    this.#call.waitsForUpstream();
    if (this.#sinceMs !== undefined) this.#waitedMs += this.#book.clock.monotonic() - this.#sinceMs;
    this.#sinceMs = undefined;
  }

  /** All is here, the end of it included. A refusal when there is no room for the call any more. */
  sentAll(): Refused | undefined {
    if (this.#isOver) return undefined;
    this.#isOver = true;
    this.upstreamsTurn();
    if (this.#entry !== undefined) this.#book.deadlines.remove(this.#entry);
    return this.#call.hasBody();
  }

  /** Looks from time to time only: a timer for each piece would cost more than the piece. */
  expire(): void {
    const { clock, deadlines } = this.#book;
    if (this.#call.isSettled) return;
    const nowMs = clock.monotonic();
    const waitedMs = this.#waitedMs + (this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs);
    const leftMs = this.#sinceMs === undefined ? this.#holdMs : this.#holdMs - waitedMs;
    if (leftMs > 0) this.#entry = deadlines.add(this, leftMs, nowMs);
    else this.#call.fallsBehind();
  }
}
