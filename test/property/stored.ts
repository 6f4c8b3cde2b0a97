// Whatever a store holds, what a machine makes of it is sound.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { REFUSED, type BreakerMachine } from "../../src/core/breaker/machine.ts";
import type { BreakerSnapshot } from "../../src/core/breaker/snapshot.ts";
import { WALL_MS } from "./pair.ts";

interface Stored<Options, Snapshot extends BreakerSnapshot> {
  readonly options: fc.Arbitrary<Options>;
  /** Values that come near to what is stored; any other is tried as well. */
  readonly likely: readonly fc.Arbitrary<unknown>[];
  readonly sanitise: (raw: object, wallMs: number, updatedAt: unknown) => Snapshot;
  /** The machine, and the longest wait before probes; undefined where nobody is ever probed. */
  readonly create: (options: Options) => {
    readonly machine: BreakerMachine<Snapshot>;
    readonly msMax: number | undefined;
  };
  readonly check: (snapshot: Snapshot) => void;
}

export function testStored<Options, Snapshot extends BreakerSnapshot>({
  options,
  likely,
  sanitise,
  create,
  check,
}: Stored<Options, Snapshot>): void {
  const anything = fc.oneof(
    fc.anything(),
    fc.double(),
    fc.integer(),
    fc.constantFrom(0, 1, true, false, null, undefined, Number.NaN, -1, 1e300, "text"),
    ...likely,
  );
  const keys = Object.keys(sanitise({}, WALL_MS, undefined));
  const raw = fc.record(Object.fromEntries(keys.map((key) => [key, anything])), {
    requiredKeys: [],
  });

  test("whatever is stored, a restored machine is sound", () => {
    fc.assert(
      fc.property(options, raw, anything, (given, stored, updatedAt) => {
        const at = { nowMs: 5, wallMs: WALL_MS };
        const clean = sanitise(stored, at.wallMs, updatedAt);
        // Sanitising what is sane changes nothing.
        assert.deepEqual(sanitise(clean, at.wallMs, updatedAt), clean);
        const { machine, msMax } = create(given);
        machine.restore(clean, at);
        // Only an explicit false opens the door.
        const isExplicit = [false, 0, null].includes(stored["tripped"] as null);
        assert.equal(machine.isTripped, !isExplicit);
        const snapshot = machine.snapshot(at);
        assert.deepEqual(sanitise(snapshot, at.wallMs, updatedAt), snapshot);
        assert.equal(snapshot.tripped, machine.isTripped);
        assert.ok(Number.isInteger(snapshot.tripCount) && snapshot.tripCount >= 0);
        assert.ok(snapshot.trippedAt === null || snapshot.trippedAt <= at.wallMs);
        check(snapshot);
        const { retryAfterMs } = machine.refusal(at);
        if (machine.isTripped && (clean.manual || msMax === undefined)) {
          assert.equal(retryAfterMs, undefined);
          assert.equal(machine.admit(1e15), REFUSED);
        } else if (machine.isTripped) {
          assert.ok(retryAfterMs !== undefined && retryAfterMs <= (msMax ?? 0));
          assert.ok(machine.admit(at.nowMs + retryAfterMs) >= 0, "probed when it says so");
        }
        machine.reset({ reason: "", actor: "", force: true }, at);
        assert.ok(machine.admit(5) >= 0);
      }),
      { numRuns: 2000 },
    );
  });
}
