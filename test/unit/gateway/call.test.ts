import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Outcome } from "../../../src/core/outcome.ts";
import { CallBook } from "../../../src/gateway/book.ts";
import { Call } from "../../../src/gateway/call.ts";
import type { Ending } from "../../../src/gateway/ending.ts";
import type { AccessEntry } from "../../../src/gateway/ports.ts";
import { toDestination } from "../../../src/gateway/route.ts";
import { Vigil } from "../../../src/gateway/vigil.ts";
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
  let leaves: Ending[];
  let vigil: Vigil;
  beforeEach(() => {
    clock = new VirtualClock();
    access = [];
    book = new CallBook(clock, (entry) => access.push(entry));
    settled = [];
    cuts = [];
    leaves = [];
    vigil = new Vigil();
  });

  /** `ownMs` is the upstream's limit, `deadlineMs` the caller's. */
  function open(deadlineMs = 1_000, ownMs = deadlineMs, idleMs?: number): Call {
    const call = new Call(book, DESTINATION, {
      method: "GET",
      options: { operation: "odds" },
      deadlineMs,
      ownMs,
      idleMs,
      admitted: { admitted: true, settle: (outcome) => settled.push(outcome) },
      vigil,
    });
    call.line = {
      cut: (ending) => cuts.push(ending),
      leave: (ending) => leaves.push(ending),
    };
    return call;
  }

  const outcomes = () =>
    settled.map(({ outcome, timeout }) => (timeout === true ? "timeout" : outcome));

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
    cut.streams(null);
    clock.advance(100);
    const broken = open();
    broken.headersArrived(203);
    broken.streams(null);
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

  describe("knows who was waited for", () => {
    test("a caller that does not send its body took the time itself", () => {
      const call = open(500);
      call.waitsForCaller();
      clock.advance(500);

      assert.deepEqual(cuts, ["caller_slow"]);
      assert.deepEqual(outcomes(), ["ignored"]);
      assert.deepEqual([access[0]?.status, access[0]?.reason], [408, "caller_timeout"]);
    });

    test("an upstream that has the body, and all its time, did", () => {
      const call = open(500);
      call.waitsForCaller();
      clock.advance(49);
      call.waitsForUpstream();
      clock.advance(451);

      assert.deepEqual(outcomes(), ["timeout"]);
    });

    test("latency begins when the caller has done its part", () => {
      const call = open();
      call.waitsForCaller();
      clock.advance(300);
      call.waitsForUpstream();
      clock.advance(7);
      call.headersArrived(200);
      call.complete();

      assert.equal(settled[0]?.latencyMs, 7);
      assert.equal(access[0]?.durationMs, 307);
    });

    test("a caller that does not read its answer took the time itself", () => {
      const call = open(500);
      call.headersArrived(200);
      call.streams(null);
      call.waitsForCaller();
      clock.advance(500);

      assert.deepEqual(cuts, ["caller_slow"]);
      assert.deepEqual(outcomes(), ["ignored"]);
    });

    test("an upstream that trickles had its time", () => {
      const call = open(500);
      call.headersArrived(200);
      call.streams(null);
      clock.advance(500);

      assert.deepEqual(outcomes(), ["timeout"]);
    });

    test("a stream of events in good health is cut at the deadline and counts as its status", () => {
      for (const status of [200, 503]) {
        const call = open(500);
        call.headersArrived(status);
        call.streams("text/event-stream; charset=utf-8");
      }
      clock.advance(500);

      assert.deepEqual(cuts, ["stream_over", "stream_over"]);
      assert.deepEqual(outcomes(), ["ok", "failed"]);
    });

    test("another guard's refusal is nobody's fault", () => {
      for (const [status, reason] of [
        [503, "tripped"],
        [508, "loop"],
        [502, "upstream_error"],
        [503, "forged"],
      ] as const) {
        const call = open();
        call.headersArrived(status, { reason });
        call.complete();
      }

      assert.deepEqual(outcomes(), ["ignored", "ignored", "failed", "failed"]);
    });
  });

  describe("a stream with an idle time", () => {
    test("lives on beyond its deadline, as long as pieces come", () => {
      const call = open(500, 500, 200);
      clock.advance(499);
      call.headersArrived(200);
      call.streams(null);
      for (let n = 0; n < 100; n += 1) {
        clock.advance(199);
        call.piece();
      }
      assert.deepEqual(cuts, []);
      call.end("caller_left");

      assert.deepEqual(outcomes(), ["ok"]);
    });

    test("ends as a timeout when the upstream pauses for longer", () => {
      const call = open(500, 500, 200);
      call.headersArrived(200);
      call.streams(null);
      clock.advance(150);
      call.piece();
      clock.advance(199);
      assert.deepEqual(cuts, []);
      clock.advance(1);

      assert.deepEqual(cuts, ["idle"]);
      assert.deepEqual(outcomes(), ["timeout"]);
    });

    test("ends without a vote when its caller does not read", () => {
      const call = open(500, 500, 200);
      call.headersArrived(200);
      call.streams(null);
      call.waitsForCaller();
      clock.advance(200);

      assert.deepEqual([cuts, outcomes()], [["caller_slow"], ["ignored"]]);
    });

    test("has its deadline for the headers", () => {
      open(500, 500, 10_000);
      clock.advance(500);

      assert.deepEqual(outcomes(), ["timeout"]);
    });
  });

  describe("a call whose caller gives up", () => {
    /** Somebody who left before. */
    function leaveOnce(): void {
      open().end("caller_left");
      cuts.length = 0;
      settled.length = 0;
      access.length = 0;
    }

    test("is over at once, when it is the first since somebody was answered", () => {
      open().end("caller_left");
      const answered = open();
      answered.headersArrived(200);
      answered.complete();
      open().end("caller_left");

      assert.deepEqual([leaves, cuts], [[], ["caller_left", "caller_left"]]);
      assert.equal(book.size, 0);
    });

    test("waits on as a witness, and its answer is evidence", () => {
      leaveOnce();
      const call = open(10_000);
      clock.advance(300);
      call.end("caller_left");
      assert.deepEqual([leaves, cuts, outcomes()], [["caller_left"], [], []]);
      clock.advance(700);
      call.headersArrived(500);
      call.complete();

      assert.deepEqual(outcomes(), ["failed"]);
      assert.equal(settled[0]?.latencyMs, 1_000);
      assert.deepEqual([access[0]?.status, access[0]?.durationMs], [0, 300]);
    });

    test("waits as long as the upstream may take, and then that is a timeout", () => {
      leaveOnce();
      const call = open(1, 10_000);
      clock.advance(1);
      assert.deepEqual([leaves, call.ending], [["impatient"], "impatient"]);
      clock.advance(9_998);
      assert.deepEqual(outcomes(), []);
      clock.advance(1);

      assert.deepEqual([cuts, outcomes()], [["deadline"], ["timeout"]]);
      assert.deepEqual([access[0]?.status, access[0]?.reason], [504, "upstream_timeout"]);
      assert.equal(book.size, 0);
    });

    test("is the only witness: others say how long has been waited in all", () => {
      leaveOnce();
      open(10_000).end("caller_left");
      clock.advance(900);
      const second = open(10_000);
      clock.advance(100);
      second.end("caller_left");

      assert.deepEqual(cuts, ["caller_left"]);
      assert.deepEqual(settled, [
        { outcome: "ignored", latencyMs: 100, leftAfterMs: 100, waitedInAllMs: 1_000 },
      ]);
    });

    test("makes room for the next witness when it is over", () => {
      leaveOnce();
      const first = open(10_000);
      first.end("caller_left");
      first.headersArrived(200);
      first.complete();
      open(10_000).end("caller_left");
      open(10_000).end("caller_left");

      assert.deepEqual([leaves, cuts], [["caller_left", "caller_left"], ["caller_left"]]);
    });

    test("is over at once when the answer has begun, or when its own body is missing", () => {
      const begun = open();
      begun.headersArrived(200);
      begun.end("caller_left");
      const unsent = open();
      unsent.waitsForCaller();
      unsent.end("caller_left");

      assert.deepEqual(cuts, ["caller_left", "caller_left"]);
      assert.deepEqual(
        settled.map(({ leftAfterMs }) => leftAfterMs),
        [undefined, undefined],
      );
    });

    test("is not cut by its caller's leaving once more, but by a stop, which waits for no witness", async () => {
      leaveOnce();
      const call = open();
      call.end("caller_left");
      call.end("caller_left");
      assert.equal(book.size, 1);

      assert.equal(await book.drained(60_000), true);
      assert.deepEqual([cuts, outcomes()], [["stopping"], ["ignored"]]);
      open().end("caller_left");
      assert.deepEqual(cuts, ["stopping", "caller_left"]);
    });
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
