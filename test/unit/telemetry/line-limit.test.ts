import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { EventOf } from "../../../src/core/events.ts";
import { Emitter } from "../../../src/pipeline/emitter.ts";
import { createSwitchgear, latching } from "../../../src/index.ts";
import {
  attachLogging,
  type LoggingOptions,
  type LoggingSource,
} from "../../../src/telemetry/log/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Subject {
  readonly lines: (Fields & { readonly msg: string })[];
  /** Says that a call was refused at this time of the registry's clock. */
  readonly refuse: (event?: Partial<EventOf<"refused">>) => void;
  /** Says that a call failed. */
  readonly fail: (event?: Partial<EventOf<"failed">>) => void;
  readonly detach: () => void;
}

function makeSubject(t: TestContext, options?: LoggingOptions): Subject {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const emitter = new Emitter();
  const source: LoggingSource = {
    on: (type, listener) => emitter.on(type, listener),
    storeHealth: () => ({ location: "memory", recoveredFrom: null }),
  };
  const lines: Subject["lines"] = [];
  const log = (fields: Fields, msg: string): void => void lines.push({ ...fields, msg });
  const detach = attachLogging(source, { fatal: log, error: log, warn: log, info: log }, options);
  return {
    lines,
    detach,
    refuse: (event = {}) =>
      emitter.emit({
        type: "refused",
        upstream: "dk",
        operation: "odds",
        criticality: "critical",
        reason: "tripped",
        remainingMs: 5,
        retryAfterMs: undefined,
        manual: false,
        systemLoad: undefined,
        operationLoad: undefined,
        shadow: false,
        at: 0,
        ...event,
      }),
    fail: (event = {}) =>
      emitter.emit({
        type: "failed",
        upstream: "dk",
        operation: "odds",
        outcome: "failed",
        error: "connect ECONNREFUSED",
        latencyMs: 1.5,
        endpoint: undefined,
        at: 0,
        ...event,
      }),
  };
}

/** Of lines that tell of refusals, how many each stands for. */
function sum(lines: readonly Fields[]): number {
  return lines.reduce((before, { suppressed }) => before + 1 + Number(suppressed ?? 0), 0);
}

describe("refusals in the log", () => {
  test("one line in a second, with the number of those left out, and the last ones when it is over", (t) => {
    const { lines, refuse } = makeSubject(t);
    for (let n = 0; n < 5; n += 1) refuse({ at: n, remainingMs: 50 - n });

    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.["suppressed"], undefined);
    t.mock.timers.tick(998);
    assert.equal(lines.length, 1);
    t.mock.timers.tick(1);
    assert.equal(lines.length, 2);
    assert.deepEqual(lines[1], {
      code: "HBCB-003",
      bookmaker: "dk",
      operation: "odds",
      reason: "tripped",
      suppressed: 3,
      manual: false,
      remainingMs: 46,
      msg: "[CIRCUIT_BREAKER] Rejected odds for dk: circuit tripped (46ms remaining). 3 more like it were not logged.",
    });
    t.mock.timers.tick(60_000);
    assert.equal(lines.length, 2, "nothing was left out, and nothing is told");
  });

  test("a storm has a line each second, and the sum of them is every refusal", (t) => {
    const { lines, refuse } = makeSubject(t);
    for (let at = 0; at < 5000; at += 1) {
      refuse({ at });
      t.mock.timers.tick(1);
    }
    t.mock.timers.tick(2000);

    assert.ok(lines.length >= 5 && lines.length <= 7, `${lines.length} lines`);
    assert.equal(sum(lines), 5000);
  });

  test("the call after a second is logged itself, with the number left out", (t) => {
    const { lines, refuse } = makeSubject(t);
    refuse({ at: 0 });
    refuse({ at: 10 });
    refuse({ at: 999 });
    t.mock.timers.tick(500);
    assert.equal(lines.length, 1);
    // The timers of a busy process are late.
    refuse({ at: 1000, remainingMs: 7 });
    assert.equal(lines.length, 2);
    assert.equal(lines[1]?.["suppressed"], 2);
    assert.equal(lines[1]["remainingMs"], 7);
    refuse({ at: 1010 });
    t.mock.timers.tick(900);
    assert.equal(lines.length, 2, "a second has not passed since");
    t.mock.timers.tick(5000);
    assert.equal(lines.length, 3);
    assert.equal(sum(lines), 5);
  });

  test("upstreams, operations, reasons and shadow mode are told apart", (t) => {
    const { lines, refuse } = makeSubject(t);
    for (let n = 0; n < 3; n += 1) {
      refuse();
      refuse({ upstream: "fd" });
      refuse({ operation: "scores" });
      refuse({ reason: "closing" });
      refuse({ reason: "load_shed", systemLoad: 0.9, operationLoad: 150 });
      refuse({ shadow: true });
    }

    assert.equal(lines.length, 6);
    t.mock.timers.tick(1000);
    assert.equal(lines.length, 12);
    assert.deepEqual(
      lines.slice(6).map(({ msg }) => msg),
      [
        "[CIRCUIT_BREAKER] Rejected odds for dk: circuit tripped (5ms remaining). 1 more like it were not logged.",
        "[CIRCUIT_BREAKER] Rejected odds for fd: circuit tripped (5ms remaining). 1 more like it were not logged.",
        "[CIRCUIT_BREAKER] Rejected scores for dk: circuit tripped (5ms remaining). 1 more like it were not logged.",
        "[CIRCUIT_BREAKER] Rejected odds for dk: closing. 1 more like it were not logged.",
        "[CIRCUIT_BREAKER] Load shed odds for dk: system load 90.0%, operation load 150. 1 more like it were not logged.",
        "[CIRCUIT_BREAKER] Shadow mode admitted odds for dk: circuit tripped (5ms remaining). 1 more like it were not logged.",
      ],
    );
  });

  test("every one, where that is wanted", (t) => {
    const { lines, refuse } = makeSubject(t, { rejectionIntervalMs: 0 });
    for (let n = 0; n < 25; n += 1) refuse();
    assert.equal(lines.length, 25);
    assert.ok(lines.every(({ suppressed }) => suppressed === undefined));
  });

  test("an interval of one's own", (t) => {
    const { lines, refuse } = makeSubject(t, { rejectionIntervalMs: 50 });
    refuse({ at: 0 });
    refuse({ at: 49 });
    refuse({ at: 50 });
    assert.deepEqual(
      lines.map(({ suppressed }) => suppressed),
      [undefined, 1],
    );
  });

  test("an interval that is none is refused", (t) => {
    for (const rejectionIntervalMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      assert.throws(() => makeSubject(t, { rejectionIntervalMs }), RangeError);
      t.mock.timers.reset();
    }
    makeSubject(t, { rejectionIntervalMs: 2 ** 31 - 1 });
  });

  test("a clock that is set back silences nothing", (t) => {
    const { lines, refuse } = makeSubject(t);
    refuse({ at: 3_600_000 });
    refuse({ at: 5 });
    assert.equal(lines.length, 2);
    refuse({ at: 6 });
    assert.equal(lines.length, 2);
  });

  test("the end tells what was left out, and nothing comes after it", (t) => {
    const { lines, refuse, detach } = makeSubject(t);
    for (let n = 0; n < 10; n += 1) refuse();
    for (let n = 0; n < 10; n += 1) refuse({ shadow: true });
    detach();
    assert.equal(lines.length, 4);
    assert.equal(sum(lines), 20);
    refuse();
    t.mock.timers.tick(5000);
    assert.equal(lines.length, 4);
  });

  test("names without end share what the bounds leave, and none is lost from the sum", (t) => {
    const { lines, refuse } = makeSubject(t);
    for (let n = 0; n < 3000; n += 1) refuse({ operation: `op ${n}` });
    // A thousand of their own, and one for the rest.
    assert.equal(lines.length, 1001);
    for (let n = 0; n < 3000; n += 1) refuse({ upstream: `upstream ${n}` });
    // 999 upstreams more have a line each, and one is for the rest.
    assert.equal(lines.length, 2001);
    t.mock.timers.tick(1000);
    assert.equal(sum(lines), 6000);
    assert.ok(lines.length <= 2003);
  });

  test("a logger that throws when the time is over harms nobody", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const clock = new VirtualClock();
    const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } }, clock });
    let times = 0;
    const log = (): never => {
      times += 1;
      throw new Error("the log's disk is full");
    };
    attachLogging(gear, { fatal: log, error: log, warn: log, info: log });
    const dk = gear.upstream("dk");
    dk.trip();
    dk.tryAcquire();
    dk.tryAcquire();
    t.mock.timers.tick(1000);
    assert.equal(times, 3);
  });
});

describe("failed calls in the log", () => {
  test("one line in a second with a cause, and the number of those left out", (t) => {
    const { lines, fail } = makeSubject(t);
    fail();
    for (let at = 1; at < 5; at += 1) fail({ at, error: `HTTP 50${at}`, endpoint: "odds/v2" });
    assert.deepEqual(lines, [
      {
        code: "SG_CALL",
        bookmaker: "dk",
        operation: "odds",
        outcome: "failed",
        error: "connect ECONNREFUSED",
        elapsedMs: 2,
        msg: "[CIRCUIT_BREAKER] Failed odds for dk after 2ms: connect ECONNREFUSED",
      },
    ]);
    t.mock.timers.tick(999);
    assert.deepEqual(lines.slice(1), [
      {
        code: "SG_CALL",
        bookmaker: "dk",
        endpoint: "odds/v2",
        operation: "odds",
        outcome: "failed",
        error: "HTTP 504",
        elapsedMs: 2,
        suppressed: 3,
        msg: "[CIRCUIT_BREAKER] Failed odds for dk after 2ms: HTTP 504. 3 more like it were not logged.",
      },
    ]);
  });

  test("upstreams, operations, failures and timeouts are told apart", (t) => {
    const { lines, fail } = makeSubject(t);
    for (let n = 0; n < 3; n += 1) {
      fail();
      fail({ outcome: "timeout" });
      fail({ operation: "scores" });
      fail({ upstream: "fd" });
    }
    assert.equal(lines.length, 4);
  });

  test("what an upstream writes cannot forge a line", (t) => {
    const { lines, fail } = makeSubject(t);
    fail({ error: 'HTTP 500\n{"code":"HBCB-005"}\u001b[2J' });
    assert.equal(lines[0]?.msg.includes("\n"), false);
    assert.equal(lines[0]["error"], 'HTTP 500\\n{"code":"HBCB-005"}\\u001b[2J');
  });

  test("every one, none, or once in another time, where that is wanted", (t) => {
    const linesOf = (failureIntervalMs: number | null): number => {
      const { lines, fail, detach } = makeSubject(t, { failureIntervalMs });
      for (let at = 0; at < 20; at += 1) fail({ at });
      const before = lines.length;
      detach();
      t.mock.timers.reset();
      return before;
    };
    assert.equal(linesOf(0), 20);
    assert.equal(linesOf(null), 0);
    assert.equal(linesOf(10), 2);
    assert.throws(() => linesOf(-1), /failureIntervalMs must be a number from 0 /);
  });

  test("the end tells what was left out", (t) => {
    const { lines, fail, detach } = makeSubject(t);
    for (let n = 0; n < 10; n += 1) fail();
    detach();
    assert.equal(lines.length, 2);
    assert.equal(sum(lines), 10);
  });
});
