// Whose word counts when several processes share a store: the newest order's, and a person's above a
// breaker's own. Looked at whenever a row is written over, and whenever one is taken over.

import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import type { OperatorMode } from "../../src/core/events.ts";
import type { StoredBreaker } from "../../src/pipeline/ports.ts";
import type { Row } from "./disk.ts";
import type { Journal } from "./journal.ts";
import type { Ledger } from "./ledger.ts";
import type { Setting } from "./setting.ts";
import type { Plan } from "./swarm.ts";

/** The writer of a row must know of every order that stands in the one it writes over. */
export function compareOrders(
  journal: Journal,
  plan: Plan,
  { name, orders: own, mode }: Ledger,
  there: Row,
  {
    stored: { snapshot },
    countsTrips,
  }: { readonly stored: StoredBreaker; readonly countsTrips: boolean },
): void {
  const { orders, stored } = there;
  const { person } = orders;
  // Two orders of one millisecond cannot be told apart.
  const isKnown =
    person.sequence <= own.person.sequence ||
    person.wallMs === own.person.wallMs ||
    person.wallMs === own.newest.wallMs;
  const isHeeded =
    person.kind === "trip"
      ? snapshot.manual || !stored.snapshot.manual
      : !snapshot.manual || stored.snapshot.manual;
  if (!isKnown && !isHeeded) {
    journal.break(
      "a person's order is never written over by one who does not know it",
      `${name}: ${person.kind} of ${person.wallMs} lost, own ${own.newest.kind} of ${own.newest.wallMs}`,
    );
  }
  const isNewerMode =
    orders.modeSequence > own.modeSequence && orders.modeWallMs !== own.modeWallMs;
  if (isNewerMode && stored.mode !== mode) {
    journal.break("a newer mode is never written over", `${name}: ${stored.mode} lost`);
  }
  // Several processes count for themselves, and each breaker may recover by itself.
  if (plan.processes > 1) return;
  if (countsTrips && snapshot.tripCount < stored.snapshot.tripCount) {
    journal.break(
      "trips are never forgotten",
      `${name}: ${stored.snapshot.tripCount} became ${snapshot.tripCount}`,
    );
  }
  const isOlder = orders.newest.sequence > own.newest.sequence;
  if (isOlder && stored.snapshot.tripped && !snapshot.tripped) {
    journal.break("a trip is never written over by one who does not know it", name);
  }
}

/**
 * A row was handed over: from now on its reader knows of the person's order in it, and its own row, which
 * may replace the only one that tells of it, must do so, too.
 */
export function learn({ orders }: Ledger, { orders: { person } }: Row): void {
  // Two people's orders of one millisecond cannot be told apart.
  const isSameMoment = person.wallMs === orders.person.wallMs;
  if (person.sequence > orders.person.sequence && !isSameMoment) orders.person = person;
}

/** A stored state replaces a breaker's own: its orders are now the row's, if they are newer. */
export function takeOver(
  { journal, disk }: Setting,
  { name, seen, orders }: Ledger,
  snapshot: BreakerSnapshot,
): void {
  if (seen === undefined) {
    journal.break("what is restored was read", `${name} restored from nowhere`);
    return;
  }
  const { newest, person } = seen.orders;
  const isOlder =
    person.sequence < orders.person.sequence && person.wallMs !== orders.person.wallMs;
  const isUndone = snapshot.manual !== (orders.person.kind === "trip");
  if (isOlder && isUndone && !disk.forked.has(name)) {
    journal.break("a newer order is never undone", `${name} took over an older one`);
  }
  // Of two people's orders of one millisecond the one that was taken over counts from now on.
  const isSameMoment = person.wallMs === orders.person.wallMs;
  if (isSameMoment || person.sequence > orders.person.sequence) orders.person = person;
  // A person's reset may be taken over without the trip that its process had by itself since.
  orders.newest = snapshot.tripped || newest.kind === "reset" ? newest : person;
}

/** A mode that nobody ordered in this process must have come with a row. */
export function takeMode(journal: Journal, ledger: Ledger, mode: OperatorMode): void {
  if (mode === ledger.mode) return;
  const { seen } = ledger;
  if (seen?.stored.mode === mode) {
    ledger.mode = mode;
    ledger.orders.modeSequence = seen.orders.modeSequence;
    ledger.orders.modeWallMs = seen.orders.modeWallMs;
  } else {
    journal.break(
      "the mode is the one last ordered",
      `${ledger.name}: ${mode}, ordered ${ledger.mode}`,
    );
  }
}
