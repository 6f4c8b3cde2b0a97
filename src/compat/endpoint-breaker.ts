// The endpoint breaker of the source system B, by its method names, over a set of adaptive machines.
//
// Its numbers are the source's: where the library's own preset never adapts a threshold below 3, this
// one goes down to 1, so that after twenty successes one failure degrades an endpoint and a second
// makes it cool down. What the source got wrong is not kept: a state change is told once, asking does
// not age an endpoint, and concurrent callers cannot all be canaries.
//
// `isAvailable` with `record…` cannot tell one caller's result from another's; `acquire` and
// `withEndpoint` can.

import type { AdaptiveState } from "../core/breaker/adaptive/snapshot.ts";
import { adaptive } from "../core/breaker/adaptive/machine.ts";
import { classifyThrown } from "../core/classify.ts";
import type { Clock } from "../core/clock.ts";
import { BreakerOpenError } from "../core/errors.ts";
import type { MachineEvent } from "../core/events.ts";
import { whenRejected } from "../core/foreign.ts";
import type { Permit } from "../pipeline/endpoints/endpoint.ts";
import { EndpointSet } from "../pipeline/endpoints/set.ts";
import { MonitorTasks, type MonitoringTask } from "../pipeline/tasks/monitor.ts";
import { systemClock } from "../runtime/system-clock.ts";
import type { PromRegistry } from "../telemetry/prom-client.ts";
import {
  adaptiveOptions,
  endpointConfig,
  type EndpointBreakerConfig,
  type EndpointBreakerOptions,
} from "./endpoint-breaker-options.ts";
import { registerEndpoints } from "./endpoint-metrics.ts";
import {
  ENDPOINT_STATE_CODES,
  EndpointLog,
  stateName,
  type EndpointHealthStats,
  type EndpointState,
} from "./endpoint-log.ts";
import { SYSTEM_RANDOM } from "./system-random.ts";

export type StateChangeCallback = (
  endpoint: string,
  oldState: EndpointState,
  newState: EndpointState,
) => unknown;

/** A result on its way: what is logged of a transition that it causes. */
interface Sample {
  readonly endpoint: string;
  readonly latencyMs: number | undefined;
  hasChangedState: boolean;
}

export class EndpointBreaker {
  readonly #config: EndpointBreakerConfig;
  readonly #set: EndpointSet;
  readonly #clock: Clock;
  readonly #log: EndpointLog;
  readonly #isLogging: boolean;
  readonly #tasks: MonitorTasks;
  readonly #registry: PromRegistry | undefined;
  #registrationFailures = 0;
  #callback: StateChangeCallback | undefined = undefined;
  #sample: Sample | undefined = undefined;

  /**
   * Failures in a row that degrade an endpoint (whole, ≥ 1), seconds of its first cooldown (≥ 0), and
   * outcomes before its success rate is judged (1–100). Throws `InvalidOptionsError` otherwise.
   */
  constructor(
    failureThreshold: number,
    cooldownSeconds: number,
    sampleSize: number,
    options: EndpointBreakerOptions = {},
  ) {
    const { random = SYSTEM_RANDOM, clock = systemClock, endpointsMax, logger } = options;
    this.#config = endpointConfig(failureThreshold, cooldownSeconds, sampleSize, options);
    this.#clock = clock;
    this.#isLogging = logger !== undefined;
    this.#log = new EndpointLog(logger);
    this.#tasks = new MonitorTasks({
      scheduler: clock,
      onEvent: (event) => this.#log.task(event),
    });
    this.#registry = options.registry;
    this.#set = new EndpointSet(
      {
        policy: adaptive(adaptiveOptions(this.#config, options)),
        onDemand: true,
        ...(endpointsMax === undefined ? {} : { endpointsMax }),
        onEvent: (endpoint, event) => this.#tell(endpoint, event),
      },
      { clock, random },
    );
    if (this.#registry === undefined) return;
    this.#registrationFailures = registerEndpoints(this.#registry, () => this.getHealthStats());
  }

  static withConfig(
    failureThreshold: number,
    cooldownSeconds: number,
    sampleSize: number,
    canaryCount: number,
    adaptiveThresholds: boolean,
    options: EndpointBreakerOptions = {},
  ): EndpointBreaker {
    const given = { ...options, canaryCount, adaptiveThresholds };
    return new EndpointBreaker(failureThreshold, cooldownSeconds, sampleSize, given);
  }

  static withFullConfig(
    failureThreshold: number,
    cooldownSeconds: number,
    sampleSize: number,
    canaryCount: number,
    adaptiveThresholds: boolean,
    ewmaAlpha: number,
    adaptiveSensitivity: number,
    minHealthScore: number,
    options: EndpointBreakerOptions = {},
  ): EndpointBreaker {
    return new EndpointBreaker(failureThreshold, cooldownSeconds, sampleSize, {
      ...options,
      canaryCount,
      adaptiveThresholds,
      ewmaAlpha,
      adaptiveSensitivity,
      minHealthScore,
    });
  }

  getConfig(): EndpointBreakerConfig {
    return this.#config;
  }

  recordSuccess(endpoint: string): void {
    this.#record(endpoint, true, undefined);
  }

  recordFailure(endpoint: string): void {
    this.#record(endpoint, false, undefined);
  }

  /** Milliseconds, or undefined where they are not known. What is no latency is dropped and counted. */
  recordSuccessWithLatency(endpoint: string, latencyMs: number | undefined): void {
    this.#record(endpoint, true, latencyMs);
  }

  recordFailureWithLatency(endpoint: string, latencyMs: number | undefined): void {
    this.#record(endpoint, false, latencyMs);
  }

  /** True is an admission: half-open, it takes a canary's slot for the next recorded result. */
  isAvailable(endpoint: string): boolean {
    return this.#set.isAvailable(endpoint);
  }

  /** The right to one call, or null. Exactly one of its verbs counts. */
  acquire(endpoint: string): Permit | null {
    const permit = this.#set.acquire(endpoint);
    if (permit === null) return null;
    let isDone = false;
    const once = (verb: () => void): void => {
      if (isDone) return;
      isDone = true;
      verb();
    };
    const release = (): void => once(() => permit.release());
    return {
      endpoint,
      success: (latencyMs) =>
        once(() => this.#during(endpoint, true, latencyMs, () => permit.success(latencyMs))),
      failure: (latencyMs, error) =>
        once(() =>
          this.#during(endpoint, false, latencyMs, () => permit.failure(latencyMs, error)),
        ),
      release,
      [Symbol.dispose]: release,
    };
  }

  /**
   * Calls `fn` if the endpoint may be called, and records what came of it, so that neither successes
   * nor failures are forgotten. Rejects with `BreakerOpenError` if it may not; errors of `fn` pass
   * through untouched, and an abort is no evidence.
   */
  async withEndpoint<Result>(
    endpoint: string,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Awaited<Result>> {
    const permit = this.acquire(endpoint);
    if (permit === null) throw this.#refusal(endpoint);
    const startMs = this.#clock.monotonic();
    try {
      const value = await fn();
      permit.success(this.#clock.monotonic() - startMs);
      return value;
    } catch (error) {
      if (classifyThrown(error) === "ignored") permit.release();
      else permit.failure(this.#clock.monotonic() - startMs, error);
      throw error;
    }
  }

  /** `Healthy` for an endpoint that nobody has used. */
  getEndpointState(endpoint: string): EndpointState {
    return stateName(this.#set.getEndpointState(endpoint));
  }

  getHealthyEndpoints(): string[] {
    return this.#set.getHealthyEndpoints();
  }

  /** Those that `isAvailable` would let in now; reading it takes no slot. */
  getAvailableEndpoints(): string[] {
    return this.#set.getAvailableEndpoints();
  }

  getHealthStats(): Map<string, EndpointHealthStats> {
    const named = new Map<string, EndpointHealthStats>();
    for (const [endpoint, stats] of this.#set.getHealthStats()) {
      const state = stateName(stats.state);
      named.set(endpoint, { ...stats, state, stateCode: ENDPOINT_STATE_CODES[state] });
    }
    return named;
  }

  /** Every endpoint as if nothing had happened to it; its total of failures stays. */
  resetAll(): void {
    this.#set.resetAll();
  }

  /** The registry that was handed in; undefined without one. */
  getMetricsRegistry(): PromRegistry | undefined {
    return this.#registry;
  }

  /** Families that are not shown because the registry has others of their names. */
  get registrationFailures(): number {
    return this.#registrationFailures;
  }

  /** Starts the endpoint's monitoring task; one that runs is shut down first. */
  startMonitoringTask(endpoint: string, task: MonitoringTask): Promise<void> {
    return this.#tasks.start(endpoint, task);
  }

  /** Shuts it down: seven seconds at most. Rejects when there is none. */
  stopMonitoringTask(endpoint: string): Promise<void> {
    return this.#tasks.stop(endpoint);
  }

  /** Shuts all of them down at once. */
  stopAllMonitoringTasks(): Promise<void> {
    return this.#tasks.stopAll();
  }

  /** Tasks that ever started, that run, and that were let go and still run. */
  get monitoringTasks(): {
    readonly started: number;
    readonly active: number;
    readonly orphaned: number;
  } {
    const { started, active, orphaned } = this.#tasks;
    return { started, active, orphaned };
  }

  /** Is told of every change of state, once, when it is final. Replaces the one before. */
  setStateChangeCallback(callback: StateChangeCallback): void {
    this.#callback = callback;
  }

  #record(endpoint: string, isOk: boolean, latencyMs: number | undefined): void {
    this.#during(endpoint, isOk, latencyMs, () =>
      this.#set.record(endpoint, isOk ? "ok" : "failed", latencyMs),
    );
  }

  #during(
    endpoint: string,
    isOk: boolean,
    latencyMs: number | undefined,
    settle: () => void,
  ): void {
    if (!this.#isLogging) {
      settle();
      return;
    }
    const outer = this.#sample;
    const sample: Sample = { endpoint, latencyMs, hasChangedState: false };
    this.#sample = sample;
    try {
      settle();
    } finally {
      // The callback of one result may record another.
      this.#sample = outer;
    }
    if (sample.hasChangedState) return;
    this.#log.result(endpoint, isOk, () => this.#set.getEndpointStats(endpoint), latencyMs);
  }

  #tell(endpoint: string, event: MachineEvent): void {
    if (event.type !== "transition") return;
    const from = stateName(event.from as AdaptiveState);
    const to = stateName(event.to as AdaptiveState);
    const sample = this.#sample?.endpoint === endpoint ? this.#sample : undefined;
    if (sample !== undefined) sample.hasChangedState = true;
    const stats = this.#set.getEndpointStats(endpoint);
    this.#log.transition({ endpoint, from, to, cause: event.cause }, stats, sample?.latencyMs);
    try {
      const answer = this.#callback?.(endpoint, from, to);
      whenRejected(answer, (error) => this.#log.callbackFailed(endpoint, error));
    } catch (error) {
      this.#log.callbackFailed(endpoint, error);
    }
  }

  #refusal(endpoint: string): BreakerOpenError {
    const { reason, retryAfterMs, ...details } = this.#set.refusal(endpoint);
    const facts = { upstream: endpoint, operation: "call", reason, retryAfterMs };
    return new BreakerOpenError(facts, details);
  }
}
