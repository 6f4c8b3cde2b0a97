// When the newest orders about a breaker were given: by the place that they have in the store's order of
// writing, and by the clock. Clocks of two processes may differ by hours, so the place decides wherever
// both have one: what was written later is later. An order that waited for a failing store while others
// wrote has no place among theirs, and is told from them by its date.

import { UNWRITTEN, type OrderPlaces, type StoredBreaker } from "../ports.ts";

export interface Mark {
  /** Wall clock; 0 where nothing was ordered. */
  readonly wallMs: number;
  /** 0 where none is known. */
  readonly place: number;
}

export interface OrderMarks {
  /** The newest trip, reset or recovery, by anybody. */
  readonly order: Mark;
  /** The newest trip or reset by a person. */
  readonly person: Mark;
  /** The newest order about the mode. */
  readonly mode: Mark;
}

const NONE: Mark = { wallMs: 0, place: 0 };

export const NO_MARKS: OrderMarks = { order: NONE, person: NONE, mode: NONE };

export function marksOf({ snapshot, modeAt = 0, places }: StoredBreaker): OrderMarks {
  const resetAt = snapshot.lastResetAt ?? 0;
  const trippedAt = snapshot.trippedAt ?? 0;
  return {
    order: { wallMs: Math.max(trippedAt, resetAt), place: places?.order ?? 0 },
    person: {
      wallMs: Math.max(snapshot.manual ? trippedAt : 0, resetAt),
      place: places?.person ?? 0,
    },
    mode: { wallMs: modeAt, place: places?.mode ?? 0 },
  };
}

/** One that is about to be written. */
export function newMark(wallMs: number): Mark {
  return { wallMs, place: UNWRITTEN };
}

/** Whether what is stored is later than what is known here; `hasWaited` of the latter. */
export function isLater(stored: Mark, own: Mark, hasWaited: boolean): boolean {
  return distance(stored, own, hasWaited) > 0;
}

export function isEarlier(stored: Mark, own: Mark, hasWaited: boolean): boolean {
  return distance(stored, own, hasWaited) < 0;
}

function distance(stored: Mark, own: Mark, hasWaited: boolean): number {
  const isDated = stored.place === 0 || (own.place === UNWRITTEN && hasWaited);
  return isDated ? stored.wallMs - own.wallMs : stored.place - own.place;
}

export function isUnwritten({ order, mode }: OrderMarks): boolean {
  return order.place === UNWRITTEN || mode.place === UNWRITTEN;
}

/** `revision` is undefined where the store keeps no order. */
export function written(marks: OrderMarks, revision = 0): OrderMarks {
  const at = ({ wallMs, place }: Mark): Mark => ({
    wallMs,
    place: place === UNWRITTEN ? revision : place,
  });
  return { order: at(marks.order), person: at(marks.person), mode: at(marks.mode) };
}

/** Undefined where nothing has a place yet. */
export function placesOf({ order, person, mode }: OrderMarks): OrderPlaces | undefined {
  const places = { order: order.place, person: person.place, mode: mode.place };
  return places.order + places.person + places.mode === 0 ? undefined : places;
}
