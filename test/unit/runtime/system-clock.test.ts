// Timers of the real clock while their time is replaced under them, by kits that keep what they are asked.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { TIMER_DELAY_MS_MAX } from "../../../src/core/clock.ts";
import { systemClock } from "../../../src/runtime/system-clock.ts";

class Handle {
  readonly delayMs: number;
  readonly callback: () => void;
  isRef = true;
  isCleared = false;

  constructor(callback: () => void, delayMs: number) {
    this.callback = callback;
    this.delayMs = delayMs;
  }

  ref(): void {
    this.isRef = true;
  }

  unref(): void {
    this.isRef = false;
  }
}

/** Replaces the timers, and with `nowMs` the time, too; each has its own function to clear its own. */
class Kit {
  readonly armed: Handle[] = [];

  constructor(nowMs?: number) {
    Object.assign(globalThis, {
      setTimeout: (callback: () => void, delayMs: number): Handle => {
        const handle = new Handle(callback, delayMs);
        this.armed.push(handle);
        return handle;
      },
      clearTimeout: (handle: Handle): void => {
        assert.ok(this.armed.includes(handle), "another kit's timer");
        handle.isCleared = true;
      },
    });
    if (nowMs !== undefined) this.setNow(nowMs);
  }

  setNow(nowMs: number): void {
    Date.now = () => nowMs;
    // Whoever makes a call reads the time before it asks for a timer.
    systemClock.monotonic();
  }

  get last(): Handle {
    return this.armed.at(-1) ?? assert.fail("nothing is armed");
  }
}

const real = { setTimeout, clearTimeout };
const { now: realNow } = Date;

function restore(): void {
  Object.assign(globalThis, real);
  Date.now = realNow;
  systemClock.monotonic();
}

beforeEach(restore);
afterEach(restore);

const noop = (): void => {};

test("a timer keeps the process alive while it is asked to", () => {
  const kit = new Kit();
  const timer = systemClock.setTimer(noop, 50);

  assert.equal(kit.last.isRef, false);
  timer.keepAlive(true);
  assert.equal(kit.last.isRef, true);
  timer.keepAlive(false);
  assert.equal(kit.last.isRef, false);
  assert.equal(kit.armed.length, 1);
});

test("a timer is cleared by whoever made it", () => {
  const kit = new Kit();
  const timer = systemClock.setTimer(noop, 50);
  restore();
  timer.cancel();

  assert.equal(kit.last.isCleared, true);
});

test("a delay that no runtime can take is cut", () => {
  const kit = new Kit(1_000);
  const timer = systemClock.setTimer(noop, 10 * TIMER_DELAY_MS_MAX);
  assert.equal(kit.last.delayMs, TIMER_DELAY_MS_MAX);

  const other = new Kit();
  Date.now = realNow;
  systemClock.monotonic();
  timer.keepAlive(true);
  assert.equal(other.last.delayMs, TIMER_DELAY_MS_MAX);
});

describe("a timer of a time that was replaced since", () => {
  test("is set again for the rest, once, when it is to keep the process alive", () => {
    const before = new Kit(1_000);
    const timer = systemClock.setTimer(noop, 1_000);
    before.setNow(1_400);
    const after = new Kit(10);
    timer.keepAlive(false);
    assert.deepEqual([before.last.isCleared, after.armed.length], [false, 0]);

    timer.keepAlive(true);
    assert.equal(before.last.isCleared, true);
    assert.equal(after.last.callback, noop);
    assert.equal(after.last.delayMs, 600);

    timer.keepAlive(true);
    timer.keepAlive(false);
    assert.equal(after.armed.length, 1);
    assert.equal(after.last.isRef, false);

    timer.cancel();
    assert.equal(after.last.isCleared, true);
  });

  test("comes at once when it is overdue", () => {
    const before = new Kit(1_000);
    const timer = systemClock.setTimer(noop, 100);
    before.setNow(5_000);
    const after = new Kit(0);
    timer.keepAlive(true);

    assert.equal(after.last.delayMs, 1);
  });
});
