// Plain counters of one upstream's calls, by operation. Metrics read them when they are scraped,
// so that a call pays for an increment and for nothing else.

import type { RefusalReason } from "../../core/events.ts";
import { isLatency } from "../../core/outcome.ts";
import { boundedName } from "../names.ts";

/** Upper bounds in seconds: from a refusal's time to beyond any deadline worth having. */
export const DURATION_BUCKETS_SECONDS: readonly number[] = Object.freeze([
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 5, 10, 30,
]);

const BUCKETS_MS: readonly number[] = DURATION_BUCKETS_SECONDS.map((bound) => bound * 1000);

/** What all operations beyond the bound are counted as. */
export const OVERFLOW_NAME = "__overflow__";

/** What a call is counted as when its caller did not name it. */
export const UNKNOWN_OPERATION = "unknown";

/** How long calls took that came to one outcome. */
export class Durations {
  count = 0;
  sumMs = 0;
  /** Calls per bucket, not cumulative; the last one holds what exceeds every bound. */
  readonly buckets: number[] = Array.from({ length: BUCKETS_MS.length + 1 }, () => 0);

  /** What is no duration is dropped. */
  add(latencyMs: number): void {
    if (!isLatency(latencyMs)) return;
    this.count += 1;
    this.sumMs += latencyMs;
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && latencyMs > (BUCKETS_MS[bucket] as number)) bucket += 1;
    this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
  }
}

/** Outcomes whose durations say something about the upstream. */
export type TimedOutcome = "ok" | "failed" | "timeout";

export const TIMED_OUTCOMES: readonly TimedOutcome[] = ["ok", "failed", "timeout"];

/**
 * Refusals by reason. Those of which there are many at once have a field of their own: a key that is only known
 * when it is used costs a fifth of a refusal.
 */
class Refusals {
  tripped = 0;
  limit = 0;
  readonly #others: Partial<Record<RefusalReason, number>> = {};

  countOther(reason: RefusalReason): void {
    this.#others[reason] = (this.#others[reason] ?? 0) + 1;
  }

  byReason(): Partial<Record<RefusalReason, number>> {
    const all = { ...this.#others };
    if (this.tripped > 0) all.tripped = this.tripped;
    if (this.limit > 0) all.limit = this.limit;
    return all;
  }
}

export class OperationStats {
  readonly name: string;
  /** Whether it was known beforehand: such a one is counted apart, whatever callers call theirs. */
  isListed: boolean;
  ok = 0;
  failed = 0;
  timeout = 0;
  ignored = 0;
  /** Made with the first, since most operations are never refused. */
  #refusals: Refusals | undefined = undefined;
  shadowRefused = 0;
  readonly okDurations = new Durations();
  /** Made with the first: most operations never fail. */
  #failedDurations: Durations | undefined = undefined;
  #timeoutDurations: Durations | undefined = undefined;

  constructor(name: string, isListed = false) {
    this.name = name;
    this.isListed = isListed;
  }

  countRefusal(reason: RefusalReason): void {
    const refusals = (this.#refusals ??= new Refusals());
    if (reason === "tripped") refusals.tripped += 1;
    else if (reason === "limit") refusals.limit += 1;
    else refusals.countOther(reason);
  }

  /** By reason, those that there were; undefined when there was none. */
  get refused(): Partial<Record<RefusalReason, number>> | undefined {
    return this.#refusals?.byReason();
  }

  /** A call that failed or timed out took so long. */
  countBadDuration(outcome: "failed" | "timeout", latencyMs: number): void {
    if (outcome === "failed") (this.#failedDurations ??= new Durations()).add(latencyMs);
    else (this.#timeoutDurations ??= new Durations()).add(latencyMs);
  }

  /** Undefined before the first. */
  durations(outcome: TimedOutcome): Durations | undefined {
    if (outcome === "ok") return this.okDurations;
    return outcome === "failed" ? this.#failedDurations : this.#timeoutDurations;
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
    this.#makeListed();
  }

  get(name: string | undefined): OperationStats {
    const wanted = name === undefined || name === "" ? UNKNOWN_OPERATION : name;
    const last = this.#last;
    if (last?.name === wanted) return last;
    // What is kept is short, so that only another name than the last one's may be too long.
    const kept = boundedName(wanted);
    const isFirst = last === undefined && this.#byName === undefined;
    return (this.#last = isFirst ? this.#make(kept) : this.#find(last, kept));
  }

  /** Takes these for known beforehand, in place of those before; what was counted stays. */
  list(names: readonly string[]): void {
    this.#listed = setOf(names);
    this.#others = 0;
    for (const stats of this.all()) {
      stats.isListed = this.#listed.has(stats.name);
      if (!stats.isListed) this.#others += 1;
    }
    this.#makeListed();
  }

  /** Counted from 0 on, and not from the first call: what begins at 1 has no first increase. */
  #makeListed(): void {
    for (const name of this.#listed) {
      const byName = this.#mapOf(this.#last);
      if (!byName.has(name)) byName.set(name, new OperationStats(name, true));
    }
  }

  #mapOf(last: OperationStats | undefined): Map<string, OperationStats> {
    return (this.#byName ??= new Map(last === undefined ? [] : [[last.name, last]]));
  }

  all(): Iterable<OperationStats> {
    if (this.#byName !== undefined) return this.#byName.values();
    return this.#last === undefined ? [] : [this.#last];
  }

  #find(last: OperationStats | undefined, name: string): OperationStats {
    const byName = this.#mapOf(last);
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
