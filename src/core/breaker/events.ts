// What all machines tell in the same words.

import type { AnyTripEvidence, MachineEvent } from "../events.ts";
import { SYSTEM, type OperatorOrder } from "./machine.ts";

export interface TripByRule<Evidence = AnyTripEvidence> {
  readonly evidence: Evidence;
  readonly failureCount: number;
  readonly lastError: string;
  /** The evidence in a sentence. */
  readonly reason: string;
}

export interface TripByHand {
  /** False when it was tripped already. */
  readonly isNewTrip: boolean;
  readonly failureCount: number;
}

export function trippedByRule(trip: TripByRule): MachineEvent {
  // Machines keep it and tell it on: no listener may change it for them, or for the next listener.
  Object.freeze(trip.evidence);
  return { type: "trip", manual: false, isNewTrip: true, actor: SYSTEM, ...trip };
}

export function trippedByHand({ reason, actor }: OperatorOrder, trip: TripByHand): MachineEvent {
  return { type: "trip", manual: true, ...trip, lastError: reason, actor, reason, evidence: null };
}

export function recovered(latencyMs: number, reason: string): MachineEvent {
  return { type: "recovery", latencyMs, actor: SYSTEM, reason };
}

export function resetBy(order: OperatorOrder & { readonly force: boolean }): MachineEvent {
  const { reason, actor, force: forced } = order;
  return { type: "reset", forced, actor, reason };
}
