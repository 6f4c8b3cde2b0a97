// Makes a stored latching state safe to take over.

import { WEIGHT_MAX } from "../../outcome.ts";
import { isNumber, sanitiseFacts, sanitiseTrip, type Unchecked } from "../sanitise.ts";
import type { LatchingSnapshot } from "../snapshot.ts";

/** `updatedAt` dates a trip that older versions stored without a date. */
export function sanitiseLatching(
  raw: Unchecked<LatchingSnapshot>,
  wallMs: number,
  updatedAt: unknown,
): LatchingSnapshot {
  const { failureCount } = raw;
  return {
    version: 1,
    kind: "latching",
    failureCount:
      isNumber(failureCount) && failureCount > 0 ? Math.min(failureCount, WEIGHT_MAX) : 0,
    ...sanitiseTrip(raw, wallMs, updatedAt),
    ...sanitiseFacts(raw, wallMs),
  };
}
