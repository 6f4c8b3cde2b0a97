// What /metrics shows when everything that Switchgear has exists at once: each kind of breaker, upstreams
// with endpoints, calls with and without success, refusals for each reason that a rule or a runbook asks for, a process,
// a store that was found broken and fails, and what one of a fleet tells beside that.

import {
  adaptiveLimit,
  createSwitchgear,
  latching,
  fixedLimit,
  memoryStore,
  slidingWindow,
  type Upstream,
} from "../../src/index.ts";
import { StoreError } from "../../src/core/errors.ts";
import type { FleetRow } from "../../src/core/fleet/row.ts";
import type { FleetStore } from "../../src/pipeline/fleet-port.ts";
import type { Store } from "../../src/pipeline/ports.ts";
import { prometheusMetrics } from "../../src/telemetry/otel/index.ts";
import { ProcessStats } from "../../src/runtime/process-stats.ts";
import { VirtualClock } from "../../src/testing/index.ts";

/** More than any endpoint's breaker takes before it cools down. */
const FAILURES = 200;

/** The page, as a scrape would get it. */
export async function livePage(): Promise<string> {
  const inner = memoryStore();
  const store: Store = {
    kind: "broken",
    durable: true,
    location: "nowhere",
    recoveredFrom: "somewhere",
    load: () => inner.load(),
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit: () => {
      throw new StoreError("SQLITE_FULL", "disk full");
    },
  };
  const clock = new VirtualClock();
  const gear = createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching({ failureThreshold: 1 }) },
      pinnacle: { breaker: slidingWindow() },
      feeds: {
        breaker: latching(),
        endpoints: ["http://a.example", "http://b.example"],
        limit: adaptiveLimit(),
      },
      stranded: {
        breaker: latching({ failureThreshold: FAILURES * 2 }),
        endpoints: ["http://c.example"],
      },
      limited: { breaker: latching(), limit: fixedLimit(3) },
    },
    store,
    sampler: { systemLoad: () => 1 },
    clock,
  });
  try {
    for (const name of ["draftkings", "pinnacle", "feeds"]) {
      const upstream = gear.upstream(name);
      for (const outcome of ["ok", "ignored", "failed"] as const) {
        const admission = upstream.tryAcquire({ operation: "odds" });
        if (admission.admitted) admission.settle({ outcome, latencyMs: 10 });
      }
      upstream.tryAcquire({ operation: "odds" });
      upstream.tryAcquire({ operation: "odds", load: 1000 });
    }
    await fill(gear.upstream("limited"), clock);
    for (let n = 0; n < FAILURES; n += 1) {
      const admission = gear.upstream("stranded").tryAcquire({ operation: "odds" });
      if (admission.admitted) admission.settle({ outcome: "failed", latencyMs: 10 });
    }
    const metrics = prometheusMetrics(gear, {
      version: "0.0.0",
      log: { logHealth: () => ({ isUp: true, linesDropped: 0 }) },
      config: { isGood: true, takenAt: 0 },
      process: new ProcessStats(),
    });
    return (await metrics.collect()).body + (await fleetLines());
  } finally {
    await gear.close();
  }
}

/** What it tells whose store is a fleet's, and nobody else. */
async function fleetLines(): Promise<string> {
  const order = { id: "other/1", version: 1, isTrip: false };
  const row = (upstream: string): FleetRow => ({
    upstream,
    breaker: undefined,
    mode: { order, mode: "normal", at: 0 },
  });
  const store: FleetStore = {
    kind: "fleet",
    location: "nowhere",
    replica: "this",
    open: (listener) => listener.connected(),
    read: async (names) => names.map(row),
    commit: async ({ upstream }) => ({ isInForce: true, row: row(upstream) }),
    restore: async () => {},
    turn: async () => 0,
    confirm: () => {},
    present: async () => [],
    history: async () => [],
    verify: async (upstream) => ({ upstream, rows: 0, isShortened: false, brokenAt: undefined }),
    close: async () => {},
  };
  const gear = createSwitchgear({ upstreams: { draftkings: { breaker: latching() } }, store });
  try {
    await gear.fleet?.synced(1000);
    const { body } = await prometheusMetrics(gear, { version: "0.0.0" }).collect();
    return body.replaceAll(/^(?!.*switchgear_fleet_).*\n/gm, "");
  } finally {
    await gear.close();
  }
}

/** Until its limiter has refused for each of its reasons. */
async function fill(upstream: Upstream, clock: VirtualClock): Promise<void> {
  const critical = { operation: "odds", criticality: "critical_plus" } as const;
  for (let n = 0; n < 60; n += 1) {
    const admission = upstream.tryAcquire(critical);
    clock.advance(10);
    if (admission.admitted) admission.settle({ outcome: "ok" });
  }
  for (let n = 0; n < 3; n += 1) {
    upstream.tryAcquire({ operation: "odds", criticality: "sheddable" });
  }
  await upstream.execute(() => "late", { ...critical, deadlineMs: 5 }).catch(() => {});
  upstream.tryAcquire(critical);
  upstream.tryAcquire(critical);
}
