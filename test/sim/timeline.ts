// One line of time for a whole simulated world, and the clocks of its processes.
//
// Whatever is due stands in one agenda, ordered by time and then by who came first, so that a seed
// decides everything. A process sees a monotonic clock of its own, which starts when it does, and
// the wall clock of the world, which somebody may set. A process that stands still (a stalled event
// loop) gets what was due meanwhile when it wakes up; one that is dead gets nothing any more.

import type { Scheduler, Timer } from "../../src/core/clock.ts";

export interface Due {
  /** When it happens. Later than `dueMs` when its process stood still. */
  atMs: number;
  readonly dueMs: number;
  readonly order: number;
  readonly owner: ProcessClock | undefined;
  readonly isTimer: boolean;
  run: (() => void) | undefined;
}

export class Timeline {
  nowMs = 0;
  #wallOffsetMs = Date.UTC(2026, 0, 1);
  #order = 0;
  /** Latest first: what is next stands at the end. */
  readonly #agenda: Due[] = [];

  get wallMs(): number {
    return Math.floor(this.#wallOffsetMs + this.nowMs);
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Has `run` called after `delayMs`, unless its owner is dead by then. */
  after(delayMs: number, run: () => void, owner?: ProcessClock, isTimer = false): Due {
    const dueMs = this.nowMs + delayMs;
    const due = { atMs: dueMs, dueMs, order: (this.#order += 1), owner, isTimer, run };
    this.#insert(due);
    return due;
  }

  /** When the next thing is due; undefined when nothing is. */
  get nextMs(): number | undefined {
    this.#tidy();
    return this.#agenda.at(-1)?.atMs;
  }

  /** Takes the next thing that is due until `endMs`, and moves the time there. */
  next(endMs: number): (() => void) | undefined {
    this.#tidy();
    const due = this.#agenda.at(-1);
    if (due === undefined || due.atMs > endMs) return undefined;
    this.#agenda.pop();
    this.nowMs = Math.max(this.nowMs, due.atMs);
    const { run } = due;
    due.run = undefined;
    return run;
  }

  /** Timers of a process that have neither fired nor been cancelled. */
  timersOf(owner: ProcessClock): number {
    return this.#agenda.filter((due) => due.owner === owner && due.isTimer && due.run !== undefined)
      .length;
  }

  /** Brings something to the end that can happen: not cancelled, its process alive and awake. */
  #tidy(): void {
    for (;;) {
      const due = this.#agenda.at(-1);
      if (due === undefined) return;
      if (due.run === undefined || due.owner?.isDead === true) this.#agenda.pop();
      else if (due.owner !== undefined && due.owner.stalledUntilMs > due.atMs) {
        this.#agenda.pop();
        due.atMs = due.owner.stalledUntilMs;
        this.#insert(due);
      } else return;
    }
  }

  #insert(due: Due): void {
    let low = 0;
    let high = this.#agenda.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#agenda[middle];
      if (other !== undefined && isBefore(due, other)) low = middle + 1;
      else high = middle;
    }
    this.#agenda.splice(low, 0, due);
  }
}

function isBefore(left: Due, right: Due): boolean {
  if (left.atMs !== right.atMs) return left.atMs < right.atMs;
  if (left.dueMs !== right.dueMs) return left.dueMs < right.dueMs;
  return left.order < right.order;
}

/** The shortest timer of both runtimes. */
const TIMER_MS_MIN = 1;

export class ProcessClock implements Scheduler {
  isDead = false;
  stalledUntilMs = 0;
  readonly #timeline: Timeline;
  readonly #originMs: number;
  readonly #aheadMs: number;

  /** `originMs`: what the monotonic clock says at the start; `aheadMs`: how wrong the wall clock is. */
  constructor(timeline: Timeline, originMs: number, aheadMs: number) {
    this.#timeline = timeline;
    this.#aheadMs = aheadMs;
    this.#originMs = originMs - timeline.nowMs;
  }

  now(): number {
    return this.#timeline.wallMs + this.#aheadMs;
  }

  monotonic(): number {
    return this.#timeline.nowMs + this.#originMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const due = this.#timeline.after(Math.max(TIMER_MS_MIN, delayMs), callback, this, true);
    return { cancel: () => void (due.run = undefined), keepAlive: () => {} };
  }

  get pendingTimers(): number {
    return this.#timeline.timersOf(this);
  }
}
