import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { TIMER_DELAY_MS_MAX, type Scheduler, type Timer } from "../../../src/core/clock.ts";
import { DeadlineQueue, type DeadlineEntry } from "../../../src/pipeline/call/deadline.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";

/** A virtual clock that can stand still, and tells what its pending timers ask of the process. */
class StallableClock implements Scheduler {
  readonly delays: number[] = [];
  readonly #clock = new VirtualClock();
  readonly #keptAlive = new Map<object, boolean>();
  #lostMs = 0;

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic() + this.#lostMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    this.delays.push(delayMs);
    const key = {};
    this.#keptAlive.set(key, false);
    const timer = this.#clock.setTimer(() => {
      this.#keptAlive.delete(key);
      callback();
    }, delayMs);
    return {
      cancel: () => {
        this.#keptAlive.delete(key);
        timer.cancel();
      },
      keepAlive: (yes) => void this.#keptAlive.set(key, yes),
    };
  }

  get pendingTimers(): number {
    return this.#clock.pendingTimers;
  }

  /** Whether any pending timer keeps the process alive. */
  get keepsAlive(): boolean {
    return [...this.#keptAlive.values()].includes(true);
  }

  advance(ms: number): void {
    this.#clock.advance(ms);
  }

  /** Time passes and no timer fires: whatever is pending comes that much later. */
  stall(ms: number): void {
    this.#lostMs += ms;
  }
}

describe("DeadlineQueue", () => {
  let clock: StallableClock;
  let queue: DeadlineQueue;
  let expired: string[];
  beforeEach(() => {
    clock = new StallableClock();
    queue = new DeadlineQueue(clock);
    expired = [];
  });

  function add(name: string, durationMs: number, onExpire?: () => void): DeadlineEntry {
    const target = {
      expire(stalled: boolean): void {
        expired.push(stalled ? `${name} stalled` : name);
        onExpire?.();
      },
    };
    return queue.add(target, durationMs, clock.monotonic());
  }

  describe("when they fall due", () => {
    test("expires in due order across durations, each at its own time", () => {
      add("third", 30);
      add("first", 10);
      clock.advance(5);
      add("second", 10);

      clock.advance(4);
      assert.deepEqual(expired, []);
      clock.advance(1);
      assert.deepEqual(expired, ["first"]);
      clock.advance(5);
      assert.deepEqual(expired, ["first", "second"]);
      clock.advance(15);
      assert.deepEqual(expired, ["first", "second", "third"]);
    });

    test("expires what is due at the same moment in the order of arrival, on one timer", () => {
      for (const name of ["a", "b", "c"]) add(name, 20);

      assert.equal(clock.pendingTimers, 1);
      clock.advance(20);

      assert.deepEqual(expired, ["a", "b", "c"]);
      assert.equal(clock.pendingTimers, 0);
    });

    test("expires each once", () => {
      add("a", 20);
      clock.advance(20);
      clock.advance(1_000);

      assert.deepEqual(expired, ["a"]);
    });

    test("rounds a duration up to a whole millisecond", () => {
      add("a", 9.2);
      add("b", 10);

      assert.equal(clock.pendingTimers, 1);
      clock.advance(9.5);
      assert.deepEqual(expired, []);
      clock.advance(0.5);
      assert.deepEqual(expired, ["a", "b"]);
    });

    test("asks for no delay that a runtime would turn into one millisecond", () => {
      add("a", TIMER_DELAY_MS_MAX * 4);

      assert.deepEqual(clock.delays, [TIMER_DELAY_MS_MAX]);
    });

    test("does not expire early when its timer fires early", () => {
      queue.add({ expire: () => expired.push("a") }, 10, clock.monotonic() + 0.5);

      clock.advance(10);
      assert.deepEqual(expired, []);
      clock.advance(1);

      assert.deepEqual(expired, ["a"]);
      assert.deepEqual(clock.delays, [10, 1]);
    });
  });

  describe("removal", () => {
    test("leaves out the head, the middle and the tail, also when removed twice", () => {
      const entries = ["a", "b", "c", "d", "e"].map((name) => add(name, 10));
      for (const at of [0, 2, 4, 2, 0]) {
        const entry = entries[at];
        if (entry !== undefined) queue.remove(entry);
      }
      clock.advance(10);

      assert.deepEqual(expired, ["b", "d"]);
    });

    test("removing again does not disturb those that came after", () => {
      const first = add("a", 10);
      queue.remove(first);
      add("b", 10);
      queue.remove(first);
      clock.advance(10);

      assert.deepEqual(expired, ["b"]);
    });

    test("removing what has expired does nothing", () => {
      const first = add("a", 10);
      clock.advance(10);
      queue.remove(first);
      add("b", 10);
      queue.remove(first);
      clock.advance(10);

      assert.deepEqual(expired, ["a", "b"]);
    });

    test("sets the standing timer again for one added after the head left", () => {
      const first = add("a", 10);
      clock.advance(6);
      queue.remove(first);
      add("b", 10);

      assert.equal(clock.pendingTimers, 1);
      clock.advance(4);
      assert.deepEqual(expired, []);
      clock.advance(6);

      assert.deepEqual(expired, ["b"]);
    });

    test("lets go of its neighbours and its target, so that no dead entry keeps live ones", () => {
      const entries = ["a", "b", "c"].map((name) => add(name, 10));
      const middle = entries[1];
      assert.ok(middle !== undefined);
      queue.remove(middle);

      assert.deepEqual(
        [middle.previous, middle.next, middle.target],
        [undefined, undefined, undefined],
      );
    });

    test("an entry of before a clear does not disturb a later one", () => {
      const old = add("old", 10);
      queue.clear();
      for (let at = 0; at < 100; at += 1) add(`n${at}`, 10 + at);
      queue.remove(old);
      queue.clear();

      assert.equal(clock.pendingTimers, 0);
      clock.advance(1_000);
      assert.deepEqual(expired, []);
    });
  });

  describe("many durations", () => {
    test("holds no more timers than the bound once the calls are over", () => {
      const entries = Array.from({ length: 1_000 }, (_, at) => add(`${at}`, 100 + at));
      assert.equal(clock.pendingTimers, 1_000);
      for (const entry of entries) queue.remove(entry);

      assert.equal(clock.pendingTimers, 64);
      clock.advance(2_000);
      assert.equal(clock.pendingTimers, 0);
      assert.deepEqual(expired, []);
    });

    test("keeps a few durations' timers standing between calls", () => {
      for (let at = 0; at < 10; at += 1) queue.remove(add("a", 100));

      assert.deepEqual(clock.delays, [100]);
      assert.equal(clock.pendingTimers, 1);
    });

    test("expires the calls of durations beyond the bound", () => {
      for (let at = 1; at <= 200; at += 1) add(`${at}`, at);
      clock.advance(200);

      assert.equal(expired.length, 200);
      assert.equal(clock.pendingTimers, 0);
    });

    test("cancels the timer of a duration that it drops", () => {
      for (let at = 0; at < 64; at += 1) add(`kept ${at}`, 1_000 + at);
      queue.remove(add("dropped", 10));
      add("new", 10);

      assert.equal(clock.pendingTimers, 65);
      clock.advance(10);
      assert.deepEqual(expired, ["new"]);
    });
  });

  describe("a stalled event loop", () => {
    function stalled(durationMs: number, lateMs: number): void {
      add("a", durationMs);
      clock.advance(durationMs - 1);
      clock.stall(lateMs);
      clock.advance(1);
    }

    test("a timer that is 50 ms late is on time", () => {
      stalled(200, 50);

      assert.deepEqual(expired, ["a"]);
    });

    test("a later one gives answers one more turn, then expires as stalled", () => {
      stalled(200, 50.5);
      assert.deepEqual(expired, []);

      clock.advance(1);

      assert.deepEqual(expired, ["a stalled"]);
    });

    test("a long deadline allows a tenth of itself", () => {
      stalled(2_000, 200);
      assert.deepEqual(expired, ["a"]);

      expired.length = 0;
      stalled(2_000, 201);
      clock.advance(1);
      assert.deepEqual(expired, ["a stalled"]);
    });

    test("an answer that was read in that turn is no timeout", () => {
      const entry = add("a", 100);
      add("b", 100);
      clock.advance(99);
      clock.stall(500);
      clock.advance(1);
      queue.remove(entry);
      clock.advance(1);

      assert.deepEqual(expired, ["b stalled"]);
    });

    test("a loop that is late every time expires its calls all the same", () => {
      stalled(100, 500);
      clock.stall(500);
      clock.advance(1);

      assert.deepEqual(expired, ["a stalled"]);
    });

    test("a call that starts in that turn keeps its own deadline, and counts", () => {
      stalled(100, 500);
      add("b", 100);
      clock.advance(99);
      assert.deepEqual(expired, ["a stalled"]);
      clock.advance(1);

      assert.deepEqual(expired, ["a stalled", "b"]);
    });

    test("with nobody waiting leaves no mark and no timer", () => {
      queue.remove(add("gone", 100));
      clock.advance(99);
      clock.stall(500);
      clock.advance(1);
      assert.equal(clock.pendingTimers, 0);
      add("a", 100);
      clock.advance(100);

      assert.deepEqual(expired, ["a"]);
    });
  });

  describe("the process", () => {
    test("is kept alive while a call waits, and no longer", () => {
      const first = add("a", 100);
      const second = add("b", 100);
      assert.equal(clock.keepsAlive, true);
      queue.remove(first);
      assert.equal(clock.keepsAlive, true);
      queue.remove(second);
      assert.equal(clock.keepsAlive, false);

      const third = add("c", 100);
      assert.equal(clock.keepsAlive, true);
      clock.advance(50);
      queue.remove(third);
      add("d", 100);
      clock.advance(60);

      assert.equal(clock.keepsAlive, true, "also by a timer set again");
    });
  });

  describe("expiries", () => {
    test("may add to the same duration", () => {
      add("a", 10, () => add("b", 10));
      clock.advance(10);
      assert.deepEqual(expired, ["a"]);
      assert.equal(clock.pendingTimers, 1);
      clock.advance(10);

      assert.deepEqual(expired, ["a", "b"]);
      assert.equal(clock.pendingTimers, 0);
    });

    test("may add to the same duration beyond the bound, where its lane was just dropped", () => {
      for (let at = 0; at < 64; at += 1) add(`kept ${at}`, 1_000 + at);
      add("a", 10, () => add("b", 10));
      clock.advance(20);

      assert.deepEqual(expired, ["a", "b"]);
    });

    test("may remove others that are due at the same moment", () => {
      const later: DeadlineEntry[] = [];
      add("a", 10, () => later.forEach((entry) => queue.remove(entry)));
      later.push(add("b", 10));
      add("c", 10);
      clock.advance(10);

      assert.deepEqual(expired, ["a", "c"]);
    });

    test("that throw do not take the deadlines behind them along", () => {
      add("a", 10, () => {
        throw new Error("a listener's mistake");
      });
      add("b", 10);

      assert.throws(() => clock.advance(10), /mistake/);
      clock.advance(1);

      assert.deepEqual(expired, ["a", "b"]);
    });
  });

  test("expires nothing once cleared, and serves again", () => {
    add("a", 10);
    add("b", 20);
    queue.clear();
    assert.equal(clock.pendingTimers, 0);
    clock.advance(20);
    assert.deepEqual(expired, []);

    add("c", 10);
    clock.advance(10);
    assert.deepEqual(expired, ["c"]);
  });
});
