// A store that a host wrote and that breaks the contract loses no trip, unlatches nothing, throws at no
// caller, and ends no process.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  createSwitchgear,
  InvalidOptionsError,
  latching,
  type Store,
  type Switchgear,
} from "../../../src/index.ts";
import { RecordingSink, VirtualClock } from "../../../src/testing/index.ts";
import { makeGear, type TestGear } from "../../support/gear.ts";

/** Whatever a store without types may do. */
// oxlint-disable-next-line typescript/no-explicit-any -- what it stands for
type Wild = any;

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
process.on("unhandledRejection", note);
after(() => process.off("unhandledRejection", note));

/** Rejections are told a turn later. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function wildStore(own: Wild = {}): Wild {
  return {
    kind: "own",
    location: "somewhere",
    durable: true,
    load: () => [],
    commit: () => {},
    history: () => [],
    close: () => {},
    ...own,
  };
}

function make(own: Wild, clock = new VirtualClock()): TestGear {
  return makeGear({ store: wildStore(own) as Store, clock });
}

function trippedRow(upstream: Wild, more: Wild = {}): Wild {
  return {
    upstream,
    mode: "normal",
    snapshot: { version: 1, kind: "latching", tripped: true, trippedAt: 1, tripCount: 1 },
    ...more,
  };
}

/** What may stand where something else should. */
const JUNK: readonly Wild[] = [
  undefined,
  null,
  0,
  "rows",
  Symbol("s"),
  {},
  () => [],
  new Map(),
  { length: 2 },
  Promise.resolve([]),
];

const refusing = (message = "not today"): Promise<never> => Promise.reject(new Error(message));

test("a commit that answers with a promise is not called durable, said once, and ends no process", async () => {
  const given: Wild[] = [];
  const { gear, dk, clock, sink } = make({
    commit: (change: Wild) => {
      given.push(change);
      return refusing();
    },
  });
  dk.trip({ reason: "dead" });
  gear.upstream("fd").trip({ reason: "dead, too" });
  await settled();
  assert.deepEqual(unhandled, []);
  assert.equal(dk.status().persisted, false);
  assert.equal(gear.upstream("fd").status().persisted, false);
  assert.equal(gear.storeHealth().ok, false);
  assert.equal(gear.storeHealth().pending, 2);
  assert.match(gear.storeHealth().lastError ?? "", /^STORE_ASYNC: commit of somewhere answered/);
  assert.equal(dk.tryAcquire().admitted, false);
  clock.advance(3_600_000);
  assert.equal(given.length, 2, "trying again would change nothing");
  assert.deepEqual(
    sink.of("store-error").map(({ op, code }) => `${op} ${code}`),
    ["commit STORE_ASYNC"],
  );
  // Each audit was handed over once: whether it was written is not known, and twice would be wrong.
  assert.deepEqual(
    given.flatMap(({ audits }) => audits.map(({ upstream }: Wild) => upstream)),
    ["dk", "fd"],
  );
  assert.deepEqual(
    gear.history().map(({ upstream }) => upstream),
    ["fd", "dk"],
  );
  await gear.close();
});

test("thenables of all sorts are promises, too", async () => {
  const withThen = (then: PropertyDescriptor, on: Wild = {}): Wild =>
    // oxlint-disable-next-line unicorn/no-thenable -- what it is about
    Object.defineProperty(on, "then", then);
  const raise = (): never => {
    throw new Error("no");
  };
  const thenables: Wild[] = [
    withThen({
      value: (_ok: unknown, failed: (error: unknown) => void) => failed(new Error("no")),
    }),
    withThen({ value: raise }),
    withThen({ get: raise }),
    withThen({ value: () => refusing() }),
    withThen({ value: () => refusing() }, () => {}),
  ];
  for (const thenable of thenables) {
    const { dk, gear } = make({ commit: () => thenable });
    dk.trip();
    assert.equal(dk.status().persisted, false);
    assert.match(gear.storeHealth().lastError ?? "", /^STORE_ASYNC/);
  }
});

test("every method may reject, and nothing reaches the process", async () => {
  unhandled.length = 0;
  for (const method of ["load", "commit", "poll", "history", "close"]) {
    const { gear, dk, clock, sink } = make({ [method]: () => refusing(method) });
    clock.advance(1000);
    dk.trip({ reason: "dead" });
    gear.statuses();
    assert.deepEqual(
      gear.history().filter(({ upstream }) => upstream === "fd"),
      [],
    );
    assert.equal(dk.tryAcquire().admitted, false);
    await gear.close();
    await settled();
    assert.deepEqual(unhandled, [], method);
    assert.deepEqual(
      sink.of("store-error").map(({ op, code }) => `${op} ${code}`),
      [`${method} STORE_ASYNC`],
    );
    assert.equal(gear.counters().storeErrors.find(({ op }) => op === method)?.code, "STORE_ASYNC");
  }
});

test("what is loaded and is no list is no state: nothing is written over it", () => {
  for (const junk of JUNK) {
    const commits: Wild[] = [];
    const { gear, dk } = make({ load: () => junk, commit: (change: Wild) => commits.push(change) });
    dk.trip();
    assert.equal(commits.length, 0);
    assert.equal(dk.status().persisted, false);
    assert.equal(gear.storeHealth().ok, false);
    assert.match(
      gear.storeHealth().lastError ?? "",
      /^STORE_(?:CONTRACT: load of somewhere must|ASYNC)/,
    );
    assert.equal(dk.tryAcquire().admitted, false);
  }
});

test("rows that cannot be read cost the others no trip", () => {
  const hostile = {
    mode: "normal",
    snapshot: {},
    get upstream() {
      throw new Error("no");
    },
  };
  const fickle = trippedRow("fickle", {
    snapshot: {
      get tripped() {
        throw new Error("no");
      },
    },
  });
  const rows: Wild[] = [
    null,
    undefined,
    7,
    "dk",
    hostile,
    fickle,
    trippedRow(5),
    trippedRow(""),
    trippedRow(Symbol("s")),
    trippedRow(null),
    trippedRow("dk"),
    trippedRow("__proto__"),
    trippedRow("constructor"),
  ];
  const { gear } = make({ load: () => rows });
  for (const name of ["dk", "__proto__", "constructor"]) {
    assert.equal(gear.upstream(name).isTripped, true, name);
    assert.equal(gear.upstream(name).tryAcquire().admitted, false, name);
  }
  assert.equal(gear.upstream("fd").isTripped, false);
  assert.equal(gear.upstream("toString").isTripped, false);
  assert.match(gear.storeHealth().lastError ?? "", /^STORE_CONTRACT: load .*: 10 of 13 rows/);
  assert.equal(gear.storeHealth().ok, true);
});

test("a row without a state keeps refusing, and a mode that is none is normal", () => {
  for (const snapshot of [undefined, null, 5, "tripped", {}, []] as Wild[]) {
    const { gear, dk } = make({ load: () => [{ upstream: "dk", mode: "forced-open", snapshot }] });
    assert.equal(dk.isTripped, true);
    assert.equal(dk.mode, "normal");
    assert.equal(dk.tryAcquire().admitted, false);
    assert.equal(gear.upstream("fd").isTripped, false);
  }
});

test("wild values in a row are made harmless, and the breaker that has them is still a breaker", () => {
  const wild: Wild[] = [Number.NaN, -1, "x", Symbol("s"), {}, 1n, Number.POSITIVE_INFINITY];
  for (const value of wild) {
    const snapshot = {
      kind: value,
      tripped: false,
      failureCount: value,
      tripCount: value,
      trippedAt: value,
      lastError: value,
      avgLatencyMs: value,
      lastResetAt: value,
      lastResetBy: value,
    };
    const { gear, dk } = make({
      load: () => [{ upstream: "dk", mode: value, modeAt: value, snapshot }],
    });
    assert.equal(dk.mode, "normal");
    for (let n = 0; n < 10; n += 1) dk.record({ outcome: "failed" });
    assert.equal(dk.isTripped, true);
    assert.equal(dk.status().persisted, true);
    assert.ok(JSON.stringify(gear.statuses()));
  }
});

test("of two rows of one name the newer order counts, wherever it stands", () => {
  const older = {
    upstream: "dk",
    mode: "normal",
    snapshot: { kind: "latching", tripped: false, lastResetAt: 500, lastResetBy: "ann" },
  };
  const newer = trippedRow("dk", {
    snapshot: { kind: "latching", tripped: true, manual: true, trippedAt: 900 },
  });
  for (const rows of [
    [older, newer],
    [newer, older],
  ]) {
    const { dk } = make({ load: () => rows }, new VirtualClock(1000));
    assert.equal(dk.isTripped, true);
  }
});

test("a poll that brings junk keeps nothing from being written, and is said once", () => {
  for (const junk of JUNK.filter((each) => each !== undefined && each !== null)) {
    const { gear, dk, clock, sink } = make({ poll: () => junk });
    for (let n = 0; n < 5; n += 1) {
      clock.advance(1000);
      gear.statuses();
    }
    dk.trip();
    assert.equal(dk.status().persisted, true);
    assert.equal(gear.storeHealth().ok, true);
    assert.equal(sink.of("store-error").length, 1);
  }
});

test("a poll that brings rows of all sorts moves only those that can be read", () => {
  let polled: Wild;
  const { gear, dk, clock } = make({ poll: () => polled }, new VirtualClock(10_000));
  polled = [null, trippedRow(7), { upstream: "fd" }, trippedRow("dk")];
  clock.advance(1000);
  gear.statuses();
  assert.equal(dk.isTripped, true);
  assert.equal(gear.storeHealth().ok, true);
});

test("a history of junk, or of more than was asked for, is cut to what can be shown", () => {
  const entry = { upstream: "dk", action: "TRIP", reason: "r", actor: "a", at: 1, forced: false };
  for (const junk of JUNK) {
    const { gear } = make({ history: () => junk });
    assert.deepEqual(gear.history(), []);
  }
  const rows: Wild[] = [
    null,
    entry,
    { ...entry, action: "EXPLODE" },
    { ...entry, upstream: {} },
    { ...entry, reason: 5, actor: null, at: "x", forced: "yes" },
    ...Array.from({ length: 5000 }, () => entry),
  ];
  const { gear } = make({ history: () => rows });
  assert.deepEqual(gear.history({ limit: 5 }), [
    entry,
    { upstream: "dk", action: "TRIP", reason: "", actor: "unknown", at: 0, forced: false },
  ]);
  assert.equal(gear.history({ limit: 1000 }).length, 997);
});

test("whatever a store throws, a trip holds and its caller sees nothing of it", () => {
  const thrown: Wild[] = [
    undefined,
    null,
    Symbol("s"),
    1n,
    "text",
    Object.freeze(new Error("frozen")),
    Object.freeze({}),
    {
      get message() {
        throw new Error("no");
      },
      get storeCode() {
        throw new Error("no");
      },
    },
    { storeCode: Symbol("code"), message: {}, concerns: "all" },
    { storeCode: "STALE" },
    Proxy.revocable({}, {}).proxy,
    (() => {
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      return proxy;
    })(),
  ];
  for (const error of thrown) {
    const raise = (): never => {
      throw error;
    };
    const { gear, dk, clock } = make({ commit: raise, poll: raise, history: raise, close: raise });
    dk.trip({ reason: "dead" });
    clock.advance(100_000);
    assert.equal(dk.tryAcquire().admitted, false);
    assert.equal(dk.status().persisted, false);
    assert.equal(typeof gear.storeHealth().lastError, "string");
    assert.equal(gear.history().length, 1);
    const early = make({ load: raise });
    assert.equal(early.dk.tryAcquire().admitted, true);
    assert.equal(early.gear.storeHealth().ok, false);
  }
});

test("a store that makes a new code for each failure does not grow the metrics", () => {
  let n = 0;
  const { gear, dk } = make({
    commit: () => {
      n += 1;
      throw Object.assign(new Error("no"), { storeCode: `E${n}` });
    },
  });
  for (let trips = 0; trips < 500; trips += 1) dk.trip();
  const { storeErrors } = gear.counters();
  assert.equal(storeErrors.length, 101);
  assert.equal(
    storeErrors.reduce((sum, { count }) => sum + count, 0),
    500,
  );
});

test("a store that calls back into its registry hangs nobody, and what it orders is written", () => {
  let gear: Switchgear | undefined;
  const rows = new Map<string, Wild>();
  let depth = 0;
  let deepest = 0;
  const callBack = (name: string): void => {
    depth += 1;
    deepest = Math.max(deepest, depth);
    if (depth > 20) throw new Error("no end of it");
    gear?.history();
    gear?.statuses();
    gear?.flush();
    if (gear?.upstream(name).isTripped === false)
      gear.upstream(name).trip({ reason: "from inside" });
    depth -= 1;
  };
  const store = wildStore({
    commit: ({ breakers }: Wild) => {
      callBack("fd");
      for (const breaker of breakers) rows.set(breaker.upstream, breaker);
      callBack("dk");
    },
    poll: () => callBack("polled"),
    history: () => {
      callBack("asked");
      return [];
    },
  });
  const clock = new VirtualClock();
  const breaker = latching();
  gear = createSwitchgear({
    upstreams: { dk: { breaker } },
    otherUpstreams: { breaker },
    store,
    clock,
  });
  gear.upstream("dk").record({ outcome: "failed" });
  clock.advance(60_000);
  gear.history();
  clock.advance(60_000);
  for (const name of ["dk", "fd", "polled", "asked"]) {
    assert.equal(gear.upstream(name).isTripped, true, name);
    assert.equal(rows.get(name)?.snapshot.tripped, true, name);
    assert.equal(gear.upstream(name).status().persisted, true, name);
  }
  assert.equal(deepest, 1, "it is asked nothing while it answers");
});

test("what a store orders while it writes is not called stored by that write", () => {
  let gear: Switchgear | undefined;
  let isFirst = true;
  const store = wildStore({
    commit: () => {
      if (isFirst) {
        isFirst = false;
        gear?.upstream("dk").trip({ reason: "from inside" });
      }
    },
  });
  const clock = new VirtualClock();
  gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } }, store, clock });
  const dk = gear.upstream("dk");
  dk.record({ outcome: "failed" });
  assert.equal(dk.isTripped, true);
  assert.equal(dk.status().persisted, false);
  clock.advance(250);
  assert.equal(dk.status().persisted, true);
});

test("a store's own words about itself are texts, whatever they are", () => {
  const getter = {
    get kind() {
      throw new Error("no");
    },
    get location() {
      throw new Error("no");
    },
    get durable() {
      throw new Error("no");
    },
    get recoveredFrom() {
      throw new Error("no");
    },
  };
  const odd = { kind: Symbol("s"), location: {}, durable: "yes", recoveredFrom: 5 };
  for (const own of [getter, odd]) {
    const store = Object.defineProperties(wildStore(), Object.getOwnPropertyDescriptors(own));
    const { gear, dk } = makeGear({ store: store as Store });
    const { kind, location } = gear.storeHealth();
    assert.deepEqual([kind, location], ["unknown", "unknown"]);
    dk.trip();
    assert.equal(dk.isTripped, true);
    assert.ok(JSON.stringify(gear.storeHealth()));
  }
});

test("closing survives a store that throws, and is over", async () => {
  const clock = new VirtualClock();
  const { gear, sink, dk } = make(
    {
      close: () => {
        throw new Error("stuck");
      },
    },
    clock,
  );
  dk.trip();
  await gear.close();
  assert.deepEqual(
    sink.of("store-error").map(({ op, message }) => `${op} ${message}`),
    ["close stuck"],
  );
  assert.equal(clock.pendingTimers, 0);
});

test("what is no store at all is refused with a sentence", () => {
  for (const store of [
    {},
    5,
    "file.db",
    () => ({}),
    { ...wildStore(), commit: "later" },
  ] as Wild[]) {
    assert.throws(
      () => createSwitchgear({ upstreams: {}, store }),
      (error: unknown) =>
        error instanceof InvalidOptionsError &&
        /store must be a store, with the methods load, commit, history, close, not/.test(
          error.message,
        ),
    );
  }
});

test("a listener of a store's error may order, and what it orders is written", () => {
  let isBroken = true;
  const { gear, dk, clock } = make({
    commit: () => {
      if (isBroken) throw new Error("no");
    },
  });
  const sink = new RecordingSink(gear);
  gear.on("store-error", () => gear.upstream("fd").trip({ reason: "to be safe" }));
  dk.trip();
  isBroken = false;
  clock.advance(30_000);
  assert.equal(gear.upstream("fd").status().persisted, true);
  assert.equal(sink.of("store-recovered").length, 1);
});
