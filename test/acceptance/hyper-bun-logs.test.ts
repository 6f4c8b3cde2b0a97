// The lines of the drop-in: all of them reach each kind of logger that hosts have, and a bookmaker that
// is back is told of once.

import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { ProductionCircuitBreaker, type HostLogger } from "../../src/hyper-bun/index.ts";
import { Recoveries } from "../../src/hyper-bun/recoveries.ts";
import { CodeLogger, PinoLogger, StateLogger } from "../fixtures/hyper-bun/src/logging/loggers.ts";
import { drop, fail, openCall, recordingLogger, type Dropped } from "../support/hyper-bun.ts";
import { temporaryFolder } from "../support/programs.ts";

/** What is printed on the host's own console meanwhile. */
function printed(t: TestContext): string[] {
  const lines: string[] = [];
  const host = globalThis.console;
  t.after(() => (globalThis.console = host));
  const print = (line: unknown): void => void lines.push(String(line));
  globalThis.console = { ...host, error: print, warn: print, info: print };
  return lines;
}

const ALERT_FAILS = () => {
  throw new Error("the pager is down");
};

/** Each event of the specification's table once; the answer is what a logger is told. */
async function eachEvent(logger: HostLogger | undefined): Promise<void> {
  const made = drop({ options: { logger, onAlert: ALERT_FAILS } });
  const call = (estimatedLoad = 1): Promise<unknown> =>
    made.breaker.callApi("dk", () => 1, { operation: "odds", estimatedLoad }).catch(() => {});
  await fail(made, 10);
  await call();
  assert.throws(() => made.breaker.reset("dk"));
  made.breaker.reset("dk", { user: "ann", reason: "back", force: true });
  await call();
  made.breaker.getSystemLoad = () => 0.9;
  await call(500);
  made.breaker.trip("dk", "maintenance");
  made.breaker.reset("nobody");
}

const CODES = [
  "ERROR HBCB-002 [CIRCUIT_BREAKER] TRIPPED: dk after 10 failures. Last error: boom. Manual intervention required.",
  "ERROR HBCB-007 [CIRCUIT_BREAKER] The alert callback for dk failed: the pager is down",
  "WARN HBCB-003 [CIRCUIT_BREAKER] Rejected odds for dk: circuit tripped (60000ms remaining)",
  "WARN HBCB-005 [CIRCUIT_BREAKER] RESET DENIED: dk by system (60000ms of the cooldown remaining). Reason: Manual reset",
  "INFO HBCB-005 [CIRCUIT_BREAKER] RESET: dk by ann. Reason: back (FORCED)",
  "INFO HBCB-001 [CIRCUIT_BREAKER] SUCCESS: dk recovered. Latency: 0ms. Failure count reset to 0.",
  "WARN HBCB-004 [CIRCUIT_BREAKER] Load shed odds for dk: system load 90.0%, operation load 500",
  "WARN HBCB-006 [CIRCUIT_BREAKER] TRIPPED: dk after 0 failures. Last error: maintenance. Manual intervention required.",
  "WARN HBCB-005 [CIRCUIT_BREAKER] Nothing to reset: nobody is unknown. Asked by system. Reason: Manual reset",
];

test("a logger as pino is gets every line", async () => {
  const logger = new PinoLogger();
  await eachEvent(logger);
  assert.deepEqual(logger.lines, CODES);
});

test("a logger called as (code, message, error) gets every line with its code, and the error", async () => {
  const logger = new CodeLogger();
  await eachEvent(logger);
  const withCause = `${CODES[1]} (the pager is down)`;
  assert.deepEqual(logger.lines, CODES.with(1, withCause));
});

test("a logger that knows changes of state alone is told those, and every line is printed", async (t) => {
  const lines = printed(t);
  const logger = new StateLogger();
  await eachEvent(logger);
  assert.deepEqual(logger.lines, ["dk open failures", "dk closed reset", "dk open manual_trip"]);
  assert.deepEqual(
    lines.map((line) => line.split(" | ").toSpliced(3, 1).slice(1).join(" ")),
    CODES,
  );
});

test("a line that a logger throws at, or rejects, is printed", async (t) => {
  const lines = printed(t);
  const logger = {
    error: (_fields: object, _message: string) => Promise.reject(new Error("no disk")),
    warn(fields: Record<string, unknown>, message: string) {
      throw new Error(`${String(fields["code"])} ${message}`);
    },
  };
  await eachEvent(logger);
  await new Promise(setImmediate);
  // A level that is missing is one that the host does not want.
  const wanted = CODES.filter((line) => !line.startsWith("INFO"));
  assert.equal(lines.length, wanted.length);
});

type Push = (first: unknown) => unknown;

const STYLES: readonly (readonly [
  told: "string" | "object",
  name: string,
  method: (push: Push) => NonNullable<HostLogger["warn"]>,
])[] = [
  ["string", "(code, message)", (push) => (code: string, _message) => push(code)],
  ["string", "(id, message, error)", (push) => (id: string, _message, _error?: Error) => push(id)],
  [
    "string",
    "async (code, ...more)",
    (push) =>
      async (code: string, ..._more) =>
        push(code),
  ],
  ["object", "(fields, message)", (push) => (fields: object, _message) => push(fields)],
  ["object", "(fields, message, more)", (push) => (fields: object, _m, _more) => push(fields)],
  [
    "object",
    "({ code }, message, more)",
    (push) =>
      ({ ...all }: object, _m, _more) =>
        push(all),
  ],
  [
    "object",
    "(...all)",
    (push) =>
      (...all: unknown[]) =>
        push(all[0]),
  ],
];

for (const [style, name, method] of STYLES) {
  test(`a logger of ${name} is called with its ${style === "string" ? "code" : "fields"} first`, () => {
    const firsts: string[] = [];
    const warn = method((first) => firsts.push(typeof first));
    drop({ options: { logger: { warn } } }).breaker.trip("dk", "x");
    assert.deepEqual(firsts, [style]);
  });
}

test("a logger's style may be said", () => {
  const firsts: unknown[] = [];
  const logger = { warn: (first: unknown) => firsts.push(typeof first) };
  const loggerStyle = "code";
  drop({ options: { logger, loggerStyle } }).breaker.trip("dk", "x");
  drop({ options: { logger, loggerStyle: "fields" } }).breaker.trip("dk", "x");
  assert.deepEqual(firsts, ["string", "object"]);
  const wrong: object = { loggerStyle: "pino" };
  assert.throws(
    () => drop({ options: wrong }),
    /loggerStyle must be one of fields, code, not "pino"/,
  );
});

const BACK = (latency: string): string =>
  `[CIRCUIT_BREAKER] SUCCESS: dk recovered. Latency: ${latency}ms. Failure count reset to 0.`;

async function succeed(made: Dropped, ms = 0): Promise<void> {
  await made.breaker.callApi("dk", () => {
    made.clock.advance(ms);
    return 1;
  });
}

test("the first success after a reset that ended a trip says so, and only that one", async () => {
  const made = drop();
  await succeed(made);
  await fail(made, 10);
  made.breaker.reset("dk", { force: true });
  assert.deepEqual(made.logged("HBCB-001"), []);
  await fail(made, 1);
  assert.deepEqual(made.logged("HBCB-001"), []);
  await succeed(made, 25);
  await succeed(made, 7);
  await made.breaker.recordSuccess("dk", 7);
  assert.deepEqual(made.logged("HBCB-001"), [BACK("25")]);

  made.breaker.trip("dk", "maintenance");
  made.breaker.reset("dk", { force: true });
  await made.breaker.recordSuccess("dk", 12);
  await made.breaker.recordSuccess("dk", 12);
  assert.deepEqual(made.logged("HBCB-001"), [BACK("25"), BACK("12")]);
});

test("no recovery is told after a reset of nothing, of a late success, or across another trip", async () => {
  const made = drop();
  await fail(made, 3);
  made.breaker.reset("dk");
  await succeed(made);
  assert.deepEqual(made.logged("HBCB-001"), []);

  const late = openCall(made);
  await fail(made, 10);
  made.breaker.reset("dk", { force: true });
  await late.resolve(1);
  assert.deepEqual(made.logged("HBCB-001"), []);
  const ignored = made.breaker.callApi("dk", () => 1, { classifyResult: () => "ignored" });
  await ignored;
  assert.deepEqual(made.logged("HBCB-001"), []);

  made.breaker.trip("dk", "again");
  await made.breaker.recordSuccess("dk", 1);
  assert.deepEqual(made.logged("HBCB-001"), []);
});

test("a re-test that closes a breaker says so once", async () => {
  const made = drop({ options: { recovery: "single-probe" } });
  await fail(made, 10);
  made.clock.advance(60_000);
  await succeed(made, 5);
  await succeed(made, 5);
  assert.deepEqual(made.logged("HBCB-001"), [BACK("5")]);
});

test("a reset in another process is followed by the line in the one that calls", async (t) => {
  const path = join(temporaryFolder(t), "circuit_breaker.db");
  const service = drop({ db: new DatabaseSync(path) });
  await fail(service, 10);
  const shell = new ProductionCircuitBreaker(path, undefined, 10, 60_000, 60_000, {
    clock: service.clock,
    logger: {},
  });
  shell.reset("dk", { force: true, user: "ann" });
  service.clock.advance(2000);
  await succeed(service, 3);
  await succeed(service, 3);
  assert.deepEqual(service.logged("HBCB-001"), [BACK("3")]);
  await shell.close();
  await service.breaker.close();
});

test("a late success hides no recovery that comes after it", async () => {
  const made = drop();
  const late = [openCall(made), openCall(made)];
  await fail(made, 10);
  made.breaker.reset("dk", { force: true });
  for (const call of late) await call.resolve(1);
  assert.deepEqual(made.logged("HBCB-001"), []);
  await succeed(made, 4);
  assert.deepEqual(made.logged("HBCB-001"), [BACK("4")]);
});

test("a trip in another process is no recovery, whatever succeeds meanwhile", async (t) => {
  const path = join(temporaryFolder(t), "circuit_breaker.db");
  const service = drop({ db: new DatabaseSync(path) });
  await service.breaker.recordSuccess("dk", 1);
  const shell = new ProductionCircuitBreaker(path, undefined, 10, 60_000, 60_000, {
    clock: service.clock,
    logger: {},
  });
  shell.trip("dk", "maintenance", "ann");
  service.clock.advance(2000);
  assert.equal(service.breaker.isTripped("dk"), true);
  await service.breaker.recordSuccess("dk", 1);
  assert.deepEqual(service.logged("HBCB-001"), []);
  await shell.close();
  await service.breaker.close();
});

test("those beyond the bound on bookmakers, which nobody finds by name, await nothing", () => {
  let heard: ((event: object) => void) | undefined;
  const gear = {
    on: (_: string, listener: typeof heard) => (heard = listener),
    find: () => undefined,
  };
  const recoveries = new Recoveries(gear as never, recordingLogger([]));
  assert.ok(heard !== undefined);
  heard({ upstream: "__overflow__", to: "closed", cause: "restored" });
  recoveries.recorded({ name: "__overflow__" } as never, 5);
});
