// Which operations a loaded process sheds.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clampOperationLoad,
  clampSystemLoad,
  LOAD_SHEDDING_DEFAULTS,
  shouldShed,
} from "../../../../src/core/overload/load-shedder.ts";

test("sheds what is heavy while the process is loaded; exactly so much of either is not", () => {
  const shed = (systemLoad: number, operationLoad: number): boolean =>
    shouldShed(systemLoad, operationLoad, LOAD_SHEDDING_DEFAULTS);
  assert.equal(shed(0.86, 101), true);
  assert.equal(shed(0.85, 101), false);
  assert.equal(shed(0.86, 100), false);
  assert.deepEqual(LOAD_SHEDDING_DEFAULTS, { threshold: 0.85, operationLoad: 100 });
});

test("an operation's load is from nothing to 1,000, and nothing where it is no number", () => {
  const given = [undefined, Number.NaN, -1, -Infinity, 0, 0.5, 1000, 1001, Infinity];
  assert.deepEqual(given.map(clampOperationLoad), [0, 0, 0, 0, 0, 0.5, 1000, 1000, 1000]);
});

test("a system's load is from nothing to 1, and nothing where it is no number", () => {
  const given = [Number.NaN, -1, -Infinity, 0, 0.5, 1, 1.5, Infinity];
  assert.deepEqual(given.map(clampSystemLoad), [0, 0, 0, 0, 0.5, 1, 1, 1]);
});
