// What a replica tells the store, and what it does with what others told it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreError } from "../../../../src/index.ts";
import { latching } from "../../../../src/core/breaker/latching/machine.ts";
import { slidingWindow } from "../../../../src/core/breaker/sliding-window/machine.ts";
import type { AuditEntry } from "../../../../src/pipeline/ports.ts";
import { TestFleet, atRest, type TestReplica } from "./fleet-harness.ts";

const BY = { reason: "by hand", actor: "ops" };

async function twoReplicas(): Promise<{ fleet: TestFleet; a: TestReplica; b: TestReplica }> {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b")];
  await fleet.advance(1000);
  return { fleet, a, b };
}

function isTripped({ gear }: TestReplica, name = "dk"): boolean {
  return gear.upstream(name).isTripped;
}

test("an order is in force here at once, and everywhere once the store has pushed it", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  assert.equal(isTripped(a), true);
  assert.equal(isTripped(b), false);
  await fleet.advance(10);
  assert.equal(isTripped(b), true);
  b.gear.upstream("dk").reset(BY);
  b.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(10);
  assert.equal(isTripped(a), false);
  assert.equal(a.gear.upstream("dk").mode, "shadow");
  assert.deepEqual(a.fleet.versions(), new Map([["dk", 3]]));
});

test("a breaker that recovers by itself keeps its trips to itself; they stand in the audit", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.configure({ dk: { breaker: slidingWindow({ minimumCalls: 1, windowSize: 2 }) } });
  await fleet.advance(10);
  assert.equal(a.changes.length, 0);
  a.gear.upstream("dk").record({ outcome: "failed", error: "503" });
  await fleet.advance(10);
  assert.deepEqual([isTripped(a), isTripped(b)], [true, false]);
  assert.deepEqual(
    a.changes.map(({ breaker, audits }) => [breaker, audits.length]),
    [[undefined, 1]],
  );
  assert.equal(await a.fleet.receipts("dk", 1000), undefined);
});

test("what a breaker that latches does by itself is told", async () => {
  const { fleet, a } = await twoReplicas();
  a.gear.upstream("dk").record({ outcome: "ok", latencyMs: 1 });
  await fleet.advance(10);
  assert.equal(a.changes.length, 0);
  a.gear.upstream("dk").record({ outcome: "failed", error: "503" });
  await fleet.advance(10);
  assert.deepEqual(
    a.changes.map(({ breaker, audits }) => [breaker?.isByPerson, audits.length]),
    [[false, 1]],
  );
});

test("nothing is told before what is stored was read", async () => {
  const fleet = new TestFleet();
  const a = fleet.start("a");
  a.gear.upstream("dk").trip(BY);
  await atRest();
  assert.equal(a.fleet.isSynced, false);
  assert.equal(a.changes.length, 0);
  await fleet.advance(1000);
  assert.equal(a.fleet.isSynced, true);
  assert.equal(a.changes.length, 1);
  assert.equal(a.changes[0]?.wantsReceipts, true);
});

test("what was ordered while the store was away arrives with all its audits, once", async () => {
  const { fleet, a, b } = await twoReplicas();
  fleet.network.isDown = true;
  fleet.network.disconnect();
  for (const reason of ["1", "2"]) {
    a.gear.upstream("dk").trip({ reason, actor: "ops" });
    a.gear.upstream("dk").reset({ reason: `${reason} again`, actor: "ops", force: true });
  }
  await fleet.advance(60_000);
  const away = a.gear.storeHealth();
  assert.equal(away.ok, false);
  assert.equal(away.pending, 1);
  assert.match(away.lastError ?? "", /^ECONNREFUSED/);
  fleet.network.isDown = false;
  await fleet.advance(30_000);
  assert.deepEqual([a.gear.storeHealth().ok, a.gear.storeHealth().pending], [true, 0]);
  assert.equal(isTripped(b), false);
  const audits = fleet.store.audits.get("dk")?.map(({ reason }) => reason);
  assert.deepEqual(audits, ["1", "1 again", "2", "2 again"]);
  assert.equal(a.events.at(-1)?.type, "store-recovered");
});

test("a store that fails once, and is asked nothing more, is well again", async () => {
  const { fleet, a } = await twoReplicas();
  const present = a.link.present.bind(a.link);
  a.link.present = () => Promise.reject(new StoreError("TIMEOUT", "once"));
  await fleet.advance(6500);
  assert.equal(a.gear.storeHealth().ok, false);
  a.link.present = present;
  await fleet.advance(6500);
  assert.equal(a.gear.storeHealth().ok, true);
});

test("an answer that is lost makes the order come again, and count once", async () => {
  const { fleet, a, b } = await twoReplicas();
  const commit = a.link.commit.bind(a.link);
  a.link.commit = async (change) => {
    a.link.commit = commit;
    await commit(change);
    throw new StoreError("TIMEOUT", "no answer in time");
  };
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(1000);
  assert.equal(a.changes.length, 2);
  assert.equal(a.changes[0]?.id, a.changes[1]?.id);
  assert.equal(fleet.store.audits.get("dk")?.length, 1);
  assert.equal(fleet.store.rows.get("dk")?.breaker?.order.version, 1);
  assert.equal(isTripped(b), true);
});

test("a listener that orders while an answer is taken over does not have it sent again", async () => {
  const { fleet, a, b } = await twoReplicas();
  b.gear.upstream("dk").trip(BY);
  b.link.kill();
  await fleet.advance(10);
  let isFirst = true;
  a.gear.on("transition", () => {
    if (isFirst) a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
    isFirst = false;
  });
  a.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(1000);
  const ids = a.changes.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test("the push of a later order that comes before the answer is not forgotten", async () => {
  const { fleet, a, b } = await twoReplicas();
  const commit = a.link.commit.bind(a.link);
  let arrive: (() => void) | undefined;
  a.link.commit = async (change) => {
    const answer = await commit(change);
    await new Promise<void>((done) => (arrive = done));
    return answer;
  };
  a.gear.upstream("dk").trip(BY);
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(10);
  b.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(10);
  a.link.commit = commit;
  arrive?.();
  await fleet.advance(10);
  assert.equal(isTripped(a), false);
  assert.equal(fleet.store.rows.get("dk")?.breaker?.order.isTrip, false);
});

test("a store that was emptied gets back what is known, and unlatches nobody", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(10);
  const before = fleet.store.rows.get("dk");
  fleet.network.empty();
  await fleet.advance(2000);
  assert.deepEqual(fleet.store.rows.get("dk"), before);
  assert.deepEqual([isTripped(a), isTripped(b)], [true, true]);
});

test("a store that was flushed gets back what is known before it is told what came after that", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(10);
  a.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(10);
  fleet.store.flush();
  b.gear.upstream("dk").record({ outcome: "failed", error: "503" });
  await fleet.advance(1000);
  const { person, order } = fleet.store.rows.get("dk")?.breaker ?? {};
  assert.deepEqual([person?.version, person?.isTrip], [2, false]);
  assert.deepEqual([order?.version, order?.isTrip], [3, true]);
  assert.deepEqual([isTripped(a), isTripped(b)], [true, true]);
  assert.match(b.gear.storeHealth().lastError ?? "", /^BEHIND/);
});

test("a store that never keeps what it is given back is asked ever more rarely", async () => {
  const { fleet, a } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(10);
  a.link.restore = () => Promise.resolve();
  fleet.store.flush();
  a.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(120_000);
  assert.ok(a.changes.length < 60, `${a.changes.length} changes`);
});

test("a name that is called later is as others have ordered", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("guest").trip(BY);
  await fleet.advance(10);
  assert.deepEqual(b.fleet.versions(), new Map());
  const receipts = await waited(fleet, a.fleet.receipts("guest", 100));
  assert.deepEqual(receipts?.missing, []);
  assert.equal(isTripped(b, "guest"), false);
  await fleet.advance(10);
  assert.equal(isTripped(b, "guest"), true);
});

test("a name that was forgotten, and is called again, is as others have ordered", async () => {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b", [], 1)];
  await fleet.advance(1000);
  b.gear.upstream("one");
  a.gear.upstream("one").setMode({ mode: "shadow", ...BY });
  a.gear.upstream("one").setMode({ mode: "normal", ...BY });
  await fleet.advance(10);
  assert.equal(b.fleet.versions().get("one"), 2);
  b.gear.upstream("two");
  a.gear.upstream("one").setMode({ mode: "shadow", ...BY });
  await fleet.advance(10);
  const one = b.gear.upstream("one");
  await fleet.advance(10);
  assert.equal(one.mode, "shadow");
});

test("what is known of names that are gone is not kept", async () => {
  const fleet = new TestFleet();
  const b = fleet.start("b", [], 1);
  await fleet.advance(1000);
  for (const name of ["one", "two"]) {
    const mode = { order: { id: "x", version: 1, isTrip: false }, mode: "normal" as const, at: 1 };
    fleet.store.restore([{ upstream: name, breaker: undefined, mode }]);
    b.gear.upstream(name);
    await fleet.advance(10);
  }
  b.link.drop();
  await fleet.advance(1000);
  assert.deepEqual([...b.fleet.versions().keys()], ["two"]);
});

test("a new name is read alone, and not with all others", async () => {
  const { fleet, b } = await twoReplicas();
  const asked: (readonly string[])[] = [];
  const read = b.link.read.bind(b.link);
  b.link.read = (names) => (asked.push(names), read(names));
  b.gear.upstream("guest");
  await fleet.advance(10);
  assert.deepEqual(asked, [["guest"]]);
});

test("a breaker that is listed again is as others have ordered", async () => {
  const { fleet, a, b } = await twoReplicas();
  const options = { breaker: latching() };
  a.gear.configure({ dk: options, fd: options });
  a.gear.upstream("fd").trip(BY);
  await fleet.advance(10);
  b.gear.configure({ dk: options, fd: options });
  await fleet.advance(10);
  assert.equal(isTripped(b, "fd"), true);
});

test("a breaker that was evicted and is called again begins as is known here, be the store there or not", async () => {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b", [], 1, 0, "shadow")];
  await fleet.advance(1000);
  for (const name of ["one", "two"]) {
    b.gear.upstream(name);
    a.gear.upstream(name).setMode({ mode: "normal", ...BY });
    await fleet.advance(100);
    assert.equal(b.gear.upstream(name).mode, "normal");
  }
  assert.equal(b.gear.find("one"), undefined);
  fleet.network.isDown = true;
  fleet.network.disconnect();
  assert.equal(b.gear.upstream("one").mode, "normal", "and not as it is configured");
});

test("says who confirmed, and that an order was overruled", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  const receipts = await waited(fleet, a.fleet.receipts("dk", 1000));
  assert.deepEqual(receipts, {
    isStored: true,
    isOverruled: false,
    confirmed: ["a", "b"],
    missing: [],
  });
  fleet.network.cut.add("b");
  b.gear.upstream("dk").reset({ ...BY, force: true });
  a.gear.upstream("dk").trip({ ...BY, reason: "again" });
  await fleet.advance(10);
  fleet.network.cut.clear();
  const overruled = await waited(fleet, b.fleet.receipts("dk", 60_000));
  assert.equal(overruled?.isOverruled, true);
  assert.equal(isTripped(b), true);
});

test("whoever still has its own order in force confirms no other", async () => {
  const { fleet, a, b } = await twoReplicas();
  b.link.commit = () => new Promise(() => {});
  b.gear.upstream("dk").trip(BY);
  a.gear.upstream("dk").reset({ ...BY, force: true });
  const receipts = await waited(fleet, a.fleet.receipts("dk", 1000));
  assert.deepEqual(receipts?.missing, ["b"]);
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  const mode = await waited(fleet, a.fleet.receipts("dk", 1000));
  assert.deepEqual(mode?.missing, []);
});

test("an own push is not confirmed", async () => {
  const { fleet, a } = await twoReplicas();
  const confirmed: string[] = [];
  a.link.confirm = (change) => void confirmed.push(change);
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(1000);
  assert.deepEqual(confirmed, []);
});

test("audits that wait are bounded: the oldest are dropped, and counted", async () => {
  const { fleet, a } = await twoReplicas();
  fleet.network.isDown = true;
  fleet.network.disconnect();
  for (let n = 1; n <= 5001; n += 1) {
    a.gear.upstream("dk").trip({ reason: `dk ${n}`, actor: "ops" });
    a.gear.upstream("fd").trip({ reason: `fd ${n}`, actor: "ops" });
  }
  assert.equal(a.gear.storeHealth().auditsDropped, 2);
  fleet.network.isDown = false;
  await fleet.advance(60_000);
  assert.equal(fleet.store.audits.get("dk")?.length, 5000);
  const reasons = ["dk", "fd"].map((name) => fleet.store.audits.get(name)?.[0]?.reason);
  assert.deepEqual(reasons, ["dk 2", "fd 2"]);
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(10);
  assert.equal(a.gear.storeHealth().auditsDropped, 2);
});

test("a storm of orders has so many under way at one time", async () => {
  const fleet = new TestFleet();
  const names = Array.from({ length: 100 }, (_, n) => `u${n}`);
  const a = fleet.start("a", names);
  await fleet.advance(1000);
  for (const name of names) a.gear.upstream(name).trip(BY);
  await atRest();
  assert.equal(a.changes.length, 32);
  await fleet.advance(100);
  assert.equal(a.changes.length, 100);
  assert.equal(fleet.store.rows.size, 100);
});

test("closing tells what waits, and what waits behind that", async () => {
  const { fleet, a } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  assert.equal(a.gear.flush(), false);
  let isClosed = false;
  void a.gear.close().then(() => (isClosed = true));
  await fleet.advance(100);
  assert.equal(isClosed, true);
  assert.equal(fleet.store.rows.get("dk")?.mode?.mode, "shadow");
  assert.equal(a.clock.pendingTimers, 0);
  await a.gear.close();
});

test("closing waits a while, and not for ever, for a store that does not answer", async () => {
  const { fleet, a } = await twoReplicas();
  a.link.commit = () => new Promise(() => {});
  a.gear.upstream("dk").trip(BY);
  let isClosed = false;
  void a.gear.close().then(() => (isClosed = true));
  await fleet.advance(1999);
  assert.equal(isClosed, false);
  await fleet.advance(2);
  assert.equal(isClosed, true);
});

test("closing does not wait for a store that is away", async () => {
  const { fleet, a } = await twoReplicas();
  fleet.network.isDown = true;
  fleet.network.disconnect();
  a.gear.upstream("dk").trip(BY);
  await a.gear.close();
  assert.equal(a.clock.pendingTimers, 0);
});

test("what a person orders, and what is told of a breaker, is persisted once the store has it; its own affair always", async () => {
  const { fleet, a } = await twoReplicas();
  const isPersisted = (): boolean => a.gear.upstream("dk").status().persisted;
  for (const order of [
    () => a.gear.upstream("dk").trip(BY),
    () => a.gear.upstream("dk").setMode({ mode: "shadow", ...BY }),
  ]) {
    order();
    assert.equal(isPersisted(), false);
    await fleet.advance(100);
    assert.equal(isPersisted(), true);
  }
  a.gear.upstream("dk").reset(BY);
  a.gear.configure({ dk: { breaker: slidingWindow({ minimumCalls: 1, windowSize: 2 }) } });
  await fleet.advance(100);
  a.gear.upstream("dk").record({ outcome: "failed", error: "503" });
  assert.deepEqual([isTripped(a), isPersisted()], [true, true]);
});

test("closing closes the store, once and at once where nothing waits", async () => {
  const { a } = await twoReplicas();
  let times = 0;
  a.link.close = () => {
    times += 1;
    return Promise.resolve();
  };
  await a.gear.close();
  await a.gear.close();
  assert.equal(times, 1);
});

test("what others have ordered of a name that was evicted is known when it is called again", async () => {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b", [], 1)];
  await fleet.advance(1000);
  b.gear.upstream("one");
  a.gear.upstream("one").setMode({ mode: "normal", ...BY });
  await fleet.advance(100);
  b.gear.upstream("two");
  a.gear.upstream("one").trip(BY);
  await fleet.advance(100);
  fleet.network.isDown = true;
  fleet.network.disconnect();
  assert.equal(isTripped(b, "one"), true);
});

test("what is pushed before all was read is in force at once", async () => {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b")];
  b.link.read = () => new Promise(() => {});
  await fleet.advance(1000);
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(100);
  assert.deepEqual([isTripped(b), b.fleet.isSynced], [true, false]);
});

test("what it knows is shown when that is new, and not whenever it is told again", async () => {
  const { fleet, a } = await twoReplicas();
  const present = a.link.present.bind(a.link);
  let beats = 0;
  a.link.present = (view) => {
    beats += 1;
    return present(view);
  };
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(1000);
  assert.equal(beats, 1);
  fleet.network.disconnect();
  await fleet.advance(1000);
  assert.equal(beats, 2, "that it is back");
});

test("what could not be read is read as soon as an order under way shows that the store works", async () => {
  const { fleet, a, b } = await twoReplicas();
  b.gear.upstream("guest").trip(BY);
  await fleet.advance(100);
  const [commit, read] = [a.link.commit.bind(a.link), a.link.read.bind(a.link)];
  const gate = Promise.withResolvers<void>();
  a.link.commit = (change) => gate.promise.then(() => commit(change));
  a.link.read = () => Promise.reject(new StoreError("TIMEOUT", "no answer in time"));
  a.gear.upstream("dk").trip(BY);
  a.gear.upstream("guest");
  await atRest();
  assert.equal(a.gear.storeHealth().ok, false);
  a.link.read = read;
  gate.resolve();
  await fleet.advance(20);
  assert.equal(isTripped(a, "guest"), true);
});

test("what fails when it is closed already is told to nobody, and tried no more", async () => {
  const { fleet, a } = await twoReplicas();
  const answer = Promise.withResolvers<never>();
  a.link.commit = () => answer.promise;
  a.gear.upstream("dk").trip(BY);
  void a.gear.close();
  await fleet.advance(2001);
  answer.reject(new StoreError("TIMEOUT", "too late"));
  await atRest();
  assert.deepEqual([a.events, a.clock.pendingTimers], [[], 0]);
});

test("a failure after a long one is over is tried again as soon as the first was", async () => {
  const { fleet, a } = await twoReplicas();
  const commit = a.link.commit.bind(a.link);
  let failures = 8;
  a.link.commit = (change) => {
    failures -= 1;
    return failures < 0 ? commit(change) : Promise.reject(new StoreError("BUSY", "a script runs"));
  };
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(120_000);
  assert.equal(a.gear.storeHealth().ok, true);
  failures = 1;
  a.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(500);
  assert.equal(fleet.store.rows.get("dk")?.breaker?.order.isTrip, false);
});

test("an answer says what is in force, whether or not pushes arrive", async () => {
  const { fleet, a, b } = await twoReplicas();
  fleet.network.weather.pushLost = 1;
  for (const { link } of [a, b]) link.present = () => new Promise(() => {});
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(100);
  assert.equal(a.gear.upstream("dk").status().persisted, true);
  b.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(100);
  assert.equal(isTripped(b), true, "its giver knew nothing of the trip");
});

test("a store is well as soon as it takes an order, whether or not it tells who is there", async () => {
  const { fleet, a } = await twoReplicas();
  const commit = a.link.commit.bind(a.link);
  a.link.present = () => new Promise(() => {});
  a.link.commit = () => Promise.reject(new StoreError("TIMEOUT", "no answer in time"));
  a.gear.upstream("dk").trip(BY);
  await atRest();
  assert.equal(a.gear.storeHealth().ok, false);
  a.link.commit = commit;
  await fleet.advance(1000);
  assert.equal(a.gear.storeHealth().ok, true);
});

test("of what was ordered here the newest is kept", async () => {
  const { a } = await twoReplicas();
  a.gear.upstream("fd").trip(BY);
  for (let n = 0; n < 1999; n += 1) a.gear.upstream("dk").trip(BY);
  assert.equal(a.gear.history({ upstream: "fd" }).length, 1);
  a.gear.upstream("dk").trip(BY);
  assert.equal(a.gear.history({ upstream: "fd" }).length, 0);
  assert.equal(a.gear.history({ limit: 1000 }).length, 1000);
});

test("what is ordered after it was closed is in force here, and told to nobody", async () => {
  const { fleet, a } = await twoReplicas();
  await a.gear.close();
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(10_000);
  assert.deepEqual([isTripped(a), a.changes.length], [true, 0]);
});

test("a read that fails once, on a connection that stays, is tried again, and what waits told after it", async () => {
  const fleet = new TestFleet();
  const a = fleet.start("a");
  const read = a.link.read.bind(a.link);
  let reads = 0;
  a.link.read = (names) => {
    reads += 1;
    if (reads === 1) return Promise.reject(new StoreError("TIMEOUT", "no answer in time"));
    return read(names);
  };
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(2000);
  assert.deepEqual([reads, a.fleet.isSynced, a.changes.length], [2, true, 1]);
  assert.equal(a.gear.storeHealth().ok, true);
});

test("a store that cannot be read is not well because it hears who is there, and is read ever more rarely", async () => {
  const fleet = new TestFleet();
  const a = fleet.start("a");
  let reads = 0;
  a.link.read = () => {
    reads += 1;
    return Promise.reject(new StoreError("BUSY", "a script runs"));
  };
  await fleet.advance(120_000);
  assert.equal(a.gear.storeHealth().ok, false);
  assert.deepEqual(
    a.events.filter(({ type }) => type === "store-recovered"),
    [],
  );
  assert.ok(reads >= 10 && reads <= 20, `${reads} times`);
});

test("a store that takes no orders is not well because it hears who is there, and is asked ever more rarely", async () => {
  const { fleet, a } = await twoReplicas();
  let asked = 0;
  a.link.commit = () => {
    asked += 1;
    return Promise.reject(new StoreError("OOM", "its memory is full"));
  };
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(120_000);
  const { ok, pending } = a.gear.storeHealth();
  assert.deepEqual([ok, pending], [false, 1]);
  assert.deepEqual(
    a.events.filter(({ type }) => type === "store-recovered"),
    [],
  );
  assert.ok(asked >= 10 && asked <= 20, `${asked} times`);
});

test("a store is well as soon as it was read, whether or not it tells who is there", async () => {
  const { fleet, a } = await twoReplicas();
  fleet.network.isDown = true;
  fleet.network.disconnect();
  await fleet.advance(1000);
  assert.equal(a.gear.storeHealth().ok, false);
  a.link.present = () => new Promise(() => {});
  fleet.network.isDown = false;
  await fleet.advance(1000);
  assert.equal(a.gear.storeHealth().ok, true);
});

test("a store that lacks what an order was given after gets that back, and then the order, before anybody counts its pushes", async () => {
  const { fleet, a } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(100);
  a.link.present = () => new Promise(() => {});
  fleet.network.flush();
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(2000);
  const row = fleet.store.rows.get("dk");
  assert.deepEqual([row?.breaker?.order.version, row?.mode?.order.version], [1, 2]);
});

test("says when what is stored was read, and no longer than it is waited for", async () => {
  const fleet = new TestFleet();
  fleet.network.isDown = true;
  const a = fleet.start("a");
  const answers: boolean[] = [];
  void a.fleet.synced(100).then((isSynced) => answers.push(isSynced));
  void a.fleet.synced(10_000).then((isSynced) => answers.push(isSynced));
  await fleet.advance(100);
  assert.deepEqual(answers, [false]);
  fleet.network.isDown = false;
  await fleet.advance(2000);
  assert.deepEqual(answers, [false, true]);
  assert.equal(await a.fleet.synced(0), true);
});

test("history is asked of the store, and what was ordered here is known without it", async () => {
  const { fleet, a, b } = await twoReplicas();
  a.gear.upstream("dk").trip(BY);
  a.gear.auditUnmetReset("nobody", BY);
  await fleet.advance(10);
  const short = (audits: readonly AuditEntry[] | undefined) =>
    audits?.map(({ upstream, action }) => `${upstream} ${action}`);
  assert.deepEqual(short(a.gear.history()), ["nobody RESET", "dk TRIP"]);
  assert.deepEqual(short(a.gear.history({ limit: 1 })), ["nobody RESET"]);
  assert.deepEqual(short(a.gear.history({ upstream: "dk" })), ["dk TRIP"]);
  assert.deepEqual(short(b.gear.history()), []);
  const stored = await waited(fleet, b.fleet.history({ limit: 10 }));
  assert.deepEqual(short(stored), ["dk TRIP"]);
  const unmet = await waited(fleet, b.fleet.history({ upstream: "nobody", limit: 10 }));
  assert.deepEqual(short(unmet), ["nobody RESET"]);
  assert.equal((await waited(fleet, b.fleet.verify("dk"))).rows, 1);
});

/** Lets time pass until it settles. */
async function waited<Value>(fleet: TestFleet, promise: Promise<Value>): Promise<Value> {
  const settled: unknown[] = [];
  const note = (value: unknown): void => void settled.push(value);
  promise.then(note, note);
  for (let turn = 0; turn < 10_000 && settled.length === 0; turn += 1) await fleet.advance(10);
  return promise;
}
