import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CRITICALITIES,
  CRITICALITY_DEFAULT,
  isCriticality,
  tierOf,
} from "../../../src/core/overload/criticality.ts";
import { createBreaker, createSwitchgear, latching } from "../../../src/index.ts";
import type { CallOptions, Criticality, Upstream } from "../../../src/index.ts";

test("a tier is a criticality's place in the list; what says nothing is critical, and what is none has none", () => {
  assert.deepEqual(CRITICALITIES.map(tierOf), [0, 1, 2, 3]);
  assert.equal(tierOf(undefined), tierOf(CRITICALITY_DEFAULT));
  assert.ok(CRITICALITIES.every(isCriticality));
  for (const odd of [undefined, null, 0, "", "Critical", "critical ", {}, ["critical"]]) {
    assert.ok(!isCriticality(odd));
  }
});

const WAYS: readonly (readonly [
  name: string,
  call: (upstream: Upstream, options?: CallOptions) => unknown,
])[] = [
  ["execute", (upstream, options) => upstream.execute(() => 1, options).catch(() => {})],
  ["hold", (upstream, options) => upstream.hold(() => 1, options).catch(() => {})],
  [
    "wrap",
    (upstream, options) =>
      upstream
        .wrap(() => 1, options)()
        .catch(() => {}),
  ],
  ["tryAcquire", (upstream, options) => upstream.tryAcquire(options)],
];

for (const [name, call] of WAYS) {
  for (const isWatched of [false, true]) {
    test(`the criticality of ${name} comes to the door${isWatched ? ", watched" : ""}`, () => {
      const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
      const upstream = gear.upstream("dk");
      if (isWatched) gear.watchCalls({ begin: () => undefined as never });
      upstream.trip();
      const told: Criticality[] = [];
      upstream.on("refused", ({ criticality }) => void told.push(criticality));

      const { signal } = new AbortController();
      for (const criticality of CRITICALITIES) {
        call(upstream, { criticality });
        call(upstream, { criticality, operation: "odds", deadlineMs: 5, signal });
      }
      call(upstream);
      call(upstream, { operation: "odds" });
      call(upstream, { operation: "odds", criticality: undefined, load: 5 });

      const twice = CRITICALITIES.flatMap((one) => [one, one]);
      assert.deepEqual(told, [...twice, "critical", "critical", "critical"]);
    });
  }
}

test("a call that is let in says its criticality and no more", async () => {
  const upstream = createBreaker("dk", latching());
  assert.equal(await upstream.execute(() => 5, { criticality: "sheddable" }), 5);
  assert.deepEqual(
    [...upstream.operations].map(({ name, ok }) => [name, ok]),
    [["unknown", 1]],
  );
});
