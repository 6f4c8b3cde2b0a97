// A file that can be read and not be opened for writing, at the start and later. SQLite needs an index
// beside a log; a folder in the index's place keeps it from making one, whoever runs the test.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmdirSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createSwitchgear, isRefused, latching } from "../../../src/index.ts";
import { readAside } from "../../../src/store/sqlite-aside.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { audit, byName, closed, NOW, tripped } from "../../contract/store.contract.ts";
import { makeDatabase, query, storeCodeOf, tempPaths, withDatabase } from "./sqlite-harness.ts";

const newPath = tempPaths();
const now = (): number => NOW;
const CHILD = fileURLToPath(new URL("../../fixtures/store/unprivileged.ts", import.meta.url));
/** Versions of SQLite differ in which of the two they say. */
const CANNOT_WRITE = /^SQLITE_(READONLY|CANTOPEN)$/;
const AUDITS = "SELECT count(*) AS n FROM circuit_breaker_audit";

/** A database with a trip in the file, and with `hasLog` a second one in the log of a killed process. */
function leave(path: string, hasLog: boolean): void {
  const origin = newPath();
  const first = sqliteStore(origin, { now });
  first.commit({ breakers: [tripped("filed")], audits: [audit("filed")] });
  first.close();
  const second = sqliteStore(origin, { now });
  if (hasLog) second.commit({ breakers: [tripped("logged")], audits: [audit("logged")] });
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(origin, path);
  if (hasLog) copyFileSync(`${origin}-wal`, `${path}-wal`);
  second.close();
}

for (const hasLog of [false, true]) {
  test(`reads the trips of a file ${hasLog ? "with" : "without"} a log that cannot be opened`, () => {
    const path = newPath();
    leave(path, hasLog);
    mkdirSync(`${path}-shm`);
    const store = sqliteStore(path, { now });
    const names = hasLog ? ["filed", "logged"] : ["filed"];

    assert.deepEqual(
      byName(store.load()).map(({ upstream }) => upstream),
      names,
    );
    assert.equal(store.history({ limit: 9 }).length, names.length);
    const late = { breakers: [tripped("late")], audits: [audit("late")] };
    assert.match(
      storeCodeOf(() => store.commit(late)),
      CANNOT_WRITE,
    );
    assert.match(
      storeCodeOf(() => store.poll?.()),
      CANNOT_WRITE,
    );
    rmdirSync(`${path}-shm`);
    store.commit(late);

    assert.equal(store.load().length, names.length + 1);
    assert.equal(query(path, AUDITS)[0]?.n, names.length + 1);
    store.close();
  });
}

test("reads the trips of a file that another keeps locked, and of one that a killed writer left half written", () => {
  const path = newPath();
  makeDatabase(
    path,
    `PRAGMA journal_mode = DELETE; CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY,
    failure_count REAL, tripped INTEGER, trip_count INTEGER, tripped_at INTEGER);
    CREATE TABLE filler (x);
    INSERT INTO circuit_breaker_state VALUES ('dk', 10, 1, 1, ${NOW})`,
  );
  const other = new DatabaseSync(path);
  // Pages of a transaction that has not ended are in the file already: the journal takes them back.
  other.exec("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN EXCLUSIVE");
  other.exec("UPDATE circuit_breaker_state SET tripped = 0");
  other.exec(`WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 500)
    INSERT INTO filler SELECT zeroblob(500) FROM n`);
  const store = sqliteStore(path, { now, busyTimeoutMs: 1 });

  const [dk, ...others] = store.load();

  assert.deepEqual([dk?.upstream, dk?.snapshot.tripped, others.length], ["dk", true, 0]);
  assert.equal(
    storeCodeOf(() => store.commit({ breakers: [closed("a")], audits: [] })),
    "SQLITE_BUSY",
  );
  other.exec("COMMIT");
  other.close();
  assert.equal(store.poll?.()?.find(({ upstream }) => upstream === "dk")?.snapshot.tripped, false);
  store.close();
});

test("a tripped breaker refuses from the first call, and what is ordered waits for the disk", async () => {
  const path = newPath();
  leave(path, true);
  mkdirSync(`${path}-shm`);
  const breaker = { breaker: latching() };
  const gear = createSwitchgear({
    upstreams: { filed: breaker, logged: breaker, other: breaker },
    store: sqliteStore(path),
  });

  for (const name of ["filed", "logged"]) {
    const call = gear.upstream(name).execute(() => assert.fail("it was called"));
    await assert.rejects(call, isRefused);
  }
  gear.upstream("other").trip({ reason: "maintenance" });
  assert.equal(gear.upstream("other").status().persisted, false);
  assert.deepEqual([gear.storeHealth().ok, gear.storeHealth().pending], [false, 1]);
  rmdirSync(`${path}-shm`);

  assert.equal(gear.flush(), true);
  assert.equal(gear.upstream("other").status().persisted, true);
  assert.deepEqual(
    query(path, "SELECT bookmaker FROM circuit_breaker_state WHERE tripped ORDER BY 1").map(
      ({ bookmaker }) => bookmaker,
    ),
    ["filed", "logged", "other"],
  );
  await gear.close();
});

for (const [what, fileMode, folderMode] of [
  ["a file of mode 0444", 0o444, 0o777],
  ["a folder of mode 0555", 0o666, 0o555],
  ["a file and a folder that nobody may write", 0o444, 0o555],
] as const) {
  for (const hasLog of [false, true]) {
    test(`reads trips as one who may only read: ${what}, ${hasLog ? "with" : "without"} a log`, (t) => {
      const path = newPath();
      leave(path, hasLog);
      for (const file of readdirSync(dirname(path)))
        chmodSync(`${dirname(path)}/${file}`, fileMode);
      chmodSync(dirname(dirname(path)), 0o755);
      chmodSync(dirname(path), folderMode);

      const child = spawnSync(process.execPath, [CHILD, path], { timeout: 20_000 });

      chmodSync(dirname(path), 0o755);
      if (child.status === 3) return t.skip("another user may not read the folder of the tests");
      assert.equal(child.status, 0, String(child.stderr));
      const wanted = { names: hasLog ? ["filed", "logged"] : ["filed"], code: "none" };
      const { code, ...told } = JSON.parse(String(child.stdout)) as typeof wanted;
      assert.deepEqual(told, { names: wanted.names });
      assert.match(code, CANNOT_WRITE);
    });
  }
}

test("has nothing to read in a folder, an empty file or a link to nowhere, and says why", () => {
  const folder = newPath();
  mkdirSync(folder, { recursive: true });
  const link = newPath();
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync("/nowhere/at/all.db", link);

  for (const path of [folder, link]) {
    assert.equal(
      storeCodeOf(() => sqliteStore(path).load()),
      "SQLITE_CANTOPEN",
    );
  }
});

test("reads without its log what cannot be read with it", () => {
  const path = newPath();
  leave(path, false);
  mkdirSync(`${path}-wal`);
  mkdirSync(`${path}-shm`);

  assert.deepEqual(sqliteStore(path, { now }).load(), [tripped("filed")]);
});

test("reads again what somebody wrote to meanwhile, and not for ever", () => {
  const path = newPath();
  makeDatabase(path, "CREATE TABLE t (x); INSERT INTO t VALUES (0)");
  let writes = 0;
  const count = (writesMax: number): unknown =>
    readAside(path, (db) => {
      if (writes < writesMax) withDatabase(path, (other) => other.exec("UPDATE t SET x = x + 1"));
      writes += 1;
      return db.prepare("SELECT x FROM t").get()?.x;
    });

  assert.equal(count(1), 1);
  assert.equal(writes, 2);
  assert.equal(typeof count(50), "number");
  assert.equal(writes, 6);
});

test("adds whatever columns the tables of another program lack", () => {
  const path = newPath();
  makeDatabase(
    path,
    `CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY, Tripped INTEGER);
    CREATE TABLE circuit_breaker_audit (id INTEGER PRIMARY KEY, bookmaker TEXT);
    INSERT INTO circuit_breaker_state VALUES ('dk', 1)`,
  );
  const store = sqliteStore(path, { now });

  assert.equal(store.load()[0]?.upstream, "dk");
  store.commit({ breakers: [tripped("dk")], audits: [audit("dk")] });

  assert.deepEqual(sqliteStore(path, { now }).load(), [tripped("dk")]);
  assert.deepEqual(store.history({ limit: 9 }), [audit("dk")]);
  store.close();
});
