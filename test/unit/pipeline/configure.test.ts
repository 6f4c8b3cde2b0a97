// A registry that is given another list of upstreams while it works.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvalidOptionsError, StoreError, UnknownUpstreamError } from "../../../src/core/errors.ts";
import {
  adaptive,
  createSwitchgear,
  latching,
  memoryStore,
  slidingWindow,
  type Store,
  type Switchgear,
  type UpstreamOptions,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { failTimes, openCall, timeOut } from "../../support/gear.ts";

const BREAKER = latching({ failureThreshold: 3, cooldownMs: 1000 });
const PLAIN: UpstreamOptions = { breaker: BREAKER };

function scene(upstreams: Record<string, UpstreamOptions>, store: Store = memoryStore()) {
  const clock = new VirtualClock();
  return { clock, gear: createSwitchgear({ upstreams, store, clock }) };
}

/** A durable store in memory, that can be made to fail. */
function durable(): Store & { isBroken: boolean } {
  const inner = memoryStore();
  const check = (): void => {
    if (one.isBroken) throw new StoreError("SQLITE_BUSY", "locked");
  };
  const one = {
    kind: "durable",
    durable: true,
    location: "test",
    isBroken: false,
    load: () => (check(), inner.load()),
    commit: (change: Parameters<Store["commit"]>[0]) => (check(), inner.commit(change)),
    history: (query: Parameters<Store["history"]>[0]) => inner.history(query),
    close: () => {},
  };
  return one;
}

const names = (gear: Switchgear) => gear.upstreams().map(({ name }) => name);

describe("a new list of upstreams", () => {
  test("adds, removes and keeps, and says what it did", () => {
    const { gear } = scene({ a: PLAIN, b: PLAIN });
    const kept = gear.upstream("a");
    const change = gear.configure({ a: PLAIN, c: PLAIN });

    assert.deepEqual(change, { added: ["c"], removed: ["b"], changed: [] });
    assert.deepEqual(names(gear), ["a", "c"]);
    assert.equal(gear.upstream("a"), kept);
    assert.throws(() => gear.upstream("b"), UnknownUpstreamError);
  });

  test("is refused whole when anything in it is wrong", () => {
    const { gear } = scene({ a: PLAIN });
    const wrong = { b: PLAIN, c: { breaker: BREAKER, deadlineMs: -1 } };

    assert.throws(() => gear.configure(wrong), InvalidOptionsError);
    assert.deepEqual(names(gear), ["a"]);
    assert.deepEqual(gear.configure({ a: PLAIN }), { added: [], removed: [], changed: [] });
  });

  test("does not unlatch what it leaves out: it comes back tripped", () => {
    const { gear } = scene({ a: PLAIN, b: PLAIN });
    failTimes(gear.upstream("a"), 3);
    gear.upstream("b").trip({ reason: "maintenance", actor: "ann" });
    gear.configure({});
    assert.deepEqual(names(gear), []);
    gear.configure({ a: PLAIN, b: { ...PLAIN } });

    assert.equal(gear.upstream("a").isTripped, true);
    assert.equal(gear.upstream("a").status().tripCount, 1);
    assert.equal(gear.upstream("b").status().manual, true);
  });

  test("takes over what is stored of a name that is new", () => {
    const store = durable();
    const before = scene({ a: PLAIN, b: PLAIN }, store);
    before.gear.upstream("b").trip({ reason: "maintenance" });
    const { gear } = scene({ a: PLAIN }, store);
    gear.configure({ a: PLAIN, b: PLAIN });

    assert.equal(gear.upstream("b").isTripped, true);
    assert.equal(gear.upstream("b").status().lastError, "maintenance");
  });

  test("writes over nothing that it could not read yet", () => {
    const store = durable();
    scene({ b: PLAIN }, store).gear.upstream("b").trip({ reason: "maintenance" });
    const { gear, clock } = scene({ a: PLAIN }, store);
    store.isBroken = true;
    gear.configure({ a: PLAIN, b: PLAIN });
    failTimes(gear.upstream("b"), 1);
    store.isBroken = false;
    clock.advance(60_000);

    assert.equal(gear.upstream("b").isTripped, true);
    assert.equal(store.load()[0]?.snapshot.tripped, true);
  });

  test("keeps counts of calls, and lets those under way end", async () => {
    const { gear } = scene({ a: PLAIN });
    const dk = gear.upstream("a");
    await dk.execute(() => 1, { operation: "odds" });
    const open = openCall(dk);
    gear.configure({ a: { breaker: BREAKER, deadlineMs: 50, operations: ["odds"] } });
    await open.resolve();

    const [odds] = [...dk.operations];
    assert.deepEqual([odds?.name, odds?.ok, odds?.isListed], ["odds", 2, true]);
    assert.equal(dk.inFlight, 0);
  });

  test("lists a name that was called without being listed, as it is", () => {
    const clock = new VirtualClock();
    const gear = createSwitchgear({ otherUpstreams: PLAIN, clock });
    const guest = gear.upstream("guest");
    failTimes(guest, 3);
    gear.configure({ guest: PLAIN });

    assert.equal(gear.upstream("guest"), guest);
    assert.equal(guest.isTripped, true);
  });
});

describe("other options of an upstream that stays", () => {
  test("its deadline, classifiers and operations hold from now on", async () => {
    const { gear, clock } = scene({ a: PLAIN });
    const dk = gear.upstream("a");
    gear.configure({
      a: { breaker: BREAKER, deadlineMs: 50, classifyResult: () => "failure" },
    });
    await dk.execute(() => 1);
    assert.equal(dk.status().failureCount, 1);
    const late = dk.execute(() => new Promise(() => {})).catch((error: unknown) => error);
    clock.advance(50);

    assert.match(String(await late), /50 ms/);
  });

  test("a tripped breaker stays tripped under another policy, by whom and since when", () => {
    for (const breaker of [
      latching({ failureThreshold: 100, cooldownMs: 9_000 }),
      slidingWindow({ minimumCalls: 50 }),
      adaptive(),
    ]) {
      const { gear, clock } = scene({ a: PLAIN });
      const dk = gear.upstream("a");
      clock.advance(500);
      dk.trip({ reason: "maintenance", actor: "ann" });
      const { trippedAt } = dk.status();
      clock.advance(500);
      gear.configure({ a: { breaker } });

      const { tripped, manual, trippedAt: since, kind, tripCount } = dk.status();
      assert.deepEqual(
        { tripped, manual, since, kind, tripCount },
        { tripped: true, manual: true, since: trippedAt, kind: breaker.kind, tripCount: 1 },
      );
      assert.equal(dk.tryAcquire().admitted, false);
    }
  });

  test("failures so far count against the new threshold at the next one", () => {
    const { gear } = scene({ a: PLAIN });
    const dk = gear.upstream("a");
    failTimes(dk, 2);
    gear.configure({ a: { breaker: latching({ failureThreshold: 10 }) } });
    failTimes(dk, 7);
    assert.equal(dk.isTripped, false);
    failTimes(dk, 1);

    assert.equal(dk.isTripped, true);
  });

  test("calls of the time before come back to another epoch", async () => {
    const { gear } = scene({ a: PLAIN });
    const dk = gear.upstream("a");
    const open = openCall(dk);
    gear.configure({ a: { breaker: latching({ failureThreshold: 1 }) } });
    await open.reject(new Error("from before"));

    assert.equal(dk.isTripped, false);
    assert.equal(dk.counters.lateFailed, 1);
    timeOut(dk, 2);
    assert.equal(dk.isTripped, true);
  });

  test("the mode of the options holds unless a person gave another", () => {
    const { gear } = scene({ a: PLAIN, b: PLAIN });
    gear.upstream("b").setMode({ mode: "forced-closed", reason: "x" });
    gear.configure({
      a: { breaker: BREAKER, mode: "shadow" },
      b: { breaker: BREAKER, mode: "shadow" },
    });

    assert.equal(gear.upstream("a").mode, "shadow");
    assert.equal(gear.upstream("b").mode, "forced-closed");
  });
});

describe("other endpoints", () => {
  const endpointBreaker = adaptive({ failureThreshold: 1, cooldownMs: 60_000 });
  const withEndpoints = (...urls: (string | { name: string; url: string })[]): UpstreamOptions => ({
    breaker: latching({ failureThreshold: 1000 }),
    endpoints: urls,
    endpointBreaker,
  });

  test("keep the state of those that stay, by name, wherever they are now", () => {
    const { gear } = scene({
      a: withEndpoints({ name: "one", url: "http://1" }, { name: "two", url: "http://2" }),
    });
    const dk = gear.upstream("a");
    const before = dk.endpoints?.endpoints ?? [];
    for (const name of ["one", "two"]) dk.endpoints?.trip(name, { reason: "broken" });
    gear.configure({
      a: withEndpoints(
        { name: "two", url: "http://2" },
        { name: "one", url: "http://elsewhere" },
        { name: "three", url: "http://3" },
      ),
    });

    const states = dk.status().endpoints.map(({ name, url, state }) => [name, url, state]);
    assert.deepEqual(states, [
      ["two", "http://2", "cooling-down"],
      ["one", "http://elsewhere", "cooling-down"],
      ["three", "http://3", "healthy"],
    ]);
    assert.equal(dk.endpoints?.endpoints[0], before[1]);
    const admission = dk.tryAcquire();
    assert.ok(admission.admitted);
    assert.equal(admission.endpoint?.name, "three");
  });

  test("go on counting where they move", async () => {
    const { gear } = scene({ a: withEndpoints({ name: "one", url: "http://1" }) });
    const dk = gear.upstream("a");
    await openCall(dk).resolve();
    const bad = openCall(dk);
    await Promise.all([assert.rejects(bad.promise), bad.reject(new Error("boom"))]);
    const counted = () => dk.meteredEndpoints.map(({ name, ok, failures }) => [name, ok, failures]);
    assert.deepEqual(counted(), [["one", 1, 1]]);
    gear.configure({ a: withEndpoints({ name: "one", url: "http://elsewhere" }) });

    assert.deepEqual(counted(), [["one", 1, 1]]);
  });

  test("may come and go altogether, with calls under way", async () => {
    const { gear } = scene({ a: withEndpoints("http://1") });
    const dk = gear.upstream("a");
    const open = openCall(dk);
    gear.configure({ a: { breaker: BREAKER } });
    assert.deepEqual(dk.status().endpoints, []);
    await open.resolve();
    assert.equal(dk.inFlight, 0);
    gear.configure({ a: withEndpoints("http://1", "http://2") });

    assert.equal(dk.status().endpoints.length, 2);
  });
});
