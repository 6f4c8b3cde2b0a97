// What every store of a fleet promises. Each implementation runs it through `fleet-store.test.ts`.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PRISTINE_LATCHING, TEXT_LENGTH_MAX } from "../../src/core/breaker/snapshot.ts";
import { InvalidOptionsError } from "../../src/core/errors.ts";
import { NOTHING_SEEN, seenOf, type FleetRow, type Seen } from "../../src/core/fleet/row.ts";
import { BEHIND, type FleetChange, type FleetStore } from "../../src/pipeline/fleet-port.ts";
import type { AuditEntry } from "../../src/pipeline/ports.ts";
import type { Opened, TestContext } from "../support/redis.ts";

export interface FleetSubject {
  readonly name: string;
  readonly skip: string | false;
  /** Two replicas, connected, at a store of their own. */
  readonly pair: (t: TestContext) => Promise<readonly [Opened, Opened]>;
}

export const AT = 1_700_000_000_000;

let changes = 0;

export function newId(store: FleetStore): string {
  changes += 1;
  return `${store.replica}/test:${changes}`;
}

export function auditOf(upstream: string, reason: string, actor = "ann"): AuditEntry {
  return { upstream, action: "TRIP", reason, actor, at: AT, forced: false };
}

interface Given {
  readonly by: "person" | "breaker";
  readonly does: "trip" | "reset";
  readonly seen?: Seen;
  readonly audits?: readonly AuditEntry[];
  readonly error?: string;
  readonly id?: string;
  readonly wantsReceipts?: boolean;
  readonly reporters?: number;
}

export function orderOf(store: FleetStore, upstream: string, given: Given): FleetChange {
  const { by, does, error = "boom" } = given;
  const isTrip = does === "trip";
  const trip = { tripped: true, tripCount: 1, trippedAt: AT, lastError: error };
  return {
    upstream,
    id: given.id ?? newId(store),
    seen: given.seen ?? NOTHING_SEEN,
    breaker: {
      isByPerson: by === "person",
      isTrip,
      reporters: given.reporters ?? 1,
      snapshot: {
        ...PRISTINE_LATCHING,
        ...(isTrip ? trip : {}),
        avgLatencyMs: 1 / 3,
        manual: isTrip && by === "person",
      },
    },
    mode: undefined,
    audits: given.audits ?? [],
    wantsReceipts: given.wantsReceipts ?? false,
  };
}

export function modeOrder(
  store: FleetStore,
  upstream: string,
  mode: "shadow" | "normal" | "forced-closed",
): FleetChange {
  return {
    upstream,
    id: newId(store),
    seen: NOTHING_SEEN,
    breaker: undefined,
    mode: { mode, at: AT + 0.25 },
    audits: [],
    wantsReceipts: true,
  };
}

export const HOSTILE_NAMES: readonly string[] = [
  "{tag}",
  "}{",
  "{",
  "a}b{c}",
  "NUL \0 inside",
  "NUL \0 inside\0",
  "lone \ud800 surrogate",
  "lone \ud801 surrogate",
  "lone \uFFFD surrogate",
  "\udc00\ud800",
  "__proto__",
  "constructor",
  "UPPER",
  "upper",
  "\u00e9",
  "e\u0301",
  "🎲",
  " ",
  "*",
  "a:row",
  "~0041",
  "A",
  '"quoted\\"',
  "line\r\nbreak",
  "x".repeat(1_000_000),
  `${"x".repeat(999_999)}y`,
  `=${"a".repeat(64)}`,
];

export function fleetStoreContract({ name, skip, pair }: FleetSubject): void {
  describe(`fleet store contract: ${name}`, { skip }, () => {
    test("knows nothing at first", async (t) => {
      const [{ store }] = await pair(t);

      assert.deepEqual(await store.read(["a", "b"]), [undefined, undefined]);
      assert.deepEqual(await store.history(["a", "b"], { limit: 10 }), []);
      const report = { upstream: "a", rows: 0, isShortened: false, brokenAt: undefined };
      assert.deepEqual(await store.verify("a"), report);
      assert.deepEqual(await store.read([]), []);
    });

    test("a trip of a quorum counts when so many replicas have reported it, and ends with too few", async (t) => {
      const [{ store }, { store: other }] = await pair(t);
      const commit = async (by: FleetStore, does: "trip" | "reset"): Promise<boolean> => {
        const [row] = await by.read(["dk"]);
        const given = { by: "breaker", does, reporters: 2, seen: seenOf(row) } as const;
        return (await by.commit(orderOf(by, "dk", given))).isInForce;
      };

      assert.equal(await commit(store, "trip"), false, "one alone");
      assert.equal(await commit(store, "trip"), false, "the same one again");
      assert.deepEqual(await store.read(["dk"]), [undefined]);
      assert.equal(await commit(other, "trip"), true, "a second one");
      assert.equal(await commit(store, "reset"), true, "one is too few again");
      assert.equal((await store.read(["dk"]))[0]?.breaker?.order.isTrip, false);
      assert.equal(await commit(store, "trip"), true, "the second one still reports");
    });

    test("a person's order makes an end of reports", async (t) => {
      const [{ store }, { store: other }] = await pair(t);
      const trip = { by: "breaker", does: "trip", reporters: 2 } as const;
      await store.commit(orderOf(store, "dk", trip));
      const { row } = await store.commit(
        orderOf(store, "dk", { by: "person", does: "reset", reporters: 2 }),
      );

      const late = orderOf(other, "dk", { ...trip, seen: seenOf(row) });
      assert.equal((await other.commit(late)).isInForce, false);
    });

    test("hands out turns, one after the other, and a new round when there are too many", async (t) => {
      const [{ store }, { store: other }] = await pair(t);
      const when = { inMs: 60_000, spacingMs: 20_000, windowMs: 45_000 };

      const turns: number[] = [];
      for (const one of [store, other, store, other]) turns.push(await one.turn("dk", when));

      // The server's clock goes on in between.
      const expected = [0, 20_000, 40_000, 0];
      for (const [index, turn] of turns.entries()) {
        const least = expected[index] ?? 0;
        assert.ok(turn <= least && turn > least - 5000, turns.join(", "));
      }
      assert.equal(await store.turn("fd", when), 0, "of each upstream apart");
    });

    test("hands out versions, and gives every field back", async (t) => {
      const [{ store }, { store: other }] = await pair(t);
      const change = orderOf(store, "dk", { by: "person", does: "trip", error: "it's \ud800" });

      const { isInForce, row } = await store.commit(change);

      const order = { id: change.id, version: 1, isTrip: true };
      assert.equal(isInForce, true);
      assert.deepEqual(row, {
        upstream: "dk",
        breaker: { person: order, order, snapshot: change.breaker?.snapshot },
        mode: undefined,
      });
      assert.deepEqual(await other.read(["x", "dk"]), [undefined, row]);
      const mode = await other.commit(modeOrder(other, "dk", "shadow"));
      assert.equal(mode.row.mode?.order.version, 2);
      assert.deepEqual([mode.row.mode.mode, mode.row.mode.at], ["shadow", AT + 0.25]);
      assert.deepEqual(mode.row.breaker, row.breaker);
    });

    test("takes nothing of who has seen what is not stored, until it has that back", async (t) => {
      const [{ store }] = await pair(t);
      const order = { id: `${store.replica}/before:1`, version: 2 ** 52, isTrip: false };
      const snapshot = { ...PRISTINE_LATCHING, lastResetAt: AT };
      const row: FleetRow = {
        upstream: "dk",
        breaker: { person: order, order, snapshot },
        mode: undefined,
      };
      const audits = [auditOf("dk", "lost before")];
      for (const part of ["person", "order", "mode"] as const) {
        const seen = { ...NOTHING_SEEN, [part]: 1 };
        const change = orderOf(store, "dk", { by: "breaker", does: "trip", seen, audits });
        await assert.rejects(store.commit(change), { storeCode: BEHIND });
      }
      assert.deepEqual(await store.read(["dk"]), [undefined]);
      assert.deepEqual(await store.history(["dk"], { limit: 9 }), []);

      await store.restore([row]);
      const given = { by: "breaker", does: "trip", seen: seenOf(row), audits } as const;
      const answer = await store.commit(orderOf(store, "dk", given));

      assert.equal(answer.row.breaker?.order.version, 2 ** 52 + 1);
      assert.deepEqual(answer.row.breaker.person, order);
      assert.equal((await store.history(["dk"], { limit: 9 })).length, 1);
    });

    test("pushes what changed to all, with the receipt where one is wanted", async (t) => {
      const [one, two] = await pair(t);
      const change = orderOf(one.store, "dk", { by: "person", does: "trip", wantsReceipts: true });

      const { row } = await one.store.commit(change);

      for (const { ears } of [one, two]) {
        const told = await ears.hear("changed", ({ receipt }) => receipt === change.id);
        assert.deepEqual(told.row, row);
      }
      await two.store.commit(orderOf(two.store, "fd", { by: "breaker", does: "trip" }));
      const quiet = await one.ears.hear("changed", (told) => told.row.upstream === "fd");
      assert.equal(quiet.receipt, undefined);
    });

    test("an order that counts less changes nothing, is not pushed, and is audited", async (t) => {
      const [one, two] = await pair(t);
      const first = await one.store.commit(
        orderOf(one.store, "dk", { by: "person", does: "trip" }),
      );

      const audits = [auditOf("dk", "found healthy", "system")];
      const late = orderOf(two.store, "dk", { by: "breaker", does: "reset", audits });
      const answer = await two.store.commit(late);

      assert.deepEqual(answer, { isInForce: false, row: first.row });
      assert.equal((await one.store.history(["dk"], { limit: 5 }))[0]?.reason, "found healthy");
      // What is pushed after it would follow it.
      await two.store.commit(modeOrder(two.store, "dk", "shadow"));
      await one.ears.hear("changed", (told) => told.row.mode !== undefined);
      assert.equal(one.ears.count("changed"), 2);
    });

    test("of a storm of trips one is pushed", async (t) => {
      const [one, two] = await pair(t);
      const trips = Array.from({ length: 50 }, (_, index) => {
        const { store } = index % 2 === 0 ? one : two;
        return store.commit(orderOf(store, "dk", { by: "breaker", does: "trip" }));
      });

      const answers = await Promise.all(trips);

      assert.equal(answers.filter(({ isInForce }) => isInForce).length, 1);
      await one.store.commit(modeOrder(one.store, "fd", "shadow"));
      await two.ears.hear("changed", (told) => told.row.upstream === "fd");
      assert.equal(two.ears.count("changed"), 2);
    });

    test("a change that is sent again counts once, and is answered as it was", async (t) => {
      const [one, two] = await pair(t);
      const audits = [auditOf("dk", "once")];
      const change = orderOf(one.store, "dk", { by: "person", does: "trip", audits });
      await one.store.commit(change);
      const seen = seenOf((await two.store.read(["dk"]))[0]);
      const reset = orderOf(two.store, "dk", { by: "person", does: "reset", seen });
      const { row } = await two.store.commit(reset);
      const late = orderOf(two.store, "dk", { by: "breaker", does: "trip", audits });
      await two.store.commit(late);

      assert.deepEqual(await one.store.commit(change), { isInForce: true, row });
      assert.deepEqual(await two.store.commit(late), { isInForce: false, row });

      assert.equal((await one.store.history(["dk"], { limit: 10 })).length, 2);
      assert.deepEqual(await one.store.read(["dk"]), [row]);
    });

    test("the same change at the same moment counts once", async (t) => {
      const [{ store }] = await pair(t);
      const audits = [auditOf("dk", "once")];
      const change = orderOf(store, "dk", { by: "person", does: "trip", audits });

      const answers = await Promise.all(Array.from({ length: 10 }, () => store.commit(change)));

      for (const answer of answers) assert.deepEqual(answer, answers[0]);
      assert.equal((await store.history(["dk"], { limit: 20 })).length, 1);
    });

    test("audits alone change no row", async (t) => {
      const [one] = await pair(t);
      const change = orderOf(one.store, "dk", { by: "person", does: "trip" });
      const answer = await one.store.commit({
        ...change,
        breaker: undefined,
        audits: [auditOf("dk", "noted")],
      });

      const nothing: FleetRow = { upstream: "dk", breaker: undefined, mode: undefined };
      assert.deepEqual(answer, { isInForce: true, row: nothing });
      assert.deepEqual(await one.store.read(["dk"]), [undefined]);
      assert.equal((await one.store.verify("dk")).rows, 1);
      assert.equal(one.ears.count("changed"), 0);
    });

    test("restoring merges: what counts more stays, with its version, and is pushed", async (t) => {
      const [one, two] = await pair(t);
      const { row: old } = await one.store.commit(
        orderOf(one.store, "dk", { by: "person", does: "reset" }),
      );
      const person = { id: "r/x:9", version: 7, isTrip: true };
      const mode = {
        order: { id: "r/x:8", version: 6, isTrip: false },
        mode: "shadow",
        at: AT,
      } as const;
      const { snapshot } = orderOf(one.store, "dk", { by: "person", does: "trip" }).breaker ?? {};
      assert.ok(snapshot !== undefined);
      const lost: FleetRow = {
        upstream: "dk",
        breaker: { person, order: person, snapshot },
        mode,
      };

      await two.store.restore([lost, { ...lost, upstream: "fd" }]);

      assert.deepEqual(await one.store.read(["dk", "fd"]), [lost, { ...lost, upstream: "fd" }]);
      await one.ears.hear("changed", ({ row }) => row.breaker?.order.version === 7);
      await one.ears.hear("changed", ({ row }) => row.upstream === "fd");
      const pushed = one.ears.count("changed");
      await two.store.restore([old, lost]);
      assert.deepEqual(await one.store.read(["dk"]), [lost]);
      await two.store.commit(modeOrder(two.store, "last", "shadow"));
      await one.ears.hear("changed", ({ row }) => row.upstream === "last");
      assert.equal(one.ears.count("changed"), pushed + 1);
      const next = await one.store.commit(modeOrder(one.store, "dk", "normal"));
      assert.equal(next.row.mode?.order.version, 8);
    });

    test("a receipt reaches who ordered, and nobody else", async (t) => {
      const [one, two] = await pair(t);
      const id = newId(one.store);

      two.store.confirm(id, two.store.replica);
      two.store.confirm("nobody/x:1", two.store.replica);
      two.store.confirm("no replica", two.store.replica);

      const told = await one.ears.hear("received");
      assert.deepEqual(told, { what: "received", id, replica: two.store.replica });
      await two.store.read(["a"]);
      assert.equal(one.ears.count("received"), 1);
      assert.equal(two.ears.count("received"), 0);
    });

    test("each shows what it sees, and sees what others showed", async (t) => {
      const [{ store }, { store: other }] = await pair(t);
      const view = Object.fromEntries(
        HOSTILE_NAMES.filter((name) => name.length < 100 && name !== "__proto__").map((name) => [
          name,
          { tripped: true, mode: "shadow" as const, version: 3 },
        ]),
      );

      await store.present(view);
      const views = await other.present({});

      const names = views.map(({ replica }) => replica).toSorted();
      assert.deepEqual(names, [store.replica, other.replica].toSorted());
      const seen = views.find(({ replica }) => replica === store.replica);
      assert.deepEqual({ ...seen?.breakers }, view);
      assert.ok((seen?.ageMs ?? -1) >= 0);
      await store.close();
      const left = await other.present({});
      assert.deepEqual(
        left.map(({ replica }) => replica),
        [other.replica],
      );
    });

    test("hostile names are kept apart, and come back whole", async (t) => {
      const [one, two] = await pair(t);
      for (const upstream of HOSTILE_NAMES) {
        const audits = [auditOf(upstream, "hostile")];
        await one.store.commit(
          orderOf(one.store, upstream, { by: "person", does: "trip", audits }),
        );
      }

      const rows = await two.store.read(HOSTILE_NAMES);
      for (const upstream of HOSTILE_NAMES) {
        await two.ears.hear("changed", ({ row }) => row.upstream === upstream);
      }

      assert.deepEqual(
        rows.map((row) => row?.upstream),
        HOSTILE_NAMES,
      );
      for (const row of rows) assert.equal(row?.breaker?.order.version, 1);
      for (const upstream of HOSTILE_NAMES) {
        const report = await two.store.verify(upstream);
        assert.deepEqual([report.rows, report.brokenAt], [1, undefined]);
        const [entry] = await two.store.history([upstream], { limit: 5 });
        assert.equal(entry?.upstream, upstream);
      }
    });

    test("history is newest first, of those named, within its limit", async (t) => {
      const [one, two] = await pair(t);
      for (let n = 1; n <= 6; n += 1) {
        const { store } = n % 2 === 0 ? one : two;
        const upstream = n % 3 === 0 ? "dk" : "fd";
        const change = orderOf(store, upstream, { by: "breaker", does: "trip" });
        await store.commit({ ...change, audits: [auditOf(upstream, `${n}`)] });
        await store.commit({ ...change, upstream: "x", audits: [auditOf("x", "other")] });
      }

      const all = await one.store.history(["dk", "fd"], { limit: 10 });
      assert.deepEqual(
        all.filter(({ upstream }) => upstream === "fd").map(({ reason }) => reason),
        ["5", "4", "2", "1"],
      );
      assert.equal(all.length, 6);
      assert.deepEqual(
        (await one.store.history(["dk"], { limit: 1 })).map(({ reason }) => reason),
        ["6"],
      );
      const [newest] = await one.store.history(["fd"], { limit: 1 });
      assert.deepEqual(
        { ...newest, hash: "" },
        {
          ...auditOf("fd", "5"),
          replica: two.store.replica,
          version: 1,
          hash: "",
        },
      );
      assert.match(newest?.hash ?? "", /^[0-9a-f]{40}$/);
      for (const limit of [0, 1.5, 1001, Number.NaN]) {
        await assert.rejects(one.store.history(["fd"], { limit }), InvalidOptionsError);
      }
    });

    test("texts of people are bounded and well formed", async (t) => {
      const [{ store }] = await pair(t);
      const audits = [
        auditOf("dk", "r".repeat(10_000), "a\ud800"),
        auditOf("dk", 'quotes " \\ \0 \n 🎲 \u2028'),
      ];
      await store.commit({ ...orderOf(store, "dk", { by: "person", does: "trip" }), audits });

      const [second, first] = await store.history(["dk"], { limit: 2 });

      assert.equal(first?.reason, "r".repeat(TEXT_LENGTH_MAX));
      assert.equal(first.actor, "a\uFFFD");
      assert.equal(second?.reason, 'quotes " \\ \0 \n 🎲 \u2028');
      assert.equal((await store.verify("dk")).brokenAt, undefined);
    });

    test("replicas that write at once lose nothing, and the chain holds", async (t) => {
      const [one, two] = await pair(t);
      const work = [one, two].flatMap(({ store }) =>
        Array.from({ length: 100 }, (_, n) => {
          const upstream = `u${n % 5}`;
          const audits = [auditOf(upstream, `${store.replica} ${n}`)];
          const does = n % 2 === 0 ? "trip" : "reset";
          return store.commit(orderOf(store, upstream, { by: "person", does, audits }));
        }),
      );
      await Promise.all(work);

      const names = ["u0", "u1", "u2", "u3", "u4"];
      const history = await one.store.history(names, { limit: 1000 });
      assert.equal(new Set(history.map(({ reason }) => reason)).size, 200);
      for (const upstream of names) {
        const { rows, isShortened, brokenAt } = await two.store.verify(upstream);
        assert.deepEqual(
          { rows, isShortened, brokenAt },
          { rows: 40, isShortened: false, brokenAt: undefined },
        );
        const versions = history
          .filter((audit) => audit.upstream === upstream)
          .map(({ version }) => version);
        assert.deepEqual(
          versions,
          versions.toSorted((a, b) => b - a),
        );
      }
      assert.deepEqual(await one.store.read(names), await two.store.read(names));
    });

    test("refuses everything once it is closed, and closes twice", async (t) => {
      const [{ store }] = await pair(t);
      await store.close();
      await store.close();

      for (const ask of [
        () => store.commit(orderOf(store, "dk", { by: "person", does: "trip" })),
        () => store.read(["dk"]),
        () => store.present({}),
        () => store.verify("dk"),
      ]) {
        await assert.rejects(ask, { code: "SG_STORE" });
      }
      store.confirm("a/b:1", "c");
    });
  });
}
