// Specification 9.A, persistence, seen from the library: what the store's own suites prove of the
// file, these prove of the breaker that stands on it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { createSwitchgear, latching, type LatchingOptions } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { failTimes, makeGear, type TestGear } from "../support/gear.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-acceptance-"));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function newPath(): string {
  files += 1;
  return join(folder, `case-${files}`, "circuit_breaker.db");
}

function open(path: string, breaker: LatchingOptions = {}, clock = new VirtualClock()): TestGear {
  const store = sqliteStore(path, { busyTimeoutMs: 1, now: () => clock.now() });
  return makeGear({ store, breaker, clock });
}

/** A second connection, as another program would have it. */
function raw<Result>(path: string, use: (db: DatabaseSync) => Result): Result {
  const db = new DatabaseSync(path);
  try {
    return use(db);
  } finally {
    db.close();
  }
}

test("T-A-52 a trip outlives the process, and is there before the first call", async () => {
  const path = newPath();
  const first = open(path);
  failTimes(first.dk, 10, "HTTP 503");
  await first.gear.close();

  const second = open(path, {}, first.clock);
  const { tripped, tripCount, lastError, failureCount } = second.dk.status();
  assert.deepEqual(
    { tripped, tripCount, lastError, failureCount },
    { tripped: true, tripCount: 1, lastError: "HTTP 503", failureCount: 10 },
  );
  assert.equal(second.dk.state(), "open");
  await second.gear.close();
});

test("failures short of a trip outlive the process too", () => {
  const path = newPath();
  failTimes(open(path).dk, 9);
  const second = open(path);
  failTimes(second.dk, 1);
  assert.equal(second.dk.isTripped, true);
});

test("T-A-39 a restart in the middle of the wait probes when the wait is over", async () => {
  const path = newPath();
  const breaker = { recovery: "single-probe" } as const;
  const first = open(path, breaker);
  failTimes(first.dk, 10);
  first.clock.advance(30_000);
  await first.gear.close();

  // A new process has a new monotonic clock; only the wall clock goes on.
  const clock = new VirtualClock(first.clock.now());
  const { dk } = open(path, breaker, clock);
  clock.advance(29_999);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN", remainingMs: 1 },
  );
  clock.advance(1);
  assert.equal(await dk.execute(() => 1), 1);
  assert.equal(dk.state(), "closed");
});

test("a failed probe's new wait survives a restart", async () => {
  const path = newPath();
  const breaker = { recovery: "single-probe" } as const;
  const first = open(path, breaker);
  failTimes(first.dk, 10);
  first.clock.advance(60_000);
  await assert.rejects(first.dk.execute(() => Promise.reject(new Error("still down"))));
  const clock = new VirtualClock(first.clock.now() + 59_999);
  const { dk } = open(path, breaker, clock);
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
  clock.advance(1);
  assert.equal(await dk.execute(() => 1), 1);
});

test("T-A-53 kill -9 right after trip() returned loses neither state nor audit", async () => {
  const path = newPath();
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "../fixtures/trip-and-wait.ts"), path],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes("tripped")) resolve();
    });
    child.on("exit", () => reject(new Error("the child ended before it tripped")));
  });
  child.kill("SIGKILL");
  await new Promise((resolve) => child.on("close", resolve));

  const { gear } = open(path, {}, new VirtualClock(Date.now()));
  const dk = gear.upstream("dk");
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().manual, true);
  assert.deepEqual(
    gear.history().map(({ action, reason, actor }) => ({ action, reason, actor })),
    [{ action: "TRIP", reason: "before the kill", actor: "ann" }],
  );
});

test("T-A-54 a locked database costs a call nothing, and is caught up without duplicates", () => {
  const path = newPath();
  const { gear, dk, clock, sink } = open(path);
  const blocker = new DatabaseSync(path);
  blocker.exec("BEGIN IMMEDIATE");
  failTimes(dk, 10);
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().persisted, false);
  assert.equal(gear.storeHealth().ok, false);
  assert.equal(gear.storeHealth().pending, 1);
  assert.match(gear.storeHealth().lastError ?? "", /^SQLITE_BUSY/);
  assert.ok(
    gear.counters().storeErrors.some(({ op, code }) => op === "commit" && code === "SQLITE_BUSY"),
  );
  assert.equal(sink.of("store-error").length, 1);
  // What is not on disk yet has happened all the same.
  assert.deepEqual(
    gear.history().map(({ action }) => action),
    ["TRIP"],
  );

  blocker.exec("COMMIT");
  blocker.close();
  clock.advance(60_000);
  assert.equal(dk.status().persisted, true);
  assert.equal(gear.storeHealth().ok, true);
  assert.equal(sink.of("store-recovered").length, 1);
  assert.equal(clock.pendingTimers, 0);
  const rows = raw(path, (db) => db.prepare("SELECT action FROM circuit_breaker_audit").all());
  assert.equal(rows.length, 1);
});

test("a reset that could not be stored says so, and a restart is on the safe side", () => {
  const path = newPath();
  const { dk } = open(path);
  dk.trip({ reason: "x" });
  const blocker = new DatabaseSync(path);
  blocker.exec("BEGIN IMMEDIATE");
  dk.reset({ force: true });
  assert.equal(dk.isTripped, false);
  assert.equal(dk.status().persisted, false);
  blocker.exec("COMMIT");
  blocker.close();
  assert.equal(open(path).dk.isTripped, true);
});

test("T-A-55 a full disk refuses nothing, and is caught up when space returns", () => {
  const path = newPath();
  let limit: ((pages: number) => void) | undefined;
  const clock = new VirtualClock();
  const store = sqliteStore(path, {
    now: () => clock.now(),
    open: (location) => {
      const db = new DatabaseSync(location);
      limit = (pages) => db.exec(`PRAGMA max_page_count = ${pages}`);
      return db;
    },
  });
  const { gear, dk } = makeGear({ store, clock });
  limit?.(1);
  for (let n = 0; n < 200; n += 1) dk.trip({ reason: "x".repeat(1024) });
  assert.equal(dk.isTripped, true);
  assert.equal(gear.storeHealth().ok, false);
  assert.match(gear.storeHealth().lastError ?? "", /^SQLITE_FULL/);
  limit?.(1_000_000);
  clock.advance(60_000);
  assert.equal(gear.storeHealth().ok, true);
  assert.equal(gear.history({ limit: 1000 }).length, 200);
});

test("T-A-55 a deleted folder is made again, with everything that was in it", () => {
  const path = newPath();
  const { gear, dk, clock } = open(path);
  dk.trip({ reason: "x" });
  rmSync(join(path, ".."), { recursive: true });
  gear.upstream("fd").trip({ reason: "y" });
  clock.advance(60_000);
  assert.equal(gear.storeHealth().ok, true);
  const second = open(path);
  assert.equal(second.dk.isTripped, true);
  assert.equal(second.gear.upstream("fd").isTripped, true);
});

test("T-A-56 a file that is no database is put aside, and protection goes on", () => {
  const path = newPath();
  open(path).dk.trip({ reason: "x" });
  writeFileSync(path, "this is not a database, whatever its name says".repeat(100));
  for (const name of readdirSync(join(path, ".."))) {
    if (name.endsWith("-wal") || name.endsWith("-shm")) rmSync(join(path, "..", name));
  }
  const { gear, dk } = open(path);
  assert.match(gear.storeHealth().recoveredFrom ?? "", /\.corrupt-/);
  assert.equal(gear.storeHealth().ok, true);
  failTimes(dk, 10);
  assert.equal(open(path).dk.isTripped, true);
});

test("T-A-57 a legacy database opens, keeps its trip and dates it", () => {
  const path = newPath();
  open(path).gear.flush();
  raw(path, (db) => {
    db.exec(`
      DROP TABLE circuit_breaker_state;
      CREATE TABLE circuit_breaker_state (
        bookmaker TEXT PRIMARY KEY, failure_count INTEGER NOT NULL DEFAULT 0, last_failure_at INTEGER,
        tripped INTEGER NOT NULL DEFAULT 0, trip_count INTEGER NOT NULL DEFAULT 0, last_error TEXT,
        avg_latency REAL, last_reset_at INTEGER, last_reset_by TEXT, last_reset_reason TEXT,
        updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now')*1000));
      INSERT INTO circuit_breaker_state (bookmaker, failure_count, tripped, trip_count, updated_at)
        VALUES ('dk', 9.5, 1, 3, 1000), ('fd', -4, 0, 0, 1000);
    `);
  });
  const { gear, dk } = open(path);
  const status = dk.status();
  assert.equal(status.tripped, true);
  assert.equal(status.failureCount, 9.5);
  assert.equal(status.tripCount, 3);
  assert.equal(status.trippedAt, 1000);
  assert.equal(status.cooldownRemainingMs, 0);
  assert.equal(gear.upstream("fd").status().failureCount, 0);
});

test("T-A-59 a stored trip of the future is a trip of now", () => {
  const path = newPath();
  const first = open(path);
  first.clock.jumpWall(86_400_000);
  first.dk.trip({ reason: "x" });
  const { dk, clock } = open(path);
  assert.equal(dk.status().trippedAt, clock.now());
  assert.equal(dk.status().cooldownRemainingMs, 60_000);
});

test("T-A-60 another process's reset is seen within a second, by a call and by a look", async () => {
  const path = newPath();
  const first = open(path);
  first.dk.trip({ reason: "x" });
  first.clock.advance(5000);
  const second = open(path, {}, new VirtualClock(first.clock.now()));
  second.dk.reset({ force: true, reason: "from the console", actor: "ann" });
  first.clock.advance(1000);
  assert.equal(await first.dk.execute(() => 1), 1);
  assert.equal(first.dk.status().lastResetBy, "ann");

  // Our own success of the last second is written meanwhile, and must not undo the trip.
  second.clock.advance(100);
  second.dk.trip({ reason: "again", actor: "bob" });
  first.clock.advance(1000);
  assert.equal(first.gear.statuses().find(({ upstream }) => upstream === "dk")?.tripped, true);
});

test("a trip of ours that is newer than another process's reset stays", async () => {
  const path = newPath();
  const first = open(path);
  first.dk.trip({ reason: "x" });
  const second = open(path, {}, new VirtualClock(first.clock.now()));
  second.clock.advance(100);
  second.dk.reset({ force: true });
  first.clock.advance(500);
  first.dk.trip({ reason: "newer" });
  first.clock.advance(1000);
  await assert.rejects(
    first.dk.execute(() => 1),
    { code: "SG_BREAKER_OPEN" },
  );
});

test("T-A-61 ten thousand successes are one write a second; a trip is stored at once", () => {
  const path = newPath();
  const clock = new VirtualClock();
  const inner = sqliteStore(path, { now: () => clock.now() });
  let commits = 0;
  const store = {
    ...proxyOf(inner),
    commit: (change: Parameters<typeof inner.commit>[0]) => {
      commits += 1;
      inner.commit(change);
    },
  };
  const { dk } = makeGear({ store, clock });
  for (let n = 0; n < 10_000; n += 1) {
    const admission = dk.tryAcquire();
    assert.ok(admission.admitted);
    admission.settle({ outcome: "ok", latencyMs: 5 });
    clock.advance(0.1);
  }
  clock.advance(1000);
  assert.ok(commits <= 2, `${commits} writes in a second`);
  assert.equal(clock.pendingTimers, 0);
  dk.trip({ reason: "x" });
  const row = raw(path, (db) =>
    db.prepare("SELECT tripped, avg_latency FROM circuit_breaker_state").get(),
  );
  assert.deepEqual({ ...row }, { tripped: 1, avg_latency: 5 });
});

test("a store that cannot be read at the start is read later, and never written over", () => {
  const path = newPath();
  open(path).dk.trip({ reason: "x" });
  const clock = new VirtualClock();
  let broken = true;
  const store = sqliteStore(path, {
    now: () => clock.now(),
    busyTimeoutMs: 1,
    open: (location) => {
      if (broken) throw Object.assign(new Error("unable to open database file"), { errcode: 14 });
      return new DatabaseSync(location);
    },
  });
  const { gear, dk } = makeGear({ store, clock });
  assert.equal(gear.storeHealth().ok, false);
  assert.equal(dk.isTripped, false);
  dk.record({ outcome: "ok", latencyMs: 1 });
  broken = false;
  clock.advance(60_000);
  assert.equal(gear.storeHealth().ok, true);
  assert.equal(dk.isTripped, true);
});

test("rows of upstreams that are no longer configured stay untouched", async () => {
  const path = newPath();
  const first = open(path);
  first.gear.upstream("retired").trip({ reason: "x" });
  await first.gear.close();
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching() } },
    store: sqliteStore(path),
  });
  gear.upstream("dk").trip({ reason: "y" });
  await gear.close();
  assert.equal(gear.find("retired"), undefined);
  const rows = raw(path, (db) =>
    db.prepare("SELECT bookmaker FROM circuit_breaker_state WHERE tripped = 1 ORDER BY 1").all(),
  );
  assert.deepEqual(
    rows.map((row) => row["bookmaker"]),
    ["dk", "retired"],
  );
});

function proxyOf(store: ReturnType<typeof sqliteStore>): ReturnType<typeof sqliteStore> {
  return {
    kind: store.kind,
    durable: store.durable,
    location: store.location,
    load: () => store.load(),
    commit: (change) => store.commit(change),
    history: (query) => store.history(query),
    poll: () => store.poll?.(),
    close: () => store.close(),
  };
}
