// Who suffers when a call is not made. The four names are those of Google's SRE book, chapter
// "Handling Overload".

/** From the most to the least; a tier is a name's place in this list. */
export const CRITICALITIES = ["critical_plus", "critical", "sheddable_plus", "sheddable"] as const;
export type Criticality = (typeof CRITICALITIES)[number];

/** Of a call that says nothing of it. */
export const CRITICALITY_DEFAULT: Criticality = "critical";

/** A criticality as a number: 0 is the last to be refused. */
export type Tier = 0 | 1 | 2 | 3;

const TIER_DEFAULT: Tier = 1;

export function isCriticality(value: unknown): value is Criticality {
  return CRITICALITIES.includes(value as Criticality);
}

/** Undefined is the default. */
export function tierOf(criticality: Criticality | undefined): Tier {
  if (criticality === undefined) return TIER_DEFAULT;
  return CRITICALITIES.indexOf(criticality) as Tier;
}
