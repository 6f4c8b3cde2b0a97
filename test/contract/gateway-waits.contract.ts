// Who was waited for, on every transport: callers who are slow to send or to read, who leave, or who give
// less time than the upstream has; upstreams that are; and this process itself.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { connect, type Socket } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { createSwitchgear, latching, type Switchgear } from "../../src/index.ts";
import type { Bench, Handler, Upstream } from "./gateway-harness.ts";
import { eventually, raw, startBench, startUpstream } from "./gateway-harness.ts";

const NO_DESCRIPTORS = new URL("gateway-no-descriptors.ts", import.meta.url).pathname;
/** Long enough for a busy machine not to take its own noise for a stand-still. */
const DEADLINE_MS = 700;

export function gatewayWaitsContract(transport: "bun" | "node"): void {
  describe(`who was waited for, on ${transport}`, () => {
    let upstream: Upstream;
    let bench: Bench;
    let handler: Handler;
    const open = new Set<Socket>();

    before(async () => {
      upstream = await startUpstream((request, response) => handler(request, response));
      bench = await startBench(
        {
          url: upstream.url,
          deadlineMs: DEADLINE_MS,
          operations: [
            { name: "stream", path: "/stream", load: 0, idleMs: 200 },
            { name: "patient", path: "/patient", load: 0, deadlineMs: 5_000 },
          ],
        },
        { transport },
      );
    });
    after(async () => {
      await bench.gateway.stop(0);
      upstream.close();
    });
    beforeEach(() => {
      for (const socket of open) socket.destroy();
      open.clear();
      handler = (_request, response) => void response.end("ok");
      upstream.requests.length = 0;
      bench.guard.settled.length = 0;
      bench.access.length = 0;
    });

    const ask = (text: string, waitMs?: number) => raw(bench.gateway.port, text, waitMs);
    const outcomes = () =>
      bench.guard.settled.map(({ outcome, timeout }) => (timeout === true ? "timeout" : outcome));

    function call(text: string): Socket {
      const socket = connect(bench.gateway.port, "127.0.0.1", () => socket.write(text));
      socket.on("error", () => {});
      open.add(socket);
      return socket;
    }

    const get = (path: string, ...headers: string[]): string =>
      `${[`GET /draftkings${path} HTTP/1.1`, "Host: a", ...headers].join("\r\n")}\r\n\r\n`;

    const post = (bytes: number, sent: string): string =>
      `POST /draftkings/x HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n${sent}`;

    /** Answers with events for as long as somebody listens. */
    const events: Handler = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const timer = setInterval(() => response.write("data: 1\n\n"), 40);
      response.once("close", () => clearInterval(timer));
    };

    describe("the caller", () => {
      test("that does not send its short body is told so, and the upstream is not asked", async () => {
        const answer = await ask(post(1_000, "some"));

        assert.equal(answer.status, 408);
        assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["caller_timeout"]);
        assert.deepEqual(outcomes(), ["ignored"]);
        assert.deepEqual(upstream.requests, []);
        assert.deepEqual([bench.access[0]?.status, bench.access[0]?.outcome], [408, "ignored"]);
      });

      test("that does not send its long body is told so", async () => {
        handler = (request, response) => {
          request.resume();
          request.once("end", () => response.end("ok"));
        };
        const answer = await ask(post(1_000_000, "some"));

        assert.equal(answer.status, 408);
        assert.deepEqual(outcomes(), ["ignored"]);
      });

      test("that takes long to send is no evidence of a slow upstream", async () => {
        const socket = call(post(4, "so"));
        setTimeout(() => socket.write("me"), 450);
        await eventually(() => bench.guard.settled.length === 1, "the call is settled");

        assert.deepEqual(outcomes(), ["ok"]);
        assert.ok((bench.guard.settled[0]?.latencyMs ?? 999) < 300);
      });

      test("that does not read its answer is cut without a vote", async () => {
        handler = (_request, response) => {
          response.writeHead(200);
          const piece = Buffer.alloc(1_000_000);
          const more = (): void => {
            while (response.write(piece));
            response.once("drain", more);
          };
          more();
        };
        call(get("/x")).pause();
        await eventually(() => bench.guard.settled.length === 1, "the call is settled");

        assert.deepEqual(outcomes(), ["ignored"]);
        assert.deepEqual([bench.access[0]?.status, bench.access[0]?.outcome], [200, "ignored"]);
      });

      test("that gives less time than the upstream has is answered 504 without a vote", async () => {
        handler = () => {};
        const answer = await ask(get("/x", "x-switchgear-timeout-ms: 20"));

        assert.equal(answer.status, 504);
        assert.deepEqual(outcomes(), ["ignored"]);
      });
    });

    describe("the upstream", () => {
      test("that does not read a long body has had its time", async () => {
        const deaf: Handler = (request) => void request.pause();
        handler = deaf;
        const socket = call(post(20_000_000, ""));
        const piece = Buffer.alloc(65_536);
        const more = (): void => {
          while (!socket.destroyed && socket.write(piece));
          socket.once("drain", more);
        };
        socket.once("connect", more);
        await eventually(() => bench.guard.settled.length === 1, "the call is settled");

        assert.deepEqual(outcomes(), ["timeout"]);
      });

      test("that trickles its answer has had its time", async () => {
        handler = (_request, response) => {
          response.writeHead(200, { "content-type": "text/plain" });
          const timer = setInterval(() => response.write("."), 20);
          response.once("close", () => clearInterval(timer));
        };
        await ask(get("/x"), 2_000);

        assert.deepEqual(outcomes(), ["timeout"]);
      });

      test("is let go of at once when one caller leaves, and waited for when a second one does", async () => {
        let closed = 0;
        handler = (_request, response) => void response.once("close", () => (closed += 1));
        for (const left of [1, 2]) {
          const socket = call(get("/x"));
          await eventually(() => upstream.requests.length === left, "the request arrives");
          await new Promise((resolve) => setTimeout(resolve, 30));
          socket.destroy();
          await new Promise((resolve) => setTimeout(resolve, 30));
          assert.equal(closed, 1);
        }
        assert.deepEqual(outcomes(), ["ignored"]);
        await eventually(() => bench.guard.settled.length === 2, "the second call is settled");

        assert.deepEqual(outcomes(), ["ignored", "timeout"]);
        await eventually(() => closed === 2, "its connection closes");
        assert.equal(bench.access[1]?.status, 0);
      });

      test("that answers after its callers have left has answered", async () => {
        handler = (_request, response) => void setTimeout(() => response.end("late"), 150);
        for (let n = 0; n < 2; n += 1) {
          const answer = await ask(get("/x", "x-switchgear-timeout-ms: 20"));
          assert.equal(answer.status, 504);
        }
        await eventually(() => bench.guard.settled.length === 2, "the second call is settled");

        assert.deepEqual(outcomes(), ["ignored", "ok"]);
        assert.ok((bench.guard.settled[1]?.latencyMs ?? 0) >= 100);
      });

      test("may be another guard, whose refusal is no evidence", async () => {
        handler = (_request, response) => {
          response.writeHead(503, {
            "x-switchgear-reason": "tripped",
            "content-type": "text/plain",
          });
          response.end("refused");
        };
        const answer = await ask(get("/x"));

        assert.equal(answer.status, 503);
        assert.ok(answer.body.includes("refused"));
        // A third gateway in front must know it for what it is, too.
        assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["tripped"]);
        assert.deepEqual(outcomes(), ["ignored"]);
      });

      test("is not called a guard by a reason that none gives, or by another status", async () => {
        for (const [status, reason] of [
          [503, "upstream_error"],
          [500, "tripped"],
        ] as const) {
          handler = (_request, response) =>
            void response.writeHead(status, { "x-switchgear-reason": reason }).end();
          const answer = await ask(get("/x"));

          assert.equal(answer.status, status);
          assert.equal(answer.headers.has("x-switchgear-reason"), false);
        }
        assert.deepEqual(outcomes(), ["failed", "failed"]);
      });
    });

    describe("streams", () => {
      test("of events are cut at the deadline, and were in good health", async () => {
        handler = events;
        const answer = await ask(get("/x"), 2_000);

        assert.equal(answer.status, 200);
        assert.equal(answer.isClosed, true);
        assert.deepEqual(outcomes(), ["ok"]);
      });

      test("with an idle time live on until their caller leaves", async () => {
        handler = events;
        const answer = await ask(get("/stream/odds"), DEADLINE_MS * 2);

        assert.equal(answer.isClosed, false);
        assert.ok(answer.body.split("data:").length > 12);
        await eventually(() => bench.guard.settled.length === 1, "the call is settled");
        assert.deepEqual(outcomes(), ["ok"]);
      });

      test("with an idle time end when the upstream pauses for longer", async () => {
        handler = (_request, response) => {
          response.writeHead(200);
          response.write("first");
        };
        const answer = await ask(get("/stream"), 1_000);

        assert.equal(answer.isClosed, true);
        assert.deepEqual(outcomes(), ["timeout"]);
      });
    });

    test("an operation's deadline may be longer than the upstream's", async () => {
      handler = (_request, response) =>
        void setTimeout(() => response.end("ok"), DEADLINE_MS + 100);

      assert.equal((await ask(get("/patient"))).status, 200);
      assert.equal((await ask(get("/patients"))).status, 504);
    });

    test("a process without descriptors refuses, and blames nobody", () => {
      const run = spawnSync(
        "bash",
        ["-c", `ulimit -n 400; exec "$0" "$1"`, process.execPath, NO_DESCRIPTORS],
        {
          encoding: "utf8",
          timeout: 20_000,
        },
      );

      assert.equal(run.status, 0, run.stderr);
    });

    describe("a breaker beside impatient callers", () => {
      let gear: Switchgear;
      let guarded: Bench;
      before(async () => {
        gear = createSwitchgear({
          upstreams: { draftkings: { breaker: latching(), deadlineMs: 2_000 } },
        });
        guarded = await startBench(
          { url: upstream.url, deadlineMs: 2_000, guard: gear.upstream("draftkings") },
          { transport },
        );
      });
      after(async () => {
        await guarded.gateway.stop(0);
        await gear.close();
      });

      test("stays closed, whatever 25 of them do at once, as long as honest ones are answered", async () => {
        handler = (request, response) => {
          request.resume();
          setTimeout(() => response.end("ok"), 12);
        };
        const { port } = guarded.gateway;
        const honest = async (): Promise<number> => (await raw(port, get("/x"))).status;
        assert.equal(await honest(), 200);
        for (const text of [get("/x", "x-switchgear-timeout-ms: 1"), post(1_000, ""), get("/x")]) {
          const impatient = Array.from({ length: 25 }, () => raw(port, text, 60));
          assert.equal(await honest(), 200);
          await Promise.all(impatient);
          assert.equal(await honest(), 200);
        }

        assert.equal(gear.upstream("draftkings").state(), "closed");
        assert.equal(gear.upstream("draftkings").snapshot().failureCount, 0);
      });
    });
  });
}
