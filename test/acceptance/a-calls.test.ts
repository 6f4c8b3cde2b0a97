// Specification 9.A, calls: what passes through, what is refused, and how each counts.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import {
  BreakerOpenError,
  LoadShedError,
  createSwitchgear,
  isRefused,
  latching,
} from "../../src/index.ts";
import type { CallOptions } from "../../src/index.ts";
import { failTimes, makeGear } from "../support/gear.ts";

const OPERATION: CallOptions = { operation: "odds" };

test("T-A-11 a result comes back as the same object, and the function is called once", async () => {
  const { dk } = makeGear();
  const value = { data: "success" };
  let calls = 0;
  const result = await dk.execute(() => {
    calls += 1;
    return Promise.resolve(value);
  }, OPERATION);
  assert.equal(result, value);
  assert.equal(calls, 1);
  assert.equal([...dk.operations][0]?.ok, 1);
});

test("T-A-11 a wrapped function gets its own arguments and its own this, and nothing else", async () => {
  const { dk } = makeGear();
  const service = {
    base: 10,
    add: dk.wrap(function add(this: { base: number }, ...numbers: number[]) {
      assert.deepEqual(numbers, [1, 2]);
      return Promise.resolve(this.base + numbers.length);
    }, OPERATION),
  };
  assert.equal(await service.add(1, 2), 12);
});

test("T-A-12 undefined, null, 0 and false are successes and come back unchanged", async () => {
  const { dk } = makeGear();
  for (const value of [undefined, null, 0, false]) {
    assert.equal(await dk.execute(() => Promise.resolve(value), OPERATION), value);
    assert.equal(await dk.execute(() => value, OPERATION), value);
  }
  assert.equal([...dk.operations][0]?.ok, 8);
});

class TimeoutError extends Error {
  override readonly name = "TimeoutError";
}

const FAILURES: readonly {
  readonly id: string;
  readonly error: unknown;
  readonly weight: number;
  readonly text: string;
}[] = [
  {
    id: "T-A-13 a TimeoutError",
    error: new TimeoutError("Request took too long"),
    weight: 0.5,
    text: "Request took too long",
  },
  {
    id: "T-A-13 a text with timeout",
    error: new Error("Request Timeout"),
    weight: 0.5,
    text: "Request Timeout",
  },
  {
    id: "T-A-14 a 500",
    error: new Error("500 Internal Server Error"),
    weight: 1,
    text: "500 Internal Server Error",
  },
  {
    id: "T-A-16 a 504 with its status",
    error: Object.assign(new Error("504 Gateway Timeout"), { status: 504 }),
    weight: 1,
    text: "504 Gateway Timeout",
  },
  {
    id: "T-A-16 a 504 as text only",
    error: new Error("504 Gateway Timeout"),
    weight: 0.5,
    text: "504 Gateway Timeout",
  },
  {
    id: "T-A-16 a statusCode of 599",
    error: { statusCode: 599, message: "timed out" },
    weight: 1,
    text: "timed out",
  },
  {
    id: "a code",
    error: Object.assign(new Error("x"), { code: "UND_ERR_HEADERS_TIMEOUT" }),
    weight: 0.5,
    text: "x",
  },
  {
    id: "a cause three levels down",
    error: new Error("a", {
      cause: new Error("b", { cause: new Error("c", { cause: new Error("timed out") }) }),
    }),
    weight: 0.5,
    text: "a",
  },
  {
    id: "a cause four levels down",
    error: new Error("a", {
      cause: new Error("b", {
        cause: new Error("c", { cause: new Error("d", { cause: new Error("timed out") }) }),
      }),
    }),
    weight: 1,
    text: "a",
  },
  { id: "T-A-17 a string", error: "plain", weight: 1, text: "plain" },
  { id: "T-A-17 undefined", error: undefined, weight: 1, text: "undefined" },
  { id: "an object without words", error: {}, weight: 1, text: "unknown error" },
  { id: "an error without a message", error: new RangeError(""), weight: 1, text: "RangeError" },
  {
    id: "an object whose getters throw",
    error: Object.defineProperty({}, "message", {
      get: () => {
        throw new Error("trap");
      },
    }),
    weight: 1,
    text: "unknown error",
  },
];

for (const { id, error, weight, text } of FAILURES) {
  test(`${id} is rethrown as it is and weighs ${weight}`, async () => {
    for (const deadlineMs of [undefined, 1000]) {
      const { dk } = makeGear(deadlineMs === undefined ? {} : { deadlineMs });
      const thrown = await dk
        .execute(() => Promise.reject(error as Error), OPERATION)
        .then(
          () => assert.fail("did not reject"),
          (reason: unknown) => reason,
        );
      assert.equal(thrown, error);
      assert.equal(dk.status().failureCount, weight);
      // undefined has no words of its own, and the store needs a text.
      assert.equal(dk.status().lastError, error === undefined ? "no reason given" : text);
    }
  });

  test(`${id}, thrown synchronously, is the same`, async () => {
    const { dk } = makeGear();
    const thrown = await dk
      .execute(() => {
        throw error;
      }, OPERATION)
      .then(
        () => assert.fail("did not reject"),
        (reason: unknown) => reason,
      );
    assert.equal(thrown, error);
    assert.equal(dk.status().failureCount, weight);
  });
}

test("T-A-15 a real fetch that times out weighs half on this runtime", async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  try {
    const { dk } = makeGear();
    await assert.rejects(
      dk.execute(() => fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(50) })),
      { name: "TimeoutError" },
    );
    assert.equal(dk.status().failureCount, 0.5);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("T-A-18 a tripped breaker refuses without running the function, a thousand times within a second", async () => {
  const { dk, sink, clock } = makeGear();
  failTimes(dk, 10, "HTTP 503");
  clock.advance(1000);
  let calls = 0;

  const started = performance.now();
  for (let n = 0; n < 1000; n += 1) {
    await assert.rejects(
      dk.execute(() => (calls += 1), OPERATION),
      (error: unknown) => {
        assert.ok(error instanceof BreakerOpenError && isRefused(error));
        assert.equal(error.code, "SG_BREAKER_OPEN");
        assert.equal(error.name, "BreakerOpenError");
        assert.equal(error.upstream, "dk");
        assert.equal(error.operation, "odds");
        assert.equal(error.reason, "tripped");
        assert.equal(error.retryAfterMs, undefined);
        assert.equal(error.remainingMs, 59_000);
        assert.equal(error.lastError, "HTTP 503");
        assert.equal(error.manual, false);
        return true;
      },
    );
  }

  assert.ok(performance.now() - started < 1000);
  assert.equal(calls, 0);
  assert.equal(dk.status().failureCount, 10);
  assert.equal([...dk.operations][0]?.refused?.tripped, 1000);
  assert.equal(sink.of("refused").length, 1000);
  assert.deepEqual(
    { ...sink.of("refused")[0], at: 0 },
    {
      type: "refused",
      upstream: "dk",
      operation: "odds",
      criticality: "critical",
      reason: "tripped",
      retryAfterMs: undefined,
      remainingMs: 59_000,
      manual: false,
      systemLoad: undefined,
      operationLoad: undefined,
      shadow: false,
      at: 0,
    },
  );
});

test("T-A-18 the remaining time is never negative", async () => {
  const { dk, clock } = makeGear();
  failTimes(dk, 10);
  clock.advance(1_000_000);
  await assert.rejects(
    dk.execute(() => 1, OPERATION),
    { remainingMs: 0 },
  );
});

test("T-A-19 a heavy call is shed while the process is loaded, before it starts", async () => {
  const { dk, sink } = makeGear({ sampler: { systemLoad: () => 0.9 } });
  let calls = 0;
  await assert.rejects(
    dk.execute(() => (calls += 1), { operation: "graph", load: 200 }),
    (error: unknown) => {
      assert.ok(error instanceof LoadShedError);
      assert.equal(error.code, "SG_LOAD_SHED");
      assert.equal(error.systemLoad, 0.9);
      assert.equal(error.operationLoad, 200);
      assert.equal(error.threshold, 0.85);
      assert.match(error.message, /system load 90\.0% .* load is 200/);
      return true;
    },
  );
  assert.equal(calls, 0);
  assert.equal(dk.status().failureCount, 0);
  assert.equal([...dk.operations][0]?.refused?.load_shed, 1);
  assert.equal(sink.of("refused")[0]?.reason, "load_shed");
});

test("T-A-20 exactly at the threshold, or exactly as heavy, is not shed", async () => {
  const load = { now: 0 };
  const { dk } = makeGear({ sampler: { systemLoad: () => load.now } });
  const run = (): Promise<number> => dk.execute(() => 1, { operation: "x", load: heavy });
  let heavy = 101;
  load.now = 0.85;
  assert.equal(await run(), 1);
  heavy = 100;
  load.now = 0.86;
  assert.equal(await run(), 1);
  heavy = 101;
  load.now = 0.8501;
  await assert.rejects(run(), { code: "SG_LOAD_SHED" });
});

test("T-A-21 tripped wins over loaded: one reason is counted", async () => {
  const { dk } = makeGear({ sampler: { systemLoad: () => 1 } });
  dk.trip({ reason: "x" });
  await assert.rejects(
    dk.execute(() => 1, { operation: "graph", load: 500 }),
    { code: "SG_BREAKER_OPEN" },
  );
  assert.deepEqual([...dk.operations][0]?.refused, { tripped: 1 });
});

test("T-A-22 a sampler that throws or answers NaN refuses nothing; one that answers 5 means 1", async () => {
  let answer: () => number = () => {
    throw new Error("no /proc");
  };
  const { dk } = makeGear({ sampler: { systemLoad: () => answer() } });
  const run = (): Promise<number> => dk.execute(() => 1, { operation: "x", load: 500 });
  assert.equal(await run(), 1);
  answer = () => Number.NaN;
  assert.equal(await run(), 1);
  answer = () => 5;
  await assert.rejects(run(), { code: "SG_LOAD_SHED", systemLoad: 1 });
});

test("T-A-23 a missing context, a NaN load and an empty operation run with the defaults", async () => {
  const { dk } = makeGear({ sampler: { systemLoad: () => 1 } });
  assert.equal(await dk.execute(() => 1), 1);
  assert.equal(await dk.execute(() => 1, { operation: "", load: Number.NaN }), 1);
  assert.deepEqual(
    [...dk.operations].map(({ name, ok }) => ({ name, ok })),
    [{ name: "unknown", ok: 2 }],
  );
  await assert.rejects(
    dk.execute(() => 1, { load: Number.POSITIVE_INFINITY }),
    { code: "SG_LOAD_SHED", operationLoad: 1000 },
  );
});

test("T-A-24 listeners that throw or reject change nothing and are counted", async () => {
  const { gear, dk } = makeGear();
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  try {
    gear.on("settled", () => {
      throw new Error("listener");
    });
    gear.on("trip", () => Promise.reject(new Error("alert callback")));
    assert.equal(await dk.execute(() => 1), 1);
    failTimes(dk, 10);
    assert.equal(dk.isTripped, true);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(unhandled, []);
    assert.equal(gear.counters().listenerErrors, 2);
  } finally {
    process.off("unhandledRejection", onUnhandled);
  }
});

test("T-A-24 classifiers that throw change nothing", async () => {
  const gear = createSwitchgear({
    upstreams: {
      dk: {
        breaker: latching(),
        classifyError: () => {
          throw new Error("host bug");
        },
        classifyResult: () => {
          throw new Error("host bug");
        },
      },
    },
  });
  const dk = gear.upstream("dk");
  assert.equal(await dk.execute(() => 7), 7);
  await assert.rejects(
    dk.execute(() => Promise.reject(new Error("mine"))),
    { message: "mine" },
  );
  assert.equal(dk.status().failureCount, 1);
});

test("T-A-25 a nested refusal is no evidence against the outer upstream", async () => {
  const { gear, dk } = makeGear();
  const fd = gear.upstream("fd");
  fd.trip({ reason: "x" });
  await assert.rejects(
    dk.execute(() => fd.execute(() => 1)),
    { code: "SG_BREAKER_OPEN", upstream: "fd" },
  );
  assert.equal(dk.status().failureCount, 0);
  assert.equal([...dk.operations][0]?.ignored, 1);
});

test("T-A-25 nor is one that the host's code has wrapped", async () => {
  const { gear, dk } = makeGear();
  const fd = gear.upstream("fd");
  fd.trip({ reason: "x" });
  const wrapped = dk.execute(async () => {
    try {
      return await fd.execute(() => 1);
    } catch (cause) {
      throw new Error("no odds", { cause });
    }
  });
  await assert.rejects(wrapped, /no odds/);
  assert.equal(dk.status().failureCount, 0);
});

test("T-A-25 nor is one made by another copy of the package", async () => {
  const { dk } = makeGear();
  const foreign = Object.assign(new Error("refused"), {
    [Symbol.for("switchgear.refused")]: true,
  });
  assert.ok(isRefused(foreign));
  await assert.rejects(dk.execute(() => Promise.reject(foreign)));
  assert.equal(dk.status().failureCount, 0);
});

test("T-A-26 an abort by the caller is neutral", async () => {
  const { dk } = makeGear();
  failTimes(dk, 3);
  const abort = new DOMException("gone", "AbortError");
  await assert.rejects(
    dk.execute(() => Promise.reject(abort)),
    (error: unknown) => error === abort,
  );
  assert.equal(dk.status().failureCount, 3);
});

test("T-A-27 results that are failures trip the breaker, and come back all the same", async () => {
  const gear = createSwitchgear({
    upstreams: {
      dk: {
        breaker: latching(),
        classifyResult: (value) => {
          const { error } = value as { error?: string };
          if (error === undefined) return "success";
          if (error.startsWith("HTTP 5")) return "failure";
          if (error.includes("timed out")) return "timeout";
          return error === "mine" ? "ignore" : "success";
        },
      },
    },
  });
  const dk = gear.upstream("dk");
  const answer = (error: string): Promise<{ success: boolean; error: string }> =>
    dk.execute(() => Promise.resolve({ success: false, error }));
  for (let n = 0; n < 100; n += 1) await answer("HTTP 404: not here");
  assert.equal(dk.isTripped, false);
  await answer("timed out");
  assert.equal(dk.status().failureCount, 0.5);
  await answer("mine");
  assert.equal(dk.status().failureCount, 0.5);
  for (let n = 0; n < 10; n += 1) {
    assert.equal((await answer("HTTP 503: down")).error, "HTTP 503: down");
  }
  assert.equal(dk.isTripped, true);
});
