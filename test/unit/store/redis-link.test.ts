import assert from "node:assert/strict";
import { test } from "node:test";
import type { StoreError } from "../../../src/core/errors.ts";
import { redisError } from "../../../src/store/redis/errors.ts";
import { Link } from "../../../src/store/redis/link.ts";
import type { Line } from "../../../src/store/redis/wire.ts";

const subject = { location: "redis://h:1", username: undefined, secrets: () => [] };
const gone = redisError("REDIS_UNREACHABLE", subject, "the connection");

interface Dial {
  readonly lost: (error: StoreError) => void;
  readonly done: (line: Line) => void;
}

/** A link whose lines come when the test says so. */
function linkOf() {
  const dials: Dial[] = [];
  const told: string[] = [];
  const waiting: (() => void)[] = [];
  let destroyed = 0;
  const line: Line = {
    send: () => Promise.resolve(null),
    hold: () => {},
    destroy: () => void (destroyed += 1),
  };
  const link = new Link<Line>({
    subject,
    up: () => void told.push("up"),
    down: () => void told.push("down"),
    dial: (lost) =>
      new Promise((done) => {
        dials.push({ lost, done });
        for (const wake of waiting.splice(0)) wake();
      }),
  });
  const dialled = async (count: number): Promise<Dial> => {
    while (dials.length < count) await new Promise<void>((done) => waiting.push(done));
    return dials[count - 1] as Dial;
  };
  return { link, line, dials, told, dialled, destroyed: () => destroyed };
}

/** Longer than the first pause ever is. */
const pause = (): Promise<void> => new Promise((done) => setTimeout(done, 300));

test("a line that says twice that it is lost is replaced once", async () => {
  const { link, line, dials, told, dialled } = linkOf();
  link.open();
  const first = await dialled(1);
  first.done(line);
  await Promise.resolve();
  first.lost(gone);
  first.lost(gone);
  assert.equal(link.line, undefined);
  assert.equal(link.error, gone);

  const second = await dialled(2);
  second.done(line);
  await pause();
  // An old one has nothing to say about the next.
  first.lost(gone);

  assert.equal(link.line, line);
  assert.equal(dials.length, 2);
  assert.deepEqual(told, ["up", "down", "up"]);
  link.close();
});

test("a line that comes after the end is hung up", async () => {
  const { link, line, told, dialled, destroyed } = linkOf();
  link.open();
  const first = await dialled(1);

  link.close();
  first.done(line);
  await pause();

  assert.equal(destroyed(), 1);
  assert.deepEqual(told, []);
  assert.equal(link.error.storeCode, "REDIS_CLOSED");
});

test("a line that was lost before it was handed over is not used", async () => {
  const { link, line, told, dialled, destroyed } = linkOf();
  link.open();
  const first = await dialled(1);

  first.lost(gone);
  first.done(line);
  await dialled(2);

  assert.equal(link.line, undefined);
  assert.equal(destroyed(), 1);
  assert.deepEqual(told, ["down"]);
  link.close();
});

test("nothing is dialled after the end", async () => {
  const { link, dials, dialled } = linkOf();
  link.open();
  (await dialled(1)).lost(gone);

  link.close();
  await pause();

  assert.equal(dials.length, 1);
});
