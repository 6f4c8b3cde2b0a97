// Which of several endpoints takes the next call. Reads only, and allocates nothing.

import type { Endpoint } from "./endpoint.ts";

/**
 * The endpoint whose machine would let a call in now and that is preferred, or undefined. Canaries go
 * first where one is due and none under way, if they may trickle; else only when nothing else is left.
 */
export function preferred(
  endpoints: readonly Endpoint[],
  nowMs: number,
  canaryTrickle: boolean,
): Endpoint | undefined {
  let ordinary: Endpoint | undefined;
  let canary: Endpoint | undefined;
  for (const endpoint of endpoints) {
    const { machine } = endpoint;
    if (!machine.isTripped) {
      if (ordinary === undefined || compare(endpoint, ordinary) < 0) ordinary = endpoint;
    } else if (machine.wouldAdmit(nowMs)) {
      if (canary === undefined || compareCanaries(endpoint, canary, nowMs) < 0) canary = endpoint;
    }
  }
  if (canary === undefined || ordinary === undefined) return canary ?? ordinary;
  return canaryTrickle && canary.machine.canariesUnderWay(nowMs) === 0 ? canary : ordinary;
}

/** For a call that must go somewhere. */
export function leastBad(endpoints: readonly Endpoint[]): Endpoint | undefined {
  let least: Endpoint | undefined;
  for (const endpoint of endpoints) {
    if (least === undefined || compare(endpoint, least) < 0) least = endpoint;
  }
  return least;
}

/** Below 0 when the first is preferred. */
function compare(a: Endpoint, b: Endpoint): number {
  return rank(a) - rank(b) || a.inFlight - b.inFlight || a.chosenAt - b.chosenAt;
}

function compareCanaries(a: Endpoint, b: Endpoint, nowMs: number): number {
  return (
    a.machine.canariesUnderWay(nowMs) - b.machine.canariesUnderWay(nowMs) ||
    a.inFlight - b.inFlight ||
    a.chosenAt - b.chosenAt
  );
}

function rank({ machine }: Endpoint): number {
  return machine.state === "healthy" ? 0 : 1;
}
