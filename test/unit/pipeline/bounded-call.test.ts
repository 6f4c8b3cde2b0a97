// Calls with a deadline or a signal: when each ends for its caller, and what it still holds after that.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { createSwitchgear, DeadlineError, latching, type Upstream } from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

/** What was resolved has been heard of. */
const turn = (): Promise<void> => new Promise((done) => void setImmediate(done));

let clock: VirtualClock;
let upstream: Upstream;
let settled: string[];

beforeEach(() => {
  clock = new VirtualClock();
  const breaker = latching({ failureThreshold: 1000 });
  const upstreams = { dk: { breaker, deadlineMs: 100 } };
  upstream = createSwitchgear({ upstreams, clock }).upstream("dk");
  settled = [];
  upstream.on("settled", ({ outcome }) => void settled.push(outcome));
});

function counts(): { readonly inFlight: number; readonly abandoned: number } {
  const { inFlight, abandoned } = upstream.status();
  return { inFlight, abandoned };
}

/** A stranger's signal that counts who listens. */
class CountingSignal {
  readonly listeners = new Set<() => void>();
  readonly reason = new Error("not wanted any more");
  aborted = false;

  addEventListener(_type: string, listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_type: string, listener: () => void): void {
    this.listeners.delete(listener);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of this.listeners) listener();
  }
}

const asSignal = (signal: CountingSignal): AbortSignal => signal as unknown as AbortSignal;

for (const [end, late] of [
  ["an answer", (call: PromiseWithResolvers<string>) => call.resolve("odds")],
  ["an error", (call: PromiseWithResolvers<string>) => call.reject(new Error("late"))],
] as const) {
  test(`what runs on after its deadline is abandoned until ${end} comes, which counts for nothing`, async () => {
    const call = Promise.withResolvers<string>();
    let signal: AbortSignal | undefined;
    const result = upstream.execute((context) => {
      ({ signal } = context);
      return call.promise;
    });
    assert.deepEqual(counts(), { inFlight: 1, abandoned: 0 });

    clock.advance(100);
    await assert.rejects(result, DeadlineError);
    assert.equal(signal?.aborted, true);
    assert.deepEqual(counts(), { inFlight: 0, abandoned: 1 });

    late(call);
    await call.promise.catch(() => undefined);
    await turn();
    assert.deepEqual(counts(), { inFlight: 0, abandoned: 0 });
    assert.deepEqual(settled, ["timeout"]);
  });
}

test("what runs on after its caller went is abandoned, too, and past its deadline nothing comes", async () => {
  const call = Promise.withResolvers<string>();
  const caller = new AbortController();
  const result = upstream.execute(() => call.promise, { signal: caller.signal });
  caller.abort(new Error("gone"));
  await assert.rejects(result, /gone/);
  assert.deepEqual(counts(), { inFlight: 0, abandoned: 1 });

  clock.advance(200);
  call.resolve("odds");
  await turn();
  assert.deepEqual(counts(), { inFlight: 0, abandoned: 0 });
  assert.deepEqual(settled, ["ignored"]);
});

test("a function that throws at once, or answers with a value, leaves nothing behind", async () => {
  const signal = new CountingSignal();
  const boom = new Error("boom");
  await assert.rejects(
    upstream.execute(
      () => {
        throw boom;
      },
      { signal: asSignal(signal) },
    ),
    boom,
  );
  const answer = await upstream.execute(() => "odds", { signal: asSignal(signal) });
  assert.equal(answer, "odds");

  assert.equal(signal.listeners.size, 0);
  clock.advance(200);
  assert.deepEqual(counts(), { inFlight: 0, abandoned: 0 });
  assert.deepEqual(settled, ["failed", "ok"]);
});

test("whoever waits on a signal is taken off it, however the call ends", async () => {
  const signal = new CountingSignal();
  const calls = [Promise.withResolvers<string>(), Promise.withResolvers<string>()] as const;
  const [first, second] = calls.map(({ promise }) =>
    upstream.execute(() => promise, { signal: asSignal(signal) }),
  );
  assert.equal(signal.listeners.size, 2);
  calls[0].resolve("odds");
  assert.equal(await first, "odds");
  assert.equal(signal.listeners.size, 1);

  clock.advance(100);
  await assert.rejects(second ?? Promise.resolve(), DeadlineError);
  assert.equal(signal.listeners.size, 0);

  const third = upstream.execute(() => calls[1].promise, { signal: asSignal(signal) });
  signal.abort();
  await assert.rejects(third, signal.reason);
  assert.equal(signal.listeners.size, 0);
});

test("a signal that tells of its abort twice ends the call once", async () => {
  const signal = new CountingSignal();
  // One that cannot forget.
  signal.removeEventListener = () => undefined;
  const call = Promise.withResolvers<string>();
  const result = upstream.execute(() => call.promise, { signal: asSignal(signal) });
  signal.abort();
  signal.abort();
  await assert.rejects(result, signal.reason);
  assert.deepEqual(counts(), { inFlight: 0, abandoned: 1 });
  assert.deepEqual(settled, ["ignored"]);
});

test("a signal that was aborted while the call was admitted ends it before it began", async () => {
  const signal = new CountingSignal();
  let readings = 0;
  Object.defineProperty(signal, "aborted", { get: () => (readings += 1) > 1 });
  let calls = 0;
  const result = upstream.execute(() => (calls += 1), { signal: asSignal(signal) });
  await assert.rejects(result, signal.reason);
  assert.equal(calls, 0);
  assert.deepEqual(counts(), { inFlight: 0, abandoned: 0 });
  assert.deepEqual(settled, ["ignored"]);
});
