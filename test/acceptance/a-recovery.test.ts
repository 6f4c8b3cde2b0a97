// Specification 9.A, recovery: nobody but a person, or one probe at a time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { LatchingOptions } from "../../src/index.ts";
import { failTimes, makeGear, openCall, type TestGear } from "../support/gear.ts";

const single: LatchingOptions = { recovery: "single-probe" };
const boom = new Error("boom");

function tripped(breaker: LatchingOptions): TestGear {
  const made = makeGear({ breaker });
  failTimes(made.dk, 10);
  return made;
}

test("T-A-34 time alone changes nothing, and no timer waits for it", () => {
  for (const breaker of [single, {}]) {
    const { dk, clock } = tripped(breaker);
    assert.equal(clock.pendingTimers, 0);
    clock.advance(3_600_000);
    assert.equal(dk.isTripped, true);
    assert.equal(dk.state(), "open");
  }
});

test("T-A-34 no resource of the real runtime waits either", () => {
  const { dk } = tripped({});
  assert.equal(dk.isTripped, true);
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name === "Timeout"),
    [],
  );
});

test("T-A-35 a call at 59.999 s is refused with about 1 ms left", async () => {
  const { dk, clock } = tripped(single);
  clock.advance(59_999);
  await assert.rejects(
    dk.execute(() => 1),
    { remainingMs: 1, retryAfterMs: 1 },
  );
});

test("T-A-35 at 60 s exactly one of fifty runs", async () => {
  const { dk, clock } = tripped(single);
  clock.advance(60_000);
  let runs = 0;
  const calls = Array.from({ length: 50 }, () =>
    dk.execute(() => {
      runs += 1;
      return new Promise(() => {});
    }),
  );
  const results = await Promise.allSettled(calls.slice(1));
  assert.equal(runs, 1);
  assert.equal(results.filter(({ status }) => status === "rejected").length, 49);
  assert.equal(dk.state(), "half-open");
  assert.equal(dk.isTripped, true);
});

test("T-A-36 a probe that succeeds closes, with its audit and its event", async () => {
  const { gear, dk, clock, sink } = tripped(single);
  clock.advance(60_000);
  await dk.execute(() => {
    clock.advance(25);
    return 1;
  });
  assert.equal(dk.state(), "closed");
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.status().tripCount, 1);
  assert.equal(sink.of("recovery")[0]?.latencyMs, 25);
  assert.deepEqual(
    gear.history().map(({ action, actor, reason }) => ({ action, actor, reason }))[0],
    { action: "RESET", actor: "system", reason: "the single probe succeeded" },
  );
});

test("T-A-36 a probe that fails re-arms the whole wait without a new trip", async () => {
  const { dk, clock } = tripped(single);
  clock.advance(70_000);
  await assert.rejects(
    dk.execute(() => Promise.reject(boom)),
    { message: "boom" },
  );
  assert.equal(dk.state(), "open");
  assert.equal(dk.status().tripCount, 1);
  assert.equal(dk.status().trippedUntil, clock.now() + 60_000);
  clock.advance(59_999);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
  clock.advance(1);
  assert.equal(await dk.execute(() => 1), 1);
  assert.equal(dk.state(), "closed");
});

test("a probe whose caller aborts gives its slot back without a vote", async () => {
  const { dk, clock } = tripped(single);
  clock.advance(60_000);
  await assert.rejects(dk.execute(() => Promise.reject(new DOMException("gone", "AbortError"))));
  assert.equal(dk.state(), "open");
  assert.equal(await dk.execute(() => 1), 1);
  assert.equal(dk.state(), "closed");
});

test("a probe that the shedder refuses gives its slot back", async () => {
  const load = { now: 1 };
  const { dk, clock } = makeGear({ breaker: single, sampler: { systemLoad: () => load.now } });
  failTimes(dk, 10);
  clock.advance(60_000);
  await assert.rejects(
    dk.execute(() => 1, { load: 500 }),
    { code: "SG_LOAD_SHED" },
  );
  load.now = 0;
  assert.equal(await dk.execute(() => 1), 1);
});

test("T-A-37 a hung probe loses its slot after the lease, and its late success closes nothing", async () => {
  const { dk, clock } = tripped({ ...single, probeLeaseMs: 30_000 });
  clock.advance(60_000);
  const hung = openCall(dk);
  clock.advance(29_999);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN", retryAfterMs: 1 },
  );
  assert.equal(dk.state(), "half-open");
  clock.advance(1);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN", retryAfterMs: 60_000 },
  );
  assert.equal(dk.state(), "open");
  await hung.resolve("late");
  assert.equal(dk.isTripped, true);
  assert.equal(dk.counters.lateOk, 1);
  clock.advance(60_000);
  assert.equal(await dk.execute(() => 1), 1);
});

test("T-A-37 a lease that ran out long ago has re-armed long ago", async () => {
  const { dk, clock } = tripped({ ...single, probeLeaseMs: 30_000 });
  clock.advance(60_000);
  openCall(dk);
  clock.advance(90_000);
  assert.equal(await dk.execute(() => 1), 1);
});

test("T-A-38 a trip by hand is never probed", async () => {
  const { dk, clock } = makeGear({ breaker: single });
  dk.trip({ reason: "maintenance", actor: "ann" });
  clock.advance(86_400_000);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN", manual: true, retryAfterMs: undefined },
  );
});

test("T-A-38 under manual recovery no trip is ever probed", async () => {
  const { dk, clock } = tripped({});
  clock.advance(86_400_000);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN", manual: false, retryAfterMs: undefined, remainingMs: 0 },
  );
});

test("a trip by hand while a probe runs stays, whatever the probe says", async () => {
  const { dk, clock } = tripped(single);
  clock.advance(60_000);
  const probe = openCall(dk);
  dk.trip({ reason: "maintenance" });
  await probe.resolve();
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().manual, true);
  assert.equal(dk.status().tripCount, 1);
  clock.advance(86_400_000);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
});

test("T-A-40 with no wait the next call after the trip probes, one at a time", async () => {
  const { dk } = tripped({ ...single, resetTimeoutMs: 0 });
  const probe = openCall(dk);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
  await probe.resolve();
  assert.equal(dk.state(), "closed");
});
