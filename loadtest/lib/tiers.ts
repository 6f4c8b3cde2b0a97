// How critical calls are.

/** Most critical first, with the share of ten calls that each has. */
const TIERS = [
  ["critical_plus", 1],
  ["critical", 3],
  ["sheddable", 6],
] as const;
export type Tier = (typeof TIERS)[number][0];
export const TOP_TIER: Tier = "critical_plus";

/** Of the `index`th call: always the same, and each ten calls have all. */
export function tierOf(index: number): Tier {
  let place = index % 10;
  for (const [tier, share] of TIERS) {
    if (place < share) return tier;
    place -= share;
  }
  return "sheddable";
}
