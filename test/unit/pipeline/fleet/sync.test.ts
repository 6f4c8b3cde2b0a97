// When what is stored is read, and when it counts as read.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Sync } from "../../../../src/pipeline/fleet/sync.ts";

function reader(all: readonly string[] = ["a", "b"]) {
  const asked: (readonly string[])[] = [];
  const outcomes: string[] = [];
  /** Ends the oldest read that is under way. */
  const ends: ((error?: Error) => void)[] = [];
  const sync = new Sync({
    names: () => [...all],
    read: (names) => {
      asked.push(names);
      return new Promise((done, fail) => {
        ends.push((error) => (error === undefined ? done() : fail(error)));
      });
    },
    done: () => void outcomes.push("done"),
    failed: () => void outcomes.push("failed"),
  });
  const end = async (error?: Error): Promise<void> => {
    ends.shift()?.(error);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  };
  return { sync, asked, outcomes, end };
}

test("all is read after a connection, once at a time, and again where that was asked meanwhile", async () => {
  const { sync, asked, outcomes, end } = reader();
  sync.restart();
  sync.resume();
  sync.readAll();
  assert.equal(asked.length, 1);
  await end();
  assert.deepEqual([asked.length, sync.isSynced, sync.isDue], [2, false, true]);
  await end();
  assert.deepEqual([asked.length, sync.isSynced, sync.isDue], [2, true, false]);
  assert.deepEqual(outcomes, ["done"]);
  sync.resume();
  assert.equal(asked.length, 2);
});

test("what was read on another connection is not what is stored", async () => {
  const { sync, end } = reader();
  sync.restart();
  await end();
  assert.equal(sync.isSynced, true);
  sync.readAll();
  assert.equal(sync.isSynced, true);
  await end();
  sync.outdate();
  assert.deepEqual([sync.isSynced, sync.isDue], [false, true]);
  sync.resume();
  await end();
  assert.equal(sync.isSynced, true);
});

test("some are read alone, but with all others where nothing was read yet", async () => {
  const { sync, asked, end } = reader();
  sync.readSome(["new"]);
  assert.deepEqual([asked.length, sync.isDue], [0, false]);
  sync.restart();
  sync.readSome(["new", "new"]);
  await end();
  await end();
  sync.readSome(["newer"]);
  await end();
  assert.deepEqual(asked, [["a", "b"], ["new"], ["newer"]]);
  assert.equal(sync.isDue, false);
});

test("what could not be read is asked for again when it is resumed, all of it", async () => {
  const { sync, asked, outcomes, end } = reader();
  sync.restart();
  await end();
  sync.readSome(["new"]);
  await end(new Error("away"));
  assert.deepEqual([outcomes, sync.isDue, asked.length], [["done", "failed"], true, 2]);
  sync.resume();
  await end();
  assert.deepEqual(asked.at(-1), ["a", "b"]);
  assert.deepEqual(outcomes, ["done", "failed", "done"]);
});

test("many are read with several questions", async () => {
  const { sync, asked, end } = reader(Array.from({ length: 1001 }, (_, n) => `u${n}`));
  sync.restart();
  for (let turn = 0; turn < 3; turn += 1) await end();
  assert.deepEqual(
    asked.map(({ length }) => length),
    [500, 500, 1],
  );
});
