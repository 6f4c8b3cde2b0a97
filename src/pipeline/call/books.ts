// The books of one upstream's calls: each outcome is counted once, told to the breakers of the upstream and
// of the endpoint that the call went to, and then to whoever listens. What it was, settlement has decided.

import type { Failure, Ticket } from "../../core/breaker/machine.ts";
import { errorText } from "../../core/classify.ts";
import type { CallOutcome } from "../../core/outcome.ts";
import {
  ENDED_FAILED,
  ENDED_IGNORED,
  ENDED_OK,
  ENDED_TIMEOUT,
} from "../../core/overload/limiter.ts";
import type { BreakerGuard } from "../breaker/guard.ts";
import type { Emitter } from "../emitter.ts";
import type { EndpointSet } from "../endpoints/set.ts";
import type { Clock } from "../ports.ts";
import type { CallExtra } from "./extra.ts";
import type { Complaints } from "./complaints.ts";
import type { OperationStats } from "./stats.ts";
import type { WatchedCall } from "./watcher.ts";
import type { Watching } from "./watching.ts";

/** What the books of all upstreams of a registry share. */
export interface BooksPorts {
  readonly clock: Clock;
  readonly complaints: Complaints;
  readonly watching: Watching;
}

export class CallBooks {
  /** Calls whose callers wait. */
  inFlight = 0;
  /** Calls that ended for their callers and still run. */
  abandoned = 0;
  /** When the upstream last answered anybody, on the monotonic clock. */
  answeredMs = Number.NEGATIVE_INFINITY;
  endpoints: EndpointSet | undefined;
  readonly #guard: BreakerGuard;
  readonly #emitter: Emitter;
  readonly #ports: BooksPorts;

  constructor(guard: BreakerGuard, emitter: Emitter, ports: BooksPorts) {
    this.#guard = guard;
    this.#emitter = emitter;
    this.#ports = ports;
  }

  finishOk(
    operation: OperationStats,
    ticket: Ticket,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    this.inFlight -= 1;
    this.answeredMs = nowMs;
    extra?.held?.end(ENDED_OK, nowMs, latencyMs);
    operation.ok += 1;
    operation.okDurations.add(latencyMs);
    if (extra?.watched === undefined) this.#settleOk(ticket, latencyMs, nowMs, extra);
    else this.#endOk(extra.watched, ticket, latencyMs, nowMs, extra);
    if (this.#emitter.hears("settled")) this.#tell(operation, "ok", latencyMs);
  }

  finishFailed(
    operation: OperationStats,
    ticket: Ticket,
    kind: "failed" | "timeout",
    failure: Failure,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    this.inFlight -= 1;
    if (kind === "failed") this.answeredMs = nowMs;
    extra?.held?.end(kind === "failed" ? ENDED_FAILED : ENDED_TIMEOUT, nowMs);
    operation[kind] += 1;
    operation.countBadDuration(kind, latencyMs);
    const settle = (): void => this.#settleFailed(ticket, failure, latencyMs, nowMs, extra);
    if (extra?.watched === undefined) settle();
    else this.#ports.watching.ended(this.#guard.name, extra.watched, kind, failure.message, settle);
    if (this.#emitter.hears("failed")) {
      this.#emitter.emit({
        type: "failed",
        upstream: this.#guard.name,
        operation: operation.name,
        outcome: kind,
        error: failure.message,
        latencyMs,
        endpoint: extra?.endpoint?.name,
        at: this.#ports.clock.now(),
      });
    }
    if (this.#emitter.hears("settled")) this.#tell(operation, kind, latencyMs);
  }

  finishIgnored(
    operation: OperationStats,
    ticket: Ticket,
    latencyMs: number,
    extra: CallExtra | undefined,
  ): void {
    this.#settleIgnored(operation, extra, () => this.#guard.settleIgnored(ticket));
    if (this.#emitter.hears("settled")) this.#tell(operation, "ignored", latencyMs);
  }

  /** Whoever waited as long as a slow call takes has seen one; to its caller it ended without an answer. */
  finishSlow(
    operation: OperationStats,
    ticket: Ticket,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    this.#settleIgnored(operation, extra, () => this.#guard.settleOk(ticket, latencyMs, nowMs));
    if (this.#emitter.hears("settled")) this.#tell(operation, "ignored", latencyMs);
  }

  #settleIgnored(
    operation: OperationStats,
    extra: CallExtra | undefined,
    settle: () => void,
  ): void {
    this.inFlight -= 1;
    extra?.held?.end(ENDED_IGNORED, this.#ports.clock.monotonic());
    operation.ignored += 1;
    const settleBoth = (): void => {
      try {
        settle();
      } catch (error) {
        this.#complain(error);
      }
      if (extra?.endpoint === undefined) return;
      this.endpoints?.settleIgnored(extra.endpoint, extra.ticket, this.#ports.clock.monotonic());
    };
    if (extra?.watched === undefined) settleBoth();
    else
      this.#ports.watching.ended(this.#guard.name, extra.watched, "ignored", undefined, settleBoth);
  }

  /** Apart from `finishOk`, which would make room for what the closure holds at each call. */
  #endOk(
    watched: WatchedCall,
    ticket: Ticket,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra,
  ): void {
    const settle = (): void => this.#settleOk(ticket, latencyMs, nowMs, extra);
    this.#ports.watching.ended(this.#guard.name, watched, "ok", undefined, settle);
  }

  /** The upstream's own breaker, then that of the endpoint it went to. */
  #settleOk(ticket: Ticket, latencyMs: number, nowMs: number, extra: CallExtra | undefined): void {
    try {
      this.#guard.settleOk(ticket, latencyMs, nowMs);
    } catch (error) {
      this.#complain(error);
    }
    if (extra?.endpoint === undefined) return;
    this.endpoints?.settleOk(extra.endpoint, extra.ticket, latencyMs, nowMs);
  }

  #settleFailed(
    ticket: Ticket,
    failure: Failure,
    latencyMs: number,
    nowMs: number,
    extra: CallExtra | undefined,
  ): void {
    try {
      this.#guard.settleFailed(ticket, failure, latencyMs, nowMs);
    } catch (error) {
      this.#complain(error);
    }
    if (extra?.endpoint === undefined) return;
    const at = { nowMs, wallMs: this.#ports.clock.now() };
    this.endpoints?.settleFailed(extra.endpoint, extra.ticket, failure, latencyMs, at);
  }

  /** A breaker that fails, ours or a host's own, costs no result. */
  #complain(error: unknown): void {
    const sentence = `the breaker threw when a call was settled, and the call's result stands: ${errorText(error)}`;
    this.#ports.complaints.tell(this.#guard.name, "breaker", sentence);
  }

  #tell(operation: OperationStats, outcome: CallOutcome, latencyMs: number): void {
    this.#emitter.emit({
      type: "settled",
      upstream: this.#guard.name,
      operation: operation.name,
      outcome,
      latencyMs,
      at: this.#ports.clock.now(),
    });
  }
}
