// Defects that the simulation found, each as small as it can be told.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adaptive,
  createSwitchgear,
  latching,
  slidingWindow,
  type Store,
  type StoredBreaker,
} from "../../src/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";

/** What processes share. `store()` is one process's handle. */
function sharedStore() {
  const rows = new Map<string, StoredBreaker>();
  let version = 0;
  return {
    rows,
    store(isBroken = { load: false }): Store {
      let seen = -1;
      const read = () => {
        seen = version;
        return [...rows.values()];
      };
      return {
        kind: "shared",
        durable: true,
        location: "shared",
        load: () => {
          if (isBroken.load) throw new Error("unreadable");
          return read();
        },
        poll: () => (seen === version ? undefined : read()),
        commit: ({ breakers }) => {
          for (const row of breakers) rows.set(row.upstream, row);
          if (seen === version) seen += 1;
          version += 1;
        },
        history: () => [],
        close: () => {},
      };
    },
  };
}
const idle = { systemLoad: () => 0 };

test("a call that starts while another one expires does not postpone those behind it", async () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), deadlineMs: 100 } },
    clock,
    sampler: idle,
  });
  const dk = gear.upstream("dk");
  const hang = () => new Promise<never>(() => {});
  const ended: string[] = [];
  // On its abort the first call falls back to another try.
  dk.execute(({ signal }) => {
    signal.addEventListener("abort", () => void dk.execute(hang).catch(() => {}));
    return hang();
  }).catch(() => ended.push("first"));
  clock.advance(5);
  dk.execute(hang).catch(() => ended.push("second"));
  clock.advance(95);
  await new Promise(setImmediate);
  clock.advance(5);
  await new Promise(setImmediate);
  assert.deepEqual(ended, ["first", "second"]);
});

test("a refusal is thrown for its own reason, whatever a listener does meanwhile", async () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching() } },
    clock,
    sampler: { systemLoad: () => 1 },
  });
  const dk = gear.upstream("dk");
  let once = true;
  dk.on("refused", () => {
    if (!once) return;
    once = false;
    dk.trip({ reason: "r" });
    dk.execute(() => 1).catch(() => {});
  });
  await assert.rejects(
    dk.execute(() => 1, { load: 500 }),
    { code: "SG_LOAD_SHED" },
  );
});

test("a mode ordered in one process survives a failure counted in another", () => {
  const clock = new VirtualClock();
  const disk = sharedStore();
  const start = () =>
    createSwitchgear({
      upstreams: { dk: { breaker: latching() } },
      clock,
      sampler: idle,
      store: disk.store(),
    }).upstream("dk");
  const server = start();
  const console = start();
  console.setMode({ mode: "forced-closed", actor: "ann" });
  server.record({ outcome: "failed" });
  assert.equal(disk.rows.get("dk")?.mode, "forced-closed");
  assert.equal(server.mode, "forced-closed");
});

for (const breaker of [
  slidingWindow({ minimumCalls: 1 }),
  latching({ failureThreshold: 1, recovery: "single-probe" }),
]) {
  test(`a trip by hand holds although another process's breaker tripped by itself since (${breaker.kind})`, () => {
    const clock = new VirtualClock();
    const disk = sharedStore();
    const start = () =>
      createSwitchgear({
        upstreams: { dk: { breaker } },
        clock,
        sampler: idle,
        store: disk.store(),
      }).upstream("dk");
    const server = start();
    const console = start();
    console.trip({ reason: "maintenance", actor: "ann" });
    clock.advance(20);
    server.record({ outcome: "failed" });
    assert.equal(disk.rows.get("dk")?.snapshot.manual, true);
    assert.equal(server.status().manual, true);
  });
}

test("what could not be read at the start is heeded when it can be", () => {
  const clock = new VirtualClock();
  const disk = sharedStore();
  const start = (isBroken?: { load: boolean }) =>
    createSwitchgear({
      upstreams: { dk: { breaker: latching({ failureThreshold: 3 }) } },
      clock,
      sampler: idle,
      store: disk.store(isBroken),
    }).upstream("dk");
  const before = start();
  before.trip({ reason: "r" });
  before.reset({ force: true });
  before.setMode({ mode: "shadow", actor: "ann" });
  const isBroken = { load: true };
  const after = start(isBroken);
  clock.advance(10);
  after.record({ outcome: "failed" });
  after.trip({ reason: "again" });
  isBroken.load = false;
  clock.advance(60_000);
  assert.equal(after.status().persisted, true);
  assert.equal(disk.rows.get("dk")?.mode, "shadow");
});

test("an order given by a listener while rows are taken over loses none of them", () => {
  const clock = new VirtualClock();
  const disk = sharedStore();
  const start = () =>
    createSwitchgear({
      upstreams: { dk: { breaker: latching() }, fd: { breaker: latching() } },
      clock,
      sampler: idle,
      store: disk.store(),
    });
  const server = start();
  const console = start();
  server.on("transition", ({ upstream }) => {
    if (upstream === "dk") server.upstream("fd").setMode({ mode: "shadow" });
  });
  console.upstream("dk").trip({ reason: "maintenance" });
  console.upstream("fd").trip({ reason: "maintenance" });
  clock.advance(1000);
  server.statuses();
  assert.equal(disk.rows.get("fd")?.snapshot.tripped, true);
});

test("a poll before the first read that succeeds does not undo an own trip", () => {
  const clock = new VirtualClock();
  const disk = sharedStore();
  const start = (isBroken?: { load: boolean }) =>
    createSwitchgear({
      upstreams: { dk: { breaker: slidingWindow({ minimumCalls: 1 }) } },
      clock,
      sampler: idle,
      store: disk.store(isBroken),
    }).upstream("dk");
  const before = start();
  before.reset({ reason: "well" });
  clock.advance(10);
  before.record({ outcome: "failed" });
  assert.equal(before.isTripped, true);

  const isBroken = { load: true };
  const after = start(isBroken);
  clock.advance(2000);
  after.tryAcquire();
  isBroken.load = false;
  clock.advance(10_000);
  assert.equal(after.isTripped, true);
});

test("a person's reset is taken over as one, although the adaptive breaker tripped since", () => {
  const clock = new VirtualClock();
  const disk = sharedStore();
  const start = () =>
    createSwitchgear({
      upstreams: { dk: { breaker: adaptive({ failureThreshold: 1 }) } },
      clock,
      sampler: idle,
      store: disk.store(),
    }).upstream("dk");
  const there = start();
  const here = start();
  clock.advance(10);
  there.reset({ reason: "well" });
  clock.advance(10);
  for (let n = 0; n < 2; n += 1) there.record({ outcome: "failed" });
  assert.equal(there.isTripped, true);
  clock.advance(2000);
  here.tryAcquire();
  assert.equal(here.state(), "healthy");
});
