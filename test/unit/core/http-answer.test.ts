// What answers and errors of HTTP clients tell, read directly; what becomes of it is tried in
// `test/contract/odd-options.test.ts`, and with the clients themselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { factsOf } from "../../../src/core/error-facts.ts";
import { judgeErrorsAnswer, judgeResponse, statusOfError } from "../../../src/core/http-answer.ts";

const CLOCK = { now: () => 0, monotonic: () => 0 };
const WAIT = { "retry-after": "5" };

function ofResponse(value: unknown): unknown {
  return judgeResponse(value, "neutral", CLOCK);
}

function ofError(error: unknown): unknown {
  return judgeErrorsAnswer(error, factsOf(error), "neutral", CLOCK);
}

test("a Response counts by its status, and asks to wait where one may", () => {
  for (const [status, outcome, retryAfterMs] of [
    [200, "ok", undefined],
    [302, "ok", undefined],
    [404, "ok", undefined],
    [429, "ignored", 5000],
    [500, "failed", 5000],
    [503, "failed", 5000],
  ] as const) {
    const answer = new Response(null, { status, headers: WAIT });
    assert.deepEqual(ofResponse(answer), { outcome, status, retryAfterMs });
  }
});

test("what is no Response, or hides what it is, tells nothing", () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  for (const value of [
    undefined,
    null,
    "Response",
    { status: 500 },
    { [Symbol.toStringTag]: "Response", status: "500" },
    proxy,
  ]) {
    assert.equal(ofResponse(value), undefined);
  }
});

test("an error's answer is its response, or itself", () => {
  const told = { outcome: "failed", status: 503, retryAfterMs: 5000 };
  for (const error of [
    { status: 503, headers: WAIT },
    { status: 503, headers: new Headers(WAIT) },
    { status: 503, headers: {}, response: { headers: WAIT } },
    { response: { status: 503, headers: WAIT } },
    { $metadata: { httpStatusCode: 503 }, headers: WAIT },
  ]) {
    assert.deepEqual(ofError(error), told);
  }
});

test("a status is a number from 300 to 599, that of a response alone from 400 on", () => {
  for (const [error, status] of [
    [{ status: 300 }, 300],
    [{ statusCode: 599 }, 599],
    [{ status: 299 }, undefined],
    [{ status: 600 }, undefined],
    [{ status: "500" }, undefined],
    [{ status: Number.NaN }, undefined],
    [{ response: { status: 400 } }, 400],
    [{ response: { status: 399 } }, undefined],
    [{ name: "HTTPError", response: { statusCode: 304 } }, 304],
    [{}, undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(statusOfError(factsOf(error)), status);
    assert.equal(ofError(error) === undefined, status === undefined);
  }
});
