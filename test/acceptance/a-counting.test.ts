// Specification 9.A, basics: what is counted, and when it trips.

import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidOptionsError, latching } from "../../src/index.ts";
import { failTimes, makeGear, timeOut } from "../support/gear.ts";

test("T-A-02 nine failures do not trip, the tenth does, once", () => {
  const { gear, dk, sink } = makeGear();

  failTimes(dk, 9);
  assert.equal(dk.isTripped, false);
  assert.equal(dk.status().failureCount, 9);
  assert.equal(sink.of("trip").length, 0);

  failTimes(dk, 1);
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().failureCount, 10);
  assert.equal(dk.status().tripCount, 1);
  assert.equal(dk.counters.trips, 1);
  assert.deepEqual(
    gear.history({ upstream: "dk" }).map(({ action, actor }) => ({ action, actor })),
    [{ action: "TRIP", actor: "system" }],
  );
});

test("T-A-03 the configured threshold counts, and the status tells it", () => {
  const { dk } = makeGear({
    breaker: { failureThreshold: 5, resetTimeoutMs: 30_000, cooldownMs: 30_000 },
  });

  failTimes(dk, 4);
  assert.equal(dk.isTripped, false);
  failTimes(dk, 1);
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().failureThreshold, 5);
});

test("T-A-04 a timeout weighs half: nineteen do not trip, twenty do", () => {
  const { dk } = makeGear();

  timeOut(dk, 1);
  assert.equal(dk.status().failureCount, 0.5);
  timeOut(dk, 1);
  assert.equal(dk.status().failureCount, 1);
  timeOut(dk, 17);
  assert.equal(dk.isTripped, false);
  timeOut(dk, 1);
  assert.equal(dk.isTripped, true);
});

test("T-A-05 five failures and ten timeouts trip on the last of them, in any order", () => {
  const orders = ["ffffftttttttttt", "ttttttttttfffff", "ftftftftftttttt"];
  for (const order of orders) {
    const { dk } = makeGear();
    const kinds = [...order];
    assert.equal(kinds.filter((kind) => kind === "f").length, 5);
    for (const kind of kinds.slice(0, -1)) (kind === "f" ? failTimes : timeOut)(dk, 1);
    assert.equal(dk.isTripped, false, order);
    (kinds.at(-1) === "f" ? failTimes : timeOut)(dk, 1);
    assert.equal(dk.isTripped, true, order);
  }
});

test("T-A-05 five failures and nine timeouts, 9.5, do not trip", () => {
  const { dk } = makeGear();
  failTimes(dk, 5);
  timeOut(dk, 9);
  assert.equal(dk.status().failureCount, 9.5);
  assert.equal(dk.isTripped, false);
});

test("T-A-06 a hundred timeouts of 0.1 trip on exactly the hundredth", () => {
  const { dk } = makeGear({ breaker: { timeoutWeight: 0.1 } });
  timeOut(dk, 99);
  assert.equal(dk.isTripped, false);
  timeOut(dk, 1);
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().failureCount, 10);
});

test("T-A-07 a success takes the count back to zero", () => {
  const { dk } = makeGear();
  failTimes(dk, 9);
  dk.record({ outcome: "ok", latencyMs: 5 });
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.isTripped, false);
  failTimes(dk, 9);
  assert.equal(dk.isTripped, false);
});

test("T-A-08 a direct success on a tripped breaker zeroes the count and leaves it tripped", () => {
  const { dk } = makeGear();
  failTimes(dk, 3);
  dk.trip({ reason: "x" });
  dk.record({ outcome: "ok", latencyMs: 150 });
  const { failureCount, avgLatencyMs, tripped } = dk.status();
  assert.deepEqual(
    { failureCount, avgLatencyMs, tripped },
    { failureCount: 0, avgLatencyMs: 150, tripped: true },
  );
});

test("T-A-09 the first latency sets the average, later ones move it by a fifth", () => {
  const { dk } = makeGear();
  dk.record({ outcome: "ok", latencyMs: 150 });
  assert.equal(dk.status().avgLatencyMs, 150);
  dk.record({ outcome: "ok", latencyMs: 250 });
  assert.equal(dk.status().avgLatencyMs, 170);
});

test("T-A-10 a latency that is none is dropped and counted; the outcome stands", () => {
  const { dk } = makeGear();
  dk.record({ outcome: "ok", latencyMs: 150 });
  for (const latencyMs of [Number.NaN, -5, Number.POSITIVE_INFINITY]) {
    failTimes(dk, 1);
    dk.record({ outcome: "ok", latencyMs });
    assert.equal(dk.status().failureCount, 0);
  }
  failTimes(dk, 1);
  dk.record({ outcome: "ok" });
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.status().avgLatencyMs, 150);
  assert.equal(dk.counters.invalidSamples, 3);
});

test("T-A-10 the same holds for the latency that an adapter settles with", () => {
  const { dk } = makeGear();
  const admission = dk.tryAcquire();
  assert.ok(admission.admitted);
  admission.settle({ outcome: "ok", latencyMs: Number.NaN });
  assert.equal(dk.status().avgLatencyMs, null);
  assert.equal(dk.counters.invalidSamples, 1);
  assert.equal([...dk.operations][0]?.okDurations.count, 0);
  assert.equal([...dk.operations][0]?.ok, 1);
});

test("options out of range are all named in one error", () => {
  assert.throws(
    () =>
      latching({
        failureThreshold: 0,
        cooldownMs: Number.NaN,
        recovery: "auto" as "manual",
        probeLeaseMs: 0,
        resetTimeoutMs: -1,
        treshold: 3,
      } as object),
    (error: unknown) => {
      assert.ok(error instanceof InvalidOptionsError);
      assert.ok(error instanceof RangeError);
      assert.equal(error.code, "SG_OPTIONS_INVALID");
      assert.deepEqual(error.faults, [
        "failureThreshold must be a finite number above 0 and at most 1000000, not 0",
        "cooldownMs must be a finite number at least 0, not NaN",
        'recovery must be one of manual, single-probe, not "auto"',
        "probeLeaseMs must be a finite number above 0, not 0",
        "resetTimeoutMs must be a finite number at least 0, not -1",
        "treshold is not an option (failureThreshold, failureWeight, timeoutWeight, cooldownMs, resetTimeoutMs, recovery, probeLeaseMs)",
      ]);
      return true;
    },
  );
});

test("a threshold, a weight of zero and a zero cooldown at their edges are fine", () => {
  latching({ failureThreshold: 0.001, timeoutWeight: 0, cooldownMs: 0, resetTimeoutMs: 0 });
});
