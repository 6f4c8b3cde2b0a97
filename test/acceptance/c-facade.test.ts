// Spec §9.C through the source system's own names.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CircuitBreakerOpenError,
  CircuitBreakerOpenException,
  SlidingWindowBreaker,
  SlidingWindowRegistry,
  toSnakeCase,
  type SlidingWindowBreakerOptions,
} from "../../src/compat/index.ts";
import { isRefused } from "../../src/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

function make(config: SlidingWindowBreakerOptions = {}) {
  const clock = new VirtualClock();
  return { clock, breaker: new SlidingWindowBreaker("deepseek", { clock, ...config }) };
}

const odds = (): string => "odds";
const broken = (): never => {
  throw new Error("HTTP 500");
};

async function fail(breaker: SlidingWindowBreaker, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1)
    await assert.rejects(breaker.call(broken), { message: "HTTP 500" });
}

async function ok(breaker: SlidingWindowBreaker, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) await breaker.call(odds);
}

test("T-C-01 the defaults, and a configuration of one's own", () => {
  assert.deepEqual(new SlidingWindowBreaker("a").getMetrics().config, {
    failureThreshold: 0.5,
    windowSize: 100,
    windowDurationMs: 60_000,
    minRequests: 10,
    openTimeoutMs: 15_000,
    halfOpenMaxProbes: 5,
    halfOpenSuccesses: 2,
    thresholdInclusive: false,
    probeLeaseMs: 15_000,
  });
  const { config } = new SlidingWindowBreaker("a", { openTimeoutMs: 10 }).getMetrics();
  assert.deepEqual([config.openTimeoutMs, config.probeLeaseMs], [10, 10]);
});

test("T-C-01 every fault is a RangeError, told by the names that were used", () => {
  for (const [config, fault] of [
    [{ failureThreshold: 5 }, /failureThreshold must be .* at most 1, not 5/],
    [{ failureThreshold: 0 }, /failureThreshold/],
    [{ windowSize: 0 }, /windowSize/],
    [{ minRequests: 101 }, /minRequests must be at most windowSize, 100/],
    [{ halfOpenSuccesses: 6 }, /halfOpenSuccesses must be at most halfOpenMaxProbes, 5/],
    [{ failure_threshold: 0.5 }, /failure_threshold is not an option/],
  ] as const) {
    assert.throws(
      () => new SlidingWindowBreaker("a", config as SlidingWindowBreakerOptions),
      (error: unknown) => error instanceof RangeError && fault.test(error.message),
    );
  }
});

test("T-C-15 a configuration alone makes one, too", () => {
  const breaker = new SlidingWindowBreaker({ minRequests: 3 });
  assert.equal(breaker.getMetrics().config.minRequests, 3);
  assert.equal(breaker.state, "CLOSED");
});

test("T-C-02 T-C-03 ten failures open it; half of the calls do not", async () => {
  const { breaker } = make();
  await fail(breaker, 9);
  assert.equal(breaker.state, "CLOSED");
  await fail(breaker, 1);
  assert.equal(breaker.state, "OPEN");
  const other = make().breaker;
  await ok(other, 5);
  await fail(other, 5);
  assert.equal(other.state, "CLOSED");
  await fail(other, 1);
  assert.equal(other.state, "OPEN");
});

test("T-C-04 open, it runs nothing and says so; after the wait the call is the probe", async () => {
  const { clock, breaker } = make();
  await fail(breaker, 10);
  let ran = 0;
  const count = (): number => (ran += 1);
  await assert.rejects(breaker.call(count), (error: unknown) => {
    assert.ok(
      error instanceof CircuitBreakerOpenError && error instanceof CircuitBreakerOpenException,
    );
    assert.ok(isRefused(error));
    assert.equal(error.name, "CircuitBreakerOpenError");
    return error.retryAfterMs === 15_000;
  });
  assert.equal(ran, 0);
  clock.advance(15_000);
  assert.equal(await breaker.call(count), 1);
  assert.equal(breaker.state, "HALF_OPEN");
});

test("T-C-05 T-C-06 two probes close it, one failure opens it again", async () => {
  const { clock, breaker } = make();
  await fail(breaker, 10);
  clock.advance(15_000);
  await ok(breaker, 1);
  await fail(breaker, 1);
  assert.equal(breaker.state, "OPEN");
  clock.advance(15_000);
  await ok(breaker, 2);
  assert.equal(breaker.state, "CLOSED");
  assert.equal(breaker.getMetrics().recentRequests, 0);
});

test("T-C-12 the source's numbers: 1150 and 84 are 1234 calls at 0.9319, refusals apart", async () => {
  const { clock, breaker } = make({ failureThreshold: 1 });
  await ok(breaker, 1150);
  await fail(breaker, 84);
  const metrics = breaker.getMetrics();
  assert.deepEqual(
    [metrics.totalRequests, metrics.totalSuccesses, metrics.totalFailures],
    [1234, 1150, 84],
  );
  assert.equal(metrics.successRate.toFixed(4), "0.9319");
  assert.deepEqual([breaker.totalSuccesses, breaker.totalFailures], [1150, 84]);
  assert.equal(metrics.timeUntilRetry, 0);

  const other = make().breaker;
  assert.equal(other.getMetrics().successRate, 1);
  breaker.forceOpen();
  await assert.rejects(breaker.call(odds), CircuitBreakerOpenError);
  assert.equal(breaker.getMetrics().rejected, 1);
  assert.equal(breaker.getMetrics().totalRequests, 1234);
  clock.advance(1);
});

test("T-C-12 the time until a retry counts down, and is 0 when closed", async () => {
  const { clock, breaker } = make();
  await fail(breaker, 10);
  clock.advance(5000);
  assert.equal(breaker.getMetrics().timeUntilRetry, 10);
  assert.equal(breaker.getMetrics().timeInCurrentState, 5);
  breaker.reset();
  assert.equal(breaker.getMetrics().timeUntilRetry, 0);
});

test("T-C-13 a reset changes the state from open and half-open, not from closed", async () => {
  const { clock, breaker } = make();
  breaker.reset();
  assert.equal(breaker.getMetrics().stateChanges, 0);
  await fail(breaker, 10);
  breaker.reset();
  assert.equal(breaker.getMetrics().stateChanges, 2);
  await fail(breaker, 10);
  clock.advance(15_000);
  await ok(breaker, 1);
  breaker.reset();
  assert.deepEqual([breaker.state, breaker.getMetrics().stateChanges], ["CLOSED", 5]);
  assert.equal(breaker.totalFailures, 20);
});

test("T-C-14 arguments, values and errors are the same ones, plain functions are fine", async () => {
  const { breaker } = make();
  const value = { odds: 1.9 };
  assert.equal(await breaker.call((one: object) => one, value), value);
  assert.equal(await breaker.call((a: number, b: number) => Promise.resolve(a + b), 1, 2), 3);
  const error = new Error("mine");
  await assert.rejects(
    breaker.call(() => Promise.reject(error)),
    (seen) => seen === error,
  );
  await Promise.all(Array.from({ length: 10 }, () => breaker.call(odds)));
  assert.equal(breaker.totalSuccesses, 12);
});

test("forcing it open, half-open and closed", async () => {
  const { clock, breaker } = make();
  breaker.forceOpen();
  assert.equal(breaker.state, "OPEN");
  clock.advance(3_600_000);
  await assert.rejects(breaker.call(odds), CircuitBreakerOpenError);
  breaker.forceHalfOpen();
  assert.equal(breaker.state, "HALF_OPEN");
  await ok(breaker, 2);
  assert.equal(breaker.state, "CLOSED");
  breaker.forceHalfOpen();
  await fail(breaker, 1);
  assert.equal(breaker.state, "OPEN");
  breaker.forceClose();
  assert.equal(breaker.state, "CLOSED");
});

test("a fallback answers for refusals alone; a wrapped function keeps its shape", async () => {
  const { breaker } = make();
  await assert.rejects(
    breaker.callOr(() => "cached", broken),
    { message: "HTTP 500" },
  );
  const guarded = breaker.wrap((a: number, b: number) => a * b);
  assert.equal(await guarded(3, 4), 12);
  breaker.forceOpen();
  assert.equal(await breaker.callOr(() => "cached", broken), "cached");
  await assert.rejects(guarded(1, 1), CircuitBreakerOpenError);
});

test("a call with a time limit is given up, and has failed", async () => {
  const { clock, breaker } = make();
  const call = breaker.callWith({ timeoutMs: 50 }, () => new Promise(() => {}));
  clock.advance(50);
  await assert.rejects(call, { code: "SG_DEADLINE" });
  assert.equal(breaker.totalFailures, 1);
});

test("the source's keys", () => {
  const keys = Object.keys(toSnakeCase(make().breaker.getMetrics())).toSorted();
  assert.deepEqual(keys, [
    "config",
    "name",
    "recent_failure_rate",
    "recent_requests",
    "rejected",
    "state",
    "state_changes",
    "success_rate",
    "time_in_current_state",
    "time_until_retry",
    "total_failures",
    "total_requests",
    "total_successes",
  ]);
});

test("a registry makes each breaker once", async () => {
  const registry = new SlidingWindowRegistry();
  const breaker = registry.register("a", { minRequests: 1 });
  assert.equal(registry.register("a"), breaker);
  assert.equal(registry.get("b"), undefined);
  await assert.rejects(breaker.call(broken));
  assert.equal(registry.getAllStats().get("a")?.state, "OPEN");
  registry.resetAll();
  assert.equal(breaker.state, "CLOSED");
});

test("C-8 every transition, probe and refusal is logged, and a logger that throws harms nobody", async () => {
  const lines: string[] = [];
  const write = (_fields: object, message: string): void => {
    lines.push(message);
    throw new Error("disk full");
  };
  const { clock, breaker } = make({ logger: { info: write, warn: write } });
  await fail(breaker, 10);
  await assert.rejects(breaker.call(odds), CircuitBreakerOpenError);
  clock.advance(15_000);
  await ok(breaker, 2);
  assert.deepEqual(lines, [
    "deepseek: closed -> open",
    "deepseek: call refused (tripped)",
    "deepseek: open -> half-open",
    "deepseek: half-open -> closed",
  ]);
});
