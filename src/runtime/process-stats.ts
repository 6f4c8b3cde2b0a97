// What a process knows of itself: CPU time, memory, its start, and how late the turns of its event loop come.

import { monitorEventLoopDelay } from "node:perf_hooks";

/** How often the event loop is looked at: fifty times a second cost an idle process 0.4 % of a core. */
const RESOLUTION_MS = 20;

/** Whoever scrapes, and how many, each minute is shown for as long again. */
const SPAN_MS = 60_000;

const QUANTILES = [
  ["0.5", 50],
  ["0.99", 99],
  ["1", 100],
] as const;

export interface ProcessReading {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Seconds later than due, by quantile. */
  readonly loopDelays: readonly (readonly [quantile: string, seconds: number])[];
}

/** Looks at the event loop until it is stopped; keeps no process alive. */
export class ProcessStats {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #startedAt = Date.now() - process.uptime() * 1000;
  readonly #timer: NodeJS.Timeout;
  /** Of the last whole span. */
  #before: readonly number[] = [];

  constructor() {
    this.#delays.enable();
    this.#timer = setInterval(() => {
      this.#before = this.#now();
      this.#delays.reset();
    }, SPAN_MS);
    this.#timer.unref();
  }

  read(): ProcessReading {
    const { user, system } = process.cpuUsage();
    const now = this.#now();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      startedAt: this.#startedAt,
      loopDelays: QUANTILES.map(([quantile], at) => [
        quantile,
        Math.max(now[at] ?? 0, this.#before[at] ?? 0),
      ]),
    };
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delays.disable();
  }

  /** The runtimes measure from one look to the next, which are this far apart when nothing is late. */
  #now(): readonly number[] {
    return QUANTILES.map(([, percent]) => {
      const ms = this.#delays.percentile(percent) / 1e6;
      return ms > RESOLUTION_MS ? (ms - RESOLUTION_MS) / 1000 : 0;
    });
  }
}
