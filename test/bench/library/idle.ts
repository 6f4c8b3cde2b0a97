// What breakers cost that nobody calls: memory, timers, CPU. Runs in a process of its own.

import { CountBreaker, circuitBreaker, handleAll } from "cockatiel";
import Opossum from "opossum";
import {
  adaptive,
  createSwitchgear,
  latching,
  slidingWindow,
  type BreakerPolicy,
} from "../../../src/index.ts";

export const IDLE_NAMES = [
  "sg",
  "sg.used",
  "sg.window",
  "sg.window.used",
  "sg.adaptive",
  "sg.adaptive.used",
  "opossum",
  "cockatiel",
] as const;
export type IdleName = (typeof IDLE_NAMES)[number];

export interface IdleCost {
  readonly breakers: number;
  readonly bytesEach: number;
  /** Timers started and not yet ended, whether or not they keep the process open. */
  readonly timers: number;
  /** What the runtime says keeps the process open. */
  readonly activeResources: number;
  /** CPU over wall time while nobody called. */
  readonly cpuShare: number;
}

export interface IdleEffort {
  readonly breakers: number;
  readonly idleMs: number;
  readonly readings: number;
}

/** Kept alive until the last reading. */
const held: unknown[] = [];

export async function measureIdle(name: IdleName, effort: IdleEffort): Promise<IdleCost> {
  const live = watchTimers();
  // A few first, so that classes, shapes and code are not billed to the breakers.
  await make(name, 50);
  const timersBefore = live.size;
  const before = await heapBytes(effort.readings);
  await make(name, effort.breakers);
  const after = await heapBytes(effort.readings);
  const activeResources = process.getActiveResourcesInfo().length;
  const timers = live.size - timersBefore;

  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  await pause(effort.idleMs);
  const cpu = process.cpuUsage(cpuBefore);
  const wallMs = performance.now() - startMs;
  return {
    breakers: effort.breakers,
    bytesEach: (after - before) / effort.breakers,
    timers,
    activeResources,
    cpuShare: (cpu.user + cpu.system) / 1000 / wallMs,
  };
}

async function make(name: IdleName, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, n) => `bookmaker-${n}`);
  switch (name) {
    case "sg":
    case "sg.used":
    case "sg.window":
    case "sg.window.used":
    case "sg.adaptive":
    case "sg.adaptive.used": {
      // One policy for all, as a configuration with a default makes it.
      const breaker = policyOf(name);
      const gear = createSwitchgear({
        upstreams: Object.fromEntries(names.map((upstream) => [upstream, { breaker }])),
      });
      held.push(gear);
      if (!name.endsWith(".used")) return;
      for (const upstream of names) await gear.upstream(upstream).execute(() => upstream);
      return;
    }
    case "opossum":
      for (const upstream of names) {
        held.push(new Opossum(() => Promise.resolve(upstream), { timeout: false }));
      }
      return;
    case "cockatiel":
      for (let n = 0; n < count; n += 1) {
        const breaker = new CountBreaker({ threshold: 0.5, size: 100 });
        held.push(circuitBreaker(handleAll, { halfOpenAfter: 30_000, breaker }));
      }
      return;
    default:
      name satisfies never;
  }
}

function policyOf(name: IdleName): BreakerPolicy {
  if (name.startsWith("sg.window")) return slidingWindow();
  return name.startsWith("sg.adaptive") ? adaptive() : latching();
}

/** Counts timers by standing in front of the globals; `getActiveResourcesInfo` leaves out unref'd ones. */
function watchTimers(): ReadonlySet<unknown> {
  const live = new Set<unknown>();
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  Object.assign(globalThis, {
    setTimeout(callback: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) {
      const handle = setTimeout(
        (...given: unknown[]) => {
          live.delete(handle);
          callback(...given);
        },
        delay,
        ...args,
      );
      live.add(handle);
      return handle;
    },
    setInterval(callback: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) {
      const handle = setInterval(callback, delay, ...args);
      live.add(handle);
      return handle;
    },
    clearTimeout(handle: NodeJS.Timeout | undefined) {
      live.delete(handle);
      clearTimeout(handle);
    },
    clearInterval(handle: NodeJS.Timeout | undefined) {
      live.delete(handle);
      clearInterval(handle);
    },
  });
  return live;
}

/** The smallest of several readings, each after a full collection: what is live, and nothing else. */
async function heapBytes(readings: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < readings; n += 1) {
    await pause(20);
    least = Math.min(least, await liveBytes());
  }
  return least;
}

async function liveBytes(): Promise<number> {
  if ("Bun" in globalThis) {
    const { heapStats } = await import("bun:jsc");
    Bun.gc(true);
    const { heapSize, extraMemorySize } = heapStats();
    return heapSize + extraMemorySize;
  }
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("start with --expose-gc");
  gc();
  return process.memoryUsage().heapUsed;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
