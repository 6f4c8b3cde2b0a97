// Spec §9.C through the library: the sliding-window machine behind the guard, with calls in earnest.
// The same cases at the machine itself are in test/unit/core/sliding-window.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createSwitchgear, isRefused, slidingWindow } from "../../src/index.ts";
import type { SlidingWindowOptions, Switchgear, Upstream } from "../../src/index.ts";
import { RecordingSink, VirtualClock } from "../../src/testing/index.ts";

interface Rig {
  readonly clock: VirtualClock;
  readonly gear: Switchgear;
  readonly sink: RecordingSink;
  readonly upstream: Upstream;
}

function rig(options: SlidingWindowOptions = {}): Rig {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: { pinnacle: { breaker: slidingWindow(options) } },
    sampler: { systemLoad: () => 0 },
    clock,
  });
  return { clock, gear, sink: new RecordingSink(gear), upstream: gear.upstream("pinnacle") };
}

async function ok(upstream: Upstream, times = 1): Promise<void> {
  for (let n = 0; n < times; n += 1) await upstream.execute(() => "odds");
}

async function fail(upstream: Upstream, times = 1): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await assert.rejects(
      upstream.execute(() => Promise.reject(new Error("HTTP 500"))),
      {
        message: "HTTP 500",
      },
    );
  }
}

/** A call that ends when it is told to. */
function open(upstream: Upstream, options: { signal?: AbortSignal } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = upstream.execute(() => promise, options);
  const settled = call.then(
    () => {},
    () => {},
  );
  return {
    call,
    resolve: () => (resolve("odds"), settled),
    reject: () => (reject(new Error("HTTP 500")), settled),
  };
}

test("T-C-02 nine failures of nine stay closed, the tenth opens", async () => {
  const { upstream } = rig();
  await fail(upstream, 9);
  assert.equal(upstream.state(), "closed");
  await fail(upstream);
  assert.equal(upstream.state(), "open");
});

test("T-C-03 half of the calls is not above half, one more failure is", async () => {
  const { upstream, sink } = rig();
  await ok(upstream, 5);
  await fail(upstream, 5);
  assert.equal(upstream.state(), "closed");
  await fail(upstream);
  assert.equal(upstream.state(), "open");

  const evidence = { rule: "failure_ratio", count: 6, calls: 11, ratio: 6 / 11, threshold: 0.5 };
  assert.deepEqual(sink.of("trip")[0]?.evidence, evidence);
  assert.deepEqual(upstream.status().trippedBy, evidence);
});

test("T-C-04 while open nothing runs; at the end of the wait the call itself is the probe", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  let calls = 0;
  const count = (): number => (calls += 1);
  clock.advance(14_999);
  await assert.rejects(upstream.execute(count), (error: unknown) => {
    assert.ok(isRefused(error));
    assert.equal(error.code, "SG_BREAKER_OPEN");
    assert.equal(error.retryAfterMs, 1);
    return true;
  });
  assert.equal(calls, 0);
  clock.advance(1);
  assert.equal(await upstream.execute(count), 1);
  assert.equal(upstream.state(), "half-open");
});

test("T-C-05 two probes close it, empty; a failure just after does not open it again", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  clock.advance(15_000);
  await ok(upstream, 2);
  assert.equal(upstream.state(), "closed");
  assert.equal(upstream.status().window?.calls, 0);
  await fail(upstream, 9);
  assert.equal(upstream.state(), "closed");
});

test("T-C-06 a failed probe opens it, the wait starts anew, fifty times over", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  for (let round = 0; round < 50; round += 1) {
    clock.advance(15_000);
    const probes = Array.from({ length: 5 }, () => open(upstream));
    await assert.rejects(
      upstream.execute(() => 1),
      { reason: "half_open_limit" },
    );
    await probes[0]?.resolve();
    await probes[1]?.reject();
    assert.equal(upstream.state(), "open");
    for (const probe of probes.slice(2)) await probe.resolve();
    assert.equal(upstream.state(), "open");
    assert.equal(upstream.tryAcquire().admitted, false);
  }
  assert.equal(upstream.status().tripCount, 1);
});

test("T-C-07 of twenty probes at once exactly five run", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  clock.advance(15_000);
  let ran = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const calls = Array.from({ length: 20 }, () =>
    upstream
      .execute(() => {
        ran += 1;
        return promise;
      })
      .then(
        () => "ran",
        () => "refused",
      ),
  );
  assert.equal(ran, 5);
  resolve();
  const ends = await Promise.all(calls);
  assert.equal(ends.filter((end) => end === "refused").length, 15);
});

test("T-C-08 five probes that never settle do not wedge it", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  clock.advance(15_000);
  for (let n = 0; n < 5; n += 1) open(upstream);
  assert.equal(upstream.tryAcquire().admitted, false);
  clock.advance(15_000);
  await ok(upstream, 2);
  assert.equal(upstream.state(), "closed");
});

test("T-C-09 stragglers of a closed time count for nothing later", async () => {
  const { clock, upstream } = rig();
  const late = [open(upstream), open(upstream)] as const;
  await fail(upstream, 10);
  clock.advance(15_000);
  await ok(upstream);
  await late[0].reject();
  assert.equal(upstream.state(), "half-open");
  await late[1].resolve();
  assert.equal(upstream.state(), "half-open");
  await ok(upstream);
  assert.equal(upstream.state(), "closed");
  assert.equal(upstream.status().window?.calls, 0);
  assert.deepEqual([upstream.counters.lateFailed, upstream.counters.lateOk], [1, 1]);
});

test("T-C-10 what is older than the window is forgotten, on reads, too", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 9);
  clock.advance(61_000);
  assert.equal(upstream.status().window?.calls, 0);
  await fail(upstream);
  assert.equal(upstream.state(), "closed");
  await ok(upstream, 120);
  assert.equal(upstream.status().window?.calls, 100);
});

test("T-C-11 a wall clock that jumps moves neither window nor wait", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 9);
  clock.jumpWall(3_600_000);
  await fail(upstream);
  assert.equal(upstream.state(), "open");
  clock.jumpWall(-7_200_000);
  clock.advance(14_999);
  assert.equal(upstream.tryAcquire().admitted, false);
  clock.advance(1);
  assert.equal(upstream.tryAcquire().admitted, true);
});

test("T-C-13 a reset closes it from any state, and what was under way is late", async () => {
  const { clock, upstream } = rig();
  await fail(upstream, 10);
  upstream.reset({ actor: "ann", reason: "checked" });
  assert.equal(upstream.state(), "closed");

  await fail(upstream, 10);
  clock.advance(15_000);
  const probe = open(upstream);
  upstream.reset({ actor: "ann" });
  assert.equal(upstream.state(), "closed");
  await probe.reject();
  assert.equal(upstream.counters.lateFailed, 1);
  assert.equal(upstream.status().lastResetBy, "ann");
});

test("T-C-14 ten at once are counted exactly, values and errors are the same ones", async () => {
  const { upstream } = rig();
  const value = { odds: 1.9 };
  const results = await Promise.all(
    Array.from({ length: 10 }, () => upstream.execute(() => Promise.resolve(value))),
  );
  assert.ok(results.every((result) => result === value));
  const error = new Error("HTTP 500");
  await assert.rejects(
    upstream.execute(() => {
      throw error;
    }),
    (seen) => seen === error,
  );
  assert.deepEqual([upstream.status().window?.calls, upstream.status().window?.failures], [11, 1]);
});

test("T-C-16 of a hundred at the very moment one transition and five probes come", async () => {
  const { clock, upstream, sink } = rig();
  await fail(upstream, 10);
  clock.advance(15_000);
  const admissions = Array.from({ length: 100 }, () => upstream.tryAcquire());
  assert.equal(admissions.filter(({ admitted }) => admitted).length, 5);
  const causes = sink.of("transition").map(({ cause }) => cause);
  assert.deepEqual(causes, ["failures", "probe_due"]);
});

test("slow answers trip it, and a caller who gave up late has seen a slow one", async () => {
  const { clock, upstream, sink } = rig({ slowCallMs: 1000, minimumCalls: 4 });
  for (let n = 0; n < 2; n += 1) {
    await upstream.execute(() => {
      clock.advance(1000);
      return "odds";
    });
  }
  const soon = new AbortController();
  const patient = new AbortController();
  const early = open(upstream, { signal: soon.signal });
  const late = open(upstream, { signal: patient.signal });
  soon.abort(new Error("left at once"));
  await assert.rejects(early.call, { message: "left at once" });
  assert.equal(upstream.status().window?.calls, 2);
  clock.advance(1000);
  patient.abort(new Error("left at last"));
  await assert.rejects(late.call, { message: "left at last" });
  assert.equal(upstream.status().window?.slow, 3);
  await upstream.execute(() => {
    clock.advance(1000);
    return "odds";
  });
  assert.equal(upstream.state(), "open");
  assert.equal(sink.of("trip")[0]?.evidence?.rule, "slow_call_ratio");
  const trippedAt = clock.now();
  clock.jumpWall(3_600_000);
  assert.equal(upstream.status().trippedAt, trippedAt, "dated when it tripped, not when asked");
});

test("an error that says when to come again lengthens the wait", async () => {
  const { clock, upstream } = rig({ minimumCalls: 2 });
  const busy = Object.assign(new Error("HTTP 503"), { retryAfterMs: 40_000 });
  for (let n = 0; n < 2; n += 1) {
    await assert.rejects(upstream.execute(() => Promise.reject(busy)));
  }
  clock.advance(39_999);
  const refused = upstream.tryAcquire();
  assert.ok(!refused.admitted);
  assert.equal(refused.retryAfterMs, 1);
  clock.advance(1);
  assert.equal(upstream.tryAcquire().admitted, true);
});

test("after the probes calls return by steps, and refusals say so", async () => {
  const { clock, upstream } = rig({ ramping: true });
  await fail(upstream, 10);
  clock.advance(15_000);
  await ok(upstream, 2);
  assert.equal(upstream.state(), "ramping");
  assert.equal(upstream.isTripped, false);
  await ok(upstream);
  await assert.rejects(
    upstream.execute(() => 1),
    { reason: "ramping", code: "SG_BREAKER_OPEN" },
  );
  let admitted = 0;
  for (let n = 0; n < 400; n += 1) {
    const admission = upstream.tryAcquire();
    if (!admission.admitted) continue;
    admitted += 1;
    admission.settle({ outcome: "ok" });
  }
  assert.equal(upstream.state(), "closed");
  assert.ok(admitted < 400 && admitted > 200, `${admitted} of 400`);
});
