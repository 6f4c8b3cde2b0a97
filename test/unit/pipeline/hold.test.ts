// A second order to trip: held by hand, or noted and nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { trip } from "../../../src/admin/orders.ts";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../../src/index.ts";
import type { BreakerPolicy, Switchgear, Upstream } from "../../../src/index.ts";
import { sqliteStore } from "../../../src/store/sqlite.ts";
import { VirtualClock } from "../../../src/testing/index.ts";
import { failTimes } from "../../support/gear.ts";
import { tempPaths } from "../store/sqlite-harness.ts";

const newPath = tempPaths();

const POLICIES: readonly BreakerPolicy[] = [latching(), slidingWindow(), adaptive()];

for (const breaker of POLICIES) {
  test(`${breaker.kind}: a trip that does not hold leaves what is tripped as it is, and is audited`, async () => {
    const clock = new VirtualClock();
    const gear = createSwitchgear({ upstreams: { dk: { breaker } }, clock });
    const dk = gear.upstream("dk");
    failTimes(dk, 20);
    clock.advance(10);
    const before = stateOf(dk);
    assert.deepEqual([dk.isTripped, before.manual], [true, false]);

    dk.trip({ reason: "me too", actor: "ann", hold: false });

    assert.deepEqual(stateOf(dk), before);
    const [noted] = gear.history();
    assert.deepEqual([noted?.action, noted?.actor], ["TRIP_NOTED", "ann"]);

    // Spec: without a word about it, a trip by itself becomes one by hand.
    dk.trip({ reason: "until noon", actor: "bob" });
    assert.deepEqual([dk.status().manual, dk.status().lastError], [true, "until noon"]);
    assert.equal(gear.history()[0]?.action, "TRIP");

    dk.reset({ force: true });
    dk.trip({ reason: "what is closed is tripped", hold: false });
    assert.deepEqual([dk.isTripped, dk.status().manual], [true, true]);
    await gear.close();
  });
}

/** The library's own order, and the admin API's, which asks what there is to trip first. */
const ORDERS: Readonly<Record<string, (gear: Switchgear, dk: Upstream) => unknown>> = {
  "trip()": (_, dk) => dk.trip({ reason: "not yet", actor: "ann", hold: false }),
  "the admin API": (gear, dk) => {
    const done = trip(gear, dk, { reason: "not yet", actor: "ann", hold: false });
    assert.deepEqual(done, { changed: true, message: "Circuit breaker for dk tripped" });
  },
};

for (const [name, order] of Object.entries(ORDERS)) {
  test(`${name} trips what another process has reset since the last look`, async () => {
    const clock = new VirtualClock();
    const path = newPath();
    const gearOf = (): Switchgear =>
      createSwitchgear({
        upstreams: { dk: { breaker: latching() } },
        store: sqliteStore(path),
        clock,
      });
    const here = gearOf();
    const there = gearOf();
    const dk = here.upstream("dk");
    failTimes(dk, 20);
    clock.advance(1000);
    assert.equal(there.upstream("dk").isTripped, true);
    assert.equal(dk.isTripped, true);
    there.upstream("dk").reset({ reason: "mended", force: true });

    order(here, dk);

    assert.deepEqual([dk.isTripped, dk.status().lastError], [true, "not yet"]);
    clock.advance(1000);
    assert.equal(there.upstream("dk").isTripped, true);
    await Promise.all([here.close(), there.close()]);
  });
}

function stateOf(upstream: Upstream): ReturnType<Upstream["status"]> {
  return upstream.status();
}
