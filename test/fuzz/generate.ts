// The nth exchange of a seed. Most of what an exchange consists of is ordinary, so that what is odd in it is
// seen and not hidden behind another oddity.

import type { Exchange, SentRequest } from "./exchange.ts";
import { answer } from "./grammar-answers.ts";
import { request } from "./grammar-requests.ts";
import { Pick } from "./pick.ts";

export function generate(seed: number, index: number): Exchange {
  const pick = new Pick(seed, index);
  const count = pick.weighted([
    [86, 1],
    [10, 2],
    [4, 3],
  ]);
  const requests: SentRequest[] = pick.times(count, () => request(pick));
  return {
    isWarm: pick.chance(30),
    isRewritten: pick.chance(10),
    // One transport takes none: there is little to see.
    isPipelined: count > 1 && pick.chance(8),
    requests,
    answers: pick.times(count, () => answer(pick)),
  };
}
