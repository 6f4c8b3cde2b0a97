// The write that ends a failure: it takes everything with it that is to be stored by then, and is not
// called a recovery while something is not.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { StoreError, type Store, type StoreChange } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { makeGear } from "../../support/gear.ts";

const folder = mkdtempSync(join(tmpdir(), "switchgear-recovered-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Asks `accept` before each commit, which may throw. */
function guarded(inner: Store, accept: (change: StoreChange) => void): Store {
  const { kind, location, durable } = inner;
  return {
    kind,
    location,
    durable,
    get revision() {
      return inner.revision ?? 0;
    },
    load: () => inner.load(),
    poll: () => inner.poll?.(),
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit: (change) => {
      accept(change);
      inner.commit(change);
    },
  };
}

function isAbout({ breakers }: StoreChange, name: string): boolean {
  return breakers.some(({ upstream }) => upstream === name);
}

const NOWHERE: Store = {
  kind: "nowhere",
  location: "nowhere",
  durable: true,
  load: () => [],
  commit: () => {},
  history: () => [],
  close: () => {},
};

for (const others of ["takes all others", "refuses another one"]) {
  test(`what a listener changes during the write that ends a failure is stored by it, where the store ${others}`, async () => {
    const path = join(folder, `${others}.db`);
    let isOut = false;
    const store = guarded(sqliteStore(path), (change) => {
      if (isOut) throw new StoreError("SQLITE_FULL", "no room");
      if (others === "takes all others" || !isAbout(change, "pinnacle")) return;
      throw new StoreError("SQLITE_CONSTRAINT", "not this one", { concerns: "change" });
    });
    const { gear, dk, clock } = makeGear({ store });
    const there = makeGear({ store: sqliteStore(path), clock });
    const fd = gear.upstream("fd");
    const pinnacle = gear.upstream("pinnacle");
    gear.on("transition", () => fd.record({ outcome: "failed", error: "boom" }));
    isOut = true;
    pinnacle.record({ outcome: "failed", error: "boom" });
    there.dk.trip({ reason: "maintenance" });
    isOut = false;

    clock.advance(250);

    assert.equal(dk.isTripped, true, "it heard of the order there");
    assert.equal(fd.status().persisted, true);
    const stored = sqliteStore(path);
    const rows = new Map(stored.load().map(({ upstream, snapshot }) => [upstream, snapshot]));
    assert.equal(rows.get("fd")?.failureCount, 1);
    stored.close();
    await Promise.all([gear.close(), there.gear.close()]);
  });
}

test("a store that breaks while refused states are tried again has not recovered", () => {
  let state: "refusing" | "full" | "well" = "refusing";
  let tries = 0;
  const store = guarded(NOWHERE, (change) => {
    const isDk = isAbout(change, "dk");
    if (state === "refusing" && (isDk || isAbout(change, "fd"))) {
      throw new StoreError("SQLITE_CONSTRAINT", "not this one", { concerns: "change" });
    }
    if (state !== "full" || isDk) return;
    tries += 1;
    throw new StoreError("SQLITE_FULL", "no room");
  });
  const { gear, dk, clock, sink } = makeGear({ store });
  const fd = gear.upstream("fd");
  dk.trip({ reason: "dead" });
  fd.trip({ reason: "dead, too" });
  assert.deepEqual(gear.storeHealth().refused, ["dk", "fd"]);

  state = "full";
  clock.advance(250);

  assert.deepEqual([dk.status().persisted, fd.status().persisted], [true, false]);
  const { ok, pending } = gear.storeHealth();
  assert.deepEqual({ ok, pending }, { ok: false, pending: 1 });
  assert.equal(tries, 1);
  assert.equal(sink.of("store-recovered").length, 0);

  state = "well";
  clock.advance(30_000);
  assert.equal(fd.status().persisted, true);
  assert.equal(gear.storeHealth().ok, true);
  assert.equal(sink.of("store-recovered").length, 1);
});

for (const [what, error] of [
  ["says nothing of itself", new TypeError("went wrong")],
  ["says that it is about a change", new StoreError("OWN", "not this", { concerns: "change" })],
] as const) {
  test(`a look for others that fails with an error that ${what} is not called a recovery while it lasts`, () => {
    let isOut = false;
    const store: Store = {
      ...NOWHERE,
      poll: () => {
        if (isOut) throw error;
        return undefined;
      },
    };
    const { gear, dk, clock, sink } = makeGear({ store });
    isOut = true;
    clock.advance(1001);
    dk.tryAcquire();
    clock.advance(60_000);
    assert.equal(gear.storeHealth().ok, false);
    assert.equal(sink.of("store-recovered").length, 0);

    isOut = false;
    clock.advance(30_000);
    assert.equal(gear.storeHealth().ok, true);
    assert.equal(sink.of("store-recovered").length, 1);
  });
}
