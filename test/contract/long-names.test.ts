// Names come from callers' requests where a host passes them on. However long they are and whatever they hold,
// they fill no memory, forge no line and speak to nobody's terminal.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  adaptive,
  createBreaker,
  createSwitchgear,
  latching,
  type RefusedError,
  type Switchgear,
  type SwitchgearOptions,
  type Upstream,
} from "../../src/index.ts";
import { EndpointSet } from "../../src/pipeline/endpoints/set.ts";
import { attachLogging } from "../../src/telemetry/log/index.ts";
import { prometheusMetrics } from "../../src/telemetry/otel/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

const LONG = "x".repeat(300_000);

/** A line of another upstream's, a colour, a bell, the end of a line for JavaScript, and a turned direction. */
const FORGED = "odds\nTRIPPED: fanduel \u001b[31m\u0007\u009b2J\u2028\u202e";

/** What none of it may be in. */
// oxlint-disable-next-line no-control-regex -- they are what it looks for
const UNSAFE = /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/;

async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  return assert.fail("nothing was rejected");
}

function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  return assert.fail("nothing was thrown");
}

function gear(options: Partial<SwitchgearOptions> = {}): Switchgear {
  return createSwitchgear({
    otherUpstreams: { breaker: latching({ failureThreshold: 1 }), deadlineMs: 10 },
    sampler: { systemLoad: () => 1 },
    ...options,
  });
}

function names(upstream: Upstream): string[] {
  return Array.from(upstream.operations, ({ name }) => name);
}

/** The collector itself, on either runtime. */
function collector(): () => void {
  if (typeof Bun !== "undefined") return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

describe("operations", () => {
  test("a long one is kept short, and told from its like", async () => {
    const guard = createBreaker("draftkings", latching());
    for (const operation of [`${LONG}a`, `${LONG}b`, `${LONG}a`, "y".repeat(256), "odds"]) {
      await guard.execute(() => 1, { operation });
    }

    const [a, b, ...rest] = names(guard);
    assert.match(String(a), /^x{111}~[0-9a-f]{16}$/);
    assert.match(String(b), /^x{111}~[0-9a-f]{16}$/);
    assert.notEqual(a, b);
    assert.deepEqual(rest, ["y".repeat(256), "odds"]);
    assert.equal([...guard.operations][0]?.ok, 2);
  });

  test("their label is the name that is kept", async () => {
    const made = gear();
    const guard = made.upstream("draftkings");
    await guard.execute(() => 1, { operation: LONG });

    const { body } = await prometheusMetrics(made).collect();

    assert.ok(body.includes(`operation="${names(guard)[0]}"`));
  });

  test("150 of two million characters keep next to nothing", async () => {
    const gc = collector();
    const guard = createBreaker("draftkings", latching({ failureThreshold: 1000 }));
    const used = async (): Promise<number> => {
      // What a turn of the loop still holds goes with the second time.
      gc();
      await new Promise((resolve) => void setTimeout(resolve, 20));
      gc();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = await used();
    for (let n = 0; n < 150; n += 1) {
      const operation = `${n} ${String(n % 10).repeat(2_000_000)}`;
      await guard.execute(() => 1, { operation });
      guard.record({ outcome: "failed", error: new Error(`${operation} failed`) });
    }

    const grownBytes = (await used()) - before;

    assert.equal(names(guard).length, 150);
    assert.ok(grownBytes < 30_000_000, String(grownBytes));
  });

  test("one is one line of a log, and a short one", async () => {
    const lines: string[] = [];
    const write = (fields: object, message: string): void => {
      lines.push(`${Object.values(fields).join(" ")} ${message}`);
    };
    const made = gear();
    attachLogging(
      made,
      { info: write, warn: write, error: write, fatal: write },
      { rejectionIntervalMs: 0 },
    );
    const guard = made.upstream("draftkings");
    for (const operation of [LONG, FORGED]) {
      await rejection(guard.execute(() => Promise.reject(new Error("boom")), { operation }));
      await rejection(guard.execute(() => 1, { operation }));
    }
    assert.ok(lines.length >= 4);
    for (const line of lines) {
      assert.ok(line.length < 2000, String(line.length));
      assert.doesNotMatch(line.trimEnd(), UNSAFE);
    }
  });
});

describe("upstreams", () => {
  test("a long one that a person wrote is refused with a sentence", () => {
    const breaker = latching();
    for (const make of [
      () => createSwitchgear({ upstreams: { [LONG]: { breaker } } }),
      () => createBreaker(LONG, breaker),
      () => gear().configure({ [LONG]: { breaker } }),
    ]) {
      const { message } = thrown(make);
      assert.match(message, /name must be at most 256 characters long, and not 300000: "x{60}"…/);
      assert.ok(message.length < 300);
    }
    createBreaker("y".repeat(256), breaker);
  });

  test("so is a long operation that is listed", () => {
    const { message } = thrown(() => createBreaker("dk", latching(), { operations: [LONG] }));
    assert.match(message, /the name of an operation must be at most 256 characters long/);
    assert.ok(message.length < 300);
  });

  test("a long one from traffic is kept short, found again, and told from its like", () => {
    const made = gear();
    const [a, b] = [made.upstream(`${LONG}a`), made.upstream(`${LONG}b`)];
    a.trip({ reason: "drill", actor: "ana" });

    assert.match(a.name, /^x{111}~[0-9a-f]{16}$/);
    assert.notEqual(a.name, b.name);
    assert.equal(made.upstream(`${LONG}a`), a);
    assert.equal(made.find(`${LONG}b`), b);
    assert.equal(made.upstream(`${LONG}a`).isTripped, true);
    assert.equal(made.upstream(`${LONG}b`).isTripped, false);
    assert.equal(made.upstreams().length, 2);
    assert.equal(made.upstream(a.name), a);
    assert.deepEqual(
      made.history({ upstream: `${LONG}a` }).map(({ upstream }) => upstream),
      [a.name],
    );
    assert.equal(made.auditUnmetReset(`${LONG}c`, {}).upstream.length, 128);
  });
});

test("an endpoint that is made on demand is kept by a short name, and found by its long one", () => {
  const clock = new VirtualClock();
  const set = new EndpointSet({ policy: adaptive(), onDemand: true }, { clock });
  for (let n = 0; n < 20; n += 1) set.record(LONG, "failed");

  const [name] = set.getHealthStats().keys();
  assert.match(String(name), /^x{111}~[0-9a-f]{16}$/);
  assert.equal(set.getEndpointState(LONG), "cooling-down");
  assert.equal(set.acquire(LONG), null);
});

describe("errors", () => {
  for (const [what, name] of [
    ["a long name", LONG],
    ["a name that forges a line", FORGED],
  ] as const) {
    test(`${what} makes a short sentence on one line`, async () => {
      const clock = new VirtualClock();
      const made = gear({ clock });
      const guard = made.upstream(name);
      const operation = name;
      const late = rejection(guard.execute(() => new Promise(() => {}), { operation }));
      clock.advance(10);
      const errors = [await late];
      guard.trip();
      errors.push(
        await rejection(guard.execute(() => 1, { operation })),
        thrown(() => guard.reset({})),
        thrown(() => guard.trip(5 as never)),
        thrown(() => guard.record({ outcome: name } as never)),
        thrown(() => guard.tryAcquire({ operation, load: name } as never)),
        thrown(() => createSwitchgear({}).upstream(name)),
        thrown(() => createSwitchgear({ upstreams: { [name]: {} as never } })),
      );
      guard.reset({ force: true });
      errors.push(await rejection(guard.execute(() => 1, { operation, load: 1000 })));
      await made.close();
      errors.push(await rejection(guard.execute(() => 1, { operation })));

      assert.deepEqual(
        errors.map((error) => (error as RefusedError).code),
        [
          "SG_DEADLINE",
          "SG_BREAKER_OPEN",
          "SG_RESET_DENIED",
          ...Array.from({ length: 3 }, () => "SG_OPTIONS_INVALID"),
          "SG_UNKNOWN_UPSTREAM",
          "SG_OPTIONS_INVALID",
          "SG_LOAD_SHED",
          "SG_CLOSING",
        ],
      );
      for (const { message, stack } of errors) {
        assert.doesNotMatch(message, UNSAFE);
        assert.ok(message.length < 1000, message.slice(0, 200));
        assert.ok(String(stack).length < 5000);
      }
    });
  }

  test("what is no name at all is told, too", () => {
    for (const name of [5, 5n, null, undefined, {}, Symbol("odds")]) {
      assert.match(thrown(() => gear().upstream(name as never)).message, /^no upstream named /);
    }
  });
});
