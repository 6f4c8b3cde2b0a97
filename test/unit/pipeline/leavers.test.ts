// Who was waited for: callers who leave, or give less time than the upstream needs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createSwitchgear,
  latching,
  slidingWindow,
  type BreakerPolicy,
  type Upstream,
} from "../../../src/index.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

const TIME_UP = Object.assign(new Error("the time is up"), { name: "TimeoutError" });

class Scene {
  readonly clock = new VirtualClock();
  readonly upstream: Upstream;

  constructor(breaker: BreakerPolicy, deadlineMs?: number) {
    this.upstream = createSwitchgear({
      upstreams: { dk: { breaker, deadlineMs } },
      clock: this.clock,
    }).upstream("dk");
  }

  /** Calls that are never answered; each caller gives up after so long, for this reason. */
  async leave(times: number, waitMs: number, reason: unknown = "gone"): Promise<void> {
    for (let n = 0; n < times; n += 1) {
      const controller = new AbortController();
      const { signal } = controller;
      const call = this.upstream.execute(() => new Promise(() => {}), { signal });
      this.clock.advance(waitMs);
      controller.abort(reason);
      await call.catch(() => {});
    }
  }

  /** Calls with a limit of their own, all under way at once. */
  async limit(times: number, deadlineMs: number): Promise<void> {
    const calls = Array.from({ length: times }, () =>
      this.upstream.execute(() => new Promise(() => {}), { deadlineMs }).catch(() => {}),
    );
    this.clock.advance(deadlineMs);
    await Promise.all(calls);
  }

  async answer(latencyMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const call = this.upstream.execute(() => promise);
    this.clock.advance(latencyMs);
    resolve();
    await call;
  }

  get counts(): Record<string, number> {
    const [{ ok, timeout, failed, ignored } = { ok: 0, timeout: 0, failed: 0, ignored: 0 }] = [
      ...this.upstream.operations,
    ];
    return { ok, timeout, failed, ignored };
  }
}

describe("callers who leave", () => {
  test("say nothing about an upstream that answers others", async () => {
    const scene = new Scene(latching());
    await scene.answer(12);
    for (let n = 0; n < 50; n += 1) {
      await scene.leave(1, 300);
      await scene.answer(12);
    }

    assert.deepEqual(scene.counts, { ok: 51, timeout: 0, failed: 0, ignored: 50 });
    assert.equal(scene.upstream.state(), "closed");
  });

  test("have seen a timeout of one that answers nobody, once they waited for long", async () => {
    const scene = new Scene(latching(), 30_000);
    await scene.leave(4, 999);
    assert.equal(scene.counts["timeout"], 0);
    await scene.leave(20, 1000);

    assert.equal(scene.counts["timeout"], 20);
    assert.equal(scene.upstream.state(), "open");
  });

  test("are told apart by what the upstream usually takes", async () => {
    const scene = new Scene(latching(), 30_000);
    await scene.answer(500);
    await scene.leave(30, 9_999);
    assert.equal(scene.counts["timeout"], 0);
    await scene.leave(1, 10_000);

    assert.equal(scene.counts["timeout"], 1);
  });

  test("have seen a slow call when they waited as long as one", async () => {
    const scene = new Scene(
      slidingWindow({ minimumCalls: 5, slowCallMs: 100, slowCallRatio: 0.5 }),
    );
    await scene.leave(5, 100);

    assert.equal(scene.upstream.state(), "open");
  });

  test("whose own time was up have seen a timeout", async () => {
    const scene = new Scene(slidingWindow({ minimumCalls: 5 }));
    await scene.leave(5, 20, TIME_UP);

    assert.deepEqual(scene.counts, { ok: 0, timeout: 5, failed: 0, ignored: 0 });
    assert.equal(scene.upstream.state(), "open");
  });

  test("whose own time was shorter than answers take say nothing", async () => {
    const scene = new Scene(latching(), 2_000);
    await scene.answer(12);
    await scene.leave(25, 1, TIME_UP);

    assert.deepEqual(scene.counts, { ok: 1, timeout: 0, failed: 0, ignored: 25 });
  });
});

describe("limits of single calls", () => {
  test("count where they leave the time that answers take", async () => {
    const scene = new Scene(latching(), 2_000);
    await scene.answer(12);
    await scene.limit(25, 12);

    assert.equal(scene.upstream.state(), "open");
  });

  test("say nothing where they do not, however many at once", async () => {
    const scene = new Scene(latching(), 2_000);
    await scene.answer(12);
    await scene.limit(25, 1);

    assert.equal(scene.upstream.state(), "closed");
    assert.equal(scene.counts["ignored"], 25);
  });

  test("the upstream's own limit counts, also below the average", async () => {
    const scene = new Scene(latching(), 10);
    await scene.answer(9);
    scene.upstream.record({ outcome: "ok", latencyMs: 500 });
    await scene.limit(20, 10);

    assert.equal(scene.upstream.state(), "open");
  });
});

describe("an adapter whose caller left", () => {
  test("says for how long anybody has waited, and whether the answer has begun", () => {
    const scene = new Scene(latching());
    const open = () => {
      const admission = scene.upstream.tryAcquire();
      assert.ok(admission.admitted);
      return admission;
    };
    const first = open();
    scene.clock.advance(1_200);
    open().settle({ outcome: "ignored", leftAfterMs: 5, waitedInAllMs: 1_200 });
    assert.equal(scene.counts["timeout"], 1);

    first.answering?.();
    open().settle({ outcome: "ignored", leftAfterMs: 5, waitedInAllMs: 1_200 });
    open().settle({ outcome: "ignored" });
    assert.equal(scene.counts["timeout"], 1);
    assert.equal(scene.counts["ignored"], 2);
  });
});

test("a failed call is told with its cause, and no other is", async () => {
  const scene = new Scene(latching(), 1_000);
  const told: string[] = [];
  scene.upstream.on("failed", ({ outcome, error, operation, latencyMs }) => {
    told.push(`${outcome} ${operation} ${latencyMs}: ${error}`);
  });
  await scene.answer(5);
  await scene.leave(1, 10);
  await scene.upstream
    .execute(() => Promise.reject(new Error("HTTP 500")), { operation: "odds" })
    .catch(() => {});
  await scene.limit(1, 1_000);

  assert.equal(told.length, 2);
  assert.equal(told[0], "failed odds 0: HTTP 500");
  assert.match(told[1] ?? "", /^timeout unknown 1000: .*1000 ms/);
});
