// What people and programs are told about one limiter, and what metrics read of it.

import { CRITICALITIES, type Criticality, type Tier } from "../../core/overload/criticality.ts";
import type { LimitKind } from "../../core/overload/limit.ts";
import type { LimitGuard, TierCounts } from "./guard.ts";

/** Counts since the process started; what was measured is as of the last call. */
export interface LimitStatus {
  readonly kind: LimitKind;
  /** Calls that may be in flight, as it is now. */
  readonly limit: number;
  /** Least and most that it may be; of a fixed one all three are the same. */
  readonly min: number;
  readonly max: number;
  /** Calls in flight, the abandoned ones included. */
  readonly inFlight: number;
  /** Those of them that nobody waits for any more, and that still hold their upstream up. */
  readonly abandoned: number;
  /** Calls of the most critical tier that wait for room. */
  readonly waiting: number;
  /** Milliseconds that the median call takes when nothing waits; null before that is known. */
  readonly baseMs: number | null;
  /** Milliseconds that the median call takes at present; null before the first. */
  readonly latencyMs: number | null;
  /**
   * Milliseconds between two calls, since even the least limit was too much: the last answers came too late. 0 while the
   * limit alone decides.
   */
  readonly spaceMs: number;
  /** Whether calls are out, and for half a deadline or longer none has come back. */
  readonly isHung: boolean;
  /** Whether nothing is learnt, its breaker being open. */
  readonly isFrozen: boolean;
  readonly tiers: Readonly<Record<Criticality, TierStatus>>;
}

/** What metrics read: the guard itself, at each scrape. */
export interface MeteredLimit {
  /** Undefined for an upstream that is one place. */
  readonly endpoint: string | undefined;
  readonly guard: Pick<LimitGuard, "policy" | "limiter" | "line" | "counts">;
}

export interface TierStatus {
  readonly admitted: number;
  readonly refused: Readonly<TierCounts["refused"]>;
  /** Those that an operator's mode let in although they would have been refused. */
  readonly wouldRefuse: number;
  readonly inFlight: number;
  /** Room that is kept for it from the less critical ones; what it holds is in it. */
  readonly reserved: number;
}

export function limitStatus(guard: LimitGuard): LimitStatus {
  const { policy, limiter, line, counts } = guard;
  const tierStatus = (tier: Tier): TierStatus => {
    const { admitted, refused, wouldRefuse } = counts[tier] as TierCounts;
    return {
      admitted,
      refused: { ...refused },
      wouldRefuse,
      inFlight: limiter.inFlightOf(tier),
      reserved: Math.ceil(guard.reserveOf(tier)),
    };
  };
  const tiers = Object.fromEntries(
    CRITICALITIES.map((name, tier) => [name, tierStatus(tier as Tier)]),
  );
  return {
    kind: policy.kind,
    limit: limiter.limit,
    min: policy.min,
    max: policy.max,
    inFlight: guard.inFlight,
    abandoned: limiter.abandoned,
    waiting: line.length,
    baseMs: limiter.baseMs === 0 ? null : limiter.baseMs,
    latencyMs: limiter.latencyMs === 0 ? null : limiter.latencyMs,
    spaceMs: limiter.spaceMs,
    isHung: limiter.isHung,
    isFrozen: limiter.isFrozen,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all names are there
    tiers: tiers as Record<Criticality, TierStatus>,
  };
}
