import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyHistogram } from "../../../../src/core/overload/latency-histogram.ts";
import { SeededRandom } from "../../../../src/testing/index.ts";

test("quantiles are those of the samples, to an eighth at worst and 3 % where they are many", () => {
  const random = new SeededRandom(1);
  for (const scale of [0.5, 3, 20, 400, 60_000]) {
    const histogram = new LatencyHistogram();
    const samples = Array.from({ length: 5000 }, () => scale * (0.5 + random.next()));
    for (const sample of samples) histogram.add(sample);
    const sorted = samples.toSorted((a, b) => a - b);
    for (const quantile of [0.05, 0.5, 0.95]) {
      const exact = sorted[Math.floor(quantile * 5000)] ?? 0;
      const off = Math.abs(histogram.quantileMs(quantile) - exact) / exact;
      assert.ok(off < 0.03, `${scale}, ${quantile}: ${off}`);
    }
  }
  for (let latencyMs = 1; latencyMs < 1e6; latencyMs *= 1.07) {
    const one = new LatencyHistogram();
    one.add(latencyMs);
    assert.ok(Math.abs(one.quantileMs(0.5) / latencyMs - 1) < 0.125, `${latencyMs}`);
  }
});

test("is empty at first and once cleared", () => {
  const histogram = new LatencyHistogram();
  assert.equal(histogram.quantileMs(0.5), 0);
  histogram.add(10);
  assert.equal(histogram.count, 1);
  histogram.clear();
  assert.equal(histogram.count, 0);
  histogram.add(1000);
  assert.ok(histogram.quantileMs(0.5) > 800);
});

test("nonsense counts as nothing, and what is longer than half an hour as half an hour", () => {
  const histogram = new LatencyHistogram();
  for (const nonsense of [NaN, -1, -Infinity, 0]) histogram.add(nonsense);
  assert.ok(histogram.quantileMs(1) <= 1 / 16);
  histogram.clear();
  for (const long of [1e9, Infinity]) histogram.add(long);
  const halfHourMs = 30 * 60_000;
  assert.ok(histogram.quantileMs(0.5) > halfHourMs && histogram.quantileMs(1) < 1.2 * halfHourMs);
});
