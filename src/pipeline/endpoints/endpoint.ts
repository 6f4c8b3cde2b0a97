/// <reference lib="esnext.disposable" preserve="true" />

// One endpoint of an upstream: its machine, what is counted of it, and the permits for calling it.

import type { AdaptiveMachine, AdaptivePolicy } from "../../core/breaker/adaptive/machine.ts";
import type { AdaptiveStats } from "../../core/breaker/adaptive/snapshot.ts";
import type { MachinePorts, Ticket } from "../../core/breaker/machine.ts";
import type { LimitGuard } from "../overload/guard.ts";

export interface EndpointListing {
  readonly name: string;
  /** Where it is; nothing in here calls it. Default: its name. */
  readonly url?: string | undefined;
}

/** What is known of an endpoint, for metrics and for people. */
export interface EndpointStats extends AdaptiveStats {
  /** Calls that were let in by `choose` or `acquire` and have not come back. */
  readonly inFlight: number;
  /** Failures since it was made, whatever has succeeded in between. */
  readonly failures: number;
  /** Results that came back to another epoch than they left. */
  readonly lateOk: number;
  readonly lateFailed: number;
  /** Latencies that were no finite number ≥ 0, and were dropped. */
  readonly invalidSamples: number;
  /** Epoch milliseconds of the last time that it began to cool down; null before the first. */
  readonly lastOpenedAt: number | null;
}

export class Endpoint {
  readonly name: string;
  readonly url: string;
  readonly policy: AdaptivePolicy;
  readonly machine: AdaptiveMachine;
  inFlight = 0;
  /** Calls that succeeded, and that failed, since it was made. */
  ok = 0;
  failures = 0;
  lateOk = 0;
  lateFailed = 0;
  invalidSamples = 0;
  lastOpenedAt: number | null = null;
  /** Counts up with every choice among all: the smallest has waited longest. */
  chosenAt = 0;
  /** Undefined where nothing limits the calls that are on their way to it. */
  limits: LimitGuard | undefined = undefined;
  /** Whether anybody asked for it since it was last considered for eviction. */
  wasUsed = false;
  #reserved: Ticket[] | undefined = undefined;

  constructor({ name, url }: EndpointListing, policy: AdaptivePolicy, ports: MachinePorts) {
    this.name = name;
    this.url = url ?? name;
    this.policy = policy;
    this.machine = policy.createMachine(ports);
  }

  /** Whether forgetting it would lose nothing but totals and latencies. */
  get isIdle(): boolean {
    return this.inFlight === 0 && !this.machine.hasFailures;
  }

  /** Keeps the slot of a caller who holds no permit: the result will come without a ticket, too. */
  reserve(canary: Ticket): void {
    const reserved = (this.#reserved ??= []);
    reserved.push(canary);
    // There are no more slots than that: the oldest has lost its own.
    if (reserved.length > this.policy.canaryCount) reserved.shift();
  }

  /** The oldest such slot, or undefined. */
  takeReserved(): Ticket | undefined {
    return this.#reserved?.shift();
  }

  stats(): EndpointStats {
    const { inFlight, failures, lateOk, lateFailed, invalidSamples, lastOpenedAt } = this;
    return {
      ...this.machine.stats(),
      inFlight,
      failures,
      lateOk,
      lateFailed,
      invalidSamples,
      lastOpenedAt,
    };
  }
}

/** The right to call an endpoint once. The first of its verbs counts, the others do nothing. */
export interface Permit {
  readonly endpoint: string;
  /** The call succeeded, and took so many milliseconds, if that is known. */
  success(latencyMs?: number): void;
  /** The call failed. Of the error only the message is kept. */
  failure(latencyMs?: number, error?: unknown): void;
  /** The call says nothing of the endpoint, or never began. */
  release(): void;
  /** As `release`: what `using permit = …` does at the end of its block. */
  [Symbol.dispose](): void;
}
