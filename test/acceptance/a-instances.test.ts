// Specification 9.A, instances: many names, several copies of the package, one process.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { createSwitchgear, forgetShared, latching, sharedSwitchgear } from "../../src/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { failTimes, makeGear } from "../support/gear.ts";

test("T-A-63 names of the language's own objects are names like others", () => {
  const { gear } = makeGear();
  for (const name of ["__proto__", "constructor", "toString", 'a"b\n\\c', "🏈"]) {
    failTimes(gear.upstream(name), 10);
    assert.equal(gear.upstream(name).isTripped, true);
    assert.equal(gear.upstream(name).name, name);
  }
  // A longer one than people write is kept by its first characters and a hash.
  failTimes(gear.upstream("x".repeat(10_000)), 10);
  assert.equal(gear.upstream("x".repeat(10_000)).isTripped, true);
  assert.equal(gear.upstream("x".repeat(10_001)).isTripped, false);
  assert.equal(gear.upstream("valueOf").isTripped, false);
  assert.equal(({} as { tripped?: unknown }).tripped, undefined);
});

test("T-A-64 a hundred thousand names are each guarded for themselves", () => {
  const { gear } = makeGear();
  const count = 100_000;
  for (let n = 0; n < count; n += 1) gear.upstream(`bm-${n}`).record({ outcome: "failed" });
  failTimes(gear.upstream("bm-77"), 9);
  assert.equal(gear.upstream("bm-77").isTripped, true);
  assert.equal(gear.upstream("bm-78").status().failureCount, 1);
  assert.equal(gear.upstream(`bm-${count - 1}`).status().failureCount, 1);
});

test("the number of names is bounded: the idle make room, the others share one guard", () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    otherUpstreams: { breaker: latching({ failureThreshold: 2 }) },
    limits: { upstreams: 3 },
    clock,
  });
  failTimes(gear.upstream("tripped"), 2);
  gear.upstream("idle");
  gear.upstream("failing").record({ outcome: "failed" });
  gear.upstream("new").record({ outcome: "failed" });
  assert.equal(gear.find("idle"), undefined);
  assert.equal(gear.counters().evicted, 1);
  assert.equal(gear.upstream("tripped").isTripped, true);

  const one = gear.upstream("one too many");
  assert.equal(one, gear.upstream("and another"));
  assert.equal(one.name, "__overflow__");
  assert.equal(gear.find("one too many"), undefined);
});

test("what was used last is forgotten last", () => {
  const gear = createSwitchgear({
    otherUpstreams: { breaker: latching() },
    limits: { upstreams: 2 },
  });
  gear.upstream("a");
  gear.upstream("b");
  gear.upstream("a");
  gear.upstream("c");
  assert.ok(gear.find("a"));
  assert.equal(gear.find("b"), undefined);
});

test("a call in flight keeps its upstream", async () => {
  const gear = createSwitchgear({
    otherUpstreams: { breaker: latching() },
    limits: { upstreams: 1 },
  });
  const { promise, resolve } = Promise.withResolvers<number>();
  const call = gear.upstream("busy").execute(() => promise);
  gear.upstream("next");
  assert.ok(gear.find("busy"));
  resolve(1);
  await call;
  gear.upstream("third");
  assert.equal(gear.find("busy"), undefined);
});

test("a name that is not configured is an error with the names that are", () => {
  const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
  assert.throws(() => gear.upstream("draftkigs"), {
    code: "SG_UNKNOWN_UPSTREAM",
    message: 'no upstream named "draftkigs"; known: dk',
  });
  assert.throws(() => gear.upstream("constructor"), { code: "SG_UNKNOWN_UPSTREAM" });
});

test("operations beyond the bound are counted together", () => {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching() } },
    limits: { operations: 2 },
  });
  const dk = gear.upstream("dk");
  for (const operation of ["a", "b", "c", "d", "a"]) dk.tryAcquire({ operation });
  assert.deepEqual(
    [...dk.operations].map(({ name }) => name),
    ["a", "b", "__overflow__"],
  );
});

test("T-A-66 two copies of the package share one registry", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-copy-"));
  t.after(() => rmSync(folder, { recursive: true }));
  // A file of its own is a module of its own on every runtime; it imports types only.
  const file = join(folder, "shared.mts");
  cpSync(join(import.meta.dirname, "../../src/pipeline/shared.ts"), file);
  const copy = (await import(pathToFileURL(file).href)) as {
    sharedSwitchgear: typeof sharedSwitchgear;
  };
  assert.notEqual(copy.sharedSwitchgear, sharedSwitchgear);
  let made = 0;
  const create = (): ReturnType<typeof createSwitchgear> => {
    made += 1;
    return createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
  };
  try {
    const one = sharedSwitchgear("test", create);
    assert.equal(copy.sharedSwitchgear("test", create), one);
    assert.equal(sharedSwitchgear("test", create), one);
    assert.equal(made, 1);
  } finally {
    await forgetShared("test")?.close();
  }
  assert.equal(forgetShared("test"), undefined);
});

test("a closed registry admits nothing, and closing twice is fine", async () => {
  const { gear, dk } = makeGear();
  await gear.close();
  await gear.close();
  await assert.rejects(
    dk.execute(() => 1),
    { code: "SG_CLOSING", reason: "closing" },
  );
  const admission = dk.tryAcquire();
  assert.equal(admission.admitted, false);
});

test("await using closes it", async () => {
  let kept;
  {
    await using gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
    kept = gear.upstream("dk");
    assert.equal(await kept.execute(() => 1), 1);
  }
  await assert.rejects(
    kept.execute(() => 1),
    { code: "SG_CLOSING" },
  );
});

test("options of a registry are checked, all of them at once", () => {
  assert.throws(
    () =>
      createSwitchgear({
        upstreams: {
          "": { breaker: latching() },
          dk: { breaker: {} as never, deadlineMs: 0, mode: "open" as "normal" },
        },
        loadShedding: { threshold: 2 },
        limits: { operations: 1.5 },
      }),
    (error: unknown) => {
      assert.deepEqual((error as { faults: unknown }).faults, [
        "an upstream's name must not be empty",
        '"dk": deadlineMs must be a finite number above 0, not 0',
        '"dk": mode must be one of normal, shadow, forced-closed, not "open"',
        "threshold must be a finite number at least 0 and at most 1, not 2",
        "operations must be a whole number at least 1, not 1.5",
      ]);
      return true;
    },
  );
  assert.throws(() => createSwitchgear({ upstreams: { dk: { breaker: {} as never } } }), {
    message: /"dk": breaker must be made by latching/,
  });
});
