import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isImpatient, seenByLeaver } from "../../../src/core/patience.ts";

const ANY = { slowCallMs: Infinity, averageMs: null, deadlineMs: undefined };

describe("a caller who left has seen", () => {
  for (const [label, wait, standard, expected] of [
    ["nothing of an upstream that nobody knows, in less than a second", [999, 999], ANY, "nothing"],
    ["a timeout of one that answered nobody for a second", [300, 1000], ANY, "timeout"],
    ["nothing of one that answered somebody meanwhile", [5000, 40], ANY, "nothing"],
    ["a slow call from slowCallMs on", [100, 100], { ...ANY, slowCallMs: 100 }, "slow"],
    ["nothing just before slowCallMs", [99, 99], { ...ANY, slowCallMs: 100 }, "nothing"],
    ["nothing of a slow one by its own standard", [9, 3999], { ...ANY, averageMs: 200 }, "nothing"],
    ["a timeout of that one later", [9, 4000], { ...ANY, averageMs: 200 }, "timeout"],
    [
      "a timeout at the deadline, however slow it is",
      [9, 2000],
      { ...ANY, averageMs: 200, deadlineMs: 2000 },
      "timeout",
    ],
    ["a timeout at a deadline below a second", [9, 50], { ...ANY, deadlineMs: 50 }, "timeout"],
  ] as const) {
    test(label, () => {
      const [waitedMs, silentMs] = wait;
      assert.equal(seenByLeaver({ waitedMs, silentMs }, standard), expected);
    });
  }
});

test("a limit below the average of the answers is impatience, and without answers nothing is", () => {
  assert.equal(isImpatient(11.9, 12), true);
  assert.equal(isImpatient(12, 12), false);
  assert.equal(isImpatient(0.1, null), false);
});
