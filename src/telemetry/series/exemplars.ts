// One traced call for each bucket of a histogram: from a slow bucket to the trace of a call that was so slow.

import { DURATION_BUCKETS_SECONDS } from "../../pipeline/call/stats.ts";
import type { CallOutcome } from "../../core/outcome.ts";

export interface Exemplar {
  readonly traceId: string;
  readonly spanId: string;
  /** Seconds. */
  readonly value: number;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** Histograms that have any; operations are named by callers, too. */
const HISTOGRAMS_MAX = 1000;

export class Exemplars {
  readonly #byHistogram = new Map<string, (Exemplar | undefined)[]>();

  /** The latest of each bucket is kept. */
  note(upstream: string, operation: string, outcome: CallOutcome, exemplar: Exemplar): void {
    const key = keyOf(upstream, operation, outcome);
    let buckets = this.#byHistogram.get(key);
    if (buckets === undefined) {
      if (this.#byHistogram.size >= HISTOGRAMS_MAX) return;
      buckets = Array.from({ length: DURATION_BUCKETS_SECONDS.length + 1 }, () => undefined);
      this.#byHistogram.set(key, buckets);
    }
    const bucket = DURATION_BUCKETS_SECONDS.findIndex((bound) => exemplar.value <= bound);
    buckets[bucket === -1 ? DURATION_BUCKETS_SECONDS.length : bucket] = exemplar;
  }

  /** By bucket, of the histogram with these labels. */
  of(upstream: string, operation: string, outcome: string): readonly (Exemplar | undefined)[] {
    return this.#byHistogram.get(keyOf(upstream, operation, outcome)) ?? [];
  }
}

function keyOf(upstream: string, operation: string, outcome: string): string {
  return `${upstream}\0${operation}\0${outcome}`;
}
