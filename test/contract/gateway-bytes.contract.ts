// Bytes are bytes, and connections break: what arrives on either side of every transport, shown with raw
// sockets, and what becomes of calls whose connection had been let go of.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Bench } from "./gateway-harness.ts";
import { raw, startBench } from "./gateway-harness.ts";
import { request, startRawUpstream, type RawUpstream, type Script } from "./gateway-raw.ts";

const NAME = "見積書 übel.pdf";
const LATIN1 = Buffer.from(NAME, "utf8").toString("latin1");

export function gatewayBytesContract(transport: "bun" | "node"): void {
  const isBun = transport === "bun";

  describe(`bytes and connections, on ${transport}`, () => {
    let upstream: RawUpstream;
    let bench: Bench;

    before(async () => {
      upstream = await startRawUpstream();
      const { port } = upstream;
      bench = await startBench(
        { url: `http://127.0.0.1:${port}`, deadlineMs: 2_000 },
        { transport, methods: ["PROPFIND"], holdsAdminToken: (value) => value.includes("s3cret") },
        [
          {
            name: "moved",
            url: `http://127.0.0.1:${port}/base`,
            rewriteRedirects: true,
            rewriteCookies: true,
          },
        ],
      );
    });
    after(async () => {
      await bench.gateway.stop(0);
      upstream.close();
    });
    beforeEach(() => {
      upstream.reset();
      bench.guard.settled.length = 0;
    });

    const ask = (text: string, waitMs?: number) => raw(bench.gateway.port, text, waitMs);
    const answerWith = (text: string): void => upstream.answerWith(text);
    const outcomes = () => bench.guard.settled.map(({ outcome }) => outcome);

    describe("fields beyond ASCII arrive as they were sent", () => {
      for (const [how, framing, body] of [
        ["in one piece", "Content-Length: 2", "ok"],
        ["streamed, of a declared length", "Content-Length: 100000", "z".repeat(100_000)],
        ["in chunks", "Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"],
      ] as const) {
        test(how, async () => {
          const fields = `Content-Disposition: attachment; filename="${LATIN1}"\r\nX-Same: ${LATIN1}`;
          for (const lines of [`${framing}\r\n${fields}`, `${fields}\r\n${framing}`]) {
            answerWith(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n${body}`);
            const { headers, status } = await ask(request("GET"));

            assert.equal(status, 200);
            assert.deepEqual(headers.get("content-disposition"), [
              `attachment; filename="${LATIN1}"`,
            ]);
            assert.deepEqual(headers.get("x-same"), [LATIN1]);
          }
          assert.deepEqual(outcomes(), ["ok", "ok"]);
        });
      }

      test("in requests, too", async () => {
        answerWith("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        await ask(request("GET", "/draftkings/x", `X-Same: ${LATIN1}`));

        assert.ok(upstream.heads[0]?.toLowerCase().includes(`x-same: ${LATIN1}`.toLowerCase()));
      });
    });

    describe("heads of answers", () => {
      test("of 40 kB pass", async () => {
        const cookies = `Set-Cookie: a=${"x".repeat(1_000)}\r\n`.repeat(40);
        answerWith(`HTTP/1.1 200 OK\r\n${cookies}Content-Length: 2\r\n\r\nok`);
        const { status, headers } = await ask(request("GET"));

        assert.equal(status, 200);
        assert.equal(headers.get("set-cookie")?.length, 40);
      });

      test("may be preceded by an unasked 100 Continue, whole or in pieces", async () => {
        const interim = "HTTP/1.1 100 Continue\r\n\r\n";
        for (const at of [0, 1, 9, 12, 20, interim.length]) {
          upstream.answerBy((socket) => {
            socket.write(interim.slice(0, at));
            setTimeout(() => {
              socket.write(`${interim.slice(at)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`);
            }, 15);
          });
          const answer = await ask(`${request("POST", "/draftkings/x", "Content-Length: 1")}x`);

          assert.deepEqual([at, answer.status, answer.body], [at, 200, "ok"]);
        }
      });

      test("are looked for in heads only: a body may begin like one", async () => {
        const body = "HTTP/1.1 100 Continue\r\n\r\nand more";
        upstream.answerBy((socket) => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
          setTimeout(() => socket.write(body), 30);
        });

        assert.equal((await ask(request("GET"))).body, body);
      });

      test("are passed over when they are early hints", async () => {
        answerWith(
          "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        const answer = await ask(request("GET"));

        assert.deepEqual([answer.status, answer.body], [200, "ok"]);
        assert.equal(answer.headers.has("link"), false);
      });
    });

    describe("transfer codings", () => {
      const zipped = gzipSync("odds").toString("latin1");
      const chunk = `${zipped.length.toString(16)}\r\n${zipped}\r\n0\r\n\r\n`;

      test("that an answer was not asked for are no answer", async () => {
        answerWith(`HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${chunk}`);
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 502);
        assert.deepEqual(outcomes(), ["failed"]);
      });

      test("that nobody here takes off are refused", async () => {
        answerWith("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        const head = request("POST", "/draftkings/x", "Transfer-Encoding: gzip, chunked");
        const answer = await ask(head + chunk);

        assert.equal(answer.status, isBun ? 400 : 501);
        assert.deepEqual(upstream.heads, []);
      });
    });

    describe("a connection that the other side has let go of", () => {
      const once: Script = (socket, _head, count) => {
        if (count === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        else socket.resetAndDestroy();
      };

      for (const [method, body, isRepeated] of [
        ["GET", undefined, true],
        ["HEAD", undefined, true],
        ["DELETE", undefined, true],
        ["PUT", "a body", true],
        ["POST", "a body", false],
        ["PATCH", "a body", false],
      ] as const) {
        test(`${method} is ${isRepeated ? "" : "not "}sent once more, on a fresh one`, async () => {
          upstream.answerBy(once);
          assert.equal((await ask(request("GET"))).status, 200);
          const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
          const answer = await ask(request(method, "/draftkings/x", ...length) + (body ?? ""));

          assert.equal(answer.status, isRepeated ? 200 : 502);
          assert.deepEqual(
            upstream.heads.map((head) => head.split(" ")[0]),
            ["GET", method, ...(isRepeated ? [method] : [])],
          );
          assert.equal(upstream.connections(), isRepeated ? 2 : 1);
          assert.deepEqual(outcomes(), ["ok", isRepeated ? "ok" : "failed"]);
        });
      }

      test("a fresh one that is reset is not tried again", async () => {
        upstream.answerBy((socket) => socket.resetAndDestroy());
        const answer = await ask(request("GET"));

        assert.equal(answer.status, 502);
        assert.equal(upstream.heads.length, 1);
        assert.deepEqual(outcomes(), ["failed"]);
      });
    });

    describe("gateways that a request has passed", () => {
      beforeEach(() => answerWith("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
      const hops = () => /\r\nx-switchgear-hops: (\S+)/i.exec(upstream.heads.at(-1) ?? "")?.[1];

      test("are counted", async () => {
        await ask(request("GET"));
        assert.equal(hops(), "1");
        await ask(request("GET", "/draftkings/x", "X-Switchgear-Hops: 7"));
        assert.equal(hops(), "8");
        await ask(request("GET", "/draftkings/x", "x-switchgear-hops: many"));
        assert.equal(hops(), "1");
      });

      test("end a loop", async () => {
        const answer = await ask(request("GET", "/draftkings/x", "x-switchgear-hops: 8"));

        assert.equal(answer.status, 508);
        assert.deepEqual(answer.headers.get("x-switchgear-reason"), ["loop"]);
        assert.deepEqual(upstream.heads, []);
      });
    });

    test("the admin token goes to no upstream, however it is spelled", async () => {
      answerWith("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      for (const lines of [
        ["Authorization: Bearer s3cret"],
        ["authorization: bearer\ts3cret, a=b"],
        ["Authorization: Basic other", "Authorization: Bearer s3cret"],
        ["Authorization: Token token=s3cret"],
      ]) {
        await ask(request("GET", "/draftkings/x", ...lines));
        assert.doesNotMatch(upstream.heads.at(-1) ?? "", /s3cret/);
      }
      await ask(request("GET", "/draftkings/x", "Authorization: Bearer theirs"));
      assert.match(upstream.heads.at(-1) ?? "", /\r\nauthorization: Bearer theirs/i);
    });

    test("redirects and cookies of an upstream that asks for it lead through the gateway", async () => {
      const { port } = upstream;
      answerWith(
        [
          "HTTP/1.1 302 Found",
          `Location: http://127.0.0.1:${port}/base/odds?a=1#b`,
          "Set-Cookie: a=1; Path=/base/x; Domain=127.0.0.1; HttpOnly",
          "Set-Cookie: b=2; path=/",
          "Set-Cookie: d=4; Path=/base/voil\xc3\xa0 ; Secure",
          "Set-Cookie: c=3",
          "Content-Length: 0",
          "\r\n",
        ].join("\r\n"),
      );
      const there = await ask(request("GET", "/moved/x"));
      assert.deepEqual(there.headers.get("location"), ["/moved/odds?a=1#b"]);
      assert.deepEqual(there.headers.get("set-cookie"), [
        "a=1; Path=/moved/x; HttpOnly",
        "b=2; Path=/moved",
        "d=4; Path=/moved/voil\xc3\xa0; Secure",
        "c=3",
      ]);

      const here = await ask(request("GET"));
      assert.match(here.headers.get("location")?.[0] ?? "", /^http:/);
      assert.match(here.headers.get("set-cookie")?.[0] ?? "", /Domain=127/);
      for (const elsewhere of [
        "https://other/base/x",
        "//other/base",
        "/elsewhere",
        "/baseline",
        "x",
      ]) {
        answerWith(`HTTP/1.1 302 Found\r\nLocation: ${elsewhere}\r\nContent-Length: 0\r\n\r\n`);
        const answer = await ask(request("GET", "/moved/x"));
        assert.deepEqual(answer.headers.get("location"), [elsewhere]);
      }
    });

    test("further methods pass where they are asked for", async () => {
      answerWith("HTTP/1.1 207 Multi-Status\r\nContent-Length: 2\r\n\r\nok");

      assert.equal((await ask(request("PROPFIND"))).status, 207);
      assert.match(upstream.heads[0] ?? "", /^PROPFIND \/x /);
      assert.notEqual((await ask(request("REPORT"), 500)).status, 207);
      assert.equal(upstream.heads.length, 1);
    });

    test("callers are told to take another connection once the gateway winds down", async () => {
      answerWith("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      const { port } = upstream;
      const other = await startBench({ url: `http://127.0.0.1:${port}` }, { transport });
      const asked = () => raw(other.gateway.port, request("GET"));
      assert.doesNotMatch((await asked()).headers.get("connection")?.[0] ?? "", /close/i);
      other.gateway.windDown();

      const answer = await asked();
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("connection")?.[0] ?? "", /close/i);
      await other.gateway.stop(0);
    });
  });
}
