// The window of recent calls against an array that is scanned anew each time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, jitteredMs } from "../../../src/core/retry/backoff.ts";
import { CallWindow } from "../../../src/core/window/call-window.ts";
import { SeededRandom } from "../../../src/testing/index.ts";

interface Entry {
  readonly atMs: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

function naive(
  entries: readonly Entry[],
  limits: { readonly sizeMax: number; readonly durationMs: number },
  nowMs: number,
): { calls: number; failures: number; slow: number } {
  const kept = entries
    .slice(-limits.sizeMax)
    .filter(({ atMs }) => nowMs - atMs <= limits.durationMs);
  return {
    calls: kept.length,
    failures: kept.filter(({ failed }) => failed).length,
    slow: kept.filter(({ slow }) => slow).length,
  };
}

test("agrees with an array scanned anew, at every size, age and silence", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = new SeededRandom(seed);
    const limits = {
      sizeMax: [1, 2, 15, 16, 17, 31, 33, 100, 129, 1000][random.integer(10)] ?? 1,
      durationMs: [1, 50, 500][random.integer(3)] ?? 1,
    };
    const window = new CallWindow(limits);
    // Some are called so often that the ring fills, some so rarely that it empties.
    const paces = [
      [0, 0, 0, 0, 0, 0.25, 1],
      [0, 0.25, 1, 1, 1, 3, 60],
      [0, 0, 0.25, 1, 3, 60, 700],
    ];
    const pace = paces[random.integer(3)] ?? [];
    let entries: Entry[] = [];
    let nowMs = random.next() * 1000;
    for (let n = 0; n < 600; n += 1) {
      nowMs += random.integer(100) === 0 ? 40 : (pace[random.integer(7)] ?? 0);
      const entry = { atMs: nowMs, failed: random.next() < 0.4, slow: random.next() < 0.3 };
      if (random.integer(150) === 0) {
        window.clear();
        entries = [];
      }
      entries.push(entry);
      window.add(nowMs, entry.failed, entry.slow);
      const expected = naive(entries, limits, nowMs);
      const { calls, failures, slow } = window;
      assert.deepEqual({ calls, failures, slow }, expected, `seed ${seed}, write ${n}`);
      const laterMs = nowMs + ([0, 1, 49, 50, 51, 5000][random.integer(6)] ?? 0);
      const read = window.countsAt(laterMs);
      const { calls: c, failures: f, slow: s } = read;
      assert.deepEqual({ calls: c, failures: f, slow: s }, naive(entries, limits, laterMs));
    }
  }
});

test("an age of exactly the duration still counts, the next moment does not", () => {
  const window = new CallWindow({ sizeMax: 10, durationMs: 60_000 });
  window.add(1000, true, false);
  assert.equal(window.countsAt(61_000).failures, 1);
  assert.equal(window.countsAt(61_000.001).failures, 0);
  window.add(61_000.001, false, false);
  assert.equal(window.calls, 1);
  assert.equal(window.failures, 0);
});

test("storage grows with use, up to the size and no further", () => {
  const window = new CallWindow({ sizeMax: 1000, durationMs: 60_000 });
  assert.equal(window.capacity, 0);
  window.add(0, true, false);
  assert.equal(window.capacity, 16);
  for (let n = 0; n < 16; n += 1) window.add(0, false, false);
  assert.equal(window.capacity, 32);
  for (let n = 0; n < 5000; n += 1) window.add(0, false, false);
  assert.equal(window.capacity, 1000);
  const small = new CallWindow({ sizeMax: 5, durationMs: 60_000 });
  small.add(0, true, false);
  assert.equal(small.capacity, 5);
});

test("large storage is given back when it is cleared, and after a silence", () => {
  for (const [calls, kept] of [
    [128, 128],
    [129, 0],
    [5000, 0],
  ] as const) {
    const window = new CallWindow({ sizeMax: 1000, durationMs: 60_000 });
    for (let n = 0; n < calls; n += 1) window.add(0, true, true);
    window.clear();
    assert.equal(window.capacity, kept);
    assert.deepEqual(window.countsAt(0), { calls: 0, failures: 0, slow: 0 });

    for (let n = 0; n < 5000; n += 1) window.add(0, true, true);
    window.add(60_001, false, false);
    assert.equal(window.capacity, 16);
    assert.equal(window.calls, 1);
  }
});

test("what wrapped around is in order after growth", () => {
  const window = new CallWindow({ sizeMax: 100, durationMs: 100 });
  for (let n = 0; n < 10; n += 1) window.add(n, true, false);
  for (let n = 0; n < 16; n += 1) window.add(110 + n, n < 8, n >= 8);
  assert.equal(window.capacity, 16);
  window.add(130, false, false);
  assert.equal(window.capacity, 32);
  assert.deepEqual(window.countsAt(130), { calls: 17, failures: 8, slow: 8 });
  assert.deepEqual(window.countsAt(218), { calls: 9, failures: 0, slow: 8 });
  assert.deepEqual(window.countsAt(230), { calls: 1, failures: 0, slow: 0 });
});

test("a power too large for a number is the longest delay", () => {
  const backoff = { baseMs: 1000, factor: 2, maxMs: 30_000 };
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 5000].map((step) => backoffMs(backoff, step)),
    [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000],
  );
});

test("jitter spreads evenly to both sides and draws nothing for a ratio of 0", () => {
  assert.equal(jitteredMs(1000, 0.3, { next: () => 0 }), 700);
  assert.equal(jitteredMs(1000, 0.3, { next: () => 0.5 }), 1000);
  assert.ok(jitteredMs(1000, 0.3, { next: () => 0.999_999 }) < 1300);
});
