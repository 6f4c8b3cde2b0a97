// The library on somebody else's time: the fake timers of node:test, of Bun, and those of Vitest and Jest,
// which are both @sinonjs/fake-timers, with what each of them replaces by default.

import assert from "node:assert/strict";
import { mock, test, describe } from "node:test";
import type * as BunTest from "bun:test";
import FakeTimers from "@sinonjs/fake-timers";
import {
  createBreaker,
  isRefused,
  latching,
  slidingWindow,
  type Upstream,
} from "../../src/index.ts";
import type * as RejectSoon from "../../src/pipeline/call/reject-soon.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";

interface Kit {
  readonly name: string;
  /** Whether it replaces the clocks, too: without them only what waits for a timer can pass. */
  readonly hasClock: boolean;
  start(): { advance(ms: number): void; stop(): void };
}

const KITS: readonly Kit[] = [
  sinon("Vitest's defaults", (all) =>
    all.filter((name) => !["nextTick", "queueMicrotask"].includes(name)),
  ),
  sinon("Jest's defaults", (all) => all),
  sinon("Date and timers alone", () => ["Date", "setTimeout", "clearTimeout"]),
  ...(typeof Bun === "undefined"
    ? [
        nodeKit("node:test's, with Date", ["setTimeout", "setInterval", "Date"]),
        nodeKit("node:test's timers alone", ["setTimeout"]),
      ]
    : [bunKit()]),
];

type Replaced = NonNullable<
  NonNullable<Parameters<typeof FakeTimers.install>[0]>["toFake"]
>[number];

function sinon(name: string, choose: (all: Replaced[]) => Replaced[]): Kit {
  return {
    name,
    hasClock: true,
    start() {
      const all = Object.keys(FakeTimers.timers) as Replaced[];
      const clock = FakeTimers.install({ now: Date.now(), toFake: choose(all) });
      return { advance: (ms) => void clock.tick(ms), stop: () => clock.uninstall() };
    },
  };
}

function nodeKit(name: string, apis: ("setTimeout" | "setInterval" | "Date")[]): Kit {
  return {
    name,
    hasClock: apis.includes("Date"),
    start() {
      mock.timers.enable({ apis });
      return { advance: (ms) => mock.timers.tick(ms), stop: () => mock.timers.reset() };
    },
  };
}

function bunKit(): Kit {
  return {
    name: "Bun's",
    hasClock: true,
    start() {
      // oxlint-disable-next-line typescript/no-require-imports -- there on one runtime only
      const { jest } = require("bun:test") as typeof BunTest;
      jest.useFakeTimers();
      return {
        advance: (ms) => void jest.advanceTimersByTime(ms),
        stop: () => jest.useRealTimers(),
      };
    },
  };
}

/** Turns of the microtask queue, without a timer. */
async function turns(n = 10): Promise<void> {
  for (let turn = 0; turn < n; turn += 1) await Promise.resolve();
}

function outcome(promise: Promise<unknown>): { value: unknown } {
  const seen: { value: unknown } = { value: "pending" };
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => (seen.value = isRefused(error) ? error.code : error),
  );
  return seen;
}

async function trip(upstream: Upstream): Promise<void> {
  for (let n = 0; n < 2; n += 1) {
    outcome(upstream.execute(() => Promise.reject(new Error("HTTP 500"))));
    await turns();
  }
}

const boom = new Error("boom");
const hang = (): Promise<void> => new Promise(() => {});

for (const kit of KITS) {
  describe(`on ${kit.name}`, () => {
    test("a deadline comes", async () => {
      const time = kit.start();
      try {
        const upstream = createBreaker("dk", latching(), { deadlineMs: 2_000 });
        const seen = outcome(upstream.execute(hang));
        time.advance(1_999);
        await turns();
        assert.equal(seen.value, "pending");
        time.advance(1);
        await turns();
        assert.equal(seen.value, "SG_DEADLINE");
      } finally {
        time.stop();
      }
    });

    test("a refusal settles", async () => {
      const time = kit.start();
      try {
        const upstream = createBreaker("dk", latching({ failureThreshold: 2 }));
        await trip(upstream);
        const seen = outcome(upstream.execute(() => "odds"));
        await turns();
        assert.equal(seen.value, "SG_BREAKER_OPEN");
      } finally {
        time.stop();
      }
    });

    if (!kit.hasClock) return;
    test("an open duration passes", async () => {
      const time = kit.start();
      try {
        const breaker = slidingWindow({
          minimumCalls: 2,
          openDurationMs: 15_000,
          openDurationJitter: 0,
        });
        const upstream = createBreaker("dk", breaker);
        await trip(upstream);
        assert.equal(upstream.state(), "open");
        time.advance(15_000);
        const seen = outcome(upstream.execute(() => "odds"));
        await turns();
        assert.equal(seen.value, "odds");
      } finally {
        time.stop();
      }
    });

    test("one guard serves before, under and after them", async () => {
      const upstream = createBreaker("dk", latching(), { deadlineMs: 2_000 });
      // Leaves a real timer armed behind it.
      await upstream.execute(() => Promise.resolve());
      const time = kit.start();
      try {
        const seen = outcome(upstream.execute(hang));
        time.advance(2_001);
        await turns();
        assert.equal(seen.value, "SG_DEADLINE");
        await turns();
      } finally {
        time.stop();
      }
      assert.equal(await upstream.execute(() => "odds"), "odds");
    });

    test("elapsed time goes on from where it was, in both directions", () => {
      const beforeMs = systemClock.monotonic();
      const time = kit.start();
      try {
        const startMs = systemClock.monotonic();
        assert.ok(startMs >= beforeMs && startMs - beforeMs < 5_000, `${startMs - beforeMs}`);
        time.advance(60_000);
        const elapsedMs = systemClock.monotonic() - startMs;
        assert.ok(elapsedMs >= 60_000 && elapsedMs < 70_000, `${elapsedMs}`);
      } finally {
        time.stop();
      }
      const afterMs = systemClock.monotonic();
      assert.ok(afterMs >= beforeMs + 60_000 && afterMs < beforeMs + 80_000, `${afterMs}`);
    });
  });
}

test("loaded where microtasks wait for a kit, a refusal comes all the same", async () => {
  const clock = FakeTimers.install({ toFake: ["queueMicrotask"] });
  try {
    // A copy of its own.
    const path: string = "../../src/pipeline/call/reject-soon.ts?loaded-late";
    const { rejectSoon } = (await import(path)) as typeof RejectSoon;
    const seen = outcome(rejectSoon(boom));
    await turns();
    assert.equal(seen.value, boom);
  } finally {
    clock.uninstall();
  }
});

test("a wall clock that a kit sets moves no elapsed time, where the kit has both", () => {
  const clock = FakeTimers.install({ now: Date.now() });
  try {
    const startMs = systemClock.monotonic();
    clock.setSystemTime(Date.now() + 3_600_000);
    assert.equal(systemClock.monotonic() - startMs, 0);
    clock.tick(5);
    assert.equal(systemClock.monotonic() - startMs, 5);
  } finally {
    clock.uninstall();
  }
});

test("real time is the runtime's own, however often it is read", () => {
  const ahead = (): number => {
    let most = Number.NEGATIVE_INFINITY;
    // Whoever is interrupted between the two readings sees less.
    for (let n = 0; n < 1_000; n += 1) {
      most = Math.max(most, systemClock.monotonic() - performance.now());
    }
    return most;
  };
  const beforeMs = ahead();
  for (let n = 0; n < 10_000; n += 1) systemClock.monotonic();

  assert.ok(Math.abs(ahead() - beforeMs) < 1);
});

test("elapsed time is not the wall clock's, which is set from outside", () => {
  const startMs = systemClock.monotonic();
  let isFiner = false;
  // The wall clock knows whole milliseconds.
  for (let n = 0; n < 1_000_000 && !isFiner; n += 1) {
    isFiner = (systemClock.monotonic() - startMs) % 1 !== 0;
  }

  assert.ok(isFiner);
});
