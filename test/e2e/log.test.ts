// Whoever reads the log may be stuck, gone or full. Calls, probes, scrapes and a stop go on without it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { Pipe } from "../support/pipe.ts";
import {
  ROOT,
  serve,
  start,
  temporaryFolder,
  type Serving,
  type StartOptions,
} from "../support/programs.ts";

/** The bound of a stop, and something for a busy machine. */
const STOP_MS_MAX = 7500;

/** More lines than a pipe and what waits for it hold. */
const REFUSALS = 1500;

const config = (healthy: string, logging = ""): string => `
store: { kind: memory }
${logging}
upstreams:
  fine: { url: "${healthy}" }
  dead: { url: "http://127.0.0.1:9", breaker: { kind: latching, failureThreshold: 2 } }
`;

const EVERY_ONE = "logging: { rejectionIntervalMs: 0, failureIntervalMs: 3600000 }";

async function status(url: string): Promise<number> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(3000) });
  await answer.body?.cancel();
  return answer.status;
}

/** How many of so many calls were refused: the first ones fail at the upstream. */
async function refuse(serving: Serving, times: number): Promise<number> {
  let refused = 0;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      for (let n = 0; n < times / 10; n += 1) {
        if ((await status(`${serving.gateway}/dead/x`)) === 503) refused += 1;
      }
    }),
  );
  return refused;
}

async function metric(serving: Serving, name: string): Promise<number> {
  const answer = await fetch(`${serving.admin}/metrics`, { signal: AbortSignal.timeout(3000) });
  const value = new RegExp(`^${name} (.*)$`, "m").exec(await answer.text())?.[1];
  assert.notEqual(value, undefined, `${name} is not shown`);
  return Number(value);
}

/** Everything that must work without a log. */
async function serves(serving: Serving): Promise<void> {
  assert.equal(await status(`${serving.gateway}/fine/x`), 200);
  assert.equal(await status(`${serving.admin}/livez`), 200);
}

async function stops(serving: Serving): Promise<void> {
  const started = performance.now();
  assert.equal((await serving.stop()).code, 0);
  assert.ok(performance.now() - started < STOP_MS_MAX);
}

/** Nobody reads it but by `read`. */
const pipeOf = (t: TestContext, folder: string): Pipe => new Pipe(t, { folder, blocks: true });

async function served(
  t: TestContext,
  options: {
    readonly logging?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly folder?: string;
    readonly how: Pick<StartOptions, "stdout" | "stderr" | "through">;
  },
): Promise<Serving> {
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  t.after(() => bookmaker.close());
  const folder = options.folder ?? temporaryFolder(t);
  return serve(t, folder, config(bookmaker.url, options.logging), options.env, options.how);
}

test("a reader that is stuck holds up nothing, and learns what it missed", async (t) => {
  const folder = temporaryFolder(t);
  const pipe = pipeOf(t, folder);
  const how = { stdout: pipe.fd, stderr: pipe.fd };
  const serving = await served(t, { folder, how, logging: EVERY_ONE });

  const refused = await refuse(serving, REFUSALS);
  await serves(serving);
  const dropped = await metric(serving, "switchgear_log_lines_dropped_total");
  assert.ok(dropped > 0, "the pipe and the buffer hold them all");
  assert.equal(await metric(serving, "switchgear_log_up"), 1);

  let text = "";
  while (!text.includes("missing here")) {
    text += pipe.read();
    await new Promise((done) => setTimeout(done, 10));
  }
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line));
  const gap = lines.at(-1);
  assert.equal(gap?.["dropped"], dropped);
  assert.equal(gap["code"], "SG_LOG");
  const told = lines.filter(({ code }) => code === "HBCB-003").length;
  assert.equal(told + dropped, refused, "every line is there, or counted");
  const causes = lines.filter(({ code }) => code === "SG_CALL").map(({ error }) => String(error));
  assert.equal(causes.length, 1);
  assert.match(causes[0] ?? "", /ECONNREFUSED|Unable to connect/);
  const times = lines.map(({ time }) => String(time));
  assert.deepEqual(times, times.toSorted());

  const started = performance.now();
  await refuse(serving, REFUSALS);
  await stops(serving);
  assert.ok(performance.now() - started < 30_000);
});

test("a pipe that was full before the start holds up neither a start nor a stop", async (t) => {
  const folder = temporaryFolder(t);
  const pipe = pipeOf(t, folder);
  pipe.fill();
  const serving = await served(t, { folder, how: { stdout: pipe.fd, stderr: pipe.fd } });

  await refuse(serving, 10);
  await serves(serving);
  await stops(serving);
});

test("a pipe stays blocking for the others that write to it", async (t) => {
  const pipe = pipeOf(t, temporaryFolder(t));
  const fixture = join(ROOT, "test/fixtures/log-and-flags.ts");
  const { stderr } = await start([process.execPath, fixture], { stdout: pipe.fd }).ended;

  assert.match(pipe.read(), /"msg":"a line"/);
  assert.match(stderr, /^0[0-7]+$/);
  assert.equal(Number.parseInt(stderr, 8) & constants.O_NONBLOCK, 0);
});

// What a test gets of `spawn` is a socket.
test("a socket that nobody reads holds up nothing", async (t) => {
  const serving = await served(t, { logging: EVERY_ONE, how: {} });
  serving.program.child.stdout?.pause();

  await refuse(serving, REFUSALS);
  await serves(serving);
  serving.program.child.stdout?.destroy();
  await stops(serving);
});

test("a reader that went away is told of on standard error, once", async (t) => {
  const serving = await served(t, { how: {} });
  const { child } = serving.program;
  assert.ok(child.stdout);
  child.stdout.destroy();
  await once(child.stdout, "close");

  await refuse(serving, 20);
  await serves(serving);
  assert.equal(await metric(serving, "switchgear_log_up"), 0);
  assert.ok((await metric(serving, "switchgear_log_lines_dropped_total")) > 0);
  await stops(serving);
  assert.match(serving.program.stderr(), /^switchgear: [^\n]*log[^\n]*EPIPE[^\n]*\n$/);
});

test("without room on the disk the service goes on", async (t) => {
  const full = openSync("/dev/full", "w");
  t.after(() => closeSync(full));
  const serving = await served(t, { how: { stdout: full } });

  await refuse(serving, 20);
  await serves(serving);
  assert.equal(await metric(serving, "switchgear_log_up"), 0);
  await stops(serving);
  assert.match(serving.program.stderr(), /^switchgear: [^\n]*log[^\n]*ENOSPC[^\n]*\n$/);
});

test("no room for standard error either", async (t) => {
  const full = openSync("/dev/full", "w");
  t.after(() => closeSync(full));
  const serving = await served(t, { how: { stdout: full, stderr: full } });

  await refuse(serving, 20);
  await serves(serving);
  await stops(serving);
});

test("descriptors that are closed from the start", async (t) => {
  const serving = await served(t, {
    how: { through: ["sh", "-c", 'exec "$0" "$@" >&- 2>&-'] },
  });

  await refuse(serving, 20);
  await serves(serving);
  await stops(serving);
});

test("a file has all lines of a stop", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, "log");
  const fd = openSync(file, "a");
  t.after(() => closeSync(fd));
  const serving = await served(t, { folder, logging: EVERY_ONE, how: { stdout: fd } });

  const refused = await refuse(serving, 200);
  await stops(serving);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  assert.equal(lines.filter((line) => line.includes("HBCB-003")).length, refused);
  assert.match(lines.at(-1) ?? "", /"msg":"stopped"/);
});

test("a socket that nobody reads holds up no host of the logger", async () => {
  const program = start([process.execPath, join(ROOT, "test/fixtures/log-and-exit.ts"), "5000"]);
  program.child.stdout?.pause();
  await once(program.child, "exit");
  assert.equal(program.child.exitCode, 0);
  program.child.stdout?.destroy();
});

test("a file has the last lines of a process that ends at once", async (t) => {
  for (let n = 0; n < 5; n += 1) {
    const file = join(temporaryFolder(t), "log");
    const fd = openSync(file, "a");
    const program = start([process.execPath, join(ROOT, "test/fixtures/log-and-exit.ts")], {
      stdout: fd,
    });
    assert.equal((await program.ended).code, 0);
    closeSync(fd);
    assert.match(readFileSync(file, "utf8"), /^.*"the first line"}\n.*"the last line"}\n$/);
  }
});

test("refusals that no line has told of hold up no end", async () => {
  const fixture = join(ROOT, "test/fixtures/refuse-and-end.ts");
  const started = performance.now();
  const { code, stdout } = await start([process.execPath, fixture]).ended;

  assert.equal(code, 0);
  assert.equal(stdout.match(/HBCB-003/g)?.length, 1);
  assert.ok(performance.now() - started < 30_000);
});

test("a stop tells of the refusals that no line has told of", async (t) => {
  const serving = await served(t, { how: {} });
  const refused = await refuse(serving, 200);
  await stops(serving);

  const told = serving.program
    .stdout()
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line))
    .filter(({ code }) => code === "HBCB-003");
  assert.ok(told.length < refused / 10);
  const sum = told.reduce((before, { suppressed }) => before + 1 + Number(suppressed ?? 0), 0);
  assert.equal(sum, refused);
});

const DEFECT = join(ROOT, "test/fixtures/defect-on-signal.ts");

function withDefect(kind: string): Readonly<Record<string, string>> {
  return {
    DEFECT: kind,
    NODE_OPTIONS: `--import=${DEFECT}`,
    BUN_OPTIONS: `--preload=${DEFECT}`,
  };
}

for (const kind of ["exception", "rejection"]) {
  test(`the last line of a process that dies of an ${kind} is read`, async (t) => {
    const serving = await served(t, { env: withDefect(kind), how: {} });
    const ended = await serving.stop("SIGUSR2");

    assert.equal(ended.code, 1);
    const last: Record<string, unknown> = JSON.parse(
      ended.stdout.trimEnd().split("\n").at(-1) ?? "",
    );
    assert.equal(last["level"], "fatal");
    assert.match(JSON.stringify(last), /a defect that nobody/);
    assert.match(ended.stderr, /a defect that nobody/);
  });

  test(`a process that dies of an ${kind} does not wait for its readers`, async (t) => {
    const folder = temporaryFolder(t);
    const pipe = pipeOf(t, folder);
    pipe.fill();
    const how = { stdout: pipe.fd, stderr: pipe.fd };
    const serving = await served(t, { folder, env: withDefect(kind), how });
    const started = performance.now();

    assert.equal((await serving.stop("SIGUSR2")).code, 1);
    assert.ok(performance.now() - started < STOP_MS_MAX);
  });
}

for (const [kind, text] of [
  ["warning", "a warning of the runtime"],
  ["print", "a package says\\nhello"],
] as const) {
  test(`a ${kind} that is not ours is a line of the log`, async (t) => {
    const serving = await served(t, { env: withDefect(kind), how: {} });
    serving.program.child.kill("SIGUSR2");
    while (!serving.program.stdout().includes(text)) {
      await new Promise((done) => setTimeout(done, 20));
    }

    await stops(serving);
    const stdout = serving.program.stdout();
    for (const line of stdout.trimEnd().split("\n")) JSON.parse(line);
    assert.equal(stdout.split(text).length, 2, "it is told once");
    assert.equal(serving.program.stderr(), "");
  });
}
