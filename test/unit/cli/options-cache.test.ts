import assert from "node:assert/strict";
import { test } from "node:test";
import { UpstreamOptionsCache } from "../../../src/cli/breakers.ts";
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

test("endpoints keep their policy, too", () => {
  const cache = new UpstreamOptionsCache();
  const of = (urls: string) =>
    cache.of(upstreams(`a: { endpoints: [${urls}], endpointBreaker: { failureThreshold: 2 } }`));
  const first = of("{ url: http://a }");
  const second = of("{ url: http://a }, { url: http://b }");

  assert.notEqual(second["a"], first["a"]);
  assert.equal(second["a"]?.endpointBreaker, first["a"]?.endpointBreaker);
});
