// Calls share timers, and must not share contexts: what a call causes runs in its own, or in none.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { createSwitchgear, latching } from "../../src/index.ts";

const storage = new AsyncLocalStorage<string>();

test("each call's abort is heard in its own context, its events in nobody else's", async () => {
  const gear = createSwitchgear({
    upstreams: { dk: { breaker: latching(), deadlineMs: 20 } },
    sampler: { systemLoad: () => 0 },
  });
  const dk = gear.upstream("dk");
  const heard: [string, string | undefined][] = [];
  const settled: (string | undefined)[] = [];
  dk.on("settled", () => settled.push(storage.getStore()));
  const hang = (name: string): Promise<void> =>
    storage.run(name, () =>
      dk
        .execute(({ signal }) => {
          signal.addEventListener("abort", () => heard.push([name, storage.getStore()]));
          return new Promise<void>(() => {});
        })
        .catch(() => {
          heard.push([`${name} rejects`, storage.getStore()]);
        }),
    );

  await Promise.all([hang("a"), hang("b")]);

  assert.deepEqual(heard.map(([who, store]) => `${who}: ${store}`).toSorted(), [
    "a rejects: a",
    "a: a",
    "b rejects: b",
    "b: b",
  ]);
  assert.deepEqual(settled, [undefined, undefined]);
  await gear.close();
});

for (const how of ["import", "require"]) {
  test(`loaded by ${how} inside of a request, the library keeps nothing of that request`, () => {
    const program = new URL("../fixtures/loaded-in-a-call.ts", import.meta.url).pathname;
    const told = execFileSync(process.execPath, [program, how], { encoding: "utf8" });

    assert.equal(told, "settled in undefined\n");
  });
}
