// Two processes at one file, and one that is killed. Children run on the runtime of the test.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createSwitchgear, latching } from "../../../src/index.ts";
import type { Store, StoreChange, Switchgear } from "../../../src/index.ts";
import { STALE } from "../../../src/pipeline/ports.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { byName, closed, tripped } from "../../contract/store.contract.ts";
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

for (const suffix of ["-wal", "-shm"]) {
  test(`has both trips when ${suffix} was deleted between them and the process then killed`, () => {
    const path = newPath();
    const another = sqliteStore(path);
    another.load();

    assert.equal(runChild(path, `lose${suffix}-and-die`).signal, "SIGKILL");

    const store = sqliteStore(path);
    for (const one of [another, store]) {
      const names = byName(one.load()).filter(({ snapshot }) => snapshot.tripped);
      assert.deepEqual(
        names.map(({ upstream }) => upstream),
        ["after", "before"],
      );
      assert.equal(one.history({ limit: 9 }).length, 2);
      one.close();
    }
  });
}

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

test("refuses to write over what another process has written since the last look", () => {
  const path = newPath();
  let opened = 0;
  const open = (file: string): DatabaseSync => {
    opened += 1;
    return new DatabaseSync(file);
  };
  const [ours, theirs] = [sqliteStore(path, { open }), sqliteStore(path)];
  const audit = {
    upstream: "dk",
    action: "TRIP",
    reason: "",
    actor: "a",
    at: 1,
    forced: false,
  } as const;
  ours.commit({ breakers: [closed("dk")], audits: [] });
  ours.load();
  ours.commit({ breakers: [closed("dk")], audits: [], ifUnchanged: true });
  theirs.commit({ breakers: [tripped("dk")], audits: [] });

  const late = { breakers: [closed("dk")], audits: [audit], ifUnchanged: true };
  assert.throws(() => ours.commit(late), { name: "StoreError", storeCode: STALE });

  assert.deepEqual(
    [theirs.load()[0]?.snapshot.tripped, theirs.history({ limit: 1 })],
    [true, []],
    "something of it was written",
  );
  assert.equal(ours.poll?.()?.[0]?.snapshot.tripped, true);
  ours.commit(late);
  assert.equal(theirs.load()[0]?.snapshot.tripped, false);
  assert.equal(theirs.history({ limit: 1 }).length, 1);
  assert.equal(opened, 1);
  for (const store of [ours, theirs]) store.close();
});

/** Another process acts between our look at the file and our write. */
function interrupted(inner: Store, act: () => void): Store {
  return {
    kind: inner.kind,
    durable: inner.durable,
    location: inner.location,
    load: () => inner.load(),
    poll: () => inner.poll?.(),
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit: (change: StoreChange) => {
      act();
      inner.commit(change);
    },
  };
}

function gearOf(store: Store): Switchgear {
  return createSwitchgear({ upstreams: { dk: { breaker: latching() } }, store });
}

test("a person's order between another process's look and its write is kept, and seen there", async () => {
  const path = newPath();
  const console = gearOf(sqliteStore(path));
  let orders: (() => void)[] = [];
  const act = (): void => orders.shift()?.();
  const service = gearOf(interrupted(sqliteStore(path), act));
  const there = service.upstream("dk");

  orders = [() => console.upstream("dk").trip({ reason: "maintenance" })];
  there.record({ outcome: "failed" });
  assert.equal(there.isTripped, true);
  assert.equal(sqliteStore(path).load()[0]?.snapshot.tripped, true);

  orders = [() => console.upstream("dk").reset({ reason: "over", force: true })];
  there.setMode({ mode: "shadow", reason: "trial" });
  assert.equal(there.isTripped, false);
  assert.equal(sqliteStore(path).load()[0]?.snapshot.tripped, false);
  assert.equal(there.mode, "shadow");

  // Somebody who always comes in between is written over at last, and nobody waits for ever.
  let times = 0;
  orders = Array.from({ length: 50 }, () => () => {
    times += 1;
    console.upstream("dk").record({ outcome: "failed" });
  });
  there.record({ outcome: "failed" });
  assert.equal(service.storeHealth().ok, true);
  assert.ok(times > 1 && times <= 8, `${times} times`);
  orders = [];
  await Promise.all([console.close(), service.close()]);
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
