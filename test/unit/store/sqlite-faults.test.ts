// Everything that happens to a file. Each fault is a real one of SQLite or of the file system,
// except in the last tests, where every single operation fails in turn.

import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Store, StoreChange } from "../../../src/pipeline/ports.ts";
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
const COUNTS = `SELECT (SELECT count(*) FROM circuit_breaker_state) AS states,
  (SELECT count(*) FROM circuit_breaker_audit) AS audits`;
const TRIP: StoreChange = { breakers: [tripped("a")], audits: [audit("a")] };

function openReadOnly(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true });
}

function counts(path: string): unknown[] {
  return Object.values(query(path, COUNTS)[0] ?? {});
}

/** A store with one closed breaker, on disk, loaded. */
function storeWithOne(path: string): Store {
  const store = sqliteStore(path, { now, busyTimeoutMs: 1 });
  store.commit({ breakers: [closed("kept")], audits: [] });
  store.load();
  return store;
}

function commitCode(store: Store, change: StoreChange = TRIP): string {
  return storeCodeOf(() => store.commit(change));
}

function quarantined(path: string): string[] {
  return readdirSync(dirname(path))
    .filter((name) => name.includes(".corrupt-"))
    .toSorted();
}

test("fails busy while another holds the lock, and writes each audit once when it is free", () => {
  const path = newPath();
  const store = storeWithOne(path);
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");

  assert.equal(commitCode(store), "SQLITE_BUSY");
  assert.equal(commitCode(store), "SQLITE_BUSY");
  assert.equal(store.load().length, 1);
  other.exec("COMMIT");
  other.close();
  assert.deepEqual(counts(path), [1, 0]);
  store.commit(TRIP);

  assert.deepEqual(counts(path), [2, 1]);
  assert.deepEqual(byName(store.load()), [tripped("a"), closed("kept")]);
  store.close();
});

test("fails to load a file locked by another, and does not put it aside", () => {
  const path = newPath();
  makeDatabase(path, "CREATE TABLE other (x)");
  const other = new DatabaseSync(path);
  other.exec("BEGIN EXCLUSIVE");
  const store = sqliteStore(path, { busyTimeoutMs: 1 });

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_BUSY",
  );
  other.exec("COMMIT");
  other.close();

  assert.deepEqual(store.load(), []);
  assert.equal(store.recoveredFrom, undefined);
  assert.deepEqual(quarantined(path), []);
  store.close();
});

test("fails to load a new file that it may read and not write", () => {
  const path = newPath();
  makeDatabase(path, "PRAGMA journal_mode = WAL; CREATE TABLE other (x)");
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const store = sqliteStore(path, { busyTimeoutMs: 1 });

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_BUSY",
  );
  other.exec("COMMIT");
  other.close();

  assert.deepEqual(store.load(), []);
  store.close();
});

test("tells by poll that it cannot write its state back, and still knows it", () => {
  const path = newPath();
  const other = newPath();
  storeWithOne(other).close();
  let readOnly = false;
  const open = (file: string): DatabaseSync => new DatabaseSync(file, { readOnly });
  const store = sqliteStore(path, { now, open });
  store.commit({ breakers: [tripped("mine")], audits: [] });
  renameSync(other, path);
  readOnly = true;

  assert.equal(
    storeCodeOf(() => store.poll?.()),
    "SQLITE_READONLY",
  );
  assert.deepEqual(byName(store.load()), [closed("kept"), tripped("mine")]);
  assert.equal(
    storeCodeOf(() => store.poll?.()),
    "SQLITE_READONLY",
  );
  readOnly = false;

  assert.deepEqual(byName(store.poll?.() ?? []), [closed("kept"), tripped("mine")]);
  assert.deepEqual(counts(path), [2, 0]);
  store.close();
});

test("ends a transaction that cannot be rolled back", () => {
  const path = newPath();
  let fails = false;
  const before = (sql: string): void => {
    if (fails && /^(INSERT INTO circuit_breaker_audit|ROLLBACK)/.test(sql)) {
      throw Object.assign(new Error("database is locked"), { errcode: 5 });
    }
  };
  const store = sqliteStore(path, { now, open: (file) => spiedHandle(file, before) });
  store.load();
  fails = true;

  assert.equal(commitCode(store), "SQLITE_BUSY");
  fails = false;
  assert.deepEqual(counts(path), [0, 0]);
  store.commit(TRIP);

  assert.deepEqual(counts(path), [1, 1]);
  store.close();
});

test("reads trips from a file it cannot write, and writes when it can again", () => {
  const path = newPath();
  storeWithOne(path).close();
  let readOnly = true;
  const open = (file: string): DatabaseSync => new DatabaseSync(file, { readOnly });
  const store = sqliteStore(path, { now, open });

  assert.deepEqual(store.load(), [closed("kept")]);
  assert.deepEqual(store.history({ limit: 1 }), []);
  assert.equal(commitCode(store), "SQLITE_READONLY");
  assert.equal(commitCode(store), "SQLITE_READONLY");
  readOnly = false;
  store.commit(TRIP);

  assert.deepEqual(counts(path), [2, 1]);
  store.close();
});

test("reads trips from a legacy file that it can neither write nor migrate", () => {
  const path = newPath();
  makeDatabase(
    path,
    `CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY,
    failure_count INTEGER, last_failure_at INTEGER, tripped INTEGER, trip_count INTEGER,
    updated_at INTEGER);
    INSERT INTO circuit_breaker_state VALUES ('old', 10, ${NOW - 50}, 1, 1, 1)`,
  );
  const store = sqliteStore(path, { now, open: openReadOnly });

  const [old] = store.load();

  assert.deepEqual([old?.snapshot.tripped, old?.snapshot.trippedAt], [true, NOW - 50]);
  assert.equal(commitCode(store), "SQLITE_READONLY");
  store.close();
});

test("writes nothing when the disk is full, and recovers when there is space", () => {
  const path = newPath();
  let db: DatabaseSync | undefined;
  const open = (file: string): DatabaseSync => (db = new DatabaseSync(file));
  const store = sqliteStore(path, { now, open });
  store.commit({ breakers: [closed("kept")], audits: [] });
  db?.exec("PRAGMA max_page_count = 1");
  const names = Array.from({ length: 500 }, (_, n) => `${n}`.padStart(200, "x"));
  const change: StoreChange = {
    breakers: names.map(tripped1),
    audits: names.map((name) => audit(name)),
  };

  assert.equal(commitCode(store, change), "SQLITE_FULL");
  assert.equal(commitCode(store, change), "SQLITE_FULL");
  assert.deepEqual(counts(path), [1, 0]);
  db?.exec("PRAGMA max_page_count = 100000");
  store.commit(change);

  assert.deepEqual(counts(path), [501, 500]);
  store.close();
});

function tripped1(upstream: string): ReturnType<typeof tripped> {
  return tripped(upstream);
}

test("cannot open below a file, and can when the file is gone", () => {
  const path = newPath();
  mkdirSync(dirname(dirname(path)), { recursive: true });
  writeFileSync(dirname(path), "a file");
  const store = sqliteStore(path, { now });

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_CANTOPEN",
  );
  assert.equal(commitCode(store), "SQLITE_CANTOPEN");
  assert.equal(
    storeCodeOf(() => store.poll?.()),
    "SQLITE_CANTOPEN",
  );
  rmSync(dirname(path));
  store.commit(TRIP);

  assert.deepEqual(counts(path), [1, 1]);
  store.close();
});

test("cannot open a directory, and leaves it where it is", () => {
  const path = newPath();
  mkdirSync(path, { recursive: true });

  const store = sqliteStore(path);

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_CANTOPEN",
  );
  assert.deepEqual(readdirSync(dirname(path)), [basename(path)]);
  store.close();
});

test("writes its whole state into a new file when the directory was deleted", () => {
  const path = newPath();
  const store = storeWithOne(path);
  store.commit({ breakers: [tripped("b")], audits: [audit("b")] });
  rmSync(dirname(path), { recursive: true });

  store.commit(TRIP);

  assert.deepEqual(counts(path), [3, 2]);
  assert.deepEqual(byName(store.load()), [tripped("a"), tripped("b"), closed("kept")]);
  store.close();
});

test("writes its whole state into a new file by poll, without waiting for a change", () => {
  const path = newPath();
  const store = storeWithOne(path);
  rmSync(dirname(path), { recursive: true });

  assert.deepEqual(store.poll?.(), [closed("kept")]);

  assert.deepEqual(counts(path), [1, 0]);
  assert.equal(store.poll?.(), undefined);
  store.close();
});

test("survives the loss of the database beside its log", () => {
  const path = newPath();
  const store = storeWithOne(path);
  assert.equal(existsSync(`${path}-wal`), true);
  rmSync(path);

  store.commit(TRIP);
  store.close();

  assert.deepEqual(counts(path), [2, 1]);
  assert.deepEqual(byName(sqliteStore(path, { now }).load()), [tripped("a"), closed("kept")]);
});

test("takes what a replaced file says, and adds what it does not say", () => {
  const path = newPath();
  const store = sqliteStore(path, { now });
  store.commit({ breakers: [tripped("both"), tripped("mine")], audits: [] });
  const other = newPath();
  const its = sqliteStore(other, { now });
  its.commit({ breakers: [closed("both"), closed("theirs")], audits: [] });
  its.close();
  renameSync(other, path);

  assert.deepEqual(byName(store.poll?.() ?? []), [
    closed("both"),
    tripped("mine"),
    closed("theirs"),
  ]);

  assert.deepEqual(counts(path), [3, 0]);
  store.close();
});

test("does not let closing the old file harm the one that replaced it", () => {
  const path = newPath();
  const store = storeWithOne(path);
  rmSync(path);
  rmSync(`${path}-wal`);
  rmSync(`${path}-shm`);
  const other = sqliteStore(path, { now });
  other.commit({ breakers: [tripped("theirs")], audits: [] });

  store.close();

  assert.equal(existsSync(`${path}-wal`), true);
  assert.deepEqual(sqliteStore(path, { now }).load(), [tripped("theirs")]);
  other.close();
});

test("makes tables anew that somebody dropped", () => {
  const path = newPath();
  const store = storeWithOne(path);
  withDatabase(path, (db) =>
    db.exec("DROP TABLE circuit_breaker_state; DROP TABLE circuit_breaker_audit"),
  );

  assert.equal(commitCode(store), "SQLITE_ERROR");
  store.commit(TRIP);

  assert.deepEqual(counts(path), [2, 1]);
  store.close();
});

for (const [name, content] of [
  ["text", Buffer.from("this is no database, and not a short text either\n".repeat(100))],
  ["a short text", Buffer.from("hello")],
  ["a header and nothing else", Buffer.from("SQLite format 3\0".padEnd(100, "\0"))],
  ["zeros", Buffer.alloc(8192)],
] as const) {
  test(`puts a file of ${name} aside, whole, and starts anew`, () => {
    const path = newPath();
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const store = sqliteStore(path, { now });

    assert.deepEqual(store.load(), []);
    store.commit(TRIP);

    assert.deepEqual(counts(path), [1, 1]);
    assert.equal(store.recoveredFrom, `${path}.corrupt-${NOW}`);
    assert.deepEqual(readFileSync(`${path}.corrupt-${NOW}`), content);
    store.close();
  });
}

test("never overwrites what it put aside before", () => {
  const path = newPath();
  for (const content of ["first broken one", "second broken one", "third broken one"]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const store = sqliteStore(path, { now });
    store.load();
    store.close();
  }

  const contents = quarantined(path)
    .filter((name) => !/-(wal|shm)$/.test(name))
    .map((name) => readFileSync(`${dirname(path)}/${name}`, "utf8"));

  assert.deepEqual(contents.toSorted(), [
    "first broken one",
    "second broken one",
    "third broken one",
  ]);
});

test("leaves a broken file alone when told to throw, and works once it was mended", () => {
  const path = newPath();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "x".repeat(5000));
  const store = sqliteStore(path, { now, onCorrupt: "throw" });

  assert.equal(
    storeCodeOf(() => store.load()),
    "SQLITE_NOTADB",
  );
  assert.equal(commitCode(store), "SQLITE_NOTADB");
  assert.equal(
    storeCodeOf(() => store.poll?.()),
    "SQLITE_NOTADB",
  );
  assert.equal(readFileSync(path, "utf8"), "x".repeat(5000));
  rmSync(path);
  store.commit(TRIP);

  assert.deepEqual(counts(path), [1, 1]);
  assert.deepEqual(quarantined(path), []);
  store.close();
});

/** Hundreds of audits on many pages, after the one trip on an early page. */
function bigDatabase(path: string, breaker = tripped("a")): void {
  const store = sqliteStore(path, { now });
  const audits = Array.from({ length: 2000 }, (_, n) =>
    audit("a", { reason: `${n}`.padEnd(100, ".") }),
  );
  store.commit({ breakers: [breaker], audits });
  store.close();
}

test("puts a truncated file aside", () => {
  const path = newPath();
  bigDatabase(path);
  truncateSync(path, 10_000);
  const store = sqliteStore(path, { now });

  store.load();
  store.commit({ breakers: [closed("b")], audits: [audit("b")] });

  assert.equal(store.recoveredFrom, `${path}.corrupt-${NOW}`);
  assert.equal(query(path, "PRAGMA integrity_check")[0]?.integrity_check, "ok");
  store.close();
});

test("keeps the trips of a file whose other pages broke, before and after opening", () => {
  for (const breaksWhileOpen of [false, true]) {
    const path = newPath();
    bigDatabase(path);
    const store = sqliteStore(path, { now });
    if (breaksWhileOpen) store.load();
    const bytes = readFileSync(path);
    bytes.fill(0xab, 16 * 4096);
    writeFileSync(path, bytes);
    if (!breaksWhileOpen) assert.deepEqual(store.load(), [tripped("a")]);

    const change: StoreChange = { breakers: [tripped("b")], audits: [audit("b")] };
    const codes = [commitCode(store, change)];
    while (codes.at(-1) !== "none" && codes.length < 5) codes.push(commitCode(store, change));

    assert.deepEqual(codes.slice(-2), ["SQLITE_CORRUPT", "none"]);
    assert.deepEqual(byName(store.load()), [tripped("a"), tripped("b")]);
    assert.deepEqual(counts(path), [2, 1]);
    assert.equal(store.recoveredFrom, `${path}.corrupt-${NOW}`);
    store.close();
  }
});

test("salvages trips from a file that is found broken at load", () => {
  const path = newPath();
  bigDatabase(path);
  const bytes = readFileSync(path);
  bytes.fill(0xab, 16 * 4096);
  writeFileSync(path, bytes);
  // Deleting old audits walks into the broken pages.
  const store = sqliteStore(path, { now: () => NOW + 1e12, auditRetentionDays: 1 });

  const stored = store.load();

  assert.equal(stored[0]?.snapshot.tripped, true);
  assert.equal(store.recoveredFrom, `${path}.corrupt-${NOW + 1e12}`);
  assert.deepEqual(counts(path), [1, 0]);
  store.close();
});

test("believes its memory more than a broken file", () => {
  const path = newPath();
  const store = sqliteStore(path, { now });
  store.commit({ breakers: [tripped("a")], audits: [] });
  const other = newPath();
  bigDatabase(other, closed("a"));
  const bytes = readFileSync(other);
  bytes.fill(0xab, 16 * 4096);
  rmSync(path);
  writeFileSync(path, bytes);

  const change: StoreChange = { breakers: [], audits: [audit("a")] };
  assert.equal(commitCode(store, change), "SQLITE_CORRUPT");
  store.commit(change);

  assert.deepEqual(store.load(), [tripped("a")]);
  store.close();
});

test("does not put aside what another process made of a broken file meanwhile", () => {
  const path = newPath();
  const other = newPath();
  storeWithOne(other).close();
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "broken".repeat(1000));
  const before = (sql: string): void => {
    if (sql.includes("journal_mode") && existsSync(other)) renameSync(other, path);
  };
  const store = sqliteStore(path, { now, open: (file) => spiedHandle(file, before) });

  assert.deepEqual(store.load(), [closed("kept")]);

  assert.equal(store.recoveredFrom, undefined);
  assert.deepEqual(quarantined(path), []);
  store.close();
});

class InjectedError extends Error {
  readonly errcode = 10 | (3 << 8);
}

for (const isLasting of [false, true]) {
  test(`never applies half when ${isLasting ? "all operations from" : "only"} the Nth fail`, () => {
    const template = newPath();
    storeWithOne(template).close();
    let noticed = 0;
    let n = 0;
    let reached: number;
    do {
      n += 1;
      const path = newPath();
      mkdirSync(dirname(path), { recursive: true });
      cpSync(template, path);
      let operations = 0;
      let isHealthy = false;
      const before = (): void => {
        operations += 1;
        if (isHealthy || operations < n || (operations > n && !isLasting)) return;
        throw new InjectedError("disk error");
      };
      const store = sqliteStore(path, { now, open: (file) => spiedHandle(file, before) });
      const change: StoreChange = {
        breakers: [tripped("a"), tripped("b")],
        audits: [audit("a"), audit("b")],
      };

      const codes = [storeCodeOf(() => store.load()), commitCode(store, change)];
      reached = operations;
      isHealthy = true;

      const hasFailed = codes[1] !== "none";
      if (codes.includes("SQLITE_IOERR")) noticed += 1;
      assert.ok(codes.every((code) => code === "none" || code === "SQLITE_IOERR"));
      assert.deepEqual(counts(path), hasFailed ? [1, 0] : [3, 2], `at operation ${n}`);
      if (hasFailed) store.commit(change);
      assert.deepEqual(counts(path), [3, 2], `after operation ${n}`);
      assert.deepEqual(byName(store.load()), [tripped("a"), tripped("b"), closed("kept")]);
      assert.equal(store.recoveredFrom, undefined);
      store.close();
    } while (reached >= n);

    assert.ok(n > 30 && noticed > 15, `${noticed} of ${n} operations`);
  });
}

test("migrates all or nothing, whichever operation fails", () => {
  const legacy = `CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY,
    failure_count INTEGER, last_failure_at INTEGER, tripped INTEGER, trip_count INTEGER,
    last_error TEXT, avg_latency REAL, last_reset_at INTEGER, last_reset_by TEXT,
    last_reset_reason TEXT, updated_at INTEGER);
    INSERT INTO circuit_breaker_state (bookmaker, failure_count, tripped, trip_count, updated_at)
      VALUES ('old', -1, 1, 1, ${NOW - 50}), ('older', 'x', 1, 1, ${NOW - 60})`;
  const outcomes = new Set<string>();
  let n = 0;
  let reached: number;
  do {
    n += 1;
    const path = newPath();
    makeDatabase(path, legacy);
    let operations = 0;
    let isHealthy = false;
    const before = (): void => {
      operations += 1;
      if (!isHealthy && operations >= n) throw new InjectedError("disk error");
    };
    const store = sqliteStore(path, { now, open: (file) => spiedHandle(file, before) });

    const code = storeCodeOf(() => store.load());
    reached = operations;
    isHealthy = true;

    const [found] = query(
      path,
      `SELECT (SELECT count(*) FROM pragma_table_info('circuit_breaker_state')) AS columns,
        (SELECT count(*) FROM sqlite_schema WHERE sql NOT NULL) AS objects,
        (SELECT sum(failure_count = 0) FROM circuit_breaker_state) AS mended`,
    );
    const outcome = Object.values(found ?? {}).join(" ");
    outcomes.add(outcome);
    if (code === "none" && reached < n) assert.equal(outcome, "23 5 2");
    assert.deepEqual(
      byName(store.load()).map(({ snapshot }) => snapshot.trippedAt),
      [NOW - 50, NOW - 60],
    );
    store.close();
  } while (reached >= n);

  assert.deepEqual([...outcomes], ["11 1 0", "23 5 2"]);
});
