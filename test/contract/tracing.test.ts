// Spans of protected calls, made by OpenTelemetry's own SDK and kept in memory.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace";
import { adaptive, createSwitchgear, latching, type Switchgear } from "../../src/index.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";
import { headerTracing, traceCalls } from "../../src/telemetry/otel/tracing.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import { raw, startUpstream } from "./gateway-harness.ts";

const exporter = new InMemorySpanExporter();
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
const tracer = provider.getTracer("switchgear");

before(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});
after(() => {
  context.disable();
  propagation.disable();
});
beforeEach(() => exporter.reset());

function make(clock = new VirtualClock()): { gear: Switchgear; end: () => void } {
  const gear = createSwitchgear({
    upstreams: {
      dk: { breaker: latching({ failureThreshold: 2 }), deadlineMs: 1000 },
      plain: { breaker: latching({ failureThreshold: 2 }) },
      feeds: {
        breaker: latching(),
        endpoints: [{ name: "eu", url: "http://eu" }],
        endpointBreaker: adaptive({ failureThreshold: 1, adaptive: false }),
      },
    },
    sampler: { systemLoad: () => 0.9 },
    clock,
  });
  return { gear, end: traceCalls(gear, { tracer }) };
}

function spans(): readonly ReadableSpan[] {
  return exporter.getFinishedSpans();
}

function attributes(span: ReadableSpan | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(span?.attributes ?? {}).map(([key, value]) => [
      key.replace("switchgear.", ""),
      value,
    ]),
  );
}

for (const upstream of ["dk", "plain"]) {
  test(`a call to ${upstream} is a span, and what it starts is inside of it`, async () => {
    const { gear } = make();
    const value = await gear.upstream(upstream).execute(
      async () => {
        await Promise.resolve();
        const inner = tracer.startSpan("inner");
        inner.end();
        return "odds";
      },
      { operation: "odds" },
    );

    assert.equal(value, "odds");
    const [inner, call] = spans();
    assert.equal(call?.name, `${upstream} odds`);
    assert.equal(call?.kind, SpanKind.CLIENT);
    assert.equal(inner?.parentSpanContext?.spanId, call?.spanContext().spanId);
    assert.deepEqual(attributes(call), { upstream, operation: "odds", attempt: 1, outcome: "ok" });
    assert.equal(call?.status.code, SpanStatusCode.UNSET);
  });
}

test("a failure has its words, and the trip that it causes is an event on it", async () => {
  const { gear } = make();
  for (let n = 0; n < 2; n += 1) {
    await assert.rejects(
      gear.upstream("plain").execute(() => Promise.reject(new Error("HTTP\n500"))),
    );
  }
  const [first, second] = spans();
  assert.equal(attributes(first)["outcome"], "failed");
  assert.deepEqual(first?.status, { code: SpanStatusCode.ERROR, message: "HTTP\\n500" });
  assert.deepEqual(first?.events, []);
  const [event] = second?.events ?? [];
  assert.equal(event?.name, "breaker transition");
  assert.deepEqual(event?.attributes, {
    upstream: "plain",
    from: "closed",
    to: "open",
    cause: "failures",
  });
});

test("a refusal is a span that ended at once, with its reason", async () => {
  const { gear } = make();
  gear.upstream("dk").trip({ reason: "maintenance" });
  await assert.rejects(gear.upstream("dk").execute(() => 1));
  await assert.rejects(gear.upstream("plain").execute(() => 1, { load: 500 }));
  assert.deepEqual(
    spans().map((span) => [
      attributes(span)["outcome"],
      attributes(span)["reason"],
      span.status.code,
    ]),
    [
      ["refused", "tripped", SpanStatusCode.ERROR],
      ["refused", "load_shed", SpanStatusCode.ERROR],
    ],
  );
});

test("timeouts and aborts are told apart", async () => {
  const clock = new VirtualClock();
  const { gear } = make(clock);
  const hang = (): Promise<never> => new Promise(() => {});
  const slow = gear.upstream("dk").execute(hang);
  clock.advance(1000);
  await assert.rejects(slow, { code: "SG_DEADLINE" });
  const controller = new AbortController();
  const left = gear.upstream("plain").execute(hang, { signal: controller.signal });
  controller.abort(new Error("left"));
  await assert.rejects(left, { message: "left" });
  assert.deepEqual(
    spans().map((span) => [attributes(span)["outcome"], span.status.code]),
    [
      ["timeout", SpanStatusCode.ERROR],
      ["ignored", SpanStatusCode.UNSET],
    ],
  );
});

test("an adapter's call is a span, too; its endpoint and that endpoint's transition are on it", () => {
  const { gear } = make();
  const admission = gear.upstream("feeds").tryAcquire({ operation: "odds" });
  assert.ok(admission.admitted);
  assert.equal(spans().length, 0);
  admission.settle({ outcome: "failed", error: "HTTP 503" });
  admission.settle({ outcome: "ok" });
  const [span, ...others] = spans();
  assert.equal(others.length, 0);
  assert.deepEqual(attributes(span), {
    upstream: "feeds",
    operation: "odds",
    attempt: 1,
    endpoint: "eu",
    outcome: "failed",
  });
  assert.equal(span?.events[0]?.name, "endpoint transition");
});

test("once ended, calls are no spans, and stay what they are", async () => {
  const { gear, end } = make();
  await gear.upstream("plain").execute(() => 1);
  end();
  await gear.upstream("plain").execute(() => 2);
  await assert.rejects(gear.upstream("plain").execute(() => Promise.reject(new Error("x"))));
  assert.equal(spans().length, 1);
});

test("a tracer that throws costs no call", async () => {
  const { gear } = make();
  gear.watchCalls({
    begin: () => {
      throw new Error("no memory");
    },
  });
  assert.equal(await gear.upstream("plain").execute(() => 1), 1);
  assert.equal(gear.upstream("plain").inFlight, 0);
});

test("the gateway carries W3C context from its caller to the upstream", async () => {
  const seen: (string | undefined)[] = [];
  const upstream = await startUpstream((request, response) => {
    const { traceparent, tracestate } = request.headers;
    seen.push(String(traceparent), String(tracestate));
    response.end("odds");
  });
  const gear = createSwitchgear({ upstreams: { dk: { breaker: latching() } } });
  traceCalls(gear, { tracer });
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    upstreams: new Map([
      [
        "dk",
        {
          name: "dk",
          url: new URL(upstream.url),
          deadlineMs: 5000,
          status429: "neutral",
          operations: [{ name: "odds", path: "/odds", load: 1 }],
          guard: gear.upstream("dk"),
        },
      ],
    ]),
    maxBodyBytes: 1000,
    maxHeaderBytes: 16_384,
    scheduler: systemClock,
    tracing: headerTracing,
    version: "test",
  });
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const head = "GET /dk/odds HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
  const parent = `TraceParent: 00-${traceId}-00f067aa0ba902b7-01\r\nTraceState: vendor=1\r\n`;
  try {
    assert.equal((await raw(gateway.port, `${head}${parent}\r\n`)).status, 200);
    assert.equal((await raw(gateway.port, `${head}\r\n`)).status, 200);
    assert.equal((await raw(gateway.port, `${head}traceparent: nonsense\r\n\r\n`)).status, 200);
  } finally {
    await gateway.stop(0);
    upstream.close();
    await gear.close();
  }

  const [joined, own, unread] = spans();
  assert.equal(joined?.name, "dk odds");
  assert.equal(joined?.spanContext().traceId, traceId);
  assert.equal(joined?.parentSpanContext?.spanId, "00f067aa0ba902b7");
  const sent = (span: ReadableSpan | undefined): string =>
    `00-${span?.spanContext().traceId}-${span?.spanContext().spanId}-01`;
  assert.deepEqual(seen, [
    sent(joined),
    "vendor=1",
    sent(own),
    "undefined",
    sent(unread),
    "undefined",
  ]);
  assert.notEqual(own?.spanContext().traceId, traceId);
  assert.equal(trace.getActiveSpan(), undefined);
});
