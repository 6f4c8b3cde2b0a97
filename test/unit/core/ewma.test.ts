// Specification 10.1, and what its table does not show.

import assert from "node:assert/strict";
import { test } from "node:test";
import { adaptiveThreshold } from "../../../src/core/breaker/adaptive/rules.ts";
import { Ewma } from "../../../src/core/window/ewma.ts";
import { LATENCY_MS_MAX, LatencyWindow } from "../../../src/core/window/latency-window.ts";
import { OutcomeWindow } from "../../../src/core/window/outcome-window.ts";
import { SeededRandom } from "../../../src/testing/index.ts";
import { near } from "./adaptive-harness.ts";

const OK = "S".repeat(20);

/** Results, average, deviation, margin, threshold of base 5. */
const GOLDEN: readonly (readonly [string, number, number, number, number])[] = [
  [OK, 0, 0, 0, 5],
  [`${OK}F`, 0.3, 0.458257569, 1.216515, 1],
  [`${OK}FF`, 0.51, 0.49989999, 1.5098, 1],
  [`${OK}FFFFF`, 0.83193, 0.373928436, 1.579787, 1],
  [`${OK}FFFFF${OK}`, 0.000663816, 0.02575607, 0.052176, 5],
  [`${OK}FSSS`, 0.1029, 0.303828224, 0.710556, 1],
  [`${OK}FSSSSS`, 0.050421, 0.218812072, 0.488045, 3],
  [`${OK}FSSSSSSSS`, 0.017294403, 0.130366049, 0.278027, 5],
  ["FS".repeat(10), 0.412234072, 0.492236876, 1.396708, 1],
  ["F".repeat(10), 1, 0, 1, 1],
  ["SFF".repeat(10), 0.776238211, 0.416764263, 1.609767, 1],
];

function fed(results: string, alpha = 0.3): Ewma {
  const average = new Ewma(alpha);
  for (const result of results) average.add(result === "F" ? 1 : 0);
  return average;
}

for (const [results, value, deviation, margin, threshold] of GOLDEN) {
  test(`T-B-06 the golden numbers of ${results}`, () => {
    const average = fed(results);
    near(average.value, value, 5e-10);
    near(average.deviation, deviation, 5e-10);
    near(average.value + 2 * average.deviation, margin, 5e-7);
    assert.equal(adaptiveThreshold(5, 1, average.value + 2 * average.deviation), threshold);
    assert.equal(average.count, results.length);
  });
}

test("T-B-06 exact in its first steps", () => {
  const average = fed(`${OK}F`);
  near(average.value, 0.3);
  near(average.variance, 0.7 * 0.3);
  average.add(1);
  near(average.value, 0.51);
  near(average.variance, 0.7 * (0.21 + 0.3 * 0.49));
});

test("T-B-06 the first sample is the average, without variance", () => {
  const average = fed("F");
  assert.equal(average.value, 1);
  assert.equal(average.variance, 0);
});

test("T-B-06 with an alpha of 1 only the newest sample counts", () => {
  for (const results of ["SSSF", "FSFS", "FFFF"]) {
    const average = fed(results, 1);
    assert.equal(average.value, results.endsWith("F") ? 1 : 0);
    assert.equal(average.variance, 0);
  }
});

test("T-B-08 the table at its bounds: exactly on one is the milder row", () => {
  const rows = [0.71, 0.7, 0.51, 0.5, 0.31, 0.3, 0].map((margin) =>
    [5, 1, 2, 12].map((base) => adaptiveThreshold(base, 1, margin)),
  );
  assert.deepEqual(rows, [
    [1, 1, 1, 4],
    [2, 1, 1, 6],
    [2, 1, 1, 6],
    [3, 1, 1, 9],
    [3, 1, 1, 9],
    [5, 1, 2, 12],
    [5, 1, 2, 12],
  ]);
});

test("T-B-08 the floor holds, and is no rise", () => {
  assert.equal(adaptiveThreshold(5, 3, 0.9), 3);
  assert.equal(adaptiveThreshold(5, 3, 0.4), 3);
  assert.equal(adaptiveThreshold(5, 3, 0), 5);
});

test("an average that only sees zeros becomes zero, not a denormal number", () => {
  const average = fed(`F${"S".repeat(3000)}`);
  assert.equal(average.value, 0);
  assert.equal(average.variance, 0);
});

test("a cleared average starts anew", () => {
  const average = fed("FSF");
  average.clear();
  assert.deepEqual([average.value, average.variance, average.count], [0, 0, 0]);
  average.add(1);
  assert.equal(average.value, 1);
});

test("T-B-15 the outcomes agree with an array, over any mixture", () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new SeededRandom(seed);
    const window = new OutcomeWindow();
    let kept: boolean[] = [];
    // Long runs of one kind, so that it is also full, empty of failures, and full of them.
    let isOk = true;
    for (let n = 0; n < 600; n += 1) {
      if (random.next() < [0.5, 0.05, 0.01][seed % 3]!) isOk = random.next() < 0.7;
      if (random.next() < 0.003) {
        window.clear();
        kept = [];
      }
      if (isOk) window.addOk();
      else window.addFailed();
      kept = [...kept, isOk].slice(-100);
      const successes = kept.filter(Boolean).length;
      assert.equal(window.kept, kept.length);
      assert.equal(window.successes, successes);
      assert.equal(window.failures, kept.length - successes);
      assert.equal(window.successRate, successes / kept.length);
    }
  }
});

test("T-B-15 the hundred-and-first outcome forgets the first", () => {
  const window = new OutcomeWindow();
  window.addFailed();
  for (let n = 0; n < 99; n += 1) window.addOk();
  assert.deepEqual([window.kept, window.failures], [100, 1]);
  window.addOk();
  assert.deepEqual([window.kept, window.failures], [100, 0]);
  assert.equal(window.successRate, 1);
});

test("no outcome is no failure", () => {
  assert.equal(new OutcomeWindow().successRate, 1);
});

function naiveSpread(values: readonly number[]): { mean: number; jitter: number } {
  if (values.length === 0) return { mean: 0, jitter: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  if (values.length < 2) return { mean, jitter: 0 };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, jitter: Math.sqrt(squares / (values.length - 1)) };
}

function closeTo(actual: number, expected: number): void {
  near(actual, expected, 1e-9 * Math.max(1, expected));
}

test("T-B-15 the latencies agree with an array, however wild they are", () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new SeededRandom(seed);
    const window = new LatencyWindow();
    let kept: number[] = [];
    for (let n = 0; n < 400; n += 1) {
      if (random.next() < 0.004) {
        window.clear();
        kept = [];
      }
      const latencyMs = random.next() < 0.02 ? 1e8 * random.next() : 20 + random.next();
      window.add(latencyMs);
      kept = [...kept, latencyMs].slice(-50);
      const { mean, jitter } = naiveSpread(kept);
      assert.equal(window.kept, kept.length);
      closeTo(window.mean, mean);
      closeTo(window.jitter, jitter);
    }
  }
});

test("one huge latency leaves no trace once it has left", () => {
  const window = new LatencyWindow();
  window.add(1e308);
  assert.equal(window.mean, LATENCY_MS_MAX);
  for (let n = 1; n <= 50; n += 1) window.add(n % 2 === 0 ? 10 : 20);
  near(window.mean, 15);
  near(window.jitter, Math.sqrt((25 * 50) / 49));
});

test("T-B-15 the fifty-first latency forgets the first", () => {
  const window = new LatencyWindow();
  window.add(1050);
  for (let n = 0; n < 49; n += 1) window.add(50);
  near(window.mean, 70);
  window.add(50);
  assert.equal(window.mean, 50);
  assert.equal(window.jitter, 0);
});

test("T-B-15 jitter is the sample deviation, and 0 for fewer than two", () => {
  const window = new LatencyWindow();
  assert.deepEqual([window.mean, window.jitter, window.kept], [0, 0, 0]);
  window.add(10);
  assert.deepEqual([window.mean, window.jitter, window.kept], [10, 0, 1]);
  window.add(20);
  near(window.jitter, Math.sqrt(50));
});

test("equal latencies have exactly their mean and no jitter at all, over any number", () => {
  const window = new LatencyWindow();
  for (let n = 0; n < 333; n += 1) {
    window.add(0.1);
    assert.equal(window.mean, 0.1);
    assert.equal(window.jitter, 0);
  }
});
