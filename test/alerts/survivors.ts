// Changes to the rules that no test can notice, each with the reason. A test sees to it that no excuse is
// of a change that does not exist.

const SIGN = "only whether it is above 0 is asked, of values that are never below";
const UNREAD = "the value is never read, only that there is one";

export const REASONS: readonly (readonly [ids: RegExp, reason: string])[] = [
  // breakers
  [
    /^CircuitBreakerReplicaDisagreement\/.*: (max|min) → avg/,
    "the average differs from either end exactly when the ends differ",
  ],
  [/^CircuitBreaker(StuckOpen|SuccessRatioLow)\/.*: increase → rate/, SIGN],
  [
    /^namespace_bookmaker:circuit_breaker_tripped:lost: \[10m\] → 1200s @78/,
    "what tripped last before those ten minutes did so before the start that it is held against",
  ],
  [
    /^(CircuitBreakerManyTripped\/.*|namespace_bookmaker:switchgear_unavailable:max): by instance, too/,
    "what is recorded has no instance any more",
  ],
  [
    /^CircuitBreakerEndpointCoolingDown\/.*: by instance, too @4/,
    "what is added up has no instance any more",
  ],
  [
    /^(CircuitBreakerSuccessRatioLow\/.*: no matcher job @(20|135)|namespace_bookmaker:switchgear_endpoints_out:max: no matcher job @(39|97))$/,
    "what it is multiplied with is of that job, and they are matched by job",
  ],
  [
    /^instance_bookmaker:switchgear_fleet_order_version:known: no matcher job/,
    "each of the four is kept by another one that is of that job, and they are matched by job",
  ],
  [
    /^instance_bookmaker:switchgear_fleet_order_version:known: == → >=/,
    "what is either 1 or 0 is never above 1",
  ],
  // processes and budgets
  [
    /^Switchgear(InstanceDown|StoreDown|ConfigRejected|LogLost)\/.*: == → <=/,
    "what is either 1 or 0 is never below 0",
  ],
  [
    /^Switchgear(Down|MetricsAbsent|StoreRecovered|ModeForgotten)\/.*: == → >=/,
    "what is either 1 or 0 is never above 1",
  ],
  [
    /^(SwitchgearDown\/.*: no matcher job @46|SwitchgearMetricsAbsent\/.*: no matcher job @48)$/,
    "what it is taken from is of that job, and they are matched by job",
  ],
  [/^Switchgear(StoreError|LogLost)\/.*: increase → rate/, SIGN],
  [/^SwitchgearSeriesMissing\/.*: count → sum/, "each of what is counted is 1"],
  [/^SwitchgearSeriesMissing\/.*: by instance, too @4/, "what is counted has no instance any more"],
  [
    /^switchgear_slo:(bad|calls):increase\w+: by instance, too/,
    "what is added up has no instance any more",
  ],
  [/^SwitchgearWatchdog\/.*: 1 → /, UNREAD],
];

/** Undefined when nothing excuses it. */
export function reasonFor(id: string): string | undefined {
  return REASONS.find(([ids]) => ids.test(id))?.[1];
}
