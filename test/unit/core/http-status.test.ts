import assert from "node:assert/strict";
import { test } from "node:test";
import { isGuardsRefusal, mayAskToWait, retryAfterMs } from "../../../src/core/http-status.ts";

// Where local time is another one: dates of the old form must not be taken for it.
process.env["TZ"] = "America/New_York";

const NOW = Date.parse("2026-02-08T23:30:00Z");

for (const [value, waitMs] of [
  ["120", 120_000],
  [" 5 ", 5000],
  ["0", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["Sun, 08 Feb 2026 23:31:00 GMT", 60_000],
  ["Sun, 08 Feb 2026 23:29:00 GMT", undefined],
  ["Sun Feb  8 23:31:00 2026", 60_000],
  ["2026-02-08T23:31:00Z", 60_000],
  ["soon", undefined],
  ["", undefined],
  [null, undefined],
  [undefined, undefined],
] as const) {
  test(`Retry-After ${JSON.stringify(value)} asks for ${waitMs ?? "nothing"}`, () => {
    assert.equal(retryAfterMs(value, NOW), waitMs);
  });
}

test("only a refusal asks for fewer calls", () => {
  assert.deepEqual([200, 301, 404, 429, 500, 503].map(mayAskToWait), [
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
});

test("a refusal is another guard's when status and reason both say so", () => {
  assert.equal(isGuardsRefusal(503, "tripped"), true);
  assert.equal(isGuardsRefusal(508, "loop"), true);
  assert.equal(isGuardsRefusal(429, "rate_limited"), true);
  assert.equal(isGuardsRefusal(503, "rate_limited"), true);
  assert.equal(isGuardsRefusal(429, "tripped"), false);
  assert.equal(isGuardsRefusal(429, undefined), false);
  assert.equal(isGuardsRefusal(500, "tripped"), false);
  assert.equal(isGuardsRefusal(503, "upstream_error"), false);
  assert.equal(isGuardsRefusal(503, undefined), false);
});
