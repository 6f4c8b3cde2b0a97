// The rate limits of one upstream: a bucket for all of its calls, and one more for each operation that has a rate of
// its own. A call takes a token from both, or from neither. Buckets belong to what is configured, so that no name in
// a request makes one; an operation without a rate has the upstream's alone.

import { TokenBucket, type Rate } from "../../core/overload/token-bucket.ts";

/** What is configured, checked. */
export interface RateSettings {
  readonly rate: Rate | undefined;
  /** By name of the operation. */
  readonly operationRates: ReadonlyMap<string, Rate>;
}

/** What people are told about one limit. */
export interface RateStatus {
  /** Null for the limit of the upstream as a whole. */
  readonly operation: string | null;
  readonly perSecond: number;
  readonly burst: number;
  /** Calls that may go at once, from 0 to `burst`. */
  readonly left: number;
  /** Milliseconds until the next call may go; 0 when one may now. */
  readonly waitMs: number;
}

export class RateLimits {
  #whole: TokenBucket | undefined;
  readonly #byOperation = new Map<string, TokenBucket>();

  /** `isNew` false for an upstream that was called before: how often, nobody has counted. */
  constructor(settings: RateSettings, nowMs: number, isNew: boolean) {
    this.#set(settings, nowMs, isNew);
  }

  /** From now on by these. What was used stays used, and what is limited from now on begins with nothing. */
  change(settings: RateSettings, nowMs: number): void {
    this.#set(settings, nowMs, false);
  }

  /** Whether the call may go. Allocates nothing. */
  take(operation: string, nowMs: number): boolean {
    const own = this.#bucketOf(operation);
    if (own !== undefined && !own.take(nowMs)) return false;
    if (this.#whole === undefined || this.#whole.take(nowMs)) return true;
    own?.giveBack();
    return false;
  }

  /** The call that was just let in did not go. */
  giveBack(operation: string): void {
    this.#bucketOf(operation)?.giveBack();
    this.#whole?.giveBack();
  }

  /** Milliseconds until such a call may go; 0 when it may now. */
  waitMs(operation: string, nowMs: number): number {
    const ownMs = this.#bucketOf(operation)?.waitMs(nowMs) ?? 0;
    return Math.max(ownMs, this.#whole?.waitMs(nowMs) ?? 0);
  }

  /** The upstream's first, then by operation as they are configured. */
  statuses(nowMs: number): RateStatus[] {
    const all: [string | null, TokenBucket][] = [...this.#byOperation];
    if (this.#whole !== undefined) all.unshift([null, this.#whole]);
    return all.map(([operation, bucket]) => ({
      operation,
      perSecond: bucket.perSecond,
      burst: bucket.burst,
      left: bucket.left(nowMs),
      waitMs: bucket.waitMs(nowMs),
    }));
  }

  /** Whether forgetting them would grant nothing. */
  areFull(nowMs: number): boolean {
    if (this.#whole?.isFull(nowMs) === false) return false;
    for (const bucket of this.#byOperation.values()) if (!bucket.isFull(nowMs)) return false;
    return true;
  }

  #bucketOf(operation: string): TokenBucket | undefined {
    return this.#byOperation.get(operation);
  }

  #set({ rate, operationRates }: RateSettings, nowMs: number, isFull: boolean): void {
    const changed = (before: TokenBucket | undefined, to: Rate): TokenBucket => {
      if (before === undefined) return new TokenBucket(to, nowMs, isFull);
      before.change(to, nowMs);
      return before;
    };
    this.#whole = rate === undefined ? undefined : changed(this.#whole, rate);
    const before = new Map(this.#byOperation);
    this.#byOperation.clear();
    for (const [operation, to] of operationRates) {
      this.#byOperation.set(operation, changed(before.get(operation), to));
    }
  }
}

/** Undefined where nothing is limited: a call then pays for one look. */
export function rateLimitsOf(
  settings: RateSettings,
  nowMs: number,
  isNew: boolean,
): RateLimits | undefined {
  const isNone = settings.rate === undefined && settings.operationRates.size === 0;
  return isNone ? undefined : new RateLimits(settings, nowMs, isNew);
}
