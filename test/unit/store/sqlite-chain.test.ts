// The chain of audits in a real file: what somebody does to a row is found, and nothing that Switchgear does itself,
// however it ends, looks like it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PRISTINE_LATCHING } from "../../../src/core/breaker/snapshot.ts";
import { createSwitchgear, latching } from "../../../src/index.ts";
import type { ChainReport, Store } from "../../../src/index.ts";
import { UNWRITTEN, type StoredBreaker } from "../../../src/pipeline/ports.ts";
import { sqliteStore, type SqliteStoreOptions } from "../../../src/store/sqlite.ts";
import { audit, closed, NOW, tripped } from "../../contract/store.contract.ts";
import { makeDatabase, query, spiedHandle, tempPaths, withDatabase } from "./sqlite-harness.ts";

const newPath = tempPaths();
const CHILD = fileURLToPath(new URL("../../fixtures/store/child.ts", import.meta.url));
const TIMEOUT_MS = 20_000;
const DAY_MS = 86_400_000;
const TABLE = "circuit_breaker_audit";

function verified(store: Store, upstream: string): ChainReport {
  const report = store.verify?.(upstream);
  assert.ok(report !== undefined);
  return report;
}

/** As the next process would find it. */
function verify(path: string, upstream = "dk", options: SqliteStoreOptions = {}): ChainReport {
  const store = sqliteStore(path, options);
  const report = verified(store, upstream);
  store.close();
  return report;
}

function whole(rows: number, change: Partial<ChainReport> = {}): ChainReport {
  return { upstream: "dk", rows, outside: 0, isShortened: false, brokenAt: undefined, ...change };
}

/** Five audits of `dk` with the ids 1, 3, 5, 7 and 9, and as many of `fd` between them. */
function fileOfFive(path = newPath()): string {
  const store = sqliteStore(path, { now: () => NOW, replica: "odds-1" });
  for (let n = 1; n <= 5; n += 1) {
    for (const upstream of ["dk", "fd"]) {
      store.commit({ breakers: [], audits: [audit(upstream, { reason: `${n}`, at: NOW + n })] });
    }
  }
  store.close();
  return path;
}

function edit(path: string, sql: string): void {
  withDatabase(path, (db) => db.exec(sql));
}

describe("the rows", () => {
  test("name who wrote them, the newest order about the breaker, and the row before them", () => {
    const path = newPath();
    const store = sqliteStore(path, { now: () => NOW, replica: "odds-1" });
    const placed: StoredBreaker = {
      ...tripped("dk"),
      places: { order: UNWRITTEN, person: UNWRITTEN, mode: 0 },
    };
    store.commit({ breakers: [closed("fd")], audits: [] });
    store.commit({ breakers: [placed], audits: [audit("dk")] });
    store.commit({ breakers: [closed("fd")], audits: [audit("dk", { action: "RESET_DENIED" })] });
    store.close();

    const rows = query(path, `SELECT replica, version, previous_hash, hash FROM ${TABLE}`);
    assert.deepEqual(
      rows.map(({ replica, version }) => [replica, version]),
      [
        ["odds-1", 2],
        ["odds-1", 2],
      ],
    );
    assert.deepEqual([rows[0]?.previous_hash, rows[1]?.previous_hash], ["", rows[0]?.hash]);
    assert.deepEqual(verify(path), whole(2));
  });

  test("name the host and the process where nobody says otherwise", () => {
    const path = newPath();
    const store = sqliteStore(path);
    store.commit({ breakers: [], audits: [audit("dk")] });
    store.close();
    assert.match(
      String(query(path, `SELECT replica FROM ${TABLE}`)[0]?.replica),
      new RegExp(`^[^/]+/${process.pid}$`),
    );
  });

  test("carry the version that the pipeline's order was given", async () => {
    const path = newPath();
    const gear = createSwitchgear({
      upstreams: { dk: { breaker: latching() } },
      store: sqliteStore(path),
    });
    gear.upstream("dk").trip({ reason: "one" });
    gear.upstream("dk").setMode({ mode: "shadow", reason: "two" });
    assert.throws(() => gear.upstream("dk").reset({ reason: "too soon" }));
    assert.deepEqual(await gear.verifyHistory("dk"), whole(3));
    await gear.close();

    const rows = query(path, `SELECT version FROM ${TABLE} ORDER BY id`);
    const [one = 0, two = 0, three = 0] = rows.map(({ version }) => Number(version));
    assert.ok(one > 0 && two > one, `${one} ${two}`);
    assert.equal(three, two);
  });

  for (const replica of ["", "x".repeat(201), "\ud800"]) {
    test(`cannot be written by ${JSON.stringify(replica.slice(0, 9))}`, () => {
      assert.throws(
        () => sqliteStore(newPath(), { replica }),
        /replica must be a text of 1 to 200/,
      );
    });
  }

  test("cannot be written by what is no name", () => {
    const options = { replica: 7 as unknown as string };
    assert.throws(() => sqliteStore(newPath(), options), /replica must be a string, not 7/);
  });

  test("hold every text and number that an audit may have", () => {
    const path = newPath();
    const store = sqliteStore(path, { replica: "\u00e9\0🎲 '\"" });
    const texts = [
      "NUL \0 inside\0",
      "lone \ud800 half",
      "'); DROP TABLE circuit_breaker_audit; --",
      "x".repeat(100_000),
      "🎲".repeat(100_000),
      "\u2028\r\n",
      "",
    ];
    const names = ["dk", "lone \ud800", '\uFFFD"odd', "__proto__", "NUL \0"];
    for (const upstream of names) {
      for (const text of texts) {
        store.commit({ breakers: [], audits: [audit(upstream, { reason: text, actor: text })] });
      }
      for (const at of [Number.NaN, Number.POSITIVE_INFINITY, -1, -0, 1.5, 2 ** 53 + 2, 1e300]) {
        store.commit({ breakers: [], audits: [audit(upstream, { at, forced: true })] });
      }
    }
    for (const upstream of names) {
      const found = verified(store, upstream);
      assert.deepEqual(found, { ...whole(texts.length + 7), upstream });
    }
    store.close();
  });
});

describe("what somebody does to the file is found:", () => {
  const columns: Readonly<Record<string, string>> = {
    bookmaker: "'fd'",
    action: "'RESET'",
    reason: "'nothing'",
    user: "'bob'",
    timestamp: "timestamp - 1",
    forced: "1",
    replica: "'odds-2'",
    version: "7",
    hash: "(SELECT hash FROM circuit_breaker_audit WHERE id = 3)",
    previous_hash: "(SELECT hash FROM circuit_breaker_audit WHERE id = 1)",
  };
  for (const [column, value] of Object.entries(columns)) {
    test(`${column} of a row is changed`, () => {
      const path = fileOfFive();
      edit(path, `UPDATE ${TABLE} SET ${column} = ${value} WHERE id = 5`);
      // A row that was given to another upstream is missing here.
      const [row, id, what] =
        column === "bookmaker" ? [3, 7, "follow"] : [3, 5, "what was written"];
      const { brokenAt, rows } = verify(path);
      assert.equal(brokenAt?.row, row);
      assert.match(brokenAt.why, new RegExp(`^the row of id ${id} .*${what}`));
      assert.equal(rows, column === "bookmaker" ? 4 : 5);
    });
  }

  for (const column of Object.keys(columns)) {
    if (column === "bookmaker" || column === "hash") continue;
    for (const value of ["NULL", "x'00'", "CAST('9' AS BLOB)"]) {
      test(`${column} becomes ${value}, or reads as what it was`, () => {
        const path = fileOfFive();
        edit(path, `UPDATE ${TABLE} SET ${column} = ${value} WHERE id = 5`);
        assert.equal(verify(path).brokenAt?.row, 3);
      });
    }
  }

  test("a text that was empty becomes nothing", () => {
    const path = newPath();
    const store = sqliteStore(path, { replica: "a" });
    store.commit({ breakers: [], audits: [audit("dk", { reason: "", actor: "unknown" })] });
    store.close();
    for (const column of ["reason", "user"]) {
      const copy = newPath();
      mkdirSync(dirname(copy));
      copyFileSync(path, copy);
      edit(copy, `UPDATE ${TABLE} SET ${column} = NULL`);
      assert.equal(verify(copy).brokenAt?.row, 1, column);
    }
    // And a number another one that counts as the same.
    edit(path, `UPDATE ${TABLE} SET forced = 2`);
    assert.equal(verify(path).brokenAt?.row, 1);
  });

  test("a row is deleted from the middle", () => {
    const path = fileOfFive();
    edit(path, `DELETE FROM ${TABLE} WHERE id = 5`);
    const { brokenAt, rows } = verify(path);
    assert.equal(brokenAt?.row, 3);
    assert.match(brokenAt.why, /^the row of id 7 does not follow from the row before it/);
    assert.equal(rows, 4);
    assert.deepEqual(verify(path, "fd"), { ...whole(5), upstream: "fd" });
  });

  test("a row without a hash is put in, in the middle or at the end", () => {
    const values = "('dk', 'RESET', 'all is well', 'ann', 1, 0)";
    for (const [id, row] of [
      ["41", 3],
      ["NULL", 6],
    ] as const) {
      const path = fileOfFive();
      edit(path, `UPDATE ${TABLE} SET id = -id; UPDATE ${TABLE} SET id = -id * 10`);
      edit(
        path,
        `INSERT INTO ${TABLE} (id, bookmaker, action, reason, user, timestamp, forced)
          SELECT ${id}, * FROM (VALUES ${values})`,
      );
      const { brokenAt, rows, outside } = verify(path);
      assert.deepEqual([brokenAt?.row, rows, outside], [row, 5, 1]);
      assert.match(brokenAt?.why ?? "", /has no hash/);
      assert.deepEqual(verify(path, "fd"), { ...whole(5), upstream: "fd" });
    }
  });

  test("a row with the hash that it must have is put in between", () => {
    const path = fileOfFive();
    edit(
      path,
      `DELETE FROM ${TABLE} WHERE id = 6;
        INSERT INTO ${TABLE} SELECT 6, bookmaker, action, reason, user, timestamp, forced, replica, version,
        previous_hash, hash FROM ${TABLE} WHERE id = 5`,
    );
    const { brokenAt } = verify(path);
    assert.equal(brokenAt?.row, 4);
    assert.match(brokenAt.why, /^the row of id 6 does not follow/);
  });

  test("two rows change places", () => {
    const path = fileOfFive();
    edit(
      path,
      `UPDATE ${TABLE} SET id = 100 WHERE id = 5; UPDATE ${TABLE} SET id = 5 WHERE id = 7;
        UPDATE ${TABLE} SET id = 7 WHERE id = 100`,
    );
    const { brokenAt } = verify(path);
    assert.equal(brokenAt?.row, 3);
    assert.match(brokenAt.why, /^the row of id 5 does not follow/);
  });

  test("a row loses its hash", () => {
    const path = fileOfFive();
    edit(path, `UPDATE ${TABLE} SET hash = NULL WHERE id = 5`);
    const { brokenAt } = verify(path);
    assert.deepEqual(
      [brokenAt?.row, brokenAt?.why.slice(0, 31)],
      [3, "the row of id 5 has no hash: it"],
    );
  });

  test("what follows a row that was changed says nothing of the ones before", () => {
    const path = fileOfFive();
    edit(path, `UPDATE ${TABLE} SET reason = '' WHERE id IN (3, 9)`);
    assert.equal(verify(path).brokenAt?.row, 2);
  });

  test("a hash of any size is not taken into the next row", () => {
    const path = fileOfFive();
    edit(path, `UPDATE ${TABLE} SET hash = printf('%.*c', 1000000, 'f') WHERE id = 9`);
    const store = sqliteStore(path);
    store.commit({ breakers: [], audits: [audit("dk")] });
    assert.equal(verified(store, "dk").brokenAt?.row, 5);
    store.close();
    const [row] = query(path, `SELECT previous_hash FROM ${TABLE} WHERE id = 11`);
    assert.equal(row?.previous_hash, "");
  });

  test("ids beyond what a number holds are read in their order, and once", () => {
    const path = newPath();
    const store = sqliteStore(path);
    const audits = Array.from({ length: 1200 }, (_, n) => audit("dk", { reason: `${n}` }));
    store.commit({ breakers: [], audits });
    store.close();
    edit(path, `UPDATE ${TABLE} SET id = id + 9007199254740993`);
    assert.deepEqual(verify(path), whole(1200));
    edit(path, `DELETE FROM ${TABLE} WHERE reason = '1100'`);
    assert.equal(verify(path).brokenAt?.row, 1101);
    edit(path, `DELETE FROM ${TABLE} WHERE reason = '3'`);
    assert.equal(verify(path).brokenAt?.row, 4);
  });
});

describe("what it cannot show:", () => {
  test("the newest rows are cut off", () => {
    const path = fileOfFive();
    edit(path, `DELETE FROM ${TABLE} WHERE id >= 7`);
    assert.deepEqual(verify(path), whole(3));
  });

  test("all is written anew by somebody who knows how", () => {
    const path = fileOfFive();
    const forged = sqliteStore(newPath(), { replica: "odds-1" });
    forged.close();
    const content = ["dk", "TRIP", "never", "system", NOW, false, "odds-1"];
    const digest = createHash("sha256").update(JSON.stringify(content)).digest("hex");
    const hash = createHash("sha1").update(`\n${digest}\n0`).digest("hex");
    edit(
      path,
      `DELETE FROM ${TABLE}; INSERT INTO ${TABLE} VALUES
        (1, 'dk', 'TRIP', 'never', 'system', ${NOW}, 0, 'odds-1', 0, '', '${hash}')`,
    );
    assert.deepEqual(verify(path), whole(1));
  });
});

describe("a file from before the chain", () => {
  const OLD = `CREATE TABLE circuit_breaker_state (bookmaker TEXT PRIMARY KEY, tripped INTEGER, updated_at INTEGER);
    CREATE TABLE ${TABLE} (id INTEGER PRIMARY KEY, bookmaker TEXT, action TEXT, reason TEXT, user TEXT,
      timestamp INTEGER, forced INTEGER);
    INSERT INTO ${TABLE} (bookmaker, action, reason, user, timestamp, forced) VALUES
      ('dk', 'TRIP', 'long ago', 'system', 1000, 0), ('dk', 'RESET', 'then', 'ann', 2000, 1)`;
  /** As a version writes that knows no chain. */
  const OLD_INSERT = `INSERT INTO ${TABLE} (bookmaker, action, reason, user, timestamp, forced)
    VALUES ('dk', 'TRIP', 'by an older one', 'system', 3000, 0)`;

  test("keeps its rows, which are told apart, and begins a chain behind them", () => {
    const path = newPath();
    makeDatabase(path, OLD);
    assert.deepEqual(verify(path), whole(0, { outside: 2 }));
    const store = sqliteStore(path);
    store.commit({ breakers: [], audits: [audit("dk")] });
    store.commit({ breakers: [], audits: [audit("dk")] });
    store.close();
    assert.deepEqual(verify(path), whole(2, { outside: 2 }));
    assert.deepEqual(
      query(path, `SELECT replica, version, hash FROM ${TABLE} WHERE id = 1`).map(Object.values),
      [[null, null, null]],
    );
  });

  test("is read where it cannot be opened, and so is one of today", () => {
    const old = newPath();
    makeDatabase(old, `${OLD}; ALTER TABLE ${TABLE} ADD COLUMN hash TEXT`);
    const young = fileOfFive();
    for (const [path, report] of [
      [old, whole(0, { outside: 2 })],
      [young, whole(5)],
    ] as const) {
      // SQLite needs an index beside a log, and finds a folder in its place.
      mkdirSync(`${path}-shm`);
      assert.deepEqual(verify(path), report);
      rmdirSync(`${path}-shm`);
    }
  });

  test("is read where it cannot be migrated", () => {
    const path = newPath();
    makeDatabase(path, OLD);
    const before = (sql: string): void => {
      if (/ALTER|CREATE/.test(sql)) {
        throw Object.assign(new Error("read-only"), { errcode: 8, code: "SQLITE_READONLY" });
      }
    };
    const store = sqliteStore(path, { open: (file) => spiedHandle(file, before) });
    assert.deepEqual(verified(store, "dk"), whole(0, { outside: 2 }));
    store.close();
  });

  test("is written by an older version all the while, which is told and breaks nothing there", () => {
    const path = newPath();
    makeDatabase(path, OLD);
    const store = sqliteStore(path);
    store.commit({ breakers: [], audits: [audit("dk")] });
    edit(path, OLD_INSERT);
    store.commit({ breakers: [], audits: [audit("dk")] });
    const { rows, outside, brokenAt } = verified(store, "dk");
    assert.deepEqual([rows, outside, brokenAt?.row], [2, 3, 2]);
    assert.match(brokenAt?.why ?? "", /the row of id 4 has no hash: .*by a version/);
    assert.equal(store.history({ limit: 9 }).length, 5);
    const [{ hash } = {}, { previous_hash: previous } = {}] = query(
      path,
      `SELECT hash, previous_hash FROM ${TABLE} WHERE hash IS NOT NULL ORDER BY id`,
    );
    assert.equal(previous, hash);
    store.close();
  });
});

describe("retention", () => {
  function aged(path: string, ages: readonly number[]): void {
    const store = sqliteStore(path, { now: () => NOW });
    const audits = ages.map((days) => audit("dk", { at: NOW - days * DAY_MS, reason: `${days}` }));
    store.commit({ breakers: [], audits });
    store.close();
  }

  function kept(path: string, times = 1): { reasons: unknown[]; report: ChainReport } {
    let wallMs = NOW;
    const store = sqliteStore(path, { now: () => wallMs, auditRetentionDays: 10 });
    store.load();
    for (let left = times; left > 1; left -= 1) {
      wallMs += 1000;
      store.poll?.();
    }
    const report = verified(store, "dk");
    store.close();
    const rows = query(path, `SELECT reason FROM ${TABLE} ORDER BY id`);
    return { reasons: rows.map(({ reason }) => reason), report };
  }

  test("shortens a chain, and does not break it", () => {
    const path = newPath();
    aged(path, [30, 20, 11, 9, 1]);
    const { reasons, report } = kept(path);
    assert.deepEqual(reasons, ["9", "1"]);
    assert.deepEqual(report, whole(2, { isShortened: true }));
  });

  test("shows what became of the first row that is left", () => {
    const path = newPath();
    aged(path, [30, 9, 1]);
    kept(path);
    edit(path, `UPDATE ${TABLE} SET reason = 'nothing' WHERE id = 2`);
    assert.equal(verify(path).brokenAt?.row, 1);
  });

  test("keeps what an unsteady clock dated too early, as long as what stands before it", () => {
    const path = newPath();
    aged(path, [30, 9, 20, 8, 40]);
    assert.deepEqual(kept(path), {
      reasons: ["9", "20", "8", "40"],
      report: whole(4, { isShortened: true }),
    });
  });

  test("forgets what it kept as soon as it may go, and what belongs to nobody", () => {
    const path = newPath();
    aged(path, [9, 20]);
    const store = sqliteStore(path, { now: () => NOW });
    store.commit({ breakers: [], audits: [audit("x", { at: 1 }), audit("y", { at: 2 })] });
    store.close();
    edit(path, `UPDATE ${TABLE} SET bookmaker = NULL WHERE bookmaker = 'x'`);
    edit(path, `UPDATE ${TABLE} SET bookmaker = x'00' WHERE bookmaker = 'y'`);
    let wallMs = NOW;
    const keeper = sqliteStore(path, { now: () => wallMs, auditRetentionDays: 10 });
    keeper.load();
    assert.equal(query(path, `SELECT * FROM ${TABLE}`).length, 2);
    wallMs += 2 * DAY_MS;
    keeper.poll?.();
    keeper.close();
    assert.deepEqual(query(path, `SELECT * FROM ${TABLE}`), []);
  });

  test("asks for no lock where nothing is old", () => {
    const path = newPath();
    aged(path, [9, 8]);
    const seen: string[] = [];
    const store = sqliteStore(path, {
      now: () => NOW,
      auditRetentionDays: 10,
      open: (file) => spiedHandle(file, (sql) => seen.push(sql)),
    });
    store.load();
    store.close();
    assert.ok(seen.some((sql) => sql.includes("timestamp < ?")));
    assert.ok(!seen.includes("BEGIN IMMEDIATE"));
  });

  test("keeps a row that somebody gave a date that is none, and what follows it", () => {
    const path = newPath();
    aged(path, [30, 20, 15]);
    edit(path, `UPDATE ${TABLE} SET timestamp = 'soon' WHERE id = 2`);
    assert.deepEqual(kept(path).reasons, ["20", "15"]);
  });

  test("goes on with others where more than a slice has to stay", () => {
    const path = newPath();
    aged(path, [1, ...Array.from({ length: 700 }, (_, n) => 3000 - n)]);
    const store = sqliteStore(path, { now: () => NOW });
    const old = audit("fd", { at: NOW - 20 * DAY_MS, reason: "old" });
    store.commit({ breakers: [], audits: [old] });
    store.close();
    assert.ok(!kept(path, 3).reasons.includes("old"));
    assert.deepEqual(kept(path).report, whole(701));
  });

  test("never leaves a hole, in whatever order rows are dated and slices end", () => {
    const path = newPath();
    const ages = Array.from({ length: 1300 }, (_, n) => 3000 - ((n * 37) % 1300));
    aged(path, [...ages, 1]);
    for (let round = 0; round < 8; round += 1) {
      const { brokenAt, rows } = kept(path).report;
      assert.equal(brokenAt, undefined, `after ${round}: ${rows}`);
    }
    assert.deepEqual(kept(path).report, whole(1, { isShortened: true }));
  });

  test("begins anew where nothing was left", () => {
    const path = newPath();
    aged(path, [30, 20]);
    kept(path);
    aged(path, [2]);
    assert.deepEqual(kept(path).report, whole(1));
  });
});

describe("processes", () => {
  test("that write at once make one chain", async () => {
    const path = newPath();
    sqliteStore(path).load();
    const rounds = 60;
    const writers = [1, 2, 3].map(() =>
      spawn(process.execPath, [CHILD, path, `count-to-${rounds}`], {
        timeout: TIMEOUT_MS,
        stdio: "inherit",
      }),
    );
    const ends = await Promise.all(writers.map((writer) => once(writer, "exit")));
    assert.deepEqual(
      ends.map(([status]) => Number(status)),
      [0, 0, 0],
    );
    assert.deepEqual(verify(path, "draftkings"), { ...whole(3 * rounds), upstream: "draftkings" });
    const [found] = query(path, `SELECT count(DISTINCT replica) AS n FROM ${TABLE}`);
    assert.equal(found?.n, 3);
  });

  test("that are killed while they write leave a whole chain", async () => {
    const path = newPath();
    const store = sqliteStore(path);
    store.load();
    let least = 0;
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, [CHILD, path, "count-to-1000000"], {
        timeout: TIMEOUT_MS,
        stdio: "inherit",
      });
      const wanted = least + 20;
      while (verified(store, "draftkings").rows < wanted) await new Promise(setImmediate);
      child.kill("SIGKILL");
      await once(child, "exit");
      store.commit({ breakers: [], audits: [audit("draftkings", { reason: `${round}` })] });
      const { rows, brokenAt } = verified(store, "draftkings");
      assert.equal(brokenAt, undefined);
      least = rows;
    }
    store.close();
    const report = verify(path, "draftkings");
    assert.deepEqual(report, { ...whole(least), upstream: "draftkings" });
  });

  test("that write while it is read change nothing of what is read", () => {
    const path = fileOfFive();
    edit(path, `DELETE FROM ${TABLE} WHERE bookmaker = 'fd'`);
    const first = sqliteStore(path);
    const audits = Array.from({ length: 1500 }, (_, n) => audit("dk", { at: 1000 + n }));
    first.commit({ breakers: [], audits });
    first.close();
    let pages = 0;
    const before = (sql: string): void => {
      if (!/LIMIT 500/.test(sql) || sql.startsWith("prepare")) return;
      pages += 1;
      // As another process's retention does.
      if (pages === 2) edit(path, `DELETE FROM ${TABLE} WHERE id < 1200`);
    };
    const store = sqliteStore(path, { open: (file) => spiedHandle(file, before) });
    assert.deepEqual(verified(store, "dk"), whole(1505));
    assert.ok(pages >= 4);
    assert.equal(verified(store, "dk").isShortened, true);
    store.commit({ breakers: [], audits: [audit("dk")] });
    assert.equal(verified(store, "dk").brokenAt, undefined);
    store.close();
  });

  for (const suffix of ["-wal", "-shm"]) {
    test(`of which one loses ${suffix} and is killed leave a whole chain`, () => {
      const path = newPath();
      const another = sqliteStore(path);
      another.load();
      const { signal } = spawnSync(process.execPath, [CHILD, path, `lose${suffix}-and-die`], {
        timeout: TIMEOUT_MS,
      });
      assert.equal(signal, "SIGKILL");
      for (const upstream of ["before", "after"]) {
        another.commit({ breakers: [], audits: [audit(upstream)] });
        assert.deepEqual(verified(another, upstream), { ...whole(2), upstream });
      }
      another.close();
    });
  }
});

describe("what was lost is written again", () => {
  const upstreams = ["dk", "fd"];
  const one = (upstream: string, n: number) => ({
    breakers: [{ ...tripped(upstream), snapshot: { ...PRISTINE_LATCHING, tripCount: n } }],
    audits: [audit(upstream, { reason: `${n}`, at: NOW + n })],
  });

  const losses: Readonly<Record<string, (path: string, old: string) => void>> = {
    "the file was deleted": (path) => {
      for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    },
    "an older one took its place": (path, old) => {
      copyFileSync(old, `${path}.new`);
      for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
      renameSync(`${path}.new`, path);
    },
  };
  for (const [what, lose] of Object.entries(losses)) {
    test(`at the end of the chain that is there, by whom it first was, when ${what}`, () => {
      const path = newPath();
      const store = sqliteStore(path, { now: () => NOW, replica: "first" });
      for (let n = 1; n <= 3; n += 1) for (const name of upstreams) store.commit(one(name, n));
      store.close();
      const old = `${path}.old`;
      copyFileSync(path, old);
      const again = sqliteStore(path, { now: () => NOW, replica: "second" });
      again.load();
      for (let n = 4; n <= 6; n += 1) for (const name of upstreams) again.commit(one(name, n));
      lose(path, old);
      const other = sqliteStore(path, { now: () => NOW, replica: "third" });
      other.commit({ breakers: [], audits: [audit("dk", { reason: "meanwhile" })] });
      for (const name of upstreams) again.commit(one(name, 7));
      other.close();
      again.close();

      const kept = what === "the file was deleted" ? 4 : 7;
      assert.deepEqual(verify(path), whole(kept + 1));
      assert.deepEqual(verify(path, "fd"), { ...whole(kept), upstream: "fd" });
      const rows = query(
        path,
        `SELECT reason, replica FROM ${TABLE} WHERE bookmaker = 'dk' ORDER BY id`,
      );
      const by = rows.map(({ reason, replica }) => `${String(reason)} ${String(replica)}`);
      assert.deepEqual(by.slice(-5), [
        "meanwhile third",
        "4 second",
        "5 second",
        "6 second",
        "7 second",
      ]);
    });
  }

  test("before it is read", () => {
    const path = newPath();
    const store = sqliteStore(path, { now: () => NOW });
    store.commit(one("dk", 1));
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    assert.deepEqual(verified(store, "dk"), whole(1));
    store.close();
  });

  test("once, where it may be there all the same", () => {
    const path = newPath();
    let isGone = false;
    const store = sqliteStore(path, {
      now: () => NOW,
      open: (file) =>
        spiedHandle(file, (sql) => {
          if (sql !== "COMMIT" || !isGone) return;
          isGone = false;
          // It is written, and not found in its place.
          renameSync(`${path}-wal`, `${path}-wal.away`);
          renameSync(`${path}-wal.away`, `${path}-wal`);
          rmSync(`${path}-shm`);
        }),
    });
    store.commit(one("dk", 1));
    isGone = true;
    store.commit(one("dk", 2));
    store.commit(one("dk", 3));
    assert.deepEqual(verified(store, "dk"), whole(3));
    store.close();
    assert.deepEqual(verify(path), whole(3));
  });
});

test("reads 100 000 rows without holding them, by an index and not the whole table", () => {
  const path = newPath();
  const store = sqliteStore(path, { now: () => NOW });
  for (let n = 0; n < 100; n += 1) {
    const audits = Array.from({ length: 1000 }, (_, i) => audit("dk", { reason: `${n} ${i}` }));
    store.commit({ breakers: [], audits });
  }
  let largest = 0;
  const counting = sqliteStore(path, {
    open: (file) => {
      const handle = spiedHandle(file, () => {});
      return {
        ...handle,
        exec: (sql) => handle.exec(sql),
        close: () => handle.close(),
        prepare: (sql) => {
          const statement = handle.prepare(sql);
          return {
            run: (...params) => statement.run(...params),
            get: (...params) => statement.get(...params),
            all: (...params) => {
              const found = statement.all(...params);
              largest = Math.max(largest, found.length);
              return found;
            },
            setReadBigInts: (enabled) => statement.setReadBigInts(enabled),
          };
        },
      };
    },
  });
  assert.deepEqual(verified(counting, "dk"), whole(100_000));
  assert.equal(largest, 500);
  counting.close();
  store.close();
  const plan = query(
    path,
    `EXPLAIN QUERY PLAN SELECT hash FROM ${TABLE}
      WHERE bookmaker = 'dk' AND hash IS NOT NULL AND rowid > 5 ORDER BY rowid LIMIT 500`,
  );
  assert.match(JSON.stringify(plan), /circuit_breaker_audit_chain \(bookmaker=\? AND rowid>\?\)/);
  assert.doesNotMatch(JSON.stringify(plan), /TEMP B-TREE/);
});
