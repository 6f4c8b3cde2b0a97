// The line for room and its guard, alone: what no call through an upstream can be made to hit surely.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fixedLimit } from "../../../src/core/overload/limit-policy.ts";
import { ENDED_OK } from "../../../src/core/overload/limiter.ts";
import { LimitGuard } from "../../../src/pipeline/overload/guard.ts";
import type { HeldPermit } from "../../../src/pipeline/overload/held-permit.ts";
import { WaitingLine } from "../../../src/pipeline/overload/waiting-line.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

test("whoever ends while the line is served has nobody asked twice", () => {
  const line = new WaitingLine(() => 10);
  const asked: string[] = [];
  for (const name of ["ann", "bob", "cid"]) {
    line.add({
      retry: () => {
        asked.push(name);
        // Its call fails at once, and the end of a call serves the line.
        line.serve();
        return true;
      },
    });
  }
  line.serve();

  assert.deepEqual(asked, ["ann", "bob", "cid"]);
  assert.equal(line.length, 0);
});

test("serves in order up to the first for whom there is no room, and goes on after one who throws", () => {
  const line = new WaitingLine(() => 10);
  let room = 1;
  const asked: string[] = [];
  const waiting = (name: string) => ({
    retry: () => {
      asked.push(name);
      if (name === "cid") throw new Error("host bug");
      room -= 1;
      return room >= 0;
    },
  });
  for (const name of ["ann", "bob"]) line.add(waiting(name));
  line.serve();
  assert.deepEqual([asked, line.length], [["ann", "bob"], 1]);

  room = 1;
  line.add(waiting("cid"));
  assert.throws(() => line.serve(), /host bug/);
  assert.deepEqual(asked, ["ann", "bob", "bob", "cid"]);
  assert.throws(() => line.serve(), /host bug/);
  assert.equal(asked.length, 5);
});

test("one who is being served stands in the line already, however short it is", () => {
  const line = new WaitingLine(() => 1);
  assert.equal(line.hasRoom, true);
  const seen: boolean[] = [];
  line.add({ retry: () => seen.push(line.hasRoom) > 0 });
  assert.equal(line.hasRoom, false);
  line.serve();
  assert.deepEqual(seen, [true]);
});

test("a caller for whom there is no room any more is told so, whatever the last one was refused for", () => {
  const clock = new VirtualClock();
  const guard = new LimitGuard(fixedLimit(3), 1000, clock);
  const hold = (leftMs = Infinity): HeldPermit | undefined =>
    guard.hold(0, clock.monotonic(), leftMs);
  for (let round = 0; round < 10; round += 1) {
    const permits = [hold(), hold(), hold()];
    clock.advance(200);
    for (const permit of permits) permit?.end(ENDED_OK, clock.monotonic());
  }

  const paused = hold();
  paused?.giveBack(clock.monotonic());
  hold();
  hold();
  assert.equal(hold(10), undefined);
  assert.equal(guard.refusedFor, "no_time");
  assert.ok(hold());
  assert.equal(paused?.takeAgain(clock.monotonic()), false);
  assert.equal(guard.refusedFor, "limit");
});

test("once an answer is owed again a silence is one, though a single call be in flight", () => {
  const clock = new VirtualClock();
  const guard = new LimitGuard(fixedLimit(1), 1000, clock);
  const held = guard.hold(0, clock.monotonic(), Infinity);
  held?.takeAgain(clock.monotonic(), true);
  clock.advance(200);
  // What it sends has been sent: from here on an answer is owed.
  held?.takeAgain(clock.monotonic());
  for (let ms = 0; ms < 3000; ms += 100) {
    clock.advance(100);
    assert.equal(guard.hold(0, clock.monotonic(), Infinity), undefined);
  }
  assert.equal(guard.limiter.isHung, true);
});
