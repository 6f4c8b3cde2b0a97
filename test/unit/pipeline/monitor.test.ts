// Monitoring tasks that start, stop and restart each other from wherever they are called: there is one of a
// name at any time, and the counts add up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createSwitchgear, type MonitoringTask } from "../../../src/index.ts";
import type { CancellationToken } from "../../../src/pipeline/tasks/cancellation-token.ts";
import { MonitorTasks, type MonitorEvent } from "../../../src/pipeline/tasks/monitor.ts";
import { VirtualClock } from "../../../src/testing/index.ts";

/** Longer than any chain of reactions in here. */
async function drain(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
}

class Rig {
  readonly clock = new VirtualClock();
  readonly events: MonitorEvent[] = [];
  onEvent: (event: MonitorEvent) => unknown = () => {};
  /** Generations of the task that run, by number. */
  readonly live = new Set<number>();
  most = 0;
  readonly tasks = new MonitorTasks({
    scheduler: this.clock,
    onEvent: (event) => {
      this.events.push(event);
      this.check();
      return this.onEvent(event);
    },
  });

  check(): void {
    assert.ok(this.tasks.orphaned >= 0, `${this.tasks.orphaned} orphans`);
    assert.ok(this.tasks.active >= 0, `${this.tasks.active} active`);
  }

  /** A task that is known to run from its first line to its last. */
  counted(generation: number, work: MonitoringTask): MonitoringTask {
    return async (token, signal) => {
      this.live.add(generation);
      this.most = Math.max(this.most, this.live.size);
      try {
        await work(token, signal);
      } finally {
        this.live.delete(generation);
      }
    };
  }

  async pass(ms: number): Promise<void> {
    await drain();
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(Math.min(left, 100));
      await drain();
      this.check();
    }
  }

  async quiet(): Promise<void> {
    // What is told of now may start more of them.
    const stopped = this.tasks.close();
    await this.pass(15_000);
    await stopped;
    assert.deepEqual(
      [this.tasks.active, this.tasks.orphaned, this.tasks.size, this.clock.pendingTimers],
      [0, 0, 0, 0],
    );
  }
}

const idle: MonitoringTask = (token) => token.cancelled();

/** How a task may start its successor; `succeed` starts it. */
const HOOKS: Readonly<Record<string, (succeed: () => unknown, rig: Rig) => MonitoringTask>> = {
  "at once": (succeed) => (token) => {
    succeed();
    return token.cancelled();
  },
  "at once, and is over": (succeed) => async () => {
    succeed();
  },
  "at once, and throws": (succeed) => () => {
    succeed();
    throw new Error("done");
  },
  "at once, and waits for it": (succeed) => async () => {
    await succeed();
  },
  "after a turn": (succeed) => async (token) => {
    await Promise.resolve();
    succeed();
    await token.cancelled();
  },
  "after a turn, and waits for it": (succeed) => async () => {
    await Promise.resolve();
    await succeed();
  },
  "at its end": (succeed) => async () => {
    await Promise.resolve();
    succeed();
  },
  "as it fails": (succeed) => async () => {
    await Promise.resolve();
    succeed();
    throw new Error("failed");
  },
  "when it is cancelled": (succeed) => (token) => {
    token.onCancel(succeed);
    return token.cancelled();
  },
  "when it is cancelled, and heeds nothing":
    (succeed, { clock }) =>
    async (token) => {
      token.onCancel(succeed);
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, 9000);
      });
    },
  "after it was cancelled": (succeed) => async (token) => {
    await token.cancelled();
    succeed();
  },
  "when its signal aborts":
    (succeed, { clock }) =>
    async (_token, signal) => {
      signal.addEventListener("abort", () => succeed());
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, 6000);
      });
    },
  "when it is told of": (succeed, rig) => {
    rig.onEvent = ({ type }) => {
      if (type !== "started") return;
      rig.onEvent = () => {};
      succeed();
    };
    return idle;
  },
  "when its end is told of": (succeed, rig) => {
    rig.onEvent = ({ type }) => {
      if (type === "ended") succeed();
    };
    return () => Promise.resolve();
  },
  "when its failure is told of": (succeed, rig) => {
    rig.onEvent = ({ type }) => {
      if (type === "ended") succeed();
    };
    return () => {
      throw new Error("at once");
    };
  },
  "when its shutdown is told of": (succeed, rig) => {
    rig.onEvent = ({ type }) => {
      if (type === "shutdown") succeed();
    };
    return idle;
  },
  "long after it was let go":
    (succeed, { clock }) =>
    async () => {
      await new Promise<void>((resolve) => {
        clock.setTimer(resolve, 9000);
      });
      succeed();
    },
};

for (const [how, make] of Object.entries(HOOKS)) {
  for (const isStopped of [false, true]) {
    test(`a task starts its successor ${how}${isStopped ? ", and is stopped" : ""}: one at a time`, async () => {
      const rig = new Rig();
      const { tasks } = rig;
      const successor = rig.counted(2, idle);
      const first = make(() => tasks.start("feed", successor), rig);
      void tasks.start("feed", rig.counted(1, first));
      await drain();
      if (isStopped) void tasks.stop("feed").catch(() => {});
      await rig.pass(20_000);
      // One that waits for its own successor, or heeds nothing, is let go, and so overlaps with it.
      const isLetGo = rig.events.some(
        (event) => event.type === "shutdown" && event.outcome === "abort_timeout",
      );
      assert.ok(rig.most === 1 || isLetGo, `${rig.most} at once`);
      assert.equal(tasks.active, rig.live.size);
      const ends = rig.events.filter((event) => event.type === "shutdown" && event.phase === 1);
      assert.ok(ends.length <= tasks.started - tasks.active, "each is ended once");
      assert.equal(tasks.orphaned, 0);
      await rig.quiet();
      assert.equal(rig.live.size, 0);
    });
  }
}

test("a task that stops itself, stops all, or restarts another, ends once", async () => {
  const acts: Readonly<Record<string, (tasks: MonitorTasks, token: CancellationToken) => unknown>> =
    {
      stop: (tasks) => tasks.stop("feed"),
      stopAll: (tasks) => tasks.stopAll(),
      "stop and start": (tasks) => {
        void tasks.stop("feed");
        return tasks.start("feed", idle);
      },
      "restart another": (tasks) => tasks.start("other", idle),
      "stop twice": (tasks) => {
        void tasks.stop("feed");
        return tasks.stop("feed");
      },
    };
  for (const [name, act] of Object.entries(acts)) {
    for (const isAwaited of [false, true]) {
      for (const isLater of [false, true]) {
        const rig = new Rig();
        const { tasks } = rig;
        void tasks.start("other", idle);
        void tasks.start("feed", async (token) => {
          if (isLater) await Promise.resolve();
          const done = act(tasks, token);
          if (isAwaited) await done;
          else void Promise.resolve(done).catch(() => {});
          await token.cancelled();
        });
        await rig.pass(20_000);
        const ends = rig.events.filter(
          (event) => event.type === "shutdown" && event.endpoint === "feed" && event.phase === 1,
        );
        assert.ok(ends.length <= 1, `${name}: ended ${ends.length} times`);
        assert.equal(tasks.orphaned, 0, name);
        await rig.quiet();
      }
    }
  }
});

test("a task may answer with anything: a value, a thenable, one that throws or calls back twice", async () => {
  const withThen = (then: unknown): unknown =>
    // oxlint-disable-next-line unicorn/no-thenable -- what it is about
    Object.defineProperty({}, "then", { value: then });
  const answers: readonly unknown[] = [
    undefined,
    null,
    5,
    {},
    withThen((ok: () => void) => {
      ok();
      ok();
    }),
    withThen((_ok: unknown, failed: (error: Error) => void) => failed(new Error("no"))),
    withThen(() => {
      throw new Error("no");
    }),
  ];
  const rig = new Rig();
  for (const answer of answers) {
    await rig.tasks.start("feed", (() => answer) as unknown as MonitoringTask);
    await rig.pass(100);
    assert.deepEqual([rig.tasks.active, rig.tasks.size], [0, 0]);
  }
  const ended = rig.events.flatMap((event) => (event.type === "ended" ? [event.failed] : []));
  assert.deepEqual(ended, [false, false, false, false, false, true, true]);
});

test("tasks that start their successors without end leave the process its turns", async () => {
  const rig = new Rig();
  let started = 0;
  const again: MonitoringTask = async () => {
    started += 1;
    if (started > 5000) throw new Error("no end of it");
    void rig.tasks.start("feed", again);
  };
  void rig.tasks.start("feed", again);
  for (let turn = 0; turn < 20_000; turn += 1) await Promise.resolve();
  assert.ok(started > 50 && started <= 102, `${started} without a turn`);
  rig.clock.advance(1);
  for (let turn = 0; turn < 20_000; turn += 1) await Promise.resolve();
  assert.ok(started <= 204, `${started} after one`);
  assert.equal(rig.tasks.active + rig.tasks.orphaned <= 1, true);
});

test("what a closing registry ends starts nothing again", async () => {
  const clock = new VirtualClock();
  const gear = createSwitchgear({ clock, sampler: { systemLoad: () => 0 } });
  const { monitors } = gear;
  const restarting: MonitoringTask = async (token) => {
    await token.cancelled();
    void monitors.start("feed", restarting);
    void monitors.start("other", restarting);
  };
  await monitors.start("feed", restarting);
  await gear.close();
  await drain();
  assert.deepEqual([monitors.active, monitors.started, monitors.size], [0, 1, 0]);
  await gear.monitors.start("late", idle);
  assert.equal(gear.monitors.active, 0);
  const unused = createSwitchgear({ clock, sampler: { systemLoad: () => 0 } });
  await unused.close();
  await unused.monitors.start("late", idle);
  assert.equal(unused.monitors.active, 0);
});
