// What every store promises. Each implementation runs it through `store.test.ts`.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PRISTINE_LATCHING, TEXT_LENGTH_MAX } from "../../src/core/breaker/snapshot.ts";
import { InvalidOptionsError } from "../../src/core/errors.ts";
import type { AuditAction, AuditEntry, Store, StoredBreaker } from "../../src/pipeline/ports.ts";

export const NOW = 1_700_000_000_000;

export interface StoreSubject {
  readonly name: string;
  /** A new and empty store whose wall clock shows `NOW`. */
  readonly create: () => Store;
  /** A second store on what the first one wrote; absent where nothing outlives the store. */
  readonly reopen?: (store: Store) => Store;
}

const HOSTILE_TEXTS: readonly string[] = [
  `quotes ' " \``,
  "a\nnew line\r\n",
  "'); DROP TABLE circuit_breaker_state; --",
  "__proto__",
  "constructor",
  "NUL \0 inside",
  "lone \ud800 surrogate",
  "lone \ud801 surrogate",
  "lone \uFFFD surrogate",
  '\uFFFD"lone \\ud800 surrogate"',
  '\uFFFD"no JSON',
  "\udc00\ud800",
  "NUL \0 inside\0",
  "UPPER",
  "upper",
  "\u00e9",
  "e\u0301",
  "🎲 emoji",
  "?1 :name @name $name",
  "%s {} ${x}",
  " ",
];

export function tripped(upstream: string, lastError = "boom"): StoredBreaker {
  return {
    upstream,
    mode: "normal",
    snapshot: {
      ...PRISTINE_LATCHING,
      failureCount: 10.5,
      tripped: true,
      tripCount: 3,
      trippedAt: NOW - 5000,
      trippedUntil: NOW + 55_000,
      lastError,
      lastFailureAt: NOW - 5000,
      lastSuccessAt: NOW - 9000,
      avgLatencyMs: 12.25,
      lastResetAt: NOW - 100_000,
      lastResetBy: "ann",
      lastResetReason: "api team cleared it",
    },
  };
}

export function closed(upstream: string): StoredBreaker {
  return { upstream, mode: "normal", snapshot: PRISTINE_LATCHING };
}

export function audit(upstream: string, change: Partial<AuditEntry> = {}): AuditEntry {
  return {
    upstream,
    action: "TRIP",
    reason: "ten failures",
    actor: "system",
    at: NOW,
    forced: false,
    ...change,
  };
}

function dated(ms: number, reason: string): AuditEntry {
  return audit("a", { at: NOW + ms, reason });
}

export function byName(stored: readonly StoredBreaker[]): readonly StoredBreaker[] {
  return stored.toSorted((left, right) => (left.upstream < right.upstream ? -1 : 1));
}

export function storeContract(subject: StoreSubject): void {
  const { name, create, reopen } = subject;
  describe(`store contract: ${name}`, () => {
    test("is empty at first", () => {
      const store = create();

      assert.deepEqual(store.load(), []);
      assert.deepEqual(store.history({ limit: 10 }), []);
      assert.equal(store.recoveredFrom, undefined);
      store.close();
    });

    test("gives back every field of what was committed", () => {
      const store = create();
      const manual: StoredBreaker = {
        ...tripped("manual"),
        mode: "shadow",
        snapshot: { ...tripped("manual").snapshot, manual: true, trippedUntil: null },
      };
      const written = [closed("closed"), manual, tripped("tripped")];

      store.commit({ breakers: written, audits: [] });

      assert.deepEqual(byName(store.load()), written);
      store.close();
    });

    test("keeps one row per upstream, the last one", () => {
      const store = create();
      store.commit({ breakers: [closed("a"), closed("b")], audits: [] });

      store.commit({ breakers: [tripped("a")], audits: [] });

      assert.deepEqual(byName(store.load()), [tripped("a"), closed("b")]);
      store.close();
    });

    test("keeps every operator mode", () => {
      const store = create();
      const modes = ["normal", "shadow", "forced-closed"] as const;

      for (const mode of modes) {
        store.commit({ breakers: [{ ...closed(mode), mode }], audits: [] });
      }

      const loaded = byName(store.load()).map(({ upstream, mode }) => [upstream, mode]);
      assert.deepEqual(
        loaded,
        modes.toSorted().map((mode) => [mode, mode]),
      );
      store.close();
    });

    test("tells history newest first, equal times by order of writing", () => {
      const store = create();

      store.commit({
        breakers: [],
        audits: [dated(5, "first"), dated(1, "oldest"), dated(5, "second")],
      });
      store.commit({ breakers: [], audits: [dated(5, "third"), dated(9, "newest")] });

      const reasons = store.history({ limit: 10 }).map(({ reason }) => reason);
      assert.deepEqual(reasons, ["newest", "third", "second", "first", "oldest"]);
      store.close();
    });

    test("filters history by upstream before it limits", () => {
      const store = create();
      const audits = ["a", "b", "b", "a", "b"].map((upstream, n) =>
        audit(upstream, { at: NOW + n }),
      );
      store.commit({ breakers: [], audits });

      assert.deepEqual(store.history({ upstream: "a", limit: 2 }), [audits[3], audits[0]]);
      assert.deepEqual(store.history({ upstream: "a", limit: 1 }), [audits[3]]);
      assert.deepEqual(store.history({ upstream: "nobody", limit: 5 }), []);
      store.close();
    });

    test("keeps every action, actor and force", () => {
      const store = create();
      const actions: readonly AuditAction[] = [
        "TRIP",
        "TRIP_NOTED",
        "RESET",
        "RESET_DENIED",
        "FORCE_CLOSED",
        "SHADOW",
        "NORMAL",
      ];
      const audits = actions.map((action, n) =>
        audit("a", { action, actor: `actor ${n}`, forced: n % 2 === 0, at: NOW + n }),
      );

      store.commit({ breakers: [], audits });

      assert.deepEqual(store.history({ limit: 10 }), audits.toReversed());
      store.close();
    });

    test("refuses a history limit outside 1 to 1000", () => {
      const store = create();

      for (const limit of [0, -1, 1001, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        assert.throws(() => store.history({ limit }), InvalidOptionsError);
      }
      assert.deepEqual(store.history({ limit: 1 }), []);
      assert.deepEqual(store.history({ limit: 1000 }), []);
      store.close();
    });

    test("keeps hostile names and texts apart and intact", () => {
      const store = create();
      const breakers = HOSTILE_TEXTS.map((text) => tripped(text, text));
      const audits = HOSTILE_TEXTS.map((text) => audit(text, { reason: text, actor: text }));

      store.commit({ breakers, audits });

      const loaded = new Map(store.load().map((stored) => [stored.upstream, stored]));
      assert.equal(loaded.size, HOSTILE_TEXTS.length);
      for (const text of HOSTILE_TEXTS) {
        const kept = text.toWellFormed();
        assert.equal(loaded.get(text)?.snapshot.lastError?.toWellFormed(), kept);
        const [entry, ...others] = store.history({ upstream: text, limit: 10 });
        assert.equal(entry?.upstream, text);
        assert.deepEqual([entry.reason, entry.actor, others.length], [kept, kept, 0]);
      }
      assert.equal(Object.hasOwn(Object.prototype, "upstream"), false);
      store.close();
    });

    test("clips texts of a megabyte, and takes a name of that size", () => {
      const store = create();
      const huge = "🎲".repeat(250_000);

      store.commit({
        breakers: [closed(huge)],
        audits: [audit(huge, { reason: `x${huge}`, actor: huge })],
      });

      assert.equal(store.load()[0]?.upstream, huge);
      const [entry] = store.history({ upstream: huge, limit: 1 });
      assert.equal(entry?.actor, "🎲".repeat(TEXT_LENGTH_MAX / 2));
      assert.equal(entry.reason.length, TEXT_LENGTH_MAX);
      assert.ok(entry.reason.isWellFormed());
      store.close();
    });

    test("takes a commit of nothing", () => {
      const store = create();

      store.commit({ breakers: [], audits: [] });

      assert.deepEqual(store.load(), []);
      store.close();
    });

    test("does not report its own writes to poll", () => {
      const store = create();
      store.load();

      store.commit({ breakers: [tripped("a")], audits: [audit("a")] });

      assert.equal(store.poll?.(), undefined);
      store.close();
    });

    test("closes twice without harm", () => {
      const store = create();
      store.load();

      store.close();
      store.close();
    });

    if (reopen !== undefined) {
      test("has all of it again after closing and reopening", () => {
        const store = create();
        store.commit({ breakers: [tripped("a"), closed("b")], audits: [audit("a")] });
        store.close();

        const second = reopen(store);

        assert.deepEqual(byName(second.load()), [tripped("a"), closed("b")]);
        assert.deepEqual(second.history({ limit: 10 }), [audit("a")]);
        second.close();
      });

      test("shows another writer's change once, by poll", () => {
        const store = create();
        store.commit({ breakers: [tripped("a"), tripped("b")], audits: [] });
        store.load();
        const other = reopen(store);

        other.load();
        other.commit({ breakers: [closed("a")], audits: [audit("a", { action: "RESET" })] });

        assert.deepEqual(byName(store.poll?.() ?? []), [closed("a"), tripped("b")]);
        assert.equal(store.poll?.(), undefined);
        assert.equal(other.poll?.(), undefined);
        other.close();
        store.close();
      });
    }
  });
}
