// What `tryAcquire` answers: for adapters that must neither throw nor await.

import type { RefusalReason } from "../../core/events.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { Criticality } from "../../core/overload/criticality.ts";
import type { WatchedCall } from "./watcher.ts";

/** One of an upstream's base URLs. */
export interface EndpointTarget {
  readonly name: string;
  readonly url: string;
}

/** What the caller says about one call. */
export interface CallOptions {
  /** Named kind of call, for metrics, logs and errors. Default `unknown`. */
  readonly operation?: string | undefined;
  /** How heavy the call is, 0–1000; outside values are clamped. Default 0: never shed. */
  readonly load?: number | undefined;
  /**
   * Who suffers when the call is not made; under overload the least critical are refused first. From the most to
   * the least: `critical_plus`, `critical`, `sheddable_plus`, `sheddable`. Default `critical`.
   */
  readonly criticality?: Criticality | undefined;
  /** The caller's wish to stop. An abort is no evidence against the upstream. */
  readonly signal?: AbortSignal | null | undefined;
  /** What an adapter hands to whoever watches calls, such as the caller's trace context. */
  readonly parent?: unknown;
  /**
   * May shorten the upstream's deadline, never lengthen it; that of an adapter, which keeps it itself, may do either.
   * Milliseconds above 0.
   */
  readonly deadlineMs?: number | undefined;
}

/** The call may start. Exactly one `settle` counts; further ones are ignored. */
export interface Admitted {
  readonly admitted: true;
  /** Where the call is to go; undefined for an upstream without endpoints. */
  readonly endpoint?: EndpointTarget | undefined;
  /** The call as its watcher sees it; undefined when nobody watches. */
  readonly watched?: WatchedCall | undefined;
  /**
   * Tells that the answer has begun: an upstream that sends is not silent. With the milliseconds it took, a good
   * one: what an adaptive limiter counts as in flight has then ended, and how fast the rest is read is its reader's
   * affair; a fixed one counts the call until it is settled. May be left out.
   */
  answering?(latencyMs?: number): void;
  /**
   * The caller is not ready yet, as one that still sends its request: nothing is in flight. `hasBegun`: the upstream
   * has a part of it, and so a connection, which a fixed limit goes on counting. May be left out.
   */
  pause?(hasBegun?: boolean): void;
  /**
   * Ends `pause`. A refusal when there is no room for the call any more: it is then settled as `ignored`, and its
   * caller is told. `isSending`: the request is passed on from here as it comes, and until `resume` is called once
   * more, or `pause`, nobody waits for the upstream.
   */
  resume?(isSending?: boolean): Refused | undefined;
  settle(outcome: Outcome): void;
}

/** The call may not start. Nothing has to be settled. Its times are read when they are asked for. */
export interface Refused {
  readonly admitted: false;
  readonly reason: RefusalReason;
  readonly upstream: string;
  readonly operation: string;
  /** Until another try may be admitted; undefined when only a person can help. */
  readonly retryAfterMs: number | undefined;
  /** Until a reset is accepted without force, or until the next probe; never negative. */
  readonly remainingMs: number;
  readonly manual: boolean;
  /** Of a call over a limit: why there is no room, where it is not that its upstream has as much to do as it can. */
  readonly why?: string | undefined;
  /** Set when the load shedder refused: 0–1. */
  readonly systemLoad: number | undefined;
  readonly operationLoad: number | undefined;
}

export type Admission = Admitted | Refused;
