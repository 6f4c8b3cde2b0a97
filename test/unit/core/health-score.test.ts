// Specification 10.2.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  healthScore,
  jitterScore,
  latencyScore,
} from "../../../src/core/breaker/adaptive/health-score.ts";
import { near } from "./adaptive-harness.ts";

const LATENCY: readonly (readonly [ms: number, score: number])[] = [
  [0, 1],
  [1, 0.9995],
  [50, 0.975],
  [100, 0.95],
  [550, 0.725],
  [1000, 0.5],
  [3000, 0.25],
  [5000, 0],
  [5001, 0],
];

const JITTER: readonly (readonly [ms: number, score: number])[] = [
  [0, 1],
  [25, 0.9],
  [50, 0.8],
  [125, 0.55],
  [200, 0.3],
  [350, 0.15],
  [500, 0],
  [501, 0],
];

/** Success rate, mean, jitter, score. */
const HEALTH: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 0, 0.5],
  [0, 5000, 0, 0.2],
  [0, 1e9, 1e9, 0],
  [0.5, 1000, 50, 0.56],
  [1, 100, 50, 0.945],
  [1, 0, 0, 1],
  [0, 2000, 0, 0.3125],
  [0, 2333, 0, 0.3000125],
  [0, 2334, 0, 0.299975],
  [0, 3000, 0, 0.275],
];

test("T-B-11 the golden table", () => {
  for (const [ms, score] of LATENCY) near(latencyScore(ms), score);
  for (const [ms, score] of JITTER) near(jitterScore(ms), score);
  for (const [rate, mean, jitter, score] of HEALTH) near(healthScore(rate, mean, jitter), score);
});

test("T-B-11 continuous at every break point", () => {
  for (const [score, points] of [
    [latencyScore, [100, 1000, 5000]],
    [jitterScore, [50, 200, 500]],
  ] as const) {
    for (const ms of points) near(score(ms + 1e-9), score(ms));
  }
});

test("T-B-11 never rises with time, and stays within 0 and 1", () => {
  for (const score of [latencyScore, jitterScore]) {
    let last = 1;
    for (let ms = 0; ms < 6000; ms += 0.5) {
      const value = score(ms);
      assert.ok(value <= last && value >= 0 && value <= 1, `${ms}`);
      last = value;
    }
  }
});

test("T-B-11 clamps what lies outside", () => {
  assert.equal(healthScore(2, 0, 0), 1);
  assert.equal(healthScore(-3, 0, 0), 0);
  assert.equal(healthScore(0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY), 0);
});

test("only latencies can make it critical at 0.3", () => {
  assert.ok(healthScore(0, 0, 0) >= 0.5);
});
