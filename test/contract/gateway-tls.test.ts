// TLS by upstream, on the runtime's own transport: whom we trust, what we show, whom we ask for, and HTTP/2.

import assert from "node:assert/strict";
import { createSecureServer } from "node:http2";
import { createServer, type Server } from "node:https";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import type { GatewayConnection } from "../../src/gateway/ports.ts";
import { selfSigned } from "./gateway-certificate.ts";
import { listen, raw, startBench, type Bench } from "./gateway-harness.ts";

const IS_BUN = "Bun" in globalThis;
const AGE = { ageMsMax: 30_000 };

describe("TLS by upstream", () => {
  const server = selfSigned("localhost");
  const elsewhere = selfSigned("book.test");
  const client = selfSigned("client");
  const servers: Server[] = [];
  const names: unknown[] = [];
  let bench: Bench;

  async function start(options: object): Promise<string> {
    const one = createServer(options, (request, response) => {
      names.push((request.socket as TLSSocket & { servername?: unknown }).servername);
      response.end("ok");
    });
    one.on("tlsClientError", () => {});
    servers.push(one);
    return `https://localhost:${await listen(one)}`;
  }

  before(async () => {
    const plain = await start(server);
    const moved = await start(elsewhere);
    const asking = await start({
      ...server,
      requestCert: true,
      rejectUnauthorized: true,
      ca: client.cert,
    });
    const upstream = (name: string, url: string, connection?: Partial<GatewayConnection>) => ({
      name,
      url,
      ...(connection === undefined ? {} : { connection: { ...AGE, ...connection } }),
    });
    bench = await startBench(upstream("draftkings", plain, { ca: server.cert }), {}, [
      upstream("untrusted", plain),
      upstream("other-ca", plain, { ca: elsewhere.cert }),
      upstream("named", moved, { ca: elsewhere.cert, serverName: "book.test" }),
      upstream("misnamed", moved, { ca: elsewhere.cert }),
      upstream("shown", asking, { ca: server.cert, cert: client.cert, key: client.key }),
      upstream("unshown", asking, { ca: server.cert }),
    ]);
  });
  after(async () => {
    await bench.gateway.stop(0);
    for (const one of servers) one.close();
  });

  for (const [name, status] of [
    ["draftkings", 200],
    ["untrusted", 502],
    ["other-ca", 502],
    ["named", 200],
    ["misnamed", 502],
    ["shown", 200],
    ["unshown", 502],
  ] as const) {
    test(`${name}: ${status}`, async () => {
      const answer = await raw(bench.gateway.port, `GET /${name}/x HTTP/1.1\r\nHost: a\r\n\r\n`);

      assert.equal(answer.status, status, String(bench.guard.settled.at(-1)?.error));
    });
  }

  test("the name that is asked for is sent", async () => {
    names.length = 0;
    await raw(bench.gateway.port, "GET /named/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    if (!IS_BUN) assert.deepEqual(names, ["book.test"]);
  });
});

describe(
  "an upstream that speaks HTTP/2 only",
  { skip: IS_BUN && "Bun's fetch offers no HTTP/2 by itself" },
  () => {
    const certificate = selfSigned("localhost");
    const upstream = createSecureServer({ ...certificate, allowHTTP1: false });
    let bench: Bench;
    const seen: string[] = [];

    before(async () => {
      upstream.on("stream", (stream, headers) => {
        seen.push(`${headers[":method"]} ${headers[":path"]} ${headers[":authority"]}`);
        let length = 0;
        stream.on("data", (piece: Buffer) => (length += piece.length));
        stream.on("end", () => {
          const path = String(headers[":path"]);
          if (path === "/reset") {
            stream.close(2);
            return;
          }
          stream.respond({
            ":status": path === "/500" ? 500 : 200,
            "x-length": String(length),
            "set-cookie": ["a=1", "b=2"],
          });
          stream.end(path === "/long" ? Buffer.alloc(500_000, "z") : "h2");
        });
        stream.on("error", () => {});
      });
      const port = await listen(upstream);
      bench = await startBench({
        url: `https://localhost:${port}`,
        deadlineMs: 2_000,
        connection: { ...AGE, ca: certificate.cert, http2: true },
      });
    });
    after(async () => {
      await bench.gateway.stop(0);
      upstream.close();
    });

    const ask = (method: string, path: string, body = "") =>
      raw(
        bench.gateway.port,
        `${method} /draftkings${path} HTTP/1.1\r\nHost: a\r\n${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`,
      );

    test("is asked over HTTP/2, and its fields arrive one by one", async () => {
      const answer = await ask("POST", "/x?a=1", "a body");

      assert.equal(answer.status, 200, String(bench.guard.settled[0]?.error));
      assert.deepEqual(answer.headers.get("x-length"), ["6"]);
      assert.deepEqual(answer.headers.get("set-cookie"), ["a=1", "b=2"]);
      assert.ok(answer.body.includes("h2"));
      assert.match(seen[0] ?? "", /^POST \/x\?a=1 localhost:\d+$/);
      assert.equal(bench.guard.settled[0]?.outcome, "ok");
    });

    test("counts as any other does: its status, a stream that it resets, a long body", async () => {
      bench.guard.settled.length = 0;
      assert.equal((await ask("GET", "/500")).status, 500);
      assert.equal((await ask("GET", "/reset")).status, 502);
      assert.ok((await ask("GET", "/long")).body.length >= 500_000);
      assert.equal((await ask("HEAD", "/x")).status, 200);

      assert.deepEqual(
        bench.guard.settled.map(({ outcome }) => outcome),
        ["failed", "failed", "ok", "ok"],
      );
    });

    test("serves many calls at once over it", async () => {
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask("GET", "/many")));

      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    });
  },
);
