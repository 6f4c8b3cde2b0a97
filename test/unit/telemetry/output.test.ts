import assert from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Pipe } from "../../support/pipe.ts";
import {
  BoundedOutput,
  WAITING_BYTES_MAX,
  type OutputOptions,
} from "../../../src/telemetry/log/output.ts";

const { O_WRONLY } = constants;

/** Of equal length, so that bounds can be counted. */
const line = (n: number): string => `${String(n).padStart(1023, "0")}\n`;

const LINES_MAX = WAITING_BYTES_MAX / 1024;

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-output-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const pipeOf = (t: TestContext): Pipe => new Pipe(t, { folder: folderOf(t), blocks: false });

function outputTo(pipe: Pipe, options: Partial<OutputOptions> = {}): BoundedOutput {
  const output = new BoundedOutput({
    descriptor: { fd: pipe.fd, blocks: false },
    ...options,
  });
  output.gapLine = (dropped) => `${dropped} missing\n`;
  return output;
}

const flushed = (output: BoundedOutput): Promise<void> =>
  new Promise((done) => {
    output.flush(done);
  });

test("a line is in the pipe when `write` returns", (t) => {
  const pipe = pipeOf(t);
  const output = outputTo(pipe);
  output.write(line(1));
  assert.equal(pipe.read(), line(1));
  output.write(line(2));
  assert.equal(pipe.read(), line(2));
  assert.deepEqual(output.health(), { isUp: true, linesDropped: 0 });
});

test("lines wait for a full pipe, and come in order", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  pipe.fill();
  const output = outputTo(pipe);
  const written = Array.from({ length: 200 }, (_, n) => line(n));
  for (const one of written) output.write(one);

  let read = pipe.read();
  assert.equal(read, "");
  while (read.length < 200 * 1024) {
    t.mock.timers.tick(1);
    read += pipe.read();
  }
  assert.equal(read, written.join(""));
  assert.deepEqual(output.health(), { isUp: true, linesDropped: 0 });
});

test("who does not read for long is asked less often, and has the lines within a tenth of a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  pipe.fill();
  const output = outputTo(pipe);
  output.write(line(1));
  for (let ms = 0; ms < 3000; ms += 1) t.mock.timers.tick(1);
  pipe.read();
  t.mock.timers.tick(5);
  assert.equal(pipe.read(), "");
  for (let ms = 0; ms < 95; ms += 1) t.mock.timers.tick(1);
  assert.equal(pipe.read(), line(1));

  // And soon again after that.
  pipe.fill();
  output.write(line(2));
  pipe.read();
  t.mock.timers.tick(1);
  assert.equal(pipe.read(), line(2));
});

test("what does not fit is dropped in one piece, counted, and told of before what comes after", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  pipe.fill();
  const output = outputTo(pipe);
  // The first is being written, and waits no more.
  for (let n = 0; n <= LINES_MAX; n += 1) output.write(line(n));
  assert.equal(output.health().linesDropped, 0);
  for (let n = 0; n < 7; n += 1) output.write(line(9000 + n));
  assert.deepEqual(output.health(), { isUp: true, linesDropped: 7 });

  // Some of it is read: what would fit again may not overtake the line that tells of the gap.
  let read = pipe.read();
  t.mock.timers.tick(1000);
  output.write("x\n");
  assert.equal(output.health().linesDropped, 8);
  while (!read.endsWith("missing\n")) {
    read += pipe.read();
    t.mock.timers.tick(100);
  }
  output.write(line(10_000));
  read += pipe.read();

  const kept = Array.from({ length: LINES_MAX + 1 }, (_, n) => line(n)).join("");
  assert.equal(read, `${kept}8 missing\n${line(10_000)}`);
  assert.equal(output.health().linesDropped, 8);
});

test("a line that no buffer would hold is dropped, and the next ones are not", (t) => {
  const pipe = pipeOf(t);
  const output = outputTo(pipe);
  output.write("y".repeat(WAITING_BYTES_MAX + 1));
  output.write("next\n");
  assert.equal(pipe.read(), "1 missing\nnext\n");
});

test("a reader that is gone is told of once, is tried again with a pause, and misses what it is told", (t) => {
  const pipe = pipeOf(t);
  const failures: string[] = [];
  let nowMs = 1000;
  const output = outputTo(pipe, {
    onFailure: (error) => failures.push(String((error as { code?: unknown }).code)),
    nowMs: () => nowMs,
  });
  pipe.close();
  output.write(line(1));
  assert.deepEqual(output.health(), { isUp: false, linesDropped: 0 });
  output.write(line(2));
  nowMs += 9999;
  pipe.open();
  output.write(line(3));
  assert.equal(pipe.read(), "");
  assert.deepEqual(output.health(), { isUp: false, linesDropped: 2 });
  pipe.close();
  nowMs += 1;
  output.write(line(4));
  assert.deepEqual(failures, ["EPIPE"]);

  pipe.open();
  nowMs += 10_000;
  output.write(line(5));
  // The first was begun, and is kept so that none is torn.
  assert.equal(pipe.read(), `${line(1)}3 missing\n${line(5)}`);
  assert.deepEqual(output.health(), { isUp: true, linesDropped: 3 });
  pipe.close();
  output.write(line(6));
  assert.deepEqual(failures, ["EPIPE", "EPIPE"]);
});

test("lines that waited when the reader went are counted, and not written any more", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  pipe.fill();
  let nowMs = 0;
  const output = outputTo(pipe, { nowMs: () => nowMs });
  for (let n = 0; n < 10; n += 1) output.write(line(n));
  pipe.close();
  t.mock.timers.tick(1);
  // The first one is begun.
  assert.deepEqual(output.health(), { isUp: false, linesDropped: 9 });

  pipe.open();
  pipe.read();
  nowMs = 10_000;
  output.write(line(10));
  assert.equal(pipe.read(), `${line(0)}9 missing\n${line(10)}`);
});

test("a full disk is a failure, of a file as of a pipe", async () => {
  for (const blocks of [true, false]) {
    const fd = openSync("/dev/full", O_WRONLY);
    const failures: string[] = [];
    const output = new BoundedOutput({
      descriptor: { fd, blocks },
      onFailure: ({ message }) => failures.push(message),
    });
    output.write(line(1));
    output.write(line(2));
    await flushed(output);
    output.write(line(3));
    assert.equal(output.health().isUp, false);
    assert.equal(output.health().linesDropped, 2);
    assert.equal(failures.length, 1);
    assert.match(failures[0] ?? "", /ENOSPC/);
    output.end();
    closeSync(fd);
  }
});

test("a file is written in order", async (t) => {
  const path = join(folderOf(t), "log");
  const fd = openSync(path, "a");
  t.after(() => closeSync(fd));
  const output = new BoundedOutput({ descriptor: { fd, blocks: true } });
  const written = Array.from({ length: 100 }, (_, n) => line(n));
  for (const one of written) output.write(one);
  await flushed(output);
  assert.equal(readFileSync(path, "utf8"), written.join(""));
});

test("a descriptor that blocks is waited for by a thread", async (t) => {
  const pipe = pipeOf(t);
  const fd = openSync(pipe.path, O_WRONLY);
  t.after(() => closeSync(fd));
  pipe.fill();
  const output = new BoundedOutput({ descriptor: { fd, blocks: true } });
  output.write(line(1));
  output.write(line(2));
  // The thread may be quick enough to be read already.
  const read = pipe.read();
  await flushed(output);
  assert.equal(read + pipe.read(), line(1) + line(2));
});

test("the end of the process writes what waits", async (t) => {
  const path = join(folderOf(t), "log");
  const fd = openSync(path, "a");
  t.after(() => closeSync(fd));
  const file = new BoundedOutput({ descriptor: { fd, blocks: true } });
  file.write("first\n");
  file.write("second\n");
  file.end();
  assert.equal(readFileSync(path, "utf8"), "first\nsecond\n");
  await flushed(file);
  assert.equal(readFileSync(path, "utf8"), "first\nsecond\n");

  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  pipe.fill();
  const output = outputTo(pipe);
  output.write("last\n");
  pipe.read();
  output.end();
  assert.equal(pipe.read(), "last\n");
});

test("a flush calls back at once where nothing waits, and otherwise when everything is written", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = pipeOf(t);
  const output = outputTo(pipe);
  let times = 0;
  output.flush(() => (times += 1));
  assert.equal(times, 1);

  pipe.fill();
  output.write(line(1));
  const both = Promise.all([flushed(output), flushed(output)]).then(() => (times += 1));
  output.write(line(2));
  await Promise.resolve();
  assert.equal(times, 1);
  for (let n = 0; n < 100; n += 1) output.flush(() => (times += 1));
  assert.equal(times, 3, "there is a bound to those who wait");
  pipe.read();
  t.mock.timers.tick(1);
  await both;
  assert.equal(pipe.read(), line(1) + line(2));
});
