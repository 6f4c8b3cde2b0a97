// What people and programs are told about one upstream. A fresh object each time; absent values
// are null, so that JSON keeps their keys.

import type {
  AdaptiveSnapshot,
  AdaptiveState,
  AdaptiveStats,
} from "../../core/breaker/adaptive/snapshot.ts";
import type { BreakerKind } from "../../core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../core/breaker/snapshot.ts";
import { RAMP_PERCENT } from "../../core/breaker/sliding-window/ramp.ts";
import type { SlidingWindowSnapshot } from "../../core/breaker/sliding-window/snapshot.ts";
import type { OperatorMode, TripEvent } from "../../core/events.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import { limitStatus, type LimitStatus } from "../overload/status.ts";
import type { RateStatus } from "./rate-limits.ts";

/** What a sliding-window breaker judges by, as of now. */
export interface WindowStatus {
  /** Calls in the window. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  /** Failures over calls, 0–1; 0 when the window is empty. */
  readonly failureRatio: number;
  readonly slowRatio: number;
  /** Share of calls let in after a recovery, in percent; null unless ramping. */
  readonly rampPercent: number | null;
}

export interface UpstreamStatus {
  readonly upstream: string;
  readonly kind: BreakerKind;
  /** The machine's own word: `closed`, `open`, `half-open`, `ramping`. */
  readonly state: string;
  readonly mode: OperatorMode;
  /** Whether the breaker is not closed; it stays true while a probe runs. */
  readonly tripped: boolean;
  /** Whether a person tripped it. */
  readonly manual: boolean;
  readonly failureCount: number;
  /** The count at which it trips; for a sliding window the share, 0–1. */
  readonly failureThreshold: number;
  readonly tripCount: number;
  /** Which rule tripped it last, with its numbers; null for trips by hand, and where none is told. */
  readonly trippedBy: TripEvent["evidence"];
  /** Null for breakers without a window. */
  readonly window: WindowStatus | null;
  /** Null for breakers that are not adaptive. */
  readonly health: HealthStatus | null;
  readonly lastError: string | null;
  /** Milliseconds; null before the first success. */
  readonly avgLatencyMs: number | null;
  /** Epoch milliseconds, as all dates. */
  readonly lastFailureAt: number | null;
  readonly lastSuccessAt: number | null;
  readonly trippedAt: number | null;
  /** When probes are due, or a reset is accepted where `needsPerson`; null for trips by hand. */
  readonly trippedUntil: number | null;
  /** Whether it is tripped and only a person closes it: it never probes. */
  readonly needsPerson: boolean;
  /** Until a reset is accepted without force; 0 when it is now. */
  readonly cooldownRemainingMs: number;
  readonly lastResetAt: number | null;
  readonly lastResetBy: string | null;
  readonly lastResetReason: string | null;
  /** False while the last change is in memory only, because the store fails. */
  readonly persisted: boolean;
  /** Calls whose callers wait. */
  readonly inFlight: number;
  /** Calls that timed out or were aborted, and still run. */
  readonly abandoned: number;
  /** What limits the calls in flight; null where nothing does, or each endpoint has its own. */
  readonly limit: LimitStatus | null;
  /** Its rate limits: its own first, then those of operations. */
  readonly rates: readonly RateStatus[];
  /** Its base URLs, where it has several; each has a breaker of its own. */
  readonly endpoints: readonly EndpointStatus[];
}

/** What an adaptive breaker judges by, as of now. */
export interface HealthStatus {
  /** Among the latest 100 calls, 0–1; 1 when there were none. */
  readonly successRate: number;
  /** 0–1. */
  readonly healthScore: number;
  /** Failures in a row that degrade it, as it is now. */
  readonly adaptiveThreshold: number;
  /** Exponentially weighted, 0–1. */
  readonly ewmaErrorRate: number;
  /** Milliseconds. */
  readonly latencyJitterMs: number;
}

/** What people and programs are told about one endpoint. */
export interface EndpointStatus {
  readonly name: string;
  readonly url: string;
  readonly state: AdaptiveState;
  readonly inFlight: number;
  readonly failures: number;
  readonly consecutiveFailures: number;
  /** Failures in a row that degrade it, as it is now. */
  readonly adaptiveThreshold: number;
  /** Among the latest 100 calls, 0–1; 1 when there were none. */
  readonly successRate: number;
  /** 0–1. */
  readonly healthScore: number;
  /** Milliseconds; null before the first call that took any. */
  readonly avgLatencyMs: number | null;
  /** Epoch milliseconds; null before the first time. */
  readonly lastOpenedAt: number | null;
  /** What limits the calls in flight to it; null where nothing does. */
  readonly limit: LimitStatus | null;
}

/** What metrics read of an endpoint. */
export interface EndpointMeter {
  readonly name: string;
  /** Whose endpoint it is; undefined for an upstream that is its own. */
  readonly upstream: string | undefined;
  readonly ok: number;
  readonly stateCode: number;
  readonly failures: number;
  readonly lastOpenedAt: number | null;
  readonly successRate: number | null;
  readonly healthScore: number;
  readonly avgLatencyMs: number | null;
}

/** What the snapshot says in the words of a status. */
export function statusOf(
  snapshot: BreakerSnapshot,
): Omit<
  UpstreamStatus,
  | "upstream"
  | "state"
  | "mode"
  | "failureThreshold"
  | "needsPerson"
  | "cooldownRemainingMs"
  | "persisted"
  | "inFlight"
  | "abandoned"
  | "limit"
  | "rates"
  | "endpoints"
> {
  return {
    kind: snapshot.kind,
    tripped: snapshot.tripped,
    manual: snapshot.manual,
    failureCount: snapshot.failureCount,
    tripCount: snapshot.tripCount,
    trippedBy: "trippedBy" in snapshot ? snapshot.trippedBy : null,
    window: snapshot.kind === "sliding-window" ? windowOf(snapshot) : null,
    health: snapshot.kind === "adaptive" ? healthOf(snapshot) : null,
    lastError: snapshot.lastError,
    avgLatencyMs: snapshot.avgLatencyMs,
    lastFailureAt: snapshot.lastFailureAt,
    lastSuccessAt: snapshot.lastSuccessAt,
    trippedAt: snapshot.trippedAt,
    trippedUntil: snapshot.trippedUntil,
    lastResetAt: snapshot.lastResetAt,
    lastResetBy: snapshot.lastResetBy,
    lastResetReason: snapshot.lastResetReason,
  };
}

function windowOf(snapshot: SlidingWindowSnapshot): WindowStatus {
  const { recentCalls: calls, failureCount: failures, slowCount: slow, state } = snapshot;
  return {
    calls,
    failures,
    slow,
    failureRatio: calls === 0 ? 0 : failures / calls,
    slowRatio: calls === 0 ? 0 : slow / calls,
    rampPercent: state === "ramping" ? (RAMP_PERCENT[snapshot.rampStep] ?? null) : null,
  };
}

function healthOf(snapshot: AdaptiveSnapshot): HealthStatus {
  const { successRate, healthScore, adaptiveThreshold, ewmaErrorRate, latencyJitterMs } = snapshot;
  return { successRate, healthScore, adaptiveThreshold, ewmaErrorRate, latencyJitterMs };
}

export function endpointStatus(endpoint: Endpoint): EndpointStatus {
  const stats = endpoint.stats();
  return {
    name: endpoint.name,
    url: endpoint.url,
    state: stats.state,
    inFlight: stats.inFlight,
    failures: stats.failures,
    consecutiveFailures: stats.consecutiveFailures,
    adaptiveThreshold: stats.adaptiveThreshold,
    successRate: stats.successRate,
    healthScore: stats.healthScore,
    avgLatencyMs: stats.avgLatencyMs === 0 ? null : stats.avgLatencyMs,
    lastOpenedAt: stats.lastOpenedAt,
    limit: endpoint.limits === undefined ? null : limitStatus(endpoint.limits),
  };
}

/** The numbers of the source system; never changed, since dashboards map them. */
const STATE_CODES: Readonly<Record<AdaptiveState, number>> = {
  healthy: 0,
  degraded: 1,
  "cooling-down": 2,
  "half-open": 3,
};

export function meterOf(endpoint: Endpoint, upstream: string): EndpointMeter {
  const { name, ok, failures, lastOpenedAt } = endpoint;
  const stats = endpoint.stats();
  return { ...meterOfStats(stats), name, upstream, ok, failures, lastOpenedAt };
}

export function meterOfSnapshot(
  snapshot: AdaptiveSnapshot,
): Pick<EndpointMeter, "stateCode" | "successRate" | "healthScore" | "avgLatencyMs"> {
  return meterOfStats({ ...snapshot, avgLatencyMs: snapshot.avgLatencyMs ?? 0 });
}

function meterOfStats(
  stats: Pick<
    AdaptiveStats,
    "state" | "totalAttempts" | "successRate" | "healthScore" | "avgLatencyMs"
  >,
): Pick<EndpointMeter, "stateCode" | "successRate" | "healthScore" | "avgLatencyMs"> {
  return {
    stateCode: STATE_CODES[stats.state],
    successRate: stats.totalAttempts === 0 ? null : stats.successRate,
    healthScore: stats.healthScore,
    avgLatencyMs: stats.avgLatencyMs === 0 ? null : stats.avgLatencyMs,
  };
}
