// What all calls of a gateway on Bun share.

import type { FrontDesk } from "../reception.ts";
import type { AgingTable } from "./aging.ts";

/** A connection on which nothing moves for so long is closed, in whatever phase; calls see to their own. */
export const IDLE_SECONDS = 120;

export interface Front {
  readonly desk: FrontDesk;
  readonly controllers: ControllerPool;
  readonly aging: AgingTable;
  isWindingDown: boolean;
}

/** Kept for later calls, about a kilobyte each. */
const KEPT_MAX = 1024;

/**
 * The means to let go of an upstream, used again once a call's answer was whole: an `AbortController` per
 * call costs about 2 % of it. What an earlier call left on the signal is over, so that no call can be cut
 * with another; one that was aborted is thrown away.
 */
export class ControllerPool {
  readonly #free: AbortController[] = [];

  take(): AbortController {
    return this.#free.pop() ?? new AbortController();
  }

  giveBack(controller: AbortController): void {
    if (controller.signal.aborted || this.#free.length >= KEPT_MAX) return;
    this.#free.push(controller);
  }
}
