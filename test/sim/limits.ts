// What a limiter must keep to: its own books agree with the ledger's, less critical calls leave alone what is
// kept for others, and a call that waits is let in or turned away, once.

import type { LimitPolicy } from "../../src/core/overload/limit-policy.ts";
import { adaptiveLimit, fixedLimit } from "../../src/core/overload/limit-policy.ts";
import type { Tier } from "../../src/core/overload/criticality.ts";
import type { LimitGuard } from "../../src/pipeline/overload/guard.ts";
import type { Waiting } from "../../src/pipeline/overload/waiting-line.ts";
import type { Expiring } from "../../src/pipeline/call/deadline.ts";
import type { SeededRandom } from "../../src/testing/index.ts";
import { pick } from "./kinds.ts";
import type { Call, Ledger } from "./ledger.ts";
import type { Setting } from "./setting.ts";

/** Longest that a call is taken to go on of which nobody hears, where there is no deadline. */
export const UNHEARD_MS_MAX = 30_000;
/** A stall of its process, and a timer's own millisecond. */
const SLACK_MS = 2;

export const LIMIT_REASONS: ReadonlySet<string> = new Set(["limit", "priority", "no_time"]);

export function drawLimit(random: SeededRandom): LimitPolicy {
  const most = pick(random, [2, 10, 30]);
  return pick(random, [
    fixedLimit(pick(random, [1, 2, 3, 10, 20])),
    adaptiveLimit({ initial: most, min: pick(random, [1, 2]), max: most * pick(random, [1, 4]) }),
  ]);
}

interface Clock {
  monotonic(): number;
}

type WaitingCall = Waiting & Expiring;

/** The limiter of one upstream in one process. */
export class LimitLedger {
  readonly guard: LimitGuard;
  readonly #setting: Setting;
  readonly #clock: Clock;
  /** When calls ended of whose end in the upstream nobody hears. */
  #unheardMs: number[] = [];
  readonly #waiting = new Map<Call, number>();

  constructor(setting: Setting, guard: LimitGuard, clock: Clock) {
    this.#setting = setting;
    this.guard = guard;
    this.#clock = clock;
    this.#watchHold();
    this.#watchLine();
  }

  leftUnheard(): void {
    this.#unheardMs.push(this.#clock.monotonic());
  }

  isWaiting(call: Call): boolean {
    return this.#waiting.has(call);
  }

  /** At rest: nobody is half-way through. */
  check({ tally, name }: Ledger, isAwake: boolean): void {
    const { journal } = this.#setting;
    const { limiter, line } = this.guard;
    const held = limiter.inFlight - limiter.abandoned;
    const most = tally.abandoned + this.#unheardMs.length;
    if (held !== tally.inFlight) {
      journal.break("permits are those of calls", `${name}: ${held}, not ${tally.inFlight}`);
    }
    if (limiter.abandoned < tally.abandoned || limiter.abandoned > most) {
      const found = `${limiter.abandoned}, not ${tally.abandoned} to ${most}`;
      journal.break("a call that runs on has its permit", `${name}: ${found}`);
    }
    if (line.length !== this.#waiting.size) {
      journal.break("who waits stands in line", `${name}: ${line.length}, ${this.#waiting.size}`);
    }
    const oldestMs = this.#waiting.values().next().value ?? Number.POSITIVE_INFINITY;
    const waitedMs = this.#clock.monotonic() - oldestMs;
    if (isAwake && waitedMs > this.guard.waitMsMax + SLACK_MS) {
      journal.break("nobody waits for long", `${name}: ${waitedMs} ms`);
    }
  }

  /** Everything has ended, and every estimate has passed. */
  checkEmpty(name: string): void {
    const nowMs = this.#clock.monotonic();
    this.guard.holdAnyway(0, nowMs).giveBack(nowMs);
    const { inFlight } = this.guard.limiter;
    if (inFlight === 0) return;
    this.#setting.journal.break("permits never leak", `${name}: ${inFlight} in flight`);
  }

  #watchHold(): void {
    const { guard } = this;
    const hold = guard.hold.bind(guard);
    guard.hold = (tier, nowMs, remainingMs) => {
      const held = hold(tier, nowMs, remainingMs);
      const boundMs = guard.deadlineMs ?? UNHEARD_MS_MAX;
      this.#unheardMs = this.#unheardMs.filter((leftMs) => nowMs < leftMs + boundMs);
      if (held === undefined) this.#checkRefusal(tier);
      else this.#checkReserves(tier, nowMs);
      return held;
    };
  }

  #checkRefusal(tier: Tier): void {
    const { limiter, refusedFor } = this.guard;
    const isFull = limiter.inFlight >= limiter.limit || limiter.spaceMs > 0;
    const isWrong =
      (refusedFor === "priority" && tier === 0) || (refusedFor === "limit" && !isFull);
    if (!isWrong) return;
    const found = `tier ${tier} for ${refusedFor}, ${limiter.inFlight} of ${limiter.limit}`;
    this.#setting.journal.break("nobody is refused for nothing", found);
  }

  /** With this call let in, what is kept for the tiers above must still be there. */
  #checkReserves(tier: Tier, nowMs: number): void {
    const { limiter } = this.guard;
    let kept = 0;
    for (let higher = 0; higher < tier; higher += 1) {
      const reserve = limiter.reserveOf(higher as Tier, nowMs);
      kept += Math.max(0, reserve - limiter.inFlightOf(higher as Tier));
    }
    // Permits are whole: the last one may reach less than one into what is kept.
    if (limiter.inFlight - 1 + kept < limiter.limit) return;
    const found = `${limiter.inFlight} in flight and ${kept} kept of ${limiter.limit}`;
    this.#setting.journal.break("the critical have what is kept for them", `${tier}: ${found}`);
  }

  #watchLine(): void {
    const { line } = this.guard;
    const add = line.add.bind(line);
    line.add = (waiting) => {
      const call = this.#setting.calling;
      if (call !== undefined) this.#watchWaiting(call, waiting as WaitingCall);
      add(waiting);
    };
  }

  #watchWaiting(call: Call, waiting: WaitingCall): void {
    const fromMs = this.#clock.monotonic();
    this.#waiting.set(call, fromMs);
    this.#setting.journal.note("waits", call.id);
    const retry = waiting.retry.bind(waiting);
    const expire = waiting.expire.bind(waiting);
    waiting.retry = () => {
      const isDecided = this.#asking(call, retry);
      if (isDecided) this.#decided(call, fromMs);
      return isDecided;
    };
    waiting.expire = (stalled) => {
      this.#asking(call, () => expire(stalled));
      this.#decided(call, fromMs);
    };
  }

  /** It asks anew: its machine is asked anew, and told of this asking alone. */
  #asking<Result>(call: Call, ask: () => Result): Result {
    const { calling } = this.#setting;
    Object.assign(call, { ticket: undefined, told: 0, toldAs: undefined, toldFailure: undefined });
    this.#setting.calling = call;
    try {
      return ask();
    } finally {
      this.#setting.calling = calling;
    }
  }

  #decided(call: Call, fromMs: number): void {
    const { journal } = this.#setting;
    journal.note("waited", call.id, call.ticket !== undefined);
    if (!this.#waiting.delete(call)) {
      journal.break("who waited is let in or refused once", `call ${call.id}`);
    }
    // From here on it is as if it had been called now, with the time that is left.
    const nowMs = this.#clock.monotonic();
    call.startMs = nowMs;
    if (call.deadlineMs !== undefined) {
      call.deadlineMs = Math.max(1, call.deadlineMs - (nowMs - fromMs));
    }
  }
}
