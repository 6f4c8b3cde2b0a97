// The six families of the source system's endpoint breaker, for a prom-client registry.

import { METRICS, type Metric } from "../telemetry/series/catalogue.ts";
import { Families, type MetricFamily } from "../telemetry/series/families.ts";
import { registerFamilies, type PromRegistry } from "../telemetry/prom-client.ts";
import { labelValue } from "../telemetry/series/label.ts";
import type { EndpointHealthStats } from "./endpoint-log.ts";

const {
  endpointState,
  endpointFailures,
  endpointLastOpened,
  endpointSuccessRatio,
  endpointHealth,
} = METRICS;

/** Its name has no `_total` there. */
const FAILURES: Metric = { ...endpointFailures, name: "circuit_breaker_failures" };

const SHOWN: readonly Metric[] = [
  METRICS.latency,
  endpointState,
  FAILURES,
  endpointLastOpened,
  endpointSuccessRatio,
  endpointHealth,
];

/** How many families the registry refused, because it has others of their names. */
export function registerEndpoints(
  registry: PromRegistry,
  stats: () => ReadonlyMap<string, EndpointHealthStats>,
): number {
  const { failures } = registerFamilies(registry, SHOWN, () => familiesOf(stats()));
  const metric = METRICS.registrationFailures;
  const samples = [{ labels: {}, value: failures }];
  registerFamilies(registry, [metric], () => [{ type: "counter", metric, samples }]);
  return failures;
}

function familiesOf(stats: ReadonlyMap<string, EndpointHealthStats>): MetricFamily[] {
  const families = new Families();
  const seen = new Set<string>();
  for (const [name, one] of stats) {
    const endpoint = labelValue(name);
    // Two hostile names may share one label, and no series may come twice.
    if (seen.has(endpoint)) continue;
    seen.add(endpoint);
    const labels = { endpoint };
    families.add("endpointState", labels, one.stateCode);
    families.add("endpointFailures", labels, one.failures);
    families.add("endpointLastOpened", labels, Math.floor((one.lastOpenedAt ?? 0) / 1000));
    if (one.totalAttempts > 0) families.add("endpointSuccessRatio", labels, one.successRate);
    families.add("endpointHealth", labels, one.healthScore);
    if (one.avgLatencyMs > 0) families.add("latency", labels, one.avgLatencyMs);
  }
  return families.all().map(withItsOwnName);
}

function withItsOwnName(family: MetricFamily): MetricFamily {
  if (family.metric !== endpointFailures || family.type === "histogram") return family;
  return { type: family.type, metric: FAILURES, samples: family.samples };
}
