// What persistence needs of an upstream: its present state, at the moment of writing.

import type { StoredBreaker } from "../ports.ts";

export interface Persisted {
  readonly name: string;
  toStored(): StoredBreaker;
  /** Cleared when memory has something newer than the store. */
  isSaved: boolean;
  /** It is stored now; `revision` is the store's number of that, where it keeps one. */
  saved(revision: number | undefined): void;
  /** It could not be stored, and waits. */
  notSaved(): void;
}
