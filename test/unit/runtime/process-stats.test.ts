// What a process reads of itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ProcessStats } from "../../../src/runtime/process-stats.ts";

function spin(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test("tells CPU time, memory, its start and how late the event loop came", async () => {
  const stats = new ProcessStats();
  try {
    const before = stats.read();
    assert.deepEqual(
      before.loopDelays.map(([quantile]) => quantile),
      ["0.5", "0.99", "1"],
    );
    assert.ok(before.residentBytes > 10_000_000);
    assert.ok(Math.abs(before.startedAt - (Date.now() - process.uptime() * 1000)) < 100);

    await delay(50);
    spin(300);
    await delay(50);
    const after = stats.read();
    assert.ok(after.cpuSeconds >= before.cpuSeconds + 0.1);
    const longest = after.loopDelays.at(-1)?.[1] ?? 0;
    assert.ok(longest >= 0.25 && longest < 60, String(longest));
  } finally {
    stats.stop();
  }
});

test("shows what was late for a whole minute more, and no longer", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const stats = new ProcessStats();
  try {
    const longest = (): number => stats.read().loopDelays.at(-1)?.[1] ?? 0;
    await delay(50);
    spin(200);
    await delay(50);
    assert.ok(longest() >= 0.15);
    t.mock.timers.tick(60_000);
    assert.ok(longest() >= 0.15, "the minute before");
    t.mock.timers.tick(60_000);
    assert.ok(longest() < 0.15, String(longest()));
  } finally {
    stats.stop();
  }
});
