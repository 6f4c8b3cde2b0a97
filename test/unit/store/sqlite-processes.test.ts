// Two processes at one file, and one that is killed. Children run on the runtime of the test.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { closed, tripped } from "../../contract/store.contract.ts";
import { query, tempPaths } from "./sqlite-harness.ts";

const newPath = tempPaths();
const CHILD = fileURLToPath(new URL("../../fixtures/store/child.ts", import.meta.url));
const TIMEOUT_MS = 20_000;

function runChild(path: string, command: string): { signal: string | null; status: number | null } {
  return spawnSync(process.execPath, [CHILD, path, command], { timeout: TIMEOUT_MS });
}

test("has the trip and its audit when the process was killed right after commit returned", () => {
  const path = newPath();

  const { signal, status } = runChild(path, "trip-and-die");

  assert.deepEqual([signal, status], ["SIGKILL", null]);
  const store = sqliteStore(path);
  const [stored] = store.load();
  assert.equal(stored?.upstream, "draftkings");
  assert.deepEqual([stored.snapshot.tripped, stored.snapshot.lastError], [true, "last words"]);
  assert.deepEqual(
    store.history({ limit: 10 }).map(({ action, actor }) => [action, actor]),
    [["TRIP", "child"]],
  );
  store.close();
});

test("sees by poll that another process reset a breaker", () => {
  const path = newPath();
  const store = sqliteStore(path);
  store.commit({ breakers: [tripped("draftkings"), closed("betfair")], audits: [] });
  store.load();
  assert.equal(store.poll?.(), undefined);

  assert.equal(runChild(path, "reset").status, 0);

  const polled = new Map(
    store.poll?.()?.map((stored) => [stored.upstream, stored.snapshot.tripped]),
  );
  assert.deepEqual([polled.get("draftkings"), polled.get("betfair")], [false, false]);
  assert.equal(store.poll?.(), undefined);
  assert.equal(store.history({ limit: 1 })[0]?.reason, "from the console");
  store.close();
});

test("loses and doubles nothing when processes write at once", async () => {
  const path = newPath();
  sqliteStore(path).load();
  const rounds = 100;

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
  const [found] = query(
    path,
    `SELECT count(*) AS n, count(DISTINCT reason) AS reasons FROM circuit_breaker_audit`,
  );
  assert.deepEqual([found?.n, found?.reasons], [3 * rounds, 3 * rounds]);
});
