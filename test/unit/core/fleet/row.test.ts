// Whose order counts: as a table, and as laws over any rows.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PRISTINE_LATCHING } from "../../../../src/core/breaker/snapshot.ts";
import {
  compareBreakers,
  compareModes,
  compareOrders,
  earlier,
  hasMore,
  isBehind,
  isInForce,
  mergeRows,
  nextVersion,
  NOTHING_SEEN,
  replicaOf,
  seenOf,
  versionOf,
  type BreakerPart,
  type FleetRow,
  type Order,
} from "../../../../src/core/fleet/row.ts";

/** Plain objects, as rows are. */
const PLAIN = { noNullPrototype: true };

const EMPTY: FleetRow = { upstream: "dk", breaker: undefined, mode: undefined };

const order: fc.Arbitrary<Order> = fc.record(
  {
    id: fc.constantFrom("r0/1", "r0/2", "r1/1"),
    version: fc.integer({ min: 1, max: 4 }),
    isTrip: fc.boolean(),
  },
  PLAIN,
);

const part: fc.Arbitrary<BreakerPart> = fc
  .record({ person: fc.option(order, { nil: undefined }), order })
  .map(({ person, order: newest }) => ({
    person,
    order: newest,
    // The same orders leave the same state.
    snapshot: { ...PRISTINE_LATCHING, lastError: JSON.stringify([person, newest]) },
  }));

const row: fc.Arbitrary<FleetRow> = fc.record(
  {
    upstream: fc.constant("dk"),
    breaker: fc.option(part, { nil: undefined }),
    mode: fc.option(
      order.map((one) => ({
        order: { ...one, isTrip: false },
        mode: "shadow" as const,
        at: one.version,
      })),
      { nil: undefined },
    ),
  },
  PLAIN,
);

test("what several know together does not depend on the sequence, nor on how often it is told", () => {
  fc.assert(
    fc.property(row, row, row, (a, b, c) => {
      assert.deepEqual(mergeRows(a, b), mergeRows(b, a));
      assert.deepEqual(mergeRows(mergeRows(a, b), c), mergeRows(a, mergeRows(b, c)));
      assert.deepEqual(mergeRows(a, a), a);
      assert.deepEqual(mergeRows(mergeRows(a, b), b), mergeRows(a, b));
      assert.deepEqual(mergeRows(EMPTY, a), a);
    }),
  );
});

test("knowing more never lets anything count for less, and lacks nothing", () => {
  fc.assert(
    fc.property(row, row, (a, b) => {
      const both = mergeRows(a, b);
      assert.ok(compareBreakers(both.breaker, a.breaker) >= 0);
      assert.ok(compareModes(both.mode, a.mode) >= 0);
      assert.equal(hasMore(a, both), false);
      assert.equal(hasMore(a, undefined), a.breaker !== undefined || a.mode !== undefined);
      assert.equal(hasMore(both, a), JSON.stringify(both) !== JSON.stringify(a));
    }),
  );
});

test("orders stand in one line", () => {
  const maybe = fc.option(order, { nil: undefined });
  fc.assert(
    fc.property(maybe, maybe, maybe, (a, b, c) => {
      assert.equal(Math.sign(compareOrders(a, b)), -Math.sign(compareOrders(b, a)) + 0);
      if (compareOrders(a, b) >= 0 && compareOrders(b, c) >= 0) {
        assert.ok(compareOrders(a, c) >= 0);
      }
      if (compareOrders(a, b) === 0) assert.deepEqual(a, b);
    }),
  );
});

test("a person's order counts more than any number that breakers gave without it", () => {
  const person = { id: "r0/1", version: 5, isTrip: false };
  const byItself = { id: "r1/9", version: 9, isTrip: true };
  const snapshot = PRISTINE_LATCHING;
  const ordered = { person, order: person, snapshot };
  const unaware = { person: { ...person, version: 4 }, order: byItself, snapshot };
  assert.ok(compareBreakers(ordered, unaware) > 0);
  assert.ok(compareBreakers({ ...unaware, person }, ordered) > 0);
});

test("of two orders with one version the trip counts, else the greater id", () => {
  const trip = { id: "a", version: 3, isTrip: true };
  const reset = { id: "b", version: 3, isTrip: false };
  assert.ok(compareOrders(trip, reset) > 0);
  assert.ok(compareOrders(reset, trip) < 0);
  assert.ok(compareOrders({ ...trip, id: "b" }, trip) > 0);
  assert.ok(compareOrders(trip, { ...trip, id: "b" }) < 0);
  assert.equal(compareOrders(trip, { ...trip }), 0);
});

/** As stored: whose order is the newest, of which kind, and which versions whoever orders has seen. */
const CASES: readonly (readonly [
  stored:
    | "nothing"
    | "person's trip"
    | "person's reset"
    | "own trip"
    | "own recovery"
    | "trip since reset",
  given: "trip" | "reset" | "own trip" | "own recovery",
  seen: readonly [person: number, order: number],
  isInForce: boolean,
])[] = [
  ["nothing", "trip", [0, 0], true],
  ["nothing", "reset", [0, 0], true],
  ["nothing", "own trip", [0, 0], true],
  ["nothing", "own recovery", [0, 0], true],
  ["person's trip", "trip", [0, 0], true],
  ["person's trip", "reset", [0, 0], false],
  ["person's trip", "reset", [1, 1], false],
  ["person's trip", "reset", [2, 2], true],
  ["person's trip", "own trip", [0, 0], false],
  ["person's trip", "own recovery", [1, 1], false],
  ["person's reset", "trip", [0, 0], true],
  ["person's reset", "reset", [0, 0], true],
  ["person's reset", "own trip", [0, 0], false],
  ["person's reset", "own trip", [1, 9], false],
  ["person's reset", "own trip", [2, 2], true],
  ["own trip", "trip", [0, 0], true],
  ["own trip", "reset", [0, 0], true],
  ["own trip", "own trip", [0, 0], false],
  ["own trip", "own trip", [0, 2], true],
  ["own trip", "own recovery", [0, 1], false],
  ["own trip", "own recovery", [0, 2], true],
  ["own recovery", "own trip", [0, 0], true],
  ["own recovery", "own recovery", [0, 0], false],
  ["own recovery", "own recovery", [0, 2], true],
  ["trip since reset", "reset", [0, 0], true],
  ["trip since reset", "own recovery", [1, 1], false],
  ["trip since reset", "own recovery", [1, 2], true],
  ["trip since reset", "own trip", [0, 2], false],
];

test("an order is in force as the table says", () => {
  const snapshot = PRISTINE_LATCHING;
  const storedAs: Readonly<Record<(typeof CASES)[number][0], BreakerPart | undefined>> = {
    nothing: undefined,
    "person's trip": byPerson(true),
    "person's reset": byPerson(false),
    "own trip": { person: undefined, order: { id: "x", version: 2, isTrip: true }, snapshot },
    "own recovery": { person: undefined, order: { id: "x", version: 2, isTrip: false }, snapshot },
    "trip since reset": {
      person: { id: "p", version: 1, isTrip: false },
      order: { id: "x", version: 2, isTrip: true },
      snapshot,
    },
  };
  for (const [stored, given, [person, newest], expected] of CASES) {
    const isInForceNow = isInForce(storedAs[stored], {
      isByPerson: !given.startsWith("own"),
      isTrip: given.endsWith("trip"),
      seen: { person, order: newest, mode: 0 },
    });
    assert.equal(isInForceNow, expected, `${given} over ${stored}, seen ${person}, ${newest}`);
  }
});

function byPerson(isTrip: boolean): BreakerPart {
  const newest = { id: "p", version: 2, isTrip };
  return { person: newest, order: newest, snapshot: PRISTINE_LATCHING };
}

test("an order that is taken is the newest of all that the store and its giver have seen", () => {
  const seen = fc.record({ person: fc.nat(9), order: fc.nat(9), mode: fc.nat(9) });
  fc.assert(
    fc.property(fc.option(row, { nil: undefined }), seen, (stored, known) => {
      const version = nextVersion(stored, known);
      assert.ok(version > versionOf(stored));
      assert.ok(version > Math.max(known.person, known.order, known.mode));
      const { person, order: newest, mode } = seenOf(stored);
      const all = [person, newest, mode, known.person, known.order, known.mode];
      assert.equal(version, Math.max(...all) + 1);
    }),
  );
});

test("what is in force counts more than what was stored, whoever merges it", () => {
  const seenBy = fc.record({ person: fc.nat(4), order: fc.nat(4), mode: fc.nat(4) });
  fc.assert(
    fc.property(row, seenBy, fc.boolean(), fc.boolean(), (stored, seen, isByPerson, isTrip) => {
      // As the store has it: a person's order was the newest of all when it was given.
      fc.pre((stored.breaker?.person?.version ?? 0) <= (stored.breaker?.order.version ?? 0));
      if (!isInForce(stored.breaker, { isByPerson, isTrip, seen })) return;
      const given = { id: "r9/1", version: nextVersion(stored, seen), isTrip };
      const person = isByPerson ? given : stored.breaker?.person;
      const taken = { person, order: given, snapshot: PRISTINE_LATCHING };
      assert.ok(compareBreakers(taken, stored.breaker) > 0);
    }),
  );
});

test("a store is behind when it lacks any part of what was seen", () => {
  const stored = { ...EMPTY, breaker: byPerson(true) };
  assert.equal(isBehind(undefined, NOTHING_SEEN), false);
  assert.equal(isBehind(stored, { person: 2, order: 2, mode: 0 }), false);
  assert.equal(isBehind(stored, { person: 3, order: 2, mode: 0 }), true);
  assert.equal(isBehind(stored, { person: 2, order: 3, mode: 0 }), true);
  assert.equal(isBehind(stored, { person: 2, order: 2, mode: 1 }), true);
});

test("two have seen what both have", () => {
  const a = { person: 1, order: 5, mode: 3 };
  const b = { person: 2, order: 4, mode: 3 };
  assert.deepEqual(earlier(a, b), { person: 1, order: 4, mode: 3 });
  assert.deepEqual(earlier(a, NOTHING_SEEN), NOTHING_SEEN);
});

test("a row's version is the newest of its parts", () => {
  const mode = { order: { id: "m", version: 7, isTrip: false }, mode: "shadow" as const, at: 0 };
  assert.equal(versionOf(undefined), 0);
  assert.equal(versionOf(EMPTY), 0);
  assert.equal(versionOf({ ...EMPTY, mode }), 7);
  assert.equal(versionOf({ ...EMPTY, mode, breaker: byPerson(true) }), 7);
  assert.deepEqual(seenOf({ ...EMPTY, mode, breaker: byPerson(true) }), {
    person: 2,
    order: 2,
    mode: 7,
  });
});

test("an order's id names the replica that gave it; of one that nobody here can have given, nobody", () => {
  assert.deepEqual(["gateway-1/k3:7", "/k3:7", "other"].map(replicaOf), ["gateway-1", "", ""]);
});
