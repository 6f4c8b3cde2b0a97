// How the sliding-window breaker comes back: the probes of a half-open episode, then the ramp.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LEASES_MAX } from "../../../src/core/breaker/leases.ts";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { BOOM } from "./rig.ts";
import { createRig, metricsOf, recover, type SlidingWindowRig } from "./sliding-window-harness.ts";

// --- half-open ---

test("probes that come to no verdict until the deadline open it again", () => {
  const rig = createRig({ halfOpenDeadlineMs: 20_000, openDurationFactor: 2 });
  const probe = rig.halfOpen();
  rig.drain();
  rig.advance(19_999);
  rig.admit();
  assert.equal(rig.state, "half-open");
  rig.advance(1);
  assert.equal(rig.refuses(), true);
  assert.equal(rig.state, "open");
  assert.deepEqual(rig.causes(), ["half_open_expired"]);
  assert.equal(rig.retryAfterMs, 30_000);
  assert.equal(rig.ok(probe), false);
});

test("the wait after a deadline counts from the deadline, whenever it is noticed", () => {
  const rig = createRig({ halfOpenDeadlineMs: 20_000 });
  rig.halfOpen();
  rig.drain();
  rig.advance(34_999);
  assert.equal(rig.refuses(), true);
  assert.equal(metricsOf(rig).timeInCurrentState, 14.999);
  rig.advance(1);
  rig.admit();
  assert.deepEqual(rig.causes(), ["half_open_expired", "probe_due"]);
});

test("a verdict in time leaves no deadline behind", () => {
  const rig = createRig({ halfOpenDeadlineMs: 20_000 });
  rig.halfOpen();
  rig.reset();
  rig.advance(20_000);
  rig.tripByFailures();
  rig.advance(14_999);
  assert.equal(rig.refuses(), true);
});

test("a success keeps its slot until the episode ends", () => {
  const rig = createRig({ halfOpenMaxProbes: 2 });
  const [first, second] = [rig.halfOpen(), rig.admit()];
  rig.ok(first);
  assert.equal(rig.refuses(), true);
  rig.ignore(second);
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
});

test("one verdict per probe", () => {
  const rig = createRig();
  const probe = rig.halfOpen();
  assert.equal(rig.ok(probe), true);
  assert.equal(rig.ok(probe), false);
  assert.equal(rig.fail(probe), false);
  assert.equal(rig.state, "half-open");
});

/** Half-open, with every number of the episode given out; the newest tickets last. */
function exhausted(): { rig: SlidingWindowRig; tickets: Ticket[] } {
  const rig = createRig();
  let tickets = [rig.halfOpen()];
  for (let n = 1; n < LEASES_MAX; n += 1) {
    rig.machine.settleIgnored(tickets.at(-1) ?? REFUSED, rig.nowMs);
    tickets = [...tickets.slice(-2), rig.machine.admit(rig.nowMs)];
  }
  assert.equal(rig.state, "half-open");
  rig.drain();
  return { rig, tickets };
}

test("an episode that runs out of numbers ends without a verdict", () => {
  const { rig, tickets } = exhausted();
  assert.equal(rig.machine.epoch, Math.floor((tickets[0] ?? 0) / (LEASES_MAX + 1)));
  assert.equal(rig.refuses(), true);
  assert.deepEqual(rig.causes(), ["half_open_expired"]);
  for (const ticket of tickets) assert.equal(rig.ok(ticket), false);
});

test("no ticket of one era is good in the next, and all are safe integers", () => {
  const { rig, tickets } = exhausted();
  rig.reset();
  const next = rig.admit();
  for (const ticket of tickets) assert.ok(ticket < next);
  for (const ticket of tickets) assert.equal(rig.ok(ticket), false);
  // 2^33 eras of 2^20 numbers each.
  assert.ok(Number.isSafeInteger(2 ** 33 * (LEASES_MAX + 1) - 1));
});

test("a direct result is never a probe's", () => {
  const rig = createRig();
  rig.halfOpen();
  rig.machine.record("ok", undefined, 5, rig.at);
  rig.machine.record("ok", undefined, 5, rig.at);
  rig.machine.record("failed", { ...BOOM, message: "direct" }, 5, rig.at);
  assert.equal(rig.state, "half-open");
  assert.equal(rig.snapshot.lastError, "direct");
  assert.equal(metricsOf(rig).totalRequests, 13);
  assert.equal(metricsOf(rig).recentRequests, 0);
});

test("a recovery is told with its probe's latency", () => {
  for (const [halfOpenSuccesses, reason] of [
    [1, "1 probe succeeded"],
    [2, "2 probes succeeded"],
  ] as const) {
    const rig = createRig({ halfOpenSuccesses }).tripByFailures();
    rig.advance(15_000);
    rig.okTimes(halfOpenSuccesses, 37);
    const recovery = rig.drain().find((event) => event.type === "recovery");
    assert.deepEqual(recovery, { type: "recovery", latencyMs: 37, actor: "system", reason });
  }
});

// --- the ramp ---

/** Percent let in of so many callers who all get an ignored outcome: no step ends meanwhile. */
function admitted(rig: SlidingWindowRig, callers: number): number {
  let count = 0;
  for (let n = 0; n < callers; n += 1) if (!rig.refuses()) count += 1;
  return count;
}

function ramping(options: SlidingWindowOptions = {}): SlidingWindowRig {
  const rig = createRig({ ramping: true, ...options }).tripByFailures();
  recover(rig);
  assert.equal(rig.state, "ramping");
  return rig;
}

test("is off unless asked for", () => {
  const rig = createRig().tripByFailures();
  recover(rig);
  assert.equal(rig.state, "closed");
});

test("lets 5, 10, 25 and 50 percent in, then all", () => {
  const rig = ramping();
  for (const percent of [5, 10, 25, 50]) {
    assert.equal(rig.state, "ramping");
    assert.equal(admitted(rig, 400), percent * 4);
    rig.machine.record("ok", undefined, 5, rig.at);
    for (let n = 0; n < 4; n += 1) rig.machine.record("ok", undefined, 5, rig.at);
  }
  assert.equal(rig.state, "closed");
  assert.equal(admitted(rig, 100), 100);
  assert.deepEqual(rig.causes(), ["failures", "probe_due", "probe_succeeded", "ramp_completed"]);
});

test("the first call of each step is let in, and then one of twenty", () => {
  const rig = ramping();
  const pattern = Array.from({ length: 41 }, () => (rig.refuses() ? "." : "x")).join("");
  assert.equal(pattern, `x${".".repeat(19)}x${".".repeat(19)}x`);
  assert.equal(rig.machine.refusalReason, "ramping");
  assert.equal(rig.machine.isTripped, false);
  assert.equal(rig.retryAfterMs, 10_000);
  for (let n = 0; n < 5; n += 1) rig.machine.record("ok", undefined, 5, rig.at);
  assert.equal(rig.snapshot.rampStep, 1);
  assert.equal(rig.refuses(), false);
  assert.equal(rig.refuses(), true);
});

test("five successes end a step, four do not", () => {
  const rig = ramping();
  for (let n = 0; n < 4; n += 1) rig.machine.record("ok", undefined, 5, rig.at);
  assert.equal(rig.snapshot.rampStep, 0);
  rig.machine.record("ok", undefined, 5, rig.at);
  assert.equal(rig.snapshot.rampStep, 1);
});

test("where calls are rare one success ends a step after its time", () => {
  const rig = ramping();
  for (let step = 0; step < 4; step += 1) {
    assert.equal(rig.snapshot.rampStep, step);
    rig.advance(9999);
    const ticket = rig.admit();
    rig.advance(1);
    rig.ok(ticket);
  }
  assert.equal(rig.state, "closed");
});

test("a step does not end before its time with one success", () => {
  const rig = ramping();
  rig.advance(9999);
  rig.okTimes(1);
  assert.equal(rig.snapshot.rampStep, 0);
});

test("failures abort the ramp as they trip a closed breaker, and the wait grows", () => {
  const rig = ramping({ openDurationFactor: 2 });
  const at = rig.at;
  for (let n = 0; n < 10; n += 1) rig.machine.record("failed", BOOM, 5, at);
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 30_000);
  assert.deepEqual(
    rig.trips().map(({ isNewTrip }) => isNewTrip),
    [true, true],
  );
  assert.equal(rig.snapshot.tripCount, 2);
});

test("no wait is short again because a ramp was long", () => {
  const rig = ramping({ openDurationFactor: 2, stableCloseMs: 1000 });
  rig.advance(1000);
  for (let n = 0; n < 10; n += 1) rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.retryAfterMs, 30_000);
});

test("a ramp stands still while too many of its calls fail", () => {
  const rig = ramping({ slowCallMs: 1000 });
  for (let n = 0; n < 8; n += 1) rig.machine.record("failed", BOOM, 5, rig.at);
  for (let n = 0; n < 7; n += 1) rig.machine.record("ok", undefined, 5, rig.at);
  assert.equal(rig.snapshot.rampStep, 0);
  rig.machine.record("ok", undefined, 5, rig.at);
  assert.equal(rig.snapshot.rampStep, 1, "half of them is not too many");

  const slow = ramping({ slowCallMs: 1000 });
  for (let n = 0; n < 9; n += 1) slow.machine.record("ok", undefined, 1000, slow.at);
  assert.equal(slow.state, "ramping");
  assert.equal(slow.snapshot.rampStep, 0);
});

test("a ramp survives at its step, or as closed where ramps are off", () => {
  const rig = ramping();
  for (let n = 0; n < 10; n += 1) rig.machine.record("ok", undefined, 5, rig.at);
  rig.restart();
  assert.equal(rig.state, "ramping");
  assert.equal(rig.snapshot.rampStep, 2);
  assert.equal(admitted(rig, 100), 25);
  const off = createRig();
  off.restart({ state: "ramping", rampStep: 2, tripped: false });
  assert.equal(off.state, "closed");
});
