// What replicas show of themselves, read with care: any process that may write to the store may write this.

import { isOperatorMode } from "../../core/events.ts";
import type { ReplicaView } from "../../pipeline/fleet-port.ts";
import { numberOf, parsed } from "./fields.ts";

/** Of one replica; more is no honest view. */
const BREAKERS_MAX = 1000;

/** As the option `replica` allows them. */
const REPLICA = /^[A-Za-z0-9._-]{1,100}$/;
const REPLICAS_MAX = 1000;

/** Name, age and view by turns. */
export function viewsOf(flat: readonly unknown[]): ReplicaView[] {
  const views: ReplicaView[] = [];
  for (let index = 0; index + 2 < flat.length; index += 3) {
    const replica = flat[index];
    if (typeof replica !== "string" || !REPLICA.test(replica)) continue;
    if (views.length >= REPLICAS_MAX) break;
    const breakers = breakersOf(parsed(flat[index + 2]));
    // Below 0 when the clock was set back, which is no number here.
    views.push({ replica, ageMs: numberOf(flat[index + 1]), breakers });
  }
  return views;
}

function breakersOf(view: unknown): ReplicaView["breakers"] {
  const breakers: Record<string, ReplicaView["breakers"][string]> = Object.create(null) as never;
  if (typeof view !== "object" || view === null) return breakers;
  for (const [name, shown] of Object.entries(view).slice(0, BREAKERS_MAX)) {
    if (typeof shown !== "object" || shown === null) continue;
    const { tripped, mode, version } = shown as Readonly<Record<string, unknown>>;
    breakers[name] = {
      tripped: tripped !== false,
      mode: isOperatorMode(mode) ? mode : "normal",
      version: Number.isSafeInteger(version) && (version as number) >= 0 ? (version as number) : 0,
    };
  }
  return breakers;
}
