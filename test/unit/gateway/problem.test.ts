import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RefusalAnswers } from "../../../src/gateway/problem.ts";
import { toDestination } from "../../../src/gateway/route.ts";
import type { Refused } from "../../../src/pipeline/call/admission.ts";

const DESTINATION = toDestination({
  name: "draftkings",
  url: new URL("http://upstream.test"),
  deadlineMs: 1_000,
  status429: "neutral",
  operations: [],
  guard: { tryAcquire: () => ({ admitted: true, settle: () => {} }) },
});

const TRIPPED: Refused = {
  admitted: false,
  reason: "tripped",
  upstream: "draftkings",
  operation: "odds",
  retryAfterMs: undefined,
  remainingMs: 400.2,
  manual: false,
  systemLoad: undefined,
  operationLoad: undefined,
};

describe("RefusalAnswers", () => {
  test("gives the same answer out again while nothing in it changes", () => {
    const answers = new RefusalAnswers(DESTINATION);
    const first = answers.of(TRIPPED);

    assert.equal(answers.of({ ...TRIPPED, remainingMs: 400.9 }), first);
    assert.equal(first.isShared, true);
  });

  for (const [what, change] of [
    ["the time that remains", { remainingMs: 399 }],
    ["when to try again", { retryAfterMs: 2_000 }],
    ["who tripped it", { manual: true }],
    ["the reason", { reason: "half_open_limit" }],
    ["the operation", { operation: "props" }],
  ] as const satisfies readonly (readonly [string, Partial<Refused>])[]) {
    test(`writes a new one when ${what} changes, and the old one when it changes back`, () => {
      const answers = new RefusalAnswers(DESTINATION);
      const before = answers.of(TRIPPED);
      const changed = answers.of({ ...TRIPPED, ...change });

      assert.notDeepEqual(changed, before);
      assert.deepEqual(changed, new RefusalAnswers(DESTINATION).of({ ...TRIPPED, ...change }));
      assert.deepEqual(answers.of(TRIPPED), before);
    });
  }

  test("says why there is no room, where it is not as usual", () => {
    const answers = new RefusalAnswers(DESTINATION);
    const limited = { ...TRIPPED, reason: "limit", retryAfterMs: 500 } as const;
    const late = { ...limited, why: "its last answers came too late" };

    assert.match(
      answers.of(limited).body,
      /"draftkings has as much to do as it can; it was not asked\."/,
    );
    assert.match(
      answers.of(late).body,
      /"draftkings is full: its last answers came too late; it was not/,
    );
    assert.match(answers.of(limited).body, /as much to do as it can/);
  });

  test("writes each load that it was refused at", () => {
    const answers = new RefusalAnswers(DESTINATION);
    const shed = { ...TRIPPED, reason: "load_shed", operationLoad: 200 } as const;

    assert.match(answers.of({ ...shed, systemLoad: 0.8 }).body, /"systemLoad":0.8/);
    assert.match(answers.of({ ...shed, systemLoad: 0.9 }).body, /"systemLoad":0.9/);
  });

  test("keeps no answer to a call over its rate: the next one waits for another time", () => {
    const answers = new RefusalAnswers(DESTINATION);
    const limited = { ...TRIPPED, reason: "rate_limited", retryAfterMs: 250.5 } as const;
    const first = answers.of(limited);

    assert.match(first.body, /"retryAfterMs":250.5/);
    assert.equal(first.isShared, undefined);
    assert.match(answers.of({ ...limited, retryAfterMs: 249 }).body, /"retryAfterMs":249/);
  });

  test("keeps no more answers than the bound, whatever callers name their operations", () => {
    const answers = new RefusalAnswers(DESTINATION);
    const first = answers.of(TRIPPED);
    for (let at = 0; at < 63; at += 1) answers.of({ ...TRIPPED, operation: `o${at}` });
    assert.equal(answers.of(TRIPPED), first);

    answers.of({ ...TRIPPED, operation: "one more" });

    assert.notEqual(answers.of(TRIPPED), first);
  });
});
