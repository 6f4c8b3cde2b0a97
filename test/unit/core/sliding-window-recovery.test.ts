// What the sliding-window breaker offers beyond its source: slow calls, growing and jittered waits,
// Retry-After, the half-open deadline, the ramp, trips by hand, and what survives a restart.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import { LEASES_MAX } from "../../../src/core/breaker/leases.ts";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import type { SlidingWindowOptions } from "../../../src/core/breaker/sliding-window/options.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { createRig, metricsOf, recover, type SlidingWindowRig } from "./sliding-window-harness.ts";
import { BOOM, WEIGHTLESS } from "./rig.ts";

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

// --- why it tripped ---

test("says which rule tripped, with its numbers", () => {
  const rig = createRig();
  rig.okTimes(5);
  rig.failTimes(6);
  const [trip] = rig.trips();
  assert.deepEqual(trip, {
    type: "trip",
    manual: false,
    isNewTrip: true,
    failureCount: 6,
    lastError: "boom",
    actor: "system",
    reason: "6 of 11 calls failed: 0.545 is above the threshold of 0.5",
    evidence: { rule: "failure_ratio", count: 6, calls: 11, ratio: 6 / 11, threshold: 0.5 },
  });
  assert.deepEqual(rig.snapshot.trippedBy, trip?.evidence);
});

test("slow successes trip as a rule of their own", () => {
  const rig = createRig({ slowCallMs: 1000, slowCallRatio: 0.3 });
  rig.okTimes(7, 999.9);
  rig.okTimes(3, 1000);
  assert.equal(rig.state, "closed", "exactly the share");
  assert.equal(metricsOf(rig).recentSlowRate, 0.3);
  rig.okTimes(1, 4000.4);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.trippedAt, rig.wallMs);
  const [trip] = rig.trips();
  assert.equal(trip?.reason, "4 of 11 calls were slow: 0.364 is above the threshold of 0.3");
  assert.equal(trip?.lastError, "a call took 4000 ms");
  assert.equal(trip?.failureCount, 0);
  assert.equal(trip?.evidence?.rule, "slow_call_ratio");
});

test("an inclusive threshold holds for slow calls, too", () => {
  const rig = createRig({ slowCallMs: 1000, slowCallRatio: 0.3, thresholdInclusive: true });
  rig.okTimes(7);
  rig.okTimes(3, 1000);
  assert.equal(rig.state, "open");
  assert.match(rig.trips()[0]?.reason ?? "", /3 of 10 calls were slow: 0.300 is at the threshold/);
});

test("a slow failure counts for both rules, and failures are named first", () => {
  const both = createRig({ slowCallMs: 1000 });
  for (let n = 0; n < 10; n += 1) both.fail(both.admit(), { latencyMs: 1000 });
  assert.equal(both.trips()[0]?.evidence?.rule, "failure_ratio");

  const slow = createRig({ slowCallMs: 1000, failureRatio: 1 });
  for (let n = 0; n < 10; n += 1) slow.fail(slow.admit(), { latencyMs: 1000 });
  const [trip] = slow.trips();
  assert.equal(trip?.evidence?.rule, "slow_call_ratio");
  assert.equal(trip?.lastError, "boom");
});

test("no latency is slow that is none, and without the option none is", () => {
  const rig = createRig({ slowCallMs: 1000, failureRatio: 1 });
  for (const latencyMs of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    rig.okTimes(10, latencyMs);
    for (let n = 0; n < 10; n += 1) rig.fail(rig.admit(), { latencyMs });
    rig.machine.record("ok", undefined, latencyMs, rig.at);
  }
  assert.equal(metricsOf(rig).recentSlowRate, 0);
  assert.equal(rig.snapshot.avgLatencyMs, null);
  const without = createRig();
  without.okTimes(20, 1e12);
  assert.equal(without.state, "closed");
});

test("a trip by slowness without a date is dated when somebody looks", () => {
  const rig = createRig({ slowCallMs: 1000 });
  rig.okTimes(9, 1000);
  rig.machine.settleOk(rig.admit(), 1000, rig.nowMs);
  assert.equal(rig.state, "open");
  rig.advance(250);
  assert.equal(rig.snapshot.trippedAt, rig.wallMs - 250);
  assert.equal(rig.machine.refusal(rig.at).trippedAt, rig.wallMs - 250);
});

test("a slow probe has failed: slowness must not close what slowness opened", () => {
  const rig = createRig({ slowCallMs: 1000 });
  rig.ok(rig.halfOpen(), 1000);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.lastError, "a call took 1000 ms");
});

test("failures have no weights but none at all", () => {
  const rig = createRig();
  rig.failTimes(9);
  const { machine } = rig;
  for (let n = 0; n < 50; n += 1) machine.settleFailed(rig.admit(), WEIGHTLESS, 5, rig.at);
  machine.record("failed", WEIGHTLESS, 5, rig.at);
  assert.equal(metricsOf(rig).recentRequests, 9);
  assert.equal(metricsOf(rig).totalFailures, 9);
  machine.settleFailed(rig.admit(), { weightThousandths: 1, message: "small" }, 5, rig.at);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.lastError, "small");
  machine.record("failed", WEIGHTLESS, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "small");
});

// --- how long it stays open ---

test("waits grow with each opening, up to the longest", () => {
  const rig = createRig({ openDurationFactor: 2, openDurationMsMax: 50_000 }).tripByFailures();
  const waits: (number | undefined)[] = [rig.retryAfterMs];
  for (let n = 0; n < 4; n += 1) {
    rig.advance(rig.retryAfterMs ?? 0);
    rig.failTimes(1);
    waits.push(rig.retryAfterMs);
  }
  assert.deepEqual(waits, [15_000, 30_000, 50_000, 50_000, 50_000]);
  assert.equal(rig.snapshot.tripCount, 1);
});

test("a wait that grew is forgotten after a stable close, not before", () => {
  const rig = createRig({ openDurationFactor: 2, stableCloseMs: 5000 });
  rig.tripByFailures();
  recover(rig);
  rig.advance(4999);
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 30_000);
  recover(rig);
  rig.advance(5000);
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});

test("a person's reset forgets it, too", () => {
  const rig = createRig({ openDurationFactor: 2 }).tripByFailures();
  rig.reset();
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});

test("growth without end stays at the longest wait", () => {
  const rig = createRig({ openDurationFactor: 100 }).tripByFailures();
  for (let n = 0; n < 400; n += 1) {
    rig.advance(rig.retryAfterMs ?? 0);
    rig.failTimes(1);
  }
  assert.equal(rig.retryAfterMs, 300_000);
});

test("jitter is drawn once per opening, within its spread", () => {
  let draws = 0;
  const random = new SeededRandom(7);
  const counting = { next: () => ((draws += 1), random.next()) };
  const rig = createRig({ openDurationJitter: 0.25 }, counting);
  const waits = new Set<number>();
  for (let n = 1; n <= 200; n += 1) {
    rig.tripByFailures();
    const waitMs = rig.retryAfterMs ?? 0;
    assert.ok(waitMs >= 11_250 && waitMs < 18_750, `${waitMs}`);
    assert.equal(rig.retryAfterMs, waitMs);
    assert.equal(rig.refuses(), true);
    assert.equal(draws, n);
    waits.add(Math.round(waitMs));
    rig.reset();
  }
  assert.ok(waits.size > 150);
});

test("nothing is drawn without jitter, and without chance there is none", () => {
  const never = {
    next: () => {
      throw new Error("drawn");
    },
  };
  assert.equal(createRig({}, never).tripByFailures().retryAfterMs, 15_000);
  const machine = slidingWindow({ openDurationJitter: 0.9, minimumCalls: 1 }).createMachine();
  machine.record("failed", BOOM, 1, { nowMs: 0, wallMs: 1 });
  assert.equal(machine.refusal({ nowMs: 0, wallMs: 1 }).retryAfterMs, 15_000);
});

test("Retry-After lengthens the wait, never shortens it, and is capped", () => {
  const waits: [number | undefined, number][] = [
    [undefined, 15_000],
    [1000, 15_000],
    [15_001, 15_001],
    [300_000, 300_000],
    [86_400_000, 300_000],
    [Number.POSITIVE_INFINITY, 300_000],
    [Number.NaN, 15_000],
    [-60_000, 15_000],
  ];
  for (const [retryAfterMs, waitMs] of waits) {
    const rig = createRig();
    rig.failTimes(10, { retryAfterMs });
    assert.ok(Math.abs((rig.retryAfterMs ?? 0) - waitMs) < 1e-6, String(retryAfterMs));
  }
  const deaf = createRig({ retryAfterMsMax: 0 });
  deaf.failTimes(10, { retryAfterMs: 60_000 });
  assert.equal(deaf.retryAfterMs, 15_000);
});

test("Retry-After counts whichever of the failures brought it, and a probe's does", () => {
  const rig = createRig();
  rig.failTimes(1, { retryAfterMs: 40_000 });
  rig.advance(10_000);
  rig.failTimes(9);
  assert.equal(rig.retryAfterMs, 30_000);
  rig.advance(30_000);
  rig.failTimes(1, { retryAfterMs: 20_000 });
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 20_000);
  // What the upstream asked for has passed with the state it was asked in.
  rig.advance(20_000);
  rig.failTimes(1);
  assert.equal(rig.retryAfterMs, 15_000);
});

test("a Retry-After of one era is not remembered in the next", () => {
  const rig = createRig();
  rig.failTimes(1, { retryAfterMs: 200_000 });
  rig.reset();
  rig.tripByFailures();
  assert.equal(rig.retryAfterMs, 15_000);
});

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

// --- trips by hand ---

test("a trip by hand is never probed, and only a reset ends it", () => {
  const rig = createRig();
  rig.failTimes(3);
  rig.tripByHand();
  const [trip] = rig.trips();
  assert.equal(trip?.manual, true);
  assert.equal(trip?.evidence, null);
  assert.equal(trip?.failureCount, 3);
  assert.equal(rig.snapshot.manual, true);
  assert.equal(rig.snapshot.trippedUntil, null);
  rig.advance(86_400_000);
  assert.equal(rig.machine.admitNeedsTime, false);
  assert.equal(rig.refuses(), true);
  assert.deepEqual(rig.machine.refusal(rig.at), {
    reason: "tripped",
    retryAfterMs: undefined,
    remainingMs: 0,
    manual: true,
    trippedAt: rig.wallMs - 86_400_000,
    lastError: "maintenance",
  });
  assert.equal(metricsOf(rig).timeUntilRetry, null);
  rig.machine.record("failed", BOOM, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "maintenance");
  rig.reset(true);
  assert.equal(rig.state, "closed");
  assert.equal(rig.snapshot.manual, false);
  const reset = rig.drain().find((event) => event.type === "reset");
  assert.deepEqual(reset, { type: "reset", forced: true, actor: "ann", reason: "done" });
});

test("a trip by hand of a tripped breaker is no new trip, and latches it", () => {
  const rig = createRig();
  const straggler = rig.admit();
  const probe = rig.halfOpen();
  rig.drain();
  rig.tripByHand();
  assert.equal(rig.trips()[0]?.isNewTrip, false);
  assert.equal(rig.snapshot.tripCount, 1);
  assert.equal(rig.ok(probe), false);
  assert.equal(rig.fail(straggler), false);
  assert.equal(rig.snapshot.lastError, "maintenance");
  assert.equal(rig.snapshot.trippedBy, null);
  rig.advance(1_000_000);
  assert.equal(rig.refuses(), true);
});

test("a person may ask for probes at once, whatever it was", () => {
  const ways: readonly ((rig: SlidingWindowRig) => void)[] = [
    () => {},
    (rig) => rig.restart(),
    (rig) => recover(rig.tripByFailures()),
    (rig) => rig.tripByHand(),
    (rig) => rig.tripByFailures(),
  ];
  for (const prepare of ways) {
    const rig = createRig({ openDurationFactor: 2 });
    prepare(rig);
    const { trippedAt, trippedUntil } = rig.snapshot;
    rig.advance(70);
    rig.machine.halfOpen(rig.nowMs);
    assert.equal(rig.state, "half-open");
    const { manual, trippedAt: since, trippedUntil: until } = rig.snapshot;
    assert.equal(manual, false);
    assert.equal(since, trippedAt ?? rig.wallMs);
    assert.ok(Number.isSafeInteger(until), "probes have a date");
    assert.ok((until ?? 0) <= (trippedUntil ?? rig.wallMs), "and it is not put off");
    rig.failTimes(1);
    assert.equal(rig.retryAfterMs, 30_000, "the second wait");
    rig.wait();
    rig.okTimes(2);
    assert.equal(rig.state, "closed");
  }
});

test("the words of a straggler are news while it is open", () => {
  const rig = createRig();
  const straggler = rig.admit();
  rig.tripByFailures();
  rig.machine.settleFailed(straggler, { ...BOOM, message: "still dead" }, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "still dead");
  rig.advance(15_000);
  rig.admit();
  rig.machine.settleFailed(straggler, { ...BOOM, message: "older" }, 5, rig.at);
  assert.equal(rig.snapshot.lastError, "still dead");
});

// --- what survives a restart ---

test("open survives with what remains of its wait", () => {
  const rig = createRig({ openDurationFactor: 2 }).tripByFailures();
  rig.advance(5000);
  rig.restart();
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 10_000);
  assert.equal(metricsOf(rig).timeInCurrentState, 5);
  rig.advance(9999);
  assert.equal(rig.refuses(), true);
  rig.advance(1);
  rig.failTimes(1);
  assert.equal(rig.retryAfterMs, 30_000, "it knows that it opened before");
});

test("half-open survives as open with its probes due", () => {
  const rig = createRig();
  const probe = rig.halfOpen();
  rig.advance(100);
  rig.restart();
  assert.equal(rig.state, "open");
  assert.equal(rig.ok(probe), false);
  rig.admit();
  assert.equal(rig.state, "half-open");
});

test("an open state of last year is probed at once, and one by hand still holds", () => {
  const rig = createRig().tripByFailures();
  rig.restart({}, 86_400_000 * 365);
  assert.equal(rig.refuses(), false);
  rig.tripByHand();
  rig.restart({}, 86_400_000 * 365);
  assert.equal(rig.snapshot.manual, true);
  assert.equal(rig.refuses(), true);
});

test("no stored date makes the wait longer than the longest", () => {
  const rig = createRig({ openDurationJitter: 0.2, retryAfterMsMax: 0 }).tripByFailures();
  rig.restart({ trippedUntil: rig.wallMs + 86_400_000 });
  assert.equal(rig.retryAfterMs, 18_000);
  const grown = createRig({
    openDurationFactor: 2,
    openDurationMsMax: 40_000,
    retryAfterMsMax: 0,
  }).tripByFailures();
  grown.restart({ trippedUntil: grown.wallMs + 86_400_000 });
  assert.equal(grown.retryAfterMs, 40_000);
  const asked = createRig().tripByFailures();
  asked.restart({ trippedUntil: asked.wallMs + 86_400_000 });
  assert.equal(asked.retryAfterMs, 300_000);
});

test("a trip without a stored wait is given the usual one", () => {
  const rig = createRig().tripByFailures();
  rig.advance(4000);
  rig.restart({ trippedUntil: null });
  assert.equal(rig.retryAfterMs, 11_000);
});

test("a closed window is not restored, but what it is known for is", () => {
  const rig = createRig().tripByFailures();
  recover(rig);
  rig.okTimes(1);
  rig.failTimes(8);
  const before = rig.snapshot;
  assert.equal(before.failureCount, 8);
  rig.restart();
  assert.deepEqual(rig.snapshot, { ...before, recentCalls: 0, failureCount: 0 });
  rig.failTimes(9);
  assert.equal(rig.state, "closed");
  assert.equal(metricsOf(rig).totalRequests, 9);
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

test("adopting a closed state keeps the window of a closed breaker", () => {
  const rig = createRig();
  rig.failTimes(9);
  const inFlight = rig.admit();
  rig.machine.restore(createRig().snapshot, rig.at);
  assert.equal(metricsOf(rig).recentRequests, 9);
  rig.fail(inFlight);
  assert.equal(rig.state, "open");
});

test("is worth keeping while it holds anything that speaks against the upstream", () => {
  const rig = createRig({ slowCallMs: 1000 });
  assert.equal(rig.machine.slowCallMs, 1000);
  assert.equal(rig.machine.hasFailures, false);
  rig.okTimes(1);
  assert.equal(rig.machine.hasFailures, false);
  rig.okTimes(1, 1000);
  assert.equal(rig.machine.hasFailures, true);
  rig.reset();
  assert.equal(rig.machine.hasFailures, false);
  rig.failTimes(1);
  assert.equal(rig.machine.hasFailures, true);
  assert.equal(createRig().machine.slowCallMs, Number.POSITIVE_INFINITY);
});

test("calls are dated", () => {
  const rig = createRig();
  assert.equal(rig.snapshot.lastSuccessAt, null);
  assert.equal(rig.snapshot.lastFailureAt, null);
  rig.okTimes(1, 0);
  rig.advance(7);
  rig.failTimes(1);
  rig.advance(5);
  assert.equal(rig.snapshot.lastSuccessAt, rig.wallMs - 12);
  assert.equal(rig.snapshot.lastFailureAt, rig.wallMs - 5);
  assert.equal(rig.snapshot.avgLatencyMs, 0);
  rig.restart({}, 1000);
  assert.equal(rig.snapshot.lastSuccessAt, rig.wallMs - 1012);
  assert.equal(rig.snapshot.avgLatencyMs, 0);
  rig.okTimes(1, 10);
  assert.equal(rig.snapshot.avgLatencyMs, 2);
});

test("half of a stored reason is none", () => {
  const rig = createRig().tripByFailures();
  const { trippedBy } = rig.snapshot;
  assert.notEqual(trippedBy, null);
  rig.restart();
  assert.deepEqual(rig.snapshot.trippedBy, trippedBy);
  for (const key of ["rule", "count", "calls", "ratio", "threshold"]) {
    const half = createRig().tripByFailures();
    half.restart({ trippedBy: { ...trippedBy, [key]: "many" } });
    assert.equal(half.snapshot.trippedBy, null, key);
  }
});

test("direct evidence that is none counts nowhere", () => {
  const rig = createRig();
  rig.machine.record("ignored", BOOM, 5, rig.at);
  rig.machine.record("failed", undefined, 5, rig.at);
  assert.equal(metricsOf(rig).totalRequests, 0);
  assert.equal(metricsOf(rig).recentRequests, 0);
});

test("the dates of a trip and a reset stay when the wall clock is set", () => {
  const rig = createRig().tripByFailures();
  const trippedAt = rig.wallMs;
  rig.wallMs += 3_600_000;
  assert.equal(rig.snapshot.trippedAt, trippedAt);
  rig.reset();
  const resetAt = rig.wallMs;
  rig.wallMs -= 7_200_000;
  const { lastResetAt, lastResetBy, lastResetReason } = rig.snapshot;
  assert.deepEqual([lastResetAt, lastResetBy, lastResetReason], [resetAt, "ann", "done"]);
});

test("a read changes nothing", () => {
  const rig = createRig();
  rig.failTimes(9);
  const read = (): unknown[] => [
    rig.snapshot,
    metricsOf(rig),
    rig.machine.refusal(rig.at),
    rig.state,
  ];
  const first = read();
  rig.advance(61_000);
  assert.equal(metricsOf(rig).recentRequests, 0);
  rig.advance(-61_000);
  assert.deepEqual(read(), first);
  assert.equal(rig.machine.cooldownRemainingMs(rig.at), 0);
  assert.equal(rig.refuses(), false);
  assert.equal(REFUSED, -1);
});
