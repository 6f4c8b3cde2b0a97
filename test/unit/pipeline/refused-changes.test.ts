// What a store refuses for its content is set aside, told, counted and shown, and all others go on.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { memoryStore, StoreError, type Store, type StoreChange } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { failTimes, makeGear, type TestGear } from "../../support/gear.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-refused-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

interface OnDisk extends TestGear {
  /** What another program sees, and may order. */
  readonly sql: (text: string) => readonly Record<string, unknown>[];
  /** Changes as the store was given them. */
  readonly commits: StoreChange[];
}

function onDisk(prepare = ""): OnDisk {
  files += 1;
  const path = join(folder, `${files}.db`);
  const clock = new VirtualClock();
  sqliteStore(path).commit({ breakers: [], audits: [] });
  const db = new DatabaseSync(path);
  after(() => db.close());
  db.exec(prepare);
  const { store, commits } = counted(sqliteStore(path, { now: () => clock.now() }));
  const sql = (text: string): readonly Record<string, unknown>[] => db.prepare(text).all();
  return { ...makeGear({ store, clock }), sql, commits };
}

function counted(inner: Store): { store: Store; commits: StoreChange[] } {
  const commits: StoreChange[] = [];
  const { kind, location, durable } = inner;
  const store: Store = {
    kind,
    location,
    durable,
    load: () => inner.load(),
    poll: () => inner.poll?.(),
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit: (change) => {
      commits.push(change);
      inner.commit(change);
    },
  };
  return { store, commits };
}

/** A durable store that asks `accept` first, which throws. */
function picky(accept: (change: StoreChange) => void): {
  store: Store;
  rows: Map<string, unknown>;
  audits: string[];
  commits: StoreChange[];
} {
  const rows = new Map<string, unknown>();
  const audits: string[] = [];
  const inner: Store = {
    ...memoryStore(),
    kind: "picky",
    location: "nowhere",
    durable: true,
    load: () => [],
    history: () => [],
    close: () => {},
    commit: (change) => {
      accept(change);
      for (const breaker of change.breakers) rows.set(breaker.upstream, breaker);
      for (const { action, upstream } of change.audits) audits.push(`${action} ${upstream}`);
    },
  };
  return { ...counted(inner), rows, audits };
}

function refuse(code = "SQLITE_CONSTRAINT"): never {
  throw new StoreError(code, "not this one", { concerns: "change" });
}

const OLD_AUDITS = `ALTER TABLE circuit_breaker_audit RENAME TO old;
  CREATE TABLE circuit_breaker_audit (id INTEGER PRIMARY KEY, bookmaker TEXT,
    action TEXT CHECK (action IN ('TRIP', 'RESET')), reason TEXT, user TEXT, timestamp INTEGER, forced INTEGER)`;

const REFUSE_DK = `CREATE TRIGGER refuse BEFORE INSERT ON circuit_breaker_state
  WHEN NEW.bookmaker = 'dk' BEGIN SELECT RAISE(ABORT, 'not dk'); END`;

const TRIPPED = "SELECT bookmaker FROM circuit_breaker_state WHERE tripped = 1 ORDER BY bookmaker";
const AUDITS = "SELECT action, bookmaker FROM circuit_breaker_audit ORDER BY id";

test("an action that the audit table refuses is told and dropped; every trip stays durable", () => {
  const { gear, dk, sink, sql } = onDisk(OLD_AUDITS);
  dk.trip({ reason: "dead", actor: "ann" });
  assert.throws(() => dk.reset({ reason: "too soon", actor: "bob" }), /^ResetDeniedError/);
  gear.upstream("fd").trip({ reason: "dead, too" });

  assert.deepEqual(
    sql(TRIPPED).map(({ bookmaker }) => bookmaker),
    ["dk", "fd"],
  );
  assert.deepEqual(
    sql(AUDITS).map(({ action, bookmaker }) => `${String(action)} ${String(bookmaker)}`),
    ["TRIP dk", "TRIP fd"],
  );
  assert.equal(dk.status().persisted, true);
  const { ok, pending, refused, auditsRefused, auditsDropped } = gear.storeHealth();
  assert.deepEqual(
    { ok, pending, refused, auditsRefused, auditsDropped },
    { ok: true, pending: 0, refused: [], auditsRefused: 1, auditsDropped: 0 },
  );
  assert.equal(gear.counters().auditsRefused.get("RESET_DENIED"), 1);
  assert.equal(gear.counters().auditsRefused.get("TRIP"), 0);
  const [told, ...more] = sink.of("store-error");
  assert.equal(more.length, 0);
  assert.equal(told?.code, "SQLITE_CONSTRAINT");
  assert.equal(told?.upstream, "dk");
  const { at } = told;
  assert.deepEqual(told.audit, {
    upstream: "dk",
    action: "RESET_DENIED",
    reason: "too soon",
    actor: "bob",
    at,
    forced: false,
  });
});

test("each refused audit is told, however many there are in a second", () => {
  const { gear, dk, sink } = onDisk(OLD_AUDITS);
  dk.trip();
  for (const reason of ["one", "two", "three"]) assert.throws(() => dk.reset({ reason }));
  assert.deepEqual(
    sink.of("store-error").map(({ audit }) => audit?.reason),
    ["one", "two", "three"],
  );
  assert.equal(gear.storeHealth().auditsRefused, 3);
});

test("an upstream whose row is refused is set aside; the others are stored in the same call", () => {
  const { gear, dk, clock, sink, sql } = onDisk(REFUSE_DK);
  dk.trip({ reason: "dead" });
  assert.equal(dk.status().persisted, false);
  const fd = gear.upstream("fd");
  fd.trip({ reason: "dead, too" });

  assert.equal(fd.status().persisted, true);
  assert.equal(dk.status().persisted, false);
  assert.equal(dk.tryAcquire().admitted, false);
  const { ok, pending, refused, auditsRefused } = gear.storeHealth();
  assert.deepEqual(
    { ok, pending, refused, auditsRefused },
    { ok: false, pending: 1, refused: ["dk"], auditsRefused: 0 },
  );
  assert.deepEqual(
    sql(AUDITS).map(({ bookmaker }) => bookmaker),
    ["dk", "fd"],
  );
  assert.deepEqual(
    sink.of("store-error").map(({ upstream, audit, code }) => ({ upstream, audit, code })),
    [{ upstream: "dk", audit: undefined, code: "SQLITE_CONSTRAINT" }],
  );
  assert.equal(sink.of("store-recovered").length, 0);

  sql("DROP TRIGGER refuse");
  clock.advance(250);
  assert.deepEqual(
    sql(TRIPPED).map(({ bookmaker }) => bookmaker),
    ["dk", "fd"],
  );
  assert.equal(dk.status().persisted, true);
  assert.equal(gear.storeHealth().ok, true);
  assert.equal(sink.of("store-recovered").length, 1);
});

test("a refused upstream is tried again with growing pauses, and at a person's order", () => {
  const { dk, gear, clock, commits } = onDisk(REFUSE_DK);
  failTimes(dk, 1);
  const tried = (): number => {
    const count = commits.filter(({ breakers }) =>
      breakers.some(({ upstream }) => upstream === "dk"),
    ).length;
    commits.length = 0;
    return count;
  };
  assert.ok(tried() > 0);
  failTimes(dk, 5);
  assert.equal(tried(), 0, "failing calls do not each try");
  gear.upstream("fd").trip();
  assert.equal(tried(), 0, "nor does another upstream's order");
  dk.trip();
  assert.ok(tried() > 0);
  const pauses: number[] = [];
  let last = 0;
  for (let ms = 0; ms < 120_000; ms += 50) {
    clock.advance(50);
    if (tried() === 0) continue;
    pauses.push(ms - last);
    last = ms;
  }
  assert.ok(pauses.length < 14, `tried ${pauses.length} times in two minutes`);
  assert.equal(pauses.at(-1), 30_000);
});

test("of a thousand changes that wait, one bad one costs twenty commits once, and none later", () => {
  let isBroken = true;
  const { store, rows, commits } = picky(({ breakers }) => {
    if (isBroken) throw new StoreError("SQLITE_BUSY", "locked");
    if (breakers.some(({ upstream }) => upstream === "u77")) refuse();
  });
  const { gear } = makeGear({ store });
  for (let n = 0; n < 1000; n += 1) gear.upstream(`u${n}`).trip();
  isBroken = false;
  commits.length = 0;
  gear.flush();
  assert.equal(rows.size, 999);
  assert.ok(commits.length <= 24, `${commits.length} commits`);
  assert.deepEqual(gear.storeHealth().refused, ["u77"]);
  commits.length = 0;
  gear.upstream("u5").setMode({ mode: "shadow" });
  assert.equal(commits.length, 1);
});

test("where everything of a kind is refused, work is bounded and a trip is durable all the same", () => {
  let isBroken = true;
  const { store, rows, commits } = picky(({ audits }) => {
    if (isBroken) throw new StoreError("SQLITE_BUSY", "locked");
    if (audits.length > 0) refuse();
  });
  const { gear, dk, clock } = makeGear({ store });
  for (let n = 0; n < 3000; n += 1) dk.trip();
  isBroken = false;
  commits.length = 0;
  gear.upstream("fd").trip();
  assert.ok(rows.has("fd"));
  assert.ok(commits.length <= 260, `${commits.length} commits`);
  assert.equal(gear.upstream("fd").status().persisted, true);
  clock.advance(3_600_000);
  assert.equal(gear.storeHealth().auditsRefused, 3001);
  assert.equal(gear.storeHealth().ok, true);
});

test("many refused upstreams are tried a few at a time, and all are stored once they may be", () => {
  let isPicky = true;
  const { store, rows, commits } = picky(({ breakers }) => {
    if (isPicky && breakers.some(({ upstream }) => upstream.startsWith("u"))) refuse();
  });
  const { gear, clock } = makeGear({ store });
  for (let n = 0; n < 100; n += 1) gear.upstream(`u${n}`).trip();
  assert.equal(gear.storeHealth().pending, 100);
  assert.equal(gear.storeHealth().refused.length, 20);
  clock.advance(60_000);
  commits.length = 0;
  clock.advance(30_000);
  assert.ok(commits.length <= 16, `${commits.length} commits`);
  isPicky = false;
  clock.advance(30_000);
  assert.equal(rows.size, 100);
  assert.equal(gear.storeHealth().ok, true);
});

test("a store that refuses everything alike is broken: nothing is dropped for it", () => {
  let isBroken = true;
  const { store, audits } = picky(() => {
    if (isBroken) refuse("SQLITE_MISMATCH");
  });
  const { gear, dk, clock } = makeGear({ store });
  dk.trip();
  assert.equal(gear.storeHealth().auditsRefused, 0);
  assert.equal(gear.storeHealth().ok, false);
  assert.deepEqual(gear.storeHealth().refused, []);
  isBroken = false;
  clock.advance(250);
  assert.deepEqual(audits, ["TRIP dk"]);
  assert.equal(dk.status().persisted, true);
});

test("an audit table that cannot be written costs no trip, and gets its audits once it can be", () => {
  const { gear, dk, clock, sql } = onDisk(`ALTER TABLE circuit_breaker_audit RENAME TO old;
    CREATE VIEW circuit_breaker_audit AS SELECT * FROM old`);
  dk.trip({ reason: "one" });
  gear.upstream("fd").trip({ reason: "two" });
  assert.equal(sql(TRIPPED).length, 2);
  assert.equal(gear.upstream("fd").status().persisted, true);
  assert.equal(gear.storeHealth().auditsRefused, 0);
  assert.equal(gear.storeHealth().ok, false);
  sql("DROP VIEW circuit_breaker_audit");
  sql("ALTER TABLE old RENAME TO circuit_breaker_audit");
  clock.advance(30_000);
  assert.deepEqual(
    sql(AUDITS).map(({ bookmaker }) => bookmaker),
    ["dk", "fd"],
  );
  assert.equal(gear.storeHealth().ok, true);
});

test("an error that says nothing of itself is believed of a part when another part passed", () => {
  const { store, rows, audits } = picky((change) => {
    const isBad =
      change.breakers.some(({ upstream }) => upstream === "dk") ||
      change.audits.some(({ reason }) => reason === "bad");
    if (isBad) throw new TypeError("cannot be bound");
  });
  const { gear, dk } = makeGear({ store });
  const fd = gear.upstream("fd");
  dk.trip({ reason: "good" });
  assert.deepEqual(gear.storeHealth().refused, ["dk"]);
  assert.deepEqual(audits, ["TRIP dk"]);
  fd.trip({ reason: "bad" });
  assert.ok(rows.has("fd"));
  assert.equal(fd.status().persisted, true);
  assert.equal(gear.storeHealth().auditsRefused, 0, "it may be the table and not the audit");
  fd.trip({ reason: "good" });
  assert.deepEqual(audits, ["TRIP dk", "TRIP fd"]);
  assert.equal(gear.storeHealth().auditsRefused, 1);
});

test("a store that is down and throws anything is asked twenty times, not once for each row", () => {
  let isDown = false;
  const { store, commits } = picky(() => {
    if (isDown) throw new TypeError("down");
  });
  const { gear } = makeGear({ store });
  isDown = true;
  for (let n = 0; n < 1000; n += 1) gear.upstream(`u${n}`).record({ outcome: "failed" });
  commits.length = 0;
  gear.flush();
  assert.ok(commits.length <= 25, `${commits.length} commits`);
  assert.equal(gear.storeHealth().pending, 1000);
});

test("a store for which every write comes too late is broken, and hangs nobody", () => {
  const { store } = picky(() => {
    throw new StoreError("STALE", "too late");
  });
  const { gear, dk } = makeGear({ store: { ...store, poll: () => undefined } });
  dk.trip();
  assert.equal(gear.storeHealth().ok, false);
});

test("closing writes what can be written, and says what cannot", async () => {
  const { gear, dk, sql } = onDisk(REFUSE_DK);
  dk.trip();
  gear.upstream("fd").trip();
  assert.equal(gear.flush(), false);
  sql("DROP TRIGGER refuse");
  await gear.close();
  assert.equal(sql(TRIPPED).length, 2);
});
