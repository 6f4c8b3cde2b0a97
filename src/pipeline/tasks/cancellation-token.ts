// Asking work to end, without a timer and without asking again and again: an `AbortSignal` under the
// names of the source system, with waiters that can leave.
//
// A promise keeps every reaction until it settles. Who races a long-lived promise in a loop therefore
// leaks one reaction for each turn, whatever the token does; `race` is the way that does not.

import { whenRejected } from "../../core/foreign.ts";

export class CancellationToken {
  readonly #controller = new AbortController();
  readonly #listeners = new Set<() => unknown>();
  #cancelled: Promise<void> | undefined = undefined;

  /** Aborts with the token: for `fetch`, timers and streams. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  isCancelled(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Wakes everybody who waits, once; further calls do nothing. What a listener throws stops nobody. */
  cancel(): void {
    this.#controller.abort();
    // Taken out first: the second time there is nobody left, and a listener may cancel again.
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) notify(listener);
  }

  /** Calls `listener` once when the token is cancelled, at once if it is; the answer ends that. */
  onCancel(listener: () => unknown): () => void {
    // A function of its own: the same listener may be given twice, and each is ended for itself.
    const entry = (): unknown => listener();
    if (this.isCancelled()) notify(entry);
    else this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Resolves when the token is cancelled, the same promise for all. In a loop use `race`. */
  cancelled(): Promise<void> {
    return (this.#cancelled ??= new Promise((resolve) => {
      this.onCancel(resolve);
    }));
  }

  /**
   * Resolves with what `work` resolves with, or with undefined as soon as the token is cancelled;
   * rejects as `work` does. Leaves nothing behind on the token when `work` is first.
   */
  race<Value>(work: PromiseLike<Value>): Promise<Value | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Value | undefined>();
    const leave = this.onCancel(() => resolve(undefined));
    work.then(
      (value) => {
        leave();
        resolve(value);
      },
      (error: unknown) => {
        leave();
        reject(error);
      },
    );
    return promise;
  }
}

function notify(listener: () => unknown): void {
  try {
    whenRejected(listener());
  } catch {
    // Its own affair; the others wait to be told.
  }
}
