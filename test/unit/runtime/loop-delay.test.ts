// How late the event loop comes, on a clock of the test's own, and once in a real loop that is stuck.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Timer } from "../../../src/core/clock.ts";
import { LateLooks, LOOK_MS, LoopDelay } from "../../../src/runtime/loop-delay.ts";
import { ROOT } from "../../support/programs.ts";

function looks(...lateMs: readonly number[]): LateLooks {
  const all = new LateLooks();
  for (const one of lateMs) all.add(one);
  return all;
}

const times = (count: number, lateMs: number): number[] =>
  Array.from({ length: count }, () => lateMs);

describe("the latest looks", () => {
  test("say nothing before there are a hundred", () => {
    assert.equal(looks().p99Ms(), undefined);
    assert.equal(looks(...times(99, 5)).p99Ms(), undefined);
    assert.equal(looks(...times(100, 5)).p99Ms(), 5);
  });

  test("the 99th of a hundred: one that was late is an accident, two are not", () => {
    assert.equal(looks(...times(99, 1), 15).p99Ms(), 1);
    assert.equal(looks(...times(98, 1), 15, 12).p99Ms(), 12);
    assert.equal(looks(12, 15, ...times(98, 1)).p99Ms(), 12);
    assert.equal(looks(15, 15, ...times(98, 1)).p99Ms(), 15);
  });

  test("forget what is two seconds ago", () => {
    assert.equal(looks(15, 15, ...times(99, 1)).p99Ms(), 1);
    assert.equal(looks(15, 15, ...times(100, 1)).p99Ms(), 1);
  });

  test("a look that was late stands for those that it kept from being", () => {
    // 100, 80, 60, 40, 20: the second is 80.
    assert.equal(looks(...times(95, 0), 100).p99Ms(), 80);
    assert.equal(looks(...times(94, 0), 100).p99Ms(), undefined);
    assert.equal(looks(...times(98, 0), 21).p99Ms(), 1);
    assert.equal(looks(...times(99, 0), 20).p99Ms(), 0);
  });

  test("a process that was halted for a night was late by two seconds", () => {
    assert.equal(looks(8 * 3_600_000).p99Ms(), 1980);
    assert.equal(looks(Number.POSITIVE_INFINITY).p99Ms(), 1980);
  });

  test("one that came early was not late; what is no time is not either", () => {
    assert.equal(looks(...times(100, -5)).p99Ms(), 0);
    assert.equal(looks(...times(50, 0), ...times(50, Number.NaN)).p99Ms(), 0);
  });
});

/** One timer, which comes when the test says. */
class Loop {
  nowMs = 1000;
  due: (() => void) | undefined;
  readonly delays: number[] = [];

  monotonic(): number {
    return this.nowMs;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    assert.equal(this.due, undefined, "two timers");
    this.due = callback;
    this.delays.push(delayMs);
    return { cancel: () => (this.due = undefined), keepAlive: () => assert.fail("kept alive") };
  }

  /** So much time passes until the timer comes. */
  turn(afterMs: number): void {
    this.nowMs += afterMs;
    const { due } = this;
    this.due = undefined;
    due?.();
  }
}

describe("the delay of the loop", () => {
  const started = (): { loop: Loop; delay: LoopDelay } => {
    const loop = new Loop();
    const delay = new LoopDelay(loop);
    assert.equal(delay.p99Ms(), undefined);
    return { loop, delay };
  };

  test("is looked at from the first question on", () => {
    const loop = new Loop();
    const delay = new LoopDelay(loop);
    assert.equal(loop.due, undefined);
    delay.p99Ms();
    delay.p99Ms();
    assert.deepEqual(loop.delays, [LOOK_MS]);
  });

  test("is what the looks are late by, and not the time between them", () => {
    const { loop, delay } = started();
    for (let n = 0; n < 100; n += 1) loop.turn(LOOK_MS + 3);
    assert.equal(delay.p99Ms(), 3);
  });

  test("a loop that is stuck right now is late already", () => {
    const { loop, delay } = started();
    for (let n = 0; n < 100; n += 1) loop.turn(LOOK_MS);
    loop.nowMs += LOOK_MS + 60;
    assert.equal(delay.p99Ms(), 40);
    loop.nowMs += 1000;
    assert.equal(delay.p99Ms(), 1040);
    loop.turn(0);
    assert.equal(delay.p99Ms(), 1040);
  });

  test("is looked at no longer once nobody has asked for a minute, and anew when somebody does", () => {
    const { loop, delay } = started();
    for (let n = 0; n < 2999; n += 1) loop.turn(LOOK_MS);
    assert.ok(loop.due !== undefined);
    delay.p99Ms();
    for (let n = 0; n < 3000; n += 1) loop.turn(LOOK_MS);
    assert.equal(loop.due, undefined);
    assert.equal(delay.p99Ms(), undefined);
    assert.ok(loop.due !== undefined);
    for (let n = 0; n < 100; n += 1) loop.turn(LOOK_MS);
    assert.equal(delay.p99Ms(), 0);
  });

  test("once it is stopped it is not known, and nothing looks", () => {
    const { loop, delay } = started();
    for (let n = 0; n < 100; n += 1) loop.turn(LOOK_MS);
    delay.stop();
    assert.equal(loop.due, undefined);
    assert.equal(delay.p99Ms(), undefined);
    assert.equal(loop.due, undefined);
    new LoopDelay(loop).stop();
  });
});

test("a real loop that is stuck shows in the system load, as what drives it, and keeps no process alive", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, "test/fixtures/stuck-loop.ts")],
    { encoding: "utf8", timeout: 30_000 },
  );
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    max: { load: 1, driver: "event_loop" },
    weighted: { isBelow: true, isLoop: false },
    isLookedAt: false,
    refused: "load_shed",
  });
});
