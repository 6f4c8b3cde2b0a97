// Spans and metrics over OTLP, switched on by the standard environment variables alone.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { test } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { listen } from "../contract/gateway-harness.ts";
import { serve, temporaryFolder } from "../support/programs.ts";

interface Received {
  readonly path: string;
  readonly body: unknown;
}

/** Every value of this key, however deep. */
function valuesOf(body: unknown, key: string): unknown[] {
  if (typeof body !== "object" || body === null) return [];
  return Object.entries(body).flatMap(([name, value]) => {
    const inner = valuesOf(value, key);
    return name === key ? [value].concat(inner) : inner;
  });
}

test("a collector hears of each call and of every series; one that is away holds nobody up", async (t) => {
  const received: Received[] = [];
  const collector = createServer((request, response) => {
    void json(request).then((body) => {
      received.push({ path: request.url ?? "", body });
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
  });
  const port = await listen(collector);
  t.after(() => {
    collector.closeAllConnections();
    collector.close();
  });
  const seen: (string | undefined)[] = [];
  const bookmaker = await startBookmaker({ name: "draftkings", serviceMs: 1 });
  t.after(() => bookmaker.close());
  const config = `upstreams: { draftkings: { url: "${bookmaker.url}" } }\n`;
  const serving = await serve(t, temporaryFolder(t), config, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_METRIC_EXPORT_INTERVAL: "300",
    OTEL_METRIC_EXPORT_TIMEOUT: "300",
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_SERVICE_NAME: "switchgear-test",
  });

  const answer = await fetch(`${serving.gateway}/draftkings/odds`);
  seen.push(await answer.text());
  assert.equal(answer.status, 200);
  const isThere = (path: string, key: string, value: unknown): boolean =>
    received.some((one) => one.path === path && valuesOf(one.body, key).includes(value));
  const untilMs = performance.now() + 20_000;
  while (
    performance.now() < untilMs &&
    !(
      isThere("/v1/traces", "name", "draftkings unknown") &&
      isThere("/v1/metrics", "name", "circuit_breaker_tripped")
    )
  ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(isThere("/v1/traces", "name", "draftkings unknown"), "the call's span");
  assert.ok(isThere("/v1/metrics", "name", "circuit_breaker_tripped"), "the series");
  assert.ok(isThere("/v1/metrics", "name", "switchgear_log_up"), "the log's own");
  assert.ok(isThere("/v1/metrics", "stringValue", "switchgear-test"), "the service's name");

  collector.closeAllConnections();
  collector.close();
  const startMs = performance.now();
  serving.program.child.kill("SIGTERM");
  const { code } = await serving.program.ended;
  assert.equal(code, 0);
  assert.ok(performance.now() - startMs < 7000);
});

test("a variable that cannot be used is named in the log, and everything is served", async (t) => {
  const config = `upstreams: { draftkings: { url: "http://127.0.0.1:9" } }\n`;
  const { program, admin } = await serve(t, temporaryFolder(t), config, {
    OTEL_METRICS_EXPORTER: "statsd, prometheus",
    OTEL_METRIC_EXPORT_INTERVAL: "soon",
    OTEL_TRACES_EXPORTER: "carrier-pigeon",
  });
  assert.equal((await fetch(`${admin}/metrics`)).status, 200);
  const told = program.stdout();
  assert.match(
    told,
    /OTEL_METRICS_EXPORTER is statsd; it may be otlp, console, prometheus or none/,
  );
  assert.match(told, /OTEL_METRIC_EXPORT_INTERVAL is soon; it must be milliseconds, from 1 to/);
  assert.match(told, /carrier-pigeon/);
  assert.doesNotMatch(told, /is prometheus/);
});
