// `fetch`, guarded to the last byte of the answer: what its status says, its `Retry-After`, a body that stalls
// or breaks off. The signal is passed on by itself.

import type { CallOptions, Upstream } from "../index.ts";
import { InvalidOptionsError } from "../core/errors.ts";
import { property } from "../core/foreign.ts";
import { refuseOdd, unreadable } from "../pipeline/call/call-check.ts";
import { addressAt, checkAddress } from "./address.ts";
import { heldResponse } from "./body.ts";

/** What `fetch` is, whoever made it. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** The same of a package whose own classes it answers with, such as undici's. */
export type ForeignFetch = (
  input: never,
  init?: never,
) => Promise<{
  readonly status: number;
  readonly ok: boolean;
  readonly body: unknown;
  readonly headers: { get(name: string): string | null };
}>;

/** What one call may say beside what `fetch` takes. */
export interface GuardedFetchOptions extends Omit<CallOptions, "signal"> {
  /**
   * For answers that are streams, such as server-sent events: the deadline then ends with the answer's head,
   * and a wait for more of the body may take so many milliseconds. Above 0. Default: the deadline covers the
   * body.
   */
  readonly idleMs?: number | undefined;
}

export type GuardedFetch = (
  input: string | URL | Request,
  init?: RequestInit | null,
  options?: GuardedFetchOptions,
) => Promise<Response>;

/**
 * `fetch` under the guard of `upstream`. It answers what `fetch` answers, for every status; a status of 5xx
 * counts against the upstream, 408 as its timeout, 429 as `status429` says. The call lasts until the body is
 * read, is dropped or cancelled; its deadline passes with a `DeadlineError`, in the body, too. A caller that
 * reads slowly or not at all is not the upstream's fault.
 *
 * On an upstream with endpoints the address is a path, such as `/odds`, and goes to the endpoint that the guard
 * chooses, below its URL's own path; any other address is refused with an `InvalidOptionsError`.
 *
 * Rejects with a `RefusedError` when the call was turned away, else with what `fetch` rejects with. Default
 * `fetch`: the platform's, looked up at each call.
 * @example
 * const draftkings = guardFetch(gear.upstream("draftkings"));
 * const odds = await draftkings("https://odds.example/nfl", { headers }, { operation: "odds" });
 */
export function guardFetch(upstream: Upstream, fetch?: Fetch): GuardedFetch;
export function guardFetch(upstream: Upstream, fetch: ForeignFetch): GuardedFetch;
export function guardFetch(upstream: Upstream, fetch?: Fetch | ForeignFetch): GuardedFetch {
  if (typeof (upstream as Partial<Upstream> | undefined)?.hold !== "function") {
    throw new InvalidOptionsError("guardFetch", [
      'the first argument must be a guard, such as gear.upstream("draftkings")',
    ]);
  }
  if (fetch !== undefined && typeof fetch !== "function") {
    throw new InvalidOptionsError("guardFetch", ["the second argument must be a fetch function"]);
  }
  return (input, init, options) => {
    let given: Parameters<Upstream["hold"]>[1];
    try {
      checkAddress(upstream, input);
      if (options !== undefined && options !== null) checkFetchOptions(upstream.name, options);
      given = { ...options, signal: signalOf(input, init) };
    } catch (error) {
      return Promise.reject(unreadable(upstream.name, error));
    }
    return upstream.hold(async ({ signal, endpoint }, held) => {
      const call = (fetch ?? globalThis.fetch) as Fetch;
      const address = endpoint === undefined ? input : addressAt(input, endpoint.url);
      return heldResponse(await call(address, { ...init, signal }), held, signal);
    }, given);
  };
}

/** A signal in here would be heeded by nobody: all else is the guard's affair. */
function checkFetchOptions(upstream: string, options: GuardedFetchOptions): void {
  refuseOdd(upstream, options);
  if (property(options, "signal") === undefined) return;
  throw new InvalidOptionsError(`a call of ${upstream}`, [
    "signal must stand in the second argument, as fetch has it: (url, { signal }, options)",
  ]);
}

/** As `fetch` has it: that of the second argument, null for none, before that of a `Request`. */
function signalOf(
  input: string | URL | Request,
  init: RequestInit | null | undefined,
): AbortSignal | null | undefined {
  return init?.signal === undefined
    ? (property(input, "signal") as AbortSignal | undefined)
    : init.signal;
}
