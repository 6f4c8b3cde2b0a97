// The slots of an episode, alone; what they mean for a breaker is in the machines' own tests.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Leases, LEASES_MAX } from "../../../src/core/breaker/leases.ts";

const LEASE_MS = 10;

function leases(slots: number): Leases {
  return new Leases({ slots, leaseMs: LEASE_MS });
}

test("grants as many leases as there are slots, with numbers from 1", () => {
  const made = leases(2);
  assert.equal(made.slotDueMs, 0);
  assert.deepEqual([made.grant(5), made.grant(6), made.grant(6)], [1, 2, 0]);
  assert.equal(made.slotDueMs, 15);
});

test("a slot whose lease is over goes to who asks next, the oldest first", () => {
  const made = leases(2);
  made.grant(0);
  made.grant(1);
  assert.equal(made.grant(9), 0);
  assert.equal(made.grant(10), 3);
  assert.equal(made.release(1), false);
  assert.equal(made.grant(10), 0);
  assert.equal(made.release(2), true);
});

test("a lease is not taken from anybody while another slot is free", () => {
  const made = leases(2);
  made.grant(0);
  assert.equal(made.grant(1000), 2);
  assert.equal(made.release(1), true);
});

test("a slot is given back once, and by who holds it", () => {
  const made = leases(1);
  made.grant(0);
  assert.equal(made.release(0), false);
  assert.equal(made.release(2), false);
  assert.equal(made.release(1), true);
  assert.equal(made.release(1), false);
  assert.equal(made.grant(0), 2);
});

test("a verdict keeps its slot, whatever the time", () => {
  const made = leases(2);
  made.grant(0);
  made.release(1);
  made.keep();
  assert.equal(made.kept, 1);
  assert.deepEqual([made.grant(1), made.grant(1)], [2, 0]);
  made.release(2);
  made.keep();
  assert.equal(made.slotDueMs, Number.POSITIVE_INFINITY);
  assert.equal(made.grant(1e15), 0);
});

test("a lease that is over is not under way any more, though it is still held", () => {
  const made = leases(3);
  assert.equal(made.underWay(0), 0);
  made.grant(0);
  made.grant(4);
  assert.deepEqual([made.underWay(9), made.underWay(10), made.underWay(14)], [2, 1, 0]);
  assert.equal(made.release(1), true);
});

test("has numbers for as many as a ticket can hold", () => {
  const made = leases(1);
  for (let n = 1; n <= LEASES_MAX; n += 1) {
    assert.equal(made.isExhausted, false);
    made.release(made.grant(0));
  }
  assert.equal(made.isExhausted, true);
});
