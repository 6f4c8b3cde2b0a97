// `/metrics` in OpenMetrics, for whoever asks for it: the same values as Prometheus' text, since when each
// counter counts, and exemplars that lead to a trace.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ROOT_CONTEXT, trace, TraceFlags } from "@opentelemetry/api";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { adaptive, createSwitchgear, latching, slidingWindow } from "../../src/index.ts";
import type { Switchgear } from "../../src/index.ts";
import { Exemplars, prometheusMetrics, traceCalls } from "../../src/telemetry/otel/index.ts";
import { parseExposition } from "./exposition.ts";

const CREATED_MS = 1_795_000_000_500;

let gear: Switchgear;

beforeEach(() => {
  gear = createSwitchgear({
    upstreams: {
      draftkings: { breaker: latching({ failureThreshold: 2 }), operations: ["odds"] },
      window: { breaker: slidingWindow() },
      feeds: { breaker: adaptive(), endpoints: ["http://a", "http://b"] },
    },
    sampler: { systemLoad: () => 0.5 },
  });
  for (const upstream of ["draftkings", "window", "feeds"]) {
    for (const outcome of ["ok", "failed"] as const) {
      const admission = gear.upstream(upstream).tryAcquire({ operation: 'o"dds' });
      if (admission.admitted)
        admission.settle({ outcome, latencyMs: 150, error: new Error("500") });
    }
  }
});

const isOwn = (line: string): boolean => !/_created[{ ]|^#/.test(line);

/** The lines of samples as Prometheus' text has them. */
function asText(open: string): string[] {
  return open
    .trimEnd()
    .split("\n")
    .filter(isOwn)
    .map((line) => line.replace(/ # \{.*$/, "").replace(/le="(\d+)\.0"/, 'le="$1"'));
}

test("has the same series and values as Prometheus' text, and ends as it must", async (t) => {
  t.mock.method(Date, "now", () => CREATED_MS);
  const metrics = prometheusMetrics(gear, { version: "1.2.3" });
  const text = await metrics.collect();
  const open = await metrics.collect("openmetrics");

  assert.equal(open.contentType, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.ok(open.body.endsWith("\n# EOF\n"));
  assert.equal(open.body.match(/# EOF/g)?.length, 1);
  parseExposition(text.body);
  assert.deepEqual(asText(open.body), text.body.trimEnd().split("\n").filter(isOwn));
});

test("names families of counters without _total, and says since when each counts", async (t) => {
  t.mock.method(Date, "now", () => CREATED_MS);
  const { body } = await prometheusMetrics(gear).collect("openmetrics");

  assert.match(body, /^# TYPE circuit_breaker_trips counter$/m);
  assert.match(body, /^# HELP circuit_breaker_trips [^"]+$/m);
  assert.doesNotMatch(body, /^# (?:TYPE|HELP) \S+_total /m);
  assert.match(
    body,
    /^circuit_breaker_trips_total\{bookmaker="draftkings"\} 0\ncircuit_breaker_trips_created\{bookmaker="draftkings"\} 1795000000\.5$/m,
  );
  const histogram = 'bookmaker="draftkings",operation="o\\"dds",outcome="ok"';
  assert.ok(
    body.includes(`switchgear_request_duration_seconds_created{${histogram}} 1795000000.5\n`),
  );
  assert.ok(body.includes(`switchgear_request_duration_seconds_bucket{${histogram},le="1.0"} 1\n`));
  // Quotes in help texts are escaped here, and only here.
  assert.match(body, /reason=\\"load_shed\\"/);
  const counters = body.match(/^\S+_total[{ ]/gm)?.length ?? 0;
  const histograms = body.match(/seconds_count\{/g)?.length ?? 0;
  assert.equal(body.match(/^\S+_created[{ ]/gm)?.length, counters + histograms);
});

test("a second page of the same series is written as the first", async (t) => {
  t.mock.method(Date, "now", () => CREATED_MS);
  const metrics = prometheusMetrics(gear);
  const first = await metrics.collect("openmetrics");
  assert.equal((await metrics.collect("openmetrics")).body, first.body);
  assert.ok(!(await metrics.collect("text")).body.includes("_created"));
});

test("a sampled call is an exemplar of its bucket, and only in OpenMetrics", async () => {
  const exemplars = new Exemplars();
  const provider = new TracerProvider();
  const end = traceCalls(gear, { tracer: provider.getTracer("test"), exemplars });
  await gear.upstream("draftkings").execute(() => "odds", { operation: "odds" });
  end();

  const metrics = prometheusMetrics(gear, { exemplars });
  const { body } = await metrics.collect("openmetrics");
  const [, traceId, spanId, value] =
    /^switchgear_request_duration_seconds_bucket\{bookmaker="draftkings",operation="odds",outcome="ok",le="0\.005"\} 1 # \{trace_id="([0-9a-f]{32})",span_id="([0-9a-f]{16})"\} (\S+) \d+(?:\.\d+)?$/m.exec(
      body,
    ) ?? [];
  assert.ok(traceId !== undefined && spanId !== undefined, body);
  assert.ok(Number(value) <= 0.005, value);
  assert.ok(!(await metrics.collect()).body.includes("trace_id"));
});

test("a call that is not sampled leads nowhere, and is no exemplar", async () => {
  const exemplars = new Exemplars();
  const parent = trace.setSpanContext(ROOT_CONTEXT, {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    traceFlags: TraceFlags.NONE,
  });
  const provider = new TracerProvider();
  const end = traceCalls(gear, { tracer: provider.getTracer("test"), exemplars });
  await gear.upstream("draftkings").execute(() => "odds", { operation: "odds", parent });
  end();
  assert.deepEqual(exemplars.of("draftkings", "odds", "ok"), []);
});

test("the latest of each bucket is kept, of so many histograms", () => {
  const exemplars = new Exemplars();
  const one = { traceId: "a", spanId: "b", at: 0 };
  exemplars.note("dk", "odds", "ok", { ...one, value: 0.005 });
  exemplars.note("dk", "odds", "ok", { ...one, value: 0.004 });
  exemplars.note("dk", "odds", "ok", { ...one, value: 0.0051 });
  exemplars.note("dk", "odds", "ok", { ...one, value: 31 });
  const found = exemplars.of("dk", "odds", "ok");
  assert.deepEqual(
    found.map((exemplar) => exemplar?.value),
    [0.004, 0.0051, ...Array.from({ length: 11 }, () => undefined), 31],
  );
  for (let n = 0; n < 2000; n += 1) exemplars.note(`dk${n}`, "odds", "ok", { ...one, value: 1 });
  assert.equal(exemplars.of("dk998", "odds", "ok").length, 14);
  assert.equal(exemplars.of("dk999", "odds", "ok").length, 0);
  // Those that are known go on.
  exemplars.note("dk", "odds", "ok", { ...one, value: 0.003 });
  assert.equal(exemplars.of("dk", "odds", "ok")[0]?.value, 0.003);
});
