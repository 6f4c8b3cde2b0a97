import type { RefusalReason } from "../../core/events.ts";

/** Why the limiter refuses. Closed set: each is a `RefusalReason`. */
export const LIMIT_REASONS = ["limit", "priority", "no_time"] as const;
export type LimitReason = (typeof LIMIT_REASONS)[number];

export function isLimitReason(reason: RefusalReason): reason is LimitReason {
  return reason === "limit" || reason === "priority" || reason === "no_time";
}
