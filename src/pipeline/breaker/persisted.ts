// What persistence needs of an upstream: its present state, at the moment of writing.

import type { StoredBreaker } from "../ports.ts";

export interface Persisted {
  readonly name: string;
  toStored(): StoredBreaker;
  /** Set when the state is handed over, cleared when memory has something newer. */
  isSaved: boolean;
}
