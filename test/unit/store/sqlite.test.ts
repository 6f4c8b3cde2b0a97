import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { test } from "node:test";
import { InvalidOptionsError } from "../../../src/core/errors.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { audit, byName, closed, NOW, tripped } from "../../contract/store.contract.ts";
import {
  makeDatabase,
  query,
  spiedHandle,
  storeCodeOf,
  tempPaths,
  withDatabase,
} from "./sqlite-harness.ts";

const newPath = tempPaths();
const now = (): number => NOW;
const DAY_MS = 86_400_000;

const LEGACY = `
  CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY, failure_count INTEGER,
    last_failure_at INTEGER, tripped INTEGER, trip_count INTEGER, last_error TEXT,
    avg_latency REAL, last_reset_at INTEGER, last_reset_by TEXT, last_reset_reason TEXT,
    updated_at INTEGER);
  CREATE TABLE circuit_breaker_audit (id INTEGER PRIMARY KEY, bookmaker TEXT, action TEXT,
    reason TEXT, user TEXT, timestamp INTEGER);
  INSERT INTO circuit_breaker_state (bookmaker, failure_count, tripped, trip_count,
    last_failure_at, updated_at, avg_latency, last_error) VALUES
    ('half', 0.5, 0, 0, NULL, ${NOW - 1}, 12, NULL),
    ('undated', 10, 1, 1, NULL, ${NOW - 7000}, NULL, 'old'),
    ('dated', 10, 1, 2, ${NOW - 9000}, ${NOW - 1}, NULL, NULL),
    ('future', 10, 1, 2, ${NOW + 9000}, ${NOW + 9000}, NULL, NULL),
    ('nulls', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('negative', -3, -1, -2, -5, -6, -7, NULL),
    ('texts', 'NaN', 'yes', 'many', 'never', 'x', 'slow', x'00ff'),
    ('infinite', 9e999, 0, 9e999, 9e999, -9e999, 9e999, 5),
    ('bigint', 9223372036854775807, 0, 1, 9223372036854775807, 1, 1, NULL),
    (NULL, 1, 1, 1, 1, 1, 1, 'nobody'),
    (x'6162', 1, 1, 1, 1, 1, 1, 'blob');
  INSERT INTO circuit_breaker_audit (bookmaker, action, reason, user, timestamp) VALUES
    ('dated', 'TRIP', 'old trip', 'system', ${NOW - 9000}),
    ('dated', 'RESET', NULL, NULL, ${NOW - 9500}),
    ('dated', 'SOMETHING', 'unknown', 'x', ${NOW}),
    (NULL, 'TRIP', 'nobody', 'x', ${NOW}),
    ('dated', 'TRIP', 'undated', 'x', 'yesterday');`;

function columnsOf(path: string, table: string): unknown[] {
  return query(
    path,
    `SELECT name, type, "notnull" AS needed, dflt_value AS value, pk
    FROM pragma_table_info('${table}')`,
  ).map((column) => Object.values(column).join(" "));
}

test("touches nothing before the first operation", () => {
  const path = newPath();

  const store = sqliteStore(path);

  assert.equal(store.location, resolve(path));
  assert.equal(existsSync(dirname(path)), false);
  store.close();
  assert.equal(existsSync(dirname(path)), false);
});

test("makes both tables with the columns, defaults and indexes of the specification", () => {
  const path = newPath();

  const store = sqliteStore(path);
  assert.deepEqual(store.load(), []);
  store.close();

  assert.deepEqual(columnsOf(path, "circuit_breaker_state"), [
    "bookmaker TEXT 0  1",
    "failure_count REAL 1 0 0",
    "last_failure_at INTEGER 0  0",
    "tripped INTEGER 1 0 0",
    "trip_count INTEGER 1 0 0",
    "last_error TEXT 0  0",
    "avg_latency REAL 0  0",
    "last_reset_at INTEGER 0  0",
    "last_reset_by TEXT 0  0",
    "last_reset_reason TEXT 0  0",
    "updated_at INTEGER 1 strftime('%s', 'now') * 1000 0",
    "tripped_until INTEGER 0  0",
    "tripped_at INTEGER 0  0",
    "last_success_at INTEGER 0  0",
    "manual INTEGER 0  0",
    "mode TEXT 0  0",
    "kind TEXT 0  0",
    "detail TEXT 0  0",
    "mode_at INTEGER 0  0",
    "revision INTEGER 0  0",
    "order_revision INTEGER 0  0",
    "person_revision INTEGER 0  0",
    "mode_revision INTEGER 0  0",
  ]);
  assert.deepEqual(columnsOf(path, "circuit_breaker_audit"), [
    "id INTEGER 0  1",
    "bookmaker TEXT 0  0",
    "action TEXT 0  0",
    "reason TEXT 0  0",
    "user TEXT 0  0",
    "timestamp INTEGER 0  0",
    "forced INTEGER 0  0",
    "replica TEXT 0  0",
    "version INTEGER 0  0",
    "previous_hash TEXT 0  0",
    "hash TEXT 0  0",
  ]);
  const indexes = query(
    path,
    "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL",
  );
  assert.match(JSON.stringify(indexes), /\(timestamp\).*\(bookmaker, timestamp\)/);
  assert.deepEqual(query(path, "PRAGMA journal_mode")[0]?.journal_mode, "wal");
});

test("sets the log, the flushing and the waiting it promises", () => {
  const seen: string[] = [];
  const store = sqliteStore(newPath(), {
    open: (path) => spiedHandle(path, (sql) => seen.push(sql)),
  });

  store.load();

  assert.ok(seen.includes("PRAGMA busy_timeout = 250"));
  assert.ok(seen.includes("PRAGMA journal_mode = WAL"));
  assert.ok(seen.includes("PRAGMA synchronous = NORMAL"));
  store.close();
});

test("flushes every commit where there can be no write-ahead log", () => {
  const seen: string[] = [];
  const store = sqliteStore(":memory:", {
    open: (path) => spiedHandle(path, (sql) => seen.push(sql)),
  });

  store.load();

  assert.ok(seen.includes("PRAGMA synchronous = FULL"));
  store.close();
});

test("dates rows by the wall clock and writes exactly the columns people read", () => {
  const path = newPath();
  const store = sqliteStore(path, { now, replica: "odds-1" });

  store.commit({ breakers: [tripped("a")], audits: [audit("a", { forced: true })] });

  const [state] = query(path, "SELECT * FROM circuit_breaker_state");
  assert.deepEqual(Object.values(state ?? {}), [
    "a",
    10.5,
    NOW - 5000,
    1,
    3,
    "boom",
    12.25,
    NOW - 100_000,
    "ann",
    "api team cleared it",
    NOW,
    NOW + 55_000,
    NOW - 5000,
    NOW - 9000,
    0,
    "normal",
    "latching",
    null,
    null,
    1,
    null,
    null,
    null,
  ]);
  const [entry] = query(path, "SELECT * FROM circuit_breaker_audit");
  const [hash, previous, ...others] = Object.values(entry ?? {}).toReversed();
  assert.deepEqual(others.toReversed(), [
    1,
    "a",
    "TRIP",
    "ten failures",
    "system",
    NOW,
    1,
    "odds-1",
    0,
  ]);
  assert.equal(previous, "");
  assert.match(String(hash), /^[0-9a-f]{40}$/);
  store.close();
});

test("migrates a legacy database, and mends what it holds", () => {
  const legacy = newPath();
  makeDatabase(legacy, LEGACY);

  const store = sqliteStore(legacy, { now });
  const loaded = byName(store.load());

  assert.equal(loaded.length, 9);
  const told = loaded.map(({ upstream, snapshot: s }) => [
    upstream,
    s.failureCount,
    Number(s.tripped),
    s.tripCount,
    s.trippedAt,
  ]);
  assert.deepEqual(told, [
    ["bigint", 1_000_000, 0, 1, null],
    ["dated", 10, 1, 2, NOW - 9000],
    ["future", 10, 1, 2, NOW],
    ["half", 0.5, 0, 0, null],
    ["infinite", 0, 0, 0, null],
    ["negative", 0, 1, 0, NOW],
    ["nulls", 0, 0, 0, null],
    ["texts", 0, 1, 0, NOW],
    ["undated", 10, 1, 1, NOW - 7000],
  ]);
  const mended = query(
    legacy,
    `SELECT bookmaker, failure_count, tripped, trip_count, tripped_at
    FROM circuit_breaker_state WHERE typeof(bookmaker) = 'text' ORDER BY bookmaker`,
  );
  assert.deepEqual(
    mended.map((row) => Object.values(row)),
    told,
  );
  assert.equal(
    query(legacy, "SELECT count(tripped_until) AS n FROM circuit_breaker_state")[0]?.n,
    0,
  );
  assert.deepEqual(
    store
      .history({ limit: 10 })
      .map(({ action, reason, actor, forced }) => [action, reason, actor, forced]),
    [
      ["TRIP", "old trip", "system", false],
      ["RESET", "", "unknown", false],
      ["TRIP", "undated", "x", false],
    ],
  );
  store.commit({ breakers: [tripped("half")], audits: [] });
  assert.equal(query(legacy, "SELECT count(*) AS n FROM circuit_breaker_state")[0]?.n, 11);
  store.close();
});

test("writes nothing when a database is opened for the second time", () => {
  const path = newPath();
  makeDatabase(path, LEGACY);
  const second = sqliteStore(path, { now });
  const migrated = second.load();
  second.close();
  const seen: string[] = [];

  const third = sqliteStore(path, {
    now: () => NOW + 60_000,
    open: (file) => spiedHandle(file, (sql) => seen.push(sql)),
  });

  const again = third.load();
  assert.deepEqual(
    seen.filter((sql) => /BEGIN|CREATE|ALTER|UPDATE|INSERT|DELETE/.test(sql)),
    [],
  );
  assert.deepEqual(
    byName(again).map(({ snapshot }) => snapshot.trippedAt),
    byName(migrated).map(({ snapshot }) => snapshot.trippedAt),
  );
  third.close();
});

test("takes an unknown or absent operator mode for normal", () => {
  const path = newPath();
  const store = sqliteStore(path);
  store.commit({
    breakers: [closed("a"), closed("b"), { ...closed("c"), mode: "shadow" }],
    audits: [],
  });
  withDatabase(path, (db) => {
    db.exec("UPDATE circuit_breaker_state SET mode = NULL WHERE bookmaker = 'a'");
    db.exec("UPDATE circuit_breaker_state SET mode = 'wide-open' WHERE bookmaker = 'b'");
  });

  const modes = byName(store.load()).map(({ mode }) => mode);

  assert.deepEqual(modes, ["normal", "normal", "shadow"]);
  store.close();
});

test("runs what operators and older programs ask of the file", () => {
  const path = newPath();
  const store = sqliteStore(path);
  const at = Date.now();
  store.commit({
    breakers: [tripped("draftkings"), closed("betfair")],
    audits: [audit("draftkings", { at })],
  });
  const text = readFileSync(
    new URL("../../fixtures/store/operator-queries.sql", import.meta.url),
    "utf8",
  );
  const statements = text
    .replaceAll(/^--.*$/gm, "")
    .split(";\n")
    .map((sql) => sql.trim())
    .filter(Boolean);
  const [create = "", insert = "", update = "", ...selects] = statements;

  withDatabase(path, (db) => {
    for (const sql of selects) {
      const found = db.prepare(sql).all();
      assert.ok(JSON.stringify(found).includes("draftkings"), sql);
    }
    db.exec(create);
    db.prepare(insert).run("draftkings", "draftkings", at, 1, 4, "Error 11", at);
    db.prepare(update).run(at, at, "betfair");
  });

  assert.equal(selects.length, 6);
  const [betfair, draftkings] = byName(store.poll?.() ?? []);
  assert.equal(betfair?.snapshot.failureCount, 0.5);
  assert.deepEqual(
    [
      draftkings?.snapshot.failureCount,
      draftkings?.snapshot.tripped,
      draftkings?.snapshot.trippedAt,
    ],
    [11.5, true, at],
  );
  store.close();
});

test("stores numbers that are none as nothing instead of failing for ever", () => {
  const store = sqliteStore(newPath(), { now });
  const { snapshot } = tripped("a");
  const broken = {
    ...snapshot,
    failureCount: Number.NaN,
    avgLatencyMs: Number.POSITIVE_INFINITY,
    trippedAt: Number.NaN,
  };

  store.commit({
    breakers: [{ upstream: "a", mode: "normal", snapshot: broken }],
    audits: [audit("a", { at: Number.NaN })],
  });

  const [stored] = store.load();
  assert.deepEqual(
    [stored?.snapshot.failureCount, stored?.snapshot.avgLatencyMs, stored?.snapshot.trippedAt],
    [0, null, NOW - 5000],
  );
  store.close();
});

test("keeps audits for ever, or for as many days as it was told, counted at load", () => {
  const path = newPath();
  const audits = [400, 10.01, 10, 9.99, 1].map((days) =>
    audit("a", { at: NOW - days * DAY_MS, reason: `${days}` }),
  );
  const first = sqliteStore(path, { now });
  first.commit({ breakers: [], audits });
  first.close();
  const keeper = sqliteStore(path, { now });
  keeper.load();
  assert.equal(keeper.history({ limit: 10 }).length, 5);
  keeper.close();

  const store = sqliteStore(path, { now, auditRetentionDays: 10 });
  assert.equal(store.history({ limit: 10 }).length, 5);
  store.load();

  assert.deepEqual(
    store.history({ limit: 10 }).map(({ reason }) => reason),
    ["1", "9.99", "10"],
  );
  store.close();
});

test("shows of wild audits what can be shown, last, each by itself", () => {
  const path = newPath();
  const store = sqliteStore(path, { now });
  store.commit({ breakers: [], audits: [audit("a", { reason: "well" })] });
  const wild = ["1e300", "-1e300", "9e18", "9e999", "'soon'", "NULL", "x'00'", "8.65e15"];
  withDatabase(path, (db) => {
    for (const value of wild) {
      db.exec(`INSERT INTO circuit_breaker_audit (bookmaker, action, reason, user, timestamp, forced)
        VALUES ('a', 'TRIP', x'ff', x'00', ${value}, 'yes')`);
    }
    db.exec(`INSERT INTO circuit_breaker_audit (bookmaker, action, timestamp) VALUES
      ('a', 'UNKNOWN', 1), (x'61', 'TRIP', 1), (NULL, 'TRIP', 1), ('', 'TRIP', 1), ('a', NULL, 1)`);
  });

  for (const query of [{ limit: 100 }, { upstream: "a", limit: 100 }]) {
    const [first, ...others] = store.history(query);
    assert.deepEqual(first, audit("a", { reason: "well" }));
    assert.equal(others.length, wild.length);
    for (const { at, reason, actor, forced } of others) {
      assert.deepEqual([at, reason, actor, forced], [0, "", "unknown", false]);
    }
  }
  assert.equal(store.history({ limit: 3 }).length, 3);
  assert.equal(store.history({ limit: 1 })[0]?.reason, "well");
  store.close();
});

test("names what UTF-8 cannot hold in a way of its own, and others as they are", () => {
  const path = newPath();
  const store = sqliteStore(path, { now });
  store.commit({ breakers: ["dk", "\ud800", "\uFFFD"].map((name) => tripped(name)), audits: [] });
  // As a version before this one wrote the second one.
  withDatabase(path, (db) =>
    db.exec(`UPDATE circuit_breaker_state SET failure_count = -1;
      INSERT INTO circuit_breaker_state (bookmaker, tripped) VALUES ('', 1), ('\uFFFD"old"', 1)`),
  );

  const again = sqliteStore(path, { now });
  assert.deepEqual(
    again.load().map(({ upstream }) => upstream),
    ["dk", "\ud800", "\uFFFD", '\uFFFD"old"'],
  );
  assert.deepEqual(
    query(path, "SELECT bookmaker AS name FROM circuit_breaker_state WHERE failure_count = 0").map(
      ({ name }) => name,
    ),
    ["dk", '\uFFFD"\\ud800"', "\uFFFD", "", '\uFFFD"old"'],
  );
  for (const one of [store, again]) one.close();
});

test("deletes old audits in slices, once a second, and none before what is written is safe", () => {
  const path = newPath();
  const first = sqliteStore(path, { now });
  first.commit({ breakers: [], audits: [audit("a", { at: NOW - 9 * DAY_MS })] });
  first.close();
  withDatabase(path, (db) =>
    db.exec(`WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 1199)
      INSERT INTO circuit_breaker_audit (bookmaker, action, timestamp) SELECT 'a', 'TRIP', x FROM n`),
  );
  let wallMs = NOW;
  const seen: string[] = [];
  const store = sqliteStore(path, {
    now: () => wallMs,
    auditRetentionDays: 1,
    open: (file) => spiedHandle(file, (sql) => seen.push(sql)),
  });
  const left = (): unknown =>
    query(path, "SELECT count(*) AS n FROM circuit_breaker_audit WHERE reason IS NOT 'new'")[0]?.n;
  const change = { breakers: [tripped("b")], audits: [audit("b", { reason: "new" })] };

  store.commit(change);
  assert.equal(left(), 700);
  const wrote = seen.flatMap((sql) => /^(COMMIT|DELETE)/.exec(sql)?.[0] ?? []);
  const steps = wrote.filter((word, index) => word !== wrote[index - 1]);
  assert.deepEqual(steps.slice(-3), ["COMMIT", "DELETE", "COMMIT"]);
  store.commit(change);
  assert.equal(left(), 700);
  wallMs += 1000;
  store.poll?.();
  assert.equal(left(), 200);
  wallMs += 1000;
  store.load();

  assert.equal(left(), 0);
  assert.equal(store.history({ limit: 9 }).length, 2);
  store.close();
});

test("needs no load before commit, history or poll", () => {
  const path = newPath();
  sqliteStore(path).commit({ breakers: [tripped("a")], audits: [audit("a")] });

  assert.equal(sqliteStore(path).history({ limit: 1 }).length, 1);
  assert.equal(sqliteStore(path).poll?.()?.length, 1);
  assert.deepEqual(sqliteStore(newPath()).history({ limit: 1 }), []);
  assert.deepEqual(sqliteStore(newPath()).poll?.(), []);
});

test("leaves one plain file behind when it is closed", () => {
  const path = newPath();
  const store = sqliteStore(path);
  store.commit({ breakers: [tripped("a")], audits: [] });
  assert.equal(existsSync(`${path}-wal`), true);

  store.close();

  assert.equal(existsSync(`${path}-wal`), false);
  assert.equal(query(path, "SELECT count(*) AS n FROM circuit_breaker_state")[0]?.n, 1);
});

test("refuses everything once closed", () => {
  const store = sqliteStore(newPath());
  store.close();

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_MISUSE",
  );
  assert.equal(
    storeCodeOf(() => store.poll?.()),
    "SQLITE_MISUSE",
  );
  assert.equal(
    storeCodeOf(() => store.history({ limit: 1 })),
    "SQLITE_MISUSE",
  );
  assert.equal(
    storeCodeOf(() => store.commit({ breakers: [], audits: [] })),
    "SQLITE_MISUSE",
  );
});

test("takes a name for a name, never for an address", () => {
  const path = newPath("file:odd?mode=ro#x.db");

  const store = sqliteStore(path);
  store.commit({ breakers: [tripped("a")], audits: [] });
  store.close();

  assert.equal(existsSync(path), true);
});

test("refuses options that mean nothing", () => {
  const bad: readonly object[] = [
    { busyTimeoutMs: -1 },
    { busyTimeoutMs: 0.5 },
    { busyTimeoutMs: 10_001 },
    { onCorrupt: "delete" },
    { auditRetentionDays: 0 },
    { now: 5 },
    { open: "x" },
    { wal: true },
  ];

  for (const options of bad) assert.throws(() => sqliteStore("x.db", options), InvalidOptionsError);
  for (const path of ["", "a\0b"]) assert.throws(() => sqliteStore(path), InvalidOptionsError);
  sqliteStore("x.db", { busyTimeoutMs: 0, onCorrupt: "throw", auditRetentionDays: 0.1 }).close();
});
