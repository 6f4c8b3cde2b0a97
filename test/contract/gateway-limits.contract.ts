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
    /** Answers that wait to be sent. */
    let held: ServerResponse[] = [];
    const sockets: Socket[] = [];

    before(async () => {
      bookmaker = await startUpstream((request, response) => {
        request.resume();
        request.once("end", () => {
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
