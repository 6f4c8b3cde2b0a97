// Deadlines of many calls on few timers.
//
// Calls to one upstream nearly all have the same deadline, so that they fall due in the order they
// came: one list per distinct duration, one timer for its head. Adding and removing are a few
// pointer writes, where a timer or an `AbortSignal.timeout` per call costs microseconds. A removed
// head leaves its timer standing: when that fires early, it is set again for the new head.
// The number of lists, and so of timers, is bounded by the calls in flight: an empty list is
// forgotten with its timer's next firing.

import { TIMER_DELAY_MS_MAX } from "../core/clock.ts";

/** Something with a deadline; one list holds it at a time. */
export interface Due {
  onDue(): void;
}

interface Entry {
  readonly due: Due;
  readonly atMs: number;
  readonly list: List;
  previous: Entry | undefined;
  next: Entry | undefined;
  isListed: boolean;
}

interface List {
  readonly durationMs: number;
  head: Entry | undefined;
  tail: Entry | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Proof of a deadline, to remove it with. */
export type DeadlineHandle = Entry;

export class Deadlines {
  readonly #lists = new Map<number, List>();

  /** Calls `due.onDue()` once, `durationMs` after `nowMs` of the monotonic clock. */
  add(due: Due, durationMs: number, nowMs: number): DeadlineHandle {
    let list = this.#lists.get(durationMs);
    if (list === undefined) {
      list = { durationMs, head: undefined, tail: undefined, timer: undefined };
      this.#lists.set(durationMs, list);
    }
    const entry: Entry = {
      due,
      atMs: nowMs + durationMs,
      list,
      previous: list.tail,
      next: undefined,
      isListed: true,
    };
    if (list.tail === undefined) list.head = entry;
    else list.tail.next = entry;
    list.tail = entry;
    if (list.timer === undefined) this.#arm(list, durationMs);
    return entry;
  }

  /** Removing twice, or after it fell due, does nothing. */
  remove(entry: DeadlineHandle): void {
    if (!entry.isListed) return;
    entry.isListed = false;
    const { list, previous, next } = entry;
    if (previous === undefined) list.head = next;
    else previous.next = next;
    if (next === undefined) list.tail = previous;
    else next.previous = previous;
  }

  /** Stops every timer; nothing falls due any more. */
  clear(): void {
    for (const list of this.#lists.values()) clearTimeout(list.timer);
    this.#lists.clear();
  }

  #arm(list: List, delayMs: number): void {
    // A call in flight holds its socket open, and with it the process: the timer need not.
    list.timer = setTimeout(
      () => this.#fire(list),
      Math.min(Math.max(1, Math.ceil(delayMs)), TIMER_DELAY_MS_MAX),
    );
    list.timer.unref();
  }

  #fire(list: List): void {
    list.timer = undefined;
    const nowMs = performance.now();
    while (list.head !== undefined && nowMs >= list.head.atMs) {
      const entry = list.head;
      this.remove(entry);
      entry.due.onDue();
    }
    // `onDue` may have added to this very list, and so have armed it.
    if (list.timer !== undefined) return;
    if (list.head === undefined) this.#lists.delete(list.durationMs);
    else this.#arm(list, list.head.atMs - nowMs);
  }
}
