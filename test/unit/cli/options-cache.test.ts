import assert from "node:assert/strict";
import { test } from "node:test";
import { longestDeadlineMs, UpstreamOptionsCache } from "../../../src/cli/breakers.ts";
import { parseConfig } from "../../../src/config/load.ts";

function upstreams(text: string) {
  return parseConfig(`upstreams: { ${text} }`, { file: "x" }).upstreams;
}

test("what is written the same stays the same, and one change is one change", () => {
  const cache = new UpstreamOptionsCache();
  const first = cache.of(upstreams("a: { url: http://a }, b: { url: http://b }"));
  const second = cache.of(
    upstreams("b: { url: http://elsewhere }, a: { url: http://a, deadlineMs: 5 }"),
  );

  // Where it is is the gateway's affair: its breaker is not told.
  assert.equal(second["b"], first["b"]);
  assert.notEqual(second["a"], first["a"]);
  assert.equal(second["a"]?.breaker, first["a"]?.breaker);
  const third = cache.of(upstreams("a: { url: http://a, breaker: { kind: sliding-window } }"));
  assert.notEqual(third["a"]?.breaker, first["a"]?.breaker);
});

test("rates are the upstream's and its operations', and another one is a change", () => {
  const cache = new UpstreamOptionsCache();
  const of = (rate: string, odds: string) =>
    cache.of(upstreams(`a: { url: http://a, ${rate} operations: { odds: { ${odds} }, bet: {} } }`))[
      "a"
    ];
  const first = of("rate: { perSecond: 5 },", "rate: { perSecond: 0.5, burst: 2 }");

  assert.deepEqual(first?.rate, { perSecond: 5 });
  assert.deepEqual(first.operationRates, { odds: { perSecond: 0.5, burst: 2 } });
  assert.equal(of("rate: { perSecond: 5 },", "rate: { perSecond: 0.5, burst: 2 }"), first);
  for (const [rate, odds] of [
    ["rate: { perSecond: 6 },", "rate: { perSecond: 0.5, burst: 2 }"],
    ["", "rate: { perSecond: 0.5, burst: 2 }"],
    ["rate: { perSecond: 5 },", "rate: { perSecond: 0.5, burst: 3 }"],
    ["rate: { perSecond: 5 },", ""],
  ] as const) {
    const before = of("rate: { perSecond: 5 },", "rate: { perSecond: 0.5, burst: 2 }");
    const other = of(rate, odds);
    assert.notEqual(other, before);
    assert.equal(other?.breaker, first.breaker);
  }
});

test("endpoints keep their policy, too", () => {
  const cache = new UpstreamOptionsCache();
  const of = (urls: string) =>
    cache.of(upstreams(`a: { endpoints: [${urls}], endpointBreaker: { failureThreshold: 2 } }`));
  const first = of("{ url: http://a }");
  const second = of("{ url: http://a }, { url: http://b }");

  assert.notEqual(second["a"], first["a"]);
  assert.equal(second["a"]?.endpointBreaker, first["a"]?.endpointBreaker);
});

test("a limit is made from the longest deadline of the upstream and its operations", () => {
  const of = (...deadlines: (number | undefined)[]) =>
    longestDeadlineMs({
      deadlineMs: 2000,
      operations: Object.fromEntries(deadlines.map((deadlineMs, n) => [`o${n}`, { deadlineMs }])),
    });
  assert.equal(of(), 2000);
  assert.equal(of(undefined, 500), 2000);
  assert.equal(of(10_000, undefined, 3000), 10_000);

  const cache = new UpstreamOptionsCache();
  const options = (report: string) =>
    cache.of(
      upstreams(`a: { url: http://a, deadlineMs: 2000, operations: { report: ${report} } }`),
    );
  const first = options("{ deadlineMs: 10000 }")["a"];
  assert.deepEqual([first?.deadlineMs, first?.limitDeadlineMs], [2000, 10_000]);
  assert.notEqual(options("{ deadlineMs: 20000 }")["a"], first);
});
