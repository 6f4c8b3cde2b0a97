// Where calls are watched from outside, such as by a tracer: told of each call when it begins, what it
// was refused for or where it went, and how it ended. Nobody watches by default, and a call then pays
// for one comparison.

import type { RefusalReason } from "../../core/events.ts";
import type { CallOutcome } from "../../core/outcome.ts";

export interface CallFacts {
  readonly upstream: string;
  readonly operation: string;
  /** What an adapter knows of where the call comes from, as it handed it in. */
  readonly parent: unknown;
}

export interface CallWatcher {
  /** A call was asked for. What it throws makes the call an unwatched one, and is told once. */
  begin(facts: CallFacts): WatchedCall;
}

/** One call, as its watcher sees it. What its methods throw is told once, and costs the call nothing. */
export interface WatchedCall {
  /** Turned away: this is its end. */
  refused(reason: RefusalReason): void;
  /** Let in, to this endpoint where the upstream has several. */
  admitted(endpoint: string | undefined): void;
  /** Runs what the call does, so that what it starts belongs to it. */
  within<Result>(fn: () => Result): Result;
  /** Settles the call in the breaker: transitions that it causes happen inside of `settle`. */
  ended(outcome: CallOutcome, error: unknown, settle: () => void): void;
}
