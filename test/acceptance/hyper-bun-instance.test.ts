// Specification 9.A: the process's one breaker, the console, and the drop-in's surface (T-A-66, 67, 69).

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, test, type TestContext } from "node:test";
import type { Database } from "bun:sqlite";
import * as dropIn from "../../src/hyper-bun/index.ts";
import {
  CircuitBreakerTrippedError,
  closeCircuitBreaker,
  getCircuitBreaker,
  getCircuitBreakerStatus,
  installConsole,
  LoadShedError,
  ProductionCircuitBreaker,
  ResetDeniedError,
  setCircuitBreaker,
  TimeoutError,
  type BookmakerStatus,
  type BreakerConsole,
  type CircuitBreakerContext,
  type CircuitBreakerThresholds,
} from "../../src/hyper-bun/index.ts";
import { isRefused } from "../../src/index.ts";
import * as instanceShim from "../fixtures/hyper-bun/src/utils/circuit-breaker-instance.ts";
import * as breakerShim from "../fixtures/hyper-bun/src/utils/production-circuit-breaker.ts";
import { ROOT } from "../support/programs.ts";

interface Globals {
  breaker?: BreakerConsole;
  mlgs?: Record<string, unknown>;
  __circuitBreakerGauges?: unknown;
}

const globals = globalThis as Globals;
let folder = "";
let printed: string[] = [];
const { log, table, info, warn, error } = console;
const user = process.env["USER"];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "switchgear-instance-"));
  process.env["CIRCUIT_BREAKER_DB"] = join(folder, "data", "circuit_breaker.db");
  printed = [];
  const keep = (value: unknown): void => void printed.push(JSON.stringify(value));
  console.log = keep;
  console.table = keep;
  console.info = keep;
  console.warn = keep;
  console.error = keep;
});

afterEach(async () => {
  Object.assign(console, { log, table, info, warn, error });
  if (user === undefined) delete process.env["USER"];
  else process.env["USER"] = user;
  await closeCircuitBreaker();
  delete process.env["CIRCUIT_BREAKER_DB"];
  delete globals.breaker;
  delete globals.mlgs;
  rmSync(folder, { recursive: true, force: true });
});

/** All of the sources once more, as a bundler or a hot reload would load them. */
async function otherCopy(t: TestContext): Promise<typeof dropIn> {
  const copy = mkdtempSync(join(tmpdir(), "switchgear-copy-"));
  t.after(() => rmSync(copy, { recursive: true, force: true }));
  cpSync(join(ROOT, "src"), join(copy, "src"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
  const url = pathToFileURL(join(copy, "src/hyper-bun/index.ts")).href;
  return (await import(url)) as typeof dropIn;
}

test("T-A-66 all who ask get the same breaker, from another copy of the module too", async (t) => {
  const other = await otherCopy(t);
  assert.notEqual(other.ProductionCircuitBreaker, ProductionCircuitBreaker);
  const breaker = getCircuitBreaker();
  assert.ok(breaker instanceof ProductionCircuitBreaker);
  assert.equal(getCircuitBreaker(), breaker);
  assert.equal(other.getCircuitBreaker(), breaker);
  breaker.trip("dk", "x");
  assert.equal(other.getCircuitBreakerStatus()[0]?.bookmaker, "dk");
  await other.closeCircuitBreaker();
  assert.notEqual(getCircuitBreaker(), breaker);
});

test("T-A-66 the first scrape after a restart shows a persisted trip, before anybody asked", async () => {
  getCircuitBreaker().trip("dk", "x");
  await closeCircuitBreaker();
  const [status] = getCircuitBreakerStatus();
  assert.equal(status?.bookmaker, "dk");
  assert.equal(status.tripped, true);
});

test("T-A-66 the status never throws", () => {
  setCircuitBreaker({} as ProductionCircuitBreaker);
  assert.deepEqual(getCircuitBreakerStatus(), []);
  setCircuitBreaker(undefined as unknown as ProductionCircuitBreaker);
});

test("the default breaker survives a database that cannot be used, and feeds the global map", async () => {
  process.env["CIRCUIT_BREAKER_DB"] = join(ROOT, "package.json", "circuit_breaker.db");
  const breaker = getCircuitBreaker();
  assert.match(printed.join("\n"), /\| ERROR \| SG_STORE \| .*The database cannot be used/);
  breaker.trip("dk", "x");
  assert.equal(breaker.getStatus("dk")?.persisted, false);
  await assert.rejects(
    breaker.callApi("dk", () => Promise.resolve(1)),
    CircuitBreakerTrippedError,
  );
  const map = globals.__circuitBreakerGauges as Map<string, number>;
  assert.equal(map.get('circuit_breaker_tripped{bookmaker="dk"}'), 1);
});

test("closing without a breaker makes none", async () => {
  await closeCircuitBreaker();
  await closeCircuitBreaker();
  assert.equal(existsSync(join(folder, "data")), false);
});

test("errors are recognised across copies, subclasses only by their own class", async (t) => {
  const other = await otherCopy(t);
  class Mine extends TimeoutError {}
  const facts = { upstream: "dk", operation: "odds", reason: "tripped", retryAfterMs: 1 } as const;
  const tripped = { remainingMs: 1, manual: false, trippedAt: 1, lastError: "x" };
  const shed = { systemLoad: 0.9, operationLoad: 200, threshold: 0.85 };
  for (const [Ours, Theirs, made] of [
    [
      CircuitBreakerTrippedError,
      other.CircuitBreakerTrippedError,
      new other.CircuitBreakerTrippedError(facts, tripped),
    ],
    [LoadShedError, other.LoadShedError, new other.LoadShedError(facts, shed)],
    [ResetDeniedError, other.ResetDeniedError, new other.ResetDeniedError("dk", 60_000, 5)],
    [TimeoutError, other.TimeoutError, new other.TimeoutError(5)],
  ] as const) {
    const { name } = Theirs;
    assert.notEqual(Ours, Theirs, name);
    assert.ok(made instanceof Ours, name);
    assert.ok(made instanceof Error, name);
    assert.equal(made.name, name);
    assert.equal(new Error("x") instanceof Ours, false, name);
    const strangers: unknown[] = [undefined, null, "x", {}];
    for (const stranger of strangers) assert.equal(stranger instanceof Ours, false, name);
    assert.equal(made instanceof Mine, false, name);
  }
  assert.ok(isRefused(new other.CircuitBreakerTrippedError(facts, tripped)));
  assert.ok(isRefused(new other.LoadShedError(facts, shed)));
  assert.ok(new Mine(5) instanceof TimeoutError && new Mine(5) instanceof Mine);
  assert.equal(new TimeoutError(5000, "Request timeout").message, "Request timeout");
  assert.equal(new TimeoutError(5000, "Request timeout").timeoutMs, 5000);
  assert.equal(new TimeoutError(5000).message, "timed out after 5000 ms");
});

test("T-A-67 the console prints, answers with the data, and takes all the ways of asking", async () => {
  const system = { name: "hyper-bun" };
  globals.mlgs = { system };
  const before = globals.mlgs;
  process.env["USER"] = "ann";
  const breaker = getCircuitBreaker();
  const commands = installConsole();
  assert.equal(globals.breaker, commands);
  assert.equal(globals.mlgs, before);
  assert.equal(globals.mlgs["system"], system);
  assert.equal(globals.mlgs["breaker"], commands);
  assert.equal(globals.mlgs["circuitBreaker"], commands);

  assert.deepEqual(commands.statusAll(), []);
  assert.match(printed.at(-1) ?? "", /no bookmaker recorded/);
  assert.equal(commands.status("dk"), null);
  assert.match(printed.at(-1) ?? "", /dk: nothing recorded/);

  commands.trip("dk", "line one\nline two", "bob");
  assert.equal(breaker.getStatus("dk")?.lastError, "line one\nline two");
  assert.equal(commands.isTripped("dk"), true);
  assert.equal(commands.statusAll()[0]?.failureCount, 0);
  const tables = printed.filter((text) => text.includes("tripped"));
  for (const word of [
    "dk",
    "true",
    "0/10",
    "failureCount",
    "lastError",
    "avgLatency",
    "line two",
  ]) {
    assert.match(tables.at(-1) ?? "", new RegExp(word));
  }
  assert.equal(commands.getStatus("dk")?.tripped, true);

  // Inside the cooldown: printed, and the session goes on.
  for (const denied of [
    commands.reset("dk"),
    commands.reset("dk", "why"),
    commands.reset("dk", "why", false),
    commands.reset("dk", { reason: "why", user: "bob", force: "yes" as unknown as boolean }),
  ]) {
    assert.equal(denied, false);
    assert.match(printed.at(-1) ?? "", /Reset denied: dk tripped <60s ago/);
  }
  assert.equal(commands.reset("dk", "cleared", true), true);
  assert.equal(breaker.getStatus("dk")?.lastResetBy, "ann");
  assert.equal(breaker.getStatus("dk")?.lastResetReason, "cleared");
  commands.trip("dk", "again");
  assert.equal(commands.reset("dk", { reason: "object", user: "bob", force: true }), true);
  assert.equal(breaker.getStatus("dk")?.lastResetBy, "bob");
  assert.equal(breaker.getStatus("dk")?.lastResetReason, "object");

  const loads: unknown[] = [];
  breaker.getSystemLoad = () => 1;
  assert.equal(await commands.callApi("dk", () => Promise.resolve(7)), 7);
  await assert.rejects(
    commands.callApi("dk", () => Promise.resolve(7), "heavy", 500),
    LoadShedError,
  );
  commands.trip("dk", "x");
  await assert.rejects(
    commands.callApi("dk", () => loads.push(1)),
    { operation: "console" },
  );
  assert.deepEqual(loads, []);
});

test("T-A-67 without an mlgs one is made, and a given breaker is used", async () => {
  const breaker = new ProductionCircuitBreaker(join(folder, "other.db"), undefined, 3);
  const commands = installConsole(breaker);
  assert.equal(globals.mlgs?.["breaker"], commands);
  commands.trip("fd", "x");
  assert.equal(breaker.isTripped("fd"), true);
  assert.equal(commands.status("fd")?.failureThreshold, 3);
  await breaker.close();
});

test("T-A-69 the shims have every name that is imported, and no CircuitBreaker", () => {
  for (const shim of [breakerShim, instanceShim, dropIn]) {
    const names = Object.keys(shim);
    assert.ok(!names.includes("CircuitBreaker"));
    assert.deepEqual(names.toSorted(), [
      "CircuitBreakerTrippedError",
      "LoadShedError",
      "ProductionCircuitBreaker",
      "ResetDeniedError",
      "TimeoutError",
      "classifyDarkPoolProbe",
      "classifyDeepProbe",
      "classifyMicroBet",
      "closeCircuitBreaker",
      "gaugesClient",
      "getCircuitBreaker",
      "getCircuitBreakerStatus",
      "installConsole",
      "protectMarketProbeService",
      "setCircuitBreaker",
    ]);
  }
});

// T-A-69, checked by the compiler and never run: what Hyper-Bun's own sources write.
type Seeds = (db: Database, fetchMarkets: () => Promise<Response>) => Promise<unknown>;
const asInTheSeeds: Seeds = async (db, fetchMarkets) => {
  const metrics = {
    counter: (_name: string, _value: number, _labels?: Record<string, string>): void => {},
    gauge: (_name: string, _value: number, _labels?: Record<string, string>): void => {},
  };
  const breaker = new ProductionCircuitBreaker(db, metrics, 5, 30000, 30000);
  const context: CircuitBreakerContext = { operation: "deep_probe", estimatedLoad: 50 };
  const thresholds: CircuitBreakerThresholds = {
    failureThreshold: 10,
    resetTimeoutMs: 60000,
    cooldownMs: 60000,
  };
  const response: Response = await breaker.callApi("draftkings", fetchMarkets, context);
  await breaker.recordFailure("draftkings", "Error");
  await breaker.recordFailure("draftkings", "Error", true);
  await breaker.recordTimeout("draftkings", "slow");
  await breaker.recordSuccess("draftkings", 150);
  breaker.trip("fanduel", "Test trip");
  breaker.reset("fanduel", { reason: "Emergency override", force: true });
  const status: BookmakerStatus | null = breaker.getStatus("draftkings");
  const all: BookmakerStatus[] = breaker.getAllStatus();
  return [response, status, all, thresholds];
};

test("T-A-69 importing the drop-in touches no global, no handler and no timer", async (t) => {
  assert.equal(typeof asInTheSeeds, "function");
  const before = Object.getOwnPropertyNames(globalThis).toSorted();
  const handlers = process.eventNames().length;
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  await otherCopy(t);
  assert.deepEqual(Object.getOwnPropertyNames(globalThis).toSorted(), before);
  assert.equal(process.eventNames().length, handlers);
  assert.equal(
    process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
    timers,
  );
});
