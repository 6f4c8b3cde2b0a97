// Rules of the house that no linter knows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as publicNames from "../../src/index.ts";
import * as redis from "../../src/store/redis.ts";
import * as sqlite from "../../src/store/sqlite.ts";
import * as testing from "../../src/testing/index.ts";
import { ROOT, sourceFiles, walk } from "./source-files.ts";

const sources = [...sourceFiles("src"), ...sourceFiles("loadtest"), ...sourceFiles("scripts")];
const tests = sourceFiles("test");

test("nothing is left to do in a comment", () => {
  for (const { path, text } of [...sources, ...tests]) {
    // Split, so that this file does not find itself.
    assert.doesNotMatch(text, new RegExp(["TO", "DO|FIX", "ME|X", "XX"].join("")), path);
  }
});

test("no test is skipped or singled out without a reason", () => {
  for (const { path, text } of tests)
    assert.doesNotMatch(text, /\b(?:test|it|describe)\.(?:only|todo|skip)\(/, path);
});

test("unit and acceptance tests do not sleep: they own the clock", () => {
  // The store's own tests talk to other processes, which keep their own time.
  const own = tests.filter(({ path }) =>
    /^test\/(?:acceptance|unit\/(?:core|pipeline))\//.test(path),
  );
  assert.ok(own.length >= 6);
  for (const { path, program } of own) {
    for (const node of walk(program)) assert.notEqual(node["name"], "setTimeout", path);
  }
});

test("names of metrics are written in the catalogue and nowhere else in the sources", () => {
  for (const { path, text } of sourceFiles("src")) {
    if (path.startsWith("src/telemetry/series/catalogue")) continue;
    // Tables and databases of the source system carry the same prefix.
    const names =
      text.match(
        /"(?:circuit_breaker|switchgear)_[a-z_]+(?:total|seconds|ms|tripped|count|1m)"/g,
      ) ?? [];
    assert.deepEqual(names, [], path);
  }
});

test("every error code is explained, and the documentation explains no other", () => {
  const page = readFileSync(join(ROOT, "docs/errors.md"), "utf8");
  const documented = new Set(page.match(/SG_[A-Z_]+/g));
  assert.deepEqual([...documented].toSorted(), Object.keys(publicNames.ERROR_CODES).toSorted());
});

test("the public names are these, and a change to them is deliberate", () => {
  assert.deepEqual(Object.keys(publicNames).toSorted(), [
    "BreakerOpenError",
    "CancellationToken",
    "ClosingError",
    "DeadlineError",
    "ERROR_CODES",
    "InvalidOptionsError",
    "LimitedError",
    "LoadShedError",
    "NoEndpointError",
    "RateLimitedError",
    "RefusedError",
    "ResetDeniedError",
    "StoreError",
    "SwitchgearError",
    "UnknownUpstreamError",
    "adaptive",
    "adaptiveLimit",
    "classifyError",
    "classifyThrown",
    "createBreaker",
    "createSwitchgear",
    "fixedLimit",
    "forgetShared",
    "isRefused",
    "latching",
    "memoryStore",
    "sharedSwitchgear",
    "slidingWindow",
  ]);
  assert.deepEqual(Object.keys(sqlite), ["sqliteStore"]);
  assert.deepEqual(Object.keys(redis), ["redisStore"]);
  assert.deepEqual(Object.keys(testing).toSorted(), [
    "RecordingSink",
    "SeededRandom",
    "VirtualClock",
  ]);
});
