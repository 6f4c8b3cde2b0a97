// Whatever is read of an upstream knows within a second what another process ordered, if nobody calls it either.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  adaptive,
  createSwitchgear,
  latching,
  memoryStore,
  ResetDeniedError,
} from "../../../src/index.ts";
import type { Store, Switchgear, Upstream } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { tempPaths } from "./sqlite-harness.ts";

const newPath = tempPaths();

const READS: Readonly<Record<string, (upstream: Upstream, gear: Switchgear) => unknown>> = {
  isTripped: (upstream) => upstream.isTripped,
  "state()": (upstream) => upstream.state(),
  "status()": (upstream) => upstream.status().tripped,
  "snapshot()": (upstream) => upstream.snapshot().tripped,
  "gear.find()": (_, gear) => gear.find("dk")?.isTripped,
  "gear.upstreams()": (_, gear) => gear.upstreams()[0]?.isTripped,
  "gear.eachUpstream()": (_, gear) => [...gear.eachUpstream()][0]?.isTripped,
  "gear.statuses()": (_, gear) => gear.statuses()[0]?.tripped,
};

const YES: ReadonlySet<unknown> = new Set([true, "open"]);

function gearOf(store: Store, clock: VirtualClock): Switchgear {
  return createSwitchgear({ upstreams: { dk: { breaker: latching() } }, store, clock });
}

/** Counts the looks for what others wrote. */
function counted(inner: Store): { readonly store: Store; looks: number } {
  const { kind, durable, location } = inner;
  const count = {
    looks: 0,
    store: {
      kind,
      durable,
      location,
      load: () => inner.load(),
      commit: (change) => inner.commit(change),
      history: (query) => inner.history(query),
      close: () => inner.close(),
      poll: () => {
        count.looks += 1;
        return inner.poll?.();
      },
    } satisfies Store,
  };
  return count;
}

describe("another process's orders are seen by", () => {
  for (const [name, read] of Object.entries(READS)) {
    test(name, async () => {
      const path = newPath();
      const clock = new VirtualClock();
      const here = gearOf(sqliteStore(path), clock);
      const there = gearOf(sqliteStore(path), clock);
      const dk = here.upstream("dk");

      there.upstream("dk").trip({ reason: "maintenance" });
      clock.advance(1000);
      assert.ok(YES.has(read(dk, here)));

      there.upstream("dk").reset({ reason: "over", force: true });
      clock.advance(1000);
      assert.ok(!YES.has(read(dk, here)));
      await Promise.all([here.close(), there.close()]);
    });
  }

  test("mode", async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const here = gearOf(sqliteStore(path), clock);
    const there = gearOf(sqliteStore(path), clock);
    const dk = here.upstream("dk");

    there.upstream("dk").setMode({ mode: "forced-closed", reason: "trial" });
    clock.advance(1000);
    assert.equal(dk.mode, "forced-closed");
    await Promise.all([here.close(), there.close()]);
  });

  test("meteredEndpoints", async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const [here, there] = [1, 2].map(() =>
      createSwitchgear({
        upstreams: { dk: { breaker: adaptive() } },
        store: sqliteStore(path),
        clock,
      }),
    ) as [Switchgear, Switchgear];
    const dk = here.upstream("dk");

    there.upstream("dk").trip({ reason: "maintenance" });
    clock.advance(1000);
    assert.equal(dk.meteredEndpoints[0]?.stateCode, 2);
    await Promise.all([here.close(), there.close()]);
  });
});

test("a look costs the store one question a second, however much is read", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const count = counted(sqliteStore(path));
  const here = gearOf(count.store, clock);
  const dk = here.upstream("dk");

  for (let second = 1; second <= 3; second += 1) {
    clock.advance(1000);
    for (let n = 0; n < 10; n += 1) for (const read of Object.values(READS)) read(dk, here);
    assert.equal(count.looks, second);
  }
  await here.close();
});

test("a listener that reads what it is told of is told once", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const here = gearOf(sqliteStore(path), clock);
  const there = gearOf(sqliteStore(path), clock);
  const dk = here.upstream("dk");
  const seen: string[] = [];
  here.on("transition", ({ to, cause }) => {
    clock.advance(1000);
    seen.push(`${to} ${cause} ${dk.state()} ${here.statuses().length}`);
  });

  there.upstream("dk").trip({ reason: "maintenance" });
  clock.advance(1000);
  assert.equal(dk.isTripped, true);
  assert.deepEqual(seen, ["open restored open 1"]);
  await Promise.all([here.close(), there.close()]);
});

test("a store that fails a look does not reach the reader, nor does one that is closed", async () => {
  const clock = new VirtualClock();
  const broken = {
    ...counted(sqliteStore(newPath())).store,
    poll: () => {
      throw new Error("the disk is gone");
    },
  };
  const here = gearOf(broken, clock);
  clock.advance(1000);
  assert.equal(here.upstream("dk").isTripped, false);
  assert.equal(here.storeHealth().ok, false);
  await here.close();
  clock.advance(1000);
  assert.equal(here.upstream("dk").status().state, "closed");
});

test("where no other process can write, a read asks no clock", () => {
  const clock = new VirtualClock();
  const dk = gearOf(memoryStore(), clock).upstream("dk");
  let asked = 0;
  clock.monotonic = () => (asked += 1);
  assert.deepEqual([dk.state(), dk.mode, dk.isTripped, asked], ["closed", "normal", false, 0]);
});

test("a reset here heeds the cooldown of a trip in another process", async () => {
  const path = newPath();
  const clock = new VirtualClock();
  const here = gearOf(sqliteStore(path), clock);
  const there = gearOf(sqliteStore(path), clock);

  there.upstream("dk").trip({ reason: "maintenance" });
  clock.advance(1000);
  assert.throws(() => here.upstream("dk").reset({ reason: "over" }), ResetDeniedError);
  assert.equal(there.upstream("dk").isTripped, true);
  await Promise.all([here.close(), there.close()]);
});
