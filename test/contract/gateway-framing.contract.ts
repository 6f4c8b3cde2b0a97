// What two readers could read differently, and what one reader loses: found by the differential fuzzer
// (test/fuzz), each by the smallest exchange that shows it.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { raw, startBench, type Bench } from "./gateway-harness.ts";
import { request, startRawUpstream, type RawUpstream } from "./gateway-raw.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HELLO = "5\r\nhello\r\n0\r\n\r\n";

export function gatewayFramingContract(transport: "bun" | "node"): void {
  const isBun = transport === "bun";

  describe(`framing and heads, on ${transport}`, () => {
    let upstream: RawUpstream;
    let bench: Bench;

    before(async () => {
      upstream = await startRawUpstream();
      const url = `http://127.0.0.1:${upstream.port}`;
      bench = await startBench({ url, deadlineMs: 2_000 }, { transport });
    });
    after(async () => {
      await bench.gateway.stop(0);
      upstream.close();
    });
    beforeEach(() => {
      upstream.reset();
      upstream.answerWith(OK);
      bench.guard.settled.length = 0;
    });

    const ask = (text: string, waitMs?: number) => raw(bench.gateway.port, text, waitMs);
    const outcomes = () => bench.guard.settled.map(({ outcome }) => outcome);

    describe("requests", () => {
      test("of a major version that is none of ours are answered 505", async () => {
        for (const line of [
          "GET /draftkings/x HTTP/2.0",
          "GET /draftkings/x HTTP/0.9",
          "GET /draftkings/x",
        ]) {
          const answer = await ask(`${line}\r\nHost: a\r\n\r\n`);

          assert.equal(answer.status, 505, line);
          // Bun's server answers by itself, before there is a request.
          const reasons = isBun ? undefined : ["version_unsupported"];
          assert.deepEqual(answer.headers.get("x-switchgear-reason"), reasons);
        }
        assert.deepEqual(upstream.heads, []);
      });

      test("of HTTP/1.0 pass, but not in chunks, which it does not know", async () => {
        const plain = await ask("GET /draftkings/x HTTP/1.0\r\nHost: a\r\n\r\n");
        assert.equal(plain.status, 200);
        assert.equal(upstream.heads.length, 1);

        for (const connection of ["close", "keep-alive"]) {
          const head = `POST /draftkings/x HTTP/1.0\r\nHost: a\r\nConnection: ${connection}\r\n`;
          const chunked = await ask(`${head}Transfer-Encoding: chunked\r\n\r\n${HELLO}`);
          assert.equal(chunked.status, 400);
          assert.match(chunked.headers.get("connection")?.[0] ?? "", /close/i);
        }
        assert.equal(upstream.heads.length, 1);
      });

      test("that say their length twice are refused", async () => {
        const head = request("POST", "/draftkings/x", "Content-Length: 5", "Content-Length: 5");
        const answer = await ask(`${head}hello`);

        assert.equal(answer.status, 400);
        assert.deepEqual(upstream.heads, []);
        assert.deepEqual(outcomes(), []);
      });

      test("that expect more than `100 Continue` pass without it", async () => {
        const answer = await ask(request("GET", "/draftkings/x", "Expect: 200-ok"));

        assert.equal(answer.status, 200);
        assert.doesNotMatch(upstream.heads[0] ?? "", /expect/i);
      });

      test("to connect through are answered 405", async () => {
        const answer = await ask(request("CONNECT", "/draftkings/x"));

        assert.equal(answer.status, 405);
        assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["method_not_allowed"]);
        assert.equal(answer.headers.get("date")?.length, 1);
        assert.equal(bench.access.at(-1)?.reason, "method_not_allowed");
      });

      test("whose target holds bytes that are no characters are refused", async () => {
        for (const path of ["/draftkings/caf\xe9", "/draftkings/x?name=\xff"]) {
          assert.equal((await ask(request("GET", path))).status, 400, path);
        }
        assert.deepEqual(upstream.heads, []);
      });

      test("of thousands of fields lose none", async () => {
        // On Bun two hundred are the most.
        if (isBun) return;
        const fields = Array.from({ length: 2_400 }, () => "a:");
        const answer = await ask(request("GET", "/draftkings/x", ...fields, "x-last: 1"));

        assert.equal(answer.status, 200);
        assert.match(upstream.heads[0] ?? "", /\r\nx-last: 1\r\n/);
      });

      test("that keep their User-Agent back are sent with ours", async () => {
        await ask(request("GET", "/draftkings/x", "Connection: User-Agent", "User-Agent: a/1"));

        assert.match(upstream.heads[0] ?? "", /\r\nuser-agent: switchgear\/1\.2\.3/i);
      });
    });

    describe("answers", () => {
      test("may follow interim ones of all sorts, in any order", async () => {
        const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        const go = "HTTP/1.1 100 Continue\r\n\r\n";
        const odd = "HTTP/1.1 199 Odd\r\n\r\n";
        for (const interims of [early + go, go + early + go, odd + go, go + odd + early]) {
          upstream.answerWith(interims + OK);

          assert.equal((await ask(request("GET"))).status, 200, interims);
        }
        assert.deepEqual(outcomes(), ["ok", "ok", "ok", "ok"]);
      });

      test("that switch protocols unasked are none, and nobody is asked again", async () => {
        upstream.answerWith(OK);
        assert.equal((await ask(request("GET"))).status, 200);
        upstream.answerWith(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        );
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 502);
        assert.equal(upstream.heads.length, 2);
        assert.deepEqual(outcomes(), ["ok", "failed"]);
      });

      test("that break off inside their head are not asked for again", async () => {
        // Bun's `fetch` asks again by itself (1.4.5).
        if (isBun) return;
        upstream.answerBy((socket, _head, count) => {
          if (count === 1) socket.write(OK);
          else socket.write("HTTP/1.1 200 O", () => socket.resetAndDestroy());
        });
        assert.equal((await ask(request("GET"))).status, 200);
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 502);
        assert.equal(upstream.heads.length, 2);
      });

      for (const [how, framing] of [
        ["in codings over several lines", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"],
        ["by a length beside chunks", "Content-Length: 3\r\nTransfer-Encoding: chunked"],
        ["by chunks beside a length", "Transfer-Encoding: chunked\r\nContent-Length: 3"],
        ["in chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"],
      ]) {
        test(`framed ${how} are no answers`, async () => {
          upstream.answerWith(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${HELLO}`);
          const answer = await ask(request("GET"));

          assert.equal(answer.status, 502);
          assert.deepEqual(outcomes(), ["failed"]);
        });
      }

      test("without a body that lie about its length are no answers either", async () => {
        for (const lines of ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: five"]) {
          for (const [method, status] of [
            ["HEAD", "200 OK"],
            ["GET", "304 Not Modified"],
          ] as const) {
            upstream.answerWith(`HTTP/1.1 ${status}\r\n${lines}\r\n\r\n`);
            const answer = await ask(request(method));

            assert.equal(answer.status, 502, `${method} ${status} ${lines}`);
          }
        }
        assert.deepEqual(outcomes(), ["failed", "failed", "failed", "failed"]);
      });

      test("whose Connection names their length are framed by it all the same", async () => {
        upstream.answerBy((socket) => {
          socket.end(
            "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhel",
          );
        });
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 502);
        assert.deepEqual(outcomes(), ["failed"]);
      });

      test("of 204 have no length", async () => {
        upstream.answerWith("HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\n");
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 204);
        assert.equal(answer.headers.has("content-length"), false);
      });

      test("that say a decisive field twice say neither", async () => {
        for (const field of ["x-switchgear-reason: load_shed", "Retry-After: 5"]) {
          const head = `HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n${field}\r\n`;
          upstream.answerWith(`${head}\r\n`);
          await ask(request("GET"));
          upstream.answerWith(`${head}${field}\r\n\r\n`);
          await ask(request("GET"));
        }

        assert.deepEqual(outcomes(), ["ignored", "failed", "failed", "failed"]);
        assert.deepEqual(
          bench.guard.settled.map(({ retryAfterMs }) => retryAfterMs),
          [undefined, undefined, 5_000, undefined],
        );
      });

      test("mean the same with blanks around their values, and blanks are no other bytes", async () => {
        const refused = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n";
        upstream.answerWith(`${refused}x-switchgear-reason: \tload_shed \t \r\n\r\n`);
        await ask(request("GET"));
        upstream.answerWith(`${refused}X-Name: voil\xc3\xa0\r\n\r\n`);
        const { headers } = await ask(request("GET"));
        upstream.answerWith(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\xa0\r\n\r\n${HELLO}`);
        const foreign = await ask(request("GET"));

        assert.deepEqual(outcomes(), ["ignored", "failed", "failed"]);
        assert.deepEqual(headers.get("x-name"), ["voil\xc3\xa0"]);
        assert.equal(foreign.status, 502);
      });

      test("of 205 are empty, whatever their upstream sent", async () => {
        for (const framing of [
          "Content-Length: 21\r\n\r\nnobody may see this\r\n",
          "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ]) {
          upstream.answerWith(`HTTP/1.1 205 Reset Content\r\n${framing}`);
          const answer = await ask(request("GET"));

          assert.deepEqual([answer.status, answer.body], [205, ""], framing);
          assert.deepEqual(answer.headers.get("content-length"), ["0"]);
        }
        assert.deepEqual(outcomes(), ["ok", "ok"]);
      });

      test("to HEAD say the length that GET would have, or none, and when it was", async () => {
        for (const [framing, expected] of [
          ["Content-Length: 70000\r\n", ["70000"]],
          ["Transfer-Encoding: chunked\r\n", undefined],
          ["Connection: close\r\n", undefined],
        ] as const) {
          upstream.answerWith(`HTTP/1.1 200 OK\r\n${framing}\r\n`);
          const { headers } = await ask(request("HEAD"));

          assert.deepEqual(headers.get("content-length"), expected, framing);
          assert.equal(headers.get("date")?.length, 1);
        }
        const own = await ask(request("HEAD", "/draftkings/x", "x-switchgear-load: heavy"));
        const got = await ask(request("GET", "/draftkings/x", "x-switchgear-load: heavy"));

        assert.deepEqual(own.headers.get("content-length"), [String(got.body.length)]);
        assert.equal(own.headers.get("date")?.length, 1);
      });

      test("to HEAD that have a body all the same spoil no other call's answer", async () => {
        upstream.answerBy((socket, head) => {
          socket.write(OK.slice(0, -2));
          // Later, when the next call may have been given the connection.
          setTimeout(() => socket.write(head.startsWith("HEAD") ? "no" : "ok"), 40);
        });
        assert.equal((await ask(request("HEAD"))).status, 200);
        const answer = await ask(request("GET"));

        assert.deepEqual([answer.status, answer.body], [200, "ok"]);
        assert.equal(upstream.connections(), 2);
      });

      test("with an empty type are given no other", async () => {
        upstream.answerWith("HTTP/1.1 200 OK\r\nContent-Type:\r\nContent-Length: 2\r\n\r\nok");
        const answer = await ask(request("GET"));

        assert.deepEqual(answer.headers.get("content-type"), [""]);
      });

      test("without a type are given none", async () => {
        for (const body of ["ok", "", "x".repeat(60_000)]) {
          upstream.answerWith(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
          const answer = await ask(request("GET"));

          assert.equal(answer.headers.has("content-type"), false);
          // From some hundred bytes on Bun then writes chunks.
          if (isBun && body.length > 100) continue;
          assert.deepEqual(answer.headers.get("content-length"), [String(body.length)]);
          assert.equal(answer.body, body);
        }
      });

      test("that end with their connection are broken when it is reset", async () => {
        // Bun's `fetch` takes that for their end (1.4.5).
        if (isBun) return;
        upstream.answerBy((socket) => {
          socket.write("HTTP/1.1 200 OK\r\n\r\nhalf of it");
          setTimeout(() => socket.resetAndDestroy(), 30);
        });
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 200);
        assert.ok(!answer.text.endsWith("0\r\n\r\n"), "it does not look whole");
        assert.deepEqual(outcomes(), ["failed"]);
      });

      test("that break off reset connections of HTTP/1.0, where closing would end them", async () => {
        for (const why of ["the upstream", "the deadline"]) {
          upstream.answerBy((socket) => {
            const rest = why === "the upstream" ? "no chunk" : "";
            socket.write(
              `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${rest}`,
            );
          });
          const socket = connect(bench.gateway.port, "127.0.0.1");
          socket.write("GET /draftkings/x HTTP/1.0\r\nx-switchgear-timeout-ms: 100\r\n\r\n");
          socket.resume();
          const error: unknown = await new Promise((resolve) => {
            socket.once("error", resolve);
            socket.once("end", () => resolve("it looks whole"));
          });

          assert.equal((error as { readonly code?: unknown }).code, "ECONNRESET", why);
          socket.destroy();
        }
      });
    });
  });
}
