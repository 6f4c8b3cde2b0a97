// Processes whose clocks differ by hours, at one file: what was written later is later.

import assert from "node:assert/strict";
import { test } from "node:test";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../../src/index.ts";
import type { Store, Switchgear, SwitchgearOptions, Upstream } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { NOW } from "../../contract/store.contract.ts";
import { query, tempPaths, withDatabase } from "./sqlite-harness.ts";

const newPath = tempPaths();
const HOURS_MS = 5 * 3_600_000;
type Breaker = NonNullable<SwitchgearOptions["upstreams"]>[string]["breaker"];

class Service {
  readonly clock: VirtualClock;
  readonly gear: Switchgear;
  readonly dk: Upstream;

  constructor(
    path: string,
    aheadMs: number,
    options: { breaker?: Breaker; wrap?: typeof plain } = {},
  ) {
    const { breaker = latching({ cooldownMs: 0 }), wrap = plain } = options;
    this.clock = new VirtualClock(NOW + aheadMs);
    const store = wrap(sqliteStore(path, { now: () => this.clock.now() }));
    this.gear = createSwitchgear({ upstreams: { dk: { breaker } }, store, clock: this.clock });
    this.dk = this.gear.upstream("dk");
  }

  /** Looks at the file, as any call after a second does. */
  look(): void {
    this.clock.advance(1001);
    this.dk.tryAcquire();
  }
}

function plain(store: Store): Store {
  return store;
}

const SKEWS = [
  [HOURS_MS, 0],
  [0, HOURS_MS],
  [0, 0],
] as const;

for (const [first, second] of SKEWS) {
  const skew = `${first / 3_600_000} h and ${second / 3_600_000} h ahead`;

  test(`the later order counts, whatever the clocks say: ${skew}`, async () => {
    const path = newPath();
    const [a, b] = [new Service(path, first), new Service(path, second)];

    a.dk.trip({ reason: "maintenance" });
    b.look();
    assert.equal(b.dk.isTripped, true);
    b.dk.reset({ reason: "over", force: true });
    a.look();
    assert.equal(a.dk.isTripped, false);
    a.dk.record({ outcome: "failed" });
    b.look();
    assert.equal(b.dk.isTripped, false);

    b.dk.trip({ reason: "again" });
    a.look();
    assert.deepEqual([a.dk.isTripped, a.dk.status().manual], [true, true]);
    a.dk.reset({ reason: "over again", force: true });
    b.look();
    assert.equal(b.dk.isTripped, false);

    a.dk.setMode({ mode: "shadow" });
    b.look();
    assert.equal(b.dk.mode, "shadow");
    b.dk.setMode({ mode: "normal" });
    a.look();
    assert.equal(a.dk.mode, "normal");
    await Promise.all([a.gear.close(), b.gear.close()]);
  });

  test(`a restart of either keeps the later order: ${skew}`, async () => {
    const path = newPath();
    const a = new Service(path, first);
    a.dk.trip({ reason: "maintenance" });
    a.dk.setMode({ mode: "shadow" });
    const b = new Service(path, second);
    b.dk.reset({ reason: "over", force: true });
    b.dk.setMode({ mode: "forced-closed" });

    a.look();
    assert.deepEqual([a.dk.isTripped, a.dk.mode], [false, "forced-closed"]);
    await a.gear.close();
    const again = new Service(path, first);
    assert.deepEqual([again.dk.isTripped, again.dk.mode], [false, "forced-closed"]);
    again.dk.trip({ reason: "once more" });
    b.look();
    assert.equal(b.dk.isTripped, true);
    await b.gear.close();
    const after = new Service(path, second);
    assert.equal(after.dk.isTripped, true);
    await Promise.all([again.gear.close(), after.gear.close()]);
  });

  test(`an order counts that another process has not seen when it gives its own: ${skew}`, async () => {
    const path = newPath();
    const [a, b] = [new Service(path, first), new Service(path, second)];
    a.dk.trip({ reason: "maintenance" });
    // b has not looked since, and writes later.
    b.dk.trip({ reason: "mine" });
    b.dk.reset({ reason: "over", force: true });
    a.look();

    assert.equal(a.dk.isTripped, false);
    assert.equal(query(path, "SELECT tripped FROM circuit_breaker_state")[0]?.tripped, 0);
    await Promise.all([a.gear.close(), b.gear.close()]);
  });
}

test("a person's reset ends the trip that a breaker which recovers by itself had meanwhile", async () => {
  const path = newPath();
  const breaker = slidingWindow({ minimumCalls: 2 });
  const [a, b] = [new Service(path, HOURS_MS, { breaker }), new Service(path, 0, { breaker })];
  for (let n = 0; n < 5; n += 1) a.dk.record({ outcome: "failed" });
  assert.equal(a.dk.isTripped, true);

  b.dk.reset({ reason: "it is well", force: true });
  a.look();

  assert.equal(a.dk.isTripped, false);
  await Promise.all([a.gear.close(), b.gear.close()]);
});

test("a reset of another process comes without the trip that it had by itself since", async () => {
  const path = newPath();
  const breaker = adaptive({ failureThreshold: 2, adaptive: false });
  const [a, b] = [new Service(path, 0, { breaker }), new Service(path, 0, { breaker })];
  b.dk.reset({ reason: "it is well", force: true });
  for (let n = 0; n < 5; n += 1) b.dk.record({ outcome: "failed" });
  b.gear.flush();
  assert.equal(b.dk.isTripped, true);

  a.look();

  const { tripped, lastResetReason, ...left } = a.dk.snapshot();
  assert.deepEqual([tripped, lastResetReason], [false, "it is well"]);
  assert.ok(left.kind === "adaptive" && left.backoffAttempt === 0, JSON.stringify(left));
  await Promise.all([a.gear.close(), b.gear.close()]);
});

test("a program that counts no commits is told by the dates that it writes", async () => {
  const path = newPath();
  const a = new Service(path, 0);
  a.dk.trip({ reason: "maintenance" });
  a.look();
  const reset = `UPDATE circuit_breaker_state SET tripped = 0, manual = 0, tripped_at = NULL,
    last_reset_at = ${NOW + 500}, updated_at = ${NOW + 500}`;

  withDatabase(path, (db) => db.exec(reset));
  a.look();

  assert.equal(a.dk.isTripped, false);
  a.dk.trip({ reason: "again" });
  const b = new Service(path, -HOURS_MS);
  assert.equal(b.dk.isTripped, true);
  b.dk.reset({ reason: "over", force: true });
  a.look();
  assert.equal(a.dk.isTripped, false);
  await Promise.all([a.gear.close(), b.gear.close()]);
});

test("orders in a store that keeps no order of writing are told by their dates", async () => {
  const path = newPath();
  const wrap = (store: Store): Store => ({
    kind: "own",
    durable: true,
    location: "own",
    load: () => store.load().map(({ places: _places, ...stored }) => stored),
    poll: () => store.poll?.()?.map(({ places: _places, ...stored }) => stored),
    history: (asked) => store.history(asked),
    commit: (change) => {
      assert.ok(change.breakers.every((stored) => !("places" in stored)));
      store.commit(change);
    },
    close: () => store.close(),
  });
  const [a, b] = [new Service(path, 0, { wrap }), new Service(path, 10, { wrap })];
  a.dk.trip({ reason: "maintenance" });
  b.look();
  assert.equal(b.dk.isTripped, true);

  b.dk.reset({ reason: "over", force: true });
  a.look();

  assert.equal(a.dk.isTripped, false);
  await Promise.all([a.gear.close(), b.gear.close()]);
});

/** One whose disk takes nothing while `isOut`. */
function failing(): { readonly disk: { isOut: boolean }; readonly wrap: typeof plain } {
  const disk = { isOut: false };
  const wrap = (store: Store): Store => ({
    kind: "sqlite",
    durable: true,
    location: store.location,
    get revision() {
      return store.revision ?? 0;
    },
    load: () => store.load(),
    poll: () => store.poll?.(),
    history: (asked) => store.history(asked),
    commit: (change) => {
      if (disk.isOut) throw new Error("no disk");
      store.commit(change);
    },
    close: () => store.close(),
  });
  return { disk, wrap };
}

test("an order that waited for the disk gives way to a newer one that did not", async () => {
  const path = newPath();
  const { disk, wrap } = failing();
  const [a, b] = [new Service(path, 0, { wrap }), new Service(path, 2000)];
  disk.isOut = true;
  a.dk.trip({ reason: "maintenance" });
  b.dk.trip({ reason: "maintenance there" });
  b.dk.reset({ reason: "over", force: true });
  disk.isOut = false;
  a.clock.advance(3000);

  assert.equal(a.gear.flush(), true);

  assert.equal(a.dk.isTripped, false);
  await Promise.all([a.gear.close(), b.gear.close()]);
});

const BREAKERS = {
  latching: latching({ failureThreshold: 1, cooldownMs: 0 }),
  "sliding-window": slidingWindow({ minimumCalls: 2 }),
  adaptive: adaptive({ failureThreshold: 2, adaptive: false }),
};

/** Fails until it trips by itself. */
function fail({ dk }: Service): void {
  for (let n = 0; n < 5; n += 1) dk.record({ outcome: "failed" });
  assert.deepEqual([dk.isTripped, dk.status().manual], [true, false]);
}

for (const [kind, breaker] of Object.entries(BREAKERS)) {
  test(`a reset reaches everybody past the trip of one who had not seen it yet: ${kind}`, async () => {
    const path = newPath();
    const newService = (): Service => new Service(path, 0, { breaker });
    const [a, b, c] = [newService(), newService(), newService()];
    c.dk.trip({ reason: "maintenance" });
    b.look();
    b.dk.reset({ reason: "over", actor: "bob", force: true });
    // Within the second in which nobody looks again.
    fail(a);
    assert.equal(a.dk.status().lastResetBy, "bob");
    c.look();
    assert.equal(c.dk.status().manual, false);

    c.dk.record({ outcome: "failed" });
    c.gear.flush();
    for (const service of [a, b]) {
      service.look();
      assert.equal(service.dk.status().manual, false);
    }
    await Promise.all([a, b, c].map(({ gear }) => gear.close()));
  });

  test(`an order that waited gives way to a newer one past another's own trip: ${kind}`, async () => {
    const path = newPath();
    const { disk, wrap } = failing();
    const late = new Service(path, 0, { breaker, wrap });
    const [a, b] = [new Service(path, 2000, { breaker }), new Service(path, 2000, { breaker })];
    disk.isOut = true;
    late.dk.trip({ reason: "maintenance" });
    b.dk.trip({ reason: "maintenance there" });
    b.dk.reset({ reason: "over", force: true });
    fail(a);
    a.gear.flush();
    disk.isOut = false;
    late.clock.advance(3000);
    assert.equal(late.gear.flush(), true);

    for (const service of [late, a, b]) {
      service.look();
      assert.equal(service.dk.status().manual, false);
    }
    await Promise.all([late, a, b].map(({ gear }) => gear.close()));
  });
}

test("an order that waited is not undone by what its process had written before, whatever the clock says", async () => {
  const path = newPath();
  const { disk, wrap } = failing();
  const [a, b] = [new Service(path, 0, { wrap }), new Service(path, 0)];
  a.dk.trip({ reason: "maintenance" });
  b.look();
  a.clock.jumpWall(-HOURS_MS);
  disk.isOut = true;
  a.dk.reset({ reason: "over", force: true });
  // Writes the row anew, the old trip in it.
  b.dk.setMode({ mode: "shadow" });
  disk.isOut = false;
  a.clock.advance(3000);
  assert.equal(a.gear.flush(), true);

  assert.deepEqual([a.dk.isTripped, a.dk.mode], [false, "shadow"]);
  b.look();
  assert.equal(b.dk.isTripped, false);
  await Promise.all([a.gear.close(), b.gear.close()]);
});

test("a mode that another process was given is told of, once, as its own is", async () => {
  const path = newPath();
  const [a, b] = [new Service(path, 0), new Service(path, 0)];
  const told: unknown[] = [];
  b.gear.on("mode", ({ from, to, actor, reason }) => told.push([from, to, actor, reason]));
  a.dk.setMode({ mode: "shadow", reason: "trial", actor: "ann" });
  b.look();
  a.dk.trip({ reason: "maintenance" });
  b.look();
  assert.deepEqual(told, [["normal", "shadow", "system", "ordered in another process"]]);
  await Promise.all([a.gear.close(), b.gear.close()]);
});
