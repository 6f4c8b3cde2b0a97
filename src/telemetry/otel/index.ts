// `switchgear/otel`: the metrics for OpenTelemetry's SDK, and its Prometheus text for `/metrics`.
//
// The SDK's instruments are not used: counting twice would cost each call, and the SDK's own limit
// of 2,000 series would cut ours silently. A metric producer hands over what the recorder reads.

import type { CollectionResult, MetricData, MetricProducer } from "@opentelemetry/sdk-metrics";
import { metricData } from "./data.ts";
import type { PageFormat } from "./format.ts";
import { NO_RESOURCE, Page } from "./page.ts";
import type { Exemplars } from "../series/exemplars.ts";
import {
  Recorder,
  type MeteredConfig,
  type MeteredGateway,
  type MeteredLog,
  type MeteredProcess,
  type MetricSource,
} from "../series/recorder.ts";

export type {
  MeteredConfig,
  MeteredGateway,
  MeteredLog,
  MeteredProcess,
  MetricSource,
} from "../series/recorder.ts";
export { Exemplars } from "../series/exemplars.ts";
export { headerTracing, traceCalls } from "./tracing.ts";
export type { PageFormat } from "./format.ts";
export type { HeaderTracing, TracingOptions, TracingSource } from "./tracing.ts";

export interface OtelOptions {
  /** Shown in `switchgear_build_info`, which is left out without it. */
  readonly version?: string | undefined;
  /** A logger of `createLogger`, whose dropped lines are counted; without it those series are left out. */
  readonly log?: MeteredLog | undefined;
  /** A configuration that is read again while it is in use; without it those series are left out. */
  readonly config?: MeteredConfig | undefined;
  /** The process that serves; without it those series are left out. */
  readonly process?: MeteredProcess | undefined;
  /** The gateway, whose own answers are counted; without it those series are left out. */
  readonly gateway?: MeteredGateway | undefined;
  /** What `traceCalls` was given, too: shown in OpenMetrics. Default: none. */
  readonly exemplars?: Exemplars | undefined;
}

/** What `/metrics` answers. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface MetricsEndpoint {
  /**
   * Prometheus' text, or OpenMetrics: the same values, with since when each counter counts, and exemplars.
   * Default `text`. Rejects when anything could not be collected: half a page would read as "all is well".
   */
  collect(format?: PageFormat): Promise<MetricsPage>;
}

/** Prometheus 3 refuses a scrape whose type it does not know; the exporter's own has no version. */
const CONTENT_TYPES: Readonly<Record<PageFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/**
 * A `MetricProducer` of whichever SDK the host has. Not by the SDK's own type: that of ours names what
 * `@opentelemetry/api` has since 1.10 only, and would not compile beside an older one.
 */
export interface SwitchgearMetricProducer {
  // oxlint-disable-next-line typescript/no-explicit-any -- read by a reader, which has its own type for it
  collect(): Promise<any>;
}

/**
 * For `metricProducers` of any OpenTelemetry metric reader.
 * @example
 * new PeriodicExportingMetricReader({ exporter, metricProducers: [switchgearMetricProducer(gear)] });
 */
export function switchgearMetricProducer(
  gear: MetricSource,
  options: OtelOptions = {},
): SwitchgearMetricProducer {
  const { version } = options;
  const recorder = recorderOf(gear, options);
  const scope = { name: "switchgear", ...(version === undefined ? {} : { version }) };
  const producer: MetricProducer = {
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
  return producer;
}

/** The Prometheus text of a registry. */
export function prometheusMetrics(gear: MetricSource, options: OtelOptions = {}): MetricsEndpoint {
  const recorder = recorderOf(gear, options);
  const createdAt = Date.now();
  const writer = (format: PageFormat): (() => Promise<MetricsPage>) => {
    const page = new Page({ format, createdAt, exemplars: options.exemplars });
    return oneAtATime(async () => ({
      contentType: CONTENT_TYPES[format],
      body: await page.write(recorder.collect()),
    }));
  };
  const writers = { text: writer("text"), openmetrics: writer("openmetrics") };
  return { collect: (format = "text") => writers[format]() };
}

function recorderOf(gear: MetricSource, options: OtelOptions): Recorder {
  const { version, exemplars: _, ...metered } = options;
  const build = version === undefined ? undefined : { version, runtime: runtimeName() };
  return new Recorder(gear, { build, ...metered });
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

function runtimeName(): string {
  const { bun, node } = process.versions;
  return bun === undefined ? `node ${node}` : `bun ${bun}`;
}
