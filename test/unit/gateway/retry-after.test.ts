import assert from "node:assert/strict";
import { test } from "node:test";
import { mayAskToWait, retryAfterMs } from "../../../src/gateway/retry-after.ts";

const NOW = Date.parse("2026-02-08T23:30:00Z");

for (const [value, waitMs] of [
  ["120", 120_000],
  [" 5 ", 5000],
  ["0", undefined],
  ["-5", undefined],
  ["1.5", undefined],
  ["Sun, 08 Feb 2026 23:31:00 GMT", 60_000],
  ["Sun, 08 Feb 2026 23:29:00 GMT", undefined],
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
