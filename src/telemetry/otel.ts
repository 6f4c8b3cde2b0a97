// `switchgear/otel`: the metrics for OpenTelemetry's SDK, and its Prometheus text for `/metrics`.
//
// The SDK's instruments are not used: counting twice would cost each call, and the SDK's own limit
// of 2,000 series would cut ours silently. A metric producer hands over what the recorder reads.

import { ValueType } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  type CollectionResult,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import type { MetricFamily } from "./families.ts";
import { Recorder, type MetricSource } from "./recorder.ts";

export type { MetricSource } from "./recorder.ts";
export { headerTracing, traceCalls } from "./tracing.ts";
export type { HeaderTracing, TracingOptions, TracingSource } from "./tracing.ts";

export interface OtelOptions {
  /** Shown in `switchgear_build_info`, which is left out without it. */
  readonly version?: string | undefined;
}

/** What `/metrics` answers. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface MetricsEndpoint {
  /** Rejects when anything could not be collected: half a page would read as "all is well". */
  collect(): Promise<MetricsPage>;
  /** Afterwards nothing is collected any more. Nothing leaks without it. */
  shutdown(): Promise<void>;
}

/** Prometheus 3 refuses a scrape whose type it does not know; the exporter's own has no version. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * For `metricProducers` of any OpenTelemetry metric reader.
 * @example
 * new PeriodicExportingMetricReader({ exporter, metricProducers: [switchgearMetricProducer(gear)] });
 */
export function switchgearMetricProducer(
  gear: MetricSource,
  options: OtelOptions = {},
): MetricProducer {
  const { version } = options;
  const recorder = new Recorder(
    gear,
    version === undefined ? undefined : { version, runtime: runtimeName() },
  );
  const scope = { name: "switchgear", ...(version === undefined ? {} : { version }) };
  return {
    collect(): Promise<CollectionResult> {
      let metrics: MetricData[] = [];
      const errors: unknown[] = [];
      try {
        metrics = recorder.collect().map((family) => metricData(family));
      } catch (error) {
        errors.push(error);
      }
      return Promise.resolve({
        // A reader puts its own provider's resource in place of this one.
        resourceMetrics: { resource: NO_RESOURCE, scopeMetrics: [{ scope, metrics }] },
        errors,
      });
    },
  };
}

/** The Prometheus text of a registry, made by OpenTelemetry's SDK and its Prometheus exporter. */
export function prometheusMetrics(gear: MetricSource, options: OtelOptions = {}): MetricsEndpoint {
  // No server of its own: it would listen on localhost only, and answer 200 to a failed collection.
  const exporter = new PrometheusExporter({
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
    metricProducers: [switchgearMetricProducer(gear, options)],
  });
  const provider = new MeterProvider({ readers: [exporter] });
  const serializer = new PrometheusSerializer("", false, undefined, true, true);
  const collect = async (): Promise<MetricsPage> => {
    const { resourceMetrics, errors } = await exporter.collect();
    if (errors.length > 0) throw new AggregateError(errors, "metrics could not be collected");
    let body = "";
    for (const part of partsOf(resourceMetrics)) {
      const text = serializer.serialize(part.metrics);
      body += part.continues ? withoutHeader(text) : text;
      // Calls go on in between: a page of many upstreams takes the serializer tenths of a second.
      if (part.isLarge) await immediate();
    }
    return { contentType: CONTENT_TYPE, body };
  };
  return { collect: oneAtATime(collect), shutdown: () => provider.shutdown() };
}

/**
 * However many scrape, one collection runs. Who comes while it does shares the next one, and so
 * never sees anything older than the request.
 */
function oneAtATime<Value>(run: () => Promise<Value>): () => Promise<Value> {
  let running: Promise<Value> | undefined;
  let next: Promise<Value> | undefined;
  const start = (): Promise<Value> => {
    next = undefined;
    const started = run().finally(() => {
      if (running === started) running = undefined;
    });
    running = started;
    return started;
  };
  return () => {
    if (running === undefined) return start();
    return (next ??= running.then(start, start));
  };
}

type ResourceMetrics = Parameters<PrometheusSerializer["serialize"]>[0];
type AnyMetric = ResourceMetrics["scopeMetrics"][number]["metrics"][number];

/** Points that are turned into text without a pause: some milliseconds. A histogram has 14 lines. */
const POINTS_PER_PART = 500;
const HISTOGRAMS_PER_PART = 40;
const HISTOGRAM: number = DataPointType.HISTOGRAM;

interface Part {
  readonly metrics: ResourceMetrics;
  /** Whether the family's header stands before an earlier part. */
  readonly continues: boolean;
  readonly isLarge: boolean;
}

function* partsOf({ resource, scopeMetrics }: ResourceMetrics): Generator<Part> {
  for (const { scope, metrics } of scopeMetrics) {
    for (const metric of metrics) {
      const { length } = metric.dataPoints;
      // As a plain number, since the exporter may have its own copy of the SDK, and of this enum.
      const type: number = metric.dataPointType;
      const isHistogram = type === HISTOGRAM;
      const size = isHistogram ? HISTOGRAMS_PER_PART : POINTS_PER_PART;
      for (let from = 0; from < length; from += size) {
        const dataPoints = metric.dataPoints.slice(from, from + size);
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a slice has the points' type
        const slice = { ...metric, dataPoints } as AnyMetric;
        yield {
          metrics: { resource, scopeMetrics: [{ scope, metrics: [slice] }] },
          continues: from > 0,
          isLarge: length > size,
        };
      }
    }
  }
}

/** Drops the HELP and TYPE lines, which a family has once. Samples never start with `#`. */
function withoutHeader(text: string): string {
  let start = 0;
  while (text.startsWith("#", start)) start = text.indexOf("\n", start) + 1;
  return text.slice(start);
}

function immediate(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

type Resource = CollectionResult["resourceMetrics"]["resource"];

const NO_RESOURCE: Resource = {
  attributes: {},
  merge: (other) => other ?? NO_RESOURCE,
  getRawAttributes: () => [],
};

/** Counters count from the start of the process, not from the first scrape. */
const START_TIME = hrTime(performance.timeOrigin);

function metricData(family: MetricFamily): MetricData {
  const { metric } = family;
  const times = {
    startTime: START_TIME,
    endTime: hrTime(performance.timeOrigin + performance.now()),
  };
  const base = {
    descriptor: {
      name: metric.name,
      description: metric.help,
      unit: "",
      valueType: ValueType.DOUBLE,
    },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (family.type === "histogram") {
    const boundaries = [...family.bounds];
    return {
      ...base,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: family.samples.map(({ labels, count, sum, buckets }) => ({
        ...times,
        attributes: labels,
        value: { buckets: { boundaries, counts: [...buckets] }, count, sum },
      })),
    };
  }
  const dataPoints = family.samples.map(({ labels, value }) => ({
    ...times,
    attributes: labels,
    value,
  }));
  return family.type === "counter"
    ? { ...base, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...base, dataPointType: DataPointType.GAUGE, dataPoints };
}

function hrTime(epochMs: number): [number, number] {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}

function runtimeName(): string {
  const { bun, node } = process.versions;
  return bun === undefined ? `node ${node}` : `bun ${bun}`;
}
