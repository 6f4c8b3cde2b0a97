// Where calls of one upstream stand that its door has told to wait, until they are let in or are not.

import { REFUSED } from "../../core/breaker/machine.ts";
import type { RefusedError } from "../../core/errors.ts";
import type { Clock } from "../ports.ts";
import type { CallBooks } from "./books.ts";
import type { DeadlineQueue } from "./deadline.ts";
import { WAITS, type Door } from "./door.ts";
import type { OperationStats } from "./stats.ts";
import { WaitingCall, type LetIn } from "./waiting-call.ts";
import type { Watching } from "./watching.ts";

export interface WaitingRoomPorts {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly watching: Watching;
}

/** A call that has just been told to wait. */
export interface WaitingOptions {
  readonly operation: OperationStats;
  readonly load: number | undefined;
  /** Of the call as a whole: the wait is part of it. */
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

export class WaitingRoom {
  readonly #upstream: string;
  readonly #door: Door;
  readonly #books: CallBooks;
  readonly #ports: WaitingRoomPorts;

  constructor(upstream: string, door: Door, books: CallBooks, ports: WaitingRoomPorts) {
    this.#upstream = upstream;
    this.#door = door;
    this.#books = books;
    this.#ports = ports;
  }

  /** Runs the call once it is let in, in the caller's own context, with the time left; rejects when it is not. */
  async run<Result>(
    options: WaitingOptions,
    run: (letIn: LetIn, leftMs: number | undefined) => Promise<Result>,
  ): Promise<Result> {
    const { clock } = this.#ports;
    const { operation, load, deadlineMs } = options;
    const startMs = clock.monotonic();
    const came = await this.wait(options, (): RefusedError =>
      this.#door.refusalError(operation, load),
    );
    if (!("ticket" in came)) throw came;
    this.#books.inFlight += 1;
    const waitedMs = clock.monotonic() - startMs;
    return run(came, deadlineMs === undefined ? undefined : Math.max(1, deadlineMs - waitedMs));
  }

  /** What came of the wait; rejects with the reason of the caller's signal when that aborts. */
  wait<Refusal>(
    { operation, load, deadlineMs, signal }: WaitingOptions,
    refused: () => Refusal,
  ): Promise<LetIn | Refusal> {
    const door = this.#door;
    const { clock, deadlines, watching } = this.#ports;
    const { waitsFor, watched } = door;
    if (waitsFor === undefined) return Promise.resolve(refused());
    const startMs = clock.monotonic();
    const waiting = new WaitingCall<Refusal>({
      line: waitsFor.line,
      queue: deadlines,
      nowMs: startMs,
      waitMs: Math.min(waitsFor.waitMsMax, deadlineMs ?? Number.POSITIVE_INFINITY),
      signal,
      ask: (isLast) => {
        const leftMs =
          deadlineMs === undefined
            ? Number.POSITIVE_INFINITY
            : deadlineMs - (clock.monotonic() - startMs);
        const ticket = door.admitFor(watched, operation, load, 0, leftMs, !isLast);
        if (ticket === WAITS) return undefined;
        return ticket === REFUSED ? refused() : { ticket, extra: door.extra };
      },
      left: () => {
        if (watched === undefined) return;
        watching.ended(this.#upstream, watched, "ignored", undefined, () => {});
      },
    });
    return waiting.promise;
  }
}
