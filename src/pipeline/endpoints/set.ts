// The endpoints of one upstream: which of them takes the next call, and what came of the last ones.
//
// The preference is: healthy before degraded before canaries; among equals the one with the fewest
// calls under way, then the one that has waited longest, so that idle equals share the load. By that
// order alone an endpoint that was set aside would never be tried again while any other is well: its
// recovery would depend on everything else failing first. So a little goes the other way. One whose
// cooldown is over and that has no canary under way gets the next call, which costs at most one caller
// at a time, as in Linkerd's failure accrual; and a degraded one gets a call when it was passed over
// ten times, since it heals by its results only. Where no endpoint is healthy or degraded, canaries
// are all there is, and each takes as many as it has slots.
//
// It awaits nothing and calls nobody but its listener, after the state is final; what that throws is
// counted and goes no further. Retries, hedging and the calls themselves are its owner's.

import type { AdaptivePolicy } from "../../core/breaker/adaptive/machine.ts";
import type { AdaptiveState } from "../../core/breaker/adaptive/snapshot.ts";
import {
  REFUSED,
  type Failure,
  type Instant,
  type MachineRefusal,
  type Ticket,
} from "../../core/breaker/machine.ts";
import { errorText } from "../../core/classify.ts";
import type { Clock } from "../../core/clock.ts";
import type { MachineEvent } from "../../core/events.ts";
import { whenRejected } from "../../core/foreign.ts";
import { isLatency, toThousandths } from "../../core/outcome.ts";
import type { Tier } from "../../core/overload/criticality.ts";
import type { Random } from "../../core/random.ts";
import { readReset, readTrip, UNTRACKED, type OrderWords, type ResetOrder } from "../orders.ts";
import type { LimitGuard } from "../overload/guard.ts";
import type { LimitReason } from "../overload/limit-reasons.ts";
import type { HeldPermit } from "../overload/held-permit.ts";
import { leastBad, preferred } from "./preference.ts";
import { ENDPOINTS_MAX_DEFAULT, EndpointTable } from "./table.ts";
import type { Endpoint, EndpointListing, EndpointStats, Permit } from "./endpoint.ts";

export interface EndpointSetOptions {
  /** Those that `choose` chooses among. Names are unique and not empty. Default: none. */
  readonly endpoints?: readonly EndpointListing[];
  readonly policy: AdaptivePolicy;
  /** Whether a name that is not listed gets an endpoint of its own when it is used. Default false. */
  readonly onDemand?: boolean;
  /**
   * Most endpoints created on demand; the idle ones make room. Where none is idle, further names are
   * let through without a memory, and counted in `untracked`. Default 10,000; at least 1.
   */
  readonly endpointsMax?: number;
  /**
   * Whether, while others are healthy, an endpoint whose cooldown is over gets a canary, one at a time,
   * and a degraded one every tenth call at most. Default true; false leaves both alone until no better
   * one is left.
   */
  readonly canaryTrickle?: boolean;
  /**
   * What is known of endpoints of the same names: one at the same place under the same policy is taken over
   * as it is, of another one its state is. Default: all begin anew.
   */
  readonly before?: EndpointSet | undefined;
  /** Makes the limiter of each that is listed, given the one that its name had. Default: nothing limits them. */
  readonly limits?:
    | ((
        endpoint: string,
        before: LimitGuard | undefined,
        isSamePlace: boolean,
      ) => LimitGuard | undefined)
    | undefined;
  /** Hears every event once, after the state is final; may call back in. */
  readonly onEvent?: (endpoint: string, event: MachineEvent) => unknown;
}

export interface EndpointPorts {
  readonly clock: Clock;
  /** Spreads the cooldowns. Default: they are not spread. */
  readonly random?: Random;
}

export interface EndpointChoice {
  readonly endpoint: Endpoint;
  readonly ticket: Ticket;
  readonly held?: HeldPermit | undefined;
}

const WEIGHT = toThousandths(1);

const NOT_LISTED: MachineRefusal = Object.freeze({
  reason: "tripped",
  retryAfterMs: undefined,
  remainingMs: 0,
  manual: false,
  trippedAt: null,
  lastError: "no endpoint of this name is listed",
});

export class EndpointSet {
  readonly #clock: Clock;
  readonly #table: EndpointTable;
  readonly #canaryTrickle: boolean;
  readonly #onEvent: EndpointSetOptions["onEvent"];
  /** Whose limiter refused the last choice; undefined where it was no limiter. */
  full: LimitGuard | undefined = undefined;
  /** Why a limiter would have refused the last choice, which was forced. */
  overruled: LimitReason | undefined = undefined;
  #choices = 0;
  #listenerErrors = 0;

  /** Throws `InvalidOptionsError` with every fault of the listing. */
  constructor(options: EndpointSetOptions, { clock, random }: EndpointPorts) {
    const { endpoints = [], policy, onDemand = false } = options;
    this.#clock = clock;
    this.#canaryTrickle = options.canaryTrickle ?? true;
    this.#onEvent = options.onEvent;
    this.#table = new EndpointTable({
      listing: endpoints,
      policy,
      onDemand,
      endpointsMax: options.endpointsMax ?? ENDPOINTS_MAX_DEFAULT,
      ports: () => ({ nowMs: clock.monotonic(), ...(random === undefined ? {} : { random }) }),
      before: (name) => options.before?.find(name),
      at: () => this.#instant(),
    });
    for (const endpoint of this.#table.listed) {
      const known = options.before?.find(endpoint.name);
      const isSamePlace = known?.url === endpoint.url;
      endpoint.limits = options.limits?.(endpoint.name, known?.limits, isSamePlace);
    }
  }

  /** Those that were listed, in that order. */
  get endpoints(): readonly Endpoint[] {
    return this.#table.listed;
  }

  find(name: string): Endpoint | undefined {
    return this.#table.find(name);
  }

  /** Endpoints that were forgotten to make room. */
  get evicted(): number {
    return this.#table.evicted;
  }

  /** Uses of names for which there was no room. */
  get untracked(): number {
    return this.#table.untracked;
  }

  /** How often the listener threw or rejected. */
  get listenerErrors(): number {
    return this.#listenerErrors;
  }

  /**
   * The listed endpoint for the next call, which is thereby let in; undefined when none is. Forced, it
   * finds one whatever their states; what comes of a call that no machine let in is not counted.
   * `remainingMs`: until the call's deadline.
   */
  choose(
    isForced = false,
    tier: Tier = 0,
    remainingMs = Number.POSITIVE_INFINITY,
  ): EndpointChoice | undefined {
    const listed = this.#table.listed;
    // Nobody who is well and unlimited needs the time.
    const nowMs = listed.some(needsTime) ? this.#clock.monotonic() : 0;
    this.full = undefined;
    this.overruled = undefined;
    let endpoint = preferred(listed, nowMs, this.#choices, this.#canaryTrickle);
    let isIn = true;
    if (endpoint === undefined) {
      endpoint = isForced ? leastBad(listed) : undefined;
      isIn = false;
    }
    if (endpoint === undefined) return undefined;
    const first = endpoint.limits;
    let held = first?.hold(tier, nowMs, remainingMs);
    if (first !== undefined && held === undefined) {
      const refusedFor = first.refusedFor;
      const other = isIn ? this.#withRoom(endpoint, tier, nowMs, remainingMs) : undefined;
      if (other !== undefined) {
        endpoint = other.endpoint;
        held = other.held;
      } else if (isForced) {
        held = first.holdAnyway(tier, nowMs);
        this.overruled = refusedFor;
      } else {
        first.refusedFor = refusedFor;
        this.full = first;
        return undefined;
      }
    }
    return this.#letIn(endpoint, isIn ? endpoint.machine.admit(nowMs) : UNTRACKED, held);
  }

  /** Another one that is in use, and whose limiter lets the call in. */
  #withRoom(
    full: Endpoint,
    tier: Tier,
    nowMs: number,
    remainingMs: number,
  ): { readonly endpoint: Endpoint; readonly held: HeldPermit } | undefined {
    for (const endpoint of this.#table.listed) {
      if (endpoint === full || endpoint.machine.isTripped) continue;
      const held = endpoint.limits?.hold(tier, nowMs, remainingMs);
      if (held !== undefined) return { endpoint, held };
    }
    return undefined;
  }

  /**
   * Milliseconds until `choose` may find an endpoint; 0 when it would now, undefined when only a
   * person can help.
   */
  soonestMs(): number | undefined {
    const at = this.#instant();
    let soonestMs: number | undefined;
    for (const { machine } of this.#table.listed) {
      if (machine.wouldAdmit(at.nowMs)) return 0;
      const { retryAfterMs } = machine.refusal(at);
      if (retryAfterMs !== undefined) soonestMs = Math.min(soonestMs ?? retryAfterMs, retryAfterMs);
    }
    return soonestMs;
  }

  /** Records a success. A latency that is undefined is not known; one that is none is dropped. */
  settleOk(endpoint: Endpoint, ticket: Ticket, latencyMs: number | undefined, nowMs: number): void {
    endpoint.inFlight -= 1;
    if (ticket === UNTRACKED) return;
    if (!endpoint.machine.settleOk(ticket, latencyOf(endpoint, latencyMs), nowMs)) {
      endpoint.lateOk += 1;
    } else endpoint.ok += 1;
    this.#announce(endpoint);
  }

  settleFailed(
    endpoint: Endpoint,
    ticket: Ticket,
    failure: Failure,
    latencyMs: number | undefined,
    at: Instant,
  ): void {
    endpoint.inFlight -= 1;
    if (ticket === UNTRACKED) return;
    if (!endpoint.machine.settleFailed(ticket, failure, latencyOf(endpoint, latencyMs), at)) {
      endpoint.lateFailed += 1;
    } else if (failure.weightThousandths > 0) endpoint.failures += 1;
    this.#announce(endpoint);
  }

  /** Gives the call back without a vote. */
  settleIgnored(endpoint: Endpoint, ticket: Ticket, nowMs: number): void {
    endpoint.inFlight -= 1;
    endpoint.machine.settleIgnored(ticket, nowMs);
  }

  /**
   * Whether a call may be made now. Where that takes a canary's slot, the slot is kept for the next
   * result that `record` is told without a permit. `acquire` tells callers apart and is better.
   */
  isAvailable(name: string): boolean {
    const endpoint = this.#table.use(name);
    if (endpoint === undefined) return false;
    const { machine } = endpoint;
    const ticket = machine.admit(this.#timeFor(endpoint));
    if (ticket === REFUSED) return false;
    if (machine.isTripped) endpoint.reserve(ticket);
    this.#announce(endpoint);
    return true;
  }

  /** The right to one call, or null when it is refused. */
  acquire(name: string): Permit | null {
    const endpoint = this.#table.use(name);
    if (endpoint === undefined) return null;
    const ticket = endpoint.machine.admit(this.#timeFor(endpoint));
    if (ticket === REFUSED) return null;
    return new EndpointPermit(this, this.#clock, this.#letIn(endpoint, ticket));
  }

  /**
   * A result of a caller who holds no permit. While half-open it is the verdict of the oldest slot
   * that `isAvailable` gave away; without such a slot, and in any other state, it is evidence for the
   * present epoch.
   */
  record(name: string, outcome: "ok" | "failed", latencyMs?: number, error?: unknown): void {
    const endpoint = this.#table.use(name);
    if (endpoint === undefined) return;
    const { machine } = endpoint;
    const latency = latencyOf(endpoint, latencyMs);
    const failure = outcome === "failed" ? failureOf(error) : undefined;
    const at = this.#instant();
    if (failure === undefined) endpoint.ok += 1;
    else endpoint.failures += 1;
    let isVerdict = false;
    for (let slot = endpoint.takeReserved(); slot !== undefined; slot = endpoint.takeReserved()) {
      isVerdict =
        failure === undefined
          ? machine.settleOk(slot, latency, at.nowMs)
          : machine.settleFailed(slot, failure, latency, at);
      if (isVerdict) break;
    }
    if (!isVerdict) machine.record(outcome, failure, latency, at);
    this.#announce(endpoint);
  }

  /** Healthy ones, listed first. A read, like the other three: it takes no slot. */
  getHealthyEndpoints(): string[] {
    return this.#names(({ machine }) => machine.state === "healthy");
  }

  /** Those that would be let in now: healthy, degraded, and those with a canary's slot to give. */
  getAvailableEndpoints(): string[] {
    const nowMs = this.#clock.monotonic();
    return this.#names(({ machine }) => machine.wouldAdmit(nowMs));
  }

  getHealthStats(): Map<string, EndpointStats> {
    const stats = new Map<string, EndpointStats>();
    for (const endpoint of this.#table.all()) stats.set(endpoint.name, endpoint.stats());
    return stats;
  }

  /** `healthy` for a name that nobody has used. */
  getEndpointState(name: string): AdaptiveState {
    return this.#table.find(name)?.machine.state ?? "healthy";
  }

  /** Why `acquire` has just answered null. */
  refusal(name: string): MachineRefusal {
    return this.#table.find(name)?.machine.refusal(this.#instant()) ?? NOT_LISTED;
  }

  getEndpointStats(name: string): EndpointStats | undefined {
    return this.#table.find(name)?.stats();
  }

  /** Every endpoint as if nothing had happened to it; totals stay. */
  resetAll(order: ResetOrder = {}): void {
    const read = readReset("all endpoints", order);
    // Taken down first: the listener may use names that make or forget endpoints.
    const endpoints = Array.from(this.#table.all());
    for (const endpoint of endpoints) this.#reset(endpoint, read);
  }

  /** A person stops all calls to it, until a reset. False where there is no such endpoint, nor room. */
  trip(name: string, order: OrderWords = {}): boolean {
    const { reason, actor } = readTrip(name, order);
    this.#table.use(name);
    const endpoint = this.#table.find(name);
    if (endpoint === undefined) return false;
    endpoint.machine.trip({ reason, actor }, this.#instant());
    this.#announce(endpoint);
    return true;
  }

  reset(name: string, order: ResetOrder = {}): boolean {
    const read = readReset(name, order);
    const endpoint = this.#table.find(name);
    if (endpoint !== undefined) this.#reset(endpoint, read);
    return endpoint !== undefined;
  }

  #reset(endpoint: Endpoint, order: ReturnType<typeof readReset>): void {
    endpoint.machine.reset(order, this.#instant());
    this.#announce(endpoint);
  }

  #letIn(endpoint: Endpoint, ticket: Ticket, held?: HeldPermit): EndpointChoice {
    endpoint.inFlight += 1;
    this.#choices += 1;
    endpoint.chosenAt = this.#choices;
    this.#announce(endpoint);
    return { endpoint, ticket, held };
  }

  #timeFor({ machine }: Endpoint): number {
    return machine.admitNeedsTime ? this.#clock.monotonic() : 0;
  }

  #names(which: (endpoint: Endpoint) => boolean): string[] {
    const names: string[] = [];
    for (const endpoint of this.#table.all()) if (which(endpoint)) names.push(endpoint.name);
    return names;
  }

  #instant(): Instant {
    return { nowMs: this.#clock.monotonic(), wallMs: this.#clock.now() };
  }

  /** The state is final: count, and only then tell. */
  #announce(endpoint: Endpoint): void {
    if (endpoint.machine.events.length === 0) return;
    // Taken out first, since the listener may call back in and cause events of its own.
    const events = endpoint.machine.events.splice(0);
    for (const event of events) {
      if (event.type === "transition" && event.to === "cooling-down") {
        endpoint.lastOpenedAt = this.#clock.now();
        endpoint.limits?.freeze();
      }
    }
    for (const event of events) this.#tell(endpoint.name, event);
  }

  #tell(name: string, event: MachineEvent): void {
    try {
      whenRejected(this.#onEvent?.(name, event), () => this.#countListenerError());
    } catch {
      this.#countListenerError();
    }
  }

  #countListenerError(): void {
    this.#listenerErrors += 1;
  }
}

class EndpointPermit implements Permit {
  readonly endpoint: string;
  readonly #set: EndpointSet;
  readonly #clock: Clock;
  #choice: EndpointChoice | undefined;

  constructor(set: EndpointSet, clock: Clock, choice: EndpointChoice) {
    this.endpoint = choice.endpoint.name;
    this.#set = set;
    this.#clock = clock;
    this.#choice = choice;
  }

  success(latencyMs?: number): void {
    const choice = this.#take();
    if (choice === undefined) return;
    this.#set.settleOk(choice.endpoint, choice.ticket, latencyMs, this.#clock.monotonic());
  }

  failure(latencyMs?: number, error?: unknown): void {
    const choice = this.#take();
    if (choice === undefined) return;
    const at = { nowMs: this.#clock.monotonic(), wallMs: this.#clock.now() };
    this.#set.settleFailed(choice.endpoint, choice.ticket, failureOf(error), latencyMs, at);
  }

  release(): void {
    const choice = this.#take();
    if (choice === undefined) return;
    this.#set.settleIgnored(choice.endpoint, choice.ticket, this.#clock.monotonic());
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #take(): EndpointChoice | undefined {
    const choice = this.#choice;
    this.#choice = undefined;
    return choice;
  }
}

function needsTime({ machine, limits }: Endpoint): boolean {
  return limits !== undefined || machine.admitNeedsTime;
}

/** The latency for the machine, NaN for none; what is no latency is counted. */
function latencyOf(endpoint: Endpoint, latencyMs: number | undefined): number {
  if (latencyMs === undefined) return Number.NaN;
  if (!isLatency(latencyMs)) endpoint.invalidSamples += 1;
  return latencyMs;
}

function failureOf(error: unknown): Failure {
  const message = error === undefined ? "failure" : errorText(error);
  return { weightThousandths: WEIGHT, message };
}
