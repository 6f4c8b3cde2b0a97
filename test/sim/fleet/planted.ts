// Bugs that fleets have, planted into the real code or into the store's rules while they run. Each must be found.

import {
  isInForce,
  versionOf,
  type BreakerPart,
  type FleetRow,
} from "../../../src/core/fleet/row.ts";
import type { FleetListener } from "../../../src/pipeline/fleet-port.ts";
import { BreakerGuard } from "../../../src/pipeline/breaker/guard.ts";
import { Known } from "../../../src/pipeline/fleet/known.ts";
import { Pending } from "../../../src/pipeline/fleet/pending.ts";
import { ReceiptBook } from "../../../src/pipeline/fleet/receipts.ts";
import { Sync } from "../../../src/pipeline/fleet/sync.ts";
import { PRISTINE_LATCHING } from "../../../src/core/breaker/snapshot.ts";
import { replace, replaceGetter } from "../replace.ts";
import { Link } from "./link.ts";
import type { FleetSabotage } from "./simulate.ts";

export const PLANTED_FLEET: readonly FleetSabotage[] = [
  {
    name: "the clock decides instead of the version",
    install: () =>
      replace(
        Known.prototype,
        "learn",
        (learn) =>
          function (this: Known, row: FleetRow) {
            if (dateOf(row.breaker) >= dateOf(this.row.breaker)) learn.call(this, row);
          },
      ),
  },
  { name: "a change that comes again counts again", rules: { dedupes: false } },
  {
    name: "what breakers do by themselves counts more than persons' orders",
    rules: { isInForce: (stored, given) => !given.isByPerson || isInForce(stored, given) },
  },
  {
    name: "a reset ends a trip that its giver knew nothing of",
    rules: { isInForce: (stored, given) => given.isByPerson || isInForce(stored, given) },
  },
  {
    name: "nothing is written back",
    wants: ["flushes"],
    install: () => replace(Link.prototype, "restore", () => () => Promise.resolve()),
  },
  {
    name: "what is written back has a new version",
    wants: ["empties", "failOvers"],
    rules: { keepsVersions: false },
  },
  {
    name: "a store that lost something takes orders before it has it back",
    wants: ["empties", "failOvers", "flushes", "drops", "delays"],
    rules: { isBehind: () => false },
    install: () => replaceGetter(Sync.prototype, "isSynced", () => true),
  },
  {
    name: "the newest to arrive counts as the newest",
    install: () =>
      replace(
        Known.prototype,
        "learn",
        () =>
          function (this: Known, row: FleetRow) {
            this.row = row;
            this.pending.told(row);
          },
      ),
  },
  {
    name: "pushes that were missed are not asked for",
    install: () => listening((listener) => ({ missed: () => {}, ...rest(listener, "missed") })),
  },
  {
    name: "nothing is read when a connection is made again",
    install: () => {
      let isFirst = new WeakSet<Sync>();
      const mend = replace(
        Sync.prototype,
        "restart",
        (restart) =>
          function (this: Sync) {
            if (isFirst.has(this)) return;
            isFirst.add(this);
            restart.call(this);
          },
      );
      return () => {
        isFirst = new WeakSet();
        mend();
      };
    },
  },
  {
    name: "what waits is forgotten when a connection is made again",
    install: () => {
      const waiting = new Map<string, Set<Pending>>();
      const mends = [
        replace(
          Pending.prototype,
          "add",
          (add) =>
            function (this: Pending, entry) {
              add.call(this, entry);
              const replica = entry.id.slice(0, entry.id.indexOf("/"));
              const all = waiting.get(replica) ?? new Set();
              waiting.set(replica, all.add(this));
            },
        ),
        listening((listener, { replica }) => ({
          ...rest(listener, "connected"),
          connected: () => {
            for (const pending of waiting.get(replica) ?? []) forget(pending);
            listener.connected();
          },
        })),
      ];
      return () => {
        for (const mend of mends) mend();
      };
    },
  },
  {
    name: "an own push is taken for another's",
    install: () =>
      listening((listener, { replica }) => ({
        ...rest(listener, "changed"),
        changed: (row, receipt) =>
          listener.changed(
            receipt?.startsWith(`${replica}/`) === true ? renamed(row) : row,
            receipt,
          ),
      })),
  },
  {
    name: "any order of others ends what waits",
    install: () => replace(Pending.prototype, "outweighs", () => () => false),
  },
  {
    name: "what waits counts more than any order of others",
    install: () => replace(Pending.prototype, "outweighs", () => () => true),
  },
  {
    name: "what was given after an order does not follow it",
    install: () => replace(Pending.prototype, "told", () => () => {}),
  },
  {
    name: "a version that was handed out twice was seen twice",
    install: () => replace(Pending.prototype, "unsee", () => () => {}),
  },
  {
    name: "an order that is overruled counts as stored",
    install: () =>
      replace(
        ReceiptBook.prototype,
        "overruled",
        () =>
          function (this: ReceiptBook, upstream: string, id: string) {
            this.stored(upstream, id);
          },
      ),
  },
  {
    name: "a replica that reports twice is two",
    wants: ["shares"],
    rules: { countsReplicas: false },
  },
  {
    name: "a report counts for ever",
    wants: ["shares", "ages"],
    rules: { reportMs: Infinity },
  },
  {
    name: "one report is a quorum",
    wants: ["shares"],
    install: () =>
      replace(
        Link.prototype,
        "commit",
        (commit) =>
          function (this: Link, change) {
            const { breaker } = change;
            const alone = breaker && { ...breaker, reporters: 1 };
            return commit.call(this, { ...change, breaker: alone });
          },
      ),
  },
  {
    name: "what recovers by itself opens with others, unasked",
    install: () => replaceGetter(BreakerGuard.prototype, "reporters", () => 1),
  },
  {
    name: "what a person holds elsewhere is taken for what tripped by itself",
    wants: ["shares", "calls"],
    install: () =>
      replace(
        BreakerGuard.prototype,
        "takeOver",
        (takeOver) =>
          function (this: BreakerGuard, part) {
            takeOver.call(this, { ...part, snapshot: { ...part.snapshot, manual: false } });
          },
      ),
  },
  {
    name: "probes wait for their turn twice",
    install: () =>
      replace(
        BreakerGuard.prototype,
        "postpone",
        (postpone) =>
          function (this: BreakerGuard, epoch, byMs) {
            postpone.call(this, epoch, 2 * byMs);
          },
      ),
  },
  {
    name: "an emptied store unlatches",
    install: () =>
      replace(
        Link.prototype,
        "read",
        (read) =>
          async function (this: Link, names: readonly string[]) {
            const rows = await read.call(this, names);
            return rows.map((row, index) => row ?? emptied(names[index] as string));
          },
      ),
  },
];

function dateOf(part: BreakerPart | undefined): number {
  const { trippedAt, lastResetAt } = part?.snapshot ?? {};
  return Math.max(trippedAt ?? 0, lastResetAt ?? 0);
}

function listening(spoil: (listener: FleetListener, link: Link) => FleetListener): () => void {
  return replace(
    Link.prototype,
    "open",
    (open) =>
      function (this: Link, listener: FleetListener) {
        open.call(this, spoil(listener, this));
      },
  );
}

function rest<Name extends keyof FleetListener>(
  listener: FleetListener,
  name: Name,
): Omit<FleetListener, Name> {
  const { [name]: _, ...others } = listener;
  return others;
}

function forget(pending: Pending): void {
  for (let { first } = pending; first !== undefined; { first } = pending) pending.remove(first.id);
}

function renamed(row: FleetRow): FleetRow {
  const { breaker } = row;
  if (breaker === undefined) return row;
  const order = { ...breaker.order, id: `${breaker.order.id}'` };
  const isByPerson = breaker.person?.id === breaker.order.id;
  return { ...row, breaker: { ...breaker, order, person: isByPerson ? order : breaker.person } };
}

function emptied(upstream: string): FleetRow {
  const order = { id: "nobody", version: versionOf(undefined) + 1000, isTrip: false };
  return {
    upstream,
    mode: undefined,
    breaker: { person: order, order, snapshot: PRISTINE_LATCHING },
  };
}
