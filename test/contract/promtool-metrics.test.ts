// What promtool says of our page: the two names that the source system gave, and nothing else. Where
// monitoring tasks run there is a third one.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Registry } from "prom-client";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../src/index.ts";
import type { Switchgear } from "../../src/index.ts";
import { prometheusMetrics } from "../../src/telemetry/otel/index.ts";
import { registerSwitchgear } from "../../src/telemetry/prom-client.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { whyNoTools } from "../tools/available.ts";
import { toolPath } from "../tools/build.ts";

/** The names are mandated; what promtool has against them is known. */
const ALLOWED = [
  "circuit_breaker_latency_ms metric names should not contain abbreviated units",
  'circuit_breaker_trip_count non-histogram and non-summary metrics should not have "_count" suffix',
];
const ALLOWED_OF_TASKS =
  'circuit_breaker_monitoring_task_count non-histogram and non-summary metrics should not have "_count" suffix';

const skip = whyNoTools();

function history(): Switchgear {
  const gear = createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching({ failureThreshold: 2 }) },
      pinnacle: { breaker: slidingWindow({ slowCallMs: 100 }) },
      feeds: { breaker: adaptive(), endpoints: ["http://a", "http://b"] },
    },
    sampler: { systemLoad: () => 0.95 },
    clock: new VirtualClock(),
  });
  for (const upstream of gear.upstreams()) {
    upstream.tryAcquire({ operation: "heavy", load: 500 });
    for (const outcome of ["ok", "failed", "failed", "failed"] as const) {
      const admission = upstream.tryAcquire({ operation: "odds" });
      if (admission.admitted) admission.settle({ outcome, latencyMs: 20 });
    }
  }
  return gear;
}

function lint(page: string): string[] {
  const promtool = toolPath("promtool");
  const { stdout, stderr } = spawnSync(promtool, ["check", "metrics"], {
    input: page,
    encoding: "utf8",
  });
  return `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
}

test("promtool has nothing against the page but the mandated names", { skip }, async () => {
  const gear = history();
  const page = prometheusMetrics(gear, { version: "1.2.3" });
  assert.deepEqual(lint((await page.collect()).body).toSorted(), ALLOWED.toSorted());
  await gear.monitors.start("feeds", () => Promise.resolve());
  const withTasks = [...ALLOWED, ALLOWED_OF_TASKS];
  assert.deepEqual(lint((await page.collect()).body).toSorted(), withTasks.toSorted());
});

test("nor against the same by prom-client", { skip }, async () => {
  const registry = new Registry();
  registerSwitchgear(registry, history());
  assert.deepEqual(lint(await registry.metrics()).toSorted(), ALLOWED.toSorted());
});
