import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyCallError } from "../../../src/hyper-bun/error-words.ts";

const OWN = "DRAFTKINGS_API_KEY is not set";

test("what this host lacked to make the call counts nothing, and all else as in the library", () => {
  for (const [error, verdict] of [
    [new Error(OWN), "ignored"],
    [new ReferenceError("odds is not defined"), "ignored"],
    [{ name: "ReferenceError" }, "ignored"],
    [new Error("HTTP 503"), "failed"],
    [new Error("market suspended"), "failed"],
    // Of another verdict no word is read.
    [Object.assign(new Error(OWN), { name: "TimeoutError" }), "timeout"],
    [Object.assign(new Error("HTTP 503"), { name: "AbortError" }), "ignored"],
    // A bookmaker that answers with a status speaks of its own key.
    [Object.assign(new Error(OWN), { status: 500 }), "failed"],
    [Object.assign(new Error(OWN), { statusCode: 503 }), "failed"],
    [Object.assign(new Error(OWN), { status: 499 }), "ignored"],
    [Object.assign(new ReferenceError("x"), { status: 500, statusCode: 200 }), "failed"],
    // What is no error has no words of its own.
    [OWN, "failed"],
    [null, "failed"],
    [undefined, "failed"],
    [5, "failed"],
    [{ message: 5 }, "failed"],
    [{}, "failed"],
  ] as const) {
    assert.equal(classifyCallError(error), verdict, JSON.stringify(error));
  }
});
