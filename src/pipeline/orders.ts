// What a person may order, and the ticket of a call that was admitted by such an order: breakers and
// endpoints both take them, and know nothing of each other.

import type { Ticket } from "../core/breaker/machine.ts";
import type { OperatorMode } from "../core/events.ts";

/** A ticket that the machine never sees: admitted by order, or in shadow mode against its word. */
export const UNTRACKED: Ticket = -2;

export interface TripOrder {
  /** Why, for the audit and the log. Default `Manual trip`; cut at 1,024 characters. */
  readonly reason?: string | undefined;
  /** Who. Default `system`; cut at 1,024 characters. */
  readonly actor?: string | undefined;
}

export interface ResetOrder extends TripOrder {
  /** Only `true` itself bypasses the cooldown. */
  readonly force?: boolean | undefined;
}

export interface ModeOrder extends TripOrder {
  readonly mode: OperatorMode;
}
