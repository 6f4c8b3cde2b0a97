// What an outcome comes to, as adapters give it and as classifiers say it: which count it moves, what it weighs,
// what it is kept as, and whether it tells that somebody was answered.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createSwitchgear,
  DeadlineError,
  latching,
  slidingWindow,
  type EventOf,
  type Outcome,
  type Upstream,
  type Verdict,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

interface Scene {
  readonly clock: VirtualClock;
  readonly dk: Upstream;
  readonly settled: EventOf<"settled">[];
  /** Settles a call that took 40 ms. */
  readonly settle: (outcome: Outcome) => void;
  readonly counts: () => Record<string, number>;
}

function scene(classifyResult?: (value: unknown) => Verdict): Scene {
  const clock = new VirtualClock();
  const breaker = latching({
    failureThreshold: 100,
    recovery: "single-probe",
    resetTimeoutMs: 1000,
  });
  const gear = createSwitchgear({
    upstreams: { dk: { breaker, deadlineMs: 30_000, classifyResult } },
    clock,
  });
  const dk = gear.upstream("dk");
  const settled: EventOf<"settled">[] = [];
  gear.on("settled", (event) => settled.push(event));
  return {
    clock,
    dk,
    settled,
    settle(outcome) {
      const admission = dk.tryAcquire();
      assert.ok(admission.admitted);
      clock.advance(40);
      admission.settle(outcome);
    },
    counts() {
      const [one] = [...dk.operations];
      const counted: Record<string, number> = {};
      for (const key of ["ok", "failed", "timeout", "ignored"] as const) {
        if ((one?.[key] ?? 0) > 0) counted[key] = one?.[key] ?? 0;
      }
      return counted;
    },
  };
}

describe("an adapter's outcome", () => {
  test("counts as what it says, and a failure that was a timeout as one", () => {
    for (const [outcome, counted, weight] of [
      [{ outcome: "ok" }, "ok", 0],
      [{ outcome: "ignored" }, "ignored", 0],
      [{ outcome: "failed" }, "failed", 1],
      [{ outcome: "failed", timeout: false }, "failed", 1],
      [{ outcome: "failed", timeout: true }, "timeout", 0.5],
    ] as const) {
      const { settle, counts, dk } = scene();
      settle(outcome);
      assert.deepEqual(counts(), { [counted]: 1 });
      assert.equal(dk.status().failureCount, weight);
      assert.equal(dk.inFlight, 0);
    }
  });

  test("took what it says it took, else what was measured", () => {
    const { settle, settled, dk } = scene();
    settle({ outcome: "ok" });
    assert.equal(dk.status().avgLatencyMs, 40);
    for (const outcome of ["ok", "failed", "ignored"] as const) {
      settle({ outcome });
      settle({ outcome, latencyMs: 7 });
      settle({ outcome, latencyMs: 0 });
    }
    assert.deepEqual(
      settled.map(({ latencyMs }) => latencyMs),
      [40, 40, 7, 0, 40, 7, 0, 40, 7, 0],
    );
  });

  test("weighs what it says where that is a weight, else what such a failure usually weighs", () => {
    for (const [outcome, weight] of [
      [{ weight: 3 }, 3],
      [{ weight: 0 }, 0],
      [{ weight: 0.25, timeout: true }, 0.25],
      [{ weight: Number.NaN }, 1],
      [{ weight: -1 }, 1],
      [{ weight: Number.POSITIVE_INFINITY, timeout: true }, 0.5],
      [{ weight: 2, retryAfterMs: 5000 }, 2],
      [{ retryAfterMs: 5000, timeout: true }, 0.5],
    ] as const) {
      const { settle, dk } = scene();
      settle({ outcome: "failed", error: "HTTP 503", ...outcome });
      assert.equal(dk.status().failureCount, weight, JSON.stringify(outcome));
      if (weight > 0) assert.equal(dk.status().lastError, "HTTP 503");
      dk.record({ outcome: "failed", error: "HTTP 503", ...outcome });
      assert.equal(dk.status().failureCount, 2 * weight);
    }
  });

  test("says when to come again, in its own words before the error's", () => {
    const error = Object.assign(new Error("later"), { retryAfterMs: 30_000 });
    for (const [outcome, waitMs] of [
      [{}, 30_000],
      [{ weight: 200 }, 30_000],
      [{ retryAfterMs: 50_000 }, 50_000],
      [{ weight: 200, retryAfterMs: 50_000 }, 50_000],
    ] as const) {
      const breaker = slidingWindow({ minimumCalls: 1, openDurationMs: 1000 });
      const upstreams = { dk: { breaker } };
      const dk = createSwitchgear({ upstreams, clock: new VirtualClock() }).upstream("dk");
      dk.record({ outcome: "failed", error, ...outcome });
      const refusal = dk.tryAcquire();
      assert.ok(!refusal.admitted);
      assert.equal(refusal.retryAfterMs, waitMs, JSON.stringify(outcome));
    }
  });

  test("that is none is told of with its faults, and counts as ignored", async () => {
    const told: string[] = [];
    const listener = ({ message }: Error): void => void told.push(message);
    process.on("warning", listener);
    const one = scene();
    one.settle({ outcome: "good" as "ok", weight: "heavy" as never });
    const other = scene();
    other.settle(
      Object.defineProperty({}, "outcome", {
        get(): never {
          throw new Error("no outcome");
        },
      }) as never,
    );
    // Warnings come in a later turn; the first one of a process in a much later one.
    for (let turn = 0; turn < 10_000 && told.length < 2; turn += 1) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
    process.off("warning", listener);
    assert.deepEqual([one.counts(), other.counts()], [{ ignored: 1 }, { ignored: 1 }]);
    const sentence = "dk: settle(…) was given what is no outcome, and the call counts as ignored: ";
    assert.deepEqual(told, [
      `${sentence}outcome must be ok, failed or ignored, not "good"; weight must be a number, not "heavy"`,
      `${sentence}no outcome`,
    ]);
  });

  test("of one who left counts as a timeout where nobody was answered for long", () => {
    for (const [wait, counted] of [
      [{ leftAfterMs: 999 }, "ignored"],
      [{ leftAfterMs: 1000 }, "timeout"],
      [{ leftAfterMs: 10, waitedInAllMs: 1000 }, "timeout"],
      [{ leftAfterMs: 1000, waitedInAllMs: 10 }, "ignored"],
      // Who waited for it without leaving has not left.
      [{ waitedInAllMs: 5000 }, "ignored"],
    ] as const) {
      const { settle, counts, settled, clock } = scene();
      clock.advance(10_000);
      settle({ outcome: "ignored", ...wait });
      assert.deepEqual(counts(), { [counted]: 1 }, JSON.stringify(wait));
      const expected = "leftAfterMs" in wait ? wait.leftAfterMs : 40;
      assert.equal(settled[0]?.latencyMs, expected, JSON.stringify(wait));
    }
  });
});

describe("a value", () => {
  /** Somebody has waited for two seconds when a value comes, and leaves a moment later. */
  async function left(verdict: Verdict, isHeld = false): Promise<Record<string, number>> {
    const { dk, clock, counts } = scene(() => verdict);
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = dk.execute(() => new Promise(() => {}), { signal });
    clock.advance(2000);
    // The rest of a held answer is yet to come.
    await (isHeld ? dk.hold(() => "odds") : dk.execute(() => "odds"));
    clock.advance(10);
    controller.abort(new Error("gone"));
    await waiting.catch(() => {});
    return counts();
  }

  test("is an answer to somebody, good or bad", async () => {
    assert.deepEqual(await left("ok"), { ok: 1, ignored: 1 });
    assert.deepEqual(await left("ignored"), { ignored: 2 });
    assert.deepEqual(await left("failed"), { failed: 1, ignored: 1 });
  });

  test("that stands for a timeout breaks no silence", async () => {
    assert.deepEqual(await left("timeout"), { timeout: 2 });
  });

  test("that is held is an answer as soon as it has come", async () => {
    assert.deepEqual(await left("ok", true), { ignored: 1 });
    assert.deepEqual(await left("ignored", true), { ignored: 2 });
    assert.deepEqual(await left("timeout", true), { timeout: 2 });
  });
});

test("a deadline that passed while this process stood still says nothing about the upstream", async () => {
  const inner = new VirtualClock();
  let stalledMs = 0;
  const clock = {
    now: () => inner.now() + stalledMs,
    monotonic: () => inner.monotonic() + stalledMs,
    setTimer: (callback: () => void, delayMs: number) => inner.setTimer(callback, delayMs),
  };
  for (const [lateMs, counted] of [
    [0, { timeout: 1, ignored: 0 }],
    [1000, { timeout: 0, ignored: 1 }],
  ] as const) {
    const upstreams = { dk: { breaker: latching(), deadlineMs: 200 } };
    const dk = createSwitchgear({ upstreams, clock }).upstream("dk");
    const call = dk.execute(() => new Promise(() => {}));
    inner.advance(199);
    stalledMs += lateMs;
    inner.advance(10);
    await assert.rejects(call, DeadlineError);
    const [one] = [...dk.operations];
    assert.deepEqual({ timeout: one?.timeout, ignored: one?.ignored }, counted);
  }
});

/** Where answers take half a second. */
async function slowScene(
  lateMs = 0,
): Promise<{ dk: Upstream; inner: VirtualClock; late: () => void }> {
  const inner = new VirtualClock();
  let skewMs = 0;
  const clock = {
    now: () => inner.now() + skewMs,
    monotonic: () => inner.monotonic() + skewMs,
    setTimer: (callback: () => void, delayMs: number) => inner.setTimer(callback, delayMs),
  };
  const upstreams = { dk: { breaker: latching() } };
  const dk = createSwitchgear({ upstreams, clock }).upstream("dk");
  const admission = dk.tryAcquire();
  assert.ok(admission.admitted);
  inner.advance(500);
  admission.settle({ outcome: "ok" });
  return { dk, inner, late: () => (skewMs += lateMs) };
}

function timeouts(dk: Upstream): unknown {
  const [one] = [...dk.operations];
  return { timeout: one?.timeout, ignored: one?.ignored };
}

test("a caller's limit is judged by what it was, however late the timer came", async () => {
  const { dk, inner, late } = await slowScene(45);
  const call = dk.execute(() => new Promise(() => {}), { deadlineMs: 480 });
  inner.advance(479);
  late();
  inner.advance(1);
  await assert.rejects(call, DeadlineError);
  assert.deepEqual(timeouts(dk), { timeout: 0, ignored: 1 });
});

test("a pause that was too long is judged by how long the call took, where nothing limits all of it", async () => {
  for (const [idleMs, counted] of [
    [400, { timeout: 0, ignored: 1 }],
    [600, { timeout: 1, ignored: 0 }],
  ] as const) {
    const { dk, inner } = await slowScene();
    await dk.hold(
      (_, held) => {
        held.waiting(false);
        queueMicrotask(() => queueMicrotask(() => held.waiting(true)));
        return "head";
      },
      { idleMs },
    );
    for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
    inner.advance(700);
    assert.deepEqual(timeouts(dk), counted, String(idleMs));
  }
});
