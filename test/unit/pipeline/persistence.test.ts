// How memory and store are kept in step, with a store that fails when the test says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError, memoryStore } from "../../../src/index.ts";
import type { Store, StoredBreaker } from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { failTimes, makeGear, type TestGear } from "../../support/gear.ts";

interface Broken {
  /** What the next operations throw; undefined while it works. */
  fault: Error | undefined;
  readonly commits: { at: number; breakers: string[]; audits: number }[];
  readonly polls: number[];
  polled: readonly StoredBreaker[] | undefined;
}

function brokenStore(clock: VirtualClock): { store: Store; state: Broken } {
  const inner = memoryStore();
  const state: Broken = { fault: undefined, commits: [], polls: [], polled: undefined };
  const fail = (): void => {
    if (state.fault !== undefined) throw state.fault;
  };
  const store: Store = {
    kind: "broken",
    location: "nowhere",
    durable: true,
    load: () => {
      fail();
      return [];
    },
    commit: (change) => {
      state.commits.push({
        at: clock.monotonic(),
        breakers: change.breakers.map(({ upstream }) => upstream),
        audits: change.audits.length,
      });
      fail();
      inner.commit(change);
    },
    history: (query) => {
      fail();
      return inner.history(query);
    },
    poll: () => {
      state.polls.push(clock.monotonic());
      return state.polled;
    },
    close: () => inner.close(),
  };
  return { store, state };
}

function make(): TestGear & { state: Broken } {
  const clock = new VirtualClock();
  const { store, state } = brokenStore(clock);
  return { ...makeGear({ store, clock }), state };
}

const full = new StoreError("SQLITE_FULL", "database or disk is full");

test("a failure is written before the call ends, a success within a second", () => {
  const { dk, clock, state } = make();
  dk.record({ outcome: "failed" });
  assert.equal(state.commits.length, 1);
  // This success takes a count back: what it changes must not be lost.
  const admission = dk.tryAcquire();
  assert.ok(admission.admitted);
  admission.settle({ outcome: "ok", latencyMs: 1 });
  assert.equal(state.commits.length, 2);
  const second = dk.tryAcquire();
  assert.ok(second.admitted);
  second.settle({ outcome: "ok", latencyMs: 1 });
  assert.equal(state.commits.length, 2);
  clock.advance(999);
  assert.equal(state.commits.length, 2);
  clock.advance(1);
  assert.equal(state.commits.length, 3);
});

test("several upstreams' successes are one write", () => {
  const { gear, clock, state } = make();
  for (const name of ["dk", "fd", "other"]) {
    const admission = gear.upstream(name).tryAcquire();
    assert.ok(admission.admitted);
    admission.settle({ outcome: "ok", latencyMs: 1 });
  }
  clock.advance(1000);
  assert.deepEqual(
    state.commits.map(({ breakers }) => breakers),
    [["dk", "fd", "other"]],
  );
});

test("a broken store is tried again with growing pauses, up to half a minute", () => {
  const { dk, clock, state } = make();
  state.fault = full;
  dk.record({ outcome: "failed" });
  clock.advance(120_000);
  const pauses = state.commits.map(({ at }, n) => at - (state.commits[n - 1]?.at ?? 0));
  assert.deepEqual(pauses, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test("while it is broken, failing calls do not each try it; a person's order does", () => {
  const { dk, state } = make();
  state.fault = full;
  failTimes(dk, 5);
  assert.equal(state.commits.length, 1);
  dk.trip({ reason: "x" });
  assert.equal(state.commits.length, 2);
  assert.throws(() => dk.reset());
  assert.equal(state.commits.length, 3);
});

test("the last state of each upstream is written once it works, with every audit, in order", () => {
  const { gear, dk, clock, state } = make();
  state.fault = full;
  failTimes(dk, 10);
  dk.reset({ force: true, reason: "one" });
  gear.upstream("fd").trip({ reason: "two" });
  state.fault = undefined;
  clock.advance(30_000);
  assert.deepEqual(state.commits.at(-1)?.breakers, ["dk", "fd"]);
  assert.deepEqual(
    gear.history().map(({ action, reason }) => `${action} ${reason}`),
    ["TRIP two", "RESET one", "TRIP 10 failures reached the threshold of 10"],
  );
  assert.equal(gear.storeHealth().pending, 0);
});

test("a broken store is reported once in ten seconds, with the number in between", () => {
  const { dk, clock, state, sink } = make();
  state.fault = full;
  for (let n = 0; n < 5; n += 1) dk.trip({ reason: "x" });
  assert.equal(sink.of("store-error").length, 1);
  assert.deepEqual(
    { ...sink.of("store-error")[0], at: 0 },
    {
      type: "store-error",
      op: "commit",
      code: "SQLITE_FULL",
      message: "database or disk is full",
      upstream: undefined,
      audit: undefined,
      suppressed: 0,
      at: 0,
    },
  );
  clock.advance(9999);
  assert.equal(sink.of("store-error").length, 1);
  clock.advance(10_000);
  assert.equal(sink.of("store-error").length, 2);
  assert.ok((sink.of("store-error")[1]?.suppressed ?? 0) >= 4);
});

test("history tells what is not stored yet, newest first, and survives a store that cannot read", () => {
  const { gear, dk, state } = make();
  dk.trip({ reason: "stored" });
  state.fault = full;
  gear.upstream("fd").trip({ reason: "waiting" });
  assert.deepEqual(
    gear.history().map(({ reason }) => reason),
    ["waiting"],
  );
  assert.deepEqual(gear.history({ upstream: "dk" }), []);
  state.fault = undefined;
  assert.deepEqual(
    gear.history({ limit: 1 }).map(({ reason }) => reason),
    ["waiting"],
  );
  assert.equal(gear.history({ limit: 99_999 }).length, 2);
});

test("audits that wait are bounded; the oldest are dropped and counted", () => {
  const { gear, dk, state } = make();
  state.fault = full;
  for (let n = 0; n < 10_005; n += 1) dk.trip({ reason: String(n) });
  assert.equal(gear.storeHealth().auditsDropped, 5);
  assert.equal(gear.history({ limit: 1 })[0]?.reason, "10004");
});

test("others are asked at most once a second, by calls and by looks, and before a write", () => {
  const { gear, dk, clock, state } = make();
  const asked = (): number => state.polls.length;
  for (let n = 0; n < 100; n += 1) dk.tryAcquire();
  gear.statuses();
  assert.equal(asked(), 0);
  clock.advance(1000);
  for (let n = 0; n < 100; n += 1) dk.tryAcquire();
  assert.equal(asked(), 1);
  clock.advance(999);
  gear.statuses();
  assert.equal(asked(), 1);
  clock.advance(1);
  gear.statuses();
  assert.equal(asked(), 2);
  dk.record({ outcome: "failed" });
  assert.equal(asked(), 3);
});

test("an older order of another process does not undo a newer one of ours", () => {
  const { dk, clock, state } = make();
  dk.trip({ reason: "old" });
  const old = { upstream: "dk", mode: "normal", snapshot: dk.snapshot() } as const;
  clock.advance(60_000);
  dk.reset({ reason: "newer" });
  state.polled = [old];
  clock.advance(1000);
  assert.equal(dk.tryAcquire().admitted, true);
});

test("a mode that waits to be written is not taken back by what is stored", () => {
  const { dk, clock, state } = make();
  const stored = { upstream: "dk", mode: "normal", snapshot: dk.snapshot() } as const;
  state.fault = full;
  dk.setMode({ mode: "shadow" });
  state.polled = [stored];
  clock.advance(1000);
  dk.tryAcquire();
  assert.equal(dk.mode, "shadow");
  state.fault = undefined;
  state.polled = undefined;
  clock.advance(60_000);
  state.polled = [stored];
  clock.advance(1000);
  dk.tryAcquire();
  assert.equal(dk.mode, "shadow", "an older order of another process");
  state.polled = [{ ...stored, modeAt: clock.now() }];
  clock.advance(1000);
  dk.tryAcquire();
  assert.equal(dk.mode, "normal", "a newer one");
});

test("closing writes what waits, and nothing after it", async () => {
  const { gear, dk, clock, state } = make();
  const inFlight = dk.tryAcquire();
  const settled = dk.tryAcquire();
  assert.ok(inFlight.admitted && settled.admitted);
  settled.settle({ outcome: "ok", latencyMs: 1 });
  await gear.close();
  assert.equal(state.commits.length, 1);
  inFlight.settle({ outcome: "failed" });
  clock.advance(60_000);
  assert.equal(state.commits.length, 1);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(dk.status().failureCount, 1);
});

test("flush says whether everything is stored", () => {
  const { gear, dk, state } = make();
  state.fault = full;
  dk.trip({ reason: "x" });
  assert.equal(gear.flush(), false);
  state.fault = undefined;
  assert.equal(gear.flush(), true);
  assert.equal(dk.status().persisted, true);
});
