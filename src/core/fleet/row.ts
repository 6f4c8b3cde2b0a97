// What a fleet knows of one breaker, and whose word counts where two did not know of each other. Pure; the
// store's script says the same in its own language, and a test holds the two against each other.
//
// No clock decides. The store hands out a version for every change of a breaker, one higher than all that it
// and the one who orders have seen. An order given by somebody who knew the newest one follows it. Of two that
// knew nothing of each other a person's counts more than what breakers did by themselves, and a trip more than
// a reset: wrongly refusing is noticed, and wrongly hammering a dead upstream is not.

import type { BreakerSnapshot } from "../breaker/snapshot.ts";
import type { OperatorMode } from "../events.ts";

/** One trip, reset, recovery or change of mode. */
export interface Order {
  /** Unique: the replica, and its own count. Told twice it counts once. */
  readonly id: string;
  /** Handed out by the store, for each breaker. */
  readonly version: number;
  /** Whether it refuses calls; of a mode false. */
  readonly isTrip: boolean;
}

/** A breaker as the newest order that closed or opened it left it. */
export interface BreakerPart {
  /** The newest trip or reset by a person; undefined before the first. */
  readonly person: Order | undefined;
  /** The newest trip, reset or recovery by anybody. */
  readonly order: Order;
  readonly snapshot: BreakerSnapshot;
}

/** Modes are only set by people. */
export interface ModePart {
  readonly order: Order;
  readonly mode: OperatorMode;
  /** Epoch milliseconds, for people. */
  readonly at: number;
}

/** Each part is absent where nobody has ordered anything about it. */
export interface FleetRow {
  readonly upstream: string;
  readonly breaker: BreakerPart | undefined;
  readonly mode: ModePart | undefined;
}

/** What somebody knew when giving an order, as versions; 0 for nothing. */
export interface Seen {
  readonly person: number;
  readonly order: number;
  readonly mode: number;
}

export const NOTHING_SEEN: Seen = { person: 0, order: 0, mode: 0 };

export function seenOf(row: FleetRow | undefined): Seen {
  return {
    person: row?.breaker?.person?.version ?? 0,
    order: row?.breaker?.order.version ?? 0,
    mode: row?.mode?.order.version ?? 0,
  };
}

/** What both have seen. */
export function earlier(a: Seen, b: Seen): Seen {
  return {
    person: Math.min(a.person, b.person),
    order: Math.min(a.order, b.order),
    mode: Math.min(a.mode, b.mode),
  };
}

/** The newest version in a row; 0 where there is none. */
export function versionOf(row: FleetRow | undefined): number {
  const { person, order, mode } = seenOf(row);
  return Math.max(person, order, mode);
}

export interface GivenOrder {
  readonly isByPerson: boolean;
  readonly isTrip: boolean;
  /** Before it was given. */
  readonly seen: Seen;
}

/** Whether an order changes what is stored; else whoever gave it takes over what is stored. */
export function isInForce(stored: BreakerPart | undefined, given: GivenOrder): boolean {
  if (stored === undefined) return true;
  const isPersonUnknown = (stored.person?.version ?? 0) > given.seen.person;
  if (given.isByPerson) {
    // What it knew nothing of did not close by itself: a reset is not about another person's trip.
    return given.isTrip || !isPersonUnknown || stored.person?.isTrip !== true;
  }
  if (isPersonUnknown) return false;
  if (stored.order.version <= given.seen.order) return true;
  // Of what breakers do by themselves the first trip counts, and no recovery that knew nothing of it.
  return given.isTrip && !stored.order.isTrip;
}

/** Whether the store lacks what whoever gives an order has seen: it lost something, and is to get it back first. */
export function isBehind(stored: FleetRow | undefined, seen: Seen): boolean {
  const { person, order, mode } = seenOf(stored);
  return person < seen.person || order < seen.order || mode < seen.mode;
}

/** The version of an order that is taken now: one higher than all that the store and whoever gives it have seen. */
export function nextVersion(stored: FleetRow | undefined, seen: Seen): number {
  return Math.max(versionOf(stored), seen.person, seen.order, seen.mode) + 1;
}

/** The replica that gave it. */
export function replicaOf(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf("/")));
}

/** Above 0 where `a` is the one that counts. Versions may be handed out twice after a fail-over that lost some. */
export function compareOrders(a: Order | undefined, b: Order | undefined): number {
  if (a === undefined || b === undefined) return Number(b === undefined) - Number(a === undefined);
  if (a.version !== b.version) return a.version - b.version;
  if (a.isTrip !== b.isTrip) return a.isTrip ? 1 : -1;
  return a.id === b.id ? 0 : a.id > b.id ? 1 : -1;
}

/** People's orders first: what breakers did without knowing the newest of them counts for nothing. */
export function compareBreakers(a: BreakerPart | undefined, b: BreakerPart | undefined): number {
  return compareOrders(a?.person, b?.person) || compareOrders(a?.order, b?.order);
}

export function compareModes(a: ModePart | undefined, b: ModePart | undefined): number {
  return compareOrders(a?.order, b?.order);
}

/** What two know together. Whatever the sequence, and however often: all that have the same rows agree. */
export function mergeRows(a: FleetRow, b: FleetRow): FleetRow {
  return {
    upstream: a.upstream,
    breaker: compareBreakers(b.breaker, a.breaker) > 0 ? b.breaker : a.breaker,
    mode: compareModes(b.mode, a.mode) > 0 ? b.mode : a.mode,
  };
}

/** Whether `known` holds something that `stored` lacks: it is then written back. */
export function hasMore(known: FleetRow, stored: FleetRow | undefined): boolean {
  return (
    compareBreakers(known.breaker, stored?.breaker) > 0 ||
    compareModes(known.mode, stored?.mode) > 0
  );
}
