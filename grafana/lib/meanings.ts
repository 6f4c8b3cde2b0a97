// Values that stand for something, and names that have a colour of their own: the same on every dashboard.

import { BAD, GOOD, NEUTRAL, ODD, SERVED, TRYING, WARNING, type Color } from "./colours.ts";
import type { Meaning } from "./panel.ts";

export const TRIPPED: readonly Meaning[] = [
  { value: 0, text: "closed", color: GOOD },
  { value: 1, text: "tripped", color: BAD },
];

/** `circuit_breaker_state`. */
export const ENDPOINT_STATES: readonly Meaning[] = [
  { value: 0, text: "healthy", color: GOOD },
  { value: 1, text: "degraded", color: WARNING },
  { value: 2, text: "cooling down", color: BAD },
  { value: 3, text: "half-open", color: TRYING },
];

/** `switchgear_window_state`. */
export const WINDOW_STATES: readonly Meaning[] = [
  { value: 0, text: "closed", color: GOOD },
  { value: 1, text: "open", color: BAD },
  { value: 2, text: "half-open", color: TRYING },
  { value: 3, text: "ramping", color: WARNING },
];

export const OUTCOME_COLOURS: readonly (readonly [string, Color])[] = [
  ["ok", SERVED],
  ["failed", BAD],
  ["timeout", WARNING],
  ["ignored", ODD],
  ["refused", NEUTRAL],
];

export const REASON_COLOURS: readonly (readonly [string, Color])[] = [
  ["tripped", BAD],
  ["half_open_limit|ramping", TRYING],
  ["limit", GOOD],
  ["priority", SERVED],
  ["no_time", WARNING],
  ["load_shed", ODD],
  ["rate_limited", NEUTRAL],
];

/** From the most critical tier to the least. */
export const TIER_COLOURS: readonly (readonly [string, Color])[] = [
  ["critical_plus", BAD],
  ["critical", WARNING],
  ["sheddable_plus", TRYING],
  ["sheddable", NEUTRAL],
];
