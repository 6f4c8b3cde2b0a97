// What was promised as durable is there for whoever opens the file next, whatever was done to the
// database, its log or its index under a running process. What a killed process leaves behind is what
// stands at the path at that moment: a copy of it is opened.

import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { foreignStore } from "../../../src/hyper-bun/foreign-database.ts";
import { FileWatch } from "../../../src/store/sqlite-watch.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { audit, byName, NOW, tripped } from "../../contract/store.contract.ts";
import { query, spiedHandle, storeCodeOf, tempPaths, withDatabase } from "./sqlite-harness.ts";

const newPath = tempPaths();
const now = (): number => NOW;

/** What the next process finds: names that are tripped, and reasons of audits. */
function leftBehind(path: string): { tripped: string; audits: string } {
  const copy = newPath();
  mkdirSync(dirname(copy), { recursive: true });
  for (const suffix of ["", "-wal"]) {
    if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
  }
  const store = sqliteStore(copy, { now });
  const names = byName(store.load()).filter(({ snapshot }) => snapshot.tripped);
  const reasons = store.history({ limit: 1000 }).map(({ reason }) => reason);
  for (const name of ["a", "b", "c"]) assert.equal(store.verify?.(name).brokenAt, undefined);
  const isWhole = query(copy, "PRAGMA integrity_check")[0]?.integrity_check;
  store.close();
  assert.equal(isWhole, "ok");
  return {
    tripped: names.map(({ upstream }) => upstream).join(" "),
    audits: reasons.toSorted().join(" "),
  };
}

function inPlace(from: string, to: string): void {
  // As `cp` does it: the same file with another content.
  writeFileSync(to, readFileSync(from));
}

/** `old` are copies of the database and its log from before the last trip. */
const FAULTS: Readonly<Record<string, (path: string, old: string) => void>> = {
  "the log is deleted": (path) => rmSync(`${path}-wal`),
  "the index is deleted": (path) => rmSync(`${path}-shm`),
  "log and index are deleted": (path) => {
    rmSync(`${path}-wal`);
    rmSync(`${path}-shm`);
  },
  "the log is emptied": (path) => truncateSync(`${path}-wal`, 0),
  "the log is cut in the middle": (path) =>
    truncateSync(`${path}-wal`, Math.floor(statSync(`${path}-wal`).size / 2)),
  "the log is replaced by an older one": (path, old) => {
    copyFileSync(`${old}-wal`, `${path}-wal.new`);
    renameSync(`${path}-wal.new`, `${path}-wal`);
  },
  "an older log is written over it": (path, old) => inPlace(`${old}-wal`, `${path}-wal`),
  "the log is overwritten with zeros": (path) =>
    writeFileSync(`${path}-wal`, Buffer.alloc(statSync(`${path}-wal`).size)),
  "an older database is written over it": (path, old) => inPlace(old, path),
  "an older database takes its place": (path, old) => {
    copyFileSync(old, `${path}.new`);
    renameSync(`${path}.new`, path);
  },
  "the database is deleted": (path) => rmSync(path),
  "all is deleted": (path) => rmSync(dirname(path), { recursive: true }),
  "the folder is moved": (path) => renameSync(dirname(path), `${dirname(path)}-moved`),
  "the database was away for a while": (path) => {
    renameSync(path, `${path}.away`);
    renameSync(`${path}.away`, path);
  },
  "another empties the log as it should": (path) =>
    withDatabase(path, (db) => db.exec("PRAGMA wal_checkpoint(TRUNCATE)")),
  "another vacuums": (path) => withDatabase(path, (db) => db.exec("VACUUM")),
};

/** An open store that has tripped `a` and `b`, and copies from between the two. */
function storeOfTwo(path: string, before: (sql: string) => void = () => {}) {
  const store = sqliteStore(path, { now, open: (file) => spiedHandle(file, before) });
  store.commit({ breakers: [tripped("a")], audits: [audit("a", { reason: "a" })] });
  const old = newPath();
  mkdirSync(dirname(old), { recursive: true });
  copyFileSync(path, old);
  copyFileSync(`${path}-wal`, `${old}-wal`);
  store.commit({ breakers: [tripped("b")], audits: [audit("b", { reason: "b" })] });
  store.load();
  return { store, old };
}

for (const [what, fault] of Object.entries(FAULTS)) {
  test(`a commit is there after a kill, and all before it, when ${what}`, () => {
    const path = newPath();
    const { store, old } = storeOfTwo(path);

    fault(path, old);
    store.commit({ breakers: [tripped("c")], audits: [audit("c", { reason: "c" })] });

    assert.deepEqual(leftBehind(path), { tripped: "a b c", audits: "a b c" });
    assert.equal(store.recoveredFrom, undefined, "the database itself was harmed");
    store.close();
    assert.deepEqual(leftBehind(path), { tripped: "a b c", audits: "a b c" });
  });

  test(`what was promised is there again by a poll, when ${what}`, () => {
    const path = newPath();
    const { store, old } = storeOfTwo(path);

    fault(path, old);
    store.poll?.();

    assert.deepEqual(leftBehind(path), { tripped: "a b", audits: "a b" });
    store.close();
  });

  // Nobody can vacuum within another's transaction.
  if (what === "another vacuums") continue;
  test(`a commit is there, or is said not to be, when just before its end ${what}`, () => {
    const path = newPath();
    let act: (() => void) | undefined;
    const { store, old } = storeOfTwo(path, (sql) => {
      if (sql !== "COMMIT") return;
      act?.();
      act = undefined;
    });
    act = () => fault(path, old);
    const change = { breakers: [tripped("c")], audits: [audit("c", { reason: "c" })] };

    const code = storeCodeOf(() => store.commit(change));
    if (code === "none") {
      assert.deepEqual(leftBehind(path), { tripped: "a b c", audits: "a b c" });
    } else store.commit(change);

    assert.deepEqual(leftBehind(path), { tripped: "a b c", audits: "a b c" });
    store.close();
  });
}

test("notices each change by itself", () => {
  const path = newPath();
  const { store } = storeOfTwo(path);
  const log = `${path}-wal`;
  const written = readFileSync(log);
  const overwrite = (at: number, value: number): void => {
    const bytes = Buffer.from(written);
    bytes[at] = value ^ (bytes[at] ?? 0);
    writeFileSync(log, bytes);
  };
  const replace = (file: string): void => {
    copyFileSync(file, `${file}.new`);
    renameSync(`${file}.new`, file);
  };
  const lastFrame = written.length - 4096 - 24;
  const changes: Readonly<Record<string, () => void>> = {
    "when the database was written": () => utimesSync(path, 1, 1),
    "which log it is": () => replace(log),
    "which index it is": () => replace(`${path}-shm`),
    "the salt of the log": () => overwrite(16, 1),
    "the last page of the log": () => overwrite(lastFrame, 1),
  };
  for (const [what, change] of Object.entries(changes)) {
    const watch = new FileWatch(path);
    watch.note();
    assert.deepEqual([watch.isUntouched(), watch.holdsWrite(false)], [true, true]);

    change();

    assert.deepEqual([watch.isUntouched(), watch.holdsWrite(false)], [false, false], what);
    writeFileSync(log, written);
  }
  const watch = new FileWatch(path);
  watch.note();
  overwrite(0, 1);
  assert.equal(watch.holdsWrite(true), false, "no log at all");
  writeFileSync(log, written);
  store.close();
});

test("moves a log that is gone into the database of a handle that cannot be opened anew", () => {
  const path = newPath();
  mkdirSync(dirname(path), { recursive: true });
  const db = new DatabaseSync(path);
  const store = foreignStore(db, { now });
  store.commit({ breakers: [tripped("a")], audits: [audit("a", { reason: "a" })] });
  rmSync(`${path}-wal`);

  for (const name of ["b", "c"]) {
    store.commit({ breakers: [tripped(name)], audits: [audit(name, { reason: name })] });
  }

  assert.deepEqual(leftBehind(path), { tripped: "a b c", audits: "a b c" });
  store.close();
  db.close();
});

test("what another file refuses of what was lost holds back nothing else, and is written once it may be", () => {
  const path = newPath();
  const store = sqliteStore(path, { now });
  store.commit({ breakers: [tripped("dk"), tripped("fd")], audits: [audit("dk")] });
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
  const another = sqliteStore(path, { now });
  another.commit({ breakers: [], audits: [] });
  another.close();
  withDatabase(path, (db) =>
    db.exec(`CREATE TRIGGER refuse BEFORE INSERT ON circuit_breaker_state
      WHEN NEW.bookmaker = 'dk' BEGIN SELECT RAISE(ABORT, 'not dk'); END`),
  );

  store.commit({ breakers: [tripped("pinnacle")], audits: [] });
  assert.equal(leftBehind(path).tripped, "fd pinnacle");
  store.poll?.();
  withDatabase(path, (db) => db.exec("DROP TRIGGER refuse"));
  store.poll?.();

  assert.equal(leftBehind(path).tripped, "dk fd pinnacle");
  store.close();
});
