// The library's public names. Importing this loads no package; stores, telemetry and the testing
// kit have subpaths of their own.

import type { BreakerPolicy } from "./core/breaker/machine.ts";
import type { Scheduler } from "./core/clock.ts";
import { InvalidOptionsError } from "./core/errors.ts";
import type { Random } from "./core/random.ts";
import type { FleetStore } from "./pipeline/fleet-port.ts";
import type { LoadSampler, Store } from "./pipeline/ports.ts";
import type { RegistryOptions, UpstreamOptions } from "./pipeline/registry-options.ts";
import { Switchgear } from "./pipeline/registry.ts";
import type { Upstream } from "./pipeline/call/upstream.ts";
import { containedClock, containedRandom, portFaults } from "./runtime/contained.ts";
import { systemClock } from "./runtime/system-clock.ts";
import { SystemLoad } from "./runtime/system-load.ts";
import { warnOfMisuse } from "./runtime/warnings.ts";
import { memoryStore } from "./store/memory.ts";

export { adaptive } from "./core/breaker/adaptive/machine.ts";
export { latching } from "./core/breaker/latching/machine.ts";
export { slidingWindow } from "./core/breaker/sliding-window/machine.ts";
export {
  BreakerOpenError,
  ClosingError,
  DeadlineError,
  ERROR_CODES,
  InvalidOptionsError,
  LimitedError,
  LoadShedError,
  NoEndpointError,
  RateLimitedError,
  RefusedError,
  ResetDeniedError,
  StoreError,
  SwitchgearError,
  UnknownUpstreamError,
  isRefused,
} from "./core/errors.ts";
export { adaptiveLimit, fixedLimit } from "./core/overload/limit-policy.ts";
export { classifyError, classifyThrown } from "./core/classify.ts";
export { CancellationToken } from "./pipeline/tasks/cancellation-token.ts";
export { forgetShared, sharedSwitchgear } from "./pipeline/shared.ts";
export { memoryStore };
export type { AdaptiveOptions } from "./core/breaker/adaptive/options.ts";
export type { AdaptiveSnapshot, AdaptiveState } from "./core/breaker/adaptive/snapshot.ts";
export type { BreakerPolicy } from "./core/breaker/machine.ts";
export type { LatchingOptions } from "./core/breaker/latching/options.ts";
export type { SlidingWindowOptions } from "./core/breaker/sliding-window/options.ts";
export type {
  SlidingWindowSnapshot,
  TripEvidence,
} from "./core/breaker/sliding-window/snapshot.ts";
export type { BreakerSnapshot, LatchingSnapshot } from "./core/breaker/snapshot.ts";
export type { Status429 } from "./core/http-status.ts";
export type { ErrorCode } from "./core/errors.ts";
export type {
  EventOf,
  EventType,
  OperatorMode,
  RefusalReason,
  SwitchgearEvent,
} from "./core/events.ts";
export type { AdaptiveLimitOptions, LimitPolicy } from "./core/overload/limit-policy.ts";
export type { RateOptions } from "./core/overload/token-bucket.ts";
export type { RateStatus } from "./pipeline/call/rate-limits.ts";
export type { Criticality } from "./core/overload/criticality.ts";
export type { CallOutcome, Outcome, OutcomeKind, Verdict } from "./core/outcome.ts";
export type { Admission, Admitted, CallOptions, Refused } from "./pipeline/call/admission.ts";
export type { ModeOrder, OrderWords, ResetOrder, TripOrder } from "./pipeline/orders.ts";
export type { CallContext } from "./pipeline/call/context.ts";
export type { EndpointTarget } from "./pipeline/call/admission.ts";
export type { MonitoringTask, MonitorTasks } from "./pipeline/tasks/monitor.ts";
export type {
  ChainedAudit,
  FleetAnswer,
  FleetChange,
  FleetListener,
  FleetStore,
  ReplicaView,
} from "./pipeline/fleet-port.ts";
export type { Fleet } from "./pipeline/fleet/fleet.ts";
export type { Receipts } from "./pipeline/fleet/receipts.ts";
export type { StoreHealth } from "./pipeline/breaker/keeper.ts";
export type {
  AuditAction,
  AuditEntry,
  ChainReport,
  Clock,
  LoadSampler,
  Scheduler,
  Store,
  StoreChange,
  StoredBreaker,
} from "./pipeline/ports.ts";
export type {
  LoadSheddingOptions,
  RegistryLimits,
  UpstreamOptions,
} from "./pipeline/registry-options.ts";
export type { Switchgear } from "./pipeline/registry.ts";
export type { UpstreamStatus } from "./pipeline/call/status.ts";
export type { LimitStatus } from "./pipeline/overload/status.ts";
export type { Upstream } from "./pipeline/call/upstream.ts";

export interface SwitchgearOptions extends RegistryOptions {
  /** Where state outlives the process, such as `sqliteStore(path)`, or `redisStore({ url })` of a fleet. Default: in memory. */
  readonly store?: Store | FleetStore | undefined;
  /** How loaded this process is, for load shedding. Default: memory and CPU against the container's limits. */
  readonly sampler?: LoadSampler | undefined;
  /** Time. Default: the system's. Tests hand in a `VirtualClock`. */
  readonly clock?: Scheduler | undefined;
  /** Chance, for jitter. Default: the runtime's. Tests hand in a `SeededRandom`. */
  readonly random?: Random | undefined;
}

/** Makes a registry of guarded upstreams. Throws `InvalidOptionsError` with every fault listed. */
export function createSwitchgear(options: SwitchgearOptions): Switchgear {
  const { store, sampler, clock, random, ...registry } = options ?? {};
  const faults = portFaults({ sampler, clock, random });
  const mode = registry.loadShedding?.mode;
  const hasSampler = sampler !== undefined && sampler !== null;
  if (hasSampler && mode !== undefined) {
    faults.push("loadShedding.mode is about the built-in sampler; leave it out beside a sampler");
  }
  if (faults.length > 0) throw new InvalidOptionsError("createSwitchgear", faults);
  const own = hasSampler ? undefined : new SystemLoad({ mode });
  const gear = new Switchgear(registry, {
    scheduler: clock === undefined || clock === null ? systemClock : containedClock(clock),
    store: store ?? memoryStore(),
    sampler: own ?? (sampler as LoadSampler),
    random:
      random === undefined || random === null ? { next: Math.random } : containedRandom(random),
    warn: warnOfMisuse,
  });
  if (own !== undefined) gear.onClose(() => own.stop());
  return gear;
}

/**
 * Makes one guard without a registry: in memory, with the system's clock.
 * @example
 * const draftkings = createBreaker("draftkings", latching());
 * const odds = await draftkings.execute(() => fetchOdds());
 */
export function createBreaker(
  name: string,
  breaker: BreakerPolicy,
  options: Omit<UpstreamOptions, "breaker"> = {},
): Upstream {
  if (typeof name !== "string" || name === "") {
    throw new InvalidOptionsError("createBreaker", ["the name must be a text that is not empty"]);
  }
  return createSwitchgear({ upstreams: { [name]: { ...options, breaker } } }).upstream(name);
}
