// What only some calls have: an endpoint of several, a permit of the limiter, and somebody who watches.

import type { Ticket } from "../../core/breaker/machine.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { HeldPermit } from "../overload/held-permit.ts";
import type { WatchedCall } from "./watcher.ts";

export interface CallExtra {
  /** Where it goes; undefined for an upstream without endpoints. */
  readonly endpoint: Endpoint | undefined;
  /** The endpoint's own; meaningless without one. */
  readonly ticket: Ticket;
  /** Absent when nothing limits the calls in flight. */
  readonly held?: HeldPermit | undefined;
  /** Absent when nobody watches. */
  readonly watched?: WatchedCall | undefined;
}
