// `switchgear/otel`: the metrics for OpenTelemetry's SDK, and its Prometheus text for `/metrics`.
//
// The SDK's instruments are not used: counting twice would cost each call, and the SDK's own limit
// of 2,000 series would cut ours silently. A metric producer hands over what the recorder reads.

import type { CollectionResult, MetricData, MetricProducer } from "@opentelemetry/sdk-metrics";
import { metricData } from "./data.ts";
import { NO_RESOURCE, Page } from "./page.ts";
import {
  Recorder,
  type MeteredConfig,
  type MeteredLog,
  type MetricSource,
} from "../series/recorder.ts";

export type { MeteredConfig, MeteredLog, MetricSource } from "../series/recorder.ts";
export { headerTracing, traceCalls } from "./tracing.ts";
export type { HeaderTracing, TracingOptions, TracingSource } from "./tracing.ts";

export interface OtelOptions {
  /** Shown in `switchgear_build_info`, which is left out without it. */
  readonly version?: string | undefined;
  /** A logger of `createLogger`, whose dropped lines are counted; without it those series are left out. */
  readonly log?: MeteredLog | undefined;
  /** A configuration that is read again while it is in use; without it those series are left out. */
  readonly config?: MeteredConfig | undefined;
}

/** What `/metrics` answers. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

export interface MetricsEndpoint {
  /** Rejects when anything could not be collected: half a page would read as "all is well". */
  collect(): Promise<MetricsPage>;
}

/** Prometheus 3 refuses a scrape whose type it does not know; the exporter's own has no version. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

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
  const page = new Page();
  const collect = async (): Promise<MetricsPage> => ({
    contentType: CONTENT_TYPE,
    body: await page.write(recorder.collect()),
  });
  return { collect: oneAtATime(collect) };
}

function recorderOf(gear: MetricSource, { version, log, config }: OtelOptions): Recorder {
  const build = version === undefined ? undefined : { version, runtime: runtimeName() };
  return new Recorder(gear, { build, log, config });
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
