// How late the turns of the event loop come: what a call waits before anybody looks at it. Looks every 20 ms, and
// remembers how late it came to the latest hundred looks, which are two seconds.
//
// A loop that is stuck cannot look. So one look that comes 100 ms late stands for the five that were missed, late by
// 100, 80, 60, 40 and 20 ms, as a call at any moment of the time would have been; and a look that is overdue when
// somebody asks counts already.
//
// Not `monitorEventLoopDelay`: Node 24 shows the time between two looks, Bun 1.4 what of it was too late, Node loses the look
// after a reset, and neither counts what was missed. `eventLoopUtilization` is 0 at all times on Bun.

import type { Scheduler, Timer } from "../core/clock.ts";
import { systemClock } from "./system-clock.ts";

/** Fifty looks a second. */
export const LOOK_MS = 20;

/** Two seconds: a spike shows at once, and is forgotten soon after its end. */
export const LOOKS = 100;

/** Nobody asks any more: a program that sheds nothing pays for nothing. */
const QUIET_MS = 60_000;

/** The latest looks. Pure. */
export class LateLooks {
  readonly #lateMs = new Float64Array(LOOKS);
  #count = 0;
  #next = 0;

  /** A look came so late, and stands for those that it kept from being. */
  add(lateMs: number): void {
    // Of more there is no room, and a process that was halted for a night must not count for one.
    let leftMs = Math.min(lateMs, LOOKS * LOOK_MS);
    do {
      this.#lateMs[this.#next] = leftMs;
      this.#next = (this.#next + 1) % LOOKS;
      this.#count += 1;
      leftMs -= LOOK_MS;
    } while (leftMs > 0);
  }

  /** The 99th of a hundred, in order; undefined before there are as many. */
  p99Ms(): number | undefined {
    if (this.#count < LOOKS) return undefined;
    let largest = 0;
    let second = 0;
    for (const lateMs of this.#lateMs) {
      if (lateMs >= largest) {
        second = largest;
        largest = lateMs;
      } else if (lateMs > second) second = lateMs;
    }
    return second;
  }
}

/** Looks from the first question on, until it is stopped or nobody has asked for a minute; keeps no process alive. */
export class LoopDelay {
  readonly #clock: Pick<Scheduler, "monotonic" | "setTimer">;
  #looks = new LateLooks();
  #timer: Timer | undefined = undefined;
  #dueMs = 0;
  #askedMs = 0;
  #isStopped = false;

  constructor(clock: Pick<Scheduler, "monotonic" | "setTimer"> = systemClock) {
    this.#clock = clock;
  }

  /** Milliseconds; undefined in the first two seconds, and once it is stopped. */
  p99Ms(): number | undefined {
    if (this.#isStopped) return undefined;
    const nowMs = this.#clock.monotonic();
    this.#askedMs = nowMs;
    if (this.#timer === undefined) this.#arm(nowMs);
    const p99Ms = this.#looks.p99Ms();
    // Of the looks that are missing right now the second.
    return p99Ms === undefined ? undefined : Math.max(p99Ms, nowMs - this.#dueMs - LOOK_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #arm(nowMs: number): void {
    this.#dueMs = nowMs + LOOK_MS;
    this.#timer = this.#clock.setTimer(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    const nowMs = this.#clock.monotonic();
    this.#looks.add(nowMs - this.#dueMs);
    if (nowMs - this.#askedMs < QUIET_MS) {
      this.#arm(nowMs);
      return;
    }
    this.#timer = undefined;
    this.#looks = new LateLooks();
  }
}
