// The short form of `npm run fuzz`, and that it finds what there is to find.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fuzz } from "./fuzz.ts";
import { Rig } from "./rig.ts";

const skip = "Bun" in globalThis && "started from Node, which shows both transports the same";
const SEED = 1;
const EXCHANGES = 400;
/** One in some hundred shows each planted fault. */
const EXCHANGES_MAX = 2_000;

/** By their names in planted.ts, and what they are found by. */
const PLANTED = [
  ["loses all but one cookie", "answer field set-cookie"],
  ["counts failures as successes", "call verdicts "],
  ["asks twice", "request count "],
] as const;

describe("exchanges through both transports", { skip }, () => {
  test("differ in nothing that is not listed", async () => {
    const rig = await Rig.start(8);
    try {
      const { findings } = await fuzz(rig, {
        seed: SEED,
        from: 0,
        count: EXCHANGES,
        findingsMax: 5,
      });
      assert.deepEqual(
        findings.map(({ index, unexplained }) => [
          `npm run fuzz -- --seed ${SEED} --only ${index}`,
          unexplained,
        ]),
        [],
      );
    } finally {
      await rig.stop();
    }
  });

  for (const [name, fact] of PLANTED) {
    test(`that are spoilt on purpose are found: one transport ${name}`, async () => {
      const rig = await Rig.start(8, name);
      try {
        const { findings } = await fuzz(rig, {
          seed: SEED,
          from: 0,
          count: EXCHANGES_MAX,
          findingsMax: 1,
        });
        const facts = findings.flatMap(({ unexplained }) =>
          unexplained.map(({ about, aspect, name: field }) => `${about} ${aspect} ${field ?? ""}`),
        );
        assert.ok(facts.includes(fact), facts.join());
      } finally {
        await rig.stop();
      }
    });
  }
});
