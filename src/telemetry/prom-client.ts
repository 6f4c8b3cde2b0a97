// `switchgear/prom-client`: the same families for an application that has a prom-client registry.
//
// Nothing of prom-client is imported: a registry asks each of its metrics for `get()`, so what answers
// that is a metric. Values are read when somebody scrapes, once for all families of a scrape.

import type { Metric } from "./series/catalogue.ts";
import { METRICS } from "./series/catalogue.ts";
import type { Labels, MetricFamily } from "./series/families.ts";
import {
  Recorder,
  type BuildInfo,
  type MeteredConfig,
  type MeteredLog,
  type MetricSource,
} from "./series/recorder.ts";

/** The parts of prom-client's `Registry` that are used. */
export interface PromRegistry {
  /** Asks for a class of prom-client's; what it uses of one is a `PromMetric`. */
  readonly registerMetric: (metric: never) => unknown;
  readonly removeSingleMetric: (name: string) => unknown;
}

export interface PromMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** How prom-client puts the workers of a cluster together. */
  readonly aggregator: "sum" | "max";
  get(): Promise<PromAnswer>;
}

export interface PromAnswer {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly PromValue[];
}

export interface PromValue {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}

export interface Registration {
  /** Families whose names the registry had already; they are not shown, and nothing else is harmed. */
  readonly failures: number;
  /** Takes the families out again. */
  unregister(): void;
}

export interface PromOptions extends Partial<BuildInfo> {
  /** A logger of `createLogger`, whose dropped lines are counted; without it those series are left out. */
  readonly log?: MeteredLog | undefined;
  /** A configuration that is read again while it is in use; without it those series are left out. */
  readonly config?: MeteredConfig | undefined;
}

/** Shows a registry of upstreams in one of prom-client. */
export function registerSwitchgear(
  registry: PromRegistry,
  gear: MetricSource,
  { version, runtime, log, config }: PromOptions = {},
): Registration {
  const build = version === undefined || runtime === undefined ? undefined : { version, runtime };
  const recorder = new Recorder(gear, { build, log, config });
  const all = Object.values(METRICS);
  const registration = registerFamilies(registry, all, () => recorder.collect());
  recorder.registrationFailures = registration.failures;
  return registration;
}

/** Shows families of any making. Names that are taken are left to whoever has them. */
export function registerFamilies(
  registry: PromRegistry,
  metrics: readonly Metric[],
  collect: () => readonly MetricFamily[],
): Registration {
  const scrape = oncePerScrape(collect);
  const registered: string[] = [];
  let failures = 0;
  for (const metric of metrics) {
    try {
      registry.registerMetric(promMetric(metric, scrape) as never);
      registered.push(metric.name);
    } catch {
      failures += 1;
    }
  }
  return {
    failures,
    unregister: () => {
      for (const name of registered.splice(0)) registry.removeSingleMetric(name);
    },
  };
}

/** All who ask before the first is answered share one reading. */
function oncePerScrape(
  collect: () => readonly MetricFamily[],
): () => Promise<ReadonlyMap<string, MetricFamily>> {
  let reading: Promise<ReadonlyMap<string, MetricFamily>> | undefined;
  return () =>
    (reading ??= Promise.resolve().then(() => {
      reading = undefined;
      return new Map(collect().map((family) => [family.metric.name, family]));
    }));
}

function promMetric(
  { name, help, type, overflow }: Metric,
  scrape: () => Promise<ReadonlyMap<string, MetricFamily>>,
): PromMetric {
  return {
    name,
    help,
    type,
    aggregator: overflow,
    async get() {
      const family = (await scrape()).get(name);
      const values = family === undefined ? [] : valuesOf(name, family);
      return { name, help, type, aggregator: overflow, values };
    },
  };
}

function valuesOf(name: string, family: MetricFamily): PromValue[] {
  if (family.type !== "histogram") {
    return family.samples.map(({ labels, value }) => ({ labels, value }));
  }
  return family.samples.flatMap(({ labels, count, sum, buckets }) => {
    let below = 0;
    const cumulative = buckets.map((inside, index) => {
      below += inside;
      const le = family.bounds[index] ?? "+Inf";
      return { metricName: `${name}_bucket`, labels: { ...labels, le: String(le) }, value: below };
    });
    return [
      ...cumulative,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  });
}
