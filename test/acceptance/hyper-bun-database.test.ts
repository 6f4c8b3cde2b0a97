// Specification 9.A, persistence, through the drop-in on a handle that the host opened: each driver in
// turn. What the file itself may suffer is the store's own suite; here are the host's sides of it.

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import {
  ProductionCircuitBreaker,
  type ForeignDatabase,
  type ProductionCircuitBreakerOptions,
} from "../../src/hyper-bun/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { DRIVERS, RecordedMetrics, recordingLogger, type LogLine } from "../support/hyper-bun.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-drop-in-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function newPath(): string {
  files += 1;
  const path = join(folder, `case-${files}`, "circuit_breaker.db");
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

interface Opened {
  readonly breaker: ProductionCircuitBreaker;
  readonly clock: VirtualClock;
  readonly metrics: RecordedMetrics;
  readonly logs: LogLine[];
}

function onHandle(
  db: ForeignDatabase | string,
  clock = new VirtualClock(),
  options: ProductionCircuitBreakerOptions = {},
): Opened {
  const metrics = new RecordedMetrics();
  const logs: LogLine[] = [];
  const breaker = new ProductionCircuitBreaker(db, metrics, 10, 60_000, 60_000, {
    clock,
    logger: recordingLogger(logs),
    busyTimeoutMs: 1,
    ...options,
  });
  return { breaker, clock, metrics, logs };
}

async function failTen(breaker: ProductionCircuitBreaker, bookmaker = "dk"): Promise<void> {
  for (let n = 0; n < 10; n += 1) await breaker.recordFailure(bookmaker, "HTTP 503");
}

function query(path: string, sql: string): Record<string, unknown>[] {
  const db = new DatabaseSync(path);
  try {
    const statement = db.prepare(sql);
    statement.setReadBigInts(true);
    return statement.all().map((row) => {
      const numbers = Object.entries(row).map(([name, value]) => [
        name,
        typeof value === "bigint" ? Number(value) : value,
      ]);
      return Object.fromEntries(numbers) as Record<string, unknown>;
    });
  } finally {
    db.close();
  }
}

for (const driver of DRIVERS) {
  test(`T-A-52 ${driver.name}: a trip outlives the process, and its gauges are told at once`, async () => {
    const path = newPath();
    const db = driver.open(path);
    const first = onHandle(db);
    await first.breaker.recordSuccess("dk", 42.5);
    await failTen(first.breaker);
    await first.breaker.recordTimeout("fd", "slow");
    await first.breaker.close();
    db.exec("SELECT 1");
    db.close();

    const { breaker, metrics } = onHandle(driver.open(path), first.clock);
    const status = breaker.getStatus("dk");
    assert.equal(status?.tripped, true);
    assert.equal(status?.tripCount, 1);
    assert.equal(status?.lastError, "HTTP 503");
    assert.equal(status?.avgLatency, 42.5);
    assert.equal(breaker.getStatus("fd")?.failures, 0.5);
    assert.deepEqual(Object.fromEntries(metrics.gauges), {
      "circuit_breaker_tripped{bookmaker=dk}": 1,
      "circuit_breaker_failures_1m{bookmaker=dk}": 10,
      "circuit_breaker_trip_count{bookmaker=dk}": 1,
      "circuit_breaker_latency_ms{bookmaker=dk}": 42.5,
      "circuit_breaker_tripped{bookmaker=fd}": 0,
      "circuit_breaker_failures_1m{bookmaker=fd}": 0.5,
      "circuit_breaker_trip_count{bookmaker=fd}": 0,
      "circuit_breaker_store_recovered{}": 0,
    });
    assert.deepEqual([...metrics.counters], []);
  });

  test(`T-A-54 ${driver.name}: a locked database costs a call nothing, and is caught up once`, async () => {
    const path = newPath();
    const { breaker, clock, metrics, logs } = onHandle(driver.open(path));
    const blocker = new DatabaseSync(path);
    blocker.exec("BEGIN IMMEDIATE");
    await failTen(breaker);
    assert.equal(breaker.isTripped("dk"), true);
    assert.equal(breaker.getStatus("dk")?.persisted, false);
    const busy = "circuit_breaker_persistence_errors_total{op=commit,code=SQLITE_BUSY}";
    assert.equal(metrics.counters.get(busy), 1);
    // The log is told of the first of many within ten seconds, and a scrape of all.
    breaker.getAllStatus();
    assert.equal(metrics.counters.get(busy), 2);
    assert.ok(logs.some(({ level, fields }) => level === "error" && fields["code"] === "SG_STORE"));

    blocker.exec("COMMIT");
    blocker.close();
    clock.advance(60_000);
    assert.equal(breaker.getStatus("dk")?.persisted, true);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(query(path, "SELECT * FROM circuit_breaker_audit").length, 1);
    const rows = query(path, "SELECT failure_count, tripped FROM circuit_breaker_state");
    assert.equal(JSON.stringify(rows), '[{"failure_count":10,"tripped":1}]');
  });

  test(`a transaction of the host's on the same handle is neither committed nor undone: ${driver.name}`, () => {
    const path = newPath();
    const db = driver.open(path);
    const { breaker, clock } = onHandle(db);
    db.exec("CREATE TABLE host (a)");
    db.exec("BEGIN; INSERT INTO host VALUES (1)");
    breaker.trip("dk", "inside");
    assert.equal(breaker.isTripped("dk"), true);
    assert.equal(breaker.getStatus("dk")?.persisted, false);
    db.exec("COMMIT");
    clock.advance(60_000);
    assert.equal(breaker.getStatus("dk")?.persisted, true);
    assert.equal(query(path, "SELECT * FROM host").length, 1);
    assert.equal(query(path, "SELECT * FROM circuit_breaker_audit").length, 1);
  });
}

test("T-A-39 a restart in the middle of the wait re-tests when the wait is over", async () => {
  const path = newPath();
  const options = { recovery: "single-probe" } as const;
  const first = onHandle(new DatabaseSync(path), new VirtualClock(), options);
  await failTen(first.breaker);
  first.clock.advance(30_000);
  await first.breaker.close();
  const clock = new VirtualClock(first.clock.now());
  const { breaker } = onHandle(new DatabaseSync(path), clock, options);
  clock.advance(29_999);
  await assert.rejects(
    breaker.callApi("dk", () => Promise.resolve(1)),
    { remainingMs: 1 },
  );
  clock.advance(1);
  assert.equal(await breaker.callApi("dk", () => Promise.resolve(1)), 1);
});

test("T-A-55 a read-only database still shows its trips, and refuses nothing", async () => {
  const path = newPath();
  const first = onHandle(new DatabaseSync(path));
  first.breaker.trip("dk", "x");
  await first.breaker.close();
  const { breaker, metrics } = onHandle(new DatabaseSync(path, { readOnly: true }), first.clock);
  assert.equal(breaker.isTripped("dk"), true);
  await failTen(breaker, "fd");
  assert.equal(breaker.isTripped("fd"), true);
  assert.equal(breaker.getStatus("fd")?.persisted, false);
  const readOnly = "circuit_breaker_persistence_errors_total{op=commit,code=SQLITE_READONLY}";
  assert.ok((metrics.counters.get(readOnly) ?? 0) >= 1);
});

test("T-A-55 a file that was moved from under the handle is noticed, and found again", async () => {
  const path = newPath();
  const { breaker, clock, metrics } = onHandle(new DatabaseSync(path));
  breaker.trip("dk", "x");
  renameSync(path, `${path}.moved`);
  breaker.trip("fd", "y");
  assert.equal(breaker.isTripped("fd"), true);
  assert.equal(breaker.getStatus("fd")?.persisted, false);
  const moved = "circuit_breaker_persistence_errors_total{op=commit,code=SQLITE_READONLY}";
  assert.equal(metrics.counters.get(moved), 1);
  renameSync(`${path}.moved`, path);
  clock.advance(60_000);
  assert.equal(breaker.getStatus("fd")?.persisted, true);
});

test("T-A-56 a handle on a file that is no database: memory only, told as fatal, the file untouched", async () => {
  const path = newPath();
  const content = "this is not a database, whatever its name says".repeat(100);
  writeFileSync(path, content);
  const { breaker, logs, metrics } = onHandle(new DatabaseSync(path));
  assert.deepEqual(
    logs.map(({ level }) => level),
    ["fatal"],
  );
  assert.match(logs[0]?.message ?? "", /cannot be used \(SQLITE_NOTADB/);
  await failTen(breaker);
  await assert.rejects(
    breaker.callApi("dk", () => Promise.resolve(1)),
    { bookmaker: "dk" },
  );
  assert.equal(breaker.getStatus("dk")?.persisted, false);
  assert.equal(readFileSync(path, "utf8"), content);
  const load = "circuit_breaker_persistence_errors_total{op=load,code=SQLITE_NOTADB}";
  assert.ok((metrics.counters.get(load) ?? 0) >= 1);
});

test("a bookmaker whose breaker an operator forced closed shows as not tripped in the metrics", () => {
  const path = newPath();
  const { breaker, clock } = onHandle(new DatabaseSync(path));
  breaker.trip("dk", "x");
  query(path, "UPDATE circuit_breaker_state SET mode = 'forced-closed' RETURNING mode");
  const { metrics } = onHandle(new DatabaseSync(path), clock);
  assert.equal(metrics.gauges.get("circuit_breaker_tripped{bookmaker=dk}"), 0);
});

test("a handle that was opened by a URI is taken as it is: no file is looked for", () => {
  const db = new DatabaseSync(newPath());
  const named = {
    filename: "file:somewhere/circuit_breaker.db",
    exec: (sql: string) => db.exec(sql),
    prepare: (sql: string) => db.prepare(sql),
  };
  const { breaker, logs } = onHandle(named);
  breaker.trip("dk", "x");
  assert.equal(breaker.getStatus("dk")?.persisted, true);
  assert.equal(logs.length, 1);
  assert.equal(existsSync("file:somewhere"), false);
});

test("a path is the breaker's own: its folder is made, and a broken file is put aside", async () => {
  const path = join(dirname(newPath()), "not", "yet", "there", "circuit_breaker.db");
  const first = onHandle(path);
  first.breaker.trip("dk", "x");
  await first.breaker.close();
  assert.equal(query(path, "SELECT tripped FROM circuit_breaker_state")[0]?.["tripped"], 1);
  writeFileSync(path, "no database any more".repeat(100));
  const { breaker, logs, metrics } = onHandle(path);
  assert.equal(breaker.getStatus("dk"), null);
  assert.equal(logs[0]?.level, "fatal");
  assert.equal(metrics.gauges.get("circuit_breaker_store_recovered{}"), 1);
  breaker.trip("dk", "again");
  assert.equal(breaker.getStatus("dk")?.persisted, true);
});

test("a path that cannot be opened costs durability and nothing else", async () => {
  const blocked = newPath();
  writeFileSync(blocked, "a file where a folder should be");
  const { breaker, logs } = onHandle(join(blocked, "circuit_breaker.db"));
  assert.equal(logs[0]?.level, "error");
  assert.match(logs[0].message, /cannot be used/);
  await failTen(breaker);
  assert.equal(breaker.isTripped("dk"), true);
  assert.equal(breaker.getStatus("dk")?.persisted, false);
});

const LEGACY = `
  CREATE TABLE circuit_breaker_state (
    bookmaker TEXT PRIMARY KEY, failure_count INTEGER, last_failure_at INTEGER,
    tripped INTEGER NOT NULL DEFAULT 0, trip_count INTEGER, last_error TEXT, avg_latency REAL,
    last_reset_at INTEGER, last_reset_by TEXT, last_reset_reason TEXT,
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now')*1000));
  CREATE TABLE circuit_breaker_audit (
    id INTEGER PRIMARY KEY, bookmaker TEXT, action TEXT, reason TEXT, user TEXT, timestamp INTEGER);
  INSERT INTO circuit_breaker_state (bookmaker, failure_count, tripped, trip_count, updated_at)
    VALUES ('dk', 9.5, 1, 3, 1000), ('fd', -4, 0, 0, 1000),
      ('mgm', 'NaN', 7, NULL, 9223372036854775807),
      ('bet365', NULL, 0, 0, 1000);
  INSERT INTO circuit_breaker_audit (bookmaker, action, reason, user, timestamp)
    VALUES ('dk', 'TRIP', 'long ago', 'system', 1000);
`;

for (const driver of DRIVERS) {
  test(`T-A-57 ${driver.name}: a legacy database opens, keeps its trips, and is mended once`, () => {
    const path = newPath();
    const legacy = driver.open(path);
    legacy.exec(LEGACY);
    const { breaker, clock, logs } = onHandle(legacy);
    assert.deepEqual(
      breaker.getAllStatus().map((s) => [s.bookmaker, s.tripped, s.failures, s.tripCount]),
      [
        ["bet365", false, 0, 0],
        ["dk", true, 9.5, 3],
        ["fd", false, 0, 0],
        ["mgm", true, 0, 0],
      ],
    );
    assert.equal(breaker.getStatus("dk")?.trippedAt, 1000);
    assert.equal(breaker.getStatus("bet365")?.failures, 0);
    assert.deepEqual(logs, []);
    breaker.reset("dk", { reason: "back" });
    const rows = "SELECT * FROM circuit_breaker_state ORDER BY bookmaker";
    const before = query(path, rows);
    onHandle(driver.open(path), clock);
    assert.deepEqual(query(path, rows), before);
    const audits = query(path, "SELECT action FROM circuit_breaker_audit ORDER BY id");
    assert.deepEqual(
      audits.map((row) => row["action"]),
      ["TRIP", "RESET"],
    );
  });
}

for (const driver of DRIVERS) {
  test(`${driver.name}: a full disk that lets nothing be mended still has its trips read`, () => {
    const path = newPath();
    const db = driver.open(path);
    db.exec(LEGACY);
    db.exec("PRAGMA max_page_count = 1");
    const { breaker } = onHandle(db);
    assert.equal(breaker.isTripped("dk"), true);
    breaker.trip("fd", "x".repeat(1000));
    assert.equal(breaker.getStatus("fd")?.persisted, false);
    db.exec("PRAGMA max_page_count = 1000000");
  });
}

test("T-A-58 operators' SQL runs on what the drop-in wrote, and finds what happened", async () => {
  const path = newPath();
  const { breaker, clock } = onHandle(new DatabaseSync(path), new VirtualClock(Date.now()));
  await breaker.recordSuccess("draftkings", 12);
  await failTen(breaker, "draftkings");
  breaker.trip("fanduel", "maintenance", "ann");
  breaker.reset("fanduel", { reason: "done", user: "ann", force: true });

  const db = new DatabaseSync(path);
  const statements = readFileSync(
    join(import.meta.dirname, "../fixtures/store/operator-queries.sql"),
    "utf8",
  )
    .replaceAll(/^--.*$/gm, "")
    .split(";")
    .map((sql) => sql.trim())
    .filter((sql) => sql.startsWith("SELECT"));
  assert.ok(statements.length >= 5);
  for (const sql of statements) assert.ok(db.prepare(sql).all().length > 0, sql);
  const tripped = db
    .prepare("SELECT bookmaker, tripped_until FROM circuit_breaker_state WHERE tripped = 1")
    .all();
  assert.deepEqual(
    { ...tripped[0] },
    { bookmaker: "draftkings", tripped_until: clock.now() + 60_000 },
  );
  // An old tool's own write, of the columns that it knows, is taken over.
  db.prepare(
    "UPDATE circuit_breaker_state SET tripped = 0, failure_count = 0, last_reset_at = ?",
  ).run(clock.now() + 1);
  db.close();
  clock.advance(1000);
  assert.equal(breaker.isTripped("draftkings"), false);
});

test("T-A-60 another process's orders are seen within a second, by a call, a look and a scrape", async () => {
  const path = newPath();
  const first = onHandle(new DatabaseSync(path));
  first.breaker.trip("dk", "x");
  const second = onHandle(new DatabaseSync(path), new VirtualClock(first.clock.now() + 5000));
  first.clock.advance(5000);
  second.breaker.reset("dk", { force: true, user: "ann" });
  first.clock.advance(1000);
  assert.equal(await first.breaker.callApi("dk", () => Promise.resolve(1)), 1);
  assert.equal(first.metrics.gauges.get("circuit_breaker_tripped{bookmaker=dk}"), 0);

  second.clock.advance(2000);
  second.breaker.trip("dk", "from the console");
  first.clock.advance(2000);
  assert.equal(first.breaker.isTripped("dk"), true);
  assert.equal(first.metrics.gauges.get("circuit_breaker_tripped{bookmaker=dk}"), 1);

  second.clock.advance(2000);
  second.breaker.trip("new", "never called yet");
  first.clock.advance(2000);
  assert.equal(first.breaker.getStatus("new")?.lastError, "never called yet");
});

test("T-A-61 a trip is in the file before it returns, and successes are coalesced", async () => {
  const path = newPath();
  const { breaker, clock } = onHandle(new DatabaseSync(path));
  const reader = new DatabaseSync(path);
  const version = (): unknown => reader.prepare("PRAGMA data_version").get()?.["data_version"];
  let writes = 0;
  let seen = version();
  for (let n = 0; n < 2000; n += 1) {
    await breaker.callApi("dk", () => Promise.resolve(1));
    clock.advance(0.5);
    const now = version();
    if (now !== seen) writes += 1;
    seen = now;
  }
  assert.ok(writes <= 2, `${writes} writes in a second`);
  breaker.trip("dk", "x");
  assert.notEqual(version(), seen);
  assert.equal(query(path, "SELECT tripped FROM circuit_breaker_state")[0]?.["tripped"], 1);
  reader.close();
});
