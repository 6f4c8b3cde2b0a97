// Tables that somebody else made or added to: what they ignore is not promised, what they lack is made.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createSwitchgear, latching, type Switchgear } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { makeDatabase, query, tempPaths, withDatabase } from "./sqlite-harness.ts";

const newPath = tempPaths();

function gearOn(path: string): Switchgear {
  const breaker = latching();
  return createSwitchgear({
    upstreams: { dk: { breaker }, pinnacle: { breaker } },
    store: sqliteStore(path),
    sampler: { systemLoad: () => 0 },
  });
}

async function trippedAfterRestart(path: string): Promise<string[]> {
  const gear = gearOn(path);
  const tripped = gear.statuses().filter((status) => status.tripped);
  await gear.close();
  return tripped.map(({ upstream }) => upstream);
}

describe("a trigger that drops rows without a word", () => {
  test("of a state: that upstream is not called stored, and all others are", async () => {
    const path = newPath();
    const gear = gearOn(path);
    gear.upstream("pinnacle").setMode({ mode: "shadow" });
    withDatabase(path, (db) =>
      db.exec(`CREATE TRIGGER drops BEFORE INSERT ON circuit_breaker_state
        WHEN NEW.bookmaker = 'dk' BEGIN SELECT RAISE(IGNORE); END`),
    );
    const told: unknown[] = [];
    gear.on("store-error", ({ code, upstream }) => told.push([code, upstream]));

    gear.upstream("dk").trip();
    gear.upstream("pinnacle").trip();

    const persisted = gear.statuses().map((status) => [status.upstream, status.persisted]);
    assert.deepEqual(persisted, [
      ["dk", false],
      ["pinnacle", true],
    ]);
    assert.deepEqual(told, [["SQLITE_CONSTRAINT", "dk"]]);
    assert.equal(gear.storeHealth().ok, false);
    withDatabase(path, (db) => db.exec("DROP TRIGGER drops"));
    assert.equal(gear.flush(), true);
    await gear.close();
    assert.deepEqual(await trippedAfterRestart(path), ["dk", "pinnacle"]);
  });

  test("of an audit: it is told, counted, and costs no trip", async () => {
    const path = newPath();
    const gear = gearOn(path);
    gear.upstream("pinnacle").setMode({ mode: "shadow" });
    withDatabase(path, (db) =>
      db.exec(`CREATE TRIGGER drops BEFORE INSERT ON circuit_breaker_audit
        BEGIN SELECT RAISE(IGNORE); END`),
    );

    gear.upstream("dk").trip({ reason: "dead" });

    const { ok, auditsRefused } = gear.storeHealth();
    assert.deepEqual([ok, auditsRefused], [true, 1]);
    await gear.close();
    assert.deepEqual(await trippedAfterRestart(path), ["dk"]);
  });
});

describe("a table without a key", () => {
  const table = "CREATE TABLE circuit_breaker_state (bookmaker TEXT, tripped INTEGER)";

  test("is given one", async () => {
    const path = newPath();
    makeDatabase(path, `${table}; INSERT INTO circuit_breaker_state VALUES ('dk', 1)`);
    const gear = gearOn(path);
    assert.equal(gear.upstream("dk").isTripped, true);

    gear.upstream("pinnacle").trip();
    gear.upstream("pinnacle").reset({ force: true });
    gear.upstream("pinnacle").trip();

    assert.equal(gear.storeHealth().ok, true);
    await gear.close();
    assert.deepEqual(await trippedAfterRestart(path), ["dk", "pinnacle"]);
    const [count] = query(path, "SELECT count(*) AS n FROM circuit_breaker_state");
    assert.equal(count?.["n"], 2);
  });

  for (const rows of ["('dk', 0), ('dk', 1)", "('dk', 1), ('dk', 0)"]) {
    test(`that holds ${rows} is read, tripped since one of them is, and said to fail`, async () => {
      const path = newPath();
      makeDatabase(path, `${table}; INSERT INTO circuit_breaker_state VALUES ${rows}`);
      const gear = gearOn(path);

      gear.upstream("pinnacle").trip();

      assert.equal(gear.upstream("dk").isTripped, true);
      const { ok, lastError } = gear.storeHealth();
      assert.equal(ok, false);
      assert.match(lastError ?? "", /UNIQUE constraint failed: circuit_breaker_state\.bookmaker/);
      await gear.close();
    });
  }
});
