// Monitoring tasks: at most one for each endpoint, each asked to end before it is made to.
//
// Ending has two phases. First the task's token is cancelled, and it gets five seconds to clean up.
// Then its abort signal fires, and it gets two more. A promise that heeds neither cannot be killed in
// JavaScript: it is let go, counted as an orphan until it settles by itself, and never waited for
// again. Nothing here runs while tasks run: no polling, and no timer but those of a shutdown.

import { errorText } from "../../core/classify.ts";
import type { Scheduler } from "../../core/clock.ts";
import type { RegistryEvent } from "../../core/events.ts";
import { whenRejected } from "../../core/foreign.ts";
import { CancellationToken } from "./cancellation-token.ts";

/** The work. Heeds `token`, and hands `signal` to whatever can be aborted. */
export type MonitoringTask = (token: CancellationToken, signal: AbortSignal) => Promise<unknown>;

/**
 * How a shutdown went. `success`, `panic`: ended when it was asked to, the latter by throwing.
 * `timeout`: did not, and is aborted now. `cancelled`, `completed`: ended by the abort, or of its own
 * accord meanwhile. `abort_timeout`: heeds neither, and is let go.
 */
export type ShutdownOutcome =
  "success" | "panic" | "timeout" | "cancelled" | "completed" | "abort_timeout";

export type MonitorEvent =
  | { readonly type: "started"; readonly endpoint: string }
  /** Ended by itself, `failed` by throwing. */
  | {
      readonly type: "ended";
      readonly endpoint: string;
      readonly failed: boolean;
      readonly error: unknown;
    }
  | {
      readonly type: "shutdown";
      readonly endpoint: string;
      readonly phase: 1 | 2;
      readonly outcome: ShutdownOutcome;
      /** Since it was asked to end, milliseconds. */
      readonly elapsedMs: number;
      readonly error: unknown;
    }
  /** It took longer than it should have to end after it was asked to. */
  | {
      readonly type: "warning";
      readonly endpoint: string;
      readonly warning: "slow_cancellation" | "long_running_task";
      readonly elapsedMs: number;
    }
  | { readonly type: "stopped-all"; readonly active: number; readonly started: number };

export interface MonitorOptions {
  readonly scheduler: Scheduler;
  /** Hears of each step. What it throws harms nobody. */
  readonly onEvent?: (event: MonitorEvent) => unknown;
}

export const COOPERATIVE_MS = 5000;
export const ABORT_MS = 2000;
const LONG_RUNNING_MS = 10_000;

/** Tasks that start their own successors and end at once: after so many in a row others get a turn. */
const SUCCESSORS_MAX = 100;
const TURN_MS = 1;

interface Running {
  readonly endpoint: string;
  readonly token: CancellationToken;
  readonly controller: AbortController;
  /** Settles with how the task ended; never rejects. */
  readonly done: Promise<TaskEnd>;
  /** When it was asked to end. */
  askedMs: number | undefined;
  /** It was let go. */
  isOrphan: boolean;
}

interface TaskEnd {
  readonly failed: boolean;
  readonly error: unknown;
}

interface Desk {
  running: Running | undefined;
  /** The task that is to run next: of several the newest. */
  next: { readonly task: MonitoringTask; readonly settle: (error?: unknown) => void } | undefined;
  /** Whatever is being done at this desk; one thing at a time. */
  busy: Promise<void> | undefined;
  /** Tasks that took the place of another one, since others had a turn. */
  successors: number;
}

export class MonitorTasks {
  readonly #scheduler: Scheduler;
  readonly #onEvent: MonitorOptions["onEvent"];
  readonly #desks = new Map<string, Desk>();
  #started = 0;
  #active = 0;
  #orphaned = 0;
  #isClosed = false;

  constructor({ scheduler, onEvent }: MonitorOptions) {
    this.#scheduler = scheduler;
    this.#onEvent = onEvent;
  }

  /** Endpoints that a task runs for, is started for, or is ended for. */
  get size(): number {
    return this.#desks.size;
  }

  /** Tasks that ever started. */
  get started(): number {
    return this.#started;
  }

  /** Tasks that run and were not let go. */
  get active(): number {
    return this.#active;
  }

  /** Tasks that heeded neither token nor signal and still run. */
  get orphaned(): number {
    return this.#orphaned;
  }

  /**
   * Starts the endpoint's task; one that runs is shut down first. Of several that are started while
   * that lasts only the newest runs. A task may start its own successor, and ends first. Resolves once it
   * runs, or was superseded, or at once where all was closed.
   */
  start(endpoint: string, task: MonitoringTask): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const desk = this.#desk(endpoint);
    desk.next?.settle();
    const { promise, resolve } = Promise.withResolvers<void>();
    desk.next = { task, settle: () => resolve() };
    this.#work(endpoint, desk);
    return promise;
  }

  /** Shuts the endpoint's task down. Rejects when it has none. */
  async stop(endpoint: string): Promise<void> {
    const desk = this.#desks.get(endpoint);
    if (desk?.running === undefined && desk?.next === undefined) {
      throw new Error(`No monitoring task found for endpoint: ${endpoint}`);
    }
    await this.#clear(endpoint, desk);
  }

  /** Shuts all tasks down at once: seven seconds at most, however many there are. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#desks].map(([endpoint, desk]) => this.#clear(endpoint, desk)));
    this.#tell({ type: "stopped-all", active: this.#active, started: this.#started });
  }

  /** Shuts all of them down; none is started any more, neither by what ends now. */
  close(): Promise<void> {
    this.#isClosed = true;
    for (const desk of this.#desks.values()) this.#drop(desk);
    return this.stopAll();
  }

  #desk(endpoint: string): Desk {
    let desk = this.#desks.get(endpoint);
    if (desk === undefined) {
      desk = { running: undefined, next: undefined, busy: undefined, successors: 0 };
      this.#desks.set(endpoint, desk);
    }
    return desk;
  }

  #work(endpoint: string, desk: Desk): void {
    if (desk.busy !== undefined) return;
    // Nothing is under way and nothing runs: the task starts before `start` returns.
    if (desk.running === undefined) this.#startNext(endpoint, desk);
    else this.#replace(endpoint, desk);
  }

  /** Busy before anything is asked to end: whoever hears of it may start or stop at this desk. */
  #replace(endpoint: string, desk: Desk): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    desk.busy = promise;
    void this.#swap(endpoint, desk).then(resolve);
  }

  async #swap(endpoint: string, desk: Desk): Promise<void> {
    if (desk.running !== undefined) await this.#shutdown(desk.running, desk);
    desk.successors += 1;
    if (desk.successors > SUCCESSORS_MAX) {
      await this.#pause(TURN_MS);
      desk.successors = 0;
    }
    desk.busy = undefined;
    this.#startNext(endpoint, desk);
  }

  async #clear(endpoint: string, desk: Desk): Promise<void> {
    this.#drop(desk);
    if (desk.busy === undefined) this.#replace(endpoint, desk);
    await desk.busy;
  }

  #drop(desk: Desk): void {
    desk.next?.settle();
    desk.next = undefined;
  }

  #startNext(endpoint: string, desk: Desk): void {
    const { next } = desk;
    desk.next = undefined;
    if (next === undefined) {
      if (desk.running === undefined) this.#desks.delete(endpoint);
      return;
    }
    const token = new CancellationToken();
    const controller = new AbortController();
    this.#started += 1;
    this.#active += 1;
    const { promise: done, resolve } = Promise.withResolvers<TaskEnd>();
    const running = { endpoint, token, controller, done, askedMs: undefined, isOrphan: false };
    // It runs as soon as it is called, and may call back in before it awaits anything.
    desk.running = running;
    void done.then((end) => this.#ended(running, desk, end));
    void runTask(next.task, token, controller.signal).then(resolve);
    this.#tell({ type: "started", endpoint });
    next.settle();
  }

  /** The task settled, asked to or not. */
  #ended(running: Running, desk: Desk, { failed, error }: TaskEnd): void {
    const { endpoint, askedMs } = running;
    if (running.isOrphan) this.#orphaned -= 1;
    else {
      desk.running = undefined;
      this.#active -= 1;
      if (desk.busy === undefined) this.#desks.delete(endpoint);
      if (askedMs === undefined) this.#tell({ type: "ended", endpoint, failed, error });
    }
    if (askedMs === undefined) return;
    const elapsedMs = this.#scheduler.monotonic() - askedMs;
    if (elapsedMs <= COOPERATIVE_MS) return;
    const warning = elapsedMs > LONG_RUNNING_MS ? "long_running_task" : "slow_cancellation";
    this.#tell({ type: "warning", endpoint, warning, elapsedMs });
  }

  async #shutdown(running: Running, desk: Desk): Promise<void> {
    const askedMs = this.#scheduler.monotonic();
    running.askedMs = askedMs;
    const tell = (phase: 1 | 2, outcome: ShutdownOutcome, error?: unknown): void => {
      const elapsedMs = this.#scheduler.monotonic() - askedMs;
      const { endpoint } = running;
      this.#tell({ type: "shutdown", endpoint, phase, outcome, elapsedMs, error });
    };

    running.token.cancel();
    const asked = await this.#within(running.done, COOPERATIVE_MS);
    if (asked !== undefined) {
      tell(1, asked.failed ? "panic" : "success", asked.error);
      return;
    }
    tell(1, "timeout");
    running.controller.abort();
    const aborted = await this.#within(running.done, ABORT_MS);
    if (aborted !== undefined) {
      tell(2, aborted.failed ? "cancelled" : "completed", aborted.error);
      return;
    }
    // From here on it belongs to nobody.
    running.isOrphan = true;
    desk.running = undefined;
    this.#active -= 1;
    this.#orphaned += 1;
    tell(2, "abort_timeout");
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#scheduler.setTimer(resolve, ms).keepAlive(true);
    });
  }

  /** How the task ended, or undefined when it had not after `ms`. */
  async #within(done: Promise<TaskEnd>, ms: number): Promise<TaskEnd | undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const timer = this.#scheduler.setTimer(() => resolve(undefined), ms);
    timer.keepAlive(true);
    try {
      return await Promise.race([done, promise]);
    } finally {
      timer.cancel();
    }
  }

  #tell(event: MonitorEvent): void {
    try {
      whenRejected(this.#onEvent?.(event));
    } catch {
      // The tasks go on.
    }
  }
}

/** The same, as the registry tells it. */
export function taskEvent(
  event: MonitorEvent,
  at: number,
): RegistryEvent & { readonly type: "task" } {
  const told = {
    type: "task",
    phase: undefined,
    elapsedMs: undefined,
    error: undefined,
    at,
  } as const;
  switch (event.type) {
    case "started":
      return { ...told, step: "started", endpoint: event.endpoint };
    case "ended":
      return {
        ...told,
        step: event.failed ? "failed" : "ended",
        endpoint: event.endpoint,
        error: event.failed ? errorText(event.error) : undefined,
      };
    case "shutdown":
      return {
        ...told,
        step: event.outcome,
        endpoint: event.endpoint,
        phase: event.phase,
        elapsedMs: event.elapsedMs,
        error: event.error === undefined ? undefined : errorText(event.error),
      };
    case "warning":
      return { ...told, step: event.warning, endpoint: event.endpoint, elapsedMs: event.elapsedMs };
    case "stopped-all":
      return { ...told, step: "stopped-all", endpoint: "" };
    default:
      return event satisfies never;
  }
}

/** Never rejects: a task may throw before it returns a promise, or return none at all. */
async function runTask(
  task: MonitoringTask,
  token: CancellationToken,
  signal: AbortSignal,
): Promise<TaskEnd> {
  try {
    await task(token, signal);
    return { failed: false, error: undefined };
  } catch (error) {
    return { failed: true, error };
  }
}
