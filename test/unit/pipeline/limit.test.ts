import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { beforeEach, test } from "node:test";
import {
  adaptive,
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  LimitedError,
  slidingWindow,
  type Admitted,
  type CallOptions,
  type Upstream,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

let clock: VirtualClock;

beforeEach(() => {
  clock = new VirtualClock();
});

function limited(limit: number, more: object = {}): Upstream {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), limit: fixedLimit(limit), deadlineMs: 1000, ...more } },
    clock,
  });
  return gear.upstream("dk");
}

/** A call that ends when it is told to. */
function open(upstream: Upstream, options: CallOptions = {}, begun = (): unknown => undefined) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let signal: AbortSignal | undefined;
  const call = upstream.execute((context) => {
    begun();
    ({ signal } = context);
    return promise;
  }, options);
  call.catch(() => {});
  return { call, resolve, reject, signal: () => signal };
}

async function refusal(call: Promise<unknown>): Promise<LimitedError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof LimitedError, String(error));
    return error;
  }
  return assert.fail("it was let in");
}

const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

function inFlight(upstream: Upstream): number | undefined {
  return upstream.limits?.limiter.inFlight;
}

test("what is over the limit is refused, says so, and reaches no breaker", async () => {
  const upstream = limited(2);
  const first = open(upstream);
  open(upstream);
  const before = upstream.snapshot();

  const error = await refusal(upstream.execute(() => 1, { operation: "odds" }));

  assert.equal(error.code, "SG_LIMITED");
  assert.equal(error.reason, "limit");
  assert.ok((error.retryAfterMs ?? 0) > 0);
  assert.match(error.message, /^odds for dk refused: as many calls are in flight/);
  const answer = upstream.tryAcquire();
  assert.ok(!answer.admitted && answer.reason === "limit");
  assert.deepEqual(upstream.snapshot(), before);
  assert.equal(upstream.inFlight, 2);
  first.resolve("a");
  await first.call;
  assert.equal(await upstream.execute(() => 2), 2);
});

for (const [name, end] of [
  ["it succeeds", (call: ReturnType<typeof open>) => call.resolve("")],
  ["it fails", (call: ReturnType<typeof open>) => call.reject(new Error("500"))],
  [
    "it is none of ours",
    (call: ReturnType<typeof open>) => call.reject(new DOMException("", "AbortError")),
  ],
] as const) {
  for (const options of [{}, { signal: new AbortController().signal }]) {
    test(`a permit comes back when ${name}${"signal" in options ? ", with a signal" : ""}`, async () => {
      const upstream = limited(1, { deadlineMs: undefined });
      const call = open(upstream, options);
      assert.equal(inFlight(upstream), 1);
      end(call);
      await call.call.catch(() => {});
      assert.equal(inFlight(upstream), 0);
    });
  }
}

test("a call that outlives its deadline and runs on is in flight until it ends", async () => {
  const upstream = limited(1);
  const call = open(upstream);
  clock.advance(1000);
  await assert.rejects(call.call, { code: "SG_DEADLINE" });

  assert.equal(inFlight(upstream), 1);
  assert.equal(upstream.limits?.limiter.abandoned, 1);
  clock.advance(60_000);
  await refusal(upstream.execute(() => 1));

  call.resolve("at last");
  await soon();
  assert.equal(inFlight(upstream), 0);
  assert.equal(upstream.abandoned, 0);
});

test("one that heeds its abort leaves an upstream of which nobody knows: for an estimate, and not for ever", async () => {
  const upstream = limited(1);
  const call = open(upstream);
  clock.advance(1000);
  call.reject(call.signal()?.reason);
  await soon();

  assert.equal(inFlight(upstream), 1);
  await refusal(upstream.execute(() => 1));
  clock.advance(1000);
  assert.equal(await upstream.execute(() => 1), 1);
});

test("so does one whose caller leaves, and an adapter's whose deadline passed", async () => {
  const upstream = limited(1);
  const leaver = new AbortController();
  open(upstream, { signal: leaver.signal });
  leaver.abort();
  assert.equal(inFlight(upstream), 1);

  for (const outcome of [
    { outcome: "failed", timeout: true },
    { outcome: "ignored", leftAfterMs: 5 },
  ] as const) {
    const other = limited(1);
    const admission = other.tryAcquire();
    assert.ok(admission.admitted);
    admission.settle(outcome);
    assert.equal(inFlight(other), 1);
    clock.advance(1001);
    assert.ok(other.tryAcquire().admitted);
  }
});

test("an answer that has begun is in flight no longer, however slowly it is read", async () => {
  const upstream = limited(1, { limit: adaptiveLimit({ initial: 1, min: 1, max: 1 }) });
  const admission = upstream.tryAcquire();
  assert.ok(admission.admitted);
  clock.advance(20);
  // A sign of life, and no word on whether the answer is good.
  admission.answering?.();
  assert.equal(inFlight(upstream), 1);
  admission.answering?.(15);
  assert.equal(inFlight(upstream), 0);
  const next = upstream.tryAcquire();
  assert.ok(next.admitted);
  admission.settle({ outcome: "ok" });
  assert.equal(inFlight(upstream), 1);
  next.settle({ outcome: "ok" });
  assert.equal(inFlight(upstream), 0);

  let end = (): void => {};
  await upstream.hold((_context, held) => {
    end = () => held.done();
    return "head";
  });
  assert.equal(inFlight(upstream), 0);
  end();
  assert.equal(inFlight(upstream), 0);
  assert.equal(upstream.inFlight, 0);
});

/** A call whose answer has begun. */
function read(upstream: Upstream): Admitted {
  const admission = upstream.tryAcquire();
  assert.ok(admission.admitted);
  admission.answering?.(15);
  return admission;
}

test("of a fixed limit it is in flight to its last byte: so many connections are what was bought", async () => {
  const upstream = limited(2);
  const first = read(upstream);
  let end = (): void => {};
  await upstream.hold((_context, held) => {
    end = () => held.done();
    return "head";
  });
  assert.equal(inFlight(upstream), 2);
  assert.equal(upstream.limits?.limiter.inFlightOf(1), 2);
  await refusal(upstream.execute(() => 1));

  first.settle({ outcome: "ok" });
  assert.equal(inFlight(upstream), 1);
  end();
  assert.equal(inFlight(upstream), 0);
});

for (const [name, outcome] of [
  ["good", { outcome: "ok" }],
  ["broken off", { outcome: "failed" }],
  ["cut at its deadline", { outcome: "failed", timeout: true }],
  ["left", { outcome: "ignored", leftAfterMs: 5 }],
] as const) {
  test(`whoever waits for room has that of an answer as soon as it is ${name}`, async () => {
    const upstream = limited(20);
    const readers = Array.from({ length: 20 }, () => read(upstream));
    const waiting = upstream.acquire({ criticality: "critical_plus" });
    assert.ok(waiting instanceof Promise);
    readers[0]?.settle(outcome);
    const admission = await waiting;
    assert.ok(admission.admitted);
    assert.equal(inFlight(upstream), 20);
  });
}

test("whoever reads the answer has sent the request: nothing is given back and taken again", () => {
  const upstream = limited(2);
  const admission = read(upstream);
  admission.pause?.();
  assert.equal(inFlight(upstream), 1);
  assert.equal(admission.resume?.(), undefined);
  assert.equal(inFlight(upstream), 1);
  assert.ok(!upstream.tryAcquire().admitted || inFlight(upstream) === 2);
  admission.settle({ outcome: "ok" });
  assert.equal(inFlight(upstream), 1);
  clock.advance(5000);
  upstream.tryAcquire();
  assert.equal(inFlight(upstream), 2);
});

test("answers that are read for long are no hang", () => {
  const upstream = limited(10);
  const told: boolean[] = [];
  upstream.on("limit", ({ isHung }) => void told.push(isHung));
  const readers = Array.from({ length: 4 }, () => read(upstream));
  const quick = (): void => {
    const admission = upstream.tryAcquire();
    assert.equal(upstream.limits?.limiter.isHung, false);
    clock.advance(20);
    if (admission.admitted) admission.settle({ outcome: "ok" });
  };
  const slow = upstream.tryAcquire();
  assert.ok(slow.admitted);
  slow.pause?.();
  for (let n = 0; n < 50; n += 1) quick();
  clock.advance(5000);
  slow.resume?.();
  assert.equal(upstream.limits?.limiter.isHung, false);
  slow.settle({ outcome: "ok" });
  for (let n = 0; n < 50; n += 1) quick();
  clock.advance(5000);
  quick();
  for (let n = 0; n < 50; n += 1) quick();
  clock.advance(5000);
  readers.pop()?.settle({ outcome: "ignored" });
  assert.deepEqual(told, []);
});

test("while callers send what is passed on as it comes, nobody hangs", () => {
  const upstream = limited(10, { limit: adaptiveLimit() });
  const senders = Array.from({ length: 4 }, () => {
    const sender = upstream.tryAcquire();
    assert.ok(sender.admitted);
    sender.pause?.();
    assert.equal(sender.resume?.(true), undefined);
    return sender;
  });
  const [first, second, third, last] = senders;
  assert.equal(inFlight(upstream), 4);
  clock.advance(3000);
  assert.ok(upstream.tryAcquire().admitted);
  assert.equal(upstream.limits?.limiter.isHung, false);
  clock.advance(3000);
  assert.equal(first?.resume?.(), undefined);
  second?.pause?.(true);
  third?.settle({ outcome: "ignored", leftAfterMs: 1 });
  assert.equal(upstream.limits.limiter.isHung, false);
  assert.equal(inFlight(upstream), 4);

  // Two calls are owed an answer, and the last sender is none of them.
  for (let n = 0; n < 9; n += 1) {
    clock.advance(100);
    upstream.tryAcquire();
  }
  assert.equal(upstream.limits.limiter.isHung, true);
  last?.settle({ outcome: "ignored" });
});

test("a sender that has left is forgotten, and its permit comes back by the clock alone", () => {
  const upstream = limited(10, { limit: adaptiveLimit() });
  const sender = upstream.tryAcquire();
  assert.ok(sender.admitted);
  sender.resume?.(true);
  sender.settle({ outcome: "ignored", leftAfterMs: 1 });
  assert.equal(inFlight(upstream), 1);
  clock.advance(5000);
  const next = upstream.tryAcquire();
  assert.ok(next.admitted);
  next.settle({ outcome: "ok" });
  assert.equal(inFlight(upstream), 0);
});

test("two calls that are owed an answer hang beside those that are read", () => {
  const upstream = limited(10);
  const told: boolean[] = [];
  upstream.on("limit", ({ isHung }) => void told.push(isHung));
  const readers = Array.from({ length: 3 }, () => read(upstream));
  const owed = Array.from({ length: 2 }, () => upstream.tryAcquire());
  for (let n = 0; n < 9; n += 1) {
    clock.advance(100);
    owed.push(upstream.tryAcquire());
  }
  for (const call of owed) if (call.admitted) call.settle({ outcome: "ignored" });
  readers.pop()?.settle({ outcome: "ignored" });
  assert.deepEqual(told, [true]);
  // What is sent to its last byte is something that came back.
  readers.pop()?.settle({ outcome: "ok" });
  assert.deepEqual(told, [true, false]);
});

test("the most critical wait for room, a tenth of the limit, in their own context, and are let in in turn", async () => {
  const upstream = limited(20);
  const calls = Array.from({ length: 20 }, () => open(upstream));
  const whose = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const ask = (name: string): ReturnType<typeof open> =>
    whose.run(name, () =>
      open(upstream, { criticality: "critical_plus" }, () => seen.push(whose.getStore())),
    );
  const first = ask("ann");
  const second = ask("bob");
  await refusal(ask("too many").call);
  await refusal(upstream.execute(() => 1, { criticality: "critical" }));

  calls[0]?.resolve("");
  await soon();
  assert.deepEqual(seen, ["ann"]);
  first.resolve("");
  await soon();
  assert.deepEqual(seen, ["ann", "bob"]);
  second.resolve("");
  await soon();
  assert.equal(upstream.inFlight, 19);
  assert.equal(inFlight(upstream), 19);
  assert.equal(upstream.limits?.counts[0]?.refused.limit, 1);
});

test("they wait a tenth of the deadline, and are then refused", async () => {
  const upstream = limited(20, { deadlineMs: 500 });
  for (let n = 0; n < 20; n += 1) open(upstream);
  const came: { code?: string }[] = [];
  upstream
    .execute(() => 1, { criticality: "critical_plus" })
    .catch((error: { code?: string }) => came.push(error));
  clock.advance(49);
  await soon();
  assert.equal(came.length, 0);
  clock.advance(1);
  await soon();
  assert.equal(came[0]?.code, "SG_LIMITED");
  assert.equal(upstream.limits?.line.length, 0);
});

test("a call that waits asks often, and is one call in what its tier asks for", async () => {
  const demandAfter = async (limit: number): Promise<number | undefined> => {
    const upstream = limited(limit);
    const critical = { criticality: "critical_plus" } as const;
    const calls = Array.from({ length: 21 }, () => open(upstream, critical));
    for (const { resolve } of calls) resolve("done");
    await Promise.all(calls.map(({ call }) => call));
    clock.advance(200);
    await upstream.execute(() => 1);
    return upstream.limits?.limiter.demandPerSecond(0);
  };

  const waited = await demandAfter(20);

  assert.ok((waited ?? 0) > 0);
  assert.equal(waited, await demandAfter(50));
});

test("one that leaves while it waits was neither let in nor refused", async () => {
  const upstream = limited(20);
  const calls = Array.from({ length: 20 }, () => open(upstream));
  const leaver = new AbortController();
  const call = upstream.execute(() => assert.fail("it ran"), {
    criticality: "critical_plus",
    signal: leaver.signal,
  });
  leaver.abort(new Error("gone"));
  await assert.rejects(call, { message: "gone" });
  assert.equal(upstream.limits?.line.length, 0);
  calls[0]?.resolve("");
  await soon();
  assert.equal(inFlight(upstream), 19);
  assert.equal(upstream.inFlight, 19);
});

test("its wait leaves nothing behind: no timer that lets it in again, no listener, and no open span", async () => {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), limit: fixedLimit(20), deadlineMs: 1000 } },
    clock,
  });
  const upstream = gear.upstream("dk");
  const calls = Array.from({ length: 20 }, () => open(upstream));
  const ended: string[] = [];
  gear.watchCalls({
    begin: () => ({
      refused: () => {},
      admitted: () => {},
      within: (run: () => unknown) => run(),
      ended(outcome: string, _error: unknown, settle: () => void) {
        ended.push(outcome);
        settle();
      },
    }),
  } as never);
  const listeners = new Set<unknown>();
  const leaver = new AbortController();
  const signal = new Proxy(leaver.signal, {
    get(target, name) {
      if (name === "addEventListener") {
        return (type: string, what: EventListener) => {
          listeners.add(what);
          target.addEventListener(type, what);
        };
      }
      if (name === "removeEventListener") {
        return (type: string, what: EventListener) => {
          listeners.delete(what);
          target.removeEventListener(type, what);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const ask = () => open(upstream, { criticality: "critical_plus", signal });
  const first = ask();
  assert.equal(listeners.size, 1);
  calls[0]?.resolve("");
  await soon();
  // A timer that was left would let it in a second time, now that there is room.
  calls[1]?.resolve("");
  await soon();
  clock.advance(200);
  assert.equal(inFlight(upstream), 19);
  first.resolve("");
  await first.call;
  assert.equal(listeners.size, 0);
  assert.deepEqual(ended, ["ok"]);

  for (let n = 0; n < 2; n += 1) open(upstream, { criticality: "critical_plus" });
  const left = ask();
  assert.equal(upstream.limits?.line.length, 1);
  leaver.abort(new Error("gone"));
  await assert.rejects(left.call, { message: "gone" });
  assert.equal(listeners.size, 0);
  assert.deepEqual(ended, ["ok", "ignored"]);
  calls[2]?.resolve("");
  await soon();
  clock.advance(200);
  assert.equal(inFlight(upstream), 19);
});

test("those who wait stay in line while there is no room, however full it is", async () => {
  const upstream = limited(20, { mode: "forced-closed" });
  const calls = Array.from({ length: 22 }, () => open(upstream));
  upstream.setMode({ mode: "normal" });
  const came: unknown[] = [];
  for (let n = 0; n < 2; n += 1) {
    const one = open(upstream, { criticality: "critical_plus" });
    one.call.catch((error: unknown) => came.push(error));
  }
  calls[0]?.resolve("");
  await soon();
  assert.equal(upstream.limits?.line.length, 2);
  assert.deepEqual(came, []);
});

test("a caller that is not ready holds nothing; when it is, there may be no room", async () => {
  const upstream = limited(2);
  const slow = upstream.tryAcquire({ operation: "odds" });
  const other = upstream.tryAcquire({ operation: "odds" });
  assert.ok(slow.admitted && other.admitted);
  slow.pause?.();
  other.pause?.();
  assert.equal(inFlight(upstream), 0);
  assert.equal(slow.resume?.(), undefined);
  assert.equal(inFlight(upstream), 1);
  open(upstream);

  const refused = other.resume?.();
  assert.equal(refused?.reason, "limit");
  assert.equal(refused?.operation, "odds");
  assert.equal(refused?.upstream, "dk");
  other.settle({ outcome: "ignored" });
  assert.equal(inFlight(upstream), 2);
  assert.equal(upstream.limits?.counts[1]?.refused.limit, 1);
  const odds = Array.from(upstream.operations).find(({ name }) => name === "odds");
  assert.deepEqual(odds?.refused, { limit: 1 });

  slow.settle({ outcome: "ok" });
  slow.pause?.();
  assert.equal(slow.resume?.(), undefined);
  assert.equal(inFlight(upstream), 1);
});

test("what is refused for want of time, and then for want of room, says each", async () => {
  const upstream = limited(3);
  for (let n = 0; n < 30; n += 1) {
    const call = open(upstream);
    clock.advance(100);
    call.resolve("");
    await call.call;
  }
  open(upstream);
  open(upstream);
  const hasty = upstream.tryAcquire({ deadlineMs: 10 });
  assert.ok(!hasty.admitted && hasty.reason === "no_time");
  open(upstream);
  for (let n = 0; n < 40; n += 1) {
    const answer = upstream.tryAcquire();
    assert.ok(!answer.admitted && answer.reason === "limit");
  }
});

test("an adapter's word on its deadline counts, longer or shorter; a caller of execute may only shorten", async () => {
  const upstream = limited(10);
  for (let n = 0; n < 30; n += 1) {
    const admission = upstream.tryAcquire({ deadlineMs: 10_000 });
    clock.advance(3000);
    assert.ok(admission.admitted);
    admission.settle({ outcome: "ok" });
  }
  open(upstream);
  open(upstream);
  const ask = { deadlineMs: 10_000 };
  assert.ok(upstream.tryAcquire(ask).admitted);
  const patient = upstream.acquire(ask);
  assert.ok(!(patient instanceof Promise) && patient.admitted);
  for (const hasty of [upstream.tryAcquire(), upstream.acquire()]) {
    assert.ok(!(hasty instanceof Promise) && !hasty.admitted && hasty.reason === "no_time");
  }
  assert.equal((await refusal(upstream.execute(() => 1, ask))).reason, "no_time");
  assert.equal((await refusal(upstream.hold(() => 1, ask))).reason, "no_time");
});

test("what an adapter says of its deadline holds while its call waits for room", async () => {
  const upstream = limited(20);
  for (let n = 0; n < 30; n += 1) {
    const call = upstream.tryAcquire({ deadlineMs: 10_000 });
    clock.advance(3000);
    if (call.admitted) call.settle({ outcome: "ok" });
  }
  const ask = { criticality: "critical_plus", deadlineMs: 10_000 } as const;
  const [first] = Array.from({ length: 20 }, () => upstream.tryAcquire(ask));
  const waiting = upstream.acquire(ask);
  assert.ok(waiting instanceof Promise);
  assert.ok(first?.admitted);
  first.settle({ outcome: "ok" });
  assert.ok((await waiting).admitted);
});

test("a limit may be made from a longer deadline than its calls have", () => {
  const limitDeadlineMs = 10_000;
  const upstream = limited(2, { limit: adaptiveLimit(), limitDeadlineMs });
  assert.equal(upstream.limits?.deadlineMs, limitDeadlineMs);
  assert.equal(limited(2).limits?.deadlineMs, 1000);
  for (let n = 0; n < 3; n += 1) upstream.tryAcquire({ deadlineMs: limitDeadlineMs });
  clock.advance(3000);
  upstream.tryAcquire({ deadlineMs: limitDeadlineMs });
  assert.equal(upstream.limits?.limiter.isHung, false);
  assert.throws(() => limited(2, { limitDeadlineMs: 0 }), /limitDeadlineMs must be .*above 0/);
});

test("a flood of refusals looks at the clock now and then: seldom, and often enough to see a hung upstream", () => {
  let looks = 0;
  const counting = {
    now: () => clock.now(),
    monotonic: () => {
      looks += 1;
      return clock.monotonic();
    },
    setTimer: clock.setTimer.bind(clock),
  };
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), limit: adaptiveLimit(), deadlineMs: 1000 } },
    clock: counting,
  });
  const upstream = gear.upstream("dk");
  for (let n = 0; n < 20; n += 1) upstream.tryAcquire();
  looks = 0;
  for (let n = 0; n < 160; n += 1) assert.ok(!upstream.tryAcquire().admitted);
  assert.ok(looks > 0 && looks <= 20, `${looks}`);
  for (let ms = 0; ms < 1000; ms += 1) {
    clock.advance(1);
    upstream.tryAcquire();
  }
  assert.ok(upstream.limits?.limiter.isHung);
});

test("hold and acquire wait as well; tryAcquire does not", async () => {
  const upstream = limited(20);
  const calls = Array.from({ length: 20 }, () => open(upstream));
  const critical = { criticality: "critical_plus" } as const;
  assert.ok(!upstream.tryAcquire(critical).admitted);
  const held = upstream.hold((_context, rest) => rest.done(), critical);
  const acquired = upstream.acquire(critical);
  assert.ok(acquired instanceof Promise);
  calls[0]?.resolve("");
  calls[1]?.resolve("");
  await held;
  const admission = await acquired;
  assert.ok(admission.admitted);
  admission.settle({ outcome: "ok" });
  await soon();

  // What need not wait is no promise.
  assert.ok(!(upstream.acquire() instanceof Promise));
  for (let n = 0; n < 2; n += 1) open(upstream);
  const waiting = upstream.acquire(critical);
  clock.advance(100);
  const refused = await waiting;
  assert.ok(!refused.admitted && refused.reason === "limit");
});

test("no call waits for longer than its deadline leaves", async () => {
  const upstream = limited(20);
  for (let n = 0; n < 20; n += 1) open(upstream);
  const hasty = open(upstream, { criticality: "critical_plus", deadlineMs: 5 });
  const patient = open(upstream, { criticality: "critical_plus" });
  await soon();
  assert.equal(upstream.limits?.line.length, 2);
  clock.advance(6);
  assert.equal((await refusal(hasty.call)).reason, "limit");
  assert.equal(upstream.limits?.line.length, 1);
  clock.advance(100);
  await refusal(patient.call);
});

test("a deadline goes on while a call waits", async () => {
  const upstream = limited(20);
  const calls = Array.from({ length: 20 }, () => open(upstream));
  const late = open(upstream, { criticality: "critical_plus", deadlineMs: 300 });
  const came: { code?: string }[] = [];
  late.call.catch((error: { code?: string }) => came.push(error));
  clock.advance(90);
  calls[0]?.resolve("");
  await soon();
  assert.equal(came.length, 0);
  clock.advance(209);
  await soon();
  assert.equal(came.length, 0);
  clock.advance(2);
  await soon();
  assert.equal(came[0]?.code, "SG_DEADLINE");
});

for (const mode of ["shadow", "forced-closed"] as const) {
  test(`${mode} lets in, counts what it would have refused, and gives each permit back`, async () => {
    const upstream = limited(1, { mode });
    const told: (boolean | string)[] = [];
    upstream.on("refused", ({ reason, shadow }) => void told.push(reason, shadow));
    const first = open(upstream);
    const second = open(upstream);
    assert.equal(inFlight(upstream), 2);
    assert.deepEqual(told, ["limit", true]);
    assert.equal(upstream.limits?.counts[1]?.wouldRefuse, 1);
    assert.equal(upstream.limits?.counts[1]?.admitted, 2);
    assert.deepEqual(upstream.limits?.counts[1]?.refused, { limit: 0, priority: 0, no_time: 0 });
    first.resolve("");
    second.resolve("");
    await second.call;
    assert.equal(inFlight(upstream), 0);
  });
}

test("each endpoint has its own limit, and a call goes where there is room", async () => {
  const upstream = limited(1, {
    breaker: slidingWindow(),
    endpoints: ["https://a.example", "https://b.example"],
  });
  assert.equal(upstream.limits, undefined);
  const urls: (string | undefined)[] = [];
  const calls = [0, 1].map(() => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const call = upstream.execute(({ endpoint }) => {
      urls.push(endpoint?.url);
      return promise;
    });
    return { call, resolve };
  });
  assert.deepEqual(new Set(urls), new Set(["https://a.example", "https://b.example"]));
  assert.equal((await refusal(upstream.execute(() => 1))).reason, "limit");
  calls[1]?.resolve();
  await calls[1]?.call;
  assert.equal(await upstream.execute(() => 1), 1);
});

test("while the breaker is open nothing is learnt, and after it the limit begins low", async () => {
  const upstream = limited(1, { limit: adaptiveLimit({ initial: 40 }), breaker: latching() });
  const limiter = upstream.limits?.limiter;
  assert.equal(limiter?.limit, 40);
  upstream.trip();
  assert.ok(!upstream.tryAcquire().admitted);
  assert.ok(limiter?.isFrozen);
  upstream.reset({ force: true });
  assert.ok(upstream.tryAcquire().admitted);
  assert.ok(!limiter?.isFrozen);
  assert.equal(limiter?.limit, 10);
});

test("an endpoint that was set aside begins low, too", async () => {
  const upstream = limited(1, {
    limit: adaptiveLimit({ initial: 40 }),
    breaker: slidingWindow(),
    endpoints: ["https://a.example"],
    endpointBreaker: adaptive({ failureThreshold: 1, cooldownMs: 1000, adaptive: false }),
  });
  const limiter = upstream.endpoints?.endpoints[0]?.limits?.limiter;
  for (let n = 0; n < 2; n += 1) {
    await assert.rejects(upstream.execute(() => Promise.reject(new Error("500"))));
  }
  assert.ok(limiter?.isFrozen);
  clock.advance(2000);
  assert.equal(await upstream.execute(() => 1), 1);
  assert.equal(limiter?.limit, 10);
});

test("a limit is made by adaptiveLimit or fixedLimit; anything else is said before it can limit", () => {
  for (const limit of [5, null, {}, "adaptive", { kind: "fixed" }]) {
    assert.throws(
      () => createSwitchgear({ upstreams: { dk: { breaker: latching(), limit: limit as never } } }),
      { code: "SG_OPTIONS_INVALID", message: /"dk".*limit must be/ },
    );
  }
  for (const [limit, words] of [
    [40, /fixedLimit\(40\), not 40$/],
    [0.5, /fixedLimit\(n\), not 0\.5$/],
    ["off", /fixedLimit\(n\), not "off"$/],
  ] as const) {
    assert.throws(() => limited(1, { limit }), words);
  }
});

test("other options begin anew, the same ones go on", () => {
  const limit = fixedLimit(3);
  const gear = createSwitchgear({ upstreams: { dk: { breaker: latching(), limit } }, clock });
  const upstream = gear.upstream("dk");
  const { limits } = upstream;
  gear.configure({ dk: { breaker: latching(), limit } });
  assert.equal(upstream.limits, limits);
  gear.configure({ dk: { breaker: latching(), limit: fixedLimit(4) } });
  assert.equal(upstream.limits?.limiter.limit, 4);
  gear.configure({ dk: { breaker: latching(), limit: fixedLimit(4), deadlineMs: 5 } });
  assert.notEqual(upstream.limits?.deadlineMs, undefined);
  gear.configure({ dk: { breaker: latching() } });
  assert.equal(upstream.limits, undefined);
});
