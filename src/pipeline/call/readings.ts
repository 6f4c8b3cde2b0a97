// What can be read of one upstream: everything that people ask about it, and what meters count.

import type { BreakerGuard } from "../breaker/guard.ts";
import { limitStatus, type MeteredLimit } from "../overload/status.ts";
import type { Clock } from "../ports.ts";
import type { CallBooks } from "./books.ts";
import type { Door } from "./door.ts";
import type { OperationStats } from "./stats.ts";
import {
  endpointStatus,
  meterOf,
  meterOfSnapshot,
  statusOf,
  type EndpointMeter,
  type UpstreamStatus,
} from "./status.ts";

/** Of what an upstream is made. */
export interface Readable {
  readonly guard: BreakerGuard;
  readonly books: CallBooks;
  readonly door: Door;
  readonly clock: Clock;
}

export function upstreamStatus({ guard, books, door, clock }: Readable): UpstreamStatus {
  guard.look();
  return {
    upstream: guard.name,
    ...statusOf(guard.snapshot()),
    state: guard.state,
    mode: guard.mode,
    failureThreshold: guard.policy.failureThreshold,
    needsPerson: guard.isTripped && guard.refusal().retryAfterMs === undefined,
    cooldownRemainingMs: guard.cooldownRemainingMs(),
    persisted: guard.isSaved,
    inFlight: books.inFlight,
    abandoned: books.abandoned,
    limit: door.limits === undefined ? null : limitStatus(door.limits),
    rates: door.rates?.statuses(clock.monotonic()) ?? [],
    endpoints: door.endpoints === undefined ? [] : door.endpoints.endpoints.map(endpointStatus),
  };
}

/** Endpoints with a breaker of their own; an adaptive upstream is one as a whole. */
export function meteredEndpoints(
  { guard, door }: Readable,
  operations: Iterable<OperationStats>,
): EndpointMeter[] {
  const { name } = guard;
  const meters = door.endpoints?.endpoints.map((endpoint) => meterOf(endpoint, name)) ?? [];
  guard.look();
  const snapshot = guard.snapshot();
  if (snapshot.kind !== "adaptive") return meters;
  let ok = 0;
  let failures = 0;
  for (const counts of operations) {
    ok += counts.ok;
    failures += counts.failed + counts.timeout;
  }
  const { lastOpenedAt } = guard;
  const own = { name, upstream: undefined, ok, failures, lastOpenedAt };
  return [...meters, { ...meterOfSnapshot(snapshot), ...own }];
}

/** Whatever limits the calls in flight: of the upstream, or of each endpoint. */
export function meteredLimits({ door: { endpoints, limits } }: Readable): MeteredLimit[] {
  const places = endpoints?.endpoints ?? [{ name: undefined, limits }];
  return places.flatMap(({ name: endpoint, limits: guard }) =>
    guard === undefined ? [] : [{ endpoint, guard }],
  );
}
