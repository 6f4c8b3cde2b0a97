// What waits for the store: what becomes of it when more is ordered, and when others' orders arrive.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PRISTINE_LATCHING } from "../../../../src/core/breaker/snapshot.ts";
import { NOTHING_SEEN, type FleetRow } from "../../../../src/core/fleet/row.ts";
import { Pending, type Entry } from "../../../../src/pipeline/fleet/pending.ts";
import type { AuditEntry } from "../../../../src/pipeline/ports.ts";

type What = "trip" | "reset" | "own trip" | "own recovery" | "mode" | "note";

const snapshot = PRISTINE_LATCHING;

function entry(id: string, what: What): Entry {
  const isByPerson = what === "trip" || what === "reset";
  const isOrder = what !== "mode" && what !== "note";
  return {
    id,
    place: Number(id),
    isByPerson: isByPerson || what === "mode",
    seen: NOTHING_SEEN,
    breaker: isOrder
      ? { isByPerson, isTrip: what.endsWith("trip"), snapshot, reporters: 1 }
      : undefined,
    mode: what === "mode" ? { mode: "shadow", at: 0 } : undefined,
    audits: [audit(id)],
    isSent: false,
  };
}

function audit(reason: string): AuditEntry {
  return { upstream: "dk", action: "TRIP", reason, actor: "ops", at: 0, forced: false };
}

/** As they are sent: what each is about, and its audits. */
function sent(pending: Pending): string[] {
  const all: string[] = [];
  for (let { first } = pending; first !== undefined; { first } = pending) {
    const { id, breaker, mode, audits } = first;
    const state = [breaker === undefined ? "" : "breaker", mode === undefined ? "" : "mode"];
    all.push(`${id} ${state.join("")}: ${audits.map(({ reason }) => reason).join(" ")}`);
    pending.remove(id);
  }
  return all;
}

function waiting(...whats: readonly What[]): Pending {
  const pending = new Pending();
  for (const [index, what] of whats.entries()) pending.add(entry(String(index + 1), what));
  return pending;
}

function row(id: string, version: number, isTrip = true): FleetRow {
  const order = { id, version, isTrip };
  return { upstream: "dk", breaker: { person: order, order, snapshot }, mode: undefined };
}

const MERGED: readonly (readonly [whats: readonly What[], sent: readonly string[]])[] = [
  [["trip", "reset"], ["2 breaker: 1 2"]],
  [["own trip", "own recovery"], ["2 breaker: 1 2"]],
  [["own trip", "reset"], ["2 breaker: 1 2"]],
  [
    ["reset", "own trip"],
    ["1 breaker: 1", "2 breaker: 2"],
  ],
  [
    ["reset", "own trip", "own recovery"],
    ["1 breaker: 1", "3 breaker: 2 3"],
  ],
  [["mode", "mode"], ["2 mode: 1 2"]],
  [
    ["trip", "mode"],
    ["1 breaker: 1", "2 mode: 2"],
  ],
  [
    ["trip", "mode", "reset"],
    ["2 mode: 1 2", "3 breaker: 3"],
  ],
  [["trip", "note", "note"], ["1 breaker: 1 2 3"]],
  [["note", "trip"], ["2 breaker: 1 2"]],
  [["note", "note"], ["1 : 1 2"]],
];

for (const [whats, expected] of MERGED) {
  test(`tells what ${whats.join(", ")} come to, and every audit in its order`, () => {
    const pending = waiting(...whats);

    assert.deepEqual(sent(pending), expected);
    assert.equal(pending.isEmpty, true);
  });
}

test("what was sent is changed by nothing that comes later", () => {
  const pending = waiting("trip");
  (pending.first as Entry).isSent = true;

  pending.add(entry("2", "note"));
  pending.add(entry("3", "reset"));
  pending.add(entry("4", "mode"));

  assert.deepEqual(sent(pending), ["1 breaker: 1", "3 breaker: 2 3", "4 mode: 4"]);
});

test("a mode that was sent is told, and a newer one after it", () => {
  const pending = waiting("mode");
  (pending.first as Entry).isSent = true;
  pending.add(entry("2", "mode"));
  assert.deepEqual(sent(pending), ["1 mode: 1", "2 mode: 2"]);
});

test("a person's trip outweighs what it did not know, a reset no other person's trip, wherever they wait", () => {
  const stored = row("other/1", 4).breaker;
  assert.ok(stored !== undefined);
  assert.equal(waiting("trip").outweighs(stored), true);
  assert.equal(waiting("reset").outweighs(stored), false);
  assert.equal(waiting("own trip").outweighs(stored), false);
  assert.equal(waiting("mode").outweighs(stored), false);
  const later = waiting("own trip");
  (later.first as Entry).isSent = true;
  later.add(entry("2", "trip"));
  assert.equal(later.outweighs(stored), true);
});

test("what is withdrawn is not ordered any more, and stands in the audit", () => {
  const pending = waiting("reset", "own trip", "mode");
  assert.equal(pending.holdsState, true);
  assert.deepEqual(pending.withdraw(), ["1"]);
  assert.deepEqual(pending.withdraw(), []);
  assert.equal(pending.holdsMode, true);
  assert.deepEqual(sent(pending), ["1 : 1", "2 : 2", "3 mode: 3"]);
});

test("what was sent may have arrived: it is not withdrawn", () => {
  const pending = waiting("reset");
  (pending.first as Entry).isSent = true;
  assert.deepEqual(pending.withdraw(), []);
  assert.equal(pending.holdsState, true);
});

test("what is known to be stored is not ordered again, and what was given after it follows it", () => {
  const pending = waiting("trip");
  (pending.first as Entry).isSent = true;
  pending.add(entry("2", "mode"));
  pending.add(entry("3", "reset"));

  pending.told(row("1", 7));

  assert.equal(pending.first?.breaker, undefined);
  assert.deepEqual(pending.first?.seen, NOTHING_SEEN);
  pending.remove("1");
  assert.deepEqual(pending.first?.seen, { person: 7, order: 7, mode: 0 });
  assert.equal(pending.holdsMode, true);
  pending.remove("2");
  assert.deepEqual(pending.first?.seen, { person: 7, order: 7, mode: 0 });
  assert.equal(pending.outweighs(row("1", 7).breaker as never), true);
});

test("a mode, and a person's order under what breakers did since, are known to be stored, too", () => {
  const mode = { order: { id: "1", version: 3, isTrip: false }, mode: "shadow" as const, at: 0 };
  const moded = waiting("mode");
  (moded.first as Entry).isSent = true;
  moded.add(entry("2", "trip"));
  moded.told({ upstream: "dk", breaker: undefined, mode });
  assert.equal(moded.holdsMode, false);
  moded.remove("1");
  assert.deepEqual(moded.first?.seen, { person: 0, order: 0, mode: 3 });

  const reset = waiting("reset");
  const { breaker } = row("1", 3, false);
  const since = { ...breaker, order: { id: "other/2", version: 4, isTrip: true } } as never;
  reset.told({ upstream: "dk", breaker: since, mode: undefined });
  assert.equal(reset.holdsState, false);
});

test("others' rows say nothing about what waits", () => {
  const pending = waiting("trip", "mode");
  pending.told(row("other/1", 9));
  assert.deepEqual(pending.first?.seen, NOTHING_SEEN);
  assert.deepEqual(sent(pending), ["1 breaker: 1", "2 mode: 2"]);
});

test("a version that is another order's was not seen", () => {
  const pending = waiting("reset");
  (pending.first as Entry).seen = { person: 5, order: 6, mode: 7 };
  pending.unsee("person", Infinity);
  pending.unsee("person", 6);
  assert.deepEqual(pending.first?.seen, { person: 5, order: 6, mode: 7 });
  pending.unsee("person", 5);
  pending.unsee("order", 6);
  assert.deepEqual(pending.first?.seen, { person: 4, order: 5, mode: 7 });
});

test("the oldest audit that cannot have been sent can be dropped", () => {
  const pending = waiting("trip", "mode");
  assert.equal(pending.oldestAudit, 1);
  pending.dropAudit();
  assert.equal(pending.oldestAudit, 2);
  (pending.first as Entry).isSent = true;
  pending.dropAudit();
  assert.equal(pending.oldestAudit, undefined);
  pending.dropAudit();
  assert.deepEqual(sent(pending), ["1 breaker: ", "2 mode: "]);

  const sentOne = waiting("trip");
  (sentOne.first as Entry).isSent = true;
  assert.equal(sentOne.oldestAudit, undefined);
});
