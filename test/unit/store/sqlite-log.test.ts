// How large the log beside the database becomes, and that it shrinks again.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { audit, NOW, tripped } from "../../contract/store.contract.ts";
import { tempPaths } from "./sqlite-harness.ts";

const newPath = tempPaths();
/** A thousand pages, and what one commit of this test adds before anybody looks. */
const LOG_BYTES_MAX = 4 * 1024 * 1024;
const COMMIT_BYTES_MAX = 4 * 1024 * 1024;

/** A megabyte or more of audits. */
const AUDITS = Array.from({ length: 1000 }, (_, n) =>
  audit("a", { reason: `${n}`.padEnd(1000, "."), at: NOW + n }),
);
const CHANGE = { breakers: [tripped("a")], audits: AUDITS };

function logBytes(path: string): number {
  return statSync(`${path}-wal`).size;
}

test("keeps the log small however much is written", () => {
  const path = newPath();
  let wallMs = NOW;
  const store = sqliteStore(path, { now: () => wallMs });

  for (let n = 0; n < 20; n += 1) {
    store.commit(CHANGE);
    wallMs += 1000;
    assert.ok(logBytes(path) <= LOG_BYTES_MAX + COMMIT_BYTES_MAX, `${logBytes(path)} after ${n}`);
  }

  store.close();
});

test("lets the log grow behind a reader, waits for none, and shrinks it when the reader has left", () => {
  const path = newPath();
  let wallMs = NOW;
  const store = sqliteStore(path, { now: () => wallMs, busyTimeoutMs: 10_000 });
  store.commit(CHANGE);
  const reader = new DatabaseSync(path);
  reader.exec("BEGIN; SELECT count(*) FROM circuit_breaker_audit");
  const startMs = performance.now();
  for (let n = 0; n < 8; n += 1) {
    wallMs += 1000;
    store.commit(CHANGE);
  }
  assert.ok(performance.now() - startMs < 10_000, "it waited for the reader");
  const grownBytes = logBytes(path);
  assert.ok(grownBytes > LOG_BYTES_MAX + COMMIT_BYTES_MAX, `${grownBytes} bytes`);
  wallMs += 1000;
  store.poll?.();
  assert.equal(logBytes(path), grownBytes);

  reader.exec("COMMIT");
  wallMs += 1000;
  assert.equal(store.poll?.(), undefined);

  assert.ok(logBytes(path) <= LOG_BYTES_MAX, `${logBytes(path)} bytes`);
  store.commit({ breakers: [tripped("b")], audits: [] });
  assert.equal(sqliteStore(path).load().length, 2);
  reader.close();
  store.close();
});
