// Specification 9.B through the names of the source system: its endpoint breaker and its backoff.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BackoffStrategy,
  ENDPOINT_STATE_CODES,
  EndpointBreaker,
  type EndpointBreakerOptions,
  type EndpointState,
} from "../../src/compat/index.ts";
import { isRefused } from "../../src/index.ts";
import { SeededRandom, VirtualClock } from "../../src/testing/index.ts";

const EP = "https://rpc.example.com/?key=1";
const OK = "S".repeat(20);
const MIDDLE = { next: () => 0.5 };

interface Rig {
  readonly breaker: EndpointBreaker;
  readonly clock: VirtualClock;
  readonly changes: string[];
}

/** Cooldowns of one second, unspread unless a chance is given. */
function rig(options: EndpointBreakerOptions = {}, threshold = 5, sampleSize = 50): Rig {
  const clock = new VirtualClock();
  const breaker = new EndpointBreaker(threshold, 1, sampleSize, {
    clock,
    random: MIDDLE,
    ...options,
  });
  const changes: string[] = [];
  breaker.setStateChangeCallback((endpoint, from, to) => {
    assert.equal(endpoint, EP);
    assert.equal(breaker.getEndpointState(EP), to, "told after the state is final");
    changes.push(`${from} -> ${to}`);
  });
  return { breaker, clock, changes };
}

function feed(breaker: EndpointBreaker, results: string, latencyMs?: number): void {
  for (const result of results) {
    if (result === "S") breaker.recordSuccessWithLatency(EP, latencyMs);
    else breaker.recordFailureWithLatency(EP, latencyMs);
  }
}

/** The number of each result that changed the state, and the new state. */
function trace(breaker: EndpointBreaker, results: string): string[] {
  const seen: string[] = [];
  let before = breaker.getEndpointState(EP);
  for (const [index, result] of [...results].entries()) {
    feed(breaker, result);
    const state = breaker.getEndpointState(EP);
    if (state !== before) seen.push(`${index + 1} ${state}`);
    before = state;
  }
  return seen;
}

function statsOf(breaker: EndpointBreaker) {
  const stats = breaker.getHealthStats().get(EP);
  assert.ok(stats);
  return stats;
}

function near(actual: number, expected: number, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}

/** Healthy to cooling down by failures in a row. */
function coolDown({ breaker }: Rig): void {
  while (breaker.getEndpointState(EP) !== "CoolingDown") breaker.recordFailure(EP);
}

test("T-B-01 the defaults, all eleven", () => {
  assert.deepEqual(new EndpointBreaker(5, 60, 50).getConfig(), {
    failureThreshold: 5,
    cooldownSeconds: 60,
    sampleSize: 50,
    canaryCount: 3,
    adaptiveThresholds: true,
    ewmaAlpha: 0.3,
    adaptiveSensitivity: 2,
    minHealthScore: 0.3,
    minSuccessRate: 0.3,
    canarySuccessThreshold: 0.66,
    maxBackoff: 1920,
  });
  const { canaryCount, adaptiveThresholds } = EndpointBreaker.withConfig(
    5,
    60,
    50,
    7,
    false,
  ).getConfig();
  assert.deepEqual([canaryCount, adaptiveThresholds], [7, false]);
});

test("T-B-01 the last three are clamped, and NaN is the default", () => {
  const full = (alpha: number, sensitivity: number, health: number): number[] => {
    const breaker = EndpointBreaker.withFullConfig(5, 60, 50, 3, true, alpha, sensitivity, health);
    const { ewmaAlpha, adaptiveSensitivity, minHealthScore } = breaker.getConfig();
    return [ewmaAlpha, adaptiveSensitivity, minHealthScore];
  };
  assert.deepEqual(full(0, 0.1, -1), [0.01, 0.5, 0]);
  assert.deepEqual(full(5, 9, 2), [1, 5, 1]);
  assert.deepEqual(full(0.4, 3, 0.6), [0.4, 3, 0.6]);
  assert.deepEqual(full(Number.NaN, Number.NaN, Number.NaN), [0.3, 2, 0.3]);
});

test("T-B-01 what cannot be clamped is refused, with every fault", () => {
  for (const [threshold, cooldown, samples, canaries] of [
    [0, 60, 50, 3],
    [1.5, 60, 50, 3],
    [5, -1, 50, 3],
    [5, 60, 0, 3],
    [5, 60, 101, 3],
    [5, 60, 50, 0],
  ] as const) {
    assert.throws(
      () => EndpointBreaker.withConfig(threshold, cooldown, samples, canaries, true),
      RangeError,
    );
  }
});

test("T-B-02 an unknown endpoint is healthy and available; asking for its state makes none", () => {
  const { breaker } = rig();
  assert.equal(breaker.getEndpointState(EP), "Healthy");
  assert.equal(breaker.getHealthStats().size, 0);
  assert.equal(breaker.isAvailable(EP), true);
  assert.equal(breaker.getHealthStats().size, 1);
  assert.throws(() => breaker.isAvailable(""), RangeError);
});

test("T-B-03 three failures degrade, six make it cool down", () => {
  const { breaker } = rig({}, 3);
  assert.deepEqual(trace(breaker, "FFF"), ["3 Degraded"]);
  assert.equal(breaker.isAvailable(EP), true);
  assert.deepEqual(trace(breaker, "FFFF"), ["3 CoolingDown"]);
  assert.equal(breaker.isAvailable(EP), false);
});

test("T-B-04 threshold 2: degraded at the second, cooling down at the fourth", () => {
  assert.deepEqual(trace(rig({}, 2).breaker, "FFFFF"), ["2 Degraded", "4 CoolingDown"]);
});

test("T-B-05 heals at the eighth success after three failures, not at the seventh", () => {
  const { breaker } = rig({}, 3);
  assert.deepEqual(trace(breaker, `FFF${"S".repeat(10)}`), ["3 Degraded", "11 Healthy"]);
});

test("T-B-06 the error rate's golden numbers", () => {
  for (const [results, expected] of [
    [OK, 0],
    [`${OK}F`, 0.3],
    [`${OK}FFFFF`, 0.83193],
    [`${OK}FSSS`, 0.1029],
    [`${OK}FSSSSS`, 0.050421],
    ["F".repeat(10), 1],
  ] as const) {
    const { breaker } = rig();
    feed(breaker, results);
    near(statsOf(breaker).ewmaErrorRate, expected);
  }
  const { breaker } = rig({ ewmaAlpha: 1 });
  feed(breaker, "SSF");
  assert.equal(statsOf(breaker).ewmaErrorRate, 1);
});

test("T-B-07 the first nine failures do not lower the threshold", () => {
  const { breaker } = rig({}, 30);
  feed(breaker, "F".repeat(9));
  assert.equal(statsOf(breaker).adaptiveThreshold, 30);
  feed(breaker, "F");
  assert.equal(statsOf(breaker).adaptiveThreshold, 10);
});

test("T-B-08 the threshold in force, by base", () => {
  for (const [base, expected] of [
    [5, 3],
    [1, 1],
    [2, 1],
  ] as const) {
    const { breaker } = rig({}, base);
    // A margin of 0.488.
    feed(breaker, `${OK}FSSSSS`);
    assert.equal(statsOf(breaker).adaptiveThreshold, expected);
  }
});

test("T-B-09 a hair trigger by default, none with adapting off or a floor of 3", () => {
  assert.deepEqual(trace(rig().breaker, `${OK}FF`), ["21 Degraded", "22 CoolingDown"]);
  assert.deepEqual(trace(rig({ adaptiveThresholds: false }).breaker, `${OK}FF`), []);
  assert.deepEqual(trace(rig({ adaptiveFloor: 3 }).breaker, `${OK}FF`), []);
});

test("T-B-10 a spike against a chronic fault", () => {
  const [spike, chronic] = [rig().breaker, rig().breaker];
  feed(spike, `${OK}FFFFF${OK}`);
  feed(chronic, "SFF".repeat(10));
  near(statsOf(spike).ewmaErrorRate, 0.000663816, 5e-10);
  near(statsOf(chronic).ewmaErrorRate, 0.776238211, 5e-10);
  assert.ok(statsOf(spike).successRate > statsOf(chronic).successRate);
  assert.ok(statsOf(spike).healthScore > statsOf(chronic).healthScore);
});

test("T-B-11 the health score's golden numbers", () => {
  for (const [results, latencyMs, expected] of [
    ["F", undefined, 0.5],
    ["F", 5000, 0.2],
    ["F", 2000, 0.3125],
    ["F", 2333, 0.3000125],
    ["S", 100, 0.985],
    ["SF", 1000, 0.6],
  ] as const) {
    const { breaker } = rig();
    feed(breaker, results, latencyMs);
    near(statsOf(breaker).healthScore, expected);
  }
});

test("T-B-12 slow failures are critical", () => {
  const { breaker } = rig();
  feed(breaker, "F", 3000);
  near(statsOf(breaker).healthScore, 0.275);
  assert.equal(breaker.getEndpointState(EP), "Degraded");
  feed(breaker, "F", 3000);
  assert.equal(breaker.getEndpointState(EP), "CoolingDown");
  const brisk = rig().breaker;
  feed(brisk, "F", 2000);
  assert.equal(brisk.getEndpointState(EP), "Healthy");
});

test("T-B-13 slow successes degrade only with a high least health", () => {
  const usual = rig().breaker;
  feed(usual, "S".repeat(60), 4000);
  near(statsOf(usual).healthScore, 0.7375);
  assert.equal(usual.getEndpointState(EP), "Healthy");
  const strict = rig({ minHealthScore: 0.8 }).breaker;
  feed(strict, "S", 4000);
  assert.equal(strict.getEndpointState(EP), "Degraded");
});

test("T-B-14 impossible latencies leave every number finite, and are counted", () => {
  const { breaker } = rig();
  for (const latencyMs of [Number.NaN, -50, Number.POSITIVE_INFINITY, 1e308]) {
    feed(breaker, "SF", latencyMs);
    const stats = statsOf(breaker);
    for (const value of Object.values(stats)) {
      if (typeof value === "number") assert.ok(Number.isFinite(value));
    }
    assert.ok(stats.healthScore >= 0 && stats.healthScore <= 1);
  }
  assert.equal(statsOf(breaker).invalidSamples, 6);
  assert.equal(statsOf(breaker).totalAttempts, 8);
});

test("T-B-15 the fifty-first latency and the hundred-and-first outcome evict the first", () => {
  const { breaker } = rig({ adaptiveThresholds: false });
  feed(breaker, "F", 1050);
  assert.equal(statsOf(breaker).latencyJitterMs, 0);
  feed(breaker, "S".repeat(49), 50);
  near(statsOf(breaker).avgLatencyMs, 70);
  // n − 1: fifty values, one of them a thousand away.
  near(statsOf(breaker).latencyJitterMs, Math.sqrt((980 ** 2 + 49 * 20 ** 2) / 49));
  feed(breaker, "S", 50);
  assert.equal(statsOf(breaker).avgLatencyMs, 50);
  feed(breaker, "S".repeat(49));
  assert.deepEqual(
    [statsOf(breaker).totalAttempts, statsOf(breaker).successfulAttempts],
    [100, 99],
  );
  feed(breaker, "S");
  assert.equal(statsOf(breaker).successRate, 1);
});

test("T-B-16 canaries at the end of the cooldown, not a millisecond before, however often asked", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const made = rig({ random: new SeededRandom(seed) });
    const { breaker, clock } = made;
    coolDown(made);
    const drawn = 1000 * (1 + 0.3 * (2 * new SeededRandom(seed).next() - 1));
    assert.ok(drawn >= 700 && drawn <= 1300);
    for (let n = 0; n < 1000; n += 1) assert.equal(breaker.isAvailable(EP), false);
    clock.advance(drawn - 1);
    assert.equal(breaker.isAvailable(EP), false);
    clock.advance(1.000001);
    assert.equal(breaker.isAvailable(EP), true);
    assert.equal(breaker.getEndpointState(EP), "HalfOpen");
  }
});

test("T-B-17 of a hundred who ask at once, three are canaries", () => {
  const made = rig();
  coolDown(made);
  made.clock.advance(1000);
  const answers = Array.from({ length: 100 }, () => made.breaker.isAvailable(EP));
  assert.equal(answers.filter(Boolean).length, 3);
  assert.deepEqual(answers.slice(0, 4), [true, true, true, false]);
});

/** Asks and answers, canary by canary. */
function canaries({ breaker, clock }: Rig, results: string): void {
  clock.advance(1300);
  for (const result of results) {
    breaker.isAvailable(EP);
    feed(breaker, result);
  }
}

test("T-B-18 two of three canaries are enough", () => {
  const made = rig();
  coolDown(made);
  canaries(made, "SSF");
  assert.equal(made.breaker.getEndpointState(EP), "Degraded");
  assert.equal(statsOf(made.breaker).consecutiveFailures, 0);
  assert.equal(statsOf(made.breaker).canaryProgress, null);
});

test("T-B-18 one of three is not, and the next cooldown is twice as long", () => {
  const made = rig();
  coolDown(made);
  canaries(made, "FFS");
  assert.equal(made.breaker.getEndpointState(EP), "CoolingDown");
  made.clock.advance(1999);
  assert.equal(made.breaker.isAvailable(EP), false);
  made.clock.advance(1);
  assert.equal(made.breaker.isAvailable(EP), true);
});

test("T-B-18 one of two is not", () => {
  const made = rig({ canaryCount: 2 });
  coolDown(made);
  canaries(made, "SF");
  assert.equal(made.breaker.getEndpointState(EP), "CoolingDown");
});

test("T-B-18 the progress is told while half-open", () => {
  const made = rig();
  coolDown(made);
  canaries(made, "SF");
  assert.deepEqual(statsOf(made.breaker).canaryProgress, [1, 2]);
});

test("T-B-19 the way back leads over degraded", () => {
  const made = rig();
  coolDown(made);
  canaries(made, "SSS");
  assert.equal(made.breaker.getEndpointState(EP), "Degraded");
  made.breaker.recordSuccess(EP);
  assert.deepEqual(made.changes, [
    "Healthy -> Degraded",
    "Degraded -> CoolingDown",
    "CoolingDown -> HalfOpen",
    "HalfOpen -> Degraded",
    "Degraded -> Healthy",
  ]);
});

test("T-B-20 slots of canaries that vanish are free again after their lease", () => {
  const made = rig();
  const { breaker, clock } = made;
  coolDown(made);
  clock.advance(1000);
  for (let n = 0; n < 3; n += 1) assert.ok(breaker.isAvailable(EP));
  clock.advance(29_999);
  assert.equal(breaker.isAvailable(EP), false);
  clock.advance(1);
  for (let n = 0; n < 3; n += 1) assert.ok(breaker.isAvailable(EP));
  assert.equal(breaker.isAvailable(EP), false);
  feed(breaker, "SSS");
  assert.equal(breaker.getEndpointState(EP), "Degraded");
});

test("T-B-21 a result of before the cooldown is no canary's", () => {
  const made = rig();
  const { breaker, clock } = made;
  const [early, earlier] = [breaker.acquire(EP), breaker.acquire(EP)];
  coolDown(made);
  clock.advance(1000);
  const canary = breaker.acquire(EP);
  assert.equal(breaker.getEndpointState(EP), "HalfOpen");
  early?.success(5);
  earlier?.failure(5);
  assert.deepEqual(statsOf(breaker).canaryProgress, [0, 0]);
  assert.deepEqual([statsOf(breaker).lateOk, statsOf(breaker).lateFailed], [1, 1]);
  assert.equal(statsOf(breaker).avgLatencyMs, 0);
  canary?.success(5);
  assert.deepEqual(statsOf(breaker).canaryProgress, [1, 1]);
});

test("T-B-22 asking a thousand times does not age a critical endpoint", () => {
  const { breaker, clock, changes } = rig();
  feed(breaker, "F", 3000);
  for (let n = 0; n < 1000; n += 1) {
    assert.equal(breaker.isAvailable(EP), true);
    clock.advance(100);
  }
  assert.deepEqual(changes, ["Healthy -> Degraded"]);
});

test("T-B-23 the backoff saturates within its bounds", () => {
  const backoff = new BackoffStrategy(100, 100_000_000, { random: new SeededRandom(7) });
  let cap = 100;
  for (let n = 0; n < 100; n += 1) {
    cap = Math.min(cap * 2, 100_000_000);
    const delayMs = backoff.nextDelay();
    assert.ok(Number.isInteger(delayMs));
    assert.ok(delayMs >= Math.floor(0.7 * cap) && delayMs <= 1.3 * cap, `${n}: ${delayMs}`);
  }
  assert.equal(backoff.attempt, 63);
  const now = backoff.currentDelay();
  assert.ok(now >= 70_000_000 && now <= 130_000_000);
  assert.equal(backoff.attempt, 63);
  backoff.reset();
  assert.equal(backoff.attempt, 0);
  assert.ok(backoff.nextDelay() < 1000);
});

test("T-B-23 the backoff at its edges", () => {
  const capped = new BackoffStrategy(5000, 5000, { random: new SeededRandom(3) });
  for (let n = 0; n < 50; n += 1) {
    const delayMs = capped.nextDelay();
    assert.ok(delayMs >= 3500 && delayMs <= 6500);
  }
  // What the source calls u64::MAX.
  for (const maxMs of [Number.MAX_SAFE_INTEGER, 2 ** 64, Number.POSITIVE_INFINITY]) {
    const vast = new BackoffStrategy(1000, maxMs, { random: { next: () => 0.999 } });
    for (let n = 0; n < 70; n += 1) {
      const delayMs = vast.nextDelay();
      assert.ok(Number.isSafeInteger(delayMs) && delayMs > 0);
    }
  }
  const tiny = new BackoffStrategy(1, 1, { random: { next: () => 0 } });
  assert.deepEqual([tiny.currentDelay(), tiny.nextDelay()], [1, 1]);
  assert.equal(new BackoffStrategy(0, 10).nextDelay(), 0);
  assert.ok(new BackoffStrategy(100, 1000).nextDelay() > 0);
  assert.throws(() => new BackoffStrategy(-1, 10), RangeError);
  assert.throws(() => new BackoffStrategy(10, Number.NaN), RangeError);
});

test("T-B-24 a cooldown of more than 2^31 ms is as long as it says", () => {
  const clock = new VirtualClock();
  const breaker = new EndpointBreaker(1, 2_592_000, 50, { clock, random: MIDDLE });
  feed(breaker, "FF");
  assert.equal(breaker.getEndpointState(EP), "CoolingDown");
  assert.equal(clock.pendingTimers, 0);
  clock.advance(2_592_000_000 - 1);
  assert.equal(breaker.isAvailable(EP), false);
  clock.advance(1);
  assert.equal(breaker.isAvailable(EP), true);
});

test("T-B-25 half-open times that fail in a row double the cooldown up to 32 times", () => {
  for (const [legacyFirstBackoff, nominal] of [
    [false, [1, 2, 4, 8, 16, 32, 32, 32]],
    [true, [2, 4, 8, 16, 32, 32]],
  ] as const) {
    const made = rig({ legacyFirstBackoff });
    const { breaker, clock } = made;
    coolDown(made);
    for (const seconds of nominal) {
      clock.advance(seconds * 1000 - 1);
      assert.equal(breaker.isAvailable(EP), false, `${seconds}`);
      clock.advance(1);
      assert.equal(breaker.isAvailable(EP), true, `${seconds}`);
      assert.equal(breaker.isAvailable(EP), true);
      feed(breaker, "FF");
      assert.equal(breaker.getEndpointState(EP), "CoolingDown");
    }
  }
});

test("T-B-26 a callback that throws or rejects harms nobody, and is logged", async () => {
  const lines: string[] = [];
  const log = (_fields: object, message: string): void => void lines.push(message);
  const made = rig({ logger: { debug: () => {}, info: () => {}, warn: () => {}, error: log } });
  made.breaker.setStateChangeCallback(() => {
    throw new Error("callback");
  });
  coolDown(made);
  assert.deepEqual(lines, [
    "State change callback failed",
    "Endpoint OPENED",
    "State change callback failed",
  ]);
  made.breaker.setStateChangeCallback(() => Promise.reject(new Error("callback")));
  made.breaker.resetAll();
  await Promise.resolve();
  assert.equal(made.breaker.getEndpointState(EP), "Healthy");
  assert.equal(lines.length, 4);
});

test("T-B-26 a callback may call back in", () => {
  const { breaker } = rig();
  const changes: string[] = [];
  breaker.setStateChangeCallback((_endpoint, from, to) => {
    changes.push(`${from} -> ${to}`);
    // More failures while the first transition is still being told.
    if (to === "Degraded") feed(breaker, "FFFFF");
    if (to === "CoolingDown") breaker.resetAll();
  });
  feed(breaker, "FFFFF");
  assert.deepEqual(changes, [
    "Healthy -> Degraded",
    "Degraded -> CoolingDown",
    "CoolingDown -> Healthy",
  ]);
  assert.equal(breaker.getEndpointState(EP), "Healthy");
  assert.equal(statsOf(breaker).consecutiveFailures, 0);
  assert.equal(statsOf(breaker).failures, 10);
});

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function logged(options: EndpointBreakerOptions = {}): Rig & { readonly lines: Line[] } {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (fields: Record<string, unknown>): void =>
      void lines.push({ level, fields });
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { ...rig({ logger, ...options }), lines };
}

test("T-B-27 each transition is logged with its fields, at its level", () => {
  const made = logged();
  const { breaker, lines } = made;
  feed(breaker, `${OK.slice(1)}F`, 45.2);
  assert.deepEqual(lines.at(-1), {
    level: "info",
    fields: {
      endpoint: EP,
      state_transition: "Healthy -> Degraded",
      reason: "failure_threshold_exceeded",
      fail_count: 1,
      success_rate: "95.00%",
      latency_ms: 45.2,
    },
  });
  coolDown(made);
  canaries(made, "SSS");
  feed(breaker, "S");
  const transitions = lines.filter(({ fields }) => "state_transition" in fields);
  assert.deepEqual(
    transitions.map(({ level, fields }) => [level, fields["state_transition"], fields["reason"]]),
    [
      ["info", "Healthy -> Degraded", "failure_threshold_exceeded"],
      ["error", "Degraded -> CoolingDown", "failure_threshold_exceeded"],
      ["warn", "CoolingDown -> HalfOpen", "cooldown_expired"],
      ["info", "HalfOpen -> Degraded", "canary_passed"],
      ["info", "Degraded -> Healthy", "success"],
    ],
  );
  // Nobody told how long that one took.
  assert.equal("latency_ms" in (transitions[1]?.fields ?? {}), false);
});

test("T-B-27 the other reasons", () => {
  const reasons = (made: Rig & { readonly lines: Line[] }): unknown[] =>
    made.lines.flatMap(({ fields }) => ("reason" in fields ? [fields["reason"]] : []));

  const slow = logged();
  feed(slow.breaker, "FF", 3000);
  assert.deepEqual(reasons(slow), ["health_score_critical", "health_score_critical"]);
  canaries(slow, "FF");
  slow.breaker.resetAll();
  assert.deepEqual(reasons(slow).slice(2), ["cooldown_expired", "canary_failed", "manual_reset"]);

  const rare = logged({ adaptiveThresholds: false });
  feed(rare.breaker, "FFFFF");
  feed(rare.breaker, "SFFFF".repeat(9));
  assert.equal(reasons(rare).at(-1), "low_success_rate");
});

test("T-B-27 results that change nothing: success debug, failure warn, once each", () => {
  const { breaker, lines } = logged();
  feed(breaker, "S", 7);
  breaker.recordFailure(EP);
  const permit = breaker.acquire(EP);
  permit?.failure(3);
  permit?.success(3);
  assert.deepEqual(lines, [
    {
      level: "debug",
      fields: { endpoint: EP, fail_count: 0, success_rate: "100.00%", latency_ms: 7 },
    },
    { level: "warn", fields: { endpoint: EP, fail_count: 1, success_rate: "50.00%" } },
    {
      level: "warn",
      fields: { endpoint: EP, fail_count: 2, success_rate: "33.33%", latency_ms: 3 },
    },
  ]);
});

test("T-B-27 a latency is logged with what it caused, and with nothing else", () => {
  const made = logged({ canaryCount: 1 });
  const { breaker, clock, lines } = made;
  for (let n = 0; n < 10; n += 1) breaker.recordFailureWithLatency("other", 20);
  clock.advance(1000);
  // While the first endpoint's change is told, another one changes; then that one, without a result.
  breaker.setStateChangeCallback((endpoint, _from, to) => {
    if (endpoint === EP && to === "Degraded") breaker.isAvailable("other");
  });
  feed(breaker, "F".repeat(10), 30);
  clock.advance(1000);
  breaker.isAvailable(EP);
  const latencies = lines
    .filter(({ fields }) => String(fields["state_transition"]).endsWith("HalfOpen"))
    .map(({ fields }) => [fields["endpoint"], fields["latency_ms"]]);
  assert.deepEqual(latencies, [
    ["other", undefined],
    [EP, undefined],
  ]);
});

test("T-B-27 a logger that throws harms nobody", () => {
  const fail = (): never => {
    throw new Error("disk full");
  };
  const made = rig({ logger: { debug: fail, info: fail, warn: fail, error: fail } });
  coolDown(made);
  assert.deepEqual(made.changes, ["Healthy -> Degraded", "Degraded -> CoolingDown"]);
});

test("T-B-39 resetAll makes every endpoint as new, tells of it, and counts from one", () => {
  const made = rig();
  const { breaker, changes } = made;
  const asNew = { ...statsOf((breaker.isAvailable(EP), breaker)) };
  feed(breaker, "F".repeat(10), 80);
  changes.length = 0;
  breaker.resetAll();
  assert.deepEqual(changes, ["CoolingDown -> Healthy"]);
  // What was counted since it was made stays counted.
  const { failures, lastOpenedAt, ...rest } = statsOf(breaker);
  assert.equal(failures, 10);
  assert.equal(lastOpenedAt, made.clock.now());
  assert.deepEqual({ ...rest, failures: 0, lastOpenedAt: null }, asNew);
  breaker.recordFailure(EP);
  assert.equal(statsOf(breaker).consecutiveFailures, 1);
  assert.equal(breaker.getEndpointState(EP), "Healthy");
  // And the first cooldown is the first again.
  coolDown(made);
  made.clock.advance(1000);
  assert.equal(breaker.isAvailable(EP), true);
});

test("T-B-40 ten thousand endpoints keep a bounded number of samples each", () => {
  const breaker = new EndpointBreaker(1000, 60, 50, { random: MIDDLE });
  for (let n = 0; n < 10_000; n += 1) {
    const results = n === 5 ? 200 : 1;
    for (let k = 0; k < results; k += 1) breaker.recordFailureWithLatency(`ep-${n}`, 10);
  }
  assert.equal(breaker.getHealthStats().size, 10_000);
  assert.equal(breaker.getHealthStats().get("ep-5")?.totalAttempts, 100);
});

test("T-B-40 idle endpoints make room, others never", () => {
  const { breaker } = rig({ endpointsMax: 3 });
  breaker.setStateChangeCallback(() => {});
  for (let n = 0; n < 10; n += 1) breaker.recordFailure("down");
  breaker.recordFailure("failed once");
  breaker.recordSuccess("idle");
  breaker.recordSuccess("new");
  assert.deepEqual([...breaker.getHealthStats().keys()].toSorted(), ["down", "failed once", "new"]);
  // A call under way is a claim.
  const permit = breaker.acquire("new");
  assert.equal(breaker.isAvailable("one more"), true);
  assert.equal(breaker.getHealthStats().has("new"), true);
  permit?.release();
  breaker.recordSuccess("one more");
  assert.equal(breaker.getHealthStats().has("one more"), true);
});

test("withEndpoint records successes and failures, and refuses when the endpoint may not be called", async () => {
  const made = rig({}, 1);
  const { breaker, clock } = made;
  const value = {};
  assert.equal(
    await breaker.withEndpoint(EP, () => {
      clock.advance(40);
      return Promise.resolve(value);
    }),
    value,
  );
  assert.equal(statsOf(breaker).avgLatencyMs, 40);
  const boom = new Error("boom");
  for (let n = 0; n < 2; n += 1) {
    await assert.rejects(
      breaker.withEndpoint(EP, () => {
        clock.advance(60);
        throw boom;
      }),
      (error) => error === boom,
    );
  }
  assert.equal(statsOf(breaker).failures, 2);
  assert.equal(breaker.getEndpointState(EP), "CoolingDown");
  let called = false;
  await assert.rejects(
    breaker.withEndpoint(EP, () => (called = true)),
    (error: Error & { retryAfterMs?: number; lastError?: string }) => {
      assert.ok(isRefused(error));
      assert.equal(error.retryAfterMs, 1000);
      assert.equal(error.lastError, "boom");
      return true;
    },
  );
  assert.equal(called, false);
});

test("withEndpoint gives a canary's slot back when the caller went away", async () => {
  const made = rig({ canaryCount: 1 });
  coolDown(made);
  made.clock.advance(1000);
  const aborted = Object.assign(new Error("gone"), { name: "AbortError" });
  await assert.rejects(
    made.breaker.withEndpoint(EP, () => Promise.reject(aborted)),
    aborted,
  );
  assert.equal(statsOf(made.breaker).inFlight, 0);
  assert.equal(made.breaker.getEndpointState(EP), "HalfOpen");
  await made.breaker.withEndpoint(EP, () => 1);
  assert.equal(made.breaker.getEndpointState(EP), "Degraded");
});

test("acquire tells callers apart, and a permit counts once", () => {
  const made = rig();
  const { breaker, clock } = made;
  coolDown(made);
  assert.equal(breaker.acquire(EP), null);
  clock.advance(1000);
  const permits = [breaker.acquire(EP), breaker.acquire(EP), breaker.acquire(EP)];
  assert.equal(breaker.acquire(EP), null);
  permits[0]?.release();
  permits[0]?.failure(1);
  {
    using next = breaker.acquire(EP);
    assert.equal(next?.endpoint, EP);
  }
  permits[1]?.success(1);
  permits[1]?.success(1);
  assert.deepEqual(statsOf(breaker).canaryProgress, [1, 1]);
  assert.equal(statsOf(breaker).inFlight, 1);
});

test("the listings are reads", () => {
  const clock = new VirtualClock();
  const breaker = new EndpointBreaker(2, 1, 50, { clock, random: MIDDLE, canaryCount: 1 });
  breaker.recordSuccess("healthy");
  for (let n = 0; n < 2; n += 1) breaker.recordFailure("degraded");
  for (let n = 0; n < 4; n += 1) breaker.recordFailure("cooling");
  assert.deepEqual(breaker.getHealthyEndpoints(), ["healthy"]);
  assert.deepEqual(breaker.getAvailableEndpoints(), ["healthy", "degraded"]);
  clock.advance(1000);
  for (let n = 0; n < 10; n += 1) {
    assert.deepEqual(breaker.getAvailableEndpoints(), ["healthy", "degraded", "cooling"]);
  }
  assert.equal(breaker.getEndpointState("cooling"), "CoolingDown");
  assert.equal(breaker.isAvailable("cooling"), true);
  assert.deepEqual(breaker.getAvailableEndpoints(), ["healthy", "degraded"]);
});

test("the state's numbers are those of the source system", () => {
  const made = rig();
  const seen: Partial<Record<EndpointState, number>> = {};
  const look = (): void =>
    void (seen[statsOf(made.breaker).state] = statsOf(made.breaker).stateCode);
  feed(made.breaker, "FFFFF");
  look();
  coolDown(made);
  look();
  made.clock.advance(1000);
  made.breaker.isAvailable(EP);
  look();
  made.breaker.resetAll();
  look();
  assert.deepEqual(seen, { Healthy: 0, Degraded: 1, CoolingDown: 2, HalfOpen: 3 });
  assert.deepEqual({ ...ENDPOINT_STATE_CODES }, seen);
});
