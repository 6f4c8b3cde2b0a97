// Specification 9.A, concurrency and late results: a verdict only counts in the world it came from.

import assert from "node:assert/strict";
import { test } from "node:test";
import { failTimes, makeGear, openCall } from "../support/gear.ts";

const boom = new Error("boom");

test("T-A-28 a hundred calls in flight that all fail trip once", async () => {
  const { gear, dk } = makeGear();
  const calls = Array.from({ length: 100 }, () => openCall(dk));
  assert.equal(dk.inFlight, 100);
  await Promise.all(calls.map((call) => call.reject(boom)));
  assert.equal(dk.inFlight, 0);
  assert.equal(dk.status().tripCount, 1);
  assert.equal(dk.status().failureCount, 10);
  assert.equal(dk.counters.trips, 1);
  assert.equal(dk.counters.lateFailed, 90);
  assert.equal(gear.history().length, 1);
});

test("T-A-29 a success that was admitted before the trip does not close it", async () => {
  const { dk } = makeGear();
  const straggler = openCall(dk);
  failTimes(dk, 10);
  await straggler.resolve("odds");
  assert.equal(await straggler.promise, "odds");
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().failureCount, 10);
  assert.equal(dk.status().avgLatencyMs, null);
  assert.equal(dk.counters.lateOk, 1);
});

test("T-A-30 stragglers that fail after the trip do not extend the cooldown", async () => {
  const { dk, clock } = makeGear();
  const stragglers = Array.from({ length: 50 }, () => openCall(dk));
  failTimes(dk, 10);
  const { trippedAt, trippedUntil } = dk.status();
  for (const straggler of stragglers) {
    clock.advance(800);
    await straggler.reject(new Error("late words"));
  }
  assert.equal(dk.status().trippedAt, trippedAt);
  assert.equal(dk.status().trippedUntil, trippedUntil);
  assert.equal(dk.status().lastError, "late words");
  assert.equal(dk.counters.lateFailed, 50);
  clock.advance(60_000 - 40_000);
  dk.reset({ reason: "over" });
  assert.equal(dk.isTripped, false);
});

test("a straggler's words do not replace the reason of a trip by hand", async () => {
  const { dk } = makeGear();
  const straggler = openCall(dk);
  dk.trip({ reason: "maintenance" });
  await straggler.reject(boom);
  assert.equal(dk.status().lastError, "maintenance");
  dk.record({ outcome: "failed", error: "direct" });
  assert.equal(dk.status().lastError, "maintenance");
});

test("T-A-31 stragglers of the time before a reset do not count after it", async () => {
  const { dk } = makeGear();
  const stragglers = Array.from({ length: 5 }, () => openCall(dk));
  failTimes(dk, 10);
  dk.reset({ force: true });
  await Promise.all(stragglers.map((straggler) => straggler.reject(boom)));
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.status().lastError, "boom");
  assert.equal(dk.counters.lateFailed, 5);
});

test("T-A-31 a reset of a closed breaker starts a new time as well", async () => {
  const { dk } = makeGear();
  const straggler = openCall(dk);
  dk.reset({});
  await straggler.reject(new Error("old"));
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.status().lastError, null);
});

test("T-A-32 upstreams do not touch each other", async () => {
  const { gear, dk } = makeGear();
  const fd = gear.upstream("fd");
  for (let n = 0; n < 10; n += 1) {
    await assert.rejects(dk.execute(() => Promise.reject(boom)));
    await fd.execute(() => 1);
  }
  assert.equal(dk.isTripped, true);
  assert.equal(fd.isTripped, false);
  assert.equal(fd.status().failureCount, 0);
});

test("T-A-33 two operators who reset at once both succeed, and both are audited", () => {
  const { gear, dk, clock } = makeGear();
  failTimes(dk, 10);
  clock.advance(60_000);
  dk.reset({ actor: "ann" });
  dk.reset({ actor: "bob" });
  assert.equal(dk.isTripped, false);
  assert.equal(dk.counters.resets, 2);
  assert.deepEqual(
    gear.history().map(({ action, actor }) => `${action} ${actor}`),
    ["RESET bob", "RESET ann", "TRIP system"],
  );
});

test("an admission settles once, whatever its holder does", () => {
  const { dk } = makeGear();
  const admission = dk.tryAcquire();
  assert.ok(admission.admitted);
  admission.settle({ outcome: "failed" });
  admission.settle({ outcome: "failed" });
  admission.settle({ outcome: "ok" });
  assert.equal(dk.status().failureCount, 1);
  assert.equal(dk.inFlight, 0);
});

test("a listener that calls back in sees the final state and breaks nothing", () => {
  const { gear, dk } = makeGear();
  const seen: string[] = [];
  dk.on("trip", () => {
    seen.push(`trip ${dk.state()} ${gear.history().length}`);
    dk.reset({ force: true, reason: "from the listener" });
  });
  dk.on("reset", () => seen.push(`reset ${dk.state()}`));
  failTimes(dk, 10);
  assert.deepEqual(seen, ["trip open 1", "reset closed"]);
  assert.equal(dk.isTripped, false);
});
