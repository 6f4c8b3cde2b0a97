import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adaptive,
  createSwitchgear,
  latching,
  memoryStore,
  slidingWindow,
  StoreError,
  type EventOf,
  type Store,
} from "../../../src/index.ts";
import { Emitter } from "../../../src/pipeline/emitter.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

const event: EventOf<"mode"> = {
  type: "mode",
  from: "normal",
  to: "shadow",
  actor: "ann",
  reason: "trial",
  upstream: "dk",
  at: 1,
};

test("calls the listeners of the type, then the parent's", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  const heard: string[] = [];
  emitter.on("mode", () => heard.push("first"));
  emitter.on("mode", () => heard.push("second"));
  parent.on("mode", () => heard.push("parent"));
  parent.on("trip", () => heard.push("never"));
  emitter.emit(event);
  assert.deepEqual(heard, ["first", "second", "parent"]);
});

test("says whether anybody hears, here or above", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  assert.equal(emitter.hears("mode"), false);
  const end = parent.on("mode", () => {});
  assert.equal(emitter.hears("mode"), true);
  assert.equal(emitter.hears("trip"), false);
  end();
  assert.equal(emitter.hears("mode"), false);
});

test("a subscription ends once, alone, and during an event too", () => {
  const emitter = new Emitter();
  const heard: string[] = [];
  const listener = (): void => void heard.push("same");
  const end = emitter.on("mode", listener);
  emitter.on("mode", listener);
  emitter.on("mode", () => end());
  emitter.emit(event);
  assert.deepEqual(heard, ["same", "same"]);
  end();
  emitter.emit(event);
  assert.deepEqual(heard, ["same", "same", "same"]);
});

test("what a listener throws is counted here and above, and goes no further", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  const heard: string[] = [];
  emitter.on("mode", () => {
    throw new Error("listener");
  });
  emitter.on("mode", () => heard.push("next"));
  emitter.emit(event);
  assert.deepEqual(heard, ["next"]);
  assert.equal(emitter.errors, 1);
  assert.equal(parent.errors, 1);
});

test("subscribing per call is a leak, and is refused before it hurts", () => {
  const emitter = new Emitter();
  for (let n = 0; n < 1000; n += 1) emitter.on("mode", () => {});
  assert.throws(() => emitter.on("mode", () => {}), {
    message: /more than 1000 listeners for mode/,
  });
  emitter.on("trip", () => {});
});

/** Changes whatever it can, deep down. */
function vandalise(value: object): void {
  for (const key of Object.keys(value)) {
    const held = (value as Record<string, unknown>)[key];
    if (typeof held === "object" && held !== null) vandalise(held);
    try {
      (value as Record<string, unknown>)[key] = "spoilt";
    } catch {
      // Frozen.
    }
  }
}

test("no listener changes what the next one sees, here or above", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  const seen: unknown[] = [];
  for (const one of [emitter, emitter, parent, parent]) {
    one.on("mode", (given) => {
      seen.push(structuredClone(given));
      vandalise(given);
    });
  }
  emitter.emit({ ...event });
  assert.deepEqual(seen, [event, event, event, event]);
});

test("nor what a breaker, an endpoint or the store tells, holds and stores", () => {
  const clock = new VirtualClock();
  const rows = new Map<string, unknown>();
  const store: Store = {
    ...memoryStore(),
    kind: "own",
    location: "here",
    durable: true,
    load: () => [],
    history: () => [],
    close: () => {},
    commit: ({ breakers, audits }) => {
      for (const breaker of breakers) rows.set(breaker.upstream, structuredClone(breaker.snapshot));
      if (audits.some(({ action }) => action === "RESET")) {
        throw new StoreError("OWN_RULE", "no resets", { concerns: "change" });
      }
    },
  };
  const gear = createSwitchgear({
    upstreams: {
      window: { breaker: slidingWindow({ minimumCalls: 2, windowSize: 4 }) },
      own: { breaker: adaptive({ failureThreshold: 3 }) },
      lists: { breaker: latching(), endpoints: ["http://a"], endpointBreaker: adaptive() },
    },
    store,
    sampler: { systemLoad: () => 0 },
    clock,
  });
  const first: unknown[] = [];
  const second: unknown[] = [];
  for (const type of ["trip", "endpoint", "transition", "reset", "store-error"] as const) {
    gear.on(type, (given) => {
      first.push(structuredClone(given));
      vandalise(given);
    });
    gear.on(type, (given) => second.push(structuredClone(given)));
  }
  for (const name of ["window", "own"]) {
    for (let n = 0; n < 30; n += 1) gear.upstream(name).record({ outcome: "failed" });
  }
  gear.upstream("lists").endpoints?.trip("http://a");
  const window = gear.upstream("window");
  window.trip({ reason: "by hand" });
  window.reset({ force: true, reason: "well" });

  assert.deepEqual(second, first);
  assert.doesNotMatch(JSON.stringify(second), /spoilt/);
  const held = second.map(
    (each) => each as { evidence?: unknown; stats?: unknown; audit?: unknown },
  );
  assert.ok(held.some(({ evidence }) => typeof evidence === "object" && evidence !== null));
  assert.ok(held.some(({ stats }) => stats !== undefined));
  assert.ok(held.some(({ audit }) => audit !== undefined));

  // Nor may who reads a status.
  const own = gear.upstream("own");
  const before = structuredClone(own.snapshot());
  vandalise(own.status());
  vandalise(own.snapshot());
  assert.deepEqual(own.snapshot(), before);
  assert.doesNotMatch(JSON.stringify([...rows.values()]), /spoilt/);
});
