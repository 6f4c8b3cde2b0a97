import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  isTimeoutError,
  outcomeOfAnswer,
  outcomeOfEnding,
  outcomeOfError,
} from "../../../src/gateway/classify.ts";

describe("outcomeOfAnswer", () => {
  for (const [status, status429, expected] of [
    [200, "neutral", { outcome: "ok" }],
    [204, "neutral", { outcome: "ok" }],
    [302, "neutral", { outcome: "ok" }],
    [400, "neutral", { outcome: "ok" }],
    [407, "neutral", { outcome: "ok" }],
    [408, "neutral", { outcome: "failed", timeout: true, error: "HTTP 408" }],
    [428, "failure", { outcome: "ok" }],
    [429, "neutral", { outcome: "ignored" }],
    [429, "failure", { outcome: "failed", error: "HTTP 429" }],
    [429, "success", { outcome: "ok" }],
    [499, "neutral", { outcome: "ok" }],
    [500, "neutral", { outcome: "failed", error: "HTTP 500" }],
    [504, "neutral", { outcome: "failed", error: "HTTP 504" }],
    [599, "success", { outcome: "failed", error: "HTTP 599" }],
  ] as const) {
    test(`${status} with 429 as ${status429} is ${expected.outcome}`, () => {
      assert.deepEqual(outcomeOfAnswer(status, status429, 12), { ...expected, latencyMs: 12 });
    });
  }
});

describe("outcomeOfError", () => {
  test("counts a connection that was refused as a hard failure", () => {
    const error = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });

    assert.deepEqual(outcomeOfError(error, 3), { outcome: "failed", latencyMs: 3, error });
  });

  test("counts connecting that took too long as a timeout", () => {
    const error = Object.assign(new Error("x"), { code: "UND_ERR_CONNECT_TIMEOUT" });

    assert.equal(isTimeoutError(error), true);
    assert.equal(outcomeOfError(error, 3).timeout, true);
  });
});

const TIMES = { waitedMs: 9, waitedInAllMs: 30, deadlineMs: 500, idleMs: 70 };

describe("outcomeOfEnding", () => {
  test("counts a missed deadline as a timeout and says which", () => {
    assert.deepEqual(outcomeOfEnding("deadline", { ...TIMES, waitedMs: 501 }, true), {
      outcome: "failed",
      timeout: true,
      latencyMs: 501,
      error: "no full answer in 500 ms",
    });
  });

  test("counts a stream that paused for too long as a timeout and says for how long", () => {
    assert.deepEqual(outcomeOfEnding("idle", TIMES, false), {
      outcome: "failed",
      timeout: true,
      latencyMs: 9,
      error: "nothing more of its answer in 70 ms",
    });
  });

  for (const ending of ["stalled", "caller_slow", "body_too_large", "stopping"] as const) {
    test(`takes ${ending} for no evidence`, () => {
      assert.deepEqual(outcomeOfEnding(ending, TIMES, true), { outcome: "ignored", latencyMs: 9 });
    });
  }

  for (const ending of ["caller_left", "impatient"] as const) {
    test(`tells of ${ending} how long was waited for an answer that is owed`, () => {
      assert.deepEqual(outcomeOfEnding(ending, TIMES, true), {
        outcome: "ignored",
        latencyMs: 9,
        leftAfterMs: 9,
        waitedInAllMs: 30,
      });
      assert.deepEqual(outcomeOfEnding(ending, TIMES, false), { outcome: "ignored", latencyMs: 9 });
    });
  }
});

test("what this process ran out of is no evidence", () => {
  const error = Object.assign(new Error("connect EMFILE"), { code: "EMFILE" });

  assert.deepEqual(outcomeOfError(error, 3), { outcome: "ignored", latencyMs: 3 });
});
