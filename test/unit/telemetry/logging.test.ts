import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import {
  ROOT_CONTEXT,
  context,
  trace,
  type Context,
  type ContextManager,
} from "@opentelemetry/api";
import { createSwitchgear, fixedLimit, latching, memoryStore } from "../../../src/index.ts";
import type { LatchingOptions, LimitPolicy, Store, Switchgear } from "../../../src/index.ts";
import { StoreError } from "../../../src/core/errors.ts";
import { Emitter } from "../../../src/pipeline/emitter.ts";
import { loadTraceApi } from "../../../src/telemetry/log/active-trace.ts";
import {
  attachLogging,
  createLogger,
  hyperBunFormat,
  logAlertFailure,
  type LoggingOptions,
  type LoggingSource,
  type PinoLike,
} from "../../../src/telemetry/log/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

function fail(): never {
  throw new Error("the log's disk is full");
}

class Sink implements PinoLike {
  readonly lines: Line[] = [];
  readonly fatal = this.#at("fatal");
  readonly error = this.#at("error");
  readonly warn = this.#at("warn");
  readonly info = this.#at("info");

  #at(level: string) {
    return (fields: Record<string, unknown>, msg: string): void => {
      this.lines.push({ ...fields, level, msg });
    };
  }
}

interface Subject {
  readonly gear: Switchgear;
  readonly clock: VirtualClock;
  readonly lines: Line[];
  readonly detach: () => void;
}

function makeSubject(
  options: {
    breaker?: LatchingOptions;
    store?: Store;
    load?: number;
    logging?: LoggingOptions;
    name?: string;
    limit?: LimitPolicy;
  } = {},
): Subject {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: {
      [options.name ?? "draftkings"]: { breaker: latching(options.breaker), limit: options.limit },
    },
    store: options.store ?? memoryStore(),
    sampler: { systemLoad: () => options.load ?? 0 },
    clock,
  });
  const sink = new Sink();
  const detach = attachLogging(gear, sink, options.logging);
  return { gear, clock, lines: sink.lines, detach };
}

describe("attachLogging", () => {
  test("an automatic trip", () => {
    const { gear, lines } = makeSubject({ breaker: { failureThreshold: 2 } });
    const dk = gear.upstream("draftkings");
    dk.record({ outcome: "failed", timeout: true, error: "slow" });
    dk.record({ outcome: "failed", timeout: true, error: "slow" });
    dk.record({ outcome: "failed", error: new Error("500 Internal Server Error") });

    assert.deepEqual(lines, [
      {
        level: "error",
        code: "HBCB-002",
        bookmaker: "draftkings",
        reason: "2 failures reached the threshold of 2",
        user: "system",
        manual: false,
        failures: 2,
        msg: "[CIRCUIT_BREAKER] TRIPPED: draftkings after 2 failures. Last error: 500 Internal Server Error. Manual intervention required.",
      },
    ]);
  });

  test("failures may be halves", () => {
    const { gear, lines } = makeSubject({ breaker: { failureThreshold: 0.5 } });
    gear.upstream("draftkings").record({ outcome: "failed", timeout: true, error: "slow" });

    assert.equal(
      lines[0]?.msg,
      "[CIRCUIT_BREAKER] TRIPPED: draftkings after 0.5 failures. Last error: slow. Manual intervention required.",
    );
  });

  test("a trip by hand", () => {
    const { gear, lines } = makeSubject();
    gear.upstream("draftkings").trip({ reason: "maintenance", actor: "ann" });

    assert.deepEqual(lines, [
      {
        level: "warn",
        code: "HBCB-006",
        bookmaker: "draftkings",
        reason: "maintenance",
        user: "ann",
        manual: true,
        failures: 0,
        msg: "[CIRCUIT_BREAKER] TRIPPED: draftkings after 0 failures. Last error: maintenance. Manual intervention required.",
      },
    ]);
  });

  test("resets: denied, forced, and after the cooldown", () => {
    const { gear, clock, lines } = makeSubject({ breaker: { cooldownMs: 60_000 } });
    const dk = gear.upstream("draftkings");
    dk.trip({ reason: "x" });
    clock.advance(999.5);
    assert.throws(() => dk.reset({ reason: "too early", actor: "bob" }));
    dk.reset({ reason: "fixed", actor: "ann", force: true });
    dk.reset({ reason: "again", actor: "ann" });

    const [, denied, forced, plain] = lines;
    assert.deepEqual(denied, {
      level: "warn",
      code: "HBCB-005",
      bookmaker: "draftkings",
      reason: "too early",
      user: "bob",
      denied: true,
      remainingMs: 59_001,
      msg: "[CIRCUIT_BREAKER] RESET DENIED: draftkings by bob (59001ms of the cooldown remaining). Reason: too early",
    });
    assert.deepEqual(forced, {
      level: "info",
      code: "HBCB-005",
      bookmaker: "draftkings",
      reason: "fixed",
      user: "ann",
      forced: true,
      msg: "[CIRCUIT_BREAKER] RESET: draftkings by ann. Reason: fixed (FORCED)",
    });
    assert.equal(plain?.msg, "[CIRCUIT_BREAKER] RESET: draftkings by ann. Reason: again");
  });

  test("a rejection counts down to the reset, in whole milliseconds, and never below 0", () => {
    const { gear, clock, lines } = makeSubject({ breaker: { cooldownMs: 1000 } });
    const dk = gear.upstream("draftkings");
    dk.trip({ reason: "x" });
    clock.advance(0.25);
    dk.tryAcquire({ operation: "odds" });
    clock.advance(5000);
    dk.tryAcquire({ operation: "odds" });

    assert.deepEqual(lines[1], {
      level: "warn",
      code: "HBCB-003",
      bookmaker: "draftkings",
      operation: "odds",
      reason: "tripped",
      manual: true,
      remainingMs: 1000,
      msg: "[CIRCUIT_BREAKER] Rejected odds for draftkings: circuit tripped (1000ms remaining)",
    });
    assert.equal(
      lines[2]?.msg,
      "[CIRCUIT_BREAKER] Rejected odds for draftkings: circuit tripped (0ms remaining)",
    );
  });

  test("what a limiter refuses is told when to come back: no time of its own runs out", () => {
    const { gear, lines } = makeSubject({ limit: fixedLimit(1) });
    const dk = gear.upstream("draftkings");
    dk.tryAcquire({ operation: "odds" });
    dk.tryAcquire({ operation: "odds" });

    assert.equal(
      lines[0]?.msg,
      "[CIRCUIT_BREAKER] Rejected odds for draftkings: as many calls in flight as it can serve (retry after 50ms)",
    );
  });

  test("whatever a machine says, the wait is no negative number and no half", () => {
    const emitter = new Emitter();
    const sink = new Sink();
    const source: LoggingSource = {
      on: (type, listener) => emitter.on(type, listener),
      storeHealth: () => ({ location: "memory", recoveredFrom: null }),
    };
    attachLogging(source, sink, { rejectionIntervalMs: 0 });
    const waits = [-0.5, -1e9, 0.1, Number.NaN, Number.POSITIVE_INFINITY];
    for (const remainingMs of waits) {
      emitter.emit({
        type: "refused",
        upstream: "dk",
        operation: "odds",
        criticality: "critical",
        reason: "tripped",
        remainingMs,
        retryAfterMs: undefined,
        manual: false,
        systemLoad: undefined,
        operationLoad: undefined,
        shadow: false,
        at: 0,
      });
    }

    const shown = sink.lines.map(({ msg }) => /\((.*) remaining/.exec(msg)?.[1]);
    assert.deepEqual(shown, ["0ms", "0ms", "1ms", "0ms", "0ms"]);
  });

  test("an audit that the store refuses is logged whole, as one line", () => {
    const memory = memoryStore();
    const store: Store = {
      kind: "picky",
      location: "nowhere",
      durable: true,
      load: () => [],
      commit: ({ breakers, audits }) => {
        const isRefused =
          breakers.some(({ snapshot }) => snapshot.tripped) ||
          audits.some(({ action }) => action === "RESET");
        if (isRefused) throw new StoreError("OWN_RULE", "not\nthis", { concerns: "change" });
      },
      history: (query) => memory.history(query),
      close: () => {},
    };
    const { gear, clock, lines } = makeSubject({ store });
    gear.upstream("draftkings").reset({ reason: "well\nagain", actor: "ann", force: true });
    gear.upstream("draftkings").trip({ reason: "dead" });

    const ofStore = lines.filter(({ code }) => code === "SG_STORE");
    assert.deepEqual(ofStore, [
      {
        level: "error",
        code: "SG_STORE",
        op: "commit",
        storeCode: "OWN_RULE",
        bookmaker: "draftkings",
        action: "RESET",
        reason: "well\\nagain",
        user: "ann",
        timestamp: clock.now(),
        forced: true,
        msg: '[CIRCUIT_BREAKER] Store refuses an audit, which is kept here alone: RESET of draftkings by ann, "well\\nagain" (FORCED). OWN_RULE: not\\nthis',
      },
      {
        level: "error",
        code: "SG_STORE",
        op: "commit",
        storeCode: "OWN_RULE",
        bookmaker: "draftkings",
        msg: "[CIRCUIT_BREAKER] Store refuses the state of draftkings: OWN_RULE: not\\nthis. It is kept in memory and tried again; all others are stored.",
      },
    ]);
  });

  test("a shed call, with one decimal", () => {
    const { gear, lines } = makeSubject({ load: 0.9 });
    gear.upstream("draftkings").tryAcquire({ operation: "deepProbe", load: 150 });

    assert.deepEqual(lines, [
      {
        level: "warn",
        code: "HBCB-004",
        bookmaker: "draftkings",
        operation: "deepProbe",
        reason: "load_shed",
        systemLoad: 0.9,
        operationLoad: 150,
        msg: "[CIRCUIT_BREAKER] Load shed deepProbe for draftkings: system load 90.0%, operation load 150",
      },
    ]);
  });

  test("a recovery by the single probe", () => {
    const { gear, clock, lines } = makeSubject({
      breaker: { failureThreshold: 1, recovery: "single-probe", resetTimeoutMs: 10 },
    });
    const dk = gear.upstream("draftkings");
    dk.record({ outcome: "failed", error: "x" });
    clock.advance(10);
    const probe = dk.tryAcquire();
    assert.ok(probe.admitted);
    dk.tryAcquire({ operation: "odds" });
    probe.settle({ outcome: "ok", latencyMs: 149.6 });

    assert.deepEqual(lines[1], {
      level: "info",
      code: "SG_STATE",
      bookmaker: "draftkings",
      from: "open",
      to: "half-open",
      cause: "probe_due",
      msg: "[CIRCUIT_BREAKER] STATE: draftkings from open to half-open (probe_due)",
    });
    assert.equal(lines[2]?.["reason"], "tripped");
    assert.match(
      lines[2]?.msg ?? "",
      /^\[CIRCUIT_BREAKER\] Rejected odds for draftkings: circuit tripped \(\d+ms remaining\)$/,
    );
    assert.deepEqual(lines[3], {
      level: "info",
      code: "HBCB-001",
      bookmaker: "draftkings",
      msg: "[CIRCUIT_BREAKER] SUCCESS: draftkings recovered. Latency: 150ms. Failure count reset to 0.",
    });
  });

  test("modes, and what shadow mode let through", () => {
    const { gear, lines } = makeSubject();
    const dk = gear.upstream("draftkings");
    dk.setMode({ mode: "shadow", reason: "trial", actor: "ann" });
    dk.trip({ reason: "x" });
    dk.tryAcquire({ operation: "odds" });

    assert.deepEqual(lines[0], {
      level: "warn",
      code: "SG_MODE",
      bookmaker: "draftkings",
      reason: "trial",
      user: "ann",
      from: "normal",
      to: "shadow",
      msg: "[CIRCUIT_BREAKER] MODE: draftkings from normal to shadow by ann. Reason: trial",
    });
    assert.equal(lines[2]?.level, "info");
    assert.equal(
      lines[2]?.msg,
      "[CIRCUIT_BREAKER] Shadow mode admitted odds for draftkings: circuit tripped (60000ms remaining)",
    );
  });

  test("after closing", async () => {
    const { gear, lines } = makeSubject();
    const dk = gear.upstream("draftkings");
    await gear.close();
    dk.tryAcquire({ operation: "odds" });

    assert.equal(lines[0]?.msg, "[CIRCUIT_BREAKER] Rejected odds for draftkings: closing");
  });

  test("a failing store, and that it works again", () => {
    let isBroken = true;
    const memory = memoryStore();
    const store: Store = {
      kind: "sqlite",
      durable: true,
      location: "breaker.db",
      load: () => memory.load(),
      commit: (change) => {
        if (isBroken) throw new StoreError("SQLITE_FULL", "database or disk\nis full");
        memory.commit(change);
      },
      history: (query) => memory.history(query),
      close: () => {},
    };
    const { gear, clock, lines } = makeSubject({ store });
    gear.upstream("draftkings").trip({ reason: "x" });
    gear.upstream("draftkings").trip({ reason: "y" });
    isBroken = false;
    clock.advance(60_000);

    const about = lines.filter(({ code }) => code === "SG_STORE");
    assert.deepEqual(about, [
      {
        level: "error",
        code: "SG_STORE",
        op: "commit",
        storeCode: "SQLITE_FULL",
        msg: "[CIRCUIT_BREAKER] Store commit failed: SQLITE_FULL: database or disk\\nis full. Breakers go on from memory.",
      },
      {
        level: "info",
        code: "SG_STORE",
        msg: "[CIRCUIT_BREAKER] Store works again. Nothing waits to be written.",
      },
    ]);
  });

  test("a store that was found broken is fatal news, once", () => {
    const memory = memoryStore();
    const store: Store = {
      kind: "sqlite",
      durable: true,
      location: "breaker.db",
      recoveredFrom: "breaker.db.corrupt-1",
      load: () => memory.load(),
      commit: (change) => memory.commit(change),
      history: (query) => memory.history(query),
      close: () => {},
    };
    const { lines } = makeSubject({ store });

    assert.deepEqual(lines, [
      {
        level: "fatal",
        code: "SG_STORE",
        store: "breaker.db",
        recoveredFrom: "breaker.db.corrupt-1",
        msg: "[CIRCUIT_BREAKER] Store breaker.db was broken and put aside as breaker.db.corrupt-1. Earlier trips are lost: every breaker starts closed.",
      },
    ]);
  });

  test("text of strangers stays on its line", () => {
    const name = "dk\n2026 | ERROR | forged";
    const { gear, lines } = makeSubject({ breaker: { failureThreshold: 1 }, name });
    const upstream = gear.upstream(name);
    upstream.record({ outcome: "failed", error: "a\r\nb\u001b[31m\u2028\u202e\0\ud800" });
    upstream.tryAcquire({ operation: "o\np" });

    assert.equal(
      lines[0]?.msg,
      "[CIRCUIT_BREAKER] TRIPPED: dk\\n2026 | ERROR | forged after 1 failures. Last error: a\\r\\nb\\u001b[31m\\u2028\\u202e\\u0000\ufffd. Manual intervention required.",
    );
    assert.equal(lines[1]?.["operation"], "o\\np");
    for (const line of lines) {
      for (const value of Object.values(line)) {
        // oxlint-disable-next-line no-control-regex -- this is what must not be there
        if (typeof value === "string") assert.doesNotMatch(value, /[\0-\x1f\x7f-\x9f\u2028\u202e]/);
      }
    }
  });

  test("a logger that throws affects no call", async () => {
    const gear = createSwitchgear({
      upstreams: { dk: { breaker: latching({ failureThreshold: 1 }) } },
    });
    attachLogging(gear, { fatal: fail, error: fail, warn: fail, info: fail });
    const dk = gear.upstream("dk");

    await assert.rejects(
      dk.execute(() => Promise.reject(new Error("boom"))),
      /boom/,
    );
    await assert.rejects(
      dk.execute(() => 1),
      { code: "SG_BREAKER_OPEN" },
    );
    dk.reset({ force: true });
    assert.equal(await dk.execute(() => 1), 1);
    assert.equal(gear.counters().listenerErrors, 4);
  });

  test("the answer ends it", () => {
    const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
    const sink = new Sink();
    const detach = attachLogging(gear, sink);
    detach();
    gear.upstream("dk").trip();

    assert.equal(sink.lines.length, 0);
  });

  test("an alert callback that failed", () => {
    const sink = new Sink();
    logAlertFailure(sink, "draftkings", new Error("pager\nunreachable"));

    assert.deepEqual(sink.lines, [
      {
        level: "error",
        code: "HBCB-007",
        bookmaker: "draftkings",
        error: "pager\\nunreachable",
        msg: "[CIRCUIT_BREAKER] The alert callback for draftkings failed: pager\\nunreachable",
      },
    ]);
  });

  test("the span in which it happens is named", async () => {
    await loadTraceApi();
    context.setGlobalContextManager(new StorageContextManager());
    const { gear, lines, detach } = makeSubject();
    const span = trace.wrapSpanContext({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: 1,
    });

    const inSpan = trace.setSpan(ROOT_CONTEXT, span);
    context.with(inSpan, () => gear.upstream("draftkings").trip());
    gear.upstream("draftkings").reset({ force: true });
    gear.upstream("draftkings").trip();
    gear.upstream("draftkings").tryAcquire();
    gear.upstream("draftkings").tryAcquire();
    context.with(inSpan, detach);
    context.disable();

    assert.equal(lines[0]?.["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert.equal(lines[0]?.["span_id"], "b7ad6b7169203331");
    assert.equal(lines[1]?.["trace_id"], undefined);
    // What was left out belongs to no call, whatever runs when it is told.
    const late = lines.at(-1);
    assert.equal(late?.["code"], "HBCB-003");
    assert.equal(late["trace_id"], undefined);
  });
});

class StorageContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<Args extends unknown[], Fn extends (...args: Args) => ReturnType<Fn>>(
    active: Context,
    fn: Fn,
    thisArg?: ThisParameterType<Fn>,
    ...args: Args
  ): ReturnType<Fn> {
    return this.#storage.run(active, () => fn.call(thisArg, ...args));
  }

  bind<Target>(_context: Context, target: Target): Target {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#storage.disable();
    return this;
  }
}

function capture(options: Parameters<typeof createLogger>[0] = {}): {
  readonly logger: ReturnType<typeof createLogger>;
  readonly text: () => string;
} {
  let text = "";
  const destination = { write: (line: string) => void (text += line) };
  return { logger: createLogger({ ...options, destination }), text: () => text };
}

function hyperBunLineAt(time: unknown): string {
  return hyperBunFormat(JSON.stringify({ level: 50, time, code: "HBCB-002", msg: "m" }));
}

describe("createLogger", () => {
  test("JSON lines with a level in words and a readable time", () => {
    const { logger, text } = capture();
    const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
    attachLogging(gear, logger);
    gear.upstream("dk").trip({ reason: "x\ny", actor: "ann" });

    assert.equal(text().split("\n").length, 2, "one line");
    const line: Record<string, unknown> = JSON.parse(text());
    assert.equal(line["level"], "warn");
    assert.equal(line["code"], "HBCB-006");
    assert.match(String(line["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(
      String(line["msg"]),
      /^\[CIRCUIT_BREAKER\] TRIPPED: dk after 0 failures\. Last error: x\\ny\./,
    );
  });

  test("Hyper-Bun's lines", () => {
    const { logger, text } = capture({ format: "hyper-bun", level: "warn" });
    const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
    attachLogging(gear, logger);
    gear.upstream("dk").trip({ reason: "x", actor: "ann" });
    gear.upstream("dk").reset({ force: true });
    logger.warn("disk is\nslow");

    const [trip, other, end] = text().split("\n");
    assert.match(
      trip ?? "",
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| WARN \| HBCB-006 \| ProductionCircuitBreaker \| \[CIRCUIT_BREAKER\] TRIPPED: dk after 0 failures\. Last error: x\. Manual intervention required\.$/,
    );
    assert.match(other ?? "", / \| WARN \| - \| Switchgear \| disk is\\nslow$/);
    assert.equal(end, "", "info is below the level");
  });

  test("a line's time is UTC, whatever its form", () => {
    const expected = "2026-01-02 03:04:05.006 | ERROR | HBCB-002 | Switchgear | m";
    assert.equal(hyperBunLineAt("2026-01-02T03:04:05.006Z"), expected);
    assert.equal(hyperBunLineAt(Date.UTC(2026, 0, 2, 3, 4, 5, 6)), expected);
    assert.equal(hyperBunLineAt("never"), "- | ERROR | HBCB-002 | Switchgear | m");
    assert.equal(hyperBunFormat("no json\n"), "no json");
  });

  test("a flush is the destination's, whatever the format; without one there is nothing to wait for", () => {
    for (const format of ["json", "hyper-bun"] as const) {
      let flushes = 0;
      let calls = 0;
      const flush = (done?: () => void): void => {
        flushes += 1;
        done?.();
      };
      const write = (): void => {};
      createLogger({ format, destination: { write, flush } }).flush(() => (calls += 1));
      assert.deepEqual([flushes, calls], [1, 1]);
      createLogger({ format, destination: { write } }).flush(() => (calls += 1));
      assert.deepEqual([flushes, calls], [1, 2]);
    }
  });

  test("of a host's own destination nothing is known", () => {
    assert.equal(capture().logger.logHealth(), undefined);
  });

  test("secrets are not written", () => {
    const { logger, text } = capture();
    logger.info({
      token: "hunter2-hunter2",
      headers: { authorization: "Bearer hunter2", cookie: "hunter2", accept: "json" },
      request: { headers: { authorization: "hunter2", "x-api-key": "hunter2" } },
      config: { password: "hunter2" },
    });

    assert.doesNotMatch(text(), /hunter2/);
    assert.match(text(), /"accept":"json"/);
  });
});

describe("what was left out last is told", () => {
  function refusing(): Subject {
    const subject = makeSubject();
    const dk = subject.gear.upstream("draftkings");
    dk.trip();
    for (let n = 0; n < 5; n += 1) dk.tryAcquire();
    return subject;
  }

  const last = (lines: readonly Line[]): unknown[] =>
    lines.filter(({ code }) => code === "HBCB-003").map(({ suppressed }) => suppressed);

  test("when the registry is closed, whatever the logger does", async () => {
    const { gear, lines } = refusing();
    assert.deepEqual(last(lines), [undefined]);
    await gear.close();
    assert.deepEqual(last(lines), [undefined, 3]);
    await gear.close();
    assert.equal(last(lines).length, 2);
    assert.equal(gear.counters().listenerErrors, 0);
  });

  test("when it is detached, and not again when the registry is closed", async () => {
    const { gear, lines, detach } = refusing();
    detach();
    assert.deepEqual(last(lines), [undefined, 3]);
    await gear.close();
    assert.equal(last(lines).length, 2);
  });

  test("before the store is closed, and whoever throws then is counted", async () => {
    const order: string[] = [];
    const inner = memoryStore();
    const store = Object.assign(inner, { close: () => void order.push("store") });
    const { gear } = makeSubject({ store });
    const end = gear.onClose(() => order.push("never"));
    gear.onClose(() => order.push("told"));
    gear.onClose(() => {
      throw new Error("mine");
    });
    gear.onClose(() => Promise.reject(new Error("mine")));
    end();
    await gear.close();
    await gear.close();
    await new Promise(setImmediate);
    assert.deepEqual(order, ["told", "store"]);
    assert.equal(gear.counters().listenerErrors, 2);
  });
});
