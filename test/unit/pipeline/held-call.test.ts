// Calls that go on after their function's answer: whose time it was, and which end counts.

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import {
  createSwitchgear,
  DeadlineError,
  latching,
  type CallOptions,
  type Upstream,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

type Hold = Parameters<Upstream["hold"]>[0];
type Held = Parameters<Hold>[1];

const boom = new Error("boom");
const TIME_UP = Object.assign(new Error("the time is up"), { name: "TimeoutError" });

let clock: VirtualClock;
let upstream: Upstream;
let settled: { outcome: string; latencyMs: number | undefined }[];

beforeEach(() => {
  clock = new VirtualClock();
  const breaker = latching({ failureThreshold: 1000 });
  upstream = createSwitchgear({ upstreams: { dk: { breaker } }, clock }).upstream("dk");
  settled = [];
  upstream.on("settled", ({ outcome, latencyMs }) => void settled.push({ outcome, latencyMs }));
});

interface Begun {
  readonly held: Held;
  readonly signal: AbortSignal;
  readonly end: { value: unknown };
  answer(value?: unknown): Promise<void>;
  reject(error: unknown): Promise<void>;
}

type Options = CallOptions & { readonly idleMs?: number };

/** A call whose function has been asked and has not answered yet. */
function begin(options?: Options): Begun {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  let given: { readonly held: Held; readonly signal: AbortSignal } | undefined;
  const call = upstream.hold((context, held) => {
    given = { held, signal: context.signal };
    return promise;
  }, options);
  const end: { value: unknown } = { value: "pending" };
  call.then(
    (value) => (end.value = value),
    (error: unknown) => (end.value = error),
  );
  assert.ok(given !== undefined);
  return {
    ...given,
    end,
    answer(value = "odds") {
      resolve(value);
      return turns();
    },
    reject(error) {
      reject(error);
      return turns();
    },
  };
}

/** One whose answer has come, after no time. */
async function answered(options?: Options, value?: unknown): Promise<Begun> {
  const call = begin(options);
  await call.answer(value);
  return call;
}

async function turns(): Promise<void> {
  for (let n = 0; n < 10; n += 1) await Promise.resolve();
}

function outcomes(): string[] {
  return settled.map(({ outcome }) => outcome);
}

describe("which end counts", () => {
  test("the first one, and only that", async () => {
    const done = await answered();
    done.held.done();
    done.held.failed(boom);
    const failed = await answered();
    failed.held.failed(boom);
    failed.held.done();

    assert.deepEqual(outcomes(), ["ok", "failed"]);
    assert.equal(upstream.status().lastError, "boom");
    assert.equal(upstream.inFlight, 0);
  });

  test("one that was told before the answer comes with it", async () => {
    const failed = begin();
    failed.held.failed(boom);
    failed.held.done();
    const done = begin();
    done.held.done();
    done.held.failed(boom);
    assert.deepEqual(outcomes(), []);

    await failed.answer();
    await done.answer();

    assert.deepEqual(outcomes(), ["failed", "ok"]);
    assert.deepEqual([failed.end.value, done.end.value], ["odds", "odds"]);
    assert.equal(upstream.inFlight, 0);
  });

  test("a function that rejects, whatever was told before", async () => {
    const call = begin();
    call.held.done();
    await call.reject(boom);

    assert.equal(call.end.value, boom);
    assert.deepEqual(outcomes(), ["failed"]);
  });

  test("an answer that decides alone is counted at once, and once", async () => {
    const call = begin({ deadlineMs: 50 });
    call.held.answerDecides();
    await call.answer();
    assert.deepEqual(outcomes(), ["ok"]);
    assert.equal(upstream.inFlight, 0);

    call.held.failed(boom);
    assert.deepEqual(outcomes(), ["ok"]);
  });

  test("a bad answer is counted at once, though the rest of it still comes", async () => {
    const call = await answered({ deadlineMs: 50 }, new Response(null, { status: 500 }));
    assert.deepEqual(outcomes(), ["failed"]);

    clock.advance(50);
    assert.deepEqual(outcomes(), ["failed"]);
    assert.ok(call.signal.reason instanceof DeadlineError);
  });
});

describe("whose time it was", () => {
  test("latency is what the upstream was waited for", async () => {
    const call = begin();
    clock.advance(10);
    await call.answer();
    clock.advance(1_000);
    call.held.waiting(true);
    clock.advance(20);
    call.held.waiting(true);
    clock.advance(5);
    call.held.waiting(false);
    clock.advance(1_000);
    call.held.waiting(false);
    call.held.done();

    assert.deepEqual(settled, [{ outcome: "ok", latencyMs: 35 }]);
  });

  test("a wait that lasts to the end is counted to the end", async () => {
    const call = await answered();
    call.held.waiting(true);
    clock.advance(40);
    call.held.failed(boom);

    assert.deepEqual(settled, [{ outcome: "failed", latencyMs: 40 }]);
  });

  test("a deadline is the upstream's while somebody waits, else nobody's", async () => {
    const waited = await answered({ deadlineMs: 100 });
    waited.held.waiting(true);
    const unread = await answered({ deadlineMs: 100 });
    clock.advance(100);
    await turns();

    assert.deepEqual(settled, [
      { outcome: "timeout", latencyMs: 100 },
      { outcome: "ignored", latencyMs: 0 },
    ]);
    for (const { signal } of [waited, unread]) assert.ok(signal.reason instanceof DeadlineError);
    assert.equal(upstream.inFlight, 0);
  });

  test("a caller who leaves has seen a silence only while waiting for it", async () => {
    const controller = new AbortController();
    const unread = await answered({ signal: controller.signal });
    clock.advance(60_000);
    controller.abort(TIME_UP);
    const other = new AbortController();
    const waited = await answered({ signal: other.signal });
    waited.held.waiting(true);
    clock.advance(60_000);
    other.abort(boom);

    assert.deepEqual(settled, [
      { outcome: "ignored", latencyMs: 0 },
      { outcome: "timeout", latencyMs: 60_000 },
    ]);
    assert.deepEqual([unread.signal.reason, waited.signal.reason], [TIME_UP, boom]);
  });

  test("after the end nothing comes of deadlines, pauses and aborts", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const call = await answered({ deadlineMs: 100, idleMs: 50, signal });
    call.held.waiting(true);
    call.held.done();
    call.held.waiting(true);
    clock.advance(1_000);
    controller.abort(boom);

    assert.deepEqual(settled, [{ outcome: "ok", latencyMs: 0 }]);
    assert.equal(call.signal.aborted, false);
  });

  test("a call that is over hears nothing of its deadline", async () => {
    const done = await answered({ deadlineMs: 100 });
    done.held.done();
    const failed = begin({ deadlineMs: 100 });
    await failed.reject(boom);
    clock.advance(1_000);

    assert.deepEqual(outcomes(), ["ok", "failed"]);
    assert.deepEqual([done.signal.aborted, failed.signal.aborted], [false, false]);
  });
});

describe("pauses", () => {
  test("each may last so long, and the deadline ends with the answer", async () => {
    const call = await answered({ deadlineMs: 30, idleMs: 50 });
    for (let n = 0; n < 5; n += 1) {
      call.held.waiting(true);
      clock.advance(49);
      call.held.waiting(false);
      clock.advance(100);
    }
    assert.deepEqual(outcomes(), []);

    call.held.waiting(true);
    clock.advance(49);
    assert.deepEqual(outcomes(), []);
    clock.advance(1);

    assert.deepEqual(outcomes(), ["timeout"]);
    assert.match(String(call.signal.reason), /sent nothing more for 50 ms/);
  });

  test("need no deadline", async () => {
    const call = await answered({ idleMs: 50 });
    assert.equal(call.end.value, "odds");
    call.held.waiting(true);
    clock.advance(50);

    assert.deepEqual(outcomes(), ["timeout"]);
  });

  test("up to the answer the deadline holds, and no pause", () => {
    const call = begin({ deadlineMs: 200, idleMs: 50 });
    call.held.waiting(false);
    call.held.waiting(true);
    clock.advance(199);
    assert.deepEqual(outcomes(), []);
    clock.advance(1);

    assert.deepEqual(outcomes(), ["timeout"]);
    assert.match(String(call.signal.reason), /200 ms/);
  });

  test("a deadline before the answer is none of the pauses'", () => {
    const call = begin({ deadlineMs: 200, idleMs: 50 });
    clock.advance(200);

    assert.doesNotMatch(String(call.signal.reason), /nothing more/);
  });
});

describe("a function that runs on", () => {
  test("is abandoned until it settles, and its late answer counts nothing", async () => {
    const late = begin({ deadlineMs: 10 });
    const lateError = begin({ deadlineMs: 10 });
    clock.advance(10);
    await turns();
    assert.ok(late.end.value instanceof DeadlineError);
    assert.deepEqual([upstream.abandoned, upstream.inFlight], [2, 0]);

    await late.answer();
    await lateError.reject(boom);

    assert.deepEqual([upstream.abandoned, upstream.inFlight], [0, 0]);
    assert.deepEqual(outcomes(), ["timeout", "timeout"]);
  });

  test("one that has answered is not abandoned", async () => {
    await answered({ deadlineMs: 10 });
    clock.advance(10);

    assert.equal(upstream.abandoned, 0);
  });
});

test("its listener leaves the caller's signal with the call", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  };
  const call = await answered({ signal });
  assert.equal(listeners, 1);
  call.held.done();

  assert.equal(listeners, 0);
});
