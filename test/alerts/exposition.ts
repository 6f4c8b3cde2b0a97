// What /metrics shows when everything that Switchgear has exists at once: each kind of breaker, an
// upstream with endpoints, refusals, shed calls, and a store that fails.

import { createSwitchgear, latching, memoryStore, slidingWindow } from "../../src/index.ts";
import { StoreError } from "../../src/core/errors.ts";
import type { Store } from "../../src/pipeline/ports.ts";
import { prometheusMetrics } from "../../src/telemetry/otel.ts";
import { VirtualClock } from "../../src/testing/index.ts";

/** Labels by metric, as a scrape would bring them. */
export async function liveSeries(): Promise<Map<string, Set<string>>> {
  const inner = memoryStore();
  const store: Store = {
    kind: "broken",
    durable: true,
    location: "nowhere",
    load: () => inner.load(),
    history: (query) => inner.history(query),
    close: () => inner.close(),
    commit: () => {
      throw new StoreError("SQLITE_FULL", "disk full");
    },
  };
  const gear = createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching({ failureThreshold: 1 }) },
      pinnacle: { breaker: slidingWindow() },
      feeds: { breaker: latching(), endpoints: ["http://a.example", "http://b.example"] },
    },
    store,
    sampler: { systemLoad: () => 1 },
    clock: new VirtualClock(),
  });
  try {
    for (const name of ["draftkings", "pinnacle", "feeds"]) {
      const upstream = gear.upstream(name);
      for (const outcome of ["ok", "failed"] as const) {
        const admission = upstream.tryAcquire({ operation: "odds" });
        if (admission.admitted) admission.settle({ outcome, latencyMs: 10 });
      }
      upstream.tryAcquire({ operation: "odds" });
      upstream.tryAcquire({ operation: "odds", load: 1000 });
    }
    const { body } = await prometheusMetrics(gear, { version: "0.0.0" }).collect();
    return labelsByMetric(body);
  } finally {
    await gear.close();
  }
}

function labelsByMetric(page: string): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const line of page.split("\n")) {
    const [, name, labels = ""] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    const known = found.get(name) ?? new Set();
    for (const [, label = ""] of labels.matchAll(/(\w+)="(?:\\.|[^"\\])*"/g)) known.add(label);
    found.set(name, known);
  }
  return found;
}
