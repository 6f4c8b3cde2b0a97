// The limiter's books against plain ones, over any sequence of anything that can happen to it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Tier } from "../../src/core/overload/criticality.ts";
import { adaptiveLimit, fixedLimit } from "../../src/core/overload/limit-policy.ts";
import { ENDED_IGNORED, ENDED_TIMEOUT, type Ending } from "../../src/core/overload/limiter.ts";

type Step =
  | { readonly do: "admit" | "anyway"; readonly tier: number; readonly remainingMs: number }
  | { readonly do: "settle" | "outlive" | "leave"; readonly which: number; readonly ending: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "freeze" | "thaw" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("admit" as const, "admit" as const, "anyway" as const),
      tier: fc.nat(3),
      remainingMs: fc.constantFrom(1, 50, 1000, Infinity),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "settle" as const,
        "settle" as const,
        "outlive" as const,
        "leave" as const,
      ),
      which: fc.nat(),
      ending: fc.nat(3),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(0, 1, 10, 100, 600, 5000, 3_600_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("freeze" as const, "thaw" as const) }) },
);

const policy = fc.constantFrom(
  fixedLimit(1),
  fixedLimit(5),
  adaptiveLimit({ initial: 3, min: 1, max: 6 }),
  adaptiveLimit(),
);

test("permits neither leak nor come back twice, and no tier takes what is kept for a higher one", () => {
  fc.assert(
    fc.property(
      policy,
      fc.constantFrom(200, 1000, undefined),
      fc.array(step, { maxLength: 120 }),
      (policy, deadlineMs, steps) => {
        const limiter = policy.createLimiter({ nowMs: 0, phaseMs: 7, deadlineMs });
        const longestMs = deadlineMs ?? 30_000;
        let nowMs = 0;
        const held = new Map<number, { tier: number; outlived: boolean }>();
        const gone: number[] = [];
        const left: { tier: number; atMs: number }[] = [];

        for (const next of steps) {
          if (next.do === "wait") nowMs += next.ms;
          else if (next.do === "freeze") limiter.freeze();
          else if (next.do === "thaw") limiter.thaw(nowMs);
          else if ("tier" in next) {
            const tier = next.tier as Tier;
            const verdict =
              next.do === "anyway"
                ? limiter.admitAnyway(tier, nowMs)
                : limiter.admit(tier, nowMs, next.remainingMs);
            if (verdict < 0) continue;
            assert.ok(!held.has(verdict), "one permit, two holders");
            held.set(verdict, { tier, outlived: false });
            if (next.do === "admit") assert.ok(limiter.inFlight <= limiter.limit);
          } else if ("which" in next) {
            const permits = [...held.keys(), ...gone];
            const permit = permits[next.which % Math.max(1, permits.length)] ?? 3;
            const holder = held.get(permit);
            if (next.do === "outlive") {
              assert.equal(
                limiter.outlived(permit, ENDED_TIMEOUT, nowMs),
                holder !== undefined && !holder.outlived,
              );
              if (holder !== undefined) holder.outlived = true;
            } else {
              const isHeld = holder !== undefined;
              if (next.do === "settle") {
                assert.equal(limiter.settle(permit, next.ending as Ending, nowMs), isHeld);
              } else {
                assert.equal(limiter.leave(permit, ENDED_TIMEOUT, nowMs), isHeld);
                if (holder !== undefined) left.push({ tier: holder.tier, atMs: nowMs });
              }
              if (isHeld) gone.push(permit);
              held.delete(permit);
            }
          }

          const { inFlight, abandoned, limit } = limiter;
          const outlived = [...held.values()].filter(({ outlived }) => outlived).length;
          const leftStill = inFlight - held.size;
          assert.ok(leftStill >= 0 && leftStill <= left.length, `${leftStill} of ${left.length}`);
          assert.equal(abandoned, leftStill + outlived);
          const tiers: readonly Tier[] = [0, 1, 2, 3];
          let ofTiers = 0;
          for (const tier of tiers) ofTiers += limiter.inFlightOf(tier);
          assert.equal(ofTiers, inFlight);
          for (const tier of tiers) {
            const mine = [...held.values()].filter((holder) => holder.tier === tier).length;
            assert.ok(limiter.inFlightOf(tier) >= mine);
            assert.ok(limiter.reserveOf(tier, nowMs) <= limit);
          }
          assert.ok(Number.isInteger(limit) && limit >= policy.min && limit <= policy.max);
          for (const fact of [limiter.baseMs, limiter.latencyMs, limiter.retryAfterMs()]) {
            assert.ok(Number.isFinite(fact) && fact >= 0);
          }
        }

        for (const permit of held.keys()) limiter.settle(permit, ENDED_IGNORED, nowMs);
        nowMs += longestMs;
        limiter.settle(limiter.admitAnyway(0, nowMs), ENDED_IGNORED, nowMs);
        assert.deepEqual([limiter.inFlight, limiter.abandoned], [0, 0]);
      },
    ),
    { numRuns: 1500 },
  );
});
