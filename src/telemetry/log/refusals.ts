// Which refusals are logged. In an outage they come in thousands a second and say the same: one of each
// upstream, operation and reason is told in an interval, with the number of those left out. What the
// last interval left out is told when it is over, so that no refusal is missing from the sum.

import type { EventOf } from "../../core/events.ts";

export type RefusedEvent = EventOf<"refused">;

export interface RefusalLimitOptions {
  /** 0 tells every one. */
  readonly intervalMs: number;
  /** `isLate` when an interval's end tells of it, and not the call. */
  readonly tell: (event: RefusedEvent, suppressed: number, isLate: boolean) => void;
}

interface Kept {
  /** By the events' own clock. */
  toldAtMs: number;
  leftOut: number;
  last: RefusedEvent | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

type KeptByReason = Map<RefusedEvent["reason"], Kept>;

/** Timers take no more. */
const INTERVAL_MS_MAX = 2 ** 31 - 1;

/** Upstreams that are told apart; the rest are told of as if they were one. */
const UPSTREAMS_MAX = 1000;

/** Operations that are told apart, of all upstreams together; an upstream's rest counts as one. */
const OPERATIONS_MAX = 1000;

/** No upstream and no operation has it. */
const REST = "";

export class RefusalLimit {
  readonly #intervalMs: number;
  readonly #tell: RefusalLimitOptions["tell"];
  readonly #upstreams = new Map<string, Map<string, KeptByReason>>();
  #operations = 0;

  constructor({ intervalMs, tell }: RefusalLimitOptions) {
    if (!(intervalMs >= 0 && intervalMs <= INTERVAL_MS_MAX)) {
      throw new RangeError(
        `rejectionIntervalMs must be a number from 0 to ${INTERVAL_MS_MAX}, not ${intervalMs}`,
      );
    }
    this.#intervalMs = intervalMs;
    this.#tell = tell;
  }

  take(event: RefusedEvent): void {
    const kept = this.#keptOf(event);
    const ageMs = event.at - kept.toldAtMs;
    // A clock that was set back must not silence anything.
    if (ageMs >= 0 && ageMs < this.#intervalMs) {
      kept.leftOut += 1;
      kept.last = event;
      kept.timer ??= this.#tellLater(kept, this.#intervalMs - ageMs);
      return;
    }
    const { leftOut } = kept;
    clearTimeout(kept.timer);
    Object.assign(kept, told(event.at));
    this.#tell(event, leftOut, false);
  }

  /** Tells what is left out so far. */
  end(): void {
    for (const operations of this.#upstreams.values()) {
      for (const reasons of operations.values()) {
        for (const kept of reasons.values()) this.#tellLast(kept);
      }
    }
  }

  #tellLater(kept: Kept, ms: number): Kept["timer"] {
    const timer = setTimeout(() => this.#tellLast(kept), ms);
    timer.unref();
    return timer;
  }

  #tellLast(kept: Kept): void {
    const { last, leftOut, toldAtMs } = kept;
    clearTimeout(kept.timer);
    Object.assign(kept, told(toldAtMs + this.#intervalMs));
    if (last === undefined) return;
    try {
      this.#tell(last, leftOut - 1, true);
    } catch {
      // The logger failed, and no call waits here to be told.
    }
  }

  #keptOf({ upstream, operation, reason }: RefusedEvent): Kept {
    const reasons = this.#reasonsOf(upstream, operation);
    let kept = reasons.get(reason);
    if (kept === undefined) {
      kept = told(Number.NEGATIVE_INFINITY);
      reasons.set(reason, kept);
    }
    return kept;
  }

  #reasonsOf(upstream: string, operation: string): KeptByReason {
    const operations = this.#upstreams.get(upstream);
    return operations?.get(operation) ?? this.#newReasons(upstream, operation);
  }

  #newReasons(upstream: string, operation: string): KeptByReason {
    const isKnown = this.#upstreams.has(upstream) || this.#upstreams.size < UPSTREAMS_MAX;
    const name = isKnown ? upstream : REST;
    const operations = this.#upstreams.get(name) ?? new Map<string, KeptByReason>();
    this.#upstreams.set(name, operations);
    const hasRoom = isKnown && this.#operations < OPERATIONS_MAX;
    if (hasRoom) this.#operations += 1;
    const of = hasRoom ? operation : REST;
    const reasons = operations.get(of) ?? new Map<RefusedEvent["reason"], Kept>();
    operations.set(of, reasons);
    return reasons;
  }
}

function told(atMs: number): Kept {
  return { toldAtMs: atMs, leftOut: 0, last: undefined, timer: undefined };
}
