// A caller who sends a long body: how long its call holds a permit meanwhile.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { CallBook } from "../../../src/gateway/book.ts";
import { Call } from "../../../src/gateway/call.ts";
import { toDestination } from "../../../src/gateway/route.ts";
import { Sender } from "../../../src/gateway/sender.ts";
import { Vigil } from "../../../src/gateway/vigil.ts";
import {
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  type LimitPolicy,
  type Upstream,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

const DEADLINE_MS = 1000;
/** A tenth of it. */
const HOLD_MS = 100;

let clock: VirtualClock;
let upstream: Upstream;
let call: Call;
let sender: Sender;

function begin(limit: LimitPolicy): void {
  clock = new VirtualClock();
  upstream = createSwitchgear({
    upstreams: { dk: { breaker: latching(), limit, deadlineMs: DEADLINE_MS } },
    clock,
  }).upstream("dk");
  const destination = toDestination({
    name: "dk",
    url: new URL("http://dk"),
    deadlineMs: DEADLINE_MS,
    status429: "neutral",
    operations: [],
    guard: upstream,
  });
  const admitted = upstream.tryAcquire();
  assert.ok(admitted.admitted);
  const book = new CallBook(clock, undefined);
  call = new Call(book, destination, {
    method: "POST",
    options: {},
    deadlineMs: DEADLINE_MS,
    ownMs: DEADLINE_MS,
    idleMs: undefined,
    admitted,
    vigil: new Vigil(),
  });
  call.line = { cut: () => {}, leave: () => {} };
  call.awaitsBody();
  assert.equal(call.hasBody(false), undefined);
  sender = new Sender(call, book);
}

beforeEach(() => begin(adaptiveLimit({ initial: 1, min: 1, max: 1 })));

const inFlight = (): number | undefined => upstream.limits?.limiter.inFlight;

test("who is waited for in vain holds its permit for a tenth of the deadline", () => {
  sender.callersTurn();
  clock.advance(HOLD_MS - 1);
  assert.equal(inFlight(), 1);
  clock.advance(1);
  assert.equal(inFlight(), 0);

  sender.upstreamsTurn();
  sender.callersTurn();
  clock.advance(5 * HOLD_MS);
  assert.equal(inFlight(), 0);
  assert.equal(sender.sentAll(), undefined);
  assert.equal(inFlight(), 1);
});

test("what the upstream takes is not the caller's", () => {
  for (let n = 0; n < 4; n += 1) {
    sender.callersTurn();
    clock.advance(20);
    sender.upstreamsTurn();
    clock.advance(130);
  }
  assert.equal(inFlight(), 1);
  sender.callersTurn();
  clock.advance(2 * HOLD_MS);
  assert.equal(inFlight(), 0);
});

test("a caller whose turn it is already does not begin anew", () => {
  for (let n = 0; n < 10; n += 1) {
    sender.callersTurn();
    clock.advance(HOLD_MS / 10);
  }
  assert.equal(inFlight(), 0);
});

test("who has sent all holds it until the answer, and is asked once", () => {
  sender.callersTurn();
  assert.equal(sender.sentAll(), undefined);
  sender.callersTurn();
  clock.advance(5 * HOLD_MS);
  assert.equal(sender.sentAll(), undefined);
  assert.equal(inFlight(), 1);
  // It is the upstream that had all its time.
  clock.advance(DEADLINE_MS);
  assert.equal(call.ending, "deadline");
});

test("who does not send is a slow caller, and no late upstream", () => {
  sender.callersTurn();
  clock.advance(DEADLINE_MS);
  assert.equal(call.ending, "caller_slow");
  assert.equal(inFlight(), 0);
  assert.equal(upstream.snapshot().failureCount, 0);
});

test("where there is no room at the end it is refused, unless it was answered before", () => {
  sender.callersTurn();
  clock.advance(HOLD_MS);
  assert.ok(upstream.tryAcquire().admitted);
  assert.equal(sender.sentAll()?.reason, "limit");

  begin(adaptiveLimit({ initial: 1, min: 1, max: 1 }));
  sender.callersTurn();
  clock.advance(HOLD_MS);
  assert.ok(upstream.tryAcquire().admitted);
  call.headersArrived(200);
  assert.equal(sender.sentAll(), undefined);
  assert.equal(inFlight(), 1);
});

test("an answer ends what the caller's sending is waited for", () => {
  sender.callersTurn();
  call.headersArrived(200);
  clock.advance(5 * HOLD_MS);
  assert.equal(inFlight(), 1);
});

test("what the upstream is sent and takes slowly is no hang", () => {
  begin(adaptiveLimit());
  upstream.tryAcquire();
  sender.upstreamsTurn();
  clock.advance(DEADLINE_MS - 1);
  upstream.tryAcquire();
  assert.equal(upstream.limits?.limiter.isHung, false);
});

test("of a fixed limit it holds the connection that it has", () => {
  begin(fixedLimit(1));
  sender.callersTurn();
  clock.advance(5 * HOLD_MS);
  assert.equal(inFlight(), 1);
  assert.equal(sender.sentAll(), undefined);
  assert.equal(inFlight(), 1);
});
