// Which of several endpoints takes the next call. Reads only, and allocates nothing.

import type { Endpoint } from "./endpoint.ts";

/** Choices after which a degraded endpoint gets its turn: a tenth of the calls at most. */
const TURN_AFTER = 10;

/**
 * The endpoint whose machine would let a call in now and that is preferred, or undefined. `choices` is
 * how many were made so far. With `trickle`, an endpoint that is due for a canary and has none under
 * way goes first, then a degraded one whose turn has come; without, both wait until nothing better is
 * left.
 */
export function preferred(
  endpoints: readonly Endpoint[],
  nowMs: number,
  choices: number,
  trickle: boolean,
): Endpoint | undefined {
  let ordinary: Endpoint | undefined;
  let passedOver: Endpoint | undefined;
  let canary: Endpoint | undefined;
  for (const endpoint of endpoints) {
    const { machine } = endpoint;
    if (!machine.isTripped) {
      if (ordinary === undefined || compare(endpoint, ordinary) < 0) ordinary = endpoint;
      const isTurn = rank(endpoint) > 0 && choices - endpoint.chosenAt >= TURN_AFTER;
      if (isTurn && (passedOver === undefined || endpoint.chosenAt < passedOver.chosenAt)) {
        passedOver = endpoint;
      }
    } else if (machine.wouldAdmit(nowMs)) {
      if (canary === undefined || compareCanaries(endpoint, canary, nowMs) < 0) canary = endpoint;
    }
  }
  if (ordinary === undefined) return canary;
  if (!trickle) return ordinary;
  if (canary !== undefined && canary.machine.canariesUnderWay(nowMs) === 0) return canary;
  // Among degraded ones there is nobody to be preferred to.
  return rank(ordinary) === 0 ? (passedOver ?? ordinary) : ordinary;
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
