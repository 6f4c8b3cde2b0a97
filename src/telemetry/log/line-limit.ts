// Which refused and failed calls are logged. In an outage they come in thousands a second and say the
// same: one of each upstream, operation and kind is told in an interval, with the number of those left
// out. What the last interval left out is told when it is over, so that no call is missing from the sum.

import { whenRejected } from "../../core/foreign.ts";

/** What happened to a call. */
export interface CallEvent {
  readonly upstream: string;
  readonly operation: string;
  readonly at: number;
}

export interface LineLimitOptions<Event extends CallEvent> {
  /** What the interval is called where it is set. */
  readonly option: string;
  /** 0 tells every one. */
  readonly intervalMs: number;
  /** Kinds of one upstream and operation are told apart; there are few. */
  readonly kindOf: (event: Event) => string;
  /** `isLate` when an interval's end tells of it, and not the call. */
  readonly tell: (event: Event, suppressed: number, isLate: boolean) => unknown;
}

interface Kept<Event> {
  /** By the events' own clock. */
  toldAtMs: number;
  leftOut: number;
  last: Event | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

type KeptByKind<Event> = Map<string, Kept<Event>>;

/** Timers take no more. */
const INTERVAL_MS_MAX = 2 ** 31 - 1;

/** Upstreams that are told apart; the rest are told of as if they were one. */
const UPSTREAMS_MAX = 1000;

/** Operations that are told apart, of all upstreams together; an upstream's rest counts as one. */
const OPERATIONS_MAX = 1000;

/** No upstream and no operation has it. */
const REST = "";

export class LineLimit<Event extends CallEvent> {
  readonly #intervalMs: number;
  readonly #kindOf: LineLimitOptions<Event>["kindOf"];
  readonly #tell: LineLimitOptions<Event>["tell"];
  readonly #upstreams = new Map<string, Map<string, KeptByKind<Event>>>();
  #operations = 0;

  constructor({ option, intervalMs, kindOf, tell }: LineLimitOptions<Event>) {
    if (!(intervalMs >= 0 && intervalMs <= INTERVAL_MS_MAX)) {
      throw new RangeError(
        `${option} must be a number from 0 to ${INTERVAL_MS_MAX}, not ${intervalMs}`,
      );
    }
    this.#intervalMs = intervalMs;
    this.#kindOf = kindOf;
    this.#tell = tell;
  }

  /** Answers what telling it did, if it was told. */
  take(event: Event): unknown {
    const kept = this.#keptOf(event);
    const ageMs = event.at - kept.toldAtMs;
    // A clock that was set back must not silence anything.
    if (ageMs >= 0 && ageMs < this.#intervalMs) {
      kept.leftOut += 1;
      kept.last = event;
      kept.timer ??= this.#tellLater(kept, this.#intervalMs - ageMs);
      return undefined;
    }
    const { leftOut } = kept;
    clearTimeout(kept.timer);
    Object.assign(kept, told(event.at));
    return this.#tell(event, leftOut, false);
  }

  /** Tells what is left out so far. */
  end(): void {
    for (const operations of this.#upstreams.values()) {
      for (const kinds of operations.values()) {
        for (const kept of kinds.values()) this.#tellLast(kept);
      }
    }
  }

  #tellLater(kept: Kept<Event>, ms: number): Kept<Event>["timer"] {
    const timer = setTimeout(() => this.#tellLast(kept), ms);
    timer.unref();
    return timer;
  }

  #tellLast(kept: Kept<Event>): void {
    const { last, leftOut, toldAtMs } = kept;
    clearTimeout(kept.timer);
    Object.assign(kept, told(toldAtMs + this.#intervalMs));
    if (last === undefined) return;
    try {
      whenRejected(this.#tell(last, leftOut - 1, true));
    } catch {
      // The logger failed, and no call waits here to be told.
    }
  }

  #keptOf(event: Event): Kept<Event> {
    const kinds = this.#kindsOf(event.upstream, event.operation);
    const kind = this.#kindOf(event);
    let kept = kinds.get(kind);
    if (kept === undefined) {
      kept = told(Number.NEGATIVE_INFINITY);
      kinds.set(kind, kept);
    }
    return kept;
  }

  #kindsOf(upstream: string, operation: string): KeptByKind<Event> {
    const operations = this.#upstreams.get(upstream);
    return operations?.get(operation) ?? this.#newKinds(upstream, operation);
  }

  #newKinds(upstream: string, operation: string): KeptByKind<Event> {
    const isKnown = this.#upstreams.has(upstream) || this.#upstreams.size < UPSTREAMS_MAX;
    const name = isKnown ? upstream : REST;
    const operations = this.#upstreams.get(name) ?? new Map<string, KeptByKind<Event>>();
    this.#upstreams.set(name, operations);
    const hasRoom = isKnown && this.#operations < OPERATIONS_MAX;
    if (hasRoom) this.#operations += 1;
    const of = hasRoom ? operation : REST;
    const kinds = operations.get(of) ?? new Map<string, Kept<Event>>();
    operations.set(of, kinds);
    return kinds;
  }
}

function told(atMs: number): Kept<never> {
  return { toldAtMs: atMs, leftOut: 0, last: undefined, timer: undefined };
}
