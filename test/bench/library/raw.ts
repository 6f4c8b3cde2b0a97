// The call that everything guards, and what it costs unguarded.

import type { Case } from "./measure.ts";

export const ODDS = { bookmaker: "draftkings", odds: [1.9, 2.05] };

export const fetchOdds = async () => ODDS;

/** What results are put into, so that no compiler finds the work useless. */
export const sink: { value: unknown; count: number } = { value: undefined, count: 0 };

export const raw: Case = {
  id: "raw",
  async run(count) {
    for (let n = 0; n < count; n += 1) sink.value = await fetchOdds();
  },
};
