// What persistence needs of an upstream: its present state, at the moment of writing.

import type { BreakerPart, ModePart } from "../../core/fleet/row.ts";
import type { OperatorMode } from "../../core/events.ts";
import type { StoredBreaker } from "../ports.ts";

export interface Persisted {
  readonly name: string;
  readonly isTripped: boolean;
  readonly mode: OperatorMode;
  toStored(): StoredBreaker;
  /** Cleared when memory has something newer than the store. */
  isSaved: boolean;
  /** It is stored now; `revision` is the store's number of that, where it keeps one. */
  saved(revision: number | undefined): void;
  /** It could not be stored, and waits. */
  notSaved(): void;
  /** How many replicas must have seen what it does by itself before it counts for all; 0 for its own affair. */
  readonly reporters: number;
  /** What the fleet knows of it now. `announce` is owed. */
  takeOver(part: BreakerPart): void;
  takeMode(part: ModePart): void;
  /** When probes are due, epoch milliseconds; null where none ever is, or it is not open by itself. */
  readonly probesAt: number | null;
  /** Changes with each opening and closing. */
  readonly epoch: number;
  /** Lets its probes in so much later; nothing where it is no longer as it was in that epoch. */
  postpone(epoch: number, byMs: number): void;
  /** Tells what was taken over. */
  announce(): void;
}
