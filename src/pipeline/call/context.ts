// What a guarded function is given. The signal is made when it is asked for: most of the cost of a
// call with a signal is the signal.

import { AsyncResource } from "node:async_hooks";
import type { EndpointTarget } from "./admission.ts";

/** Given to the function that `execute` runs. */
export interface CallContext {
  /**
   * Aborts when the caller aborts or the deadline passes, whichever is first, with the caller's
   * reason or a `DeadlineError`. One signal per call; nobody else's call is aborted with it.
   */
  readonly signal: AbortSignal;
  /** Where this call is to go; undefined for an upstream without endpoints. */
  readonly endpoint: EndpointTarget | undefined;
}

/** The context of a call that nothing can abort. Its signal exists only if it is looked at. */
export class PlainContext implements CallContext {
  readonly endpoint: EndpointTarget | undefined;
  #signal: AbortSignal | undefined = undefined;

  constructor(endpoint: EndpointTarget | undefined) {
    this.endpoint = endpoint;
  }

  get signal(): AbortSignal {
    // One per call rather than one for all: listeners would pile up on a signal that never ends.
    return (this.#signal ??= new AbortController().signal);
  }
}

/** The context of a call with a deadline or a caller's signal. */
export class AbortableContext implements CallContext {
  readonly endpoint: EndpointTarget | undefined;
  #controller: AbortController | undefined = undefined;
  #aborted: { readonly reason: unknown } | undefined = undefined;
  /** Whose deadline it was must not depend on whose timer it is: listeners run in the call's own context. */
  #ownContext: AsyncResource | undefined = undefined;

  constructor(endpoint: EndpointTarget | undefined) {
    this.endpoint = endpoint;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#ownContext = new AsyncResource("SWITCHGEAR_CALL");
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted = { reason };
    this.#ownContext?.runInAsyncScope(() => this.#controller?.abort(reason));
  }
}
