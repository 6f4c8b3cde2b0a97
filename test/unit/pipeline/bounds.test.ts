// Deadlines and the caller's signal, seen from `execute`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineError, createSwitchgear, isRefused, latching } from "../../../src/index.ts";
import { makeGear } from "../../support/gear.ts";

const never = (): Promise<never> => new Promise(() => {});

test("a call that outlives its deadline ends for its caller as a timeout of the upstream", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const call = dk.execute(never, { operation: "odds" });
  clock.advance(1999);
  assert.equal(dk.inFlight, 1);
  clock.advance(1);
  await assert.rejects(call, (error: unknown) => {
    assert.ok(error instanceof DeadlineError && isRefused(error));
    assert.equal(error.code, "SG_DEADLINE");
    assert.equal(error.deadlineMs, 2000);
    assert.equal(error.reason, "deadline");
    assert.equal(error.message, "odds for dk did not finish within its deadline of 2000 ms");
    return true;
  });
  assert.equal(dk.inFlight, 0);
  assert.equal(dk.status().failureCount, 0.5);
  assert.equal([...dk.operations][0]?.timeout, 1);
});

test("the function's signal aborts with the deadline, whether it was asked for before or after", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  let early: AbortSignal | undefined;
  let context: { readonly signal: AbortSignal } | undefined;
  const calls = [
    dk.execute(({ signal }) => {
      early = signal;
      return never();
    }),
    dk.execute((given) => {
      context = given;
      return never();
    }),
  ];
  assert.equal(early?.aborted, false);
  clock.advance(2000);
  const [first] = await Promise.allSettled(calls);
  assert.equal(early?.aborted, true);
  assert.equal(early?.reason, first?.status === "rejected" ? first.reason : undefined);
  assert.equal(context?.signal.aborted, true);
});

test("a function that answers the abort with an error of its own does not replace the deadline's", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const call = dk.execute(
    ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("socket closed")));
      }),
  );
  clock.advance(2000);
  await assert.rejects(call, { code: "SG_DEADLINE" });
  assert.equal(dk.status().failureCount, 0.5);
});

test("a call that timed out and still runs is counted until it settles, and then counts no more", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const { promise, resolve } = Promise.withResolvers<number>();
  const call = dk.execute(() => promise);
  clock.advance(2000);
  await assert.rejects(call);
  assert.equal(dk.abandoned, 1);
  assert.equal(dk.status().abandoned, 1);
  resolve(1);
  await promise;
  await Promise.resolve();
  assert.equal(dk.abandoned, 0);
  assert.equal(dk.status().failureCount, 0.5);
  assert.equal([...dk.operations][0]?.ok, 0);
});

test("a late rejection of a call that timed out is nobody's unhandled rejection", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  try {
    const { promise, reject } = Promise.withResolvers<never>();
    const call = dk.execute(() => promise);
    clock.advance(2000);
    await assert.rejects(call);
    reject(new Error("far too late"));
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(unhandled, []);
    assert.equal(dk.abandoned, 0);
  } finally {
    process.off("unhandledRejection", onUnhandled);
  }
});

test("a call may shorten the deadline, and never lengthen it", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const short = dk.execute(never, { deadlineMs: 500 });
  const long = dk.execute(never, { deadlineMs: 60_000 });
  clock.advance(500);
  await assert.rejects(short, { deadlineMs: 500 });
  clock.advance(1500);
  await assert.rejects(long, { deadlineMs: 2000 });
});

test("an answer within the deadline leaves nothing behind", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  assert.equal(await dk.execute(() => Promise.resolve(7)), 7);
  assert.equal(await dk.execute(() => 8), 8);
  await assert.rejects(dk.execute(() => Promise.reject(new Error("x"))));
  clock.advance(10_000);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(dk.status().failureCount, 1);
});

test("an abort ends the call at once with the caller's own reason, and is neutral", async () => {
  const { dk } = makeGear();
  const controller = new AbortController();
  let seen: AbortSignal | undefined;
  const call = dk.execute(
    ({ signal }) => {
      seen = signal;
      return never();
    },
    { signal: controller.signal },
  );
  const reason = new Error("the user left");
  controller.abort(reason);
  await assert.rejects(call, (error: unknown) => error === reason);
  assert.equal(seen?.aborted, true);
  assert.equal(seen?.reason, reason);
  assert.equal(dk.status().failureCount, 0);
  assert.equal([...dk.operations][0]?.ignored, 1);
  assert.equal(dk.abandoned, 1);
});

test("a caller that left before the call does not start it", async () => {
  const { dk } = makeGear();
  let calls = 0;
  await assert.rejects(
    dk.execute(() => (calls += 1), { signal: AbortSignal.abort(new Error("gone")) }),
    { message: "gone" },
  );
  assert.equal(calls, 0);
  assert.equal(dk.inFlight, 0);
});

test("one caller's abort does not abort another's call", async () => {
  const { dk } = makeGear({ deadlineMs: 2000 });
  const controller = new AbortController();
  let other: AbortSignal | undefined;
  const aborted = dk.execute(never, { signal: controller.signal });
  const { promise, resolve } = Promise.withResolvers<number>();
  const running = dk.execute(({ signal }) => {
    other = signal;
    return promise;
  });
  controller.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  assert.equal(other?.aborted, false);
  resolve(3);
  assert.equal(await running, 3);
});

test("listeners on a long-lived signal go with their calls", async () => {
  const { dk } = makeGear({ deadlineMs: 2000 });
  const { signal } = new AbortController();
  let listeners = 0;
  const watched = new Proxy(signal, {
    get(target, key) {
      const value = Reflect.get(target, key) as unknown;
      if (key === "addEventListener") listeners += 1;
      if (key === "removeEventListener") listeners -= 1;
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
  for (let n = 0; n < 20; n += 1) {
    await dk.execute(() => Promise.resolve(n), { signal: watched });
    await assert.rejects(dk.execute(() => Promise.reject(new Error("x")), { signal: watched }));
  }
  assert.equal(listeners, 0);
});

test("an abort after the answer, and a deadline after the abort, change nothing", async () => {
  const { dk, clock } = makeGear({ deadlineMs: 2000 });
  const controller = new AbortController();
  assert.equal(await dk.execute(() => 1, { signal: controller.signal }), 1);
  controller.abort();
  const second = new AbortController();
  const call = dk.execute(never, { signal: second.signal });
  second.abort();
  await assert.rejects(call);
  clock.advance(5000);
  assert.equal(dk.status().failureCount, 0);
  assert.deepEqual(
    [...dk.operations].map(({ ok, timeout, ignored }) => ({ ok, timeout, ignored })),
    [{ ok: 1, timeout: 0, ignored: 1 }],
  );
});

test("without a bound the signal is the call's own and never aborts", async () => {
  const { dk } = makeGear();
  const signals = new Set<AbortSignal>();
  for (let n = 0; n < 2; n += 1) {
    await dk.execute((context) => {
      assert.equal(context.signal, context.signal);
      signals.add(context.signal);
      return n;
    });
  }
  assert.equal(signals.size, 2);
  assert.ok([...signals].every((signal) => !signal.aborted));
});

test("a foreign thenable that calls back twice, or at once, settles once", async () => {
  const { dk } = makeGear();
  const thenable = {
    // oxlint-disable-next-line unicorn/no-thenable
    then(resolve: (value: string) => void, reject: (error: Error) => void) {
      resolve("first");
      reject(new Error("second"));
      resolve("third");
    },
  } as PromiseLike<string>;
  for (const deadlineMs of [undefined, 500]) {
    const options = deadlineMs === undefined ? {} : { deadlineMs };
    assert.equal(await dk.execute(() => thenable, options), "first");
  }
  assert.equal([...dk.operations][0]?.ok, 2);
  assert.equal([...dk.operations][0]?.failed, 0);
  assert.equal(dk.inFlight, 0);
});

test("a call keeps its caller's asynchronous context", async () => {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<number>();
  const { dk } = makeGear({ deadlineMs: 2000 });
  const seen = await Promise.all(
    [1, 2, 3].map((n) =>
      storage.run(n, async () => {
        const inside = await dk.execute(async () => {
          await Promise.resolve();
          return storage.getStore();
        });
        return [inside, storage.getStore()];
      }),
    ),
  );
  assert.deepEqual(seen, [
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

test("options are copied: changing them later changes nothing", () => {
  const options = { failureThreshold: 3 };
  const upstreams = { dk: { breaker: latching(options) } };
  const gear = createSwitchgear({ upstreams });
  options.failureThreshold = 100;
  upstreams.dk = { breaker: latching({ failureThreshold: 100 }) };
  assert.equal(gear.upstream("dk").status().failureThreshold, 3);
});
