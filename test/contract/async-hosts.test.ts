// A host's functions may be async, and reject: what they promise waits for nobody, and ends no process. Where the
// library calls one and goes on, a rejection is contained as a throw is.

import assert from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";
import { EndpointBreaker, SlidingWindowBreaker } from "../../src/compat/index.ts";
import { ProductionCircuitBreaker } from "../../src/hyper-bun/index.ts";
import {
  CancellationToken,
  createSwitchgear,
  latching,
  type Switchgear,
  type SwitchgearOptions,
} from "../../src/index.ts";
import type { WatchedCall } from "../../src/pipeline/call/watcher.ts";
import { EndpointSet } from "../../src/pipeline/endpoints/set.ts";
import { adaptive } from "../../src/core/breaker/adaptive/machine.ts";
import { MonitorTasks } from "../../src/pipeline/tasks/monitor.ts";
import { attachLogging, createLogger, logAlertFailure } from "../../src/telemetry/log/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { drop } from "../support/hyper-bun.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- what no type would let pass
type Wild = any;

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
process.on("unhandledRejection", note);
after(() => process.off("unhandledRejection", note));

/** Rejections are told a turn later. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

afterEach(async () => {
  await settled();
  assert.deepEqual(unhandled.splice(0), []);
});

let asked = 0;

/** An async function of a host's, whose backend is away. */
const rejects = (): Promise<never> => {
  asked += 1;
  return Promise.reject(new Error("the log's backend is away"));
};

/** The same from a library with promises of its own. */
const rejectsForeign = (): PromiseLike<never> => {
  asked += 1;
  // oxlint-disable-next-line unicorn/no-thenable -- what is tested
  return { then: (...args: Wild[]) => rejects().then(...args) };
};

function asyncLogger(method: () => unknown): Wild {
  return { debug: method, fatal: method, error: method, warn: method, info: method };
}

function gearOf(options: Partial<SwitchgearOptions> = {}): Switchgear {
  return createSwitchgear({
    upstreams: { dk: { breaker: latching({ failureThreshold: 1 }) } },
    clock: new VirtualClock(),
    ...options,
  });
}

for (const [kind, method] of [
  ["native", rejects],
  ["foreign", rejectsForeign],
] as const) {
  describe(`a function that rejects with a ${kind} promise`, () => {
    test("a logger: each line of an event is a listener's error", async () => {
      const gear = gearOf();
      const end = attachLogging(gear, asyncLogger(method), { failureIntervalMs: 0 });
      const dk = gear.upstream("dk");
      dk.record({ outcome: "failed" });
      dk.setMode({ mode: "shadow" });
      dk.reset({ force: true });
      await settled();
      assert.equal(gear.counters().listenerErrors, 3);
      end();
    });

    test("a logger: lines of calls, and those that come late", async () => {
      const gear = gearOf();
      const end = attachLogging(gear, asyncLogger(method));
      const dk = gear.upstream("dk");
      await assert.rejects(dk.execute(() => Promise.reject(new Error("boom"))));
      for (let n = 0; n < 3; n += 1) await assert.rejects(dk.execute(() => 1));
      asked = 0;
      end();
      assert.equal(asked, 1);
    });

    test("a logger: what is told at the start", () => {
      asked = 0;
      const recoveredFrom = "/data/breaker.db.corrupt";
      attachLogging(
        { on: () => () => {}, storeHealth: () => ({ location: "here", recoveredFrom }) },
        asyncLogger(method),
      );
      assert.equal(asked, 1);
      logAlertFailure(asyncLogger(method), "dk", new Error("no pager"));
      assert.equal(asked, 2);
    });

    test("a listener", async () => {
      const gear = gearOf();
      gear.on("trip", method);
      gear.upstream("dk").on("trip", method);
      gear.upstream("dk").trip();
      await settled();
      assert.equal(gear.counters().listenerErrors, 2);
    });

    test("a logger's destination", () => {
      for (const format of ["json", "hyper-bun"] as const) {
        asked = 0;
        createLogger({ format, destination: { write: method } }).info("a line");
        assert.equal(asked, 1);
      }
    });

    test("a load sampler", async () => {
      const gear = gearOf({ sampler: { systemLoad: method } as Wild });
      assert.equal(await gear.upstream("dk").execute(() => 1, { load: 900 }), 1);
      assert.equal(gear.systemLoad(), 0);
    });

    test("a watcher of calls, in each of its methods", async () => {
      const watched = { refused: method, admitted: method, within: method, ended: method };
      const wild: Wild = watched;
      const gear = gearOf();
      const dk = gear.upstream("dk");
      gear.watchCalls({ begin: () => wild as WatchedCall });
      assert.equal(await dk.execute(() => 1), 1);
      await assert.rejects(
        dk.execute(() => Promise.reject(new Error("boom"))),
        /boom/,
      );
      await assert.rejects(dk.execute(() => 1));
      gear.watchCalls({ begin: method } as Wild);
      dk.reset({ force: true });
      assert.equal(await dk.execute(() => 1), 1);
    });

    test("a watcher whose within is async answers as the call does", async () => {
      const gear = gearOf();
      const within = async (run: () => unknown): Promise<unknown> => await run();
      const wild: Wild = {
        refused: () => {},
        admitted: () => {},
        within,
        ended: (_: unknown, __: unknown, settle: () => void) => settle(),
      };
      gear.watchCalls({ begin: () => wild as WatchedCall });
      await assert.rejects(
        gear.upstream("dk").execute(() => Promise.reject(new Error("boom"))),
        /boom/,
      );
    });

    test("a clock and a source of chance", async () => {
      const clock = { now: method, monotonic: method, setTimer: method };
      const gear = gearOf({ clock, random: { next: method } } as Wild);
      assert.equal(await gear.upstream("dk").execute(() => 1, { deadlineMs: 1000 }), 1);
    });

    test("whoever is told of a cancellation, of an endpoint or of a monitoring task", async () => {
      const token = new CancellationToken();
      token.onCancel(method);
      token.cancel();
      const clock = new VirtualClock();
      const set = new EndpointSet(
        { policy: adaptive({ failureThreshold: 1 }), onDemand: true, onEvent: method },
        { clock, random: { next: () => 0 } },
      );
      set.record("a", "failed");
      await settled();
      assert.ok(set.listenerErrors > 0);
      const monitors = new MonitorTasks({ scheduler: clock, onEvent: method });
      await monitors.start("a", async () => {});
    });

    test("loggers and callbacks of the façades", async () => {
      const endpoints = new EndpointBreaker(1, 1, 10, { logger: asyncLogger(method) });
      endpoints.setStateChangeCallback(method);
      endpoints.recordFailure("a");
      const window = new SlidingWindowBreaker({ logger: asyncLogger(method) });
      window.forceOpen();
      await assert.rejects(window.call(() => 1));
    });

    test("what the drop-in is given", async () => {
      const { breaker, db } = drop({
        threshold: 1,
        options: {
          logger: { ...asyncLogger(method), logCircuitBreakerState: method },
          onAlert: method,
          pendingRequests: method as Wild,
          classifyError: method as Wild,
          classifyResult: method as Wild,
        },
      });
      const metrics: Wild = { counter: method, gauge: method };
      const other = new ProductionCircuitBreaker(db, metrics, 1, 60_000, 60_000, {
        logger: asyncLogger(method),
        pendingRequests: method as Wild,
      });
      assert.equal(await breaker.callApi("dk", () => 1, { estimatedLoad: 900 }), 1);
      await assert.rejects(
        breaker.callApi("dk", () => Promise.reject(new Error("boom"))),
        /boom/,
      );
      await other.recordFailure("fd", "boom");
      await other.callApi("mgm", () => 1, { operation: "odds", estimatedLoad: 900 });
    });

    test("a database that works elsewhere is none, and its promises end nothing", async () => {
      const statement = { run: method, get: method, all: method };
      for (const db of [
        { exec: method, prepare: () => statement },
        { exec: () => {}, prepare: () => statement },
        { exec: () => {}, prepare: method },
      ]) {
        const logs: string[] = [];
        const told = (_: unknown, message: string): void => void logs.push(message);
        const breaker = new ProductionCircuitBreaker(db as Wild, null, 1, 1000, 1000, {
          logger: asyncLogger(told as Wild),
        });
        await breaker.recordFailure("dk", "boom");
        assert.equal(breaker.isTripped("dk"), true);
        assert.equal(breaker.getStatus("dk")?.persisted, false);
        assert.match(
          logs.join("\n"),
          /answered with a promise: it must be a handle that works at once/,
        );
        await breaker.close();
      }
    });
  });
}
