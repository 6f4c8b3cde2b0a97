// What calls tell their watcher, and what it may cost them: nothing. A tracer's processor that throws takes
// neither a call's result nor its settlement; the first of its faults is told in a warning of the process.

import { errorText } from "../../core/classify.ts";
import type { RefusalReason } from "../../core/events.ts";
import { whenRejected } from "../../core/foreign.ts";
import type { CallOutcome } from "../../core/outcome.ts";
import type { Complaints } from "./complaints.ts";
import type { CallFacts, CallWatcher, WatchedCall } from "./watcher.ts";

/** What the call that is watched came to. */
type Came<Result> = { readonly value: Result } | { readonly error: unknown };

/** The watcher of a registry's calls, as those calls may use it. */
export class Watching {
  readonly #complaints: Complaints;

  constructor(complaints: Complaints) {
    this.#complaints = complaints;
  }

  /** Undefined when the watcher failed: the call is then an unwatched one. */
  begin(watcher: CallWatcher, facts: CallFacts): WatchedCall | undefined {
    let watched: WatchedCall | undefined;
    this.#contain(facts.upstream, "begin", () => (watched = watcher.begin(facts)));
    return watched;
  }

  refused(upstream: string, watched: WatchedCall, reason: RefusalReason): void {
    this.#contain(upstream, "refused", () => watched.refused(reason));
  }

  admitted(upstream: string, watched: WatchedCall, endpoint: string | undefined): void {
    this.#contain(upstream, "admitted", () => watched.admitted(endpoint));
  }

  /** Runs `fn` once, inside of the watched call where the watcher can, and answers what it does. */
  within<Result>(upstream: string, watched: WatchedCall, fn: () => Result): Result {
    let came: Came<Result> | undefined;
    const run = (): Result => {
      came ??= cameOf(fn);
      return resultOf(came);
    };
    // Where it answers with a promise, that is the call's own or fails as the call does.
    this.#contain(upstream, "within", () => whenRejected(watched.within(run)));
    return run();
  }

  /** Settles once, inside of the watched call where the watcher can. */
  ended(
    upstream: string,
    watched: WatchedCall,
    outcome: CallOutcome,
    error: string | undefined,
    settle: () => void,
  ): void {
    let isSettled = false;
    const once = (): void => {
      if (isSettled) return;
      isSettled = true;
      settle();
    };
    this.#contain(upstream, "ended", () => watched.ended(outcome, error, once));
    once();
  }

  #contain(upstream: string, method: string, tell: () => unknown): void {
    const complain = (error: unknown): void => {
      const sentence = `the watcher of calls threw in ${method}, and the call went on: ${errorText(error)}`;
      this.#complaints.tell(upstream, "watcher", sentence);
    };
    try {
      whenRejected(tell(), complain);
    } catch (error) {
      complain(error);
    }
  }
}

function cameOf<Result>(fn: () => Result): Came<Result> {
  try {
    return { value: fn() };
  } catch (error) {
    return { error };
  }
}

function resultOf<Result>(came: Came<Result>): Result {
  if ("error" in came) throw came.error;
  return came.value;
}
