import assert from "node:assert/strict";
import { test } from "node:test";
import { CRITICALITIES, type Criticality } from "../../../src/core/overload/criticality.ts";
import { readCallWishes } from "../../../src/gateway/call-options.ts";
import { toDestination } from "../../../src/gateway/route.ts";

const DESTINATION = toDestination({
  name: "dk",
  url: new URL("http://dk"),
  deadlineMs: 1000,
  status429: "neutral",
  operations: CRITICALITIES.map((criticality) => ({
    name: criticality,
    path: `/${criticality}`,
    load: 0,
    criticality,
  })),
  guard: { tryAcquire: () => assert.fail("nobody calls") },
});

/** How critical a call is, of an operation that is configured so, whose caller asks for so much. */
function tier(asked: string | undefined, max?: Criticality, operation = "other") {
  const header = (name: string): string | undefined =>
    name === "x-switchgear-criticality" ? asked : undefined;
  const wishes = readCallWishes(DESTINATION, `/${operation}`, "GET", header, max);
  return wishes.ok ? wishes.options.criticality : wishes.header;
}

test("callers are believed unless they may ask for less", () => {
  for (const asked of CRITICALITIES) assert.equal(tier(asked), asked);
});

test("a header that asks for more than it may counts as the most that it may, and less as it is", () => {
  for (const [most, max] of CRITICALITIES.entries()) {
    for (const [at, asked] of CRITICALITIES.entries()) {
      assert.equal(tier(asked, max), at < most ? max : asked);
    }
    assert.equal(tier(undefined, max), undefined);
    assert.equal(tier("urgent", max), "x-switchgear-criticality");
  }
});

test("what an operation is configured with is not bounded, and its callers may ask for it", () => {
  for (const own of CRITICALITIES) assert.equal(tier(undefined, "sheddable", own), own);
  assert.equal(tier("critical_plus", "sheddable", "critical"), "critical");
  assert.equal(tier("critical_plus", "sheddable", "critical_plus"), "critical_plus");
  assert.equal(tier("critical_plus", "critical", "sheddable"), "critical");
  assert.equal(tier("sheddable", "critical", "critical_plus"), "sheddable");
});
