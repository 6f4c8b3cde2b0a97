import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, property } from "../../../src/core/foreign.ts";

const hostile = {
  get field(): never {
    throw new Error("mine");
  },
  method(): never {
    throw new Error("mine");
  },
};

test("reads what objects and functions show, and nothing of what is neither", () => {
  function named(): void {}
  assert.equal(property({ field: 5 }, "field"), 5);
  assert.equal(property(named, "name"), "named");
  for (const value of ["text", 5, true, null, undefined, {}, hostile]) {
    assert.equal(property(value, "field"), undefined);
  }
  assert.equal(property("text", "length"), undefined);
});

test("asks with this and arguments, and takes no error for an answer", () => {
  const sum = {
    base: 1,
    add(one: number, other: number): number {
      return this.base + one + other;
    },
  };
  assert.equal(ask(sum, "add", 2, 3), 6);
  for (const value of [hostile, {}, { method: 5 }, null, undefined]) {
    assert.equal(ask(value, "method"), undefined);
  }
});
