// A stored state on its way back into a machine, whatever machine wrote it. A row may be of another
// kind than the one that is configured now: the operator changed it, and the trip must not be lost.

import { sanitiseAdaptive } from "./adaptive/restore.ts";
import { sanitiseLatching } from "./latching/restore.ts";
import type { BreakerKind } from "./machine.ts";
import { sanitiseSlidingWindow } from "./sliding-window/restore.ts";
import type { BreakerSnapshot } from "./snapshot.ts";

type Sanitiser = (
  raw: Readonly<Record<string, unknown>>,
  wallMs: number,
  updatedAt: unknown,
) => BreakerSnapshot;

/** A record, so that the compiler asks for a kind added later. */
const SANITISERS: Readonly<Record<BreakerKind, Sanitiser>> = {
  adaptive: sanitiseAdaptive,
  latching: sanitiseLatching,
  "sliding-window": sanitiseSlidingWindow,
};

export function isBreakerKind(value: unknown): value is BreakerKind {
  return typeof value === "string" && Object.hasOwn(SANITISERS, value);
}

/** Makes stored values safe to take over; `updatedAt` dates a trip that has no date of its own. */
export function sanitiseSnapshot(
  kind: BreakerKind,
  raw: Readonly<Record<string, unknown>>,
  wallMs: number,
  updatedAt: unknown,
): BreakerSnapshot {
  return SANITISERS[kind](raw, wallMs, updatedAt);
}

/**
 * The same facts for a machine of another kind: trips, dates and texts carry over, evidence does
 * not, since a count of one kind means nothing to the next.
 */
export function asKind(
  snapshot: BreakerSnapshot,
  kind: BreakerKind,
  wallMs: number,
): BreakerSnapshot {
  if (snapshot.kind === kind) return snapshot;
  return sanitiseSnapshot(kind, { ...snapshot, failureCount: 0 }, wallMs, undefined);
}
