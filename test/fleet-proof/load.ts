// How long calls took, in buckets that processes can put together.

/** Sixteen to each doubling: a bucket is 4 % wide. */
const PER_DOUBLING = 16;
const BUCKETS = 40 * PER_DOUBLING;

function noCounts(): number[] {
  return Array.from({ length: BUCKETS }, () => 0);
}

export interface Load {
  readonly counts: readonly number[];
  /** Calls that did not end in the turn of the event loop in which they began: they waited for something. */
  readonly waited: number;
  readonly maxNs: number;
}

export class LoadRecorder {
  #counts = noCounts();
  #waited = 0;
  #maxNs = 0;

  add(ns: number, hasWaited: boolean): void {
    const bucket = Math.min(BUCKETS - 1, Math.floor(Math.log2(Math.max(1, ns)) * PER_DOUBLING));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    if (hasWaited) this.#waited += 1;
    this.#maxNs = Math.max(this.#maxNs, ns);
  }

  /** What was added since the last one. */
  take(): Load {
    const taken = { counts: this.#counts, waited: this.#waited, maxNs: this.#maxNs };
    this.#counts = noCounts();
    this.#waited = 0;
    this.#maxNs = 0;
    return taken;
  }
}

export function merged(loads: readonly Load[]): Load {
  const counts = noCounts();
  for (const load of loads) {
    for (const [bucket, count] of load.counts.entries())
      counts[bucket] = (counts[bucket] ?? 0) + count;
  }
  return {
    counts,
    waited: loads.reduce((sum, { waited }) => sum + waited, 0),
    maxNs: Math.max(0, ...loads.map(({ maxNs }) => maxNs)),
  };
}

export function callsOf({ counts }: Load): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The upper end of the bucket that holds it, nanoseconds. */
export function quantileNs(load: Load, share: number): number {
  let left = share * callsOf(load);
  for (const [bucket, count] of load.counts.entries()) {
    left -= count;
    if (left < 0) return 2 ** ((bucket + 1) / PER_DOUBLING);
  }
  return load.maxNs;
}
