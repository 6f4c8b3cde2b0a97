// Deadlines of all calls on few timers.
//
// A timer per call costs more than the rest of a guarded call. But calls with the same deadline
// expire in the order they started, so one list per duration with one timer for its head does:
// starting and finishing a call links and unlinks a node.

import { TIMER_DELAY_MS_MAX, type Scheduler, type Timer } from "../../core/clock.ts";

/** Something that expires. The queue owns the links. */
export interface Expiring {
  /**
   * Called once when the deadline passed, unless removed before. `stalled` tells that this process
   * stood still meanwhile, so that the passing time says nothing about the upstream.
   */
  expire(stalled: boolean): void;
}

interface Node {
  /** Undefined once removed. */
  target: Expiring | undefined;
  readonly dueMs: number;
  readonly lane: Lane;
  previous: Node | undefined;
  next: Node | undefined;
  linked: boolean;
}

interface Lane {
  readonly durationMs: number;
  head: Node | undefined;
  tail: Node | undefined;
  timer: Timer | undefined;
  timerDueMs: number;
  /** The timer fired late; the answers that arrived meanwhile get one turn to be read. */
  stalled: boolean;
}

/** Returned by `add`, given back to `remove`. */
export type DeadlineEntry = Node;

/**
 * Lanes kept while empty. A caller that computes its own deadline makes a new duration each time;
 * such lanes are dropped as soon as they are empty.
 */
const LANES_KEPT = 64;

/**
 * A timer later than this, or than a tenth of the deadline, is a stall of the event loop: after
 * two seconds of it every call in flight looks timed out, and a healthy upstream would trip.
 */
const STALL_MS_MIN = 50;

/** Runtimes fire up to a millisecond early; the timer is then set again for the rest. */
const EARLY_MS_MAX = 2;

export class DeadlineQueue {
  readonly #scheduler: Scheduler;
  readonly #lanes = new Map<number, Lane>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  /** Expires `target` after `durationMs`, rounded up to a millisecond, unless removed before. */
  add(target: Expiring, durationMs: number, nowMs: number): DeadlineEntry {
    const lane = this.#lane(Math.min(Math.ceil(durationMs), TIMER_DELAY_MS_MAX));
    const node: Node = {
      target,
      dueMs: nowMs + lane.durationMs,
      lane,
      previous: lane.tail,
      next: undefined,
      linked: true,
    };
    if (lane.tail === undefined) lane.head = node;
    else lane.tail.next = node;
    lane.tail = node;
    if (lane.timer === undefined) this.#arm(lane, lane.durationMs);
    else if (lane.head === node) lane.timer.keepAlive(true);
    return node;
  }

  /** Removing twice, or after it expired, does nothing. */
  remove(node: DeadlineEntry): void {
    if (!node.linked) return;
    node.linked = false;
    const { lane, previous, next } = node;
    if (previous === undefined) lane.head = next;
    else previous.next = next;
    if (next === undefined) lane.tail = previous;
    else next.previous = previous;
    // A dead node in the old generation would keep its neighbours and their calls alive, node after
    // node, until a full collection. With the gateway's list of calls, which did the same, Bun's
    // collections took about 9 ms each under load; without the two, 1 ms.
    node.previous = undefined;
    node.next = undefined;
    node.target = undefined;
    if (lane.head !== undefined) return;
    // The timer stays armed for the next call; only the process must not wait for it.
    if (this.#lanes.size > LANES_KEPT) this.#drop(lane);
    else lane.timer?.keepAlive(false);
  }

  /** Forgets every deadline without expiring it. */
  clear(): void {
    for (const lane of this.#lanes.values()) lane.timer?.cancel();
    this.#lanes.clear();
  }

  #lane(durationMs: number): Lane {
    let lane = this.#lanes.get(durationMs);
    if (lane === undefined) {
      lane = {
        durationMs,
        head: undefined,
        tail: undefined,
        timer: undefined,
        timerDueMs: 0,
        stalled: false,
      };
      this.#lanes.set(durationMs, lane);
    }
    return lane;
  }

  #arm(lane: Lane, delayMs: number): void {
    lane.timerDueMs = this.#scheduler.monotonic() + delayMs;
    lane.timer = this.#scheduler.setTimer(() => this.#fire(lane), delayMs);
    lane.timer.keepAlive(true);
  }

  #fire(lane: Lane): void {
    lane.timer = undefined;
    let nowMs = this.#scheduler.monotonic();
    // A timer that is far too early runs on a time of its own, as a test's that replaces nothing but timers.
    if (nowMs < lane.timerDueMs - EARLY_MS_MAX) nowMs = lane.timerDueMs;
    const lateMs = nowMs - lane.timerDueMs;
    const { stalled } = lane;
    // One turn and no more: a loop that is late every time must not keep its calls for ever.
    lane.stalled = !stalled && lateMs > Math.max(STALL_MS_MIN, lane.durationMs / 10);
    if (lane.stalled && lane.head !== undefined) {
      this.#arm(lane, 1);
      return;
    }
    try {
      this.#expireDue(lane, nowMs, stalled);
    } finally {
      // Also when an expiry threw: those behind it have deadlines too. It may itself have started
      // calls of the same duration, and armed the timer for them or made a new lane.
      this.#rearm(lane, nowMs);
    }
  }

  #rearm(lane: Lane, nowMs: number): void {
    const { head, timer } = lane;
    if (head === undefined) {
      if (timer === undefined) this.#forget(lane);
    } else if (timer === undefined || lane.timerDueMs > head.dueMs) {
      timer?.cancel();
      this.#arm(lane, Math.max(1, Math.ceil(head.dueMs - nowMs)));
    }
  }

  #expireDue(lane: Lane, nowMs: number, stalled: boolean): void {
    while (lane.head !== undefined && lane.head.dueMs <= nowMs) {
      const { head } = lane;
      const { target } = head;
      this.remove(head);
      target?.expire(stalled);
    }
  }

  /** Another lane of the same duration may have taken its place since. */
  #forget(lane: Lane): void {
    if (this.#lanes.get(lane.durationMs) === lane) this.#lanes.delete(lane.durationMs);
  }

  #drop(lane: Lane): void {
    lane.timer?.cancel();
    this.#forget(lane);
  }
}
