import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  type Admitted,
  type LimitPolicy,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

function reloadable(limit: LimitPolicy) {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), limit, deadlineMs: 1000 } },
    clock: new VirtualClock(),
  });
  const upstream = gear.upstream("dk");
  return {
    upstream,
    reload: (anew: LimitPolicy): void => {
      gear.configure({ dk: { breaker: latching(), limit: anew, deadlineMs: 1000 } });
    },
    /** As many as are let in. */
    fill: (): Admitted[] => {
      const admitted: Admitted[] = [];
      for (;;) {
        const call = upstream.tryAcquire();
        if (!call.admitted) return admitted;
        admitted.push(call);
      }
    },
  };
}

const end = (calls: readonly Admitted[]): void => {
  for (const call of calls) call.settle({ outcome: "ok" });
};

test("a reload of a fixed limit buys no second set of connections", () => {
  const { upstream, reload, fill } = reloadable(fixedLimit(10));
  const before = fill();
  assert.equal(before.length, 10);

  reload(fixedLimit(12));
  const between = fill();
  assert.equal(between.length, 2);
  assert.equal(upstream.status().limit?.inFlight, 12);

  reload(fixedLimit(8));
  assert.equal(fill().length, 0, "of both sets before");
  const refused = upstream.tryAcquire();
  assert.ok(!refused.admitted);
  assert.equal(refused.why, "12 calls from before the last reload have not ended");
  end(before);
  assert.equal(upstream.status().limit?.inFlight, 2);
  assert.equal(fill().length, 6);
  end(between);
  assert.equal(fill().length, 2, "the last of them has ended");
  assert.equal(upstream.status().limit?.inFlight, 8);
});

test("one whose caller is ready again finds no room that calls from before a reload take", () => {
  const { upstream, reload, fill } = reloadable(fixedLimit(4));
  const before = fill();
  reload(fixedLimit(5));
  const paused = upstream.tryAcquire();
  assert.ok(paused.admitted);
  paused.pause?.();
  const other = upstream.tryAcquire();
  assert.ok(other.admitted);
  assert.equal(paused.resume?.()?.reason, "limit");
  end(before);
});

test("an adaptive limit begins anew: what it lets in is found out, not bought", () => {
  const { reload, fill } = reloadable(fixedLimit(30));
  fill();
  reload(adaptiveLimit());
  assert.ok(fill().length > 0);
});

test("calls to the place where an endpoint was take no room where it is now", () => {
  const at = (url: string) => ({
    dk: { breaker: latching(), limit: fixedLimit(2), endpoints: [{ name: "a", url }] },
  });
  const gear = createSwitchgear({ upstreams: at("https://a.example"), clock: new VirtualClock() });
  const upstream = gear.upstream("dk");
  const isAdmitted = (): boolean => upstream.tryAcquire().admitted;
  assert.deepEqual([isAdmitted(), isAdmitted(), isAdmitted()], [true, true, false]);
  gear.configure(at("https://b.example"));
  assert.deepEqual([isAdmitted(), isAdmitted(), isAdmitted()], [true, true, false]);
});
