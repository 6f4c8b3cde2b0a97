// The store's scripts and core/fleet/row.ts are the same rule in two languages: both are played the same sequences of
// orders, write-backs and repeats, and must answer the same.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PRISTINE_LATCHING } from "../../src/core/breaker/snapshot.ts";
import {
  isBehind,
  isInForce,
  mergeRows,
  nextVersion,
  seenOf,
  versionOf,
  type FleetRow,
  type Order,
  type Seen,
} from "../../src/core/fleet/row.ts";
import { BEHIND, type FleetAnswer, type FleetChange } from "../../src/pipeline/fleet-port.ts";
import { SeededRandom } from "../../src/testing/index.ts";
import { connectedStore, startRedis } from "../support/redis.ts";
import { whyNoRedis } from "../tools/redis.ts";

const SEQUENCES = 400;
const STEPS = 12;
const MODES = ["normal", "shadow", "forced-closed"] as const;

/** What the pure functions make of a change. */
function taken(stored: FleetRow, change: FleetChange): FleetAnswer {
  const { breaker, mode, seen, id } = change;
  const version = nextVersion(stored, seen);
  const inForce = breaker === undefined || isInForce(stored.breaker, { ...breaker, seen });
  let row = stored;
  if (breaker !== undefined && inForce) {
    const order: Order = { id, version, isTrip: breaker.isTrip };
    const person = breaker.isByPerson ? order : stored.breaker?.person;
    row = { ...row, breaker: { person, order, snapshot: breaker.snapshot } };
  }
  if (mode !== undefined) {
    const order: Order = { id, version, isTrip: false };
    row = { ...row, mode: { order, mode: mode.mode, at: mode.at } };
  }
  return { isInForce: inForce, row };
}

class Player {
  readonly #random: SeededRandom;
  readonly #upstream: string;
  #count = 0;

  constructor(seed: number, upstream: string) {
    this.#random = new SeededRandom(seed);
    this.#upstream = upstream;
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  flip(): boolean {
    return this.below(2) === 0;
  }

  /** Of three replicas, whose names are compared where versions are the same. */
  id(): string {
    this.#count += 1;
    return `${["a", "B", "a-"][this.below(3)]}/x:${this.#count}`;
  }

  snapshot(isTrip: boolean) {
    const trippedAt = isTrip ? 1_700_000_000_000 + this.below(1e9) : null;
    return {
      ...PRISTINE_LATCHING,
      tripped: isTrip,
      trippedAt,
      avgLatencyMs: this.#random.next(),
    };
  }

  /** What the row says, what it said a while ago, or more. */
  seen(row: FleetRow, older: FleetRow): Seen {
    const known = seenOf(this.flip() ? row : older);
    const more = (version: number): number =>
      this.below(8) === 0 ? version + this.below(3) : version;
    return { person: more(known.person), order: more(known.order), mode: more(known.mode) };
  }

  change(row: FleetRow, older: FleetRow): FleetChange {
    const isTrip = this.flip();
    const what = this.below(10);
    return {
      upstream: this.#upstream,
      id: this.id(),
      seen: this.seen(row, older),
      breaker:
        what < 8
          ? { isByPerson: this.flip(), isTrip, snapshot: this.snapshot(isTrip), reporters: 1 }
          : undefined,
      mode:
        what > 6 && what < 9
          ? { mode: MODES[this.below(3)] ?? "normal", at: 1 + this.below(1e9) }
          : undefined,
      audits: [],
      wantsReceipts: false,
    };
  }

  order(): Order {
    return { id: this.id(), version: 1 + this.below(6), isTrip: this.flip() };
  }

  /** As after a fail-over: versions handed out twice, parts that others never saw. */
  lost(): FleetRow {
    const order = this.order();
    const person = this.flip() ? this.order() : undefined;
    const hasMode = this.flip();
    return {
      upstream: this.#upstream,
      breaker:
        this.below(4) === 0 ? undefined : { person, order, snapshot: this.snapshot(order.isTrip) },
      mode: hasMode
        ? {
            order: { ...this.order(), isTrip: false },
            mode: MODES[this.below(3)] ?? "normal",
            at: 1 + this.below(1e9),
          }
        : undefined,
    };
  }
}

describe("the rule, at the store as in memory", { skip: whyNoRedis() }, () => {
  test("answers the same to every sequence", async (t) => {
    const server = await startRedis(t);
    const { store } = await connectedStore(t, { url: server.url });
    const outcomes = { inForce: 0, superseded: 0, restored: 0, kept: 0, repeated: 0, behind: 0 };
    for (let seed = 1; seed <= SEQUENCES; seed += 1) {
      const upstream = `u${seed}`;
      const player = new Player(seed, upstream);
      let row: FleetRow = { upstream, breaker: undefined, mode: undefined };
      let older = row;
      let last: { readonly change: FleetChange; readonly isInForce: boolean } | undefined;
      for (let step = 0; step < STEPS; step += 1) {
        const say = `seed ${seed}, step ${step}`;
        const kind = player.below(10);
        if (kind < 6) {
          const change = player.change(row, older);
          if (isBehind(row, change.seen)) {
            await assert.rejects(store.commit(change), { storeCode: BEHIND }, say);
            outcomes.behind += 1;
            continue;
          }
          const expected = taken(row, change);
          const answer = await store.commit(change);
          assert.deepEqual(answer, expected, say);
          if (player.below(3) === 0) older = row;
          row = expected.row;
          last = { change, isInForce: answer.isInForce };
          outcomes[answer.isInForce ? "inForce" : "superseded"] += 1;
        } else if (kind < 9) {
          const lost = player.lost();
          const merged = mergeRows(row, lost);
          await store.restore([lost]);
          outcomes[merged.breaker === row.breaker ? "kept" : "restored"] += 1;
          row = merged;
        } else if (last !== undefined) {
          const answer = await store.commit(last.change);
          assert.deepEqual(answer, { isInForce: last.isInForce, row }, say);
          outcomes.repeated += 1;
        }
        const [found] = await store.read([upstream]);
        assert.deepEqual(found, versionOf(row) === 0 ? undefined : row, say);
      }
    }
    // A sequence that never comes to a case would prove nothing about it.
    for (const [outcome, times] of Object.entries(outcomes))
      assert.ok(times > 100, `${outcome}: ${times}`);
  });

  test("of two orders of one version the trip counts, then the id, unit by unit", async (t) => {
    const server = await startRedis(t);
    const { store } = await connectedStore(t, { url: server.url });
    const { snapshot } = { snapshot: { ...PRISTINE_LATCHING, tripped: true, trippedAt: 5 } };
    const ids = ["B/1", "a/1", "a/10", "a/2", "a-/1", "~/1", "Z", "z"];
    for (const left of ids) {
      for (const right of ids) {
        const upstream = `${left} ${right}`;
        const rowWith = (id: string): FleetRow => ({
          upstream,
          breaker: { person: undefined, order: { id, version: 3, isTrip: true }, snapshot },
          mode: undefined,
        });
        await store.restore([rowWith(left)]);
        await store.restore([rowWith(right)]);

        const [found] = await store.read([upstream]);
        assert.deepEqual(found, mergeRows(rowWith(left), rowWith(right)), upstream);
      }
    }
  });
});
