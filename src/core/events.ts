// What a breaker has to tell. Machines report the first group; the guard around them adds the
// upstream's name, who did it, and the events that only it can see.

import type { AdaptiveStats, AdaptiveTripEvidence } from "./breaker/adaptive/snapshot.ts";
import type { TripEvidence } from "./breaker/sliding-window/snapshot.ts";
import type { Criticality } from "./overload/criticality.ts";

/** Reported by a machine after its state is final. */
export type MachineEvent =
  | {
      readonly type: "transition";
      readonly from: string;
      readonly to: string;
      /** Why, from a closed set: `failures`, `manual_trip`, `reset`, `probe_due`, … */
      readonly cause: TransitionCause;
    }
  | {
      readonly type: "trip";
      readonly manual: boolean;
      /** False when a tripped breaker was tripped again, by hand: no new trip is counted. */
      readonly isNewTrip: boolean;
      readonly failureCount: number;
      readonly lastError: string;
      /** The rule that tripped it, with its numbers; null for a trip by hand. */
      readonly evidence: AnyTripEvidence | null;
      readonly actor: string;
      readonly reason: string;
    }
  | {
      readonly type: "reset";
      readonly forced: boolean;
      readonly actor: string;
      readonly reason: string;
    }
  | {
      readonly type: "reset-denied";
      readonly remainingMs: number;
      readonly actor: string;
      readonly reason: string;
    }
  | {
      /** The admitted probe of a breaker that may recover by itself succeeded. */
      readonly type: "recovery";
      readonly latencyMs: number;
      readonly actor: string;
      readonly reason: string;
    };

export type TransitionCause =
  | "failures"
  | "manual_trip"
  | "probe_due"
  | "probe_succeeded"
  | "probe_failed"
  | "probe_ignored"
  | "probe_lease_expired"
  | "reset"
  | "restored"
  | "slow_calls"
  | "half_open_expired"
  | "ramp_completed"
  | "health_score"
  | "low_success_rate"
  | "recovered";

/** A weighted count reached its threshold. */
export interface CountEvidence {
  readonly rule: "failure_count";
  readonly value: number;
  readonly threshold: number;
}

/** The rules of all machines, told apart by `rule`. */
export type AnyTripEvidence = TripEvidence | CountEvidence | AdaptiveTripEvidence;

export type TripEvent = Extract<MachineEvent, { readonly type: "trip" }>;

/** Why a call was turned away. Closed set: it becomes a metric label. */
export const REFUSAL_REASONS = [
  "tripped",
  "limit",
  "priority",
  "no_time",
  "half_open_limit",
  "ramping",
  "no_endpoint",
  "load_shed",
  "rate_limited",
  "closing",
] as const;

export type RefusalReason = (typeof REFUSAL_REASONS)[number];

/** What an operator may order beside trip and reset. */
export const OPERATOR_MODES = ["normal", "shadow", "forced-closed"] as const;

export type OperatorMode = (typeof OPERATOR_MODES)[number];

export function isOperatorMode(value: unknown): value is OperatorMode {
  return OPERATOR_MODES.some((mode) => mode === value);
}

/** What the guard adds to every event. */
export interface EventOrigin {
  readonly upstream: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

export type GuardEvent =
  | {
      readonly type: "refused";
      readonly operation: string;
      readonly criticality: Criticality;
      readonly reason: RefusalReason;
      readonly remainingMs: number;
      readonly retryAfterMs: number | undefined;
      readonly manual: boolean;
      /** Set when the load shedder refused. */
      readonly systemLoad: number | undefined;
      readonly operationLoad: number | undefined;
      /** True in shadow mode: it would have been refused, and was admitted. */
      readonly shadow: boolean;
    }
  | {
      readonly type: "settled";
      readonly operation: string;
      readonly outcome: "ok" | "failed" | "timeout" | "ignored";
      readonly latencyMs: number;
    }
  | {
      /** A call failed, told with its cause: `settled` tells of every call, and of no cause. */
      readonly type: "failed";
      readonly operation: string;
      readonly outcome: "failed" | "timeout";
      /** Bounded, never a stack. */
      readonly error: string;
      readonly latencyMs: number;
      /** Where it went; undefined for an upstream without endpoints. */
      readonly endpoint: string | undefined;
    }
  | {
      /** One of the upstream's endpoints changed its state. */
      readonly type: "endpoint";
      readonly endpoint: string;
      readonly from: string;
      readonly to: string;
      readonly cause: TransitionCause;
      readonly stats: AdaptiveStats;
    }
  | {
      /** Nothing has come back from the upstream for half a deadline and more, or something does again. */
      readonly type: "limit";
      /** Which one; undefined for an upstream without endpoints. */
      readonly endpoint: string | undefined;
      readonly isHung: boolean;
      /** Calls that may be in flight from now on. */
      readonly limit: number;
      readonly inFlight: number;
    }
  | {
      readonly type: "mode";
      readonly from: OperatorMode;
      readonly to: OperatorMode;
      readonly actor: string;
      readonly reason: string;
    };

/** Every event of an upstream, told apart by `type`. */
export type UpstreamEvent = (MachineEvent | GuardEvent) & EventOrigin;

/** Events of the registry's own affairs: they belong to no upstream. */
export type RegistryEvent =
  | {
      readonly type: "store-error";
      readonly op: StoreOperation;
      /** The store's own code, such as `SQLITE_FULL`. */
      readonly code: string;
      readonly message: string;
      readonly at: number;
      /** Whose state the store refuses; undefined when it is about the store as a whole. */
      readonly upstream: string | undefined;
      /** Refused for good: it is kept nowhere but here. Undefined for every other failure. */
      readonly audit: RefusedAudit | undefined;
      /** Failures since the last event of this kind: at most one is reported per interval. */
      readonly suppressed: number;
    }
  | { readonly type: "store-recovered"; readonly at: number; readonly pending: 0 }
  | {
      /** A monitoring task started, ended, or was ended; see `MonitorEvent` for what. */
      readonly type: "task";
      readonly step: TaskStep;
      /** Empty for what concerns all of them. */
      readonly endpoint: string;
      /** The phase of a shutdown; undefined for the other steps. */
      readonly phase: 1 | 2 | undefined;
      /** Since it was asked to end, milliseconds; undefined where nobody asked. */
      readonly elapsedMs: number | undefined;
      /** What it threw, as text. */
      readonly error: string | undefined;
      readonly at: number;
    };

export type TaskStep =
  | "started"
  | "ended"
  | "failed"
  | "success"
  | "panic"
  | "timeout"
  | "cancelled"
  | "completed"
  | "abort_timeout"
  | "slow_cancellation"
  | "long_running_task"
  | "stopped-all";

export type StoreOperation = "load" | "commit" | "poll" | "history" | "close";

/** An audit that no store holds. */
export interface RefusedAudit {
  readonly upstream: string;
  readonly action: string;
  readonly reason: string;
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly forced: boolean;
}

export type SwitchgearEvent = UpstreamEvent | RegistryEvent;

export type EventType = SwitchgearEvent["type"];

/** A record, so that the compiler asks for a type added later. */
const TYPES: Readonly<Record<EventType, true>> = {
  transition: true,
  trip: true,
  reset: true,
  "reset-denied": true,
  recovery: true,
  refused: true,
  settled: true,
  failed: true,
  endpoint: true,
  limit: true,
  mode: true,
  task: true,
  "store-error": true,
  "store-recovered": true,
};

export const EVENT_TYPES = Object.keys(TYPES) as readonly EventType[];
export type EventOf<Type extends EventType> = Extract<SwitchgearEvent, { readonly type: Type }>;
