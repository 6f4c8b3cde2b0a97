// A gateway whose upstream is limited: who is in flight, who is refused how, and who waits.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import {
  adaptiveLimit,
  createSwitchgear,
  fixedLimit,
  latching,
  type LimitPolicy,
  type Upstream,
} from "../../src/index.ts";
import { VirtualClock } from "../../src/testing/index.ts";
import {
  eventually,
  raw,
  startBench,
  startUpstream,
  type Bench,
  type Upstream as Bookmaker,
} from "./gateway-harness.ts";

const LIMIT = 10;

function gearOf(limit: LimitPolicy): Upstream {
  return createSwitchgear({
    upstreams: { draftkings: { breaker: latching(), limit, deadlineMs: 5000 } },
  }).upstream("draftkings");
}

export function limitsContract(transport: "node" | "bun"): void {
  describe(`limits on ${transport}`, () => {
    let bookmaker: Bookmaker;
    let bench: Bench;
    let upstream: Upstream;
    /** Requests that the bookmaker has whole. */
    let ends = 0;
    /** And those that were broken off. */
    let broken = 0;
    /** Answers that wait to be sent. */
    let held: ServerResponse[] = [];
    const sockets: Socket[] = [];

    before(async () => {
      bookmaker = await startUpstream((request, response) => {
        request.resume();
        request.once("close", () => {
          if (!request.complete) broken += 1;
        });
        request.once("end", () => {
          ends += 1;
          if (request.url?.startsWith("/held") === true) held.push(response);
          else if (request.url?.startsWith("/stream") === true) {
            response.writeHead(200, { "content-type": "text/event-stream" });
            response.write("data: 1\n\n");
          } else if (request.url?.startsWith("/whole") === true) {
            response.statusCode = Number(request.url.split("/")[2]);
            response.end("no odds");
          } else if (request.url?.startsWith("/pieces") === true) {
            response.writeHead(Number(request.url.split("/")[2])).write("no ");
            setImmediate(() => response.end("odds"));
          } else response.end("odds");
        });
      });
    });

    beforeEach(async () => {
      held = [];
      upstream = gearOf(fixedLimit(LIMIT));
      bench = await startBench({ url: bookmaker.url, guard: upstream }, { transport });
    });

    afterEach(async () => {
      for (const socket of sockets) socket.destroy();
      for (const response of held) response.destroy();
      await bench.gateway.stop(0);
    });

    after(() => bookmaker.close());

    const inFlight = (): number => upstream.limits?.limiter.inFlight ?? -1;
    const get = (path: string, ...fields: string[]): string =>
      `GET /draftkings${path} HTTP/1.1\r\nhost: h\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;
    const ask = (text: string) => raw(bench.gateway.port, text);
    const open = (text: string): Socket => {
      const socket = connect(bench.gateway.port, "127.0.0.1", () => socket.write(text));
      socket.on("error", () => {});
      sockets.push(socket);
      return socket;
    };
    const fill = async (): Promise<Promise<unknown>[]> => {
      const calls = Array.from({ length: LIMIT }, () => ask(get("/held")));
      await eventually(() => held.length === LIMIT, "all are in flight");
      return calls;
    };

    test("what is over the limit is a 503 of ours that says why and when, and its breaker hears nothing", async () => {
      const calls = await fill();
      const before = upstream.snapshot();
      const answer = await ask(get("/odds", "x-switchgear-operation: odds"));
      assert.equal(answer.status, 503);
      assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["limit"]);
      assert.deepEqual(answer.headers.get("retry-after"), ["1"]);
      const problem = JSON.parse(answer.body) as Record<string, unknown>;
      assert.equal(problem["error"], "limited");
      assert.equal(problem["reason"], "limit");
      assert.equal(problem["bookmaker"], "draftkings");
      assert.equal(problem["operation"], "odds");
      assert.deepEqual(upstream.snapshot(), before);
      for (const response of held) response.end("odds");
      await Promise.all(calls);
      assert.equal((await ask(get("/odds"))).status, 200);
      assert.equal(inFlight(), 0);
    });

    test("a slow sender holds nothing until it has sent all, and is told when there is no room then", async () => {
      const post = (path: string): string =>
        `POST /draftkings${path} HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n`;
      const senders = Array.from({ length: 3 * LIMIT }, () => open(`${post("/odds")}ab`));
      await eventually(() => upstream.inFlight === 3 * LIMIT, "all have come");
      await eventually(() => inFlight() === 0, "none of them is in flight");
      assert.equal((await ask(get("/odds"))).status, 200);

      const calls = await fill();
      const answers: Promise<string>[] = senders.slice(0, LIMIT).map(
        (socket) =>
          new Promise((done) => {
            socket.once("data", (data: Buffer) => done(data.toString()));
            socket.write("cd");
          }),
      );
      for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 503 /);
      for (const response of held) response.end("odds");
      await Promise.all(calls);
      assert.equal(inFlight(), 0);
    });

    const chunked =
      "POST /draftkings/odds HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    const long = (bytes: number): string =>
      `POST /draftkings/odds HTTP/1.1\r\nhost: h\r\ncontent-length: ${bytes}\r\n\r\n`;
    const said = (socket: Socket): Promise<string> =>
      new Promise((done) => socket.once("data", (data: Buffer) => done(data.toString())));
    const again = async (limit: LimitPolicy, more: object = {}): Promise<void> => {
      await bench.gateway.stop(0);
      upstream = gearOf(limit);
      bench = await startBench(
        { url: bookmaker.url, guard: upstream, deadlineMs: 3000 },
        { transport, ...more },
      );
    };

    for (const [name, begin, end] of [
      ["in chunks", `${chunked}1\r\na\r\n`, "1\r\nb\r\n0\r\n\r\n"],
      ["that is long", `${long(100_000)}a`, "b".repeat(99_999)],
    ] as const) {
      test(`so does the sender of a body ${name}, until 64 KiB or the end of it are here`, async () => {
        const asked = bookmaker.requests.length;
        const senders = Array.from({ length: 3 * LIMIT }, () => open(begin));
        await eventually(() => upstream.inFlight === 3 * LIMIT, "all have come");
        await eventually(() => inFlight() === 0, "none of them is in flight");
        assert.equal(bookmaker.requests.length, asked);
        assert.equal((await ask(get("/odds"))).status, 200);
        senders[0]?.write(end);
        assert.match(await said(senders[0] as Socket), /^HTTP\/1\.1 200 /);

        const calls = await fill();
        senders[1]?.write(end);
        assert.match(await said(senders[1] as Socket), /^HTTP\/1\.1 503 /);
        for (const response of held) response.end("odds");
        await Promise.all(calls);
      });
    }

    for (const [name, begin, end] of [
      ["in chunks", `${chunked}11170\r\n${"a".repeat(70_000)}\r\n`, "1\r\nb\r\n0\r\n\r\n"],
      ["of known length", `${long(70_001)}${"a".repeat(70_000)}`, "b"],
    ] as const) {
      test(`one that stalls in the middle of a long body ${name} holds nothing, and asks again before its end`, async () => {
        await again(adaptiveLimit({ initial: LIMIT, max: LIMIT }));
        const asked = bookmaker.requests.length;
        const senders = Array.from({ length: LIMIT }, () => open(begin));
        await eventually(() => inFlight() === LIMIT, "all are passed on");
        await eventually(
          () => bookmaker.requests.length === asked + LIMIT,
          "the upstream has them",
        );
        await eventually(() => inFlight() === 0, "none of them is in flight");
        senders[0]?.write(end);
        assert.match(await said(senders[0] as Socket), /^HTTP\/1\.1 200 /);

        const calls = await fill();
        const answered = ends;
        const cut = broken;
        senders[1]?.write(end);
        const refused = await said(senders[1] as Socket);
        assert.match(refused, /^HTTP\/1\.1 503 .*x-switchgear-reason: limit/is);
        assert.equal(ends, answered);
        await eventually(() => broken > cut, "its connection to the upstream is cut");
        for (const response of held) response.end("odds");
        await Promise.all(calls);
        assert.equal(inFlight(), 0);
      });
    }

    test("of a fixed limit it holds the connection that it has", async () => {
      await again(fixedLimit(1));
      const sender = open(`${long(70_001)}${"a".repeat(70_000)}`);
      await eventually(() => inFlight() === 1, "it is passed on");
      await new Promise((done) => setTimeout(done, 400));
      assert.equal((await ask(get("/odds"))).status, 503);
      sender.write("b");
      assert.match(await said(sender), /^HTTP\/1\.1 200 /);
      await eventually(() => inFlight() === 0, "it is over");
    });

    test("bodies that are waited for have so much memory, and no more", async () => {
      await again(fixedLimit(LIMIT), { bodyRoomBytes: 60_000 });
      const sender = open(`${chunked}c350\r\n${"a".repeat(50_000)}\r\n`);
      await eventually(() => upstream.inFlight === 1, "it has come");
      await new Promise((done) => setTimeout(done, 50));
      const other = await ask(`${chunked}4e20\r\n${"a".repeat(20_000)}\r\n`);
      assert.equal(other.status, 503);
      assert.deepEqual(other.headers.get("x-switchgear-reason"), ["out_of_resources"]);
      sender.destroy();
      await eventually(() => upstream.inFlight === 0, "it has left");
      // What is sent after the call is over is thrown away.
      const late = open(chunked.replace("host: h", "host: h\r\nx-switchgear-timeout-ms: 50"));
      assert.match(await said(late), /^HTTP\/1\.1 408 /);
      late.write(`c350\r\n${"a".repeat(50_000)}\r\n`);
      await new Promise((done) => setTimeout(done, 50));
      const next = await ask(`${chunked}c350\r\n${"a".repeat(50_000)}\r\n0\r\n\r\n`);
      assert.equal(next.status, 200);
    });

    test("a short body in chunks may be too long", async () => {
      await again(fixedLimit(LIMIT), { maxBodyBytes: 1000 });
      assert.equal((await ask(`${chunked}7d0\r\n${"a".repeat(2000)}\r\n0\r\n\r\n`)).status, 413);
    });

    test("an answer that streams is in flight to its end, and no longer", async () => {
      const streams = Array.from({ length: LIMIT }, () => open(get("/stream")));
      await Promise.all(streams.map((socket) => new Promise((done) => socket.once("data", done))));
      await eventually(() => inFlight() === LIMIT, "all are read");
      assert.deepEqual((await ask(get("/odds"))).headers.get("x-switchgear-reason"), ["limit"]);
      streams[0]?.destroy();
      await eventually(() => inFlight() === LIMIT - 1, "one is not read any more");
      assert.equal((await ask(get("/odds"))).status, 200);
    });

    test("of an adaptive limit it is in flight no longer, however long it takes", async () => {
      await bench.gateway.stop(0);
      upstream = gearOf(adaptiveLimit({ initial: LIMIT, max: LIMIT }));
      bench = await startBench({ url: bookmaker.url, guard: upstream }, { transport });
      for (let n = 0; n < 2 * LIMIT; n += 1) {
        const socket = open(get("/stream"));
        await new Promise((done) => socket.once("data", done));
        await eventually(() => inFlight() === 0, "it has begun to answer");
      }
      assert.equal(upstream.inFlight, 2 * LIMIT);
    });

    test("the most critical wait a moment for room, and the others do not", async () => {
      const calls = await fill();
      const critical = ask(get("/odds", "x-switchgear-criticality: critical_plus"));
      await eventually(() => upstream.limits?.line.length === 1, "it waits");
      assert.equal((await ask(get("/odds", "x-switchgear-criticality: critical"))).status, 503);
      held.shift()?.end("odds");
      assert.equal((await critical).status, 200);
      for (const response of held) response.end("odds");
      await Promise.all(calls);
      assert.equal(inFlight(), 0);
    });

    test("one that leaves while it waits asks nobody, and holds nothing", async () => {
      const calls = await fill();
      const socket = open(get("/gone", "x-switchgear-criticality: critical_plus"));
      await eventually(() => upstream.limits?.line.length === 1, "it waits");
      socket.destroy();
      await new Promise((done) => setTimeout(done, 20));
      for (const response of held) response.end("odds");
      await Promise.all(calls);
      await eventually(() => inFlight() === 0 && upstream.inFlight === 0, "all is over");
      assert.ok(!bookmaker.requests.some((request) => request.includes("/gone")));
    });

    test("only a good answer tells how long the bookmaker takes, whole or in pieces: a 429 is quick, and no room", async () => {
      for (const [status, isGood] of [
        [200, true],
        [404, true],
        [429, false],
        [503, false],
      ] as const) {
        for (const kind of ["whole", "pieces"] as const) {
          const clock = new VirtualClock();
          const guard = createSwitchgear({
            upstreams: { draftkings: { breaker: latching(), limit: fixedLimit(LIMIT) } },
            clock,
          }).upstream("draftkings");
          await bench.gateway.stop(0);
          bench = await startBench({ url: bookmaker.url, guard }, { transport });
          const path = get(`/${kind}/${status}`);
          for (let n = 0; n < 5; n += 1) assert.equal((await ask(path)).status, status);
          // The next call finds that a window has ended.
          clock.advance(1000);
          await ask(path);

          const { inFlight, latencyMs = 0 } = guard.limits?.limiter ?? {};
          assert.equal(inFlight, 0, `${kind} ${status}`);
          assert.equal(latencyMs > 0, isGood, `${kind} ${status}: ${latencyMs} ms`);
        }
      }
    });

    test("a call whose deadline passed is held for as long as the bookmaker is taken to go on", async () => {
      const answer = await ask(get("/held", "x-switchgear-timeout-ms: 100"));
      assert.equal(answer.status, 504);
      assert.equal(inFlight(), 1);
      assert.equal(upstream.limits?.limiter.abandoned, 1);
    });
  });
}
