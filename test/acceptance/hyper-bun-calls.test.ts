// Specification 9.A through the names of the drop-in: what is counted, and what becomes of a call.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  CircuitBreakerTrippedError,
  LoadShedError,
  ProductionCircuitBreaker,
  TimeoutError,
  type ResultClassifier,
} from "../../src/hyper-bun/index.ts";
import { BreakerOpenError, isRefused } from "../../src/index.ts";
import { drop, fail } from "../support/hyper-bun.ts";

const CONTEXT = { operation: "odds", estimatedLoad: 50 };

test("T-A-01 a fresh database gets both tables with their columns, and nothing is in them", () => {
  const { breaker, db } = drop();
  const columns = (table: string): unknown[] =>
    db
      .prepare("SELECT name FROM pragma_table_info(?)")
      .all(table)
      .map((row) => row["name"]);
  assert.deepEqual(columns("circuit_breaker_state").slice(0, 15), [
    "bookmaker",
    "failure_count",
    "last_failure_at",
    "tripped",
    "trip_count",
    "last_error",
    "avg_latency",
    "last_reset_at",
    "last_reset_by",
    "last_reset_reason",
    "updated_at",
    "tripped_until",
    "tripped_at",
    "last_success_at",
    "manual",
  ]);
  assert.deepEqual(columns("circuit_breaker_audit").slice(0, 7), [
    "id",
    "bookmaker",
    "action",
    "reason",
    "user",
    "timestamp",
    "forced",
  ]);
  assert.equal(db.prepare("SELECT count(*) AS n FROM circuit_breaker_state").get()?.["n"], 0);
  assert.deepEqual(breaker.getAllStatus(), []);
});

test("T-A-02 nine failures do not trip, the tenth does, once, and says so everywhere", async () => {
  const made = drop();
  await fail(made, 9);
  assert.equal(made.breaker.isTripped("dk"), false);
  assert.equal(made.breaker.getStatus("dk")?.failures, 9);
  await fail(made, 1, "dk", "HTTP 503");
  const status = made.breaker.getStatus("dk");
  assert.equal(status?.tripped, true);
  assert.equal(status?.failures, 10);
  assert.equal(status?.tripCount, 1);
  assert.equal(made.audits().length, 1);
  assert.match(made.audits()[0] ?? "", /^TRIP system /);
  assert.equal(made.metrics.counters.get("circuit_breaker_trips_total{bookmaker=dk}"), 1);
  assert.equal(made.metrics.gauges.get("circuit_breaker_tripped{bookmaker=dk}"), 1);
  assert.equal(made.metrics.gauges.get("circuit_breaker_failures_1m{bookmaker=dk}"), 10);
  assert.deepEqual(made.logged("HBCB-002"), [
    "[CIRCUIT_BREAKER] TRIPPED: dk after 10 failures. Last error: HTTP 503. Manual intervention required.",
  ]);
});

test("T-A-03 the constructor's positions are threshold, reset timeout, cooldown", async () => {
  const made = drop({ threshold: 5, resetTimeoutMs: 20_000, cooldownMs: 30_000 });
  await fail(made, 4);
  assert.equal(made.breaker.isTripped("dk"), false);
  await fail(made, 1);
  const status = made.breaker.getStatus("dk");
  assert.equal(status?.tripped, true);
  assert.equal(status?.failureThreshold, 5);
  assert.equal(status?.cooldownRemainingMs, 30_000);
  assert.equal((status?.trippedUntil ?? 0) - (status?.trippedAt ?? 0), 20_000);
});

test("T-A-04 a timeout weighs half, by either name: nineteen do not trip, twenty do", async () => {
  const { breaker } = drop();
  await breaker.recordFailure("dk", "e", true);
  assert.equal(breaker.getStatus("dk")?.failures, 0.5);
  await breaker.recordTimeout("dk");
  assert.equal(breaker.getStatus("dk")?.failures, 1);
  for (let n = 2; n < 19; n += 1) await breaker.recordTimeout("dk", "slow");
  assert.equal(breaker.isTripped("dk"), false);
  await breaker.recordTimeout("dk", "slow");
  assert.equal(breaker.isTripped("dk"), true);
});

test("T-A-05 five failures and ten timeouts trip on the last of them; nine timeouts do not", async () => {
  const made = drop();
  await fail(made, 5);
  for (let n = 0; n < 9; n += 1) await made.breaker.recordTimeout("dk");
  assert.equal(made.breaker.getStatus("dk")?.failures, 9.5);
  assert.equal(made.breaker.isTripped("dk"), false);
  await made.breaker.recordTimeout("dk");
  assert.equal(made.breaker.isTripped("dk"), true);
});

test("T-A-06 configured weights add up exactly: a hundred of 0.1 are 10", async () => {
  const { breaker } = drop({ options: { weights: { timeout: 0.1 } } });
  for (let n = 0; n < 99; n += 1) await breaker.recordTimeout("dk");
  assert.equal(breaker.isTripped("dk"), false);
  await breaker.recordTimeout("dk");
  assert.equal(breaker.isTripped("dk"), true);
  assert.equal(breaker.getStatus("dk")?.failures, 10);
  const heavy = drop({ options: { weights: { failure: 5 } } });
  await fail(heavy, 2);
  assert.equal(heavy.breaker.isTripped("dk"), true);
});

test("T-A-07, T-A-09 a success takes the count to zero and moves the average", async () => {
  const made = drop();
  await fail(made, 9);
  await made.breaker.recordSuccess("dk", 150);
  assert.equal(made.breaker.getStatus("dk")?.failures, 0);
  assert.equal(made.breaker.getStatus("dk")?.avgLatency, 150);
  await made.breaker.recordSuccess("dk", 250);
  assert.equal(made.breaker.getStatus("dk")?.avgLatency, 170);
  assert.equal(made.metrics.gauges.get("circuit_breaker_latency_ms{bookmaker=dk}"), 170);
  await fail(made, 9);
  assert.equal(made.breaker.isTripped("dk"), false);
});

test("T-A-08 a direct success on a tripped breaker zeroes the count and leaves it tripped", async () => {
  const { breaker } = drop();
  breaker.trip("dk", "x");
  await breaker.recordSuccess("dk", 150);
  const { failures, avgLatency, tripped } = breaker.getStatus("dk") ?? {};
  assert.deepEqual(
    { failures, avgLatency, tripped },
    { failures: 0, avgLatency: 150, tripped: true },
  );
});

test("T-A-10 a latency that is none is dropped, and the outcome stands", async () => {
  const made = drop();
  await made.breaker.recordSuccess("dk", 150);
  const bad: unknown[] = [Number.NaN, -5, Number.POSITIVE_INFINITY, undefined, "7", null];
  for (const latency of bad) {
    await fail(made, 1);
    await made.breaker.recordSuccess("dk", latency as number);
    assert.equal(made.breaker.getStatus("dk")?.failures, 0);
  }
  assert.equal(made.breaker.getStatus("dk")?.avgLatency, 150);
  assert.equal(
    made.db.prepare("SELECT avg_latency AS a FROM circuit_breaker_state").get()?.["a"],
    150,
  );
  const invalid = "circuit_breaker_invalid_samples_total{bookmaker=dk}";
  assert.equal(made.metrics.counters.get(invalid), 5);
});

test("T-A-11 the result is the same object; the function is called once, without arguments", async () => {
  const { breaker } = drop();
  const value = { data: "success" };
  const calls: unknown[][] = [];
  const fn = (...args: unknown[]): Promise<typeof value> => {
    calls.push(args);
    return Promise.resolve(value);
  };
  assert.equal(await breaker.callApi("dk", fn, CONTEXT), value);
  assert.deepEqual(calls, [[]]);
  assert.notEqual(breaker.getStatus("dk")?.lastSuccessAt, null);
});

test("T-A-12 undefined, null, 0 and false are successes and come back unchanged", async () => {
  const made = drop();
  for (const value of [undefined, null, 0, false]) {
    await fail(made, 1);
    assert.equal(await made.breaker.callApi("dk", () => Promise.resolve(value), CONTEXT), value);
    assert.equal(made.breaker.getStatus("dk")?.failures, 0);
  }
});

const FAILURES: readonly (readonly [id: string, error: unknown, weight: number, text: string])[] = [
  [
    "T-A-13 a TimeoutError",
    new TimeoutError(5000, "Request took too long"),
    0.5,
    "Request took too long",
  ],
  ["T-A-13 a text with timeout", new Error("Request timeout"), 0.5, "Request timeout"],
  ["T-A-14 a 500", new Error("500 Internal Server Error"), 1, "500 Internal Server Error"],
  [
    "T-A-16 a 504 with its status",
    Object.assign(new Error("504 Gateway Timeout"), { status: 504 }),
    1,
    "504 Gateway Timeout",
  ],
  ["T-A-16 a 504 as text only", new Error("504 Gateway Timeout"), 0.5, "504 Gateway Timeout"],
  ["T-A-17 a string", "plain", 1, "plain"],
  ["T-A-17 undefined", undefined, 1, "no reason given"],
];

for (const [id, error, weight, text] of FAILURES) {
  test(`${id} is rethrown as it is and weighs ${weight}, rejected or thrown`, async () => {
    for (const fn of [
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ]) {
      const { breaker } = drop();
      const thrown: unknown = await breaker.callApi("dk", fn, CONTEXT).then(
        () => assert.fail("did not reject"),
        (reason: unknown) => reason,
      );
      assert.equal(thrown, error);
      assert.equal(breaker.getStatus("dk")?.failures, weight);
      assert.equal(breaker.getStatus("dk")?.lastError, text);
    }
  });
}

test("T-A-15 a real fetch that times out weighs half on this runtime", async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  try {
    const { breaker } = drop();
    const slow = (): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(50) });
    await assert.rejects(breaker.callApi("dk", slow, CONTEXT), { name: "TimeoutError" });
    assert.equal(breaker.getStatus("dk")?.failures, 0.5);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("T-A-18 a tripped breaker refuses without running the function, a thousand times in a second", async () => {
  const made = drop();
  const { breaker, clock } = made;
  await fail(made, 10, "dk", "HTTP 503");
  const { trippedAt } = breaker.getStatus("dk") ?? {};
  clock.advance(1000.5);
  let calls = 0;

  const started = performance.now();
  for (let n = 0; n < 1000; n += 1) {
    await assert.rejects(
      breaker.callApi("dk", () => Promise.resolve((calls += 1)), CONTEXT),
      (error: unknown) => {
        assert.ok(error instanceof CircuitBreakerTrippedError);
        assert.ok(error instanceof Error && error instanceof BreakerOpenError && isRefused(error));
        assert.equal(error.name, "CircuitBreakerTrippedError");
        assert.equal(error.bookmaker, "dk");
        assert.equal(error.operation, "odds");
        assert.equal(error.remainingMs, 58_999.5);
        assert.equal(error.trippedAt, trippedAt);
        assert.equal(error.lastError, "HTTP 503");
        assert.equal(error.manual, false);
        return true;
      },
    );
  }

  assert.ok(performance.now() - started < 1000);
  assert.equal(calls, 0);
  assert.equal(breaker.getStatus("dk")?.failures, 10);
  const series = "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=tripped}";
  assert.equal(made.metrics.counters.get(series), 1000);
  assert.equal(
    made.logged("HBCB-003")[0],
    "[CIRCUIT_BREAKER] Rejected odds for dk: circuit tripped (59000ms remaining)",
  );
});

test("T-A-19 a heavy call is shed while the process is loaded, before it starts", async () => {
  const made = drop();
  made.breaker.getSystemLoad = () => 0.9;
  let calls = 0;
  const context = { operation: "high_load_op", estimatedLoad: 200 };
  await assert.rejects(
    made.breaker.callApi("dk", () => Promise.resolve((calls += 1)), context),
    (error: unknown) => {
      assert.ok(error instanceof LoadShedError && isRefused(error));
      assert.equal(error.name, "LoadShedError");
      assert.equal(error.bookmaker, "dk");
      assert.equal(error.systemLoad, 0.9);
      assert.equal(error.operationLoad, 200);
      assert.equal(error.threshold, 0.85);
      assert.match(error.message, /high_load_op for dk/);
      return true;
    },
  );
  assert.equal(calls, 0);
  const { counters } = made.metrics;
  const labels = "bookmaker=dk,operation=high_load_op";
  assert.equal(counters.get(`circuit_breaker_rejected_total{${labels},reason=load_shed}`), 1);
  assert.equal(counters.get(`load_shed_rejected_total{${labels}}`), 1);
  assert.deepEqual(made.logged("HBCB-004"), [
    "[CIRCUIT_BREAKER] Load shed high_load_op for dk: system load 90.0%, operation load 200",
  ]);
  // A call that was shed says nothing about the bookmaker.
  assert.equal(made.breaker.getStatus("dk"), null);
});

test("T-A-20 exactly at the threshold, or exactly as heavy, is not shed", async () => {
  const { breaker } = drop();
  const run = (systemLoad: number, estimatedLoad: number): Promise<number> => {
    breaker.getSystemLoad = () => systemLoad;
    return breaker.callApi("dk", () => Promise.resolve(1), { operation: "x", estimatedLoad });
  };
  assert.equal(await run(0.85, 101), 1);
  assert.equal(await run(0.86, 100), 1);
  await assert.rejects(run(0.8501, 101), LoadShedError);
});

test("the shedder's thresholds are options", async () => {
  const { breaker } = drop({ options: { loadShedding: { threshold: 0.5, operationLoad: 40 } } });
  breaker.getSystemLoad = () => 0.6;
  await assert.rejects(
    breaker.callApi("dk", () => Promise.resolve(1), CONTEXT),
    (error: unknown) => error instanceof LoadShedError && error.threshold === 0.5,
  );
});

test("getSystemLoad is measured, and pending requests are part of it", () => {
  const pending = { now: 0 };
  const { breaker } = drop({
    options: { loadMode: "max", pendingRequests: () => pending.now, maxPendingRequests: 10 },
  });
  // Back to the method of the class.
  delete (breaker as { getSystemLoad?: unknown }).getSystemLoad;
  pending.now = 10;
  assert.equal(breaker.getSystemLoad(), 1);
});

test("T-A-21 tripped wins over loaded: one reason is counted", async () => {
  const made = drop();
  made.breaker.getSystemLoad = () => 1;
  made.breaker.trip("dk", "x");
  const heavy = { operation: "odds", estimatedLoad: 500 };
  await assert.rejects(
    made.breaker.callApi("dk", () => Promise.resolve(1), heavy),
    CircuitBreakerTrippedError,
  );
  const rejected = [...made.metrics.counters.keys()].filter((key) => key.includes("rejected"));
  assert.deepEqual(rejected, [
    "circuit_breaker_rejected_total{bookmaker=dk,operation=odds,reason=tripped}",
  ]);
});

test("T-A-22 a load that throws or is NaN refuses nothing, one of 5 means 1, and a throw is told", async () => {
  const made = drop();
  const run = (): Promise<number> =>
    made.breaker.callApi("dk", () => Promise.resolve(1), { operation: "x", estimatedLoad: 500 });
  made.breaker.getSystemLoad = () => {
    throw new Error("no /proc");
  };
  assert.equal(await run(), 1);
  assert.equal(await run(), 1);
  const warnings = made.logs.filter(({ message }) => message.includes("no /proc"));
  assert.deepEqual(
    warnings.map(({ level }) => level),
    ["warn"],
  );
  made.breaker.getSystemLoad = () => Number.NaN;
  assert.equal(await run(), 1);
  made.breaker.getSystemLoad = () => 5;
  await assert.rejects(run(), (error: unknown) => (error as LoadShedError).systemLoad === 1);
});

test("T-A-23 a missing context, a NaN load and an empty operation run with the defaults", async () => {
  const made = drop();
  made.breaker.getSystemLoad = () => 1;
  const run = (context?: object | null): Promise<number> =>
    made.breaker.callApi("dk", () => Promise.resolve(1), context);
  assert.equal(await run(), 1);
  assert.equal(await run(null), 1);
  assert.equal(await run({ operation: "", estimatedLoad: Number.NaN }), 1);
  assert.equal(await run({ operation: 7, estimatedLoad: "500" }), 1);
  const heavy = { operation: 7, estimatedLoad: 500 };
  await assert.rejects(run(heavy), { operation: "unknown" });
  await assert.rejects(run({ estimatedLoad: Number.POSITIVE_INFINITY }), {
    operation: "unknown",
    operationLoad: 1000,
  });
});

test("mistakes of the caller's are told to the caller, and count against nobody", async () => {
  const { breaker, db } = drop();
  const nothing = undefined as unknown as () => Promise<number>;
  await assert.rejects(breaker.callApi("dk", nothing, CONTEXT), TypeError);
  await assert.rejects(
    breaker.callApi("", () => Promise.resolve(1), CONTEXT),
    TypeError,
  );
  for (const name of ["", undefined as unknown as string]) {
    assert.throws(() => breaker.trip(name, "x"), TypeError);
    assert.throws(() => breaker.reset(name), TypeError);
    assert.throws(() => void breaker.recordFailure(name, "x"), TypeError);
  }
  assert.deepEqual(breaker.getAllStatus(), []);
  assert.equal(db.prepare("SELECT count(*) AS n FROM circuit_breaker_audit").get()?.["n"], 0);
});

test("T-A-24 metrics, logger and alert callback that throw or reject change nothing", async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  const broken = (): never => {
    throw new Error("host bug");
  };
  const rejecting = (): Promise<never> => Promise.reject(new Error("host bug, later"));
  try {
    for (const bad of [broken, rejecting]) {
      const breaker = new ProductionCircuitBreaker(
        new DatabaseSync(":memory:"),
        { counter: bad, gauge: bad },
        2,
        60_000,
        60_000,
        {
          logger: { fatal: bad, error: bad, warn: bad, info: bad, logCircuitBreakerState: bad },
          onAlert: bad,
          classifyError: broken,
          classifyResult: broken,
        },
      );
      assert.equal(await breaker.callApi("dk", () => Promise.resolve(7), CONTEXT), 7);
      for (const message of ["a", "b"]) {
        const call = breaker.callApi("dk", () => Promise.reject(new Error(message)), CONTEXT);
        await assert.rejects(call, { message });
      }
      assert.equal(breaker.isTripped("dk"), true);
      breaker.trip("dk", "x");
      breaker.reset("dk", { force: true });
      breaker.reset("nobody");
    }
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, []);
  } finally {
    process.off("unhandledRejection", onUnhandled);
  }
});

test("T-A-24 a failing alert callback is logged as HBCB-007, whether it throws or rejects", async () => {
  const alerts: unknown[] = [];
  for (const why of ["throws", "rejects"]) {
    const made = drop({
      options: {
        onAlert: (alert) => {
          alerts.push(alert);
          if (why === "throws") throw new Error(why);
          return Promise.reject(new Error(why));
        },
      },
    });
    await fail(made, 10);
    made.breaker.trip("fd", "by hand: nobody needs to be told");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(made.logged("HBCB-007"), [
      `[CIRCUIT_BREAKER] The alert callback for dk failed: ${why}`,
    ]);
    assert.deepEqual(alerts.pop(), {
      bookmaker: "dk",
      failures: 10,
      lastError: "boom",
      reason: "10 failures reached the threshold of 10",
      trippedAt: made.clock.now(),
    });
  }
});

test("metrics may be absent", async () => {
  for (const metrics of [undefined, null]) {
    const breaker = new ProductionCircuitBreaker(new DatabaseSync(":memory:"), metrics);
    assert.equal(await breaker.callApi("dk", () => Promise.resolve(7), CONTEXT), 7);
  }
});

test("T-A-25 a nested refusal is no evidence against the outer bookmaker", async () => {
  const made = drop();
  const { breaker } = made;
  breaker.trip("fd", "x");
  await fail(made, 3);
  const inner = (): Promise<number> => breaker.callApi("fd", () => Promise.resolve(1), CONTEXT);
  await assert.rejects(
    breaker.callApi("dk", inner, CONTEXT),
    (error: unknown) => error instanceof CircuitBreakerTrippedError && error.bookmaker === "fd",
  );
  assert.equal(breaker.getStatus("dk")?.failures, 3);
});

test("T-A-26 an abort by the caller is neutral", async () => {
  const made = drop();
  await fail(made, 3);
  const abort = new DOMException("gone", "AbortError");
  await assert.rejects(
    made.breaker.callApi("dk", () => Promise.reject(abort), CONTEXT),
    (error: unknown) => error === abort,
  );
  assert.equal(made.breaker.getStatus("dk")?.failures, 3);
});

test("classifyError has the last word on errors", async () => {
  const made = drop({
    options: { classifyError: (error) => (error as { kind: "timeout" | "ignored" }).kind },
  });
  const run = async (kind: string): Promise<void> => {
    const error = Object.assign(new Error("x"), { kind });
    await assert.rejects(made.breaker.callApi("dk", () => Promise.reject(error), CONTEXT));
  };
  await run("timeout");
  assert.equal(made.breaker.getStatus("dk")?.failures, 0.5);
  await run("ignored");
  assert.equal(made.breaker.getStatus("dk")?.failures, 0.5);
});

const byText: ResultClassifier = (value) => {
  const { error } = value as { error: string };
  if (error.startsWith("HTTP 5")) return { result: "failure", error };
  if (error.includes("timed out")) return "timeout";
  return error === "mine" ? "ignore" : "success";
};

test("T-A-27 results that are failures trip the breaker, and come back all the same", async () => {
  for (const where of ["options", "context"]) {
    const made = drop(where === "options" ? { options: { classifyResult: byText } } : {});
    const context = where === "context" ? { ...CONTEXT, classifyResult: byText } : CONTEXT;
    const answer = (error: string): Promise<{ success: boolean; error: string }> =>
      made.breaker.callApi("dk", () => Promise.resolve({ success: false, error }), context);
    for (let n = 0; n < 100; n += 1) await answer("HTTP 404: not here");
    assert.equal(made.breaker.isTripped("dk"), false);
    await answer("timed out");
    assert.equal(made.breaker.getStatus("dk")?.failures, 0.5);
    assert.equal(made.breaker.getStatus("dk")?.lastError, "the result was classified as timeout");
    await answer("mine");
    assert.equal(made.breaker.getStatus("dk")?.failures, 0.5);
    await answer("fine");
    for (let n = 0; n < 10; n += 1) {
      assert.equal((await answer("HTTP 503: down")).error, "HTTP 503: down");
    }
    assert.equal(made.breaker.isTripped("dk"), true);
    assert.equal(made.breaker.getStatus("dk")?.lastError, "HTTP 503: down");
    await assert.rejects(answer("any"), CircuitBreakerTrippedError);
  }
});

test("the context's classifier wins over the breaker's", async () => {
  const { breaker } = drop({ options: { classifyResult: () => "failure" } });
  await breaker.callApi("dk", () => Promise.resolve(1), {
    ...CONTEXT,
    classifyResult: () => "success",
  });
  assert.equal(breaker.getStatus("dk")?.failures, 0);
});

test("settings out of range are a RangeError that names them", () => {
  const db = new DatabaseSync(":memory:");
  const make =
    (...rest: unknown[]) =>
    () =>
      new ProductionCircuitBreaker(db, undefined, ...(rest as []));
  for (const threshold of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(make(threshold), RangeError);
  }
  assert.throws(make(10, -1), RangeError);
  assert.throws(make(10, Number.NaN), RangeError);
  assert.throws(make(10, 0, -1), RangeError);
  assert.throws(make(10, 0, Number.POSITIVE_INFINITY), RangeError);
  const options = { recovry: "manual", onAlert: 7, loadMode: "min", maxPendingRequests: 0 };
  assert.throws(make(10, 0, 0, options), (error: unknown) => {
    assert.ok(error instanceof RangeError);
    const { faults } = error as unknown as { faults: string[] };
    assert.equal(faults.length, 4);
    assert.match(faults.join(), /recovry is not an option.*onAlert.*loadMode.*maxPendingRequests/);
    return true;
  });
  assert.throws(make(10, 0, 0, { recovery: "auto" }), /recovery must be one of/);
  assert.throws(make(10, 0, 0, { weights: { timeout: -1 } }), RangeError);
  assert.throws(make(10, 0, 0, { loadShedding: { threshold: 2 } }), RangeError);
  for (const db of [undefined, null, {}, 7, { exec: () => {} }]) {
    assert.throws(() => new ProductionCircuitBreaker(db as unknown as string), TypeError);
  }
});
