// Changes to the rules that no test can notice, each with the reason. A test sees to it that no excuse is
// of a change that does not exist.

const SIGN = "only whether it is above 0 is asked, of values that are never below";
const UNREAD = "the value is never read, only that there is one";

export const REASONS: readonly (readonly [ids: RegExp, reason: string])[] = [
  [/^CircuitBreakerReplicaDisagreement\/.*: != → >/, "a maximum is never below the minimum"],
  [
    /^CircuitBreakerReplicaDisagreement\/.*: (max|min) → avg/,
    "the average differs from either end exactly when the ends differ",
  ],
  [/^CircuitBreakerWindowOpen\/.*: max → (avg|sum)/, SIGN],
  [/^CircuitBreakerStuckOpen\/.*: (sum → (avg|max)|increase → rate)/, SIGN],
  [/^CircuitBreakerSuccessRatioLow\/critical: (sum → (avg|max)|increase → rate)/, SIGN],
  [/^CircuitBreakerLatencyHigh\/.*: (sum → (avg|max)|rate → increase)/, SIGN],
  [/^SwitchgearDown\/.*: sum → (avg|max)/, SIGN],
  [/^SwitchgearStoreError\/.*: increase → rate/, SIGN],
  [/^Switchgear(Instance)?Down\/.*: == → <=/, "`up` is never below 0"],
  [/^SwitchgearSeriesMissing\/.*: max_over_time → min_over_time/, UNREAD],
  [/^SwitchgearWatchdog\/.*: 1 → /, UNREAD],
  [/^CircuitBreakerManyTripped\/.*: by instance, too/, "what is recorded has no instance any more"],
  [/^CircuitBreakerManyTripped\/.*: count → sum @(0|22)/, "each of what is counted is 1"],
];

/** Undefined when nothing excuses it. */
export function reasonFor(id: string): string | undefined {
  return REASONS.find(([ids]) => ids.test(id))?.[1];
}
