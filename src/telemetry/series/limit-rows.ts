// What is shown of limiters: of one usually, and of all that share a label value their sum. A limit and what
// is in flight against it are added up; of latencies the worst is shown.

import { CRITICALITIES, type Tier } from "../../core/overload/criticality.ts";
import { LIMIT_REASONS, type LimitReason } from "../../pipeline/overload/limit-reasons.ts";
import type { MeteredLimit } from "../../pipeline/overload/status.ts";
import type { MetricKey } from "./catalogue.ts";
import type { Families, Labels } from "./families.ts";
import type { LimitLabelSets } from "./label-sets.ts";

interface TierRow {
  inFlight: number;
  admitted: number;
  wouldRefuse: number;
  readonly refused: Record<LimitReason, number>;
}

export class LimitRow {
  limit = 0;
  /** Set where one of them moves. */
  isAtFloor: boolean | undefined = undefined;
  abandoned = 0;
  waiting = 0;
  isHung = false;
  /** 0 while nobody knows. */
  baseMs = 0;
  latencyMs = 0;
  readonly tiers: readonly TierRow[] = CRITICALITIES.map(() => ({
    inFlight: 0,
    admitted: 0,
    wouldRefuse: 0,
    refused: { limit: 0, priority: 0, no_time: 0 },
  }));

  add({ policy, limiter, line, counts }: MeteredLimit["guard"]): void {
    this.limit += limiter.limit;
    if (policy.kind === "adaptive") {
      this.isAtFloor = this.isAtFloor === true || limiter.limit <= policy.min;
    }
    this.abandoned += limiter.abandoned;
    this.waiting += line.length;
    if (limiter.isHung) this.isHung = true;
    this.baseMs = Math.max(this.baseMs, limiter.baseMs);
    this.latencyMs = Math.max(this.latencyMs, limiter.latencyMs);
    for (const [tier, row] of this.tiers.entries()) {
      const counted = counts[tier];
      if (counted === undefined) continue;
      row.inFlight += limiter.inFlightOf(tier as Tier);
      row.admitted += counted.admitted;
      row.wouldRefuse += counted.wouldRefuse;
      for (const reason of LIMIT_REASONS) row.refused[reason] += counted.refused[reason];
    }
  }
}

export function writeLimit(
  families: Families,
  row: LimitRow,
  { all, tiers }: LimitLabelSets,
  count: (key: MetricKey, labels: Labels, value: number) => void,
): void {
  families.add("limit", all, row.limit);
  if (row.isAtFloor !== undefined) families.add("limitAtFloor", all, row.isAtFloor ? 1 : 0);
  families.add("limitAbandoned", all, row.abandoned);
  families.add("limitWaiting", all, row.waiting);
  families.add("limitHung", all, row.isHung ? 1 : 0);
  if (row.baseMs > 0) families.add("limitBaseLatency", all, row.baseMs / 1000);
  if (row.latencyMs > 0) families.add("limitLatency", all, row.latencyMs / 1000);
  for (const [tier, sets] of tiers.entries()) {
    const counted = row.tiers[tier];
    if (counted === undefined) continue;
    families.add("limitInFlight", sets.all, counted.inFlight);
    count("limitAdmitted", sets.all, counted.admitted);
    count("limitWouldRefuse", sets.all, counted.wouldRefuse);
    for (const reason of LIMIT_REASONS) {
      count("limitRefused", sets.reasons[reason], counted.refused[reason]);
    }
  }
}
