// Who has taken over what was ordered, and how long is waited for that.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scheduler } from "../../../../src/pipeline/ports.ts";
import { ReceiptBook, type Receipts } from "../../../../src/pipeline/fleet/receipts.ts";
import { VirtualClock } from "../../../../src/testing/index.ts";

interface Asked {
  readonly book: ReceiptBook;
  readonly clock: VirtualClock;
  readonly others: string[];
  /** What was answered so far. */
  readonly answers: Receipts[];
  readonly ask: () => Promise<void>;
}

function bookOf(...others: string[]): Asked {
  const clock = new VirtualClock();
  const book = new ReceiptBook("me", clock, () => ["me", ...others]);
  const answers: Receipts[] = [];
  const ask = async (): Promise<void> => {
    void book.of("dk", 1000).then((answer) => answer !== undefined && answers.push(answer));
    await atRest();
  };
  return { book, clock, others, answers, ask };
}

async function atRest(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
}

const STORED = { isStored: true, isOverruled: false };

test("nobody has ordered anything: there is nothing to wait for", async () => {
  assert.equal(await bookOf("a").book.of("dk", 1000), undefined);
});

test("answers as soon as it is stored and all have taken it over", async () => {
  const { book, answers, ask } = bookOf("b", "a");
  book.begin("dk", "1");
  await ask();
  book.received("1", "b");
  book.stored("dk", "1");
  await atRest();
  assert.deepEqual(answers, []);
  book.received("1", "a");
  await atRest();
  assert.deepEqual(answers, [{ ...STORED, confirmed: ["a", "b", "me"], missing: [] }]);
});

test("waits for the store, too, where it is alone", async () => {
  const { book, answers, ask } = bookOf();
  book.begin("dk", "1");
  await ask();
  assert.deepEqual(answers, []);
  book.stored("dk", "1");
  await atRest();
  assert.deepEqual(answers, [{ ...STORED, confirmed: ["me"], missing: [] }]);
  await ask();
  assert.equal(answers.length, 2);
});

test("says who is missing when the time is over, and no sooner", async () => {
  const { book, clock, answers, ask } = bookOf("b", "a");
  book.begin("dk", "1");
  await ask();
  clock.advance(999);
  await atRest();
  assert.deepEqual(answers, []);
  clock.advance(1);
  await atRest();
  const missing = ["a", "b"];
  assert.deepEqual(answers, [{ ...STORED, isStored: false, confirmed: ["me"], missing }]);
  assert.equal(clock.pendingTimers, 0);
});

test("leaves no timer when it is answered before", async () => {
  const { book, clock, ask } = bookOf();
  book.begin("dk", "1");
  await ask();
  book.stored("dk", "1");
  await atRest();
  assert.equal(clock.pendingTimers, 0);
});

test("what concerns an older order says nothing about the newest", async () => {
  const { book, answers, clock, ask } = bookOf("a");
  book.begin("dk", "1");
  book.begin("dk", "2");
  await ask();
  book.stored("dk", "1");
  book.received("1", "a");
  book.overruled("dk", "1");
  book.stored("fd", "2");
  book.overruled("fd", "2");
  clock.advance(1000);
  await atRest();
  assert.deepEqual(answers, [
    { isStored: false, isOverruled: false, confirmed: ["me"], missing: ["a"] },
  ]);
});

test("an order that is overruled is waited for no longer, and nobody confirms it", async () => {
  const { book, answers, ask } = bookOf("a");
  book.begin("dk", "1");
  await ask();
  book.overruled("dk", "1");
  book.received("1", "a");
  await atRest();
  const missing = ["a", "me"];
  assert.deepEqual(answers, [{ isStored: false, isOverruled: true, confirmed: [], missing }]);
  await ask();
  assert.equal(answers[1]?.confirmed.length, 0);
});

test("one that is gone is not waited for", async () => {
  const { book, others, answers, ask } = bookOf("a");
  book.begin("dk", "1");
  await ask();
  others.length = 0;
  book.stored("dk", "1");
  await atRest();
  assert.deepEqual(answers, [{ ...STORED, confirmed: ["me"], missing: [] }]);
});

test("whoever waits keeps the process alive, and is looked after no longer than it waits", async () => {
  const clock = new VirtualClock();
  const alive: boolean[] = [];
  let asked = 0;
  const scheduler: Scheduler = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    setTimer: (callback, delayMs) => {
      const timer = clock.setTimer(callback, delayMs);
      return { cancel: () => timer.cancel(), keepAlive: (yes) => void alive.push(yes) };
    },
  };
  const book = new ReceiptBook("me", scheduler, () => {
    asked += 1;
    return ["me", "a"];
  });
  book.begin("dk", "1");
  book.stored("dk", "1");
  const answer = book.of("dk", 1000);
  assert.deepEqual(alive, [true]);
  clock.advance(1000);
  await answer;
  const before = asked;
  book.received("1", "b");
  assert.equal(asked, before);
});
