// How loaded this process is, 0 to 1: 0.4 × memory + 0.3 × CPU + 0.3 × pending requests, against
// what the container allows. The weights are the source system's; note that saturated CPU and
// requests reach only 0.6 without memory, so CPU-bound services want `mode: "max"`: the largest of
// the three, and of the event loop's delay.
//
// A sample is taken when somebody asks and the last one is older than 100 ms. Only what looks at the
// event loop has a timer, in mode `max`, once somebody has asked.

import { getHeapStatistics } from "node:v8";
import { whenRejected } from "../core/foreign.ts";
import { LOAD_SHEDDING_DEFAULTS, type LoadMode } from "../core/overload/load-shedder.ts";
import type { LoadDriver, LoadSampler } from "../pipeline/ports.ts";
import { readContainerLimits, type ContainerLimits } from "./container-limits.ts";
import { LoopDelay } from "./loop-delay.ts";

export interface SystemLoadOptions {
  /** `weighted` (default): the formula above. `max`: the largest of the three, and of the event loop's delay. */
  readonly mode?: LoadMode | undefined;
  /** Pending requests, for instance the gateway's. Absent: its weight goes to the others. */
  readonly pending?: (() => number) | undefined;
  /** Pending requests that count as saturated. Default 1,000; above 0. */
  readonly maxPending?: number | undefined;
}

/** Where the numbers come from; tests hand in their own. */
export interface LoadSources {
  monotonic(): number;
  /** User and system time of this process so far, in milliseconds. */
  cpuMs(): number;
  /** Of the heap that the engine allows; 0 where it has no limit. */
  heapRatio(): number;
  rssBytes(): number;
  limits(): ContainerLimits;
  /** How late the event loop comes, 99th percentile in milliseconds; undefined when it is not known. */
  loopDelayMs(): number | undefined;
  /** Ends what the one before needs. */
  stop(): void;
}

const WEIGHTS = { memory: 0.4, cpu: 0.3, pending: 0.3 } as const;

/** The delay that is full load: at 40 ms, which nobody is answered sooner than, it is as high as the default threshold. */
export const LOOP_DELAY_MS_FULL = 40 / LOAD_SHEDDING_DEFAULTS.threshold;

/** A spike asks thousands of times a second; the answer need not be newer than this. */
const CACHE_MS = 100;

/** Shorter spans make CPU shares jump between 0 and 1. */
const CPU_SPAN_MS_MIN = 250;

/** A share averaged over a longer quiet time says nothing about now: it counts as missing. */
const CPU_SPAN_MS_MAX = 5000;

/** Limits may be resized while the container runs. */
const LIMITS_MS = 60_000;

export class SystemLoad implements LoadSampler {
  readonly #options: SystemLoadOptions;
  readonly #sources: LoadSources;
  #load = 0;
  #driver: LoadDriver | null = null;
  #sampledMs = Number.NEGATIVE_INFINITY;
  #cpuShare: number | undefined = undefined;
  #cpuMark: { readonly atMs: number; readonly cpuMs: number } | undefined = undefined;
  #limits: ContainerLimits | undefined = undefined;
  #limitsMs = Number.NEGATIVE_INFINITY;

  constructor(options: SystemLoadOptions = {}, sources: LoadSources = processSources()) {
    this.#options = options;
    this.#sources = sources;
  }

  systemLoad(): number {
    const nowMs = this.#sources.monotonic();
    if (nowMs - this.#sampledMs >= CACHE_MS) {
      this.#load = this.#sample(nowMs);
      this.#sampledMs = nowMs;
    }
    return this.#load;
  }

  /** What the last sample is made of most; null where nothing could be measured, or nothing is loaded. */
  get driver(): LoadDriver | null {
    return this.#driver;
  }

  /** Ends its timer. What it needs one for counts as missing from then on. */
  stop(): void {
    this.#sources.stop();
  }

  #sample(nowMs: number): number {
    const isMax = this.#options.mode === "max";
    const parts: [LoadDriver, weight: number, value: number | undefined][] = [
      ["memory", WEIGHTS.memory, attempt(() => this.#memory(nowMs))],
      ["cpu", WEIGHTS.cpu, attempt(() => this.#cpu(nowMs))],
      ["pending", WEIGHTS.pending, attempt(() => this.#pending())],
    ];
    if (isMax) parts.push(["event_loop", 0, attempt(() => this.#loopDelay())]);
    let sum = 0;
    let weights = 0;
    let largest = 0;
    this.#driver = null;
    for (const [driver, weight, value] of parts) {
      if (value === undefined) continue;
      const share = isMax ? value : weight * value;
      if (share > largest) this.#driver = driver;
      sum += weight * value;
      weights += weight;
      largest = Math.max(largest, share);
    }
    if (isMax) return largest;
    return weights === 0 ? 0 : sum / weights;
  }

  #loopDelay(): number | undefined {
    const delayMs = this.#sources.loopDelayMs();
    return delayMs === undefined ? undefined : delayMs / LOOP_DELAY_MS_FULL;
  }

  #memory(nowMs: number): number {
    // Used over total heap would idle near 0.9: the engine grows its heap only when it must.
    return Math.max(
      this.#sources.heapRatio(),
      this.#sources.rssBytes() / this.#currentLimits(nowMs).memoryBytes,
    );
  }

  #cpu(nowMs: number): number | undefined {
    const cpuMs = this.#sources.cpuMs();
    const mark = this.#cpuMark;
    const spanMs = mark === undefined ? Number.POSITIVE_INFINITY : nowMs - mark.atMs;
    if (spanMs < CPU_SPAN_MS_MIN) return this.#cpuShare;
    this.#cpuMark = { atMs: nowMs, cpuMs };
    this.#cpuShare =
      mark === undefined || spanMs > CPU_SPAN_MS_MAX
        ? undefined
        : (cpuMs - mark.cpuMs) / (spanMs * this.#currentLimits(nowMs).cores);
    return this.#cpuShare;
  }

  #pending(): number | undefined {
    const { pending, maxPending = 1000 } = this.#options;
    const count = pending?.();
    whenRejected(count);
    return count === undefined ? undefined : count / maxPending;
  }

  #currentLimits(nowMs: number): ContainerLimits {
    if (this.#limits === undefined || nowMs - this.#limitsMs >= LIMITS_MS) {
      this.#limits = this.#sources.limits();
      this.#limitsMs = nowMs;
    }
    return this.#limits;
  }
}

function processSources(): LoadSources {
  const loop = new LoopDelay();
  return {
    monotonic: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    heapRatio: () => {
      // Bun has no limit to compare with, makes one up, and walks the whole heap for it: tens of milliseconds.
      if (process.versions.bun !== undefined) return 0;
      const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
      return limit > 0 ? used / limit : 0;
    },
    rssBytes: () => process.memoryUsage.rss(),
    limits: () => readContainerLimits(),
    loopDelayMs: () => loop.p99Ms(),
    stop: () => loop.stop(),
  };
}

/** A source that throws or answers NaN counts as missing; everything else is brought into 0–1. */
function attempt(read: () => number | undefined): number | undefined {
  try {
    const value = read();
    return value === undefined || Number.isNaN(value) ? undefined : Math.min(Math.max(value, 0), 1);
  } catch {
    return undefined;
  }
}
