// What is handed in wrongly is refused with the sentence that names it, says what was wrong and what would be right.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guardFetch } from "../../src/fetch/index.ts";
import { ProductionCircuitBreaker } from "../../src/hyper-bun/index.ts";
import {
  createBreaker,
  createSwitchgear,
  InvalidOptionsError,
  latching,
  type Switchgear,
} from "../../src/index.ts";
import { attachLogging, createLogger } from "../../src/telemetry/log/index.ts";
import { SeededRandom, VirtualClock } from "../../src/testing/index.ts";
import { recordingLogger, type LogLine } from "../support/hyper-bun.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- what no type would let pass
type Wild = any;

const dk = createBreaker("dk", latching());
const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
const withEndpoints = (endpoints: Wild): Switchgear =>
  createSwitchgear({ upstreams: { dk: { breaker: latching(), endpoints } } });
const dropIn = (options: Wild): unknown =>
  new ProductionCircuitBreaker(":memory:", null, 1, 1000, 1000, options);
const wild = {
  execute: (options: Wild) => dk.execute(() => 1, options),
  hold: (options: Wild) => dk.hold(() => 1, options),
  wrap: (options: Wild) => dk.wrap(() => 1, options),
  tryAcquire: (options: Wild) => dk.tryAcquire(options),
  history: (query: Wild) => gear.history(query),
  attachLogging: attachLogging as (...args: Wild[]) => unknown,
  createLogger: createLogger as (options: Wild) => unknown,
  metrics: (metrics: Wild) => new ProductionCircuitBreaker(":memory:", metrics),
  virtualClock: (wallMs: Wild) => new VirtualClock(wallMs),
};
const fetching = (options: Wild): Promise<Response> =>
  guardFetch(dk, () => Promise.resolve(new Response("odds")))("http://a.example", {}, options);

const OBJECT = 'options must be an object, such as { operation: "odds" }, not ';

const REFUSED: readonly (readonly [what: string, work: () => unknown, sentence: string])[] = [
  ...(["execute", "hold", "wrap", "tryAcquire"] as const).flatMap(
    (method) =>
      [
        [`${method}(null)`, () => wild[method](null), `${OBJECT}null`],
        [`${method}("odds")`, () => wild[method]("odds"), `${OBJECT}"odds"`],
        [`${method}(5)`, () => wild[method](5), `${OBJECT}5`],
        [`${method}([])`, () => wild[method]([]), `${OBJECT}an array`],
        [
          `${method}(signal)`,
          () => wild[method](new AbortController().signal),
          "options must be an object, such as { signal }, not the signal itself",
        ],
        [
          `${method}({ operatoin })`,
          () => wild[method]({ operatoin: "odds" }),
          'operatoin is not an option (operation, load, criticality, deadlineMs, signal, parent, idleMs); did you mean "operation"?',
        ],
      ] as const,
  ),
  ["guardFetch's options", () => fetching("odds"), `${OBJECT}"odds"`],
  [
    "guardFetch's option beside a known one",
    () => fetching({ operation: "odds", deadlinMs: 5 }),
    'deadlinMs is not an option (operation, load, criticality, deadlineMs, signal, parent, idleMs); did you mean "deadlineMs"?',
  ],
  [
    "guardFetch's signal",
    () => fetching({ signal: AbortSignal.abort() }),
    "signal must stand in the second argument, as fetch has it: (url, { signal }, options)",
  ],
  ["history(null)", () => wild.history(null), "options must be an object, not null"],
  ["history(5)", () => wild.history(5), "options must be an object, not 5"],
  [
    "history({ lmit })",
    () => wild.history({ lmit: 5 }),
    'lmit is not an option (limit, upstream); did you mean "limit"?',
  ],
  [
    "a mode of load shedding that is none",
    () => createSwitchgear({ loadShedding: { mode: "fastest" as Wild } }),
    'mode must be one of weighted, max, not "fastest"',
  ],
  [
    "a mode of load shedding beside a sampler",
    () => createSwitchgear({ loadShedding: { mode: "max" }, sampler: { systemLoad: () => 0 } }),
    "loadShedding.mode is about the built-in sampler; leave it out beside a sampler",
  ],
  [
    "endpoints: []",
    () => withEndpoints([]),
    '"dk": endpoints must be a list of at least one URL; an upstream that is one place has none',
  ],
  [
    "endpoints: {}",
    () => withEndpoints({}),
    '"dk": endpoints must be a list of URLs, not an object',
  ],
  ...(
    [
      [null, "null"],
      [5, "5"],
      ["", '""'],
      [{ name: "a" }, '{ name: "a", url: undefined }'],
      [{ name: "a", url: 5 }, '{ name: "a", url: 5 }'],
      [{ url: "http://a.example" }, '{ name: undefined, url: "http://a.example" }'],
      [new URL("http://a.example"), "a URL object; give its href"],
    ] as const
  ).map(
    ([one, shown]) =>
      [
        `endpoints: [${shown}]`,
        () => withEndpoints(["http://b.example", one]),
        `"dk": each of endpoints must be a URL's text or { name, url }, both texts, not ${shown}`,
      ] as const,
  ),
  [
    "attachLogging without a logger",
    () => wild.attachLogging(gear),
    "the second argument must be a logger, such as createLogger() or pino(), with the methods fatal, error, warn, info, not undefined",
  ],
  [
    "attachLogging without a registry",
    () => wild.attachLogging(undefined, recordingLogger([])),
    "the first argument must be a registry, such as createSwitchgear({…}), not undefined",
  ],
  [
    "attachLogging with an option",
    () => wild.attachLogging(gear, recordingLogger([]), { rejectionInterval: 5 }),
    'rejectionInterval is not an option (rejectionIntervalMs, failureIntervalMs); did you mean "rejectionIntervalMs"?',
  ],
  [
    "attachLogging with null",
    () => wild.attachLogging(gear, recordingLogger([]), null),
    "options must be an object, not null",
  ],
  [
    "createLogger's format",
    () => wild.createLogger({ format: "xml" }),
    'format must be one of json, hyper-bun, not "xml"',
  ],
  [
    "createLogger's option",
    () => wild.createLogger({ levl: 1 }),
    'levl is not an option (level, format, destination); did you mean "level"?',
  ],
  [
    "createLogger's level",
    () => wild.createLogger({ level: "loud" }),
    'level must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
  ],
  [
    "createLogger's destination",
    () => wild.createLogger({ destination: "file.log" }),
    'destination must be an object with a method write, not "file.log"',
  ],
  ["createLogger(null)", () => wild.createLogger(null), "options must be an object, not null"],
  ["new VirtualClock", () => wild.virtualClock("x"), 'takes a number of milliseconds, not "x"'],
  [
    "advance",
    () => new VirtualClock().advance("5" as Wild),
    'takes a number of milliseconds, not "5"',
  ],
  [
    "jumpWall",
    () => new VirtualClock().jumpWall(Number.NaN),
    "takes a number of milliseconds, not NaN",
  ],
  ["new SeededRandom", () => new SeededRandom("x" as Wild), 'takes a number, not "x"'],
  ["the drop-in's null", () => dropIn(null), "options must be an object, not null"],
  ["the drop-in's text", () => dropIn("manual"), 'options must be an object, not "manual"'],
  [
    "the drop-in's option",
    () => dropIn({ loger: recordingLogger([]) }),
    'loger is not an option (clock, logger, loggerStyle, weights, loadShedding, loadMode, pendingRequests, maxPendingRequests, recovery, onAlert, classifyError, classifyResult, busyTimeoutMs); did you mean "logger"?',
  ],
  [
    "a weight",
    () => dropIn({ weights: { timout: 0.1 } }),
    'weights: timout is not an option (failure, timeout); did you mean "timeout"?',
  ],
  ["weights", () => dropIn({ weights: null }), "weights must be an object, not null"],
  [
    "loadShedding's option",
    () => dropIn({ loadShedding: { treshold: 0.1 } }),
    'loadShedding: treshold is not an option (threshold, operationLoad); did you mean "threshold"?',
  ],
  [
    "loadShedding's number",
    () => dropIn({ loadShedding: { threshold: 85 } }),
    "loadShedding: threshold must be a finite number at least 0 and at most 1, not 85",
  ],
  ...[5, null, { warn: 5 }].map(
    (logger) =>
      [
        "the drop-in's logger",
        () => dropIn({ logger }),
        `logger must be an object whose fatal, error, warn, info, logCircuitBreakerState, as far as it has them, are methods, not ${typeof logger === "object" && logger !== null ? "an object" : logger}`,
      ] as const,
  ),
  ...[5, {}, { counter: () => {} }].map(
    (metrics) =>
      [
        "the drop-in's metrics",
        () => wild.metrics(metrics),
        `metrics must be a client with the methods counter, gauge, not ${typeof metrics === "object" ? "an object" : metrics}`,
      ] as const,
  ),
];

describe("is refused with a sentence:", () => {
  for (const [what, work, sentence] of REFUSED) {
    test(`${what}: ${sentence}`, async () => {
      const { inFlight } = dk;
      try {
        await work();
      } catch (error) {
        assert.ok(error instanceof InvalidOptionsError, String(error));
        assert.deepEqual(error.faults, [sentence]);
        assert.equal(dk.inFlight, inFlight);
        return;
      }
      assert.fail("nothing was refused");
    });
  }
});

test("every fault of the drop-in's is told at once", () => {
  try {
    // oxlint-disable-next-line no-new -- only whether it can be made
    new ProductionCircuitBreaker(":memory:", {} as Wild, 1, 1000, 1000, {
      logger: 5,
      weights: { timout: 1 },
      loadShedding: { treshold: 1 },
      onAlert: 7,
    } as Wild);
  } catch (error) {
    assert.equal((error as InvalidOptionsError).faults.length, 5);
    return;
  }
  assert.fail("nothing was refused");
});

test("passes: what is empty, what is undefined, and what is beside a known option", async () => {
  const odd: Wild = { operation: "odds", mine: 5 };
  for (const options of [{}, undefined, { operation: undefined }, Object.create(null), odd]) {
    assert.equal(await dk.execute(() => 1, options), 1);
  }
  assert.equal((await fetching(null)).status, 200);
  assert.equal((await fetching({ signal: undefined, idleMs: 5 })).status, 200);
  withEndpoints(["eu", "10.0.0.1:50051", { name: "us", url: "http://us.example", region: 5 }]);
  dropIn({ clock: null, logger: {}, weights: { timeout: undefined }, loadShedding: {} });
  dropIn({ logger: Object.assign(() => {}, { warn: () => {} }) });
});

test("a logger without fatal is told as an error what it would be", () => {
  const lines: LogLine[] = [];
  const { fatal: _, ...logger } = recordingLogger(lines);
  const source = {
    on: () => () => {},
    storeHealth: () => ({ location: "here", recoveredFrom: "/data/x.corrupt" }),
  };
  attachLogging(source, logger as Wild);
  assert.deepEqual(
    lines.map(({ level }) => level),
    ["error"],
  );
});
