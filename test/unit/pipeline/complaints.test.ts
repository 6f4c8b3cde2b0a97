import assert from "node:assert/strict";
import { test } from "node:test";
import { Complaints } from "../../../src/pipeline/call/complaints.ts";

test("says a thing once of each upstream, and no more than a hundred in all", () => {
  const said: string[] = [];
  const complaints = new Complaints((sentence) => void said.push(sentence));
  complaints.tell("dk", "settle", "what it was");
  complaints.tell("dk", "settle", "what it was the second time");
  complaints.tell("dk", "classifyError", "another thing");
  complaints.tell("fd", "settle", "what it was");
  assert.deepEqual(said, ["dk: what it was", "dk: another thing", "fd: what it was"]);

  for (let n = 0; n < 200; n += 1) complaints.tell(`upstream ${n}`, "settle", "what it was");
  assert.equal(said.length, 100);
});

test("a host that forbids warnings loses nothing for them", () => {
  let asked = 0;
  const complaints = new Complaints(() => {
    asked += 1;
    throw new Error("no warnings here");
  });
  for (let n = 0; n < 2; n += 1) {
    assert.doesNotThrow(() => complaints.tell("dk", "settle", "what it was"));
  }

  assert.equal(asked, 1);
});
