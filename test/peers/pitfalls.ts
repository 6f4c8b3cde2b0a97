// All rows, in the order of the page.

import { CALLS } from "./calls.ts";
import { CLOCKS } from "./clocks.ts";
import { COUNTING } from "./counting.ts";
import { DEADLINES } from "./deadlines.ts";
import { HALF_OPEN } from "./half-open.ts";
import { LATE_RESULTS } from "./late-results.ts";
import { SAVED_STATE } from "./saved-state.ts";
import type { Pitfall } from "./stage.ts";

export const PITFALLS: readonly Pitfall[] = [
  ...LATE_RESULTS,
  ...HALF_OPEN,
  ...CLOCKS,
  ...COUNTING,
  ...DEADLINES,
  ...CALLS,
  ...SAVED_STATE,
];
