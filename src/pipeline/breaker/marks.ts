// When the newest orders about a breaker were given: by the place that they have in the store's order of
// writing, and by the clock. Clocks of two processes may differ by hours, so the place decides wherever
// both have one: what was written later is later. An order that waited for a failing store has no place among
// what others wrote meanwhile, and is told from that by its date.

import { UNWRITTEN, type OrderPlaces, type StoredBreaker } from "../ports.ts";

export interface Mark {
  /** Wall clock; 0 where nothing was ordered. */
  readonly wallMs: number;
  /** 0 where none is known. */
  readonly place: number;
  /** Of one that is not written yet: the store's revision when it was given. What stands there is older. */
  readonly since: number;
  /** Of one that is not written yet: the store failed since. */
  readonly hasWaited: boolean;
}

export interface OrderMarks {
  /** The newest trip, reset or recovery, by anybody. */
  readonly order: Mark;
  /** The newest trip or reset by a person. */
  readonly person: Mark;
  /** The newest order about the mode. */
  readonly mode: Mark;
}

const NONE: Mark = markAt(0, 0);

export const NO_MARKS: OrderMarks = { order: NONE, person: NONE, mode: NONE };

export function marksOf({ snapshot, modeAt = 0, places }: StoredBreaker): OrderMarks {
  const resetAt = snapshot.lastResetAt ?? 0;
  const trippedAt = snapshot.trippedAt ?? 0;
  const personAt = Math.max(snapshot.manual ? trippedAt : 0, resetAt);
  return {
    order: markAt(Math.max(trippedAt, resetAt), places?.order),
    person: markAt(personAt, places?.person),
    mode: markAt(modeAt, places?.mode),
  };
}

function markAt(wallMs: number, place = 0): Mark {
  return { wallMs, place, since: 0, hasWaited: false };
}

/** One that is about to be written; `revision` is undefined where the store keeps no order. */
export function newMark(wallMs: number, revision = 0): Mark {
  return { wallMs, place: UNWRITTEN, since: revision, hasWaited: false };
}

/** Whether what is stored is later than what is known here. */
export function isLater(stored: Mark, own: Mark): boolean {
  return distance(stored, own) > 0;
}

export function isEarlier(stored: Mark, own: Mark): boolean {
  return distance(stored, own) < 0;
}

function distance(stored: Mark, own: Mark): number {
  const isUndecided = own.place === UNWRITTEN && own.hasWaited && stored.place > own.since;
  return stored.place === 0 || isUndecided ? stored.wallMs - own.wallMs : stored.place - own.place;
}

/** Those of them that are not written have waited. */
export function waited(marks: OrderMarks): OrderMarks {
  if (!isUnwritten(marks)) return marks;
  return every(marks, (mark) => (mark.place === UNWRITTEN ? { ...mark, hasWaited: true } : mark));
}

function isUnwritten({ order, mode }: OrderMarks): boolean {
  return order.place === UNWRITTEN || mode.place === UNWRITTEN;
}

/** `revision` is undefined where the store keeps no order. */
export function written(marks: OrderMarks, revision = 0): OrderMarks {
  if (!isUnwritten(marks)) return marks;
  return every(marks, (mark) => (mark.place === UNWRITTEN ? markAt(mark.wallMs, revision) : mark));
}

function every({ order, person, mode }: OrderMarks, change: (mark: Mark) => Mark): OrderMarks {
  return { order: change(order), person: change(person), mode: change(mode) };
}

/** Undefined where nothing has a place yet. */
export function placesOf({ order, person, mode }: OrderMarks): OrderPlaces | undefined {
  const places = { order: order.place, person: person.place, mode: mode.place };
  return places.order + places.person + places.mode === 0 ? undefined : places;
}
