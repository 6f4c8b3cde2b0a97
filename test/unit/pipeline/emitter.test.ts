import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventOf } from "../../../src/index.ts";
import { Emitter } from "../../../src/pipeline/emitter.ts";

const event: EventOf<"mode"> = {
  type: "mode",
  from: "normal",
  to: "shadow",
  actor: "ann",
  reason: "trial",
  upstream: "dk",
  at: 1,
};

test("calls the listeners of the type, then the parent's", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  const heard: string[] = [];
  emitter.on("mode", () => heard.push("first"));
  emitter.on("mode", () => heard.push("second"));
  parent.on("mode", () => heard.push("parent"));
  parent.on("trip", () => heard.push("never"));
  emitter.emit(event);
  assert.deepEqual(heard, ["first", "second", "parent"]);
});

test("says whether anybody hears, here or above", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  assert.equal(emitter.hears("mode"), false);
  const end = parent.on("mode", () => {});
  assert.equal(emitter.hears("mode"), true);
  assert.equal(emitter.hears("trip"), false);
  end();
  assert.equal(emitter.hears("mode"), false);
});

test("a subscription ends once, alone, and during an event too", () => {
  const emitter = new Emitter();
  const heard: string[] = [];
  const listener = (): void => void heard.push("same");
  const end = emitter.on("mode", listener);
  emitter.on("mode", listener);
  emitter.on("mode", () => end());
  emitter.emit(event);
  assert.deepEqual(heard, ["same", "same"]);
  end();
  emitter.emit(event);
  assert.deepEqual(heard, ["same", "same", "same"]);
});

test("what a listener throws is counted here and above, and goes no further", () => {
  const parent = new Emitter();
  const emitter = new Emitter(parent);
  const heard: string[] = [];
  emitter.on("mode", () => {
    throw new Error("listener");
  });
  emitter.on("mode", () => heard.push("next"));
  emitter.emit(event);
  assert.deepEqual(heard, ["next"]);
  assert.equal(emitter.errors, 1);
  assert.equal(parent.errors, 1);
});

test("subscribing per call is a leak, and is refused before it hurts", () => {
  const emitter = new Emitter();
  for (let n = 0; n < 1000; n += 1) emitter.on("mode", () => {});
  assert.throws(() => emitter.on("mode", () => {}), {
    message: /more than 1000 listeners for mode/,
  });
  emitter.on("trip", () => {});
});
