// What replicas tell each other of what a breaker did by itself. A latching one is always told of, since nobody but a
// person closes it. One that recovers by itself is each replica's own affair unless it is asked for: one replica with
// a broken way out must not stop all others.

import { InvalidOptionsError } from "../errors.ts";
import { show } from "../options.ts";

/**
 * `orders`: what people order alone. `trips`: one replica that opens opens all. `{ quorum: k }`: as soon as k of
 * them have, all the others.
 */
export type Share = "orders" | "trips" | { readonly quorum: number };

const QUORUM_MAX = 1000;

/** How many replicas must have opened before all others do; 0 for never. Throws `InvalidOptionsError`. */
export function reportersOf(subject: string, share: Share | undefined): number {
  if (share === undefined || share === "orders") return 0;
  if (share === "trips") return 1;
  const quorum: unknown =
    typeof share === "object" && share !== null
      ? (share as { quorum?: unknown }).quorum
      : undefined;
  if (Number.isInteger(quorum) && Number(quorum) >= 2 && Number(quorum) <= QUORUM_MAX) {
    return Number(quorum);
  }
  throw new InvalidOptionsError(subject, [
    `share must be "orders", "trips" or { quorum: k } with k from 2 to ${QUORUM_MAX}, not ${show(share)}`,
  ]);
}
