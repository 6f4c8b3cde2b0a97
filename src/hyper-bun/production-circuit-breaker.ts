// Hyper-Bun's `ProductionCircuitBreaker`: its constructor, method names and errors over a registry of
// latching breakers, one per bookmaker. Every rule is the library's; here are only the names.
//
// Results of calls count in the time they were admitted in. What a function brings back after a trip
// or a reset moves nothing, which direct `record…` calls do: they speak of now.

import {
  ClosingError,
  createSwitchgear,
  latching,
  ResetDeniedError as LibraryResetDeniedError,
  type Outcome,
  type Refused,
  type Switchgear,
  type Upstream,
  type Verdict,
} from "../index.ts";
import { didYouMean } from "../core/nearest.ts";
import { SystemLoad } from "../runtime/system-load.ts";
import { callOptions, named, readOrder, storeOf, type ResetOptions } from "./arguments.ts";
import { classifyCallError } from "./error-words.ts";
import { CircuitBreakerTrippedError, LoadShedError, ResetDeniedError } from "./errors.ts";
import type { ForeignDatabase } from "./foreign-database.ts";
import { HostLoad } from "./host-load.ts";
import { HostLog } from "./host-log.ts";
import { MetricsFeed, type MetricsClient } from "./metrics-feed.ts";
import {
  checkBreakerOptions,
  type CircuitBreakerContext,
  type ProductionCircuitBreakerOptions,
  type ResultClassifier,
} from "./options.ts";
import { failedWith, outcomeOfError, outcomeOfResult, type TellOdd } from "./outcomes.ts";
import { bookmakerStatus, isRecorded, type BookmakerStatus } from "./status.ts";

export interface CircuitBreakerThresholds {
  /** Weighted failures without a success in between that trip. Default 10; above 0. */
  failureThreshold: number;
  /** Milliseconds from a trip to the first re-test, under `recovery: "single-probe"`. Default 60,000. */
  resetTimeoutMs: number;
  /** Milliseconds after a trip during which a reset needs force. Default 60,000; ≥ 0. */
  cooldownMs: number;
}

const DEFAULTS: CircuitBreakerThresholds = {
  failureThreshold: 10,
  resetTimeoutMs: 60_000,
  cooldownMs: 60_000,
};

/** The source system's; both comparisons are strict. */
const LOAD_SHEDDING = { threshold: 0.85, operationLoad: 100 } as const;

export class ProductionCircuitBreaker {
  readonly #gear: Switchgear;
  readonly #feed: MetricsFeed;
  readonly #log: HostLog;
  readonly #load: SystemLoad;
  readonly #cooldownMs: number;
  readonly #shedThreshold: number;
  readonly #classifyError: (error: unknown) => Verdict;
  readonly #classifyResult: ResultClassifier | undefined;
  /** Stored ones are known even when their rows say nothing. */
  readonly #loaded: ReadonlySet<string>;

  /**
   * `db`: an open handle of `bun:sqlite`, better-sqlite3 or `node:sqlite`, which stays the host's, or
   * the path of a file, which is then the breaker's. A database that fails costs durability and
   * nothing else: breakers work from memory. `metrics` may be absent.
   *
   * Throws `RangeError` with every fault for settings out of range, `TypeError` for no database.
   */
  constructor(
    db: ForeignDatabase | string,
    metrics?: MetricsClient | null,
    failureThreshold: number = DEFAULTS.failureThreshold,
    resetTimeoutMs: number = DEFAULTS.resetTimeoutMs,
    cooldownMs: number = DEFAULTS.cooldownMs,
    options: ProductionCircuitBreakerOptions = {},
  ) {
    checkBreakerOptions(options, metrics);
    const { clock, weights = {}, recovery = "manual", loadMode, logger } = options;
    const { pendingRequests: pending, maxPendingRequests: maxPending } = options;
    const now = clock === undefined || clock === null ? Date.now : () => clock.now();
    this.#cooldownMs = cooldownMs;
    const loadShedding = {
      threshold: options.loadShedding?.threshold ?? LOAD_SHEDDING.threshold,
      operationLoad: options.loadShedding?.operationLoad ?? LOAD_SHEDDING.operationLoad,
    };
    this.#shedThreshold = loadShedding.threshold;
    this.#load = new SystemLoad({ mode: loadMode, pending, maxPending });
    this.#classifyError = options.classifyError ?? classifyCallError;
    this.#classifyResult = options.classifyResult;
    this.#log = new HostLog(logger, options.loggerStyle);
    const breaker = latching({
      failureThreshold,
      resetTimeoutMs,
      cooldownMs,
      recovery,
      ...(weights.failure === undefined ? {} : { failureWeight: weights.failure }),
      ...(weights.timeout === undefined ? {} : { timeoutWeight: weights.timeout }),
    });
    this.#gear = createSwitchgear({
      otherUpstreams: { breaker },
      loadShedding,
      sampler: new HostLoad(() => this.getSystemLoad(), this.#log, now),
      store: storeOf(db, now, options.busyTimeoutMs),
      clock,
    });
    this.#loaded = new Set(this.#gear.upstreams().map(({ name }) => name));
    this.#log.attach(this.#gear, logger);
    if (options.onAlert !== undefined) this.#log.alert(this.#gear, options.onAlert);
    this.#feed = new MetricsFeed(this.#gear, metrics);
    this.#feed.start();
  }

  /**
   * Runs `fn` once unless the bookmaker is tripped or the process too loaded for it. Resolves and
   * rejects with exactly what `fn` did; rejects with `CircuitBreakerTrippedError` or `LoadShedError`
   * when it was not run. It imposes no time limit.
   */
  async callApi<T>(
    bookmaker: string,
    fn: () => T | PromiseLike<T>,
    context?: Partial<CircuitBreakerContext> | null,
  ): Promise<T> {
    const upstream = this.#upstream(bookmaker);
    // A mistake of the caller's must not count against the bookmaker.
    if (typeof fn !== "function") throw new TypeError("callApi needs a function to call");
    const options = callOptions(context);
    // Read before anything is admitted: a getter of the caller's must not take the place of the result.
    const classifyResult = context?.classifyResult ?? this.#classifyResult;
    const admission = upstream.tryAcquire(options);
    if (!admission.admitted) throw this.#refusal(upstream, admission);
    const settle = (outcome: Outcome): void => {
      admission.settle(outcome);
      this.#feed.evidence(upstream);
    };
    const tellOdd: TellOdd = (what, sentence) => this.#log.misused(what, sentence);
    let value: T;
    try {
      value = await fn();
    } catch (error) {
      settle(outcomeOfError(this.#classifyError, error, tellOdd));
      throw error;
    }
    settle(outcomeOfResult(classifyResult, value, tellOdd));
    return value;
  }

  /** A failure that was seen elsewhere than in `callApi`; in effect before it returns. */
  recordFailure(bookmaker: string, errorMessage: unknown, isTimeout = false): Promise<void> {
    return this.#record(bookmaker, failedWith(errorMessage, isTimeout));
  }

  /** A timeout, which counts a half. */
  recordTimeout(bookmaker: string, errorMessage: unknown = "timeout"): Promise<void> {
    return this.#record(bookmaker, failedWith(errorMessage, true));
  }

  /** A success takes the count to 0. It does not close a tripped breaker. */
  recordSuccess(bookmaker: string, latencyMs?: number): Promise<void> {
    if (latencyMs === undefined) return this.#record(bookmaker, { outcome: "ok" });
    const isNumber = typeof latencyMs === "number";
    return this.#record(bookmaker, {
      outcome: "ok",
      latencyMs: isNumber ? latencyMs : Number.NaN,
    });
  }

  /** A fresh snapshot; null for a bookmaker of which nothing was ever recorded. */
  getStatus(bookmaker: string): BookmakerStatus | null {
    const upstream = this.#gear.find(bookmaker);
    return upstream !== undefined && this.#isKnown(upstream)
      ? bookmakerStatus(upstream.status())
      : null;
  }

  /** All of them, sorted by name. */
  getAllStatus(): BookmakerStatus[] {
    this.#feed.store();
    return this.#gear
      .upstreams()
      .filter((upstream) => this.#isKnown(upstream))
      .map((upstream) => bookmakerStatus(upstream.status()));
  }

  statusAll(): BookmakerStatus[] {
    return this.getAllStatus();
  }

  /**
   * All of them and, for exporters, those of which only refused calls are known: what is printed only
   * beside a bookmaker would hide the sheds of a start under load.
   */
  getExportedStatus(): BookmakerStatus[] {
    this.#feed.store();
    return this.#gear
      .upstreams()
      .filter((upstream) => this.#isKnown(upstream) || wasRefused(upstream))
      .map((upstream) => bookmakerStatus(upstream.status()));
  }

  isTripped(bookmaker: string): boolean {
    return this.#gear.find(bookmaker)?.isTripped === true;
  }

  /**
   * Closes the breaker, durably, before it returns. Throws `ResetDeniedError` inside the cooldown
   * unless forced. The text form takes a line that was pasted from a runbook: reason, then force. False,
   * with a warning and an audit, for a bookmaker that nobody knows.
   */
  reset(bookmaker: string, options?: ResetOptions | string | null, force?: boolean): boolean {
    const order = typeof options === "string" ? { reason: options, force } : readOrder(options);
    const upstream = this.#gear.find(named(bookmaker));
    if (upstream === undefined) {
      const audit = this.#gear.auditUnmetReset(bookmaker, order);
      this.#log.unknownReset(bookmaker, audit, this.hintFor(bookmaker));
      return false;
    }
    try {
      upstream.reset(order);
      return true;
    } catch (error) {
      if (!(error instanceof LibraryResetDeniedError)) throw error;
      throw new ResetDeniedError(bookmaker, this.#cooldownMs, error.remainingMs);
    }
  }

  /** Stops all calls to the bookmaker until `reset`, durably, before it returns. Never re-tested. */
  trip(bookmaker: string, reason?: string, user?: string): void {
    const hint = this.hintFor(named(bookmaker));
    this.#upstream(bookmaker).trip({ reason, actor: user });
    if (hint !== "") this.#log.unknownTrip(bookmaker, hint);
  }

  /** `; did you mean "draftkings"?` for a name that nobody knows and that is near a known one; else empty. */
  hintFor(bookmaker: string): string {
    const found = this.#gear.find(bookmaker);
    const isKnown = found !== undefined && this.#isKnown(found);
    return isKnown ? "" : didYouMean(bookmaker, this.#knownNames());
  }

  /**
   * How loaded this process is, 0–1. Hosts and tests may put their own in its place; one that throws
   * sheds nothing.
   */
  getSystemLoad(): number {
    return this.#load.systemLoad();
  }

  /** Writes what waits and lets go of the database; a handle stays open. Nothing is admitted after it. */
  close(): Promise<void> {
    return this.#gear.close();
  }

  #upstream(bookmaker: string): Upstream {
    return this.#gear.upstream(named(bookmaker));
  }

  /** One by one: whoever compares names looks at the first few. */
  *#knownNames(): Generator<string> {
    for (const upstream of this.#gear.eachUpstream()) {
      if (this.#isKnown(upstream)) yield upstream.name;
    }
  }

  #isKnown(upstream: Upstream): boolean {
    return this.#loaded.has(upstream.name) || isRecorded(upstream.snapshot());
  }

  #record(bookmaker: string, outcome: Outcome): Promise<void> {
    const upstream = this.#upstream(bookmaker);
    upstream.record(outcome);
    this.#feed.evidence(upstream);
    if (outcome.outcome === "ok") this.#log.succeeded(upstream, outcome.latencyMs ?? Number.NaN);
    return Promise.resolve();
  }

  #refusal(upstream: Upstream, refused: Refused): Error {
    const { operation, reason, retryAfterMs, remainingMs, manual } = refused;
    const facts = { upstream: upstream.name, operation, reason, retryAfterMs };
    if (reason === "closing") return new ClosingError(facts);
    if (reason === "load_shed") {
      const { systemLoad = 0, operationLoad = 0 } = refused;
      return new LoadShedError(facts, {
        systemLoad,
        operationLoad,
        threshold: this.#shedThreshold,
      });
    }
    const { trippedAt, lastError } = upstream.snapshot();
    return new CircuitBreakerTrippedError(facts, { remainingMs, manual, trippedAt, lastError });
  }
}

function wasRefused(upstream: Upstream): boolean {
  for (const { refused } of upstream.operations) if (refused !== undefined) return true;
  return false;
}
