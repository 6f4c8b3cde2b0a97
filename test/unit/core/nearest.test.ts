import assert from "node:assert/strict";
import { test } from "node:test";
import { UnknownUpstreamError } from "../../../src/core/errors.ts";
import { didYouMean, nearest } from "../../../src/core/nearest.ts";

const KNOWN = ["draftkings", "fanduel", "bet365"];

test("finds the name that was meant, and none where none is near", () => {
  for (const [typed, meant] of [
    ["draftkigns", "draftkings"],
    ["DraftKings", "draftkings"],
    ["draft-kings", "draftkings"],
    ["draft", undefined],
    ["fandual", "fanduel"],
    ["bet356", "bet365"],
    ["pinnacle", undefined],
    ["", undefined],
  ] as const) {
    assert.equal(nearest(typed, KNOWN), meant, typed);
  }
  assert.equal(nearest("a", ["b"]), undefined, "every letter of it differs");
  assert.equal(nearest("abcxyz", ["abc"]), undefined, "three letters more, and two may be");
});

test("of several near ones it finds the nearest, and of those the first", () => {
  assert.equal(nearest("fanduels", ["fanduel", "fanduels", "fanduelss"]), "fanduels");
  assert.equal(nearest("fandual", ["fanduel", "fandual2"]), "fanduel");
});

test("compares no endless names, and no endless number of them", () => {
  const longest = "x".repeat(64);
  assert.equal(nearest(longest, [longest]), longest);
  assert.equal(nearest(`${longest}x`, [longest]), undefined);
  assert.equal(nearest(longest, [`${longest}x`]), undefined);
  const many = Array.from({ length: 1000 }, (_, n) => `unlike-${n}`);
  assert.equal(nearest("draftkigns", [...many, "draftkings"]), undefined);
  assert.equal(nearest("draftkigns", [...many.slice(1), "draftkings"]), "draftkings");
});

test("ends a sentence", () => {
  assert.equal(didYouMean("draftkigns", KNOWN), '; did you mean "draftkings"?');
  assert.equal(didYouMean("pinnacle", KNOWN), "");
  assert.equal(
    new UnknownUpstreamError("draftkigns", KNOWN).message,
    'no upstream named "draftkigns"; known: draftkings, fanduel, bet365; did you mean "draftkings"?',
  );
  const none: unknown = undefined;
  assert.equal(
    new UnknownUpstreamError(none as string, KNOWN).message,
    "no upstream named undefined; known: draftkings, fanduel, bet365",
  );
});
