import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { once } from "node:events";
import { EventEmitter } from "node:events";
import { Deadlines } from "../../../src/gateway/deadlines.ts";

// Real timers of a few milliseconds: the structure's point is how it uses the runtime's own.
describe("Deadlines", () => {
  let deadlines: Deadlines;
  let fired: string[];
  let bell: EventEmitter;
  // The structure's timers keep no process alive; this one does until the test is over.
  let awake: ReturnType<typeof setInterval>;
  beforeEach(() => {
    deadlines = new Deadlines();
    fired = [];
    bell = new EventEmitter();
    awake = setInterval(() => {}, 1_000);
  });
  afterEach(() => {
    deadlines.clear();
    clearInterval(awake);
  });

  const due = (name: string): { onDue(): void } => ({
    onDue() {
      fired.push(name);
      bell.emit(name);
    },
  });

  test("fires in order of the due time, across durations", async () => {
    const nowMs = performance.now();
    deadlines.add(due("last"), 30, nowMs);
    deadlines.add(due("first"), 5, nowMs);
    deadlines.add(due("second"), 5, nowMs + 1);

    await once(bell, "last");

    assert.deepEqual(fired, ["first", "second", "last"]);
  });

  test("never fires early", async () => {
    const nowMs = performance.now();
    deadlines.add(due("a"), 12, nowMs);

    await once(bell, "a");

    assert.ok(performance.now() - nowMs >= 12);
  });

  test("leaves out what was removed: head, middle, tail, twice", async () => {
    const nowMs = performance.now();
    const handles = ["a", "b", "c", "d", "e"].map((name) => deadlines.add(due(name), 8, nowMs));
    for (const at of [0, 2, 4, 2]) {
      const handle = handles[at];
      if (handle !== undefined) deadlines.remove(handle);
    }

    await once(bell, "d");

    assert.deepEqual(fired, ["b", "d"]);
  });

  test("still fires for one added after all others of its duration were removed", async () => {
    deadlines.remove(deadlines.add(due("a"), 10, performance.now()));
    deadlines.add(due("b"), 10, performance.now());

    await once(bell, "b");

    assert.deepEqual(fired, ["b"]);
  });

  test("takes a new one of the same duration from inside its own firing", async () => {
    const again = { onDue: () => void deadlines.add(due("b"), 4, performance.now()) };
    deadlines.add(again, 4, performance.now());

    await once(bell, "b");

    assert.deepEqual(fired, ["b"]);
  });

  test("fires nothing once cleared", async () => {
    deadlines.add(due("a"), 3, performance.now());
    deadlines.clear();
    const other = new Deadlines();
    other.add(due("later"), 10, performance.now());

    await once(bell, "later");

    assert.deepEqual(fired, ["later"]);
  });
});
