import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Outcome } from "../../../src/core/outcome.ts";
import { Call, CallBook } from "../../../src/gateway/call.ts";
import type { Ending } from "../../../src/gateway/classify.ts";
import type { AccessEntry } from "../../../src/gateway/ports.ts";
import { toDestination } from "../../../src/gateway/route.ts";
import { VirtualClock } from "../../../src/testing/virtual-clock.ts";

const DESTINATION = toDestination({
  name: "draftkings",
  url: new URL("http://upstream.test"),
  deadlineMs: 1_000,
  status429: "neutral",
  operations: [],
  guard: { tryAcquire: () => ({ admitted: true, settle: () => {} }) },
});

describe("Call", () => {
  let clock: VirtualClock;
  let access: AccessEntry[];
  let book: CallBook;
  let settled: Outcome[];
  let cuts: Ending[];
  beforeEach(() => {
    clock = new VirtualClock();
    access = [];
    book = new CallBook(clock, (entry) => access.push(entry));
    settled = [];
    cuts = [];
  });

  function open(deadlineMs = 1_000): Call {
    const call = new Call(book, DESTINATION, {
      method: "GET",
      options: { operation: "odds" },
      deadlineMs,
      admitted: { admitted: true, settle: (outcome) => settled.push(outcome) },
    });
    call.line = { cut: (ending) => cuts.push(ending) };
    return call;
  }

  test("is settled once, by whatever comes first", () => {
    const call = open();
    call.headersArrived(200);
    call.complete();
    call.end("caller_left");
    call.fail(new Error("late"), undefined);
    clock.advance(2_000);

    assert.deepEqual(
      settled.map(({ outcome }) => outcome),
      ["ok"],
    );
    assert.deepEqual(cuts, []);
    assert.equal(call.ending, undefined);
    assert.equal(access.length, 1);
    assert.equal(book.size, 0);
  });

  test("keeps its first ending", () => {
    const call = open();
    call.end("stopping");
    call.end("caller_left");

    assert.equal(call.ending, "stopping");
    assert.deepEqual(cuts, ["stopping"]);
    assert.deepEqual([access[0]?.status, access[0]?.reason], [503, "closing"]);
  });

  test("is cut at its deadline, not before", () => {
    open(100);
    clock.advance(99);
    assert.equal(book.size, 1);
    clock.advance(1);

    assert.deepEqual(cuts, ["deadline"]);
    assert.deepEqual(
      settled.map(({ outcome, timeout }) => [outcome, timeout]),
      [["failed", true]],
    );
    assert.deepEqual([access[0]?.status, access[0]?.durationMs], [504, 100]);
  });

  test("takes its deadline back when it is over", () => {
    for (let at = 0; at < 1_000; at += 1) {
      const call = open(1_000 + at);
      call.headersArrived(200);
      call.complete();
    }

    assert.ok(clock.pendingTimers <= 64, `${clock.pendingTimers} timers`);
  });

  test("reports the status that was sent when a streamed answer is cut or breaks off", () => {
    const cut = open(100);
    cut.headersArrived(206);
    cut.streams();
    clock.advance(100);
    const broken = open();
    broken.headersArrived(203);
    broken.streams();
    broken.fail(new Error("reset"), undefined);

    assert.deepEqual(
      access.map(({ status, reason }) => [status, reason]),
      [
        [206, null],
        [203, null],
      ],
    );
  });

  test("measures latency to the headers and duration to the end", () => {
    const call = open();
    clock.advance(30);
    call.headersArrived(200);
    clock.advance(70);
    call.complete();

    assert.equal(settled[0]?.latencyMs, 30);
    assert.deepEqual([access[0]?.latencyMs, access[0]?.durationMs], [30, 100]);
  });

  describe("all together", () => {
    test("are drained at once when there is none", async () => {
      assert.equal(await book.drained(60_000), true);
    });

    test("are drained when the last one is over, in whatever order they end", async () => {
      const [first, second, third] = [open(), open(), open()];
      const drained = book.drained(60_000);
      first.end("caller_left");
      third.end("caller_left");
      assert.equal(book.size, 1);
      second.end("caller_left");

      assert.equal(await drained, true);
      assert.equal(book.size, 0);
    });

    test("are all cut by a stop", () => {
      for (let at = 0; at < 5; at += 1) open();
      book.abortAll();

      assert.deepEqual(cuts, Array(5).fill("stopping"));
      assert.equal(book.size, 0);
    });
  });
});
