// What of the machine shows only in its snapshots and events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LatchingMachine } from "../../../src/core/breaker/latching/machine.ts";
import {
  latchingSettings,
  type LatchingOptions,
} from "../../../src/core/breaker/latching/options.ts";
import { REFUSED, type Instant } from "../../../src/core/breaker/machine.ts";
import { PRISTINE_LATCHING, type LatchingSnapshot } from "../../../src/core/breaker/snapshot.ts";

const WALL_MS = 1_800_000_000_000;
const at = (nowMs: number): Instant => ({ nowMs, wallMs: WALL_MS + nowMs });
const failure = { weightThousandths: 1000, message: "boom" };

function machine(options: LatchingOptions = {}): LatchingMachine {
  return new LatchingMachine(latchingSettings(options));
}

function tripped(options: LatchingOptions = {}): LatchingMachine {
  const made = machine({ failureThreshold: 1, ...options });
  made.record("failed", failure, Number.NaN, at(0));
  assert.equal(made.isTripped, true);
  return made;
}

test("the epoch counts transitions and resets, one by one", () => {
  const made = machine({ recovery: "single-probe", failureThreshold: 1, resetTimeoutMs: 10 });
  assert.equal(made.epoch, 0);
  made.settleFailed(made.admit(0), failure, 1, at(0));
  assert.equal(made.epoch, 1);
  const probe = made.admit(10);
  assert.equal(made.epoch, 2);
  made.settleOk(probe, 1, 11);
  assert.equal(made.epoch, 3);
  made.reset({ reason: "r", actor: "a", force: false }, at(12));
  assert.equal(made.epoch, 4);
});

test("a snapshot dates the last success and the last failure", () => {
  const made = machine();
  assert.equal(made.snapshot(at(5)).lastSuccessAt, null);
  made.settleOk(made.admit(0), 1, 100);
  made.settleFailed(made.admit(0), failure, 1, at(200));
  const { lastSuccessAt, lastFailureAt } = made.snapshot(at(5000));
  assert.equal(lastSuccessAt, WALL_MS + 100);
  assert.equal(lastFailureAt, WALL_MS + 200);
});

test("everything in a snapshot comes back from a restore", () => {
  const snapshot: LatchingSnapshot = {
    version: 1,
    kind: "latching",
    failureCount: 3.5,
    tripped: false,
    manual: false,
    tripCount: 7,
    trippedAt: null,
    trippedUntil: null,
    lastError: "words",
    lastFailureAt: WALL_MS - 10,
    lastSuccessAt: WALL_MS - 20,
    avgLatencyMs: 12.5,
    lastResetAt: WALL_MS - 30,
    lastResetBy: "ann",
    lastResetReason: "fixed",
  };
  const made = machine();
  made.restore(snapshot, at(0));
  assert.deepEqual(made.snapshot(at(0)), snapshot);
  assert.deepEqual(made.snapshot(at(400)), snapshot);

  const open = { ...snapshot, tripped: true, trippedAt: WALL_MS - 40, trippedUntil: WALL_MS + 500 };
  const probing = machine({ recovery: "single-probe" });
  probing.restore(open, at(0));
  assert.deepEqual(probing.snapshot(at(0)), open);

  const manual = { ...open, manual: true, trippedUntil: null };
  const held = machine({ recovery: "single-probe" });
  held.restore(manual, at(0));
  assert.deepEqual(held.snapshot(at(0)), manual);
  assert.equal(held.admit(1e12), REFUSED);
});

test("a restored breaker that nothing happened to is like a new one", () => {
  const made = machine();
  made.restore(PRISTINE_LATCHING, at(0));
  assert.deepEqual(made.snapshot(at(0)), PRISTINE_LATCHING);
  assert.equal(made.cooldownRemainingMs(at(0)), 0);
});

test("restoring a closed state ends a trip by hand, and one that may be probed", () => {
  for (const options of [{}, { recovery: "single-probe" }] as const) {
    const made = tripped(options);
    made.trip({ reason: "x", actor: "a" }, at(0));
    made.restore(PRISTINE_LATCHING, at(1));
    assert.equal(made.isTripped, false);
    const snapshot = made.snapshot(at(1));
    assert.deepEqual(
      [snapshot.manual, snapshot.trippedAt, snapshot.trippedUntil],
      [false, null, null],
    );
    assert.ok(made.admit(1) >= 0);
  }
});

test("a stored success of the future is one of now", () => {
  const made = machine();
  made.restore({ ...PRISTINE_LATCHING, lastSuccessAt: WALL_MS + 1e9 }, at(0));
  assert.equal(made.snapshot(at(0)).lastSuccessAt, WALL_MS);
});

test("a stored reset that nobody signed is the system's", () => {
  const made = machine();
  made.restore({ ...PRISTINE_LATCHING, lastResetAt: WALL_MS - 1 }, at(0));
  const { lastResetAt, lastResetBy, lastResetReason } = made.snapshot(at(0));
  assert.deepEqual([lastResetAt, lastResetBy, lastResetReason], [WALL_MS - 1, "system", ""]);
});

test("a trip that was stored without its due date is probed one wait after the trip", () => {
  const made = machine({ recovery: "single-probe", resetTimeoutMs: 60_000 });
  made.restore(
    { ...PRISTINE_LATCHING, tripped: true, trippedAt: WALL_MS - 30_000, trippedUntil: null },
    at(0),
  );
  assert.equal(made.admit(29_999), REFUSED);
  assert.ok(made.admit(30_000) >= 0);
});

test("a stored due date never makes the wait longer than a fresh trip's", () => {
  const made = machine({ recovery: "single-probe", resetTimeoutMs: 60_000 });
  made.restore(
    { ...PRISTINE_LATCHING, tripped: true, trippedAt: WALL_MS, trippedUntil: WALL_MS + 1e9 },
    at(0),
  );
  assert.equal(made.refusal(at(0)).retryAfterMs, 60_000);
});

test("an automatic trip tells when a probe would be due, under manual recovery too", () => {
  const made = tripped({ resetTimeoutMs: 30_000 });
  assert.equal(made.snapshot(at(5)).trippedUntil, WALL_MS + 30_000);
  assert.equal(made.admit(1e12), REFUSED);
});

test("a refusal tells when the breaker tripped, over what, and by whom", () => {
  const auto = tripped();
  const { trippedAt, lastError, manual } = auto.refusal(at(50));
  assert.deepEqual([trippedAt, lastError, manual], [WALL_MS, "boom", false]);
  auto.trip({ reason: "maintenance", actor: "ann" }, at(60));
  const byHand = auto.refusal(at(70));
  assert.deepEqual(
    [byHand.trippedAt, byHand.lastError, byHand.manual],
    [WALL_MS + 60, "maintenance", true],
  );
});

test("a trip says whether a person did it, and whether it is new", () => {
  const made = tripped();
  made.trip({ reason: "stay", actor: "ann" }, at(1));
  const trips = made.events.filter((event) => event.type === "trip");
  assert.deepEqual(
    trips.map(({ manual, isNewTrip, actor, lastError }) => ({
      manual,
      isNewTrip,
      actor,
      lastError,
    })),
    [
      { manual: false, isNewTrip: true, actor: "system", lastError: "boom" },
      { manual: true, isNewTrip: false, actor: "ann", lastError: "stay" },
    ],
  );
});

test("ignored evidence is none", () => {
  const made = machine({ failureThreshold: 1 });
  made.record("ignored", undefined, 5, at(0));
  assert.deepEqual(made.snapshot(at(0)), PRISTINE_LATCHING);
});

test("whether admitting needs the time is known without it", () => {
  assert.equal(machine().admitNeedsTime, false);
  assert.equal(tripped().admitNeedsTime, false);
  const probing = tripped({ recovery: "single-probe" });
  assert.equal(probing.admitNeedsTime, true);
  probing.trip({ reason: "x", actor: "a" }, at(0));
  assert.equal(probing.admitNeedsTime, false);
});

test("an option given as undefined means its default", () => {
  const given = latchingSettings({
    failureThreshold: undefined,
    timeoutWeight: undefined,
  } as object);
  assert.deepEqual(given, latchingSettings({}));
});
