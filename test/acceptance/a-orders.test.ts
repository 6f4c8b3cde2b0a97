// Specification 9.A, what people do: trip, reset, modes, status.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ResetDeniedError } from "../../src/index.ts";
import { failTimes, makeGear, openCall } from "../support/gear.ts";

test("T-A-41 a reset inside the cooldown throws at once and changes nothing", () => {
  const { gear, clock } = makeGear();
  const fanduel = gear.upstream("fanduel");
  fanduel.trip({ reason: "down", actor: "ann" });
  clock.advance(10_000);
  const before = fanduel.status();
  assert.throws(
    () => fanduel.reset({ reason: "back", actor: "bob" }),
    (error: unknown) => {
      assert.ok(error instanceof ResetDeniedError);
      assert.equal(error.code, "SG_RESET_DENIED");
      assert.match(error.message, /^Reset denied: fanduel tripped <60s ago/);
      assert.equal(error.remainingMs, 50_000);
      return true;
    },
  );
  assert.deepEqual(fanduel.status(), before);
  assert.equal(fanduel.counters.resets, 0);
  assert.equal(fanduel.counters.resetsDenied, 1);
  assert.deepEqual(
    gear
      .history({ upstream: "fanduel" })
      .map(({ action, actor, reason }) => ({ action, actor, reason })),
    [
      { action: "RESET_DENIED", actor: "bob", reason: "back" },
      { action: "TRIP", actor: "ann", reason: "down" },
    ],
  );
});

test("T-A-42 exactly at the end of the cooldown it is allowed, a millisecond before it is not", () => {
  for (const cooldownMs of [60_000, 30_000]) {
    const { dk, clock } = makeGear({ breaker: { cooldownMs } });
    failTimes(dk, 10);
    clock.advance(cooldownMs - 1);
    assert.throws(() => dk.reset(), { message: new RegExp(`<${cooldownMs / 1000}s`) });
    clock.advance(1);
    dk.reset();
    assert.equal(dk.isTripped, false);
  }
});

test("T-A-43 force works inside the cooldown, and only true is force", () => {
  const { gear, dk, sink } = makeGear();
  failTimes(dk, 10);
  assert.throws(() => dk.reset({ force: "yes" as unknown as boolean }), ResetDeniedError);
  assert.throws(() => dk.reset({ force: 1 as unknown as boolean }), ResetDeniedError);
  dk.reset({ reason: "emergency", actor: "ann", force: true });
  assert.equal(dk.isTripped, false);
  const [entry] = gear.history();
  assert.deepEqual(
    { ...entry, at: 0 },
    { upstream: "dk", action: "RESET", reason: "emergency", actor: "ann", at: 0, forced: true },
  );
  assert.equal(sink.of("reset")[0]?.forced, true);
});

test("T-A-44 after a reset the status tells who and why, and keeps what is history", () => {
  const { dk, clock } = makeGear();
  dk.record({ outcome: "ok", latencyMs: 40 });
  failTimes(dk, 10);
  clock.advance(60_000);
  dk.reset({ reason: "fixed", actor: "ann" });
  const status = dk.status();
  assert.equal(status.lastResetAt, clock.now());
  assert.equal(status.lastResetBy, "ann");
  assert.equal(status.lastResetReason, "fixed");
  assert.equal(status.tripCount, 1);
  assert.equal(status.avgLatencyMs, 40);
  assert.equal(status.trippedAt, null);
  assert.equal(status.trippedUntil, null);
  assert.equal(status.failureCount, 0);
});

test("T-A-45 a denial is caught by try and by await alike", async () => {
  const { dk } = makeGear();
  dk.trip();
  const caught: string[] = [];
  try {
    dk.reset();
  } catch {
    caught.push("try");
  }
  try {
    // The REST route awaits a function that returns nothing.
    // oxlint-disable-next-line typescript/await-thenable
    await dk.reset();
  } catch {
    caught.push("await");
  }
  assert.deepEqual(caught, ["try", "await"]);
});

test("T-A-46 a trip by hand latches, tells its reason, and counts once", () => {
  const { gear, clock } = makeGear();
  const fresh = gear.upstream("fresh");
  fresh.trip({ reason: "maintenance", actor: "ann" });
  const status = fresh.status();
  assert.equal(status.tripped, true);
  assert.equal(status.manual, true);
  assert.equal(status.lastError, "maintenance");
  assert.equal(status.failureCount, 0);
  assert.equal(status.trippedUntil, null);
  assert.equal(status.lastFailureAt, clock.now());
  fresh.trip({ reason: "longer", actor: "bob" });
  assert.equal(fresh.status().tripCount, 1);
  assert.equal(fresh.counters.trips, 1);
  assert.equal(gear.history({ upstream: "fresh" }).length, 2);
});

test("a trip by hand over an automatic one converts it and restarts the cooldown", () => {
  const { dk, clock } = makeGear();
  failTimes(dk, 10);
  const { lastFailureAt } = dk.status();
  clock.advance(50_000);
  dk.trip({ reason: "stay" });
  assert.equal(dk.status().manual, true);
  assert.equal(dk.status().tripCount, 1);
  assert.equal(dk.status().lastFailureAt, lastFailureAt);
  clock.advance(59_999);
  assert.throws(() => dk.reset(), ResetDeniedError);
  clock.advance(1);
  dk.reset();
});

test("while tripped, further failures change the last words only", () => {
  const { dk, clock } = makeGear();
  failTimes(dk, 10, "first");
  const before = dk.status();
  clock.advance(1000);
  failTimes(dk, 5, "later");
  assert.deepEqual(
    { ...dk.status(), cooldownRemainingMs: 0 },
    { ...before, lastError: "later", cooldownRemainingMs: 0 },
  );
});

test("T-A-47 an unknown name is not created by asking for it", () => {
  const { gear } = makeGear();
  assert.equal(gear.find("nobody"), undefined);
  assert.deepEqual(
    gear.statuses().map(({ upstream }) => upstream),
    ["dk", "fd"],
  );
});

test("T-A-48 hostile reasons and actors are kept as text, and bounded", () => {
  const { gear, dk } = makeGear();
  const reason = `'); DROP TABLE circuit_breaker_state; --\n"x"`;
  dk.trip({ reason, actor: `ann"\n'` });
  dk.reset({ reason: "x".repeat(1_000_000), force: true });
  const [reset, trip] = gear.history();
  assert.equal(trip?.reason, reason);
  assert.equal(trip?.actor, `ann"\n'`);
  assert.equal(reset?.reason.length, 1024);
});

test("a missing or empty reason and actor get the defaults", () => {
  const { gear, dk } = makeGear();
  dk.trip({ reason: "", actor: undefined });
  dk.reset({ force: true, reason: 7 as unknown as string });
  assert.deepEqual(
    gear.history().map(({ reason, actor }) => `${reason} by ${actor}`),
    ["Manual reset by system", "Manual trip by system"],
  );
});

test("T-A-50 every absent value is null, so that JSON keeps its key", () => {
  const { dk } = makeGear();
  const status = dk.status();
  for (const [key, value] of Object.entries(status)) assert.notEqual(value, undefined, key);
  assert.equal(status.lastError, null);
  assert.equal(status.avgLatencyMs, null);
  assert.equal(status.lastResetAt, null);
});

test("T-A-51 changing a status changes nothing else", () => {
  const { dk } = makeGear();
  const status = dk.status() as { tripped: boolean; failureCount: number };
  status.tripped = true;
  status.failureCount = 99;
  assert.equal(dk.status().tripped, false);
  assert.equal(dk.status().failureCount, 0);
});

test("T-A-59 a wall clock set back does not lengthen the cooldown", () => {
  const { dk, clock } = makeGear();
  failTimes(dk, 10);
  clock.jumpWall(-3_600_000);
  assert.equal(dk.status().cooldownRemainingMs, 60_000);
  clock.advance(60_000);
  assert.equal(dk.status().cooldownRemainingMs, 0);
  dk.reset();
});

test("T-A-59 a wall clock set forward leaves nothing to wait for, and nothing negative", () => {
  const { dk, clock } = makeGear();
  failTimes(dk, 10);
  clock.jumpWall(3_600_000);
  assert.equal(dk.status().cooldownRemainingMs, 0);
  dk.reset();
});

test("shadow mode reports what it would refuse, and refuses nothing", async () => {
  const { gear, dk, sink } = makeGear();
  dk.setMode({ mode: "shadow", reason: "trial", actor: "ann" });
  failTimes(dk, 10);
  assert.equal(dk.isTripped, true);
  assert.equal(await dk.execute(() => 1, { operation: "odds" }), 1);
  assert.equal([...dk.operations][0]?.shadowRefused, 1);
  assert.equal([...dk.operations][0]?.refused, undefined);
  assert.equal(sink.of("refused")[0]?.shadow, true);
  // What such a call brought back is no evidence: the breaker would never have seen it.
  await assert.rejects(dk.execute(() => Promise.reject(new Error("x"))));
  assert.equal(dk.status().failureCount, 10);
  assert.equal(dk.counters.lateFailed, 0);
  assert.deepEqual(gear.history().at(-1)?.action, "SHADOW");
  dk.setMode({ mode: "normal" });
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
});

test("forced-closed admits everything and feeds the breaker nothing", async () => {
  const { gear, dk, sink } = makeGear();
  dk.trip({ reason: "x" });
  dk.setMode({ mode: "forced-closed", reason: "false alarm", actor: "ann" });
  assert.equal(await dk.execute(() => 1), 1);
  for (let n = 0; n < 20; n += 1) {
    await assert.rejects(dk.execute(() => Promise.reject(new Error("x"))));
  }
  assert.equal(dk.status().failureCount, 0);
  assert.equal(dk.status().lastError, "x");
  assert.equal(gear.history()[0]?.action, "FORCE_CLOSED");
  assert.deepEqual(
    sink.of("mode").map(({ from, to, actor }) => ({ from, to, actor })),
    [{ from: "normal", to: "forced-closed", actor: "ann" }],
  );
});

test("a result admitted before forced-closed still counts in its own time", async () => {
  const { dk } = makeGear();
  const call = openCall(dk);
  dk.setMode({ mode: "forced-closed" });
  await call.reject(new Error("x"));
  assert.equal(dk.status().failureCount, 1);
});

test("reading changes nothing", () => {
  const { dk, clock } = makeGear({ breaker: { recovery: "single-probe" } });
  failTimes(dk, 10);
  clock.advance(600_000);
  for (let n = 0; n < 100; n += 1) {
    dk.status();
    dk.snapshot();
    assert.equal(dk.state(), "open");
  }
});
