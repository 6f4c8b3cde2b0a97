// Plain counters of one upstream's calls, by operation. Metrics read them when they are scraped,
// so that a call pays for an increment and for nothing else.

import type { RefusalReason } from "../../core/events.ts";
import { isLatency } from "../../core/outcome.ts";
import { boundedName } from "../names.ts";

/** Upper bounds in seconds: from a refusal's time to beyond any deadline worth having. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = Object.freeze([
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]);

const BUCKETS_MS: readonly number[] = DURATION_BUCKETS_SECONDS.map((bound) => bound * 1000);

/** What all operations beyond the bound are counted as. */
export const OVERFLOW_NAME = "__overflow__";

/** What a call is counted as when its caller did not name it. */
export const UNKNOWN_OPERATION = "unknown";

export class OperationStats {
  readonly name: string;
  /** Whether it was known beforehand: such a one is counted apart, whatever callers call theirs. */
  isListed: boolean;
  ok = 0;
  failed = 0;
  timeout = 0;
  ignored = 0;
  /** By reason; absent until the first, since most operations are never refused. */
  refused: Partial<Record<RefusalReason, number>> | undefined = undefined;
  shadowRefused = 0;
  durationCount = 0;
  durationSumMs = 0;
  /** Calls per bucket, not cumulative; the last one holds what exceeds every bound. */
  readonly buckets: number[] = Array.from({ length: BUCKETS_MS.length + 1 }, () => 0);

  constructor(name: string, isListed = false) {
    this.name = name;
    this.isListed = isListed;
  }

  countRefusal(reason: RefusalReason): void {
    const refused = (this.refused ??= {});
    refused[reason] = (refused[reason] ?? 0) + 1;
  }

  /** False when the sample is no duration and was dropped. */
  countDuration(latencyMs: number): boolean {
    if (!isLatency(latencyMs)) return false;
    this.durationCount += 1;
    this.durationSumMs += latencyMs;
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && latencyMs > (BUCKETS_MS[bucket] as number)) bucket += 1;
    this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
    return true;
  }
}

const NONE: ReadonlySet<string> = new Set();

/** Most upstreams list none, and an empty set costs as much as ten counters. */
function setOf(names: readonly string[]): ReadonlySet<string> {
  return names.length === 0 ? NONE : new Set(names);
}

/**
 * Finds an operation's counters. The last one used costs a comparison; most upstreams have one
 * operation, and need no map.
 */
export class OperationTable {
  #listed: ReadonlySet<string>;
  readonly #max: number;
  /** Those that are not listed. */
  #others = 0;
  #last: OperationStats | undefined = undefined;
  #byName: Map<string, OperationStats> | undefined = undefined;

  /** At most `max` names are counted apart beside those that are listed. */
  constructor(max: number, listed: readonly string[] = []) {
    this.#max = max;
    this.#listed = setOf(listed);
  }

  get(name: string | undefined): OperationStats {
    const wanted = name === undefined || name === "" ? UNKNOWN_OPERATION : name;
    const last = this.#last;
    if (last?.name === wanted) return last;
    // What is kept is short, so that only another name than the last one's may be too long.
    const kept = boundedName(wanted);
    return (this.#last = last === undefined ? this.#make(kept) : this.#find(last, kept));
  }

  /** Takes these for known beforehand, in place of those before; what was counted stays. */
  list(names: readonly string[]): void {
    this.#listed = setOf(names);
    this.#others = 0;
    for (const stats of this.all()) {
      stats.isListed = this.#listed.has(stats.name);
      if (!stats.isListed) this.#others += 1;
    }
  }

  all(): Iterable<OperationStats> {
    if (this.#byName !== undefined) return this.#byName.values();
    return this.#last === undefined ? [] : [this.#last];
  }

  #find(last: OperationStats, name: string): OperationStats {
    const byName = (this.#byName ??= new Map([[last.name, last]]));
    const isKnown = byName.has(name) || this.#listed.has(name) || this.#others < this.#max;
    const bounded = isKnown ? name : OVERFLOW_NAME;
    let found = byName.get(bounded);
    if (found === undefined) {
      found = this.#make(bounded);
      byName.set(bounded, found);
    }
    return found;
  }

  #make(name: string): OperationStats {
    const isListed = this.#listed.has(name);
    if (!isListed) this.#others += 1;
    return new OperationStats(name, isListed);
  }
}
