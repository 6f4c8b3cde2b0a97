// Which of all orders the breaker here is as.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PRISTINE_LATCHING } from "../../../../src/core/breaker/snapshot.ts";
import { NOTHING_SEEN, seenOf, type FleetRow } from "../../../../src/core/fleet/row.ts";
import type { Persisted } from "../../../../src/pipeline/breaker/persisted.ts";
import { Known } from "../../../../src/pipeline/fleet/known.ts";
import type { Entry } from "../../../../src/pipeline/fleet/pending.ts";

const snapshot = PRISTINE_LATCHING;

function order(id: string, isTrip = true): Entry {
  const breaker = { isByPerson: true, isTrip, snapshot, reporters: 1 };
  return { ...blank(id), breaker };
}

function mode(id: string): Entry {
  return { ...blank(id), mode: { mode: "shadow", at: 0 } };
}

function blank(id: string): Entry {
  const state = { breaker: undefined, mode: undefined };
  return {
    id,
    place: 1,
    isByPerson: true,
    seen: NOTHING_SEEN,
    ...state,
    audits: [],
    isSent: false,
  };
}

function rowOf(id: string, version: number, isTrip = true): FleetRow {
  const newest = { id, version, isTrip };
  const breaker = { person: newest, order: newest, snapshot };
  return { upstream: "dk", breaker, mode: undefined };
}

function modeRow(id: string, version: number): FleetRow {
  const newest = { id, version, isTrip: false };
  return { upstream: "dk", breaker: undefined, mode: { order: newest, mode: "shadow", at: 0 } };
}

function follower(): { readonly breaker: Persisted; readonly taken: string[] } {
  const taken: string[] = [];
  const breaker: Persisted = {
    name: "dk",
    isTripped: false,
    mode: "normal",
    isSaved: false,
    reporters: 1,
    probesAt: null,
    epoch: 0,
    postpone: () => {},
    toStored: () => ({ upstream: "dk", mode: "normal", snapshot }),
    saved: () => {},
    notSaved: () => {},
    takeOver: (part) => void taken.push(part.order.id),
    takeMode: (part) => void taken.push(part.order.id),
    announce: () => {},
  };
  return { breaker, taken };
}

test("takes over what others ordered, once", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  for (const row of [rowOf("a", 1), rowOf("a", 1), modeRow("m", 2), modeRow("m", 2)]) {
    known.learn(row);
    known.takeOver(breaker);
  }
  assert.deepEqual(taken, ["a", "m"]);
  known.begin();
  known.takeOver(breaker);
  assert.deepEqual(taken, ["a", "m", "a", "m"]);
});

test("what was ordered here is in force here already", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  known.give(order("own"));
  known.give(mode("own mode"));
  for (const row of [rowOf("own", 1), modeRow("own mode", 2)]) {
    known.learn(row);
    known.takeOver(breaker);
  }
  assert.deepEqual(taken, []);
});

test("a mode that waits is newer than any that is stored", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  known.give(mode("own"));
  known.learn(modeRow("other", 5));
  known.takeOver(breaker);
  assert.deepEqual([taken, known.follows("other")], [[], false]);
  known.pending.remove("own");
  known.takeOver(breaker);
  assert.deepEqual([taken, known.follows("other")], [["other"], true]);
});

test("what counts for less is withdrawn, and told; what counts for more stays", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  known.give(order("reset", false));
  known.learn(rowOf("other", 1));
  assert.deepEqual(known.takeOver(breaker), ["reset"]);
  assert.deepEqual([taken, known.pending.holdsState], [["other"], false]);

  const tripped = new Known("dk");
  tripped.give(order("trip"));
  tripped.learn(rowOf("other", 1, false));
  assert.deepEqual(tripped.takeOver(breaker), []);
  assert.deepEqual([tripped.pending.holdsState, tripped.follows("other")], [true, false]);
});

test("what is known to be stored outweighs nothing that came after it", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  known.give({ ...order("own"), isSent: true });
  known.learn(rowOf("own", 1));
  known.learn(rowOf("other", 2, false));
  known.takeOver(breaker);
  assert.deepEqual(taken, ["other"]);
});

test("a breaker is saved when nothing waits that concerns its state", () => {
  const known = new Known("dk");
  const { breaker } = follower();
  known.give(order("trip"));
  known.takeOver(breaker);
  assert.equal(breaker.isSaved, false);
  known.pending.remove("trip");
  known.takeOver(breaker);
  assert.equal(breaker.isSaved, true);
});

test("where there is no breaker nothing is taken over, and all of it by one that is made later", () => {
  const known = new Known("dk");
  const { breaker, taken } = follower();
  known.learn(rowOf("a", 1));
  known.learn(modeRow("m", 2));
  known.takeOver(undefined);
  known.takeOver(breaker);
  assert.deepEqual(taken, ["a", "m"]);
});

test("of two orders with one version what was given before knew nothing of the other", () => {
  const known = new Known("dk");
  known.learn(rowOf("a", 3));
  known.give({ ...order("reset", false), seen: seenOf(known.row) });
  known.learn(rowOf("a", 3));
  assert.deepEqual(known.pending.first?.seen, { person: 3, order: 3, mode: 0 });
  known.learn(rowOf("b", 3));
  assert.deepEqual(known.pending.first?.seen, { person: 2, order: 2, mode: 0 });
  assert.equal(known.row.breaker?.order.id, "b");
});
