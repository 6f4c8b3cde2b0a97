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
  const { incidents, deliveries } = await world.until("the pages end", async () => {
    const heard = await world.heard();
    return heard.incidents.every(({ resolvedAtMs }) => resolvedAtMs !== undefined)
      ? heard
      : undefined;
  });
  assert.ok(incidents.length > 0);
  assert.deepEqual(
    deliveries.filter(({ status }) => status !== 202).map(({ errors }) => errors),
    [],
  );
}
