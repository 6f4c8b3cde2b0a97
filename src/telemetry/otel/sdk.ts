// OpenTelemetry's SDK for the process that serves, switched on by the standard environment variables
// and by nothing else: spans of calls, and the same metrics that `/metrics` shows, over OTLP.
//
// It is loaded only when one of them asks for it. What it exports where is its own affair:
// `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_EXPORTER_OTLP_ENDPOINT` and their relatives,
// `OTEL_PROPAGATORS`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`.

import { diag } from "@opentelemetry/api";
import type { PushMetricExporter } from "@opentelemetry/sdk-metrics";
import type { MetricSource } from "../series/recorder.ts";
import { switchgearMetricProducer, type OtelOptions } from "./index.ts";
import { tellSdkTroubles, type SdkLog } from "./sdk-diagnostics.ts";
import { headerTracing, traceCalls, type HeaderTracing, type TracingSource } from "./tracing.ts";

export interface RunningSdk {
  /** For the gateway: carries W3C context through it. */
  readonly tracing: HeaderTracing;
  /** Sends what waits, for at most two seconds. Never rejects. */
  shutdown(): Promise<void>;
}

/** What is metered beside the registry. */
type Metered = Omit<OtelOptions, "version">;

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

/** None where nothing is to be pushed: `/metrics` is there to be scraped anyway. */
async function metricExporters(env: Environment): Promise<PushMetricExporter[]> {
  const names = (env["OTEL_METRICS_EXPORTER"] || "otlp").split(",").map((name) => name.trim());
  const exporters: PushMetricExporter[] = [];
  for (const name of new Set(names)) {
    if (name === "otlp") exporters.push(await otlpExporter(env));
    else if (name === "console") exporters.push(await consoleExporter());
    // The admin port has it, at `/metrics`.
    else if (name !== "none" && name !== "prometheus") {
      diag.warn(`OTEL_METRICS_EXPORTER is ${name}; it may be otlp, console, prometheus or none`);
    }
  }
  return exporters;
}

async function consoleExporter(): Promise<PushMetricExporter> {
  return new (await import("@opentelemetry/sdk-metrics")).ConsoleMetricExporter();
}

async function otlpExporter(env: Environment): Promise<PushMetricExporter> {
  const protocol =
    env["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] || env["OTEL_EXPORTER_OTLP_PROTOCOL"] || "";
  switch (protocol) {
    case "grpc":
      return new (await import("@opentelemetry/exporter-metrics-otlp-grpc")).OTLPMetricExporter();
    case "http/json":
      return new (await import("@opentelemetry/exporter-metrics-otlp-http")).OTLPMetricExporter();
    default:
      return new (await import("@opentelemetry/exporter-metrics-otlp-proto")).OTLPMetricExporter();
  }
}

const EXPORT_INTERVAL_MS = 60_000;

/** What is no number would export without a pause. */
function exportIntervalMs(env: Environment): number {
  const name = "OTEL_METRIC_EXPORT_INTERVAL";
  const text = env[name];
  if (text === undefined || text === "") return EXPORT_INTERVAL_MS;
  const ms = Number(text);
  if (ms >= 1 && ms <= EXPORT_INTERVAL_MS_MAX) return ms;
  diag.warn(`${name} is ${text}; it must be milliseconds, from 1 to ${EXPORT_INTERVAL_MS_MAX}`);
  return EXPORT_INTERVAL_MS;
}

/** Timers take no more. */
const EXPORT_INTERVAL_MS_MAX = 2 ** 31 - 1;

/** Starts it if the environment asks for it; undefined if not. */
export async function startSdk(
  gear: MetricSource & TracingSource,
  env: Environment,
  version: string,
  log: SdkLog,
  metered: Metered,
): Promise<RunningSdk | undefined> {
  if (!isSdkWanted(env)) return undefined;
  tellSdkTroubles(log);
  const [{ NodeSDK }, { PeriodicExportingMetricReader }] = await Promise.all([
    import("@opentelemetry/sdk-node"),
    import("@opentelemetry/sdk-metrics"),
  ]);
  const producer = switchgearMetricProducer(gear, { version, ...metered });
  const exportIntervalMillis = exportIntervalMs(env);
  const sdk = new NodeSDK({
    serviceName: env["OTEL_SERVICE_NAME"] ?? "switchgear",
    metricReaders: (await metricExporters(env)).map(
      (exporter) =>
        new PeriodicExportingMetricReader({
          exporter,
          exportIntervalMillis,
          metricProducers: [producer],
        }),
    ),
  });
  sdk.start();
  const endTracing = traceCalls(gear, metered);
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
