// `switchgear/prom-client`: the same families for an application that has a prom-client registry.
//
// Nothing of prom-client is imported: a registry asks each of its metrics for `get()`, so what answers
// that is a metric. Values are read when somebody scrapes, once for all families of a scrape. Whatever is
// shown in one registry of prom-client shares its families there.

import type { Metric } from "./series/catalogue.ts";
import { METRICS } from "./series/catalogue.ts";
import type { Labels, MetricFamily } from "./series/families.ts";
import { mergeFamilies } from "./series/merge.ts";
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
  readonly getSingleMetric: (name: string) => unknown;
}

export interface PromMetric {
  /** A registry that speaks OpenMetrics takes `_total` off a counter's, and puts it on again when it prints. */
  name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** How prom-client puts the workers of a cluster together. */
  readonly aggregator: Metric["overflow"];
  get(): Promise<PromAnswer>;
  /** What is counted here is not the registry's to forget: `resetMetrics` resets its own. */
  reset(): void;
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

/**
 * Shows a registry of upstreams in one of prom-client. A second one joins the first there: series of the same
 * labels become one. The same one again, or one in place of a closed one, replaces it, as a hot reload has it.
 */
export function registerSwitchgear(
  registry: PromRegistry,
  gear: MetricSource,
  { version, runtime, log, config }: PromOptions = {},
): Registration {
  const build = version === undefined || runtime === undefined ? undefined : { version, runtime };
  const recorder = new Recorder(gear, { build, log, config });
  const shown = shownIn(registry);
  const failures = shown.add(gear, recorder);
  recorder.registrationFailures = failures;
  return { failures, unregister: () => shown.remove(gear, recorder) };
}

/** The same in every copy of this module: a reloaded one must find what the old one has shown. */
const SHOWN = Symbol.for("switchgear.prom-client.shown");

function shownIn(registry: PromRegistry & { readonly [SHOWN]?: Shown }): Shown {
  const known = registry[SHOWN];
  if (known !== undefined) return known;
  const shown = new Shown(registry);
  Object.defineProperty(registry, SHOWN, { value: shown });
  return shown;
}

/** All registries of upstreams that are shown in one of prom-client. */
class Shown {
  readonly #registry: PromRegistry;
  readonly #recorders = new Map<MetricSource, Recorder>();
  /** By the names of the catalogue: a registry may write another one into a metric. */
  readonly #metrics: ReadonlyMap<string, PromMetric>;

  constructor(registry: PromRegistry) {
    this.#registry = registry;
    const scrape = oncePerScrape(() => this.#collect());
    const all: readonly Metric[] = Object.values(METRICS);
    const metrics = all.filter(({ isProcessWide }) => isProcessWide !== true);
    this.#metrics = new Map(metrics.map((metric) => [metric.name, promMetric(metric, scrape)]));
  }

  /** How many families the registry refused, because others have their names. */
  add(gear: MetricSource, recorder: Recorder): number {
    for (const other of this.#recorders.keys()) {
      if (other.isClosing === true) this.#recorders.delete(other);
    }
    this.#recorders.set(gear, recorder);
    let failures = 0;
    for (const [name, metric] of this.#metrics) {
      // It may have been cleared since, and by its name in OpenMetrics nobody finds it.
      if (this.#registry.getSingleMetric(name) === metric) continue;
      metric.name = name;
      try {
        this.#registry.registerMetric(metric as never);
      } catch {
        failures += 1;
      }
    }
    return failures;
  }

  remove(gear: MetricSource, recorder: Recorder): void {
    if (this.#recorders.get(gear) !== recorder) return;
    this.#recorders.delete(gear);
    if (this.#recorders.size > 0) return;
    for (const [name, metric] of this.#metrics) {
      const isOurs = this.#registry.getSingleMetric(name) === metric;
      if (isOurs) this.#registry.removeSingleMetric(name);
    }
  }

  #collect(): readonly MetricFamily[] {
    return mergeFamilies([...this.#recorders.values()].map((recorder) => recorder.collect()));
  }
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
  const metric: PromMetric = {
    name,
    help,
    type,
    aggregator: overflow,
    async get() {
      const family = (await scrape()).get(name);
      const values = family === undefined ? [] : valuesOf(name, family);
      return { name: metric.name, help, type, aggregator: overflow, values };
    },
    reset() {},
  };
  return metric;
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
