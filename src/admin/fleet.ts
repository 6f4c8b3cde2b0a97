// What the API tells of the other replicas: who is there, what each sees, and who has taken over an order.

import type { Context, Hono } from "hono";
import type { Fleet } from "../pipeline/fleet/fleet.ts";
import type { ReplicaView } from "../pipeline/fleet-port.ts";
import type { Switchgear } from "../pipeline/registry.ts";
import { json, problem } from "./answers.ts";

/** Longest that an order waits for others to say that it is in force there, too. */
const RECEIPTS_MS_MAX = 1000;

export interface FleetView {
  /** Who answers. */
  readonly replica: string;
  /** Whether it has read what the store has since it began. */
  readonly synced: boolean;
  readonly replicas: readonly ReplicaView[];
  /** Upstreams that the replicas see differently: what one of them shows of its own counts as one, too. */
  readonly disagreeing: readonly string[];
}

export function addFleet(app: Hono, { fleet }: Switchgear): void {
  app.get("/api/fleet", (_context: Context) =>
    fleet === undefined
      ? problem(404, "no_fleet", "Not found", "The store is this process's own; there is no fleet")
      : json(200, fleetView(fleet)),
  );
}

export function fleetView(fleet: Fleet): FleetView {
  const replicas = fleet.replicas();
  return {
    replica: fleet.replica,
    synced: fleet.isSynced,
    replicas,
    disagreeing: disagreeing(replicas),
  };
}

/** By the version of the newest order: breakers that recover by themselves may differ in between. */
function disagreeing(replicas: readonly ReplicaView[]): string[] {
  const names = new Set(replicas.flatMap(({ breakers }) => Object.keys(breakers)));
  return [...names]
    .filter((name) => {
      const versions = new Set(
        replicas.map(({ breakers }) =>
          Object.hasOwn(breakers, name) ? breakers[name]?.version : 0,
        ),
      );
      return versions.size > 1;
    })
    .toSorted();
}

export interface OrderReach {
  /** Whether the store has it, so that a replica that comes later learns of it. */
  readonly stored: boolean;
  /** Whether another person's order, which whoever gave this one knew nothing of, counts more. */
  readonly overruled: boolean;
  readonly confirmed: readonly string[];
  readonly missing: readonly string[];
}

/** How far an order has come; undefined where there is no fleet. */
export async function reachOf(
  { fleet }: Switchgear,
  upstream: string,
): Promise<OrderReach | undefined> {
  const receipts = await fleet?.receipts(upstream, RECEIPTS_MS_MAX);
  if (receipts === undefined) return undefined;
  const { isStored, isOverruled, confirmed, missing } = receipts;
  return { stored: isStored, overruled: isOverruled, confirmed, missing };
}

/** In words, behind what has happened. */
export function reachText({ stored, overruled, confirmed, missing }: OrderReach): string {
  if (overruled)
    return "; not in force: another person's order, given at the same time, counts more";
  const all = confirmed.length + missing.length;
  if (!stored) {
    return "; in force here alone: the store is away, and the others learn of it when it is back";
  }
  const on = `; in force on ${confirmed.length} of ${all} replicas`;
  return missing.length === 0 ? on : `${on}, not confirmed by ${missing.join(", ")}`;
}
