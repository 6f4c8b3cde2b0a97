// Orders as plain JavaScript, consoles and scripts give them: what is none is refused with a sentence
// before anything has changed, and nothing that is refused unlatches anything.

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { adaptive, createSwitchgear, InvalidOptionsError, latching } from "../../src/index.ts";
import { sqliteStore } from "../../src/store/sqlite.ts";
import { RecordingSink, VirtualClock } from "../../src/testing/index.ts";
import { drop } from "../support/hyper-bun.ts";

/** Whatever a caller without types may hand in. */
// oxlint-disable-next-line typescript/no-explicit-any -- what it stands for
type Wild = any;

const throwing = (): never => {
  throw new Error("no such thing");
};

/** Not orders at all. */
const NO_ORDERS: readonly Wild[] = [null, "text", 7, true, 1n, Symbol("s"), () => ({}), ["x"]];

/** Objects of which a part cannot be read. */
function unreadable(): Wild[] {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const byReason = {
    mode: "shadow",
    force: true,
    get reason() {
      return throwing();
    },
  };
  const byActor = {
    mode: "shadow",
    force: true,
    get actor() {
      return throwing();
    },
  };
  return [proxy, byReason, byActor];
}

/** Values in place of a text: each means the default. */
const NO_TEXTS: readonly Wild[] = [
  "",
  Symbol("s"),
  1n,
  7,
  null,
  {},
  () => "x",
  { toString: throwing, [Symbol.toPrimitive]: throwing },
];

const NO_MODES: readonly Wild[] = [
  undefined,
  null,
  "",
  "forced-open",
  "Normal",
  "constructor",
  "__proto__",
  0,
  Symbol("normal"),
  ["normal"],
  { toString: () => "normal" },
];

function make() {
  const clock = new VirtualClock();
  const breaker = latching();
  const gear = createSwitchgear({
    upstreams: {
      dk: { breaker },
      fd: { breaker },
      lists: { breaker, endpoints: ["http://a", "http://b"], endpointBreaker: adaptive() },
    },
    store: sqliteStore(":memory:", { now: () => clock.now() }),
    clock,
  });
  const sink = new RecordingSink(gear);
  return { gear, clock, sink, dk: gear.upstream("dk"), lists: gear.upstream("lists") };
}

type Made = ReturnType<typeof make>;

/** Everything that an order could have changed. */
function facts({ gear, sink }: Made) {
  return {
    statuses: gear.statuses(),
    counters: structuredClone(gear.upstreams().map(({ counters }) => counters)),
    audits: gear.history(),
    events: sink.events.length,
    store: gear.storeHealth(),
    errors: gear.counters().storeErrors,
  };
}

function refusesUnchanged(made: Made, order: () => unknown, says: RegExp): void {
  const before = facts(made);
  assert.throws(order, (error: unknown) => {
    assert.ok(error instanceof InvalidOptionsError, String(error));
    assert.match(error.message, says);
    return true;
  });
  assert.deepEqual(facts(made), before);
}

test("what is no order is refused with a sentence, and changes nothing", () => {
  const made = make();
  const { dk } = made;
  dk.trip({ reason: "maintenance" });
  for (const wild of NO_ORDERS) {
    refusesUnchanged(made, () => dk.trip(wild), /^trip of dk: it must be given as an object/);
    refusesUnchanged(made, () => dk.reset(wild), /^reset of dk: it must be given as an object/);
    refusesUnchanged(made, () => dk.setMode(wild), /^setMode of dk: it must be given as an object/);
  }
  refusesUnchanged(made, () => dk.setMode(undefined as Wild), /^setMode of dk: it must be given/);
  assert.equal(dk.tryAcquire().admitted, false);
});

test("an order of which a part cannot be read is refused as a whole", () => {
  const made = make();
  const { dk, lists } = made;
  dk.trip();
  for (const wild of unreadable()) {
    refusesUnchanged(made, () => dk.trip(wild), /^trip of dk: .*can(?:not)? be read/);
    refusesUnchanged(made, () => dk.reset(wild), /^reset of dk: .*can(?:not)? be read/);
    refusesUnchanged(made, () => dk.setMode(wild), /^setMode of dk: .*can(?:not)? be read/);
    refusesUnchanged(made, () => lists.endpoints?.trip("http://a", wild), /can(?:not)? be read/);
    refusesUnchanged(made, () => lists.endpoints?.reset("http://a", wild), /can(?:not)? be read/);
    refusesUnchanged(made, () => lists.endpoints?.resetAll(wild), /can(?:not)? be read/);
  }
});

test("a mode that is none is refused with the list of those that are", () => {
  const made = make();
  const { dk } = made;
  dk.trip();
  for (const mode of NO_MODES) {
    refusesUnchanged(
      made,
      () => dk.setMode({ mode, reason: "x" }),
      /^setMode of dk: mode must be one of normal, shadow, forced-closed, not /,
    );
  }
  assert.equal(dk.mode, "normal");
  assert.equal(dk.tryAcquire().admitted, false);
});

test("after a refused order the next trip of any upstream is durable", () => {
  const made = make();
  assert.throws(() => made.dk.setMode({ mode: "forced-open" as Wild }));
  made.gear.upstream("fd").trip({ reason: "dead" });
  assert.equal(made.gear.upstream("fd").status().persisted, true);
  assert.equal(made.gear.storeHealth().ok, true);
});

test("an order is read once: what a second reading would bring is nobody's affair", () => {
  const { lists } = make();
  lists.endpoints?.trip("http://a");
  let readings = 0;
  const once = {
    force: true,
    get reason() {
      readings += 1;
      return readings === 1 ? "well again" : throwing();
    },
  };
  lists.reset(once);
  assert.equal(lists.endpoints?.find("http://a")?.machine.state, "healthy");
  assert.equal(lists.status().lastResetReason, "well again");
});

test("whatever stands in place of a text means the default, endpoints included", () => {
  const { gear, dk, lists } = make();
  for (const wild of NO_TEXTS) {
    dk.trip({ reason: wild, actor: wild });
    dk.reset({ reason: wild, actor: wild, force: true });
    dk.setMode({ mode: "normal", reason: wild, actor: wild });
    assert.deepEqual(
      gear.history({ limit: 3 }).map(({ reason, actor }) => `${reason} by ${actor}`),
      ["Mode set to normal by system", "Manual reset by system", "Manual trip by system"],
    );
    lists.endpoints?.trip("http://a", { reason: wild, actor: wild });
    lists.reset({ reason: wild, actor: wild, force: true });
    assert.equal(lists.endpoints?.find("http://a")?.machine.state, "healthy");
  }
  assert.equal(gear.storeHealth().ok, true);
});

test("only true is force, for endpoints and upstreams", () => {
  const { dk } = make();
  dk.trip();
  for (const force of ["yes", 1, {}, Symbol("s")] as Wild[]) {
    assert.throws(() => dk.reset({ force }), /^ResetDeniedError/);
    assert.equal(dk.isTripped, true);
  }
});

test("a question about the past that is none is the asker's fault, not the store's", () => {
  const made = make();
  for (const limit of [Number.NaN, "5", null, Symbol("s")] as Wild[]) {
    refusesUnchanged(made, () => made.gear.history({ limit }), /^history: limit must be a number/);
  }
  for (const upstream of [5, null, {}, Symbol("s")] as Wild[]) {
    refusesUnchanged(made, () => made.gear.history({ upstream }), /^history: upstream must be a/);
  }
});

test("the drop-in: a reset of nobody by whatever was typed is audited, and holds back no trip", () => {
  const made = drop();
  for (const wild of NO_TEXTS) {
    made.breaker.reset("nobody", { reason: wild, user: wild });
    made.breaker.trip("dk", wild, wild);
  }
  assert.deepEqual(
    made.audits("nobody"),
    NO_TEXTS.map(() => "RESET system Manual reset"),
  );
  assert.deepEqual(
    made.audits("dk"),
    NO_TEXTS.map(() => "TRIP system Manual trip"),
  );
  assert.equal(made.breaker.getStatus("dk")?.persisted, true);
});

test("the drop-in: options that are none, or cannot be read, reset nothing", () => {
  const made = drop({ db: new DatabaseSync(":memory:") });
  made.breaker.trip("dk", "maintenance", "ann");
  const hostile = {
    force: true,
    get user() {
      return throwing();
    },
  };
  for (const wild of [7, true, 1n, Symbol("s"), () => ({}), hostile] as Wild[]) {
    assert.throws(
      () => made.breaker.reset("dk", wild),
      /^InvalidOptionsError: reset: options must/,
    );
    assert.throws(() => made.breaker.reset("nobody", wild), /options must/);
  }
  assert.equal(made.breaker.isTripped("dk"), true);
  assert.deepEqual(made.audits(), ["TRIP ann maintenance"]);
});
