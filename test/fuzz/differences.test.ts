// The list of differences cannot rot: each is shown to both transports by its example.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { compare } from "./compare.ts";
import { DIFFERENCES } from "./differences.ts";
import { contextOf } from "./known.ts";
import { judge } from "./fuzz.ts";
import { Rig } from "./rig.ts";

const skip = "Bun" in globalThis && "started from Node, which shows both transports the same";

/** Some are a race, which one side wins again and again on a busy machine. */
const TIMES = 50;

describe("each listed difference between the transports", { skip }, () => {
  let rig: Rig;
  before(async () => void (rig = await Rig.start(1)));
  after(() => rig.stop());

  for (const known of DIFFERENCES) {
    test(`still is one: ${known.name}`, async () => {
      const [lane = ""] = rig.lanes;
      let isShown = false;
      // Of a few it is chance whether they show themselves each time.
      for (let time = 0; time < TIMES && !isShown; time += 1) {
        const { pair, unexplained } = await judge(rig, lane, known.example);
        const context = contextOf(known.example, pair);
        isShown = compare(pair).some((difference) => known.explains(difference, context));
        assert.deepEqual(unexplained, []);
      }

      assert.ok(isShown, "both do the same now: take it off the list");
    });
  }
});
