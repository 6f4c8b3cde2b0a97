import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  BreakerOpenError,
  ERROR_CODES,
  RefusedError,
  ResetDeniedError,
  StoreError,
  SwitchgearError,
  UnknownUpstreamError,
  isRefused,
} from "../../../src/index.ts";
import { percent, withoutStack } from "../../../src/core/errors.ts";
import { makeGear } from "../../support/gear.ts";

async function refusal(): Promise<BreakerOpenError> {
  const { dk } = makeGear();
  dk.trip({ reason: "maintenance" });
  const error: unknown = await dk.execute(() => 1).catch((reason: unknown) => reason);
  assert.ok(error instanceof BreakerOpenError);
  return error;
}

test("a refusal is an error in every way that people and tools look at one", async () => {
  const error = await refusal();
  assert.ok(error instanceof RefusedError && error instanceof SwitchgearError);
  assert.ok(error instanceof Error);
  assert.equal(Object.prototype.toString.call(error), "[object Error]");
  const text =
    "BreakerOpenError: unknown for dk refused: the breaker is tripped; a person must reset it, without force in 60000 ms";
  assert.equal(String(error), text);
  // Hosts split it; it must be a text on every runtime.
  assert.equal(error.stack?.split("\n")[0], text);
  assert.match(inspect(error), /BreakerOpenError/);
  assert.match(inspect(error), /SG_BREAKER_OPEN/);
});

test("a refusal that nobody handles is reported like any other rejection, and a handled one is not", () => {
  const program = join(import.meta.dirname, "../../fixtures/unhandled-refusal.ts");
  assert.equal(execFileSync(process.execPath, [program], { encoding: "utf8" }), "unhandled true\n");
});

test("making a refusal leaves the host's stack limit as it was, even when making it fails", async () => {
  const limit = Error.stackTraceLimit;
  await refusal();
  assert.equal(Error.stackTraceLimit, limit);
  assert.throws(() =>
    withoutStack(() => {
      throw new Error("no error could be made");
    }),
  );
  assert.equal(Error.stackTraceLimit, limit);
});

test("an error's stack can be replaced, as some tools do", async () => {
  const error = await refusal();
  error.stack = "mine";
  assert.equal(error.stack, "mine");
});

test("every code has a sentence, and errors carry theirs", () => {
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    assert.match(code, /^SG_[A-Z_]+$/);
    assert.match(meaning, /^[A-Z].*\.$/);
  }
  assert.equal(
    new ResetDeniedError("dk", 30_000, 1.2).message,
    "Reset denied: dk tripped <30s ago; 2 ms remain, or force it",
  );
  assert.equal(new StoreError("SQLITE_FULL", "full").storeCode, "SQLITE_FULL");
  assert.equal(
    new UnknownUpstreamError("x", []).message,
    'no upstream named "x"; none is configured',
  );
});

test("isRefused is false for everything else", () => {
  for (const value of [
    undefined,
    null,
    "x",
    1,
    {},
    new Error("x"),
    new ResetDeniedError("dk", 1, 1),
  ]) {
    assert.equal(isRefused(value), false);
  }
});

test("ratios are shown with one decimal", () => {
  assert.equal(percent(0.9), "90.0%");
  assert.equal(percent(1), "100.0%");
});
