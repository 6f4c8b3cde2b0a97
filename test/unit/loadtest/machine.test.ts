import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { watchMachine } from "../../../loadtest/run/machine.ts";

test("the machine is watched from its own thread, and told of between two moments", async () => {
  const fromMs = Date.now();
  const machine = watchMachine();
  // A thread takes a while to begin.
  await sleep(500);
  const wakeMs = await machine.stop();

  const late = wakeMs(fromMs, Date.now());
  assert.ok(late !== null && late > 0 && late < 1000, `${late}`);
  assert.equal(wakeMs(fromMs - 1000, fromMs), null);
});
