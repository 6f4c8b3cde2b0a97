// What replicas make of what others' breakers did by themselves: all of it, none, or what a quorum has seen; and
// whose probes come when.

import assert from "node:assert/strict";
import { test } from "node:test";
import { latching } from "../../../../src/core/breaker/latching/machine.ts";
import { slidingWindow } from "../../../../src/core/breaker/sliding-window/machine.ts";
import type { Share } from "../../../../src/core/fleet/share.ts";
import { InvalidOptionsError } from "../../../../src/index.ts";
import { TestFleet, type TestReplica } from "./fleet-harness.ts";

const BY = { reason: "by hand", actor: "ops" };
const OPEN_MS = 10_000;

const breaker = slidingWindow({ minimumCalls: 1, windowSize: 2, openDurationMs: OPEN_MS });

async function windows(
  share: Share,
  count = 3,
): Promise<{ fleet: TestFleet; replicas: TestReplica[] }> {
  const fleet = new TestFleet();
  const names = ["a", "b", "c", "d", "e"].slice(0, count);
  const replicas = names.map((name) => fleet.start(name));
  for (const { gear } of replicas) gear.configure({ dk: { breaker, share } });
  // Each has heard of the others.
  await fleet.advance(12_000);
  return { fleet, replicas };
}

function fail({ gear }: TestReplica): void {
  gear.upstream("dk").record({ outcome: "failed", error: "503" });
}

function open(replicas: readonly TestReplica[]): boolean[] {
  return replicas.map(({ gear }) => gear.upstream("dk").isTripped);
}

test("trips: one that opens opens all, each recovers by itself, and whoever recovers first closes the others", async () => {
  const { fleet, replicas } = await windows("trips");
  const [a, b] = replicas as [TestReplica, TestReplica];
  fail(a);
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, true, true]);
  assert.equal(b.gear.upstream("dk").status().manual, false);

  await fleet.advance(OPEN_MS);
  const upstream = a.gear.upstream("dk");
  for (let n = 0; n < 20 && upstream.isTripped; n += 1) {
    const admission = upstream.tryAcquire();
    if (admission.admitted) admission.settle({ outcome: "ok" });
    await fleet.advance(10);
  }
  assert.equal(upstream.isTripped, false, "its own probes close it");
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [false, false, false]);
});

test("orders, the default: nobody else opens, and a person's word reaches all the same", async () => {
  const { fleet, replicas } = await windows("orders");
  const [a, b] = replicas as [TestReplica, TestReplica];
  fail(a);
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, false, false]);

  b.gear.upstream("dk").trip(BY);
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, true, true]);
  assert.equal(a.gear.upstream("dk").status().manual, true);
  b.gear.upstream("dk").reset({ ...BY, force: true });
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [false, false, false]);
});

test("a quorum: one pod with a broken way out stops nobody, two of them stop all", async () => {
  const { fleet, replicas } = await windows({ quorum: 2 });
  const [a, , c] = replicas as [TestReplica, TestReplica, TestReplica];
  fail(a);
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, false, false]);
  fail(c);
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, true, true]);
});

test("a trip of another's clock stays open for as long as its own", async () => {
  const fleet = new TestFleet();
  // A day ahead.
  const [a, b] = [fleet.start("a", ["dk"], 100, 86_400_000), fleet.start("b")];
  for (const { gear } of [a, b]) gear.configure({ dk: { breaker, share: "trips" } });
  await fleet.advance(1000);
  fail(a);
  await fleet.advance(50);
  assert.deepEqual(open([a, b]), [true, true]);
  const { trippedUntil } = b.gear.upstream("dk").status();
  const leftMs = (trippedUntil ?? 0) - b.clock.now();
  assert.ok(leftMs > OPEN_MS / 2 && leftMs <= 2 * OPEN_MS, `${leftMs} ms`);
});

test("a person's reset reaches a breaker of another kind though a latching one has tripped since", async () => {
  const fleet = new TestFleet();
  const [a, b] = [fleet.start("a"), fleet.start("b")];
  b.gear.configure({ dk: { breaker } });
  await fleet.advance(1000);
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(50);
  assert.deepEqual(open([a, b]), [true, true]);

  // Both come in one row: the reset, and what followed.
  fleet.network.weather.pushLost = 1;
  a.gear.upstream("dk").reset({ ...BY, force: true });
  fail(a);
  await fleet.advance(200);
  fleet.network.weather.pushLost = 0;
  await fleet.advance(20_000);
  assert.deepEqual(open([a, b]), [true, false]);
});

test("probes of several replicas take turns, within one opening more; alone nobody waits", async () => {
  const { fleet, replicas } = await windows("orders");
  for (const replica of replicas) fail(replica);
  const before = replicas.map(({ gear }) => gear.upstream("dk").status().trippedUntil ?? 0);
  await fleet.advance(200);
  const after = replicas.map(({ gear }) => gear.upstream("dk").status().trippedUntil ?? 0);
  const waits = after.map((until, index) => until - (before[index] ?? 0));
  assert.deepEqual(
    waits.toSorted((x, y) => x - y).map((ms) => Math.round(ms / 1000)),
    [0, 3, 7],
  );

  const alone = await windows("orders", 1);
  const [one] = alone.replicas as [TestReplica];
  let asked = 0;
  one.link.turn = () => {
    asked += 1;
    return Promise.resolve(0);
  };
  fail(one);
  await alone.fleet.advance(200);
  assert.equal(asked, 0);
});

/** Milliseconds until each lets its probe in, the soonest first. */
function waits(replicas: readonly TestReplica[]): number[] {
  return replicas
    .map(({ gear, clock }) => (gear.upstream("dk").status().trippedUntil ?? NaN) - clock.now())
    .toSorted((x, y) => x - y);
}

function seconds(all: readonly number[]): number[] {
  return all.map((ms) => Math.round(ms / 1000));
}

const single = latching({
  failureThreshold: 1,
  recovery: "single-probe",
  resetTimeoutMs: OPEN_MS,
});

async function singles(policy = single): Promise<{ fleet: TestFleet; replicas: TestReplica[] }> {
  const fleet = new TestFleet();
  const replicas = ["a", "b", "c"].map((name) => fleet.start(name));
  for (const { gear } of replicas) gear.configure({ dk: { breaker: policy } });
  await fleet.advance(12_000);
  return { fleet, replicas };
}

test("probes of a latching breaker that others have tripped take turns, and again after each that fails", async () => {
  const { fleet, replicas } = await singles();
  fail(replicas[0] as TestReplica);
  await fleet.advance(200);
  assert.deepEqual(open(replicas), [true, true, true]);
  assert.deepEqual(seconds(waits(replicas)), [10, 13, 16]);

  await fleet.advance(10_000);
  const admissions = replicas.map(({ gear }) => gear.upstream("dk").tryAcquire());
  assert.equal(admissions.filter(({ admitted }) => admitted).length, 1, "one of the three");
  for (const admission of admissions) {
    if (admission.admitted) admission.settle({ outcome: "failed", error: "503" });
  }
  await fleet.advance(200);
  assert.deepEqual(seconds(waits(replicas)), [3, 6, 10], "after the others, and not with them");
});

test("where nobody but a person closes it, or holds it, no turn is asked for", async () => {
  for (const [policy, act] of [
    [latching({ failureThreshold: 1 }), fail],
    [single, ({ gear }: TestReplica) => gear.upstream("dk").trip(BY)],
  ] as const) {
    const { fleet, replicas } = await singles(policy);
    let asked = 0;
    for (const { link } of replicas) {
      link.turn = () => {
        asked += 1;
        return Promise.resolve(0);
      };
    }
    act(replicas[0] as TestReplica);
    await fleet.advance(200);
    assert.deepEqual([open(replicas), asked], [[true, true, true], 0]);
  }
});

test("what others have opened takes turns, too, and no second one for what a person sets beside it", async () => {
  const { fleet, replicas } = await windows("trips");
  fail(replicas[0] as TestReplica);
  await fleet.advance(200);
  const before = waits(replicas);
  assert.deepEqual(
    before.map((ms) => Math.round((ms - (before[0] ?? 0)) / 1000)),
    [0, 3, 7],
  );
  for (const { gear } of replicas) gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(200);
  const after = waits(replicas);
  assert.deepEqual(
    after.map((ms, index) => Math.round((before[index] ?? 0) - ms)),
    [200, 200, 200],
  );
});

test("one question about a breaker is under way at a time, and the one about its newest opening counts", async () => {
  const { fleet, replicas } = await singles();
  const [a] = replicas as [TestReplica];
  const answers: ((byMs: number) => void)[] = [];
  a.link.turn = () => new Promise((done) => void answers.push(done));
  fail(a);
  a.gear.upstream("dk").reset({ ...BY, force: true });
  fail(a);
  a.gear.upstream("dk").reset({ ...BY, force: true });
  fail(a);
  await fleet.advance(100);
  assert.equal(answers.length, 1);
  answers[0]?.(7000);
  await fleet.advance(100);
  assert.equal(answers.length, 2);
  const due = a.gear.upstream("dk").status().trippedUntil ?? 0;
  answers[1]?.(4000);
  await fleet.advance(100);
  assert.equal((a.gear.upstream("dk").status().trippedUntil ?? 0) - due, 4000);
  assert.equal(answers.length, 2, "it has had its turn");
});

test("a storm asks for so many turns at one time, and for all of them in the end", async () => {
  const fleet = new TestFleet();
  const names = Array.from({ length: 100 }, (_, n) => `u${n}`);
  const [a] = [fleet.start("a", names), fleet.start("b", names)];
  for (const { gear } of [a]) {
    gear.configure(Object.fromEntries(names.map((name) => [name, { breaker: single }])));
  }
  await fleet.advance(12_000);
  const asked: string[] = [];
  let [underWay, most] = [0, 0];
  a.link.turn = async (name) => {
    asked.push(name);
    underWay += 1;
    most = Math.max(most, underWay);
    await Promise.resolve();
    underWay -= 1;
    if (asked.length % 3 === 0) throw new Error("away");
    return 0;
  };
  for (const name of names) a.gear.upstream(name).record({ outcome: "failed", error: "503" });
  await fleet.advance(1000);
  assert.deepEqual([asked.toSorted(), most], [names.toSorted(), 32]);
});

test("a mode that another replica was given is told of, as a trip is, once and by whom", async () => {
  const { fleet, replicas } = await windows("orders", 2);
  const [a, b] = replicas as [TestReplica, TestReplica];
  const told: unknown[] = [];
  for (const [name, { gear }] of Object.entries({ a, b })) {
    gear.on("mode", ({ upstream, from, to, actor, reason }) =>
      told.push([name, upstream, from, to, actor, reason]),
    );
  }
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(200);
  a.gear.upstream("dk").setMode({ mode: "shadow", ...BY });
  await fleet.advance(12_000);
  assert.deepEqual(told, [
    ["a", "dk", "normal", "shadow", "ops", "by hand"],
    ["b", "dk", "normal", "shadow", "system", "ordered on a"],
    ["a", "dk", "shadow", "shadow", "ops", "by hand"],
  ]);
});

test("a turn of an opening that is over puts the next one off by nothing", async () => {
  const { fleet, replicas } = await windows("orders", 2);
  const [a, b] = replicas as [TestReplica, TestReplica];
  fail(b);
  await fleet.advance(50);
  fail(a);
  a.gear.upstream("dk").reset({ ...BY, force: true });
  fail(a);
  const due = a.gear.upstream("dk").status().trippedUntil ?? 0;
  await fleet.advance(200);
  const waitMs = (a.gear.upstream("dk").status().trippedUntil ?? 0) - due;
  assert.ok(waitMs > 4000 && waitMs <= OPEN_MS, `${waitMs} ms: one turn, and not two`);
});

test("what a breaker found by itself is not written over by another's", async () => {
  const { fleet, replicas } = await windows("trips", 2);
  const [a, b] = replicas as [TestReplica, TestReplica];
  fail(a);
  b.gear.upstream("dk").record({ outcome: "failed", error: "its own" });
  await fleet.advance(50);
  assert.deepEqual(open(replicas), [true, true]);
  assert.equal(b.gear.upstream("dk").status().lastError, "its own");
});

test("others see soon what a replica knows, and not at its next beat only", async () => {
  const { fleet, replicas } = await windows("orders", 2);
  const [a, b] = replicas as [TestReplica, TestReplica];
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(600);
  // Its own look at the others comes with its beat.
  await fleet.advance(500);
  const [, other] = a.fleet.replicas();
  assert.deepEqual([other?.replica, other?.breakers["dk"]?.version], ["b", 1]);
  assert.equal(b.fleet.replicas()[0]?.breakers["dk"]?.tripped, true);
});

test("a turn that comes too late, or after a person's word, puts nothing off", async () => {
  const { fleet, replicas } = await windows("orders", 2);
  const [a] = replicas as [TestReplica, TestReplica];
  for (const replica of replicas) fail(replica);
  a.gear.upstream("dk").trip(BY);
  await fleet.advance(200);
  const { manual, trippedUntil } = a.gear.upstream("dk").status();
  assert.deepEqual([manual, trippedUntil], [true, null]);
});

test("what is no way to share is refused with what would be right", () => {
  const fleet = new TestFleet();
  const { gear } = fleet.start("a");
  for (const share of ["all", { quorum: 1 }, { quorum: 2.5 }, { quorum: "2" }, 3, null]) {
    assert.throws(
      () => gear.configure({ dk: { breaker: latching(), share: share as Share } }),
      (error: Error) => {
        assert.ok(error instanceof InvalidOptionsError);
        assert.match(
          error.message,
          /"dk": share must be "orders", "trips" or \{ quorum: k \} with k from 2 to 1000, not /,
        );
        return true;
      },
    );
  }
});

test("whoever came after the last beat is waited for, too", async () => {
  const { fleet, replicas } = await windows("orders", 1);
  const [a] = replicas as [TestReplica];
  const late = fleet.start("late");
  await fleet.advance(1000);
  a.gear.upstream("dk").trip(BY);
  let receipts: unknown;
  void a.fleet.receipts("dk", 5000).then((found) => (receipts = found));
  await fleet.advance(1000);
  const confirmed = ["a", "late"];
  assert.deepEqual(receipts, { isStored: true, isOverruled: false, confirmed, missing: [] });
  assert.equal(late.gear.upstream("dk").isTripped, true);
});
