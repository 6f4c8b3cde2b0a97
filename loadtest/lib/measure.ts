// What the setup measures through the gateway before any load: the capacity of the bookmaker that is put to
// the test, and the latency of the one beside it. Claims are ratios to these.

import { call, pause, type Answer, type CallOptions } from "./calls.ts";

/** What a run is compared with. */
export interface Baseline {
  /** Good answers a second at best; absent where no claim is compared with it. */
  readonly capacity?: number;
  /** Median of a call that waits for nobody. */
  readonly medianMs: number;
  /** Of the bookmaker beside it, without any other load. */
  readonly healthyP99Ms: number;
  /** As configured. */
  readonly deadlineMs: number;
}

/** Twice as many at once as long as that brings a tenth more. */
const CONCURRENCY_FIRST = 8;
const CONCURRENCY_MAX = 2048;
const GAIN = 1.1;
const CLIMB_MS_MAX = 1500;
const CALM_MS_MAX = 2000;
/** So many at once wait for nobody. */
const CONCURRENCY_CALM = 4;
const CONCURRENCY_HEALTHY = 10;
/** Whoever is refused asks again after this. */
const PAUSE_MS = 20;

export async function measure(calls: {
  readonly target: CallOptions;
  readonly healthy: CallOptions;
  readonly seconds: number;
  readonly deadlineMs: number;
  readonly isCapacityAsked: boolean;
}): Promise<Baseline> {
  const ms = calls.seconds * 1000;
  const calm = await keepBusy(calls.target, CONCURRENCY_CALM, Math.min(ms, CALM_MS_MAX));
  const healthy = await keepBusy(calls.healthy, CONCURRENCY_HEALTHY, ms);
  const capacity = calls.isCapacityAsked ? await capacityOf(calls.target, ms) : undefined;
  return {
    ...(capacity === undefined ? {} : { capacity }),
    medianMs: quantile(calm.okMs, 0.5),
    healthyP99Ms: quantile(healthy.okMs, 0.99),
    deadlineMs: calls.deadlineMs,
  };
}

async function capacityOf(options: CallOptions, ms: number): Promise<number> {
  const concurrency = await climb(options, Math.min(ms, CLIMB_MS_MAX));
  return (await keepBusy(options, concurrency, ms)).perSecond;
}

async function climb(options: CallOptions, ms: number): Promise<number> {
  let concurrency = CONCURRENCY_FIRST;
  let best = (await keepBusy(options, concurrency, ms)).perSecond;
  while (concurrency < CONCURRENCY_MAX) {
    const { perSecond } = await keepBusy(options, 2 * concurrency, ms);
    if (perSecond < GAIN * best) break;
    best = perSecond;
    concurrency *= 2;
  }
  // Once more as many: with a limit in between some are refused and pause.
  return 2 * concurrency;
}

interface Busy {
  readonly okMs: readonly number[];
  readonly perSecond: number;
}

/** So many callers, each of whom asks again as soon as it is answered. */
async function keepBusy(options: CallOptions, callers: number, ms: number): Promise<Busy> {
  const startMs = Date.now();
  const endMs = startMs + ms;
  const okMs: number[] = [];
  let last: Answer | undefined;
  const caller = async (): Promise<void> => {
    while (Date.now() < endMs) {
      last = await call(options);
      if (last.outcome !== "ok") await pause(PAUSE_MS);
      // The last ones end after it; what came by then is what was served meanwhile.
      else if (Date.now() < endMs) okMs.push(last.ms);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  if (okMs.length === 0) {
    const what = last === undefined ? "nothing" : `${last.outcome} ${last.reason}`;
    throw new Error(`${options.url} gave no good answer; the last was: ${what}`);
  }
  return { okMs, perSecond: (okMs.length / ms) * 1000 };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
