// How an adaptive breaker cools down and lets canaries in.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Canaries } from "../../../src/core/breaker/adaptive/canaries.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { createRig, near, record } from "./adaptive-harness.ts";
import { BOOM, WEIGHTLESS } from "./rig.ts";

test("T-B-16 the cooldown is drawn once, within ±30 %", () => {
  const seen: number[] = [];
  for (let seed = 1; seed <= 200; seed += 1) {
    const rig = createRig({}, new SeededRandom(seed)).tripByFailures();
    const waitMs = rig.retryAfterMs ?? 0;
    seen.push(waitMs);
    for (let n = 0; n < 1000; n += 1) assert.ok(rig.refuses());
    near(rig.retryAfterMs ?? 0, waitMs);
    rig.advance(waitMs - 1);
    assert.ok(rig.refuses());
    rig.advance(1);
    rig.admit();
    assert.equal(rig.state, "half-open");
  }
  assert.ok(Math.min(...seen) >= 42_000 && Math.min(...seen) < 44_000);
  assert.ok(Math.max(...seen) <= 78_000 && Math.max(...seen) > 76_000);
});

test("without chance there is no spread", () => {
  assert.equal(createRig().tripByFailures().retryAfterMs, 60_000);
});

test("T-B-25 the spread comes on top of the longest cooldown", () => {
  const rig = createRig({ cooldownMs: 1000 }, { next: () => 1 - Number.EPSILON }).tripByFailures();
  for (let n = 0; n < 9; n += 1) {
    rig.wait();
    rig.failTimes(2);
  }
  near(rig.retryAfterMs ?? 0, 32_000 * 1.3, 1e-6);
  assert.equal(rig.snapshot.backoffAttempt, 10);
});

test("the attempts end at 63", () => {
  const rig = createRig({ cooldownMs: 1, canaryCount: 1 }).tripByFailures();
  for (let n = 0; n < 80; n += 1) {
    rig.wait();
    rig.failTimes(1);
  }
  assert.equal(rig.snapshot.backoffAttempt, 63);
  assert.equal(rig.retryAfterMs, 32);
});

test("a cooldown of zero lets a canary in at once", () => {
  const rig = createRig({ cooldownMs: 0 }).tripByFailures();
  assert.equal(rig.retryAfterMs, 0);
  rig.admit();
  assert.equal(rig.state, "half-open");
});

test("T-B-18 canaries that pass end the row of failures and of cooldowns", () => {
  const rig = createRig({ cooldownMs: 1000 }).tripByFailures();
  rig.wait();
  rig.failTimes(2);
  assert.equal(rig.snapshot.backoffAttempt, 2);
  rig.wait();
  rig.okTimes(2);
  rig.failTimes(1);
  assert.equal(rig.state, "degraded");
  assert.equal(rig.machine.stats().consecutiveFailures, 0);
  assert.equal(rig.snapshot.backoffAttempt, 0);
  assert.equal(rig.machine.stats().canaryProgress, null);
  assert.equal(rig.machine.isTripped, false);
  const recovery = rig.drain().at(-1);
  assert.deepEqual(recovery, {
    type: "recovery",
    latencyMs: Number.NaN,
    actor: "system",
    reason: "2 of 3 canaries succeeded",
  });
});

test("half-open forgets the outcomes of before, and keeps the rest", () => {
  const rig = createRig({ adaptive: false });
  rig.failTimes(10, { latencyMs: 40 });
  const before = rig.machine.stats();
  rig.wait();
  rig.admit();
  const { successRate, totalAttempts, healthScore: _health, ...rest } = rig.machine.stats();
  assert.deepEqual([successRate, totalAttempts], [1, 0]);
  assert.equal(rest.consecutiveFailures, 10);
  assert.equal(rest.ewmaErrorRate, before.ewmaErrorRate);
  assert.equal(rest.avgLatencyMs, 40);
});

test("the episode is decided as soon as it cannot pass any more, and not before it has passed", () => {
  const decided = (count: number, results: string): string => {
    const canaries = new Canaries({ canaryCount: count, canaryLeaseMs: 1 });
    let verdict = "";
    for (const result of results) {
      assert.equal(verdict, "", "decided too early");
      verdict = canaries.count(result === "S") ?? "";
    }
    return verdict;
  };
  assert.equal(decided(3, "SS"), "");
  assert.equal(decided(3, "SSF"), "passed");
  assert.equal(decided(3, "FSS"), "passed");
  assert.equal(decided(3, "FF"), "failed");
  assert.equal(decided(3, "SFF"), "failed");
  assert.equal(decided(2, "F"), "failed");
  assert.equal(decided(1, "S"), "passed");
  assert.equal(decided(1, "F"), "failed");
  // 66 of 100 is exactly enough.
  assert.equal(decided(100, `${"F".repeat(34)}${"S".repeat(66)}`), "passed");
  assert.equal(decided(100, "F".repeat(35)), "failed");
});

test("a failed episode is no new trip", () => {
  const rig = createRig({ cooldownMs: 1000 }).tripByFailures();
  rig.drain();
  rig.wait();
  rig.failTimes(2);
  assert.deepEqual(rig.trips(), []);
  assert.equal(rig.snapshot.tripCount, 1);
});

test("T-B-17 slots are reserved: under way and done together are never more", () => {
  const rig = createRig();
  const first = rig.halfOpen();
  const [second, third] = [rig.admit(), rig.admit()];
  assert.ok(rig.refuses());
  assert.equal(rig.machine.refusalReason, "half_open_limit");
  rig.ok(first);
  assert.ok(rig.refuses());
  rig.ok(second);
  assert.ok(rig.refuses());
  rig.ok(third);
  assert.equal(rig.state, "degraded");
});

test("a canary that is ignored gives its slot back, and so does one whose failure has no weight", () => {
  const rig = createRig();
  const first = rig.halfOpen();
  const second = rig.admit();
  rig.admit();
  assert.ok(rig.refuses());
  rig.ignore(first);
  rig.admit();
  assert.ok(rig.refuses());
  assert.equal(rig.machine.settleFailed(second, WEIGHTLESS, 5, rig.at), true);
  rig.admit();
  assert.ok(rig.refuses());
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.ok(first), false);
});

test("T-B-20 a lease that is over frees the slot for the next, and until then its result counts", () => {
  const rig = createRig({ canaryLeaseMs: 500 });
  const lost = rig.halfOpen();
  rig.advance(100);
  const slow = rig.admit();
  rig.admit();
  rig.advance(399);
  assert.ok(rig.refuses());
  assert.equal(rig.retryAfterMs, 1);
  assert.equal(rig.machine.wouldAdmit(rig.nowMs), false);
  rig.advance(1);
  assert.equal(rig.machine.wouldAdmit(rig.nowMs), true);
  rig.admit();
  assert.equal(rig.ok(lost), false);
  rig.advance(1000);
  // Its lease is over, but nobody has taken its slot.
  assert.equal(rig.ok(slow), true);
  assert.deepEqual(rig.machine.stats().canaryProgress, [1, 1]);
});

test("counts the canaries under way whose lease is not over", () => {
  const rig = createRig({ canaryLeaseMs: 500 });
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 0);
  const first = rig.halfOpen();
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.advance(200);
  rig.admit();
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 2);
  rig.advance(300);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.ok(first);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 1);
  rig.advance(200);
  assert.equal(rig.machine.canariesUnderWay(rig.nowMs), 0);
});

test("T-B-21 what was admitted before the cooldown is no canary, whatever its number", () => {
  const rig = createRig();
  const early = Array.from({ length: 4 }, () => rig.admit());
  const canary = rig.halfOpen();
  for (const ticket of early) assert.equal(rig.ok(ticket), false);
  for (const ticket of early) assert.equal(rig.fail(ticket), false);
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.ok(canary), true);
  assert.equal(rig.ok(canary), false);
});

test("a canary's result after its episode is late", () => {
  const rig = createRig({ cooldownMs: 1000 });
  const canary = rig.halfOpen();
  rig.failTimes(2);
  assert.equal(rig.state, "cooling-down");
  rig.wait();
  rig.admit();
  assert.equal(rig.state, "half-open");
  assert.equal(rig.ok(canary), false);
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
});

test("direct evidence is counted while tripped, and decides nothing", () => {
  const rig = createRig();
  rig.halfOpen();
  record(rig, "FFFFF");
  record(rig, "SSSSS");
  assert.equal(rig.state, "half-open");
  assert.deepEqual(rig.machine.stats().canaryProgress, [0, 0]);
  assert.equal(rig.machine.stats().totalAttempts, 10);
});

test("more canaries than can be numbered begin a new epoch", () => {
  const rig = createRig({ canaryCount: 1 });
  rig.ignore(rig.halfOpen());
  const { epoch } = rig.machine;
  for (let n = 2; n < 2 ** 20; n += 1) rig.ignore(rig.tryAdmit());
  assert.equal(rig.machine.epoch, epoch);
  const ticket = rig.admit();
  assert.equal(rig.machine.epoch, epoch + 1);
  assert.equal(rig.state, "half-open");
  assert.equal(rig.ok(ticket), true);
  assert.equal(rig.state, "degraded");
});

test("a Retry-After lengthens the cooldown, up to its cap", () => {
  const asked = (retryAfterMs: number | undefined): number | undefined => {
    const rig = createRig({ cooldownMs: 1000 });
    rig.failTimes(9);
    rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs });
    return rig.retryAfterMs;
  };
  assert.equal(asked(undefined), 1000);
  assert.equal(asked(500), 1000);
  assert.equal(asked(5000), 5000);
  assert.equal(asked(1e9), 32_000);
  assert.equal(asked(Number.NaN), 1000);
  assert.equal(asked(-5), 1000);
});

test("a Retry-After of an earlier failure holds from when it was asked, for this epoch only", () => {
  const rig = createRig({ cooldownMs: 1000 });
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 8000 });
  rig.advance(3000);
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 1000 });
  rig.failTimes(8);
  assert.equal(rig.retryAfterMs, 5000);
  rig.wait();
  rig.failTimes(2);
  assert.equal(rig.retryAfterMs, 2000);
  // A reset, too, forgets what was asked for before it.
  const soon = createRig({ cooldownMs: 1000 });
  soon.failTimes(9);
  soon.fail(soon.admit(), { latencyMs: 5, retryAfterMs: 30_000 });
  soon.reset();
  soon.failTimes(10);
  assert.equal(soon.retryAfterMs, 1000);
  rig.wait();
  rig.failTimes(1);
  rig.fail(rig.admit(), { latencyMs: 5, retryAfterMs: 9000 });
  assert.equal(rig.retryAfterMs, 9000);
});

test("direct failures after a trip are counted, and trip nothing", () => {
  const rig = createRig({ adaptive: false });
  rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.machine.stats().consecutiveFailures, 1);
  rig.failTimes(9);
  assert.equal(rig.state, "cooling-down");
  record(rig, "F");
  assert.equal(rig.machine.stats().consecutiveFailures, 11);
  assert.equal(rig.trips().length, 1);
});
