// OpenTelemetry's SDK for the process that serves, switched on by the standard environment variables
// and by nothing else: spans of calls, and the same metrics that `/metrics` shows, over OTLP.
//
// It is loaded only when one of them asks for it. What it exports where is its own affair:
// `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT` and their relatives,
// `OTEL_PROPAGATORS`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`.

import type { PushMetricExporter } from "@opentelemetry/sdk-metrics";
import type { MetricSource } from "./recorder.ts";
import { switchgearMetricProducer } from "./otel.ts";
import { headerTracing, traceCalls, type HeaderTracing, type TracingSource } from "./tracing.ts";

export interface RunningSdk {
  /** For the gateway: carries W3C context through it. */
  readonly tracing: HeaderTracing;
  /** Sends what waits, for at most five seconds. Never rejects. */
  shutdown(): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SWITCHES = [
  "OTEL_TRACES_EXPORTER",
  "OTEL_METRICS_EXPORTER",
  "OTEL_EXPORTER_OTLP_ENDPOINT",
  "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
  "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/** A collector that does not answer must not hold a stop. */
const SHUTDOWN_MS_MAX = 2000;

export function isSdkWanted(env: Environment): boolean {
  if (env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return false;
  return SWITCHES.some((name) => (env[name] ?? "") !== "");
}

/** Undefined where nothing is to be pushed: `/metrics` is there to be scraped anyway. */
async function metricExporter(env: Environment): Promise<PushMetricExporter | undefined> {
  const kind = env["OTEL_METRICS_EXPORTER"] ?? "otlp";
  if (kind === "console")
    return new (await import("@opentelemetry/sdk-metrics")).ConsoleMetricExporter();
  if (kind !== "otlp") return undefined;
  const protocol = env["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] ?? env["OTEL_EXPORTER_OTLP_PROTOCOL"];
  switch (protocol ?? "http/protobuf") {
    case "grpc":
      return new (await import("@opentelemetry/exporter-metrics-otlp-grpc")).OTLPMetricExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-metrics-otlp-http")).OTLPMetricExporter();
    default:
      return new (await import("@opentelemetry/exporter-metrics-otlp-proto")).OTLPMetricExporter();
  }
}

/** Starts it if the environment asks for it; undefined if not. */
export async function startSdk(
  gear: MetricSource & TracingSource,
  env: Environment,
  version: string,
): Promise<RunningSdk | undefined> {
  if (!isSdkWanted(env)) return undefined;
  const [{ NodeSDK }, { PeriodicExportingMetricReader }] = await Promise.all([
    import("@opentelemetry/sdk-node"),
    import("@opentelemetry/sdk-metrics"),
  ]);
  const exporter = await metricExporter(env);
  const sdk = new NodeSDK({
    serviceName: env["OTEL_SERVICE_NAME"] ?? "switchgear",
    metricReaders:
      exporter === undefined
        ? []
        : [
            new PeriodicExportingMetricReader({
              exporter,
              exportIntervalMillis: Number(env["OTEL_METRIC_EXPORT_INTERVAL"] ?? 60_000),
              metricProducers: [switchgearMetricProducer(gear, { version })],
            }),
          ],
  });
  sdk.start();
  const endTracing = traceCalls(gear);
  return {
    tracing: headerTracing,
    async shutdown() {
      endTracing();
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, SHUTDOWN_MS_MAX);
      try {
        await Promise.race([sdk.shutdown(), timeout.promise]);
      } catch {
        // The collector is away; what it missed is lost.
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
