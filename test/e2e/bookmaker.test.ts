// The simulated bookmaker on a real socket. Times are its subject, so this suite waits for real.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import type { Bookmaker, BookmakerOptions } from "../../loadtest/bookmaker/server.ts";
import { startBookmaker } from "../../loadtest/bookmaker/server.ts";
import { freePorts, ready, start as startProgram } from "../support/programs.ts";

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headersMs: number;
  readonly totalMs: number;
}

async function withBookmaker(
  options: BookmakerOptions,
  body: (bookmaker: Bookmaker) => Promise<void>,
): Promise<void> {
  const bookmaker = await startBookmaker(options);
  try {
    await body(bookmaker);
  } finally {
    await bookmaker.close();
  }
}

interface Sending {
  readonly method?: string;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

// One connection per request: no limit on how many wait at once, on either runtime.
function send(bookmaker: Bookmaker, path: string, sending: Sending = {}): Promise<Answer> {
  const { method = "GET", body, signal } = sending;
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const options = { agent, method, ...(signal === undefined ? {} : { signal }) };
    const request = httpRequest(bookmaker.url + path, options, (response) => {
      const headersMs = performance.now() - startMs;
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          headersMs,
          totalMs: performance.now() - startMs,
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

function json(answer: Answer): unknown {
  return JSON.parse(answer.text);
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const giveUpMs = performance.now() + 5000;
  while (!isTrue()) {
    assert.ok(performance.now() < giveUpMs, `waited in vain until ${what}`);
    await sleep(5);
  }
}

/** What a bare socket sees: how the connection ended. */
async function rawEnd(bookmaker: Bookmaker, path: string): Promise<string> {
  const socket = connect(bookmaker.port, "127.0.0.1");
  socket.on("data", () => undefined);
  const ended = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    socket.on("end", () => resolve("end"));
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const end = await ended;
  socket.destroy();
  return end;
}

test("answers any path with the bookmaker's name, the path and odds", () =>
  withBookmaker({ name: "fanduel", serviceMs: 1 }, async (bookmaker) => {
    const answer = await send(bookmaker, "/a/b?c=d");

    assert.equal(answer.status, 200);
    const body = json(answer);
    assert.ok(
      typeof body === "object" && body !== null && "odds" in body && Array.isArray(body.odds),
    );
    assert.deepEqual(
      { ...body, odds: undefined },
      { bookmaker: "fanduel", path: "/a/b", odds: undefined },
    );
  }));

test("drains request bodies and keeps the connection", () =>
  withBookmaker({ serviceMs: 1 }, async (bookmaker) => {
    const answer = await send(bookmaker, "/bets", { method: "POST", body: "x".repeat(1_000_000) });

    assert.equal(answer.status, 200);
  }));

test("gives a JSON body of exactly the bytes asked for", () =>
  withBookmaker({ serviceMs: 0 }, async (bookmaker) => {
    for (const bytes of [0, 1, 2, 3, 100, 145, 160, 65_535, 65_537, 200_000]) {
      const answer = await send(bookmaker, `/x?bytes=${bytes}`);

      assert.equal(Buffer.byteLength(answer.text), bytes);
      if (bytes > 0) JSON.parse(answer.text);
    }
    for (const bad of ["-1", "1.5", "x", "", "67108865", "1&bytes=2"]) {
      const answer = await send(bookmaker, `/x?bytes=${bad}`);

      assert.equal(answer.status, 400);
      assert.deepEqual(json(answer), {
        error: "bytes: expected one whole number from 0 to 67108864",
      });
    }
  }));

test("works on 20 requests at once and on the other 40 in turn", () =>
  withBookmaker({ workers: 20, serviceMs: 40 }, async (bookmaker) => {
    const answers = Array.from({ length: 60 }, (_, i) => send(bookmaker, `/${i}`));
    await until(() => bookmaker.stats().received === 60, "all have arrived");

    assert.ok(bookmaker.stats().inFlight <= 20);
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
    await until(() => bookmaker.stats().inFlight === 0, "all is done");
    const { served, queued, maxInFlight, failed, abandoned } = bookmaker.stats();
    assert.deepEqual([served, queued, maxInFlight, failed, abandoned], [60, 0, 20, 0, 0]);
  }));

test("serves in order of arrival", () =>
  withBookmaker({ workers: 1, serviceMs: 10 }, async (bookmaker) => {
    const order: number[] = [];
    const answers: Promise<void>[] = [];
    for (let i = 0; i < 8; i += 1) {
      answers.push(send(bookmaker, "/").then(() => void order.push(i)));
      await until(() => bookmaker.stats().received === i + 1, "it has arrived");
    }
    await Promise.all(answers);

    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7]);
  }));

test("an abandoned request still holds its worker until its time is over", () =>
  withBookmaker({ workers: 1, serviceMs: 0 }, async (bookmaker) => {
    bookmaker.control({ latencyMs: 300 });
    const leaving = new AbortController();
    const left = assert.rejects(send(bookmaker, "/left", { signal: leaving.signal }));
    await until(() => bookmaker.stats().inFlight === 1, "it is worked on");
    leaving.abort();
    await left;
    await until(() => bookmaker.stats().abandoned === 1, "it is seen to be abandoned");
    assert.equal(bookmaker.stats().inFlight, 1);

    bookmaker.control({ latencyMs: 0 });
    const answer = await send(bookmaker, "/next");

    assert.ok(answer.totalMs > 100, `waited ${answer.totalMs} ms only`);
    const { received, served, abandoned } = bookmaker.stats();
    assert.deepEqual([received, served, abandoned], [2, 1, 1]);
  }));

test("an abandoned request in the queue takes its turn as well", () =>
  withBookmaker({ workers: 1, serviceMs: 0 }, async (bookmaker) => {
    bookmaker.control({ hang: true });
    const first = send(bookmaker, "/first");
    await until(() => bookmaker.stats().inFlight === 1, "the first is worked on");
    const leaving = new AbortController();
    const left = assert.rejects(send(bookmaker, "/left", { signal: leaving.signal }));
    await until(() => bookmaker.stats().queued === 1, "the second waits");
    leaving.abort();
    await left;
    await until(() => bookmaker.stats().abandoned === 1, "it is seen to be abandoned");

    assert.equal(bookmaker.stats().queued, 1);
    bookmaker.restore();
    assert.equal((await first).status, 200);
  }));

test("hang accepts and never answers, until health is restored", () =>
  withBookmaker({ workers: 2, serviceMs: 1 }, async (bookmaker) => {
    await send(bookmaker, "/__control", { method: "PUT", body: '{"hang":true}' });
    const answers = [1, 2, 3].map((i) => send(bookmaker, `/${i}`));
    await until(() => bookmaker.stats().queued === 1, "two hang and one waits");
    await sleep(150);
    assert.equal(bookmaker.stats().served, 0);

    await send(bookmaker, "/__control", { method: "DELETE" });

    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  }));

test("close releases what hangs, and takes less than a second", async () => {
  const bookmaker = await startBookmaker({ serviceMs: 1 });
  bookmaker.control({ hang: true });
  const answer = send(bookmaker, "/");
  await until(() => bookmaker.stats().inFlight === 1, "it hangs");
  const startMs = performance.now();

  await Promise.all([bookmaker.close(), bookmaker.close()]);

  assert.ok(performance.now() - startMs < 1000);
  assert.equal((await answer).status, 200);
  await assert.rejects(send(bookmaker, "/"));
});

test("reset resets the connection, it does not just close it", () =>
  withBookmaker({}, async (bookmaker) => {
    bookmaker.control({ reset: true });

    assert.equal(await rawEnd(bookmaker, "/"), "ECONNRESET");
    assert.equal(bookmaker.stats().failed, 1);
  }));

test("slowBody sends headers at once and dribbles the body", () =>
  withBookmaker({ serviceMs: 1, slowBodyMs: 600 }, async (bookmaker) => {
    bookmaker.control({ slowBody: true, latencyMs: 100 });

    const answer = await send(bookmaker, "/?bytes=400");

    assert.equal(answer.text.length, 400);
    assert.ok(answer.headersMs < 90, `headers after ${answer.headersMs} ms`);
    assert.ok(answer.totalMs > 650, `body after ${answer.totalMs} ms`);
  }));

test("latencyMs adds to the service time, slowdown multiplies it", () =>
  withBookmaker({ workers: 1, serviceMs: 20, seed: 3 }, async (bookmaker) => {
    bookmaker.control({ latencyMs: 200 });
    assert.ok((await send(bookmaker, "/")).totalMs > 200);

    bookmaker.control({ latencyMs: null, slowdown: 20 });
    assert.ok((await send(bookmaker, "/")).totalMs > 60);
    assert.deepEqual(bookmaker.control(), { slowdown: 20 });
  }));

async function statuses(
  seed: number,
  count: number,
  order: { errorRate: number; status?: number },
): Promise<number[]> {
  const seen: number[] = [];
  await withBookmaker({ seed, serviceMs: 0 }, async (bookmaker) => {
    bookmaker.control(order);
    for (let i = 0; i < count; i += 1) seen.push((await send(bookmaker, "/")).status);
    assert.equal(bookmaker.stats().failed, seen.filter((status) => status !== 200).length);
  });
  return seen;
}

test("errorRate gives the same errors for the same seed", async () => {
  const first = await statuses(7, 60, { errorRate: 0.3 });

  assert.deepEqual(await statuses(7, 60, { errorRate: 0.3 }), first);
  assert.notDeepEqual(await statuses(8, 60, { errorRate: 0.3 }), first);
  const errors = first.filter((status) => status === 500).length;
  assert.ok(errors > 8 && errors < 30, `${errors} of 60`);
  assert.deepEqual(
    await statuses(7, 60, { errorRate: 0.3, status: 503 }),
    first.map((status) => (status === 500 ? 503 : status)),
  );
  assert.deepEqual(await statuses(7, 5, { errorRate: 0 }), [200, 200, 200, 200, 200]);
  assert.deepEqual(await statuses(7, 3, { errorRate: 1 }), [500, 500, 500]);
});

test("status alone is every answer's", () =>
  withBookmaker({ serviceMs: 0 }, async (bookmaker) => {
    for (const status of [500, 429, 204, 304]) {
      bookmaker.control({ status });
      assert.equal((await send(bookmaker, "/")).status, status);
    }
    assert.deepEqual([bookmaker.stats().served, bookmaker.stats().failed], [2, 2]);
  }));

test("a wrong order is refused whole, with the key and what was wrong", () =>
  withBookmaker({}, async (bookmaker) => {
    const put = (body: string): Promise<Answer> =>
      send(bookmaker, "/__control", { method: "PUT", body });
    await put('{"latencyMs":5}');

    const answer = await put('{"latencyMs":6,"errorRate":2,"hangs":true,"hang":1}');

    assert.equal(answer.status, 400);
    assert.deepEqual(json(answer), {
      error:
        "errorRate: expected a number from 0 to 1, found 2; hangs: unknown key; known are status, errorRate, latencyMs, slowdown, hang, reset, slowBody; hang: expected true or false, found 1",
      faults: [
        { key: "errorRate", message: "expected a number from 0 to 1, found 2" },
        {
          key: "hangs",
          message:
            "unknown key; known are status, errorRate, latencyMs, slowdown, hang, reset, slowBody",
        },
        { key: "hang", message: "expected true or false, found 1" },
      ],
    });
    for (const body of ["", "{", "[]", "5", '{"__proto__":1}', '{"status":100}'])
      assert.equal((await put(body)).status, 400, body);
    assert.equal((await put(`"${"x".repeat(70_000)}"`)).status, 413);
    assert.equal((await send(bookmaker, "/__control", { method: "POST" })).status, 405);
    assert.deepEqual(json(await send(bookmaker, "/__control")), { latencyMs: 5 });
    assert.throws(() => bookmaker.control({ status: 1 }), RangeError);
  }));

test("counts are zeroed on demand, and neither control path is counted", () =>
  withBookmaker({ serviceMs: 0 }, async (bookmaker) => {
    await send(bookmaker, "/");
    await send(bookmaker, "/__control", { method: "PUT", body: '{"status":500}' });
    await send(bookmaker, "/");
    const zero = {
      received: 0,
      served: 0,
      failed: 0,
      abandoned: 0,
      inFlight: 0,
      queued: 0,
      maxInFlight: 0,
    };
    await until(() => bookmaker.stats().inFlight === 0, "all is done");

    assert.deepEqual(json(await send(bookmaker, "/__stats")), {
      ...zero,
      received: 2,
      served: 1,
      failed: 1,
      maxInFlight: 1,
    });
    assert.deepEqual(json(await send(bookmaker, "/__stats", { method: "DELETE" })), zero);
  }));

test("bad options are refused with all faults", async () => {
  await assert.rejects(startBookmaker({ workers: 0, serviceMs: Number.NaN, port: 1.5 }), {
    name: "RangeError",
    message:
      "port: expected a whole number from 0 to 65535; workers: expected a whole number from 1 to 100000; serviceMs: expected a number from 0 to 60000",
  });
});

const MAIN = fileURLToPath(new URL("../../loadtest/bookmaker/main.ts", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function start(args: string[]): {
  line: Promise<string>;
  ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
} {
  const child = spawn(process.execPath, [MAIN, ...args]);
  let output = "";
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const line = new Promise<string>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("\n")) resolve(output.trimEnd());
    });
  });
  const ended = once(child, "close").then(() => ({ code: child.exitCode, output, errors }));
  return { line, ended, kill: (signal) => void child.kill(signal) };
}

for (const signal of ["SIGTERM", "SIGINT"] as const)
  test(`the command prints one line and leaves within a second of ${signal}`, async () => {
    const command = start([
      "--port",
      "0",
      "--name",
      "fanduel",
      "--workers",
      "2",
      "--service-ms",
      "1",
    ]);
    const line = await command.line;
    assert.match(line, /^bookmaker fanduel on http:\/\/127\.0\.0\.1:\d+$/);
    const startMs = performance.now();

    command.kill(signal);
    const { code, output, errors } = await command.ended;

    assert.ok(performance.now() - startMs < 1000);
    assert.deepEqual([code, output.trimEnd(), errors], [0, line, ""]);
  });

test("the command goes on when nobody reads its line", async (t) => {
  const [port = 0] = await freePorts(1);
  const program = startProgram([process.execPath, MAIN, "--port", String(port)]);
  t.after(() => program.child.kill("SIGKILL"));
  program.child.stdout?.destroy();
  await ready(program, `http://127.0.0.1:${port}/odds`);
  await ready(program, `http://127.0.0.1:${port}/odds`);

  program.child.kill("SIGTERM");
  assert.deepEqual(await program.ended, { code: 0, stdout: "", stderr: "" });
});

test("a port in use is one sentence", () =>
  withBookmaker({}, async (bookmaker) => {
    const { code, errors } = await start(["--port", String(bookmaker.port)]).ended;

    assert.equal(code, 1);
    assert.equal(
      errors,
      `bookmaker: port ${bookmaker.port} on 127.0.0.1 is in use; choose another with --port\n`,
    );
  }));

test("wrong use exits 2", async () => {
  const ended = await Promise.all([
    start(["--workers", "0"]).ended,
    start(["--wrokers", "1"]).ended,
  ]);

  assert.deepEqual(
    ended.map(({ code }) => code),
    [2, 2],
  );
});
