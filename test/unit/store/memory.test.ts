import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "../../../src/store/memory.ts";
import { audit, NOW } from "../../contract/store.contract.ts";

test("keeps the last ten thousand audits, in order", () => {
  const store = memoryStore();

  for (let n = 0; n < 10_005; n += 1) {
    store.commit({ breakers: [], audits: [audit(n < 10 ? "early" : "late", { at: NOW + n })] });
  }

  const early = store.history({ upstream: "early", limit: 100 }).map(({ at }) => at - NOW);
  const late = store.history({ limit: 3 }).map(({ at }) => at - NOW);
  assert.deepEqual(early, [9, 8, 7, 6, 5]);
  assert.deepEqual(late, [10_004, 10_003, 10_002]);
});

test("has nothing that another process could change, and says so", () => {
  const store = memoryStore();

  assert.equal("poll" in store, false);
  assert.equal(store.durable, false);
  assert.equal(store.kind, "memory");
});
