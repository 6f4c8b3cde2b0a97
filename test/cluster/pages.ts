// What PagerDuty's stand-in in the cluster has heard of one bookmaker.

import assert from "node:assert/strict";
import type { Incident } from "../pager/pagerduty.ts";
import type { World } from "./world.ts";

const RUNBOOK = "/CircuitBreakerTripped.md";

/** Oldest first. */
export async function incidentsOf(world: World, bookmaker: string): Promise<Incident[]> {
  const { incidents } = await world.heard();
  return incidents.filter(
    ({ triggers: [first] }) =>
      first?.links?.some(({ href }) => href.endsWith(RUNBOOK)) === true &&
      first.payload?.summary.includes(bookmaker) === true,
  );
}

export function openIncident(world: World, bookmaker: string): Promise<Incident> {
  return world.until(`a page for ${bookmaker}`, async () => {
    const latest = (await incidentsOf(world, bookmaker)).at(-1);
    return latest?.resolvedAtMs === undefined ? latest : undefined;
  });
}

/** All that were opened have ended by themselves, and nothing that was sent was refused. */
export async function allResolved(world: World): Promise<void> {
  await world.until("the pages end", async () => {
    const { incidents } = await world.heard();
    return incidents.every(({ resolvedAtMs }) => resolvedAtMs !== undefined) || undefined;
  });
  await nothingRefused(world);
}

/** The stand-in keeps nothing when its node falls: what it is told of an incident of before is all that can be seen. */
export async function hears(
  world: World,
  action: "trigger" | "resolve",
  key: string,
): Promise<void> {
  await world.until(`PagerDuty hears ${action}`, async () => {
    const { deliveries } = await world.heard();
    const isIt = deliveries.some(
      ({ event }) => event?.event_action === action && event.dedup_key === key,
    );
    return isIt || undefined;
  });
  await nothingRefused(world);
}

async function nothingRefused(world: World): Promise<void> {
  const { deliveries } = await world.heard();
  assert.ok(deliveries.length > 0);
  assert.deepEqual(
    deliveries.filter(({ status }) => status !== 202).map(({ errors }) => errors),
    [],
  );
}
