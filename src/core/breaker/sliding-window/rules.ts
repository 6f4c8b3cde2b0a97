// When a window of calls trips a breaker: too large a share of them failed, or was slow.

import type { WindowCounts } from "../../window/call-window.ts";
import type { SlidingWindowSettings } from "./options.ts";
import type { TripEvidence } from "./snapshot.ts";

/** Whether any rule's share is exceeded, however few the calls. */
export function isUnhealthy(settings: SlidingWindowSettings, window: WindowCounts): boolean {
  const { calls, failures, slow } = window;
  return (
    exceeds(settings, failures, calls, settings.failureRatio) ||
    exceeds(settings, slow, calls, settings.slowCallRatio)
  );
}

/** The rule that the newest call, failed or slow, made true; failures are named first. */
export function trippingRule(
  settings: SlidingWindowSettings,
  window: WindowCounts,
  newest: { readonly isFailed: boolean; readonly isSlow: boolean },
): TripEvidence | undefined {
  const { calls, failures, slow } = window;
  if (calls < settings.minimumCalls) return undefined;
  // Only a failure trips for failures: a share can also rise because old successes leave.
  if (newest.isFailed && exceeds(settings, failures, calls, settings.failureRatio)) {
    return evidence("failure_ratio", failures, calls, settings.failureRatio);
  }
  if (newest.isSlow && exceeds(settings, slow, calls, settings.slowCallRatio)) {
    return evidence("slow_call_ratio", slow, calls, settings.slowCallRatio);
  }
  return undefined;
}

/** The evidence in a sentence, for the event, the audit and the log. */
export function wordsOf({ rule, count, calls, ratio, threshold }: TripEvidence): string {
  const what = rule === "failure_ratio" ? "failed" : "were slow";
  const verb = ratio > threshold ? "above" : "at";
  return `${count} of ${calls} calls ${what}: ${ratio.toFixed(3)} is ${verb} the threshold of ${threshold}`;
}

function exceeds(
  { thresholdInclusive }: SlidingWindowSettings,
  count: number,
  calls: number,
  threshold: number,
): boolean {
  const ratio = count / calls;
  // An empty window's NaN is neither.
  return thresholdInclusive ? ratio >= threshold : ratio > threshold;
}

function evidence(
  rule: TripEvidence["rule"],
  count: number,
  calls: number,
  threshold: number,
): TripEvidence {
  return { rule, count, calls, ratio: count / calls, threshold };
}
