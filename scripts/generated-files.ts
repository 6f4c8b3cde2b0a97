// The files that are made from the sources: `npm run generate` writes them, a test compares them.

import { basename, join, resolve } from "node:path";
import { format } from "prettier";
import { dashboardFiles, type DashboardFile } from "../grafana/boards/index.ts";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { METRICS, type Metric } from "../src/telemetry/series/catalogue.ts";
import { alertsPage } from "./alerts/page.ts";
import { DEFAULT_VALUES, renderAlerts } from "./alerts/render.ts";
import { readValues } from "./alerts/values.ts";
import { dashboardsPage } from "./dashboards-page.ts";
import { chartFiles } from "./chart/files.ts";
import { loadTestSeriesPage } from "./load-test-series.ts";
import { testRun } from "./testrun.ts";
import { transitionsPage } from "./transitions.ts";
import { transportsPage } from "./transports.ts";

const ROOT = resolve(import.meta.dirname, "..");

export interface GeneratedFile {
  readonly path: string;
  readonly content: string;
}

export async function generatedFiles(): Promise<GeneratedFile[]> {
  const alerts = await renderAlerts(readValues(DEFAULT_VALUES));
  const made = [
    ["deploy/k6/testrun.yaml", "yaml", testRun()],
    ["docs/dashboards.md", "markdown", dashboardsPage()],
    ["docs/alerts.md", "markdown", alertsPage(alerts)],
    ["src/config/switchgear.schema.json", "json", JSON.stringify(configJsonSchema())],
    ["docs/load-test-metrics.md", "markdown", loadTestSeriesPage()],
    ["docs/metrics.md", "markdown", metricsPage()],
    ["docs/transitions.md", "markdown", transitionsPage()],
    ["docs/transports.md", "markdown", transportsPage()],
    ...chartFiles().map(({ path, parser, content }) => [path, parser, content] as const),
  ] as const;
  const pages = await Promise.all(
    made.map(async ([path, parser, text]) => ({
      path: join(ROOT, path),
      content: await format(text, { parser, printWidth: 100 }),
    })),
  );
  const dashboards = dashboardFiles();
  const whole = [...alerts, ...dashboards, ...dashboards.map(inChart)];
  return [...pages, ...whole.map(({ path, content }) => ({ path: join(ROOT, path), content }))];
}

/** Helm reads no file outside of a chart. */
function inChart({ path, content }: DashboardFile): DashboardFile {
  return { path: `deploy/helm/switchgear/files/dashboards/${basename(path)}`, content };
}

function metricsPage(): string {
  const all: readonly Metric[] = Object.values(METRICS);
  const mandated = all.filter(({ name }) => !name.startsWith("switchgear_"));
  const own = all.filter(({ name }) => name.startsWith("switchgear_"));
  return `<!-- Generated from src/telemetry/series/catalogue.ts by \`npm run generate\`. -->

# Metrics and logs

\`/metrics\` and \`/api/metrics\` on the admin port, in Prometheus' text format. Values are read when they
are scraped; a call pays for incrementing a number. A collection that fails answers 500, never an
empty 200.

The first 1,000 upstreams and 200 operations of each get labels of their own; the rest are put together
as \`__overflow__\`. Label values longer than 128 characters are cut and end in a hash.

An upstream that is called with one operation has about 42 lines, each operation more adds 24, and each that
fails or times out 16; a limiter of calls in flight has 31, and so has each endpoint's: a scrape limit of 5,000 samples is enough for some 60 of them. \`npm run bench\` measures a
scrape of 1,000.

The buckets of \`switchgear_request_duration_seconds\` are fixed, from 5 ms to 30 s. Prometheus can keep them as
native histograms with custom buckets (\`convert_classic_histograms_to_nhcb: true\` in the scrape's
configuration): one series in place of seventeen; then ask \`histogram_quantile\` without \`le\`, and \`alerts/slo.yml\`,
which asks for a bucket, needs the classic ones beside it (\`always_scrape_classic_histograms: true\`).

## Series that keep the names of the source system

Two of them break Prometheus' naming rules, and keep their names all the same:
\`circuit_breaker_trip_count\` and \`circuit_breaker_latency_ms\`. Where monitoring tasks run there is a third,
\`circuit_breaker_monitoring_task_count\`. \`promtool check metrics\` says so, and nothing else.

${table(mandated)}

## Switchgear's own

${table(own)}

## In your own service

\`\`\`js
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { switchgearMetricProducer } from "switchgear/otel";

const reader = new PrometheusExporter({
  host: "0.0.0.0", // its own default is localhost: in a pod nothing could scrape it
  withoutScopeInfo: true,
  withoutTargetInfo: true,
  metricProducers: [switchgearMetricProducer(gear)],
});
new MeterProvider({ readers: [reader] });
\`\`\`

Beside an SDK that holds \`@opentelemetry/api\` at 1.9 both work, types included (\`test/e2e/package.test.ts\`); npm then
warns while it installs, and \`npm ls\` calls that version invalid, for the sake of this package's own SDK: that one, for
\`switchgear serve\` and \`prometheusMetrics\`, asks for 1.10.

Where there is a prom-client registry already, the same series go there; prom-client itself is not loaded:

\`\`\`js
import { register } from "prom-client";
import { registerSwitchgear } from "switchgear/prom-client";

const { failures } = registerSwitchgear(register, gear); // families whose names were taken
\`\`\`

Where the logger is one of \`createLogger\`, \`{ log: logger }\` adds how its lines fare, to either of them.

One history through both gives the same lines (\`test/contract/prom-client.test.ts\`).

## OpenMetrics

Whoever prefers \`application/openmetrics-text\`, as Prometheus does by default, gets the same series and values in
OpenMetrics 1.0, and beside them:

- \`…_created\` for each counter and histogram: when this process began to count. Prometheus with
  \`--enable-feature=created-timestamp-zero-ingestion\` sees by it the first increase of what is new; without, it
  keeps them as series, and a scrape grows by two fifths. Drop them then:
  \`metric_relabel_configs: [{ source_labels: [__name__], regex: ".+_created", action: drop }]\`.
- Exemplars at the buckets of \`switchgear_request_duration_seconds\`: trace and span of the latest sampled call
  that took so long, with \`--enable-feature=exemplar-storage\`. In your own service hand one \`new Exemplars()\` of
  \`switchgear/otel\` to \`traceCalls\` and to \`prometheusMetrics\`; the gateway does.

## Traces, and OTLP

\`traceCalls(gear)\` of \`switchgear/otel\` makes a span of each protected call. What the function starts is
inside of it; a transition that the call's result causes is an event on it.

| Attribute | Value |
| --- | --- |
| \`switchgear.upstream\`, \`switchgear.operation\` | as in the metrics, uncut |
| \`switchgear.endpoint\` | where the upstream has several |
| \`switchgear.outcome\` | \`ok\`, \`failed\`, \`timeout\`, \`ignored\` or \`refused\` |
| \`switchgear.reason\` | of a refusal |
| \`switchgear.attempt\` | 1: retries are not built |

\`switchgear serve\` does all this by itself when one of the standard variables asks for it, such as
\`OTEL_EXPORTER_OTLP_ENDPOINT\`, \`OTEL_TRACES_EXPORTER\` or \`OTEL_METRICS_EXPORTER\`: spans and the series
above go out over OTLP, and W3C trace context passes from the gateway's callers to the upstreams through
the call's span. Without them nothing of it is loaded, and callers' trace headers pass as they came.

## Logs

JSON lines on standard output, or Hyper-Bun's format with \`logging.format: hyper-bun\`. Each event has a
\`code\`; \`attachLogging(gear, logger)\` of \`switchgear/pino\` writes the same from your own service. Trace
and span ids are added while there is a span.

Refused calls of one upstream, operation and reason have at most one line in a second, and so have failed calls
of one upstream, operation and outcome, with the cause of one of them; \`suppressed\` says how many more like it
there were, and a last line those of the last second. \`rejectionIntervalMs\` and \`failureIntervalMs\` of
\`logging\` and of \`attachLogging\` are other times, and 0 logs every one. That last line comes with
\`gear.close()\`, too, and with the function that \`attachLogging\` answered; a process that ends within that
second without calling either has the lines before and not the count of those that were left out.

Nothing waits for whoever reads the log. 256 KiB of lines wait for a reader that is slow; beyond them lines
are dropped and counted in \`switchgear_log_lines_dropped_total\`, and a line says where they are missing. A
reader that is gone and a disk that is full are told of once on standard error, \`switchgear_log_up\` shows 0,
and the log is tried again every ten seconds. A process that a defect ends says so in its last line; warnings
of the runtime are lines, too. \`createLogger\` does the same in your own service.

| Code | Level | When |
| --- | --- | --- |
| \`HBCB-001\` | info | the probe succeeded and the breaker closed by itself; in the drop-in also the first success after a reset |
| \`HBCB-002\` | error | the breaker tripped |
| \`HBCB-003\` | warn | a call was refused because the breaker is tripped |
| \`HBCB-004\` | warn | a call was shed because this process is loaded |
| \`HBCB-005\` | info, or warn when denied | somebody reset the breaker, or tried to |
| \`HBCB-006\` | warn | somebody tripped the breaker |
| \`HBCB-007\` | error | an alert callback failed |
| \`SG_CALL\` | warn | a call failed or timed out: its cause |
| \`SG_LIMIT\` | error or info | an upstream hangs, as its limiter sees it, or answers again |
| \`SG_MODE\` | warn | somebody changed the breaker's mode, here or, as \`system\` tells, on another replica |
| \`SG_STATE\` | info or warn | a breaker that recovers by itself sent probes, closed, or found its upstream still down |
| \`SG_TASK\` | info, warn or error | a monitoring task started, ended, or had to be ended |
| \`SG_STORE\` | error, info or fatal | the store fails, works again, or was found broken and put aside |
| \`SG_MISUSE\` | warn | the host's code answered the drop-in what cannot be used; once for each kind |
| \`SG_LOG\` | warn | log lines are missing before this one |
`;
}

function code(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

function table(metrics: readonly Metric[]): string {
  return [
    "| Series | Type | Labels | Meaning |",
    "| --- | --- | --- | --- |",
    ...metrics.map(
      ({ name, type, labels, orLabels, help }) =>
        `| \`${name}\` | ${type} | ${code(labels)}${orLabels === undefined ? "" : ` or ${code(orLabels)}`} | ${help.replaceAll("|", "\\|")} |`,
    ),
  ].join("\n");
}
