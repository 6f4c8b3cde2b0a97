// The guard around one upstream, and the one place where the order of a call is written down:
//
//   caller's signal → the door (see there) → the call, with its deadline → settle
//
// A refusal is a value until `execute` turns it into an error. Only what the upstream did moves its
// breaker; our own refusals never do. Bookkeeping never replaces the result or the error of a call.

import { REFUSED, type Ticket } from "../../core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../core/breaker/snapshot.ts";
import type { EventType, OperatorMode } from "../../core/events.ts";
import { readOutcome, type Outcome } from "../../core/outcome.ts";
import { tierOf, type Criticality } from "../../core/overload/criticality.ts";
import type { BreakerCounters, BreakerGuard } from "../breaker/guard.ts";
import type { Emitter, Listener } from "../emitter.ts";
import type { EndpointSet } from "../endpoints/set.ts";
import {
  readMode,
  readReset,
  readTrip,
  type ModeOrder,
  type ResetOrder,
  type TripOrder,
} from "../orders.ts";
import type { Clock } from "../ports.ts";
import type { LimitGuard } from "../overload/guard.ts";
import type { MeteredLimit } from "../overload/status.ts";
import type { Admission, CallOptions, Refused } from "./admission.ts";
import { AdmittedCall } from "./admissions.ts";
import { adopted } from "./adopt.ts";
import type { CallBooks } from "./books.ts";
import { BoundedCall, type CallRecord } from "./bounded-call.ts";
import { checkCall, isNamedCall, readOptions, unreadable, type ReadOptions } from "./call-check.ts";
import type { Complaints } from "./complaints.ts";
import { PlainContext, type CallContext } from "./context.ts";
import type { DeadlineQueue } from "./deadline.ts";
import { Door, WAITS, type DoorPorts } from "./door.ts";
import type { CallExtra } from "./extra.ts";
import type { Classifiers } from "./judge.ts";
import { likeItsOriginal } from "./like-its-original.ts";
import { meteredEndpoints, meteredLimits, upstreamStatus, type Readable } from "./readings.ts";
import { rejectSoon } from "./reject-soon.ts";
import { Settlement } from "./settlement.ts";
import { HeldCall, type Held } from "./held-call.ts";
import type { LetIn } from "./waiting-call.ts";
import { WaitingRoom } from "./waiting-room.ts";
import { rateLimitsOf, type RateSettings } from "./rate-limits.ts";
import { OperationTable, type OperationStats } from "./stats.ts";
import type { EndpointMeter, UpstreamStatus } from "./status.ts";

/** What all upstreams of a registry share. */
export interface UpstreamPorts extends DoorPorts {
  readonly deadlines: DeadlineQueue;
  readonly complaints: Complaints;
}

export interface UpstreamSettings extends Classifiers, RateSettings {
  /** Undefined where nothing limits the calls in flight, or each endpoint has its own. */
  readonly limits: LimitGuard | undefined;
  readonly deadlineMs: number | undefined;
  readonly operationsMax: number;
  readonly operations: readonly string[];
}

const NO_OPTIONS: CallOptions = Object.freeze({});
/** What is read of those. */
const DEFAULTS = Object.freeze(readOptions("", noCall, NO_OPTIONS));

export class Upstream {
  readonly name: string;
  readonly #guard: BreakerGuard;
  readonly #emitter: Emitter;
  readonly #ports: UpstreamPorts;
  readonly #clock: Clock;
  #deadlineMs: number | undefined;
  readonly #settlement: Settlement;
  readonly #books: CallBooks;
  readonly #operations: OperationTable;
  readonly #door: Door;

  constructor(
    guard: BreakerGuard,
    emitter: Emitter,
    settings: UpstreamSettings,
    ports: UpstreamPorts,
    endpoints?: EndpointSet,
  ) {
    this.name = guard.name;
    this.#guard = guard;
    this.#emitter = emitter;
    this.#deadlineMs = settings.deadlineMs;
    this.#settlement = new Settlement(guard, emitter, ports, settings, endpoints);
    this.#books = this.#settlement.books;
    this.#ports = ports;
    this.#clock = ports.clock;
    const rates = rateLimitsOf(settings, this.#clock.monotonic(), true);
    this.#door = new Door(guard, emitter, ports, { endpoints, rates, limits: settings.limits });
    this.#operations = new OperationTable(settings.operationsMax, settings.operations);
  }

  /** Made when it is needed: most upstreams never keep anybody waiting. */
  get #waiting(): WaitingRoom {
    return new WaitingRoom(this.name, this.#door, this.#books, this.#ports);
  }

  get #readable(): Readable {
    return { guard: this.#guard, books: this.#books, door: this.#door, clock: this.#clock };
  }

  /** From now on by these settings; state, counts and listeners stay. For its registry. */
  configure(settings: Omit<UpstreamSettings, "operationsMax">, endpoints?: EndpointSet): void {
    this.#deadlineMs = settings.deadlineMs;
    this.#door.endpoints = endpoints;
    this.#door.limits = settings.limits;
    this.#configureRates(settings);
    this.#settlement.configure(settings, endpoints);
    this.#operations.list(settings.operations);
  }

  /**
   * Runs `fn` under the guard. Resolves and rejects with exactly what `fn` did; rejects with a
   * `RefusedError` when the call was turned away or outlived its deadline, with the caller's own reason
   * when the caller aborted, and with `InvalidOptionsError` for what is no call: nothing is admitted then.
   */
  execute<Result>(
    fn: (context: CallContext) => Result,
    given: CallOptions = NO_OPTIONS,
  ): Promise<Awaited<Result>> {
    // In variables and not in an object, which every call that says anything would make.
    let name: string | undefined;
    let load: number | undefined;
    let criticality: Criticality | undefined;
    let signal: AbortSignal | undefined;
    let parent: unknown;
    let ownMs: number | undefined;
    if (given !== NO_OPTIONS || typeof fn !== "function") {
      try {
        ({ operation: name, load, criticality, parent, deadlineMs: ownMs } = given);
        const wish = given.signal;
        if (!isNamedCall(fn, name, load, criticality, wish, ownMs)) {
          const read = {
            operation: name,
            load,
            criticality,
            signal: wish,
            parent,
            deadlineMs: ownMs,
          };
          ({ signal } = checkCall(this.name, fn, given, read));
          if (signal?.aborted === true) return Promise.reject(signal.reason);
        }
      } catch (error) {
        return Promise.reject(unreadable(this.name, error, given));
      }
    }
    const operation = this.#operations.get(name);
    const door = this.#door;
    const { watcher } = this.#ports.gate;
    const deadlineMs = shorter(this.#deadlineMs, ownMs);
    const leftMs = deadlineMs ?? Number.POSITIVE_INFINITY;
    const tier = tierOf(criticality);
    const ticket =
      watcher === undefined
        ? door.admit(operation, load, tier, leftMs, tier === 0)
        : door.admitWatched(watcher, operation, { load, criticality, parent }, leftMs, tier === 0);
    if (ticket === REFUSED) return rejectSoon(door.refusalError(operation, load));
    if (ticket === WAITS) return this.#runLater(fn, operation, load, deadlineMs, signal);
    this.#books.inFlight += 1;
    const { extra } = door;
    if (deadlineMs !== undefined || signal !== undefined || extra?.watched !== undefined) {
      const startMs = this.#startOf(extra);
      return this.#runBounded(fn, { operation, ticket, startMs, deadlineMs, extra }, signal);
    }

    // Here and not in a method of its own: an error's stack is walked frame by frame, and each frame
    // between the caller and `fn` costs a failing call a tenth of what the error costs anyway.
    const settlement = this.#settlement;
    const startMs = this.#startOf(extra);
    let answer: Result;
    try {
      answer = fn(new PlainContext(extra?.endpoint));
    } catch (error) {
      settlement.error(operation, ticket, startMs, error, extra);
      return Promise.reject(error);
    }
    const promise = adopted(answer);
    if (promise === undefined) {
      settlement.value(operation, ticket, startMs, answer, extra);
      return Promise.resolve(answer);
    }
    return promise.then(
      (value) => {
        settlement.value(operation, ticket, startMs, value, extra);
        return value;
      },
      (error: unknown) => {
        settlement.error(operation, ticket, startMs, error, extra);
        throw error;
      },
    );
  }

  /**
   * As `execute`, for an answer that comes in pieces: the call goes on after `fn` has answered, until `held`
   * is told that the rest has come, failed, or is not wanted. The deadline covers the rest; with `idleMs` it
   * ends with the answer, and each wait for more may then take so many milliseconds.
   */
  hold<Result>(
    fn: (context: CallContext, held: Held) => Result,
    given: CallOptions & { readonly idleMs?: number | undefined } = NO_OPTIONS,
  ): Promise<Awaited<Result>> {
    let options = DEFAULTS;
    let idleMs: number | undefined;
    try {
      ({ idleMs } = given);
      options = readOptions(this.name, fn, given, idleMs);
      if (options.signal?.aborted === true) return Promise.reject(options.signal.reason);
    } catch (error) {
      return Promise.reject(unreadable(this.name, error, given));
    }
    const operation = this.#operations.get(options.operation);
    const deadlineMs = shorter(this.#deadlineMs, options.deadlineMs);
    const { load, signal } = options;
    const ticket = this.#admit(operation, options, true, deadlineMs);
    if (ticket === REFUSED) return rejectSoon(this.#door.refusalError(operation, load));
    const begin = (letIn: LetIn, leftMs: number | undefined): Promise<Awaited<Result>> => {
      const { extra } = letIn;
      const startMs = this.#clock.monotonic();
      const call = new HeldCall<Awaited<Result>>({
        owner: this.#settlement,
        record: { operation, ticket: letIn.ticket, startMs, deadlineMs: leftMs, extra },
        queue: this.#ports.deadlines,
        signal,
        idleMs,
        monotonic: () => this.#clock.monotonic(),
      });
      return extra?.watched === undefined
        ? call.start(fn)
        : this.#ports.watching.within(this.name, extra.watched, () => call.start(fn));
    };
    if (ticket === WAITS) {
      return this.#waiting.run({ operation, load, deadlineMs, signal }, begin);
    }
    this.#books.inFlight += 1;
    return begin({ ticket, extra: this.#door.extra }, deadlineMs);
  }

  /** The same function, guarded: same arguments, result, `this`, name, length and properties. */
  wrap<Fn extends (this: never, ...args: never) => Promise<unknown>>(
    fn: Fn,
    options?: CallOptions,
  ): Fn;
  wrap<This, Args extends unknown[], Result>(
    fn: (this: This, ...args: Args) => Result,
    options?: CallOptions,
  ): (this: This, ...args: Args) => Promise<Awaited<Result>>;
  wrap<This, Args extends unknown[], Result>(
    fn: (this: This, ...args: Args) => Result,
    options: CallOptions = NO_OPTIONS,
  ): (this: This, ...args: Args) => Promise<Awaited<Result>> {
    const upstream = this as Upstream;
    this.#read(options, fn);
    function guarded(this: This, ...args: Args): Promise<Awaited<Result>> {
      return upstream.execute(() => fn.apply(this, args), options);
    }
    return likeItsOriginal(guarded, fn);
  }

  /**
   * For adapters: a refusal is no error, and nothing is awaited. The adapter keeps its own deadline and signal; the
   * deadline that it names may be longer than the upstream's, too.
   * Throws `InvalidOptionsError` for options that are none.
   */
  tryAcquire(given: CallOptions = NO_OPTIONS): Admission {
    let options = DEFAULTS;
    if (given !== NO_OPTIONS) options = this.#read(given, noCall);
    const operation = this.#operations.get(options.operation);
    const ticket = this.#admit(operation, options, false, options.deadlineMs ?? this.#deadlineMs);
    const door = this.#door;
    if (ticket === REFUSED) return door.refusal(operation, door.refusedFor, options.load);
    const { extra } = door;
    return this.#admitted(operation, ticket, extra, this.#startOf(extra));
  }

  /**
   * As `tryAcquire`, for adapters that can wait. Where the limiter has no room, a call of the most critical
   * tier waits for it, a tenth of its deadline or 100 ms at most: only then is the answer a promise, which
   * rejects with the reason of `signal` when that aborts.
   */
  acquire(given: CallOptions = NO_OPTIONS): Admission | Promise<Admission> {
    let options = DEFAULTS;
    if (given !== NO_OPTIONS) options = this.#read(given, noCall);
    const { load, signal, deadlineMs = this.#deadlineMs } = options;
    const operation = this.#operations.get(options.operation);
    const ticket = this.#admit(operation, options, true, deadlineMs);
    const door = this.#door;
    if (ticket === REFUSED) return door.refusal(operation, door.refusedFor, load);
    if (ticket !== WAITS) {
      const { extra } = door;
      return this.#admitted(operation, ticket, extra, this.#startOf(extra));
    }
    const refused = (): Refused => door.refusal(operation, door.refusedFor, load);
    const waiting = { operation, load, deadlineMs, signal };
    return this.#waiting
      .wait(waiting, refused)
      .then((came) =>
        "ticket" in came
          ? this.#admitted(operation, came.ticket, came.extra, this.#clock.monotonic())
          : came,
      );
  }

  /**
   * Evidence that came by another way than a call, such as a health check. Throws `InvalidOptionsError` for
   * what is no outcome.
   */
  record(given: Outcome): void {
    const outcome = readOutcome(`evidence of ${this.name}`, given);
    const failure = outcome.outcome === "failed" ? this.#settlement.failureOf(outcome) : undefined;
    this.#guard.record(outcome.outcome, failure, outcome.latencyMs);
  }

  /**
   * Stops all traffic until `reset`, durably, before it returns. Throws `InvalidOptionsError` for what is
   * no order, as the other two do; nothing has changed then.
   */
  trip(order: TripOrder = {}): void {
    this.#guard.trip(readTrip(this.name, order));
  }

  /**
   * Closes the breaker and those of its endpoints, durably, before it returns. Throws
   * `ResetDeniedError` inside the cooldown unless forced. Every attempt is audited.
   */
  reset(order: ResetOrder = {}): void {
    const read = readReset(this.name, order);
    this.#guard.reset(read);
    this.#door.endpoints?.resetAll(read);
  }

  /**
   * `shadow` lets the breaker work and report without refusing; `forced-closed` admits everything
   * and feeds the breaker nothing; `normal` ends both. Load shedding and, but for `shadow`, rates hold in each.
   */
  setMode(order: ModeOrder): void {
    this.#guard.setMode(readMode(this.name, order));
  }

  /**
   * The machine's own word for its state. A read, as those below: it changes nothing, and takes over what
   * another process ordered, as a call does.
   */
  state(): string {
    this.#guard.look();
    return this.#guard.state;
  }

  get mode(): OperatorMode {
    this.#guard.look();
    return this.#guard.mode;
  }

  get isTripped(): boolean {
    this.#guard.look();
    return this.#guard.isTripped;
  }

  /** Weighted failures at which its breaker trips. */
  get failureThreshold(): number {
    return this.#guard.policy.failureThreshold;
  }

  /** What would be stored. */
  snapshot(): BreakerSnapshot {
    this.#guard.look();
    return this.#guard.snapshot();
  }

  /** Everything that people ask about one upstream, as of now. */
  status(): UpstreamStatus {
    return upstreamStatus(this.#readable);
  }

  /** Calls `listener` on every event of this type; the answer ends the subscription. */
  on<Type extends EventType>(type: Type, listener: Listener<Type>): () => void {
    return this.#emitter.on(type, listener);
  }

  /** Counts of calls by operation, for metrics. */
  get operations(): Iterable<OperationStats> {
    return this.#operations.all();
  }

  /** What limits the calls in flight to it; undefined where nothing does, or each endpoint has its own. */
  get limits(): LimitGuard | undefined {
    return this.#door.limits;
  }

  /** Its base URLs, each with a breaker of its own; undefined for an upstream that has one. */
  get endpoints(): EndpointSet | undefined {
    return this.#door.endpoints;
  }

  /** Those with a breaker of their own, for metrics; an adaptive upstream is one as a whole. */
  get meteredEndpoints(): EndpointMeter[] {
    return meteredEndpoints(this.#readable, this.operations);
  }

  /** Whatever limits the calls in flight, for metrics: of the upstream, or of each endpoint. */
  get meteredLimits(): MeteredLimit[] {
    return meteredLimits(this.#readable);
  }

  get counters(): Readonly<BreakerCounters> {
    return this.#guard.counters;
  }

  get inFlight(): number {
    return this.#books.inFlight;
  }

  get abandoned(): number {
    return this.#books.abandoned;
  }

  /** Whether forgetting this upstream would lose nothing. */
  get isIdle(): boolean {
    const { rates } = this.#door;
    return (
      this.#guard.isIdle &&
      this.#books.inFlight === 0 &&
      this.#books.abandoned === 0 &&
      (rates === undefined || rates.areFull(this.#clock.monotonic()))
    );
  }

  #configureRates(settings: RateSettings): void {
    const door = this.#door;
    const nowMs = this.#clock.monotonic();
    // Kept where they are emptied, too: limits that come back are not new ones.
    if (door.rates === undefined) door.rates = rateLimitsOf(settings, nowMs, false);
    else door.rates.change(settings, nowMs);
  }

  #read(given: CallOptions, fn: unknown): ReadOptions {
    try {
      return readOptions(this.name, fn, given);
    } catch (error) {
      throw unreadable(this.name, error, given);
    }
  }

  #admit(
    operation: OperationStats,
    options: ReadOptions,
    canWait: boolean,
    leftMs = Number.POSITIVE_INFINITY,
  ): Ticket {
    const { watcher } = this.#ports.gate;
    const tier = tierOf(options.criticality);
    const mayWait = canWait && tier === 0;
    return watcher === undefined
      ? this.#door.admit(operation, options.load, tier, leftMs, mayWait)
      : this.#door.admitWatched(watcher, operation, options, leftMs, mayWait);
  }

  #admitted(
    operation: OperationStats,
    ticket: Ticket,
    extra: CallExtra | undefined,
    startMs: number,
  ): AdmittedCall {
    this.#books.inFlight += 1;
    return new AdmittedCall(this.#settlement, operation, ticket, startMs, extra);
  }

  /** When a call began that has just been let in: the door may have looked. */
  #startOf(extra: CallExtra | undefined): number {
    return extra?.held !== undefined && extra.endpoint === undefined
      ? this.#door.startMs
      : this.#clock.monotonic();
  }

  /** Apart from `execute`, which would make room for what the closure holds at each call. */
  #runLater<Result>(
    fn: (context: CallContext) => Result,
    operation: OperationStats,
    load: number | undefined,
    deadlineMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Awaited<Result>> {
    const options = { operation, load, deadlineMs, signal };
    return this.#waiting.run(options, (letIn, restMs) => {
      const startMs = this.#clock.monotonic();
      return this.#runBounded(fn, { ...letIn, operation, startMs, deadlineMs: restMs }, signal);
    });
  }

  #runBounded<Result>(
    fn: (context: CallContext) => Result,
    record: CallRecord,
    signal: AbortSignal | undefined,
  ): Promise<Awaited<Result>> {
    const { extra } = record;
    const { deadlines, watching } = this.#ports;
    const call = new BoundedCall<Awaited<Result>>(this.#settlement, record, deadlines, signal);
    if (extra?.watched === undefined) call.start(fn);
    else watching.within(this.name, extra.watched, () => call.start(fn));
    return call.promise;
  }
}

/** A caller's deadline may only shorten the upstream's. */
function shorter(upstream: number | undefined, call: number | undefined): number | undefined {
  if (call === undefined) return upstream;
  return upstream === undefined ? call : Math.min(upstream, call);
}

/** What the checks of a call without a function are given. */
function noCall(): void {
  // Never called.
}
