// Specification 9.C at the level of the machine; what concerns calls and errors is the guard's.

import assert from "node:assert/strict";
import { test } from "node:test";
import { REFUSED, type Ticket } from "../../../src/core/breaker/machine.ts";
import {
  slidingWindowSettings,
  type SlidingWindowOptions,
} from "../../../src/core/breaker/sliding-window/options.ts";
import { slidingWindow } from "../../../src/core/breaker/sliding-window/machine.ts";
import { createRig, metricsOf, recover, type SlidingWindowRig } from "./sliding-window-harness.ts";

test("T-C-01 the defaults are those of the source system", () => {
  const settings = slidingWindowSettings({});
  assert.equal(settings.failureRatio, 0.5);
  assert.equal(settings.windowSize, 100);
  assert.equal(settings.windowDurationMs, 60_000);
  assert.equal(settings.minimumCalls, 10);
  assert.equal(settings.openDuration.baseMs, 15_000);
  assert.equal(settings.halfOpenMaxProbes, 5);
  assert.equal(settings.halfOpenSuccesses, 2);
  assert.equal(settings.probeLeaseMs, 15_000);
  assert.equal(settings.thresholdInclusive, false);
});

test("T-C-01 a configuration of one's own is honoured", () => {
  const rig = createRig({ failureRatio: 0.25, minimumCalls: 4, openDurationMs: 100 });
  rig.okTimes(3);
  rig.failTimes(1);
  assert.equal(rig.state, "closed");
  rig.failTimes(1);
  assert.equal(rig.state, "open");
  assert.equal(rig.retryAfterMs, 100);
});

test("T-C-01 what is out of range is a RangeError that lists every fault", () => {
  const wrong = {
    failureRatio: 5,
    minimumCalls: 0.5,
    windowSize: 0,
    windowDurationMs: 0,
    openDurationMs: -1,
    halfOpenMaxProbes: 0,
    slowCallRatio: 0,
    ramping: "yes",
    failureThreshold: 0.5,
  };
  assert.throws(
    () => slidingWindow(wrong as unknown as SlidingWindowOptions),
    (error: RangeError & { faults?: readonly string[] }) => {
      assert.ok(error instanceof RangeError);
      // Nine of their own, and what makes no sense together.
      assert.equal(
        error.faults?.filter((fault) => / must be |is not an option/.test(fault)).length,
        11,
      );
      assert.ok(
        error.faults?.includes("slowCallRatio needs slowCallMs: without it no call is slow"),
      );
      return true;
    },
  );
});

test("T-C-01 each option is accepted up to its bounds and not beyond", () => {
  const bounds: Record<keyof SlidingWindowOptions, [accepted: unknown[], refused: unknown[]]> = {
    failureRatio: [
      [0.001, 1],
      [0, 1.001, Number.NaN, "0.5"],
    ],
    thresholdInclusive: [
      [true, false],
      [1, null],
    ],
    minimumCalls: [
      [1, 100],
      [0, 1.5],
    ],
    windowSize: [
      [10, 1_000_000],
      [0, 1_000_001, 10.5],
    ],
    windowDurationMs: [[0.1], [0, Number.POSITIVE_INFINITY]],
    openDurationMs: [[0.1], [0, Number.POSITIVE_INFINITY]],
    openDurationFactor: [
      [1, 100],
      [0.99, 101],
    ],
    openDurationMsMax: [[15_000], [0]],
    openDurationJitter: [
      [0, 1],
      [-0.1, 1.1],
    ],
    stableCloseMs: [[0], [-1]],
    retryAfterMsMax: [[0], [-1]],
    halfOpenMaxProbes: [
      [2, 1000],
      [0, 1001, 2.5],
    ],
    halfOpenSuccesses: [
      [1, 5],
      [0, 1.5],
    ],
    probeLeaseMs: [[0.1], [0]],
    halfOpenDeadlineMs: [[0.1], [0]],
    slowCallMs: [[0.1], [0]],
    slowCallRatio: [
      [0.001, 1],
      [0, 1.001],
    ],
    ramping: [[true, false], [1]],
    rampSuccesses: [[1], [0, 1.5]],
    rampStepMs: [[0.1], [0]],
  };
  for (const [key, [accepted, refused]] of Object.entries(bounds)) {
    const withSlow = key === "slowCallRatio" ? { slowCallMs: 1 } : {};
    for (const value of accepted) slidingWindow({ ...withSlow, [key]: value });
    for (const value of refused) {
      const pattern = new RegExp(`^sliding-window breaker: ${key} must be `);
      assert.throws(() => slidingWindow({ ...withSlow, [key]: value }), { message: pattern });
    }
  }
});

test("T-C-01 options that make no sense together are refused", () => {
  const refused: [SlidingWindowOptions, RegExp][] = [
    [{ minimumCalls: 101 }, /minimumCalls must be at most windowSize, 100, not 101/],
    [{ windowSize: 9 }, /minimumCalls must be at most windowSize, 9, not 10/],
    [{ halfOpenSuccesses: 6 }, /halfOpenSuccesses must be at most halfOpenMaxProbes, 5, not 6/],
    [{ halfOpenMaxProbes: 1 }, /halfOpenSuccesses must be at most halfOpenMaxProbes, 1, not 2/],
    [{ openDurationMsMax: 14_999 }, /openDurationMs must be at most openDurationMsMax/],
    [{ slowCallRatio: 0.5 }, /slowCallRatio needs slowCallMs/],
  ];
  for (const [options, message] of refused) assert.throws(() => slidingWindow(options), message);
  slidingWindow({ minimumCalls: 100, halfOpenSuccesses: 5, openDurationMsMax: 15_000 });
  slidingWindow({ slowCallMs: 1, slowCallRatio: 0.5, failureRatio: 1 });
  assert.throws(() => slidingWindow(null as unknown as SlidingWindowOptions), /not null/);
});

test("T-C-01 left out and undefined are the same", () => {
  const undefinedOnes = Object.fromEntries(
    Object.keys(slidingWindowSettings({})).map((key) => [key, undefined]),
  );
  delete undefinedOnes.openDuration;
  delete undefinedOnes.openDurationMsLongest;
  assert.deepEqual(slidingWindowSettings(undefinedOnes), slidingWindowSettings({}));
});

test("T-C-02 nine failures of nine are too few calls; the tenth trips", () => {
  const rig = createRig();
  rig.failTimes(9);
  assert.equal(rig.state, "closed");
  rig.failTimes(1);
  assert.equal(rig.state, "open");
  assert.equal(rig.machine.isTripped, true);
});

test("T-C-03 exactly half stays closed, one more opens", () => {
  const rig = createRig();
  rig.okTimes(5);
  rig.failTimes(5);
  assert.equal(rig.state, "closed");
  rig.failTimes(1);
  assert.equal(rig.state, "open");
});

test("T-C-03 exactly half opens when the threshold is inclusive", () => {
  const rig = createRig({ thresholdInclusive: true });
  rig.okTimes(5);
  rig.failTimes(4);
  assert.equal(rig.state, "closed");
  rig.failTimes(1);
  assert.equal(rig.state, "open");
});

test("T-C-03 a share that rises because successes leave trips with the next failure only", () => {
  const rig = createRig();
  rig.okTimes(6);
  rig.advance(1000);
  rig.failTimes(6);
  rig.okTimes(4);
  rig.advance(59_500);
  // The first six successes have left: six of ten failed.
  assert.equal(metricsOf(rig).recentFailureRate, 0.6);
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
  rig.failTimes(1);
  assert.equal(rig.state, "open");
});

test("T-C-04 open refuses until 15 s have passed, and probes from then on", () => {
  const rig = createRig().tripByFailures();
  assert.equal(rig.refuses(), true);
  rig.advance(14_999.5);
  assert.equal(rig.refuses(), true);
  assert.equal(rig.machine.refusalReason, "tripped");
  assert.equal(rig.retryAfterMs, 0.5);
  rig.advance(0.5);
  rig.admit();
  assert.equal(rig.state, "half-open");
  assert.deepEqual(rig.causes(), ["failures", "probe_due"]);
});

test("T-C-04 time alone changes nothing, however long", () => {
  const rig = createRig().tripByFailures();
  rig.advance(86_400_000);
  assert.equal(rig.state, "open");
  assert.equal(rig.snapshot.state, "open");
  assert.equal(metricsOf(rig).timeUntilRetry, 0);
  assert.equal(rig.state, "open");
});

test("T-C-05 two successes close it, and it starts from nothing", () => {
  const rig = createRig();
  const first = rig.halfOpen();
  rig.ok(first);
  assert.equal(rig.state, "half-open");
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
  assert.equal(metricsOf(rig).recentRequests, 0);
  rig.failTimes(9);
  assert.equal(rig.state, "closed");
});

test("T-C-06 a failure after one success opens for another 15 s", () => {
  const rig = createRig();
  rig.ok(rig.halfOpen());
  rig.advance(10_000);
  rig.failTimes(1);
  assert.equal(rig.state, "open");
  rig.advance(14_999);
  assert.equal(rig.refuses(), true);
  rig.advance(1);
  // The success before the failure is forgotten.
  rig.okTimes(1);
  assert.equal(rig.state, "half-open");
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
});

test("T-C-06 fifty cycles later the limits are what they were", () => {
  const rig = createRig();
  for (let cycle = 0; cycle < 50; cycle += 1) {
    rig.tripByFailures();
    rig.advance(15_000);
    const probes = [1, 2, 3, 4, 5].map(() => rig.admit());
    assert.equal(rig.refuses(), true);
    rig.ok(probes[0] ?? REFUSED);
    rig.fail(probes[1] ?? REFUSED);
    assert.equal(rig.state, "open");
    rig.advance(14_999);
    assert.equal(rig.refuses(), true);
    rig.advance(1);
    rig.okTimes(2);
    assert.equal(rig.state, "closed");
  }
  assert.equal(metricsOf(rig).stateChanges, 250);
  assert.equal(rig.snapshot.tripCount, 50);
});

test("T-C-07 of twenty at once exactly five probe", () => {
  const rig = createRig().tripByFailures();
  rig.advance(15_000);
  const tickets = Array.from({ length: 20 }, () => rig.tryAdmit());
  assert.equal(tickets.filter((ticket) => ticket === REFUSED).length, 15);
  assert.equal(new Set(tickets.slice(0, 5)).size, 5);
  assert.equal(rig.machine.refusalReason, "half_open_limit");
  assert.equal(rig.retryAfterMs, 15_000);
});

test("T-C-08 probes that never settle lose their slots to the next callers", () => {
  const rig = createRig().tripByFailures();
  rig.advance(15_000);
  const hung = [1, 2, 3, 4, 5].map(() => rig.admit());
  rig.advance(14_999);
  assert.equal(rig.refuses(), true);
  assert.equal(rig.retryAfterMs, 1);
  rig.advance(1);
  const next = [1, 2, 3, 4, 5].map(() => rig.admit());
  assert.equal(rig.refuses(), true);
  for (const ticket of hung) assert.equal(rig.ok(ticket), false);
  assert.equal(rig.fail(hung[0] ?? REFUSED), false);
  assert.equal(rig.state, "half-open");
  for (const ticket of next.slice(0, 2)) assert.equal(rig.ok(ticket), true);
  assert.equal(rig.state, "closed");
});

test("T-C-08 a probe whose lease ended counts as long as nobody needed its slot", () => {
  const rig = createRig();
  const slow = rig.halfOpen();
  rig.advance(1_000_000);
  assert.equal(rig.ok(slow), true);
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
});

test("T-C-08 an ignored probe casts no vote and returns its slot", () => {
  const rig = createRig().tripByFailures();
  rig.advance(15_000);
  const probes = [1, 2, 3, 4, 5].map(() => rig.admit());
  assert.equal(rig.refuses(), true);
  rig.ignore(probes[2] ?? REFUSED);
  rig.ignore(probes[2] ?? REFUSED);
  assert.equal(rig.state, "half-open");
  rig.admit();
  assert.equal(rig.refuses(), true);
  assert.equal(rig.ok(probes[2] ?? REFUSED), false);
});

test("T-C-09 results of a former era are late, whatever they say", () => {
  const rig = createRig();
  const [first, second, third] = [rig.admit(), rig.admit(), rig.admit()];
  rig.tripByFailures();
  assert.equal(rig.fail(first), false);
  rig.advance(15_000);
  const probe = rig.admit();
  assert.equal(rig.fail(second), false);
  assert.equal(rig.ok(third), false);
  assert.equal(rig.state, "half-open");
  rig.ok(probe);
  assert.equal(rig.state, "half-open", "a late success is not one of the two");
  rig.okTimes(1);
  assert.equal(rig.state, "closed");
  const before = metricsOf(rig);
  assert.equal(rig.fail(second), false);
  assert.equal(rig.ok(first), false);
  assert.equal(rig.ok(probe), false);
  assert.deepEqual(metricsOf(rig), before);
});

test("T-C-10 the hundred and first entry replaces the first", () => {
  const rig = createRig({ failureRatio: 1, minimumCalls: 100 });
  rig.failTimes(1);
  rig.okTimes(99);
  assert.equal(metricsOf(rig).recentFailureRate, 0.01);
  rig.okTimes(1);
  assert.equal(metricsOf(rig).recentRequests, 100);
  assert.equal(metricsOf(rig).recentFailureRate, 0);
});

test("T-C-10 entries leave once they are older than 60 s", () => {
  const rig = createRig();
  rig.nowMs = 5000;
  rig.failTimes(3);
  rig.advance(60_000);
  assert.equal(metricsOf(rig).recentRequests, 3);
  rig.advance(1);
  assert.equal(metricsOf(rig).recentRequests, 0);
});

test("T-C-10 nine old failures and a new one are one failure", () => {
  const rig = createRig();
  rig.failTimes(9);
  rig.advance(61_000);
  assert.equal(metricsOf(rig).recentRequests, 0);
  rig.failTimes(1);
  assert.equal(rig.state, "closed");
  assert.equal(metricsOf(rig).recentRequests, 1);
  assert.equal(metricsOf(rig).totalFailures, 10);
});

test("T-C-11 the wall clock may jump an hour either way", () => {
  for (const jumpMs of [3_600_000, -3_600_000]) {
    const rig = createRig();
    rig.failTimes(9);
    rig.wallMs += jumpMs;
    assert.equal(metricsOf(rig).recentRequests, 9);
    rig.failTimes(1);
    rig.wallMs += jumpMs;
    rig.advance(14_999);
    assert.equal(rig.refuses(), true);
    assert.equal(rig.retryAfterMs, 1);
    rig.advance(1);
    rig.admit();
  }
});

test("T-C-12 the numbers of the metrics are those of the document", () => {
  const rig = createRig();
  for (let n = 0; n < 1234; n += 1) {
    if (n % 14 === 0 && n < 84 * 14) rig.failTimes(1);
    else rig.okTimes(1);
  }
  assert.equal(metricsOf(rig).totalRequests, 1234);
  assert.equal(metricsOf(rig).totalSuccesses, 1150);
  assert.equal(metricsOf(rig).totalFailures, 84);
  assert.equal(metricsOf(rig).successRate.toFixed(4), "0.9319");
  assert.equal(metricsOf(rig).timeUntilRetry, 0);
});

test("T-C-12 rejected calls are in no total, and the wait counts down", () => {
  const rig = createRig().tripByFailures();
  assert.equal(metricsOf(rig).timeUntilRetry, 15);
  assert.equal(rig.refuses(), true);
  assert.equal(rig.refuses(), true);
  rig.advance(5000);
  assert.equal(metricsOf(rig).rejected, 2);
  assert.equal(metricsOf(rig).totalRequests, 10);
  assert.equal(metricsOf(rig).timeUntilRetry, 10);
  assert.equal(metricsOf(rig).timeInCurrentState, 5);
  assert.equal(metricsOf(rig).stateChanges, 1);
  recover(rig);
  assert.equal(metricsOf(rig).timeUntilRetry, 0);
  assert.equal(metricsOf(rig).timeInCurrentState, 0);
  assert.equal(metricsOf(rig).stateChanges, 3);
});

test("T-C-12 without any call the success rate is 1", () => {
  const rig = createRig();
  rig.advance(7000);
  assert.deepEqual(metricsOf(rig), {
    state: "closed",
    totalRequests: 0,
    totalSuccesses: 0,
    totalFailures: 0,
    rejected: 0,
    successRate: 1,
    recentFailureRate: 0,
    recentSlowRate: 0,
    recentRequests: 0,
    stateChanges: 0,
    timeInCurrentState: 7,
    timeUntilRetry: 0,
  });
});

test("T-C-13 reset leads from any state to closed, and makes late what is in flight", () => {
  const cases: [string, (rig: SlidingWindowRig) => Ticket, number][] = [
    ["open", (rig) => [rig.admit(), rig.tripByFailures()][0] as Ticket, 1],
    ["half-open", (rig) => rig.halfOpen(), 1],
    ["closed", (rig) => rig.admit(), 0],
  ];
  for (const [state, prepare, changes] of cases) {
    const rig = createRig();
    const inFlight = prepare(rig);
    assert.equal(rig.state, state);
    const { totalRequests, stateChanges } = metricsOf(rig);
    rig.reset();
    assert.equal(rig.state, "closed");
    assert.equal(metricsOf(rig).stateChanges, stateChanges + changes);
    assert.equal(metricsOf(rig).recentRequests, 0);
    assert.equal(metricsOf(rig).totalRequests, totalRequests);
    assert.equal(rig.fail(inFlight), false);
    assert.equal(rig.ok(inFlight), false);
    rig.failTimes(9);
    assert.equal(rig.state, "closed");
  }
});

test("T-C-14 ten concurrent successes are counted exactly", () => {
  const rig = createRig();
  const tickets = Array.from({ length: 10 }, () => rig.admit());
  for (const ticket of tickets) rig.ok(ticket);
  assert.equal(metricsOf(rig).totalSuccesses, 10);
  assert.equal(metricsOf(rig).recentRequests, 10);
});

test("T-C-15 the options may be all there is", () => {
  const machine = slidingWindow({ minimumCalls: 1 }).createMachine();
  assert.equal(machine.state, "closed");
  assert.equal(machine.kind, "sliding-window");
  assert.equal(slidingWindow().kind, "sliding-window");
});

test("T-C-16 among a hundred callers at the very moment one transition and five probes", () => {
  const rig = createRig().tripByFailures();
  rig.drain();
  rig.advance(15_000);
  const tickets = Array.from({ length: 100 }, () => rig.tryAdmit());
  assert.equal(tickets.filter((ticket) => ticket !== REFUSED).length, 5);
  assert.deepEqual(rig.causes(), ["probe_due"]);
});
