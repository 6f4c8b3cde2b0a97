// Finds out which part of a change a store refuses, so that all the rest is written.
//
// By halving: of a thousand changes with one bad one among them it takes twenty commits, and those that
// pass are durable on the way. Who is refused is only believed where something else passed: a store
// that takes nothing at all has no bad rows, it is broken.

import { faultOf, type StoreFault } from "./checked-store.ts";

/** Commits in one go; what is left waits for the next. About 20 ms where SQLite refuses each. */
export const COMMITS_MAX = 256;

/**
 * Failures that do not say what they are about, in a row from the start. A store that takes nothing must
 * not be asked once for each row: halving a hundred thousand comes down to one in 17.
 */
const BLIND_MAX = 20;

export interface Refusal<Item> {
  readonly item: Item;
  readonly fault: StoreFault;
}

export interface Parted<Item> {
  readonly refused: readonly Refusal<Item>[];
  /** Some commit passed. */
  readonly hasPassed: boolean;
  /** What ended it before all was tried: it is about the store as a whole. */
  readonly fault: StoreFault | undefined;
}

export interface Budget {
  commits: number;
}

/** Commits in parts, in order. `commit` throws what the store throws. */
export function commitApart<Item>(
  items: readonly Item[],
  commit: (part: readonly Item[]) => void,
  budget: Budget,
): Parted<Item> {
  const refused: Refusal<Item>[] = [];
  let hasPassed = false;
  let blind = 0;

  /** What is left to try, the next part last. */
  const parts: (readonly Item[])[] = items.length === 0 ? [] : [items];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    if (budget.commits <= 0) break;
    budget.commits -= 1;
    try {
      commit(part);
      hasPassed = true;
      continue;
    } catch (error) {
      const fault = faultOf(error);
      if (fault.concerns === "either" && !hasPassed) blind += 1;
      if (fault.concerns === "store" || blind > BLIND_MAX) return { refused, hasPassed, fault };
      const [only] = part;
      if (part.length === 1) refused.push({ item: only as Item, fault });
      else {
        const half = Math.ceil(part.length / 2);
        parts.push(part.slice(half), part.slice(0, half));
      }
    }
  }
  return { refused, hasPassed, fault: undefined };
}
