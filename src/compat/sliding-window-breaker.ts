// The sliding-window breaker of the source system C, by its method names, over the library's machine.
//
// Retry belongs outside of it: each attempt is then one call in the window. A call that is refused
// while it is open is in no total but `rejected`.

import { BreakerOpenError, createSwitchgear, isRefused, slidingWindow } from "../index.ts";
import type { Scheduler, Upstream } from "../index.ts";
import type { SlidingWindowMachine } from "../core/breaker/sliding-window/machine.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { checkOptions, withoutUndefined, type OptionRules } from "../core/options.ts";
import { systemClock } from "../runtime/system-clock.ts";

export interface SlidingWindowBreakerConfig {
  /** Share of failed calls above which it opens. Default 0.5; above 0, at most 1. */
  readonly failureThreshold: number;
  /** Most calls in the window. Default 100. */
  readonly windowSize: number;
  /** Milliseconds after which a call leaves it. Default 60,000. */
  readonly windowDurationMs: number;
  /** Calls that the window must hold before it opens. Default 10; at most `windowSize`. */
  readonly minRequests: number;
  /** Milliseconds from opening to the first probes. Default 15,000. */
  readonly openTimeoutMs: number;
  /** Probes at once while half-open. Default 5. */
  readonly halfOpenMaxProbes: number;
  /** Successful probes that close it. Default 2; at most `halfOpenMaxProbes`. */
  readonly halfOpenSuccesses: number;
  /** Milliseconds after which a probe that has not answered gives its slot back. Default: `openTimeoutMs`. */
  readonly probeLeaseMs: number;
  /** Whether exactly the threshold opens it, too. Default false. */
  readonly thresholdInclusive: boolean;
}

export interface SlidingWindowBreakerOptions extends Partial<SlidingWindowBreakerConfig> {
  /** Time. Default: the system's. */
  readonly clock?: Scheduler | undefined;
  /** Hears of every change of state, refusal and probe. */
  readonly logger?: SlidingWindowLogger | undefined;
}

export interface SlidingWindowLogger {
  readonly info: (fields: Record<string, unknown>, message: string) => unknown;
  readonly warn: (fields: Record<string, unknown>, message: string) => unknown;
}

export interface CallExtras {
  /** Milliseconds until a call is given up and counts as failed. Default: none. */
  readonly timeoutMs?: number;
}

export type SlidingWindowBreakerState = "CLOSED" | "OPEN" | "HALF_OPEN";

export interface SlidingWindowBreakerMetrics {
  readonly name: string;
  readonly state: SlidingWindowBreakerState;
  /** Successes and failures; refused calls are in `rejected` alone. */
  readonly totalRequests: number;
  readonly totalSuccesses: number;
  readonly totalFailures: number;
  readonly rejected: number;
  /** Over all calls; 1 when there were none. */
  readonly successRate: number;
  /** Over the window; 0 when it is empty. */
  readonly recentFailureRate: number;
  readonly recentRequests: number;
  readonly stateChanges: number;
  /** Seconds. */
  readonly timeInCurrentState: number;
  /** Seconds until a probe may be let in; 0 unless open. */
  readonly timeUntilRetry: number;
  readonly config: SlidingWindowBreakerConfig;
}

/** The breaker is open, or all its probes are lent: the function was not run. */
export class CircuitBreakerOpenError extends BreakerOpenError {}

Object.defineProperty(CircuitBreakerOpenError.prototype, "name", {
  value: "CircuitBreakerOpenError",
  configurable: true,
});

const DEFAULTS = {
  failureThreshold: 0.5,
  windowSize: 100,
  windowDurationMs: 60_000,
  minRequests: 10,
  openTimeoutMs: 15_000,
  halfOpenMaxProbes: 5,
  halfOpenSuccesses: 2,
  thresholdInclusive: false,
} as const;

const RULES: OptionRules<SlidingWindowBreakerOptions> = {
  failureThreshold: { above: 0, most: 1 },
  windowSize: { least: 1, most: 1_000_000, whole: true },
  windowDurationMs: { above: 0 },
  minRequests: { least: 1, whole: true },
  openTimeoutMs: { above: 0 },
  halfOpenMaxProbes: { least: 1, most: 1000, whole: true },
  halfOpenSuccesses: { least: 1, whole: true },
  probeLeaseMs: { above: 0 },
  thresholdInclusive: { is: "boolean" },
  clock: { is: "object" },
  logger: { is: "object" },
};

const STATES: Readonly<Record<string, SlidingWindowBreakerState>> = {
  closed: "CLOSED",
  open: "OPEN",
  "half-open": "HALF_OPEN",
};

const UNNAMED = "default";

export class SlidingWindowBreaker {
  readonly name: string;
  readonly #config: SlidingWindowBreakerConfig;
  readonly #upstream: Upstream;
  readonly #machine: SlidingWindowMachine;
  readonly #clock: Scheduler;

  /** `(name, config?)` or `(config)`. Throws a `RangeError` that lists every fault. */
  constructor(name?: string, config?: SlidingWindowBreakerOptions);
  constructor(config: SlidingWindowBreakerOptions);
  constructor(
    first: string | SlidingWindowBreakerOptions = UNNAMED,
    second: SlidingWindowBreakerOptions = {},
  ) {
    const options = typeof first === "string" ? second : first;
    this.name = typeof first === "string" ? first : UNNAMED;
    this.#config = configOf(options);
    this.#clock = options.clock ?? systemClock;
    const { failureThreshold: failureRatio, minRequests: minimumCalls, ...config } = this.#config;
    const { openTimeoutMs: openDurationMs, ...same } = config;
    const policy = slidingWindow({ failureRatio, minimumCalls, openDurationMs, ...same });
    let made: SlidingWindowMachine | undefined;
    const breaker = {
      ...policy,
      createMachine: (ports: Parameters<typeof policy.createMachine>[0]) =>
        (made = policy.createMachine(ports)),
    };
    this.#upstream = createSwitchgear({
      upstreams: { [this.name]: { breaker } },
      sampler: { systemLoad: () => 0 },
      clock: this.#clock,
    }).upstream(this.name);
    if (made === undefined) throw new Error("the registry made no machine");
    this.#machine = made;
    if (options.logger !== undefined) attach(this.#upstream, options.logger);
  }

  get state(): SlidingWindowBreakerState {
    return STATES[this.#upstream.state()] ?? "CLOSED";
  }

  get totalSuccesses(): number {
    return this.getMetrics().totalSuccesses;
  }

  get totalFailures(): number {
    return this.getMetrics().totalFailures;
  }

  /**
   * Runs `fn(...args)`, which may be a plain function, unless the breaker is open. Resolves and
   * rejects with exactly what it did; rejects with `CircuitBreakerOpenError` when it was not run.
   */
  call<Args extends unknown[], Result>(
    fn: (...args: Args) => Result | PromiseLike<Result>,
    ...args: Args
  ): Promise<Awaited<Result>> {
    return this.callWith({}, fn, ...args);
  }

  /** The same with a time limit. */
  async callWith<Args extends unknown[], Result>(
    { timeoutMs }: CallExtras,
    fn: (...args: Args) => Result | PromiseLike<Result>,
    ...args: Args
  ): Promise<Awaited<Result>> {
    const options = timeoutMs === undefined ? {} : { deadlineMs: timeoutMs };
    try {
      return await this.#upstream.execute(() => fn(...args), options);
    } catch (error) {
      throw this.#own(error);
    }
  }

  /** Answers with `fallback` instead of a refusal; errors of `fn` pass through. */
  async callOr<Result>(
    fallback: () => Result | PromiseLike<Result>,
    fn: () => Result | PromiseLike<Result>,
  ): Promise<Awaited<Result>> {
    try {
      return await this.call(fn);
    } catch (error) {
      if (error instanceof CircuitBreakerOpenError) return await fallback();
      throw error;
    }
  }

  /** The same function, guarded. */
  wrap<Args extends unknown[], Result>(
    fn: (...args: Args) => Result | PromiseLike<Result>,
  ): (...args: Args) => Promise<Awaited<Result>> {
    return (...args) => this.call(fn, ...args);
  }

  /** Closes it from any state. Totals stay. */
  reset(): void {
    this.#upstream.reset({ reason: "reset" });
  }

  /** Opens it until `reset` or `forceClose`: nobody is let in, no probe either. */
  forceOpen(): void {
    this.#upstream.trip({ reason: "forced open" });
  }

  forceClose(): void {
    this.#upstream.reset({ reason: "forced closed" });
  }

  /** Lets probes in at once. */
  forceHalfOpen(): void {
    this.#machine.halfOpen(this.#clock.monotonic());
  }

  getMetrics(): SlidingWindowBreakerMetrics {
    const at = { nowMs: this.#clock.monotonic(), wallMs: this.#clock.now() };
    const { recentSlowRate: _slow, timeUntilRetry, ...metrics } = this.#machine.metrics(at);
    return {
      ...metrics,
      name: this.name,
      state: this.state,
      timeUntilRetry: timeUntilRetry ?? 0,
      config: this.#config,
    };
  }

  #own(error: unknown): unknown {
    if (!isRefused(error) || !(error instanceof BreakerOpenError)) return error;
    const { upstream, operation, reason, retryAfterMs } = error;
    return new CircuitBreakerOpenError({ upstream, operation, reason, retryAfterMs }, error);
  }
}

/** The same keys as the source system's: `total_requests`, `time_until_retry`, … */
export function toSnakeCase(metrics: SlidingWindowBreakerMetrics): Record<string, unknown> {
  const snake = (key: string): string => key.replace(/[A-Z]/g, (big) => `_${big.toLowerCase()}`);
  const renamed = (value: object): Record<string, unknown> =>
    Object.fromEntries(Object.entries(value).map(([key, inner]) => [snake(key), inner]));
  return { ...renamed(metrics), config: renamed(metrics.config) };
}

/** Breakers by name, each made once. */
export class SlidingWindowRegistry {
  readonly #breakers = new Map<string, SlidingWindowBreaker>();

  /** The breaker of this name; `config` is only used when there is none yet. */
  register(name: string, config?: SlidingWindowBreakerOptions): SlidingWindowBreaker {
    const known = this.#breakers.get(name);
    if (known !== undefined) return known;
    const made = new SlidingWindowBreaker(name, config);
    this.#breakers.set(name, made);
    return made;
  }

  get(name: string): SlidingWindowBreaker | undefined {
    return this.#breakers.get(name);
  }

  getAllStats(): Map<string, SlidingWindowBreakerMetrics> {
    return new Map([...this.#breakers].map(([name, breaker]) => [name, breaker.getMetrics()]));
  }

  resetAll(): void {
    for (const breaker of this.#breakers.values()) breaker.reset();
  }
}

function configOf(options: SlidingWindowBreakerOptions): SlidingWindowBreakerConfig {
  checkOptions("SlidingWindowBreaker", options, RULES);
  const { clock: _clock, logger: _logger, ...given } = withoutUndefined(options);
  const config = { ...DEFAULTS, ...given };
  const faults = [
    ...(config.minRequests > config.windowSize
      ? [`minRequests must be at most windowSize, ${config.windowSize}: it could never open`]
      : []),
    ...(config.halfOpenSuccesses > config.halfOpenMaxProbes
      ? [
          `halfOpenSuccesses must be at most halfOpenMaxProbes, ${config.halfOpenMaxProbes}: it could never close`,
        ]
      : []),
  ];
  if (faults.length > 0) throw new InvalidOptionsError("SlidingWindowBreaker", faults);
  return Object.freeze({ probeLeaseMs: config.openTimeoutMs, ...config });
}

function attach(upstream: Upstream, logger: SlidingWindowLogger): void {
  const { name } = upstream;
  upstream.on("transition", ({ from, to, cause }) =>
    logger.info({ name, from: STATES[from], to: STATES[to], cause }, `${name}: ${from} -> ${to}`),
  );
  upstream.on("refused", ({ reason, retryAfterMs }) =>
    logger.warn({ name, reason, retryAfterMs }, `${name}: call refused (${reason})`),
  );
}
