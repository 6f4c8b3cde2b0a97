// Whether a history is whole is asked of the store, and what it answers is read and not believed.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createSwitchgear,
  InvalidOptionsError,
  memoryStore,
  StoreError,
  type Store,
} from "../../../src/index.ts";
import type { FleetStore } from "../../../src/pipeline/fleet-port.ts";
import { makeGear } from "../../support/gear.ts";

/** Whatever a store without types may do. */
// oxlint-disable-next-line typescript/no-explicit-any -- what it stands for
type Wild = any;

const WHOLE = { upstream: "dk", rows: 3, outside: 1, isShortened: true, brokenAt: undefined };
const BROKEN = { ...WHOLE, brokenAt: { row: 2, why: "changed" } };

function storeThat(verify: Wild): Store {
  const store = memoryStore();
  return {
    kind: "own",
    location: "somewhere",
    durable: true,
    load: () => store.load(),
    commit: (change) => store.commit(change),
    history: (query) => store.history(query),
    close: () => store.close(),
    verify,
  };
}

test("a store that keeps no chain has nothing to tell", async () => {
  for (const store of [memoryStore(), storeThat(undefined), storeThat("no function")]) {
    assert.equal(await makeGear({ store }).gear.verifyHistory("dk"), undefined);
  }
});

test("a store's report is handed on, under the name that was asked for", async () => {
  const asked: unknown[] = [];
  for (const report of [WHOLE, BROKEN]) {
    const { gear } = makeGear({
      store: storeThat((name: unknown) => {
        asked.push(name);
        return { ...report, upstream: "another", more: 1 };
      }),
    });
    assert.deepEqual(await gear.verifyHistory("dk"), report);
    const name = "n".repeat(1000);
    const answer = await gear.verifyHistory(name);
    assert.equal(answer?.upstream, asked.at(-1));
    assert.ok(String(asked.at(-1)).length < 300);
  }
  const { outside: _outside, ...without } = WHOLE;
  const { gear } = makeGear({ store: storeThat(() => without) });
  assert.deepEqual(await gear.verifyHistory("dk"), without);
});

const JUNK: readonly Wild[] = [
  undefined,
  null,
  true,
  [],
  {},
  () => WHOLE,
  { ...WHOLE, rows: -1 },
  { ...WHOLE, rows: "3" },
  { ...WHOLE, outside: Number.NaN },
  { ...WHOLE, outside: null },
  { ...WHOLE, isShortened: undefined },
  { ...WHOLE, brokenAt: null },
  { ...WHOLE, brokenAt: "row 3" },
  { ...WHOLE, brokenAt: { row: 2 } },
  { ...WHOLE, brokenAt: { row: 2, why: ["changed"] } },
  { ...WHOLE, brokenAt: { row: -2, why: "" } },
  {
    get rows(): number {
      throw new Error("no");
    },
  },
];

test("junk is no report: nobody is told that a chain is whole, and the fault is counted", async () => {
  const promises: readonly (() => unknown)[] = [
    () => Promise.resolve(WHOLE),
    () => Promise.reject(new Error("later")),
  ];
  const answers = [
    ...JUNK.map((junk) => ["STORE_CONTRACT", () => junk] as const),
    ...promises.map((promise) => ["STORE_ASYNC", promise] as const),
  ];
  for (const [code, answer] of answers) {
    const { gear, sink } = makeGear({ store: storeThat(answer) });
    await assert.rejects(gear.verifyHistory("dk"), { name: "StoreError", storeCode: code });
    const told = sink.of("store-error").map(({ op, code: toldCode }) => `${op} ${toldCode}`);
    assert.deepEqual(told, [`history ${code}`]);
  }
  const { gear } = makeGear({
    store: storeThat(() => ({ ...WHOLE, brokenAt: { row: 1, why: "w".repeat(1e6) } })),
  });
  assert.ok(((await gear.verifyHistory("dk"))?.brokenAt?.why.length ?? 0) < 10_000);
});

test("what a store throws is counted, told and thrown as a store's error", async () => {
  const own = new StoreError("SQLITE_BUSY", "locked");
  for (const [thrown, code] of [
    [own, "SQLITE_BUSY"],
    [new Error("odd"), "UNKNOWN"],
    ["text", "UNKNOWN"],
    [undefined, "UNKNOWN"],
  ] as const) {
    const { gear, sink } = makeGear({
      store: storeThat(() => {
        // oxlint-disable-next-line typescript/only-throw-error -- what a stranger may do
        throw thrown;
      }),
    });
    await assert.rejects(gear.verifyHistory("dk"), (error) => {
      assert.ok(error instanceof StoreError);
      assert.equal(error.storeCode, code);
      assert.equal(thrown === own ? error : error.cause, thrown);
      return true;
    });
    assert.equal(gear.counters().storeErrors[0]?.count, 1);
    assert.equal(sink.of("store-error")[0]?.op, "history");
    // It says nothing of what is written.
    assert.equal(gear.storeHealth().ok, true);
  }
});

test("whoever asks from inside of the store's own methods is answered when they are done", async () => {
  let isCommitting = false;
  const answers: Promise<unknown>[] = [];
  const store = storeThat(() => {
    assert.equal(isCommitting, false);
    return WHOLE;
  });
  const { gear, dk } = makeGear({
    store: {
      ...store,
      commit: (change) => {
        isCommitting = true;
        answers.push(gear.verifyHistory("dk"));
        store.commit(change);
        isCommitting = false;
      },
    },
  });
  dk.trip();
  assert.equal(answers.length, 1);
  assert.deepEqual(await Promise.all(answers), [WHOLE]);
});

test("a name that is none is refused, and is no fault of the store's", async () => {
  const { gear } = makeGear({ store: storeThat(() => WHOLE) });
  for (const name of ["", undefined, 7, {}] as Wild[]) {
    await assert.rejects(gear.verifyHistory(name), (error) => {
      assert.ok(error instanceof InvalidOptionsError);
      assert.match(error.message, /upstream must be a name, not/);
      return true;
    });
  }
  assert.equal(gear.storeHealth().lastError, null);
});

test("a fleet's store is asked in its own way", async () => {
  const asked: string[] = [];
  const none = (): Promise<never[]> => Promise.resolve([]);
  const store: FleetStore = {
    kind: "own",
    location: "somewhere",
    replica: "a",
    open: () => {},
    commit: () => Promise.reject(new Error("away")),
    read: none,
    restore: async () => {},
    confirm: () => {},
    turn: () => Promise.resolve(0),
    present: none,
    history: none,
    verify: (upstream) => {
      asked.push(upstream);
      return upstream === "dk" ? Promise.resolve(BROKEN) : Promise.reject(new Error("away"));
    },
    close: async () => {},
  };
  const gear = createSwitchgear({ store });
  assert.deepEqual(await gear.verifyHistory("dk"), BROKEN);
  await assert.rejects(gear.verifyHistory("fd"), /away/);
  assert.deepEqual(asked, ["dk", "fd"]);
  await gear.close();
});
