// What the sliding-window machine says and is told beyond the contract of all machines.

import type { MachineEvent, TransitionCause } from "../events.ts";
import type { Random } from "../random.ts";
import type { BreakerMachine, Failure, Instant, MachineRefusal } from "./machine.ts";
import type { SlidingWindowState, TripEvidence } from "./sliding-window-snapshot.ts";

/** What the machine may be given beside its settings. */
export interface MachinePorts {
  /** Where jitter is drawn from. Default: none is applied. */
  readonly random?: Random;
  /** When it was made, monotonic: only `timeInCurrentState` of its first state depends on it. */
  readonly nowMs?: number;
}

/** A failure as this machine understands it. */
export type FailureWithRetry = Failure & {
  /** What the upstream's `Retry-After` said, in milliseconds from now. */
  readonly retryAfterMs?: number | undefined;
};

/** Why it changed state: the causes of all machines, and its own. */
export type SlidingWindowCause =
  TransitionCause | "slow_calls" | "half_open_expired" | "ramp_completed";

/** A trip by a rule says which, with its numbers. */
export type SlidingWindowTrip = Extract<MachineEvent, { readonly type: "trip" }> & {
  /** Null for a trip by hand. */
  readonly evidence: TripEvidence | null;
};

/** What the source system called its metrics. Rejected calls are in no total but their own. */
export interface SlidingWindowMetrics {
  readonly state: SlidingWindowState;
  /** Successes and failures since the machine was made. */
  readonly totalRequests: number;
  readonly totalSuccesses: number;
  readonly totalFailures: number;
  readonly rejected: number;
  /** Over all those; 1 when there were none. */
  readonly successRate: number;
  /** Over the window; 0 when it is empty. */
  readonly recentFailureRate: number;
  readonly recentSlowRate: number;
  readonly recentRequests: number;
  readonly stateChanges: number;
  /** Seconds. */
  readonly timeInCurrentState: number;
  /** Seconds until probes are due; 0 unless open, null when only a person can close it. */
  readonly timeUntilRetry: number | null;
}

/** The machine contract, for a kind that its unions do not know yet. */
export type SlidingWindowContract = Omit<
  BreakerMachine,
  "kind" | "snapshot" | "restore" | "refusal" | "refusalReason"
> & {
  readonly refusalReason: SlidingWindowRefusal["reason"];
  refusal(at: Instant): SlidingWindowRefusal;
};

export type SlidingWindowRefusal = Omit<MachineRefusal, "reason"> & {
  readonly reason: MachineRefusal["reason"] | "ramping";
};
