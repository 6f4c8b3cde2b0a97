// How late this machine wakes a thread that has nothing to do but to wake. Between a call and its answer three
// must: the gateway's, and two of k6's. What others make of the machine is then told apart from what is claimed.

import { isMainThread, parentPort, Worker } from "node:worker_threads";

const SLEEP_MS = 2;
/** Who looks at the clock every two milliseconds for longer than this has been forgotten. */
const ENTRIES_MAX = 1_000_000;

/** How late wakes between two moments were, milliseconds, 99th percentile; null without any. */
export type WakeMs = (fromMs: number, toMs: number) => number | null;

export interface MachineWatch {
  stop(): Promise<WakeMs>;
}

export function watchMachine(): MachineWatch {
  const worker = new Worker(new URL(import.meta.url));
  const wakes = new Promise<Float64Array>((done, fail) => {
    worker.once("message", done);
    worker.once("error", fail);
  });
  return {
    stop: async () => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
      worker.postMessage("stop");
      const pairs = await wakes;
      await worker.terminate();
      return (fromMs, toMs) => p99(pairs, fromMs, toMs);
    },
  };
}

function p99(pairs: Float64Array, fromMs: number, toMs: number): number | null {
  const late: number[] = [];
  for (let index = 0; index < pairs.length; index += 2) {
    const atMs = pairs[index] ?? 0;
    if (atMs >= fromMs && atMs < toMs) late.push(pairs[index + 1] ?? 0);
  }
  return late.toSorted((a, b) => a - b)[Math.floor(0.99 * late.length)] ?? null;
}

function watch(port: NonNullable<typeof parentPort>): void {
  const pairs: number[] = [];
  const word = new Int32Array(new SharedArrayBuffer(4));
  const wake = (): void => {
    // In a worker this sleeps; timers are no finer than a millisecond, and wait for each other.
    const startMs = performance.now();
    Atomics.wait(word, 0, 0, SLEEP_MS);
    if (pairs.length < ENTRIES_MAX) pairs.push(Date.now(), performance.now() - startMs - SLEEP_MS);
    waking = setImmediate(wake);
  };
  let waking = setImmediate(wake);
  port.once("message", () => {
    clearImmediate(waking);
    port.postMessage(Float64Array.from(pairs));
  });
}

if (!isMainThread && parentPort !== null) watch(parentPort);
