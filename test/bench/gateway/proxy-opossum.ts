// What people build with a breaker library: opossum around undici behind node:http, streamed.
// Paths begin with the upstream's name, as Switchgear's do; each upstream has a breaker.
//
//   node test/bench/gateway/proxy-opossum.ts PORT UPSTREAM_URL

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import Opossum from "opossum";
import { Agent, request as undiciRequest } from "undici";

const [, , port, upstream = ""] = process.argv;

const dispatcher = new Agent({ connections: 256 });

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
]);

type Headers = IncomingMessage["headers"];

function endToEnd(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}

async function forward(incoming: IncomingMessage) {
  const { method = "GET", url = "/" } = incoming;
  const answer = await undiciRequest(upstream + url, {
    dispatcher,
    method,
    headers: endToEnd(incoming.headers),
    body: method === "GET" || method === "HEAD" ? null : incoming,
  });
  if (answer.statusCode >= 500) {
    await answer.body.dump();
    throw new Error(`upstream answered with ${answer.statusCode}`);
  }
  return answer;
}

const breakers = new Map<string, Opossum<[IncomingMessage], Awaited<ReturnType<typeof forward>>>>();

function breakerOf(url: string) {
  const name = url.slice(1, url.indexOf("/", 1));
  let breaker = breakers.get(name);
  if (breaker === undefined) {
    breaker = new Opossum(forward, { timeout: 2000, resetTimeout: 3_600_000 });
    breakers.set(name, breaker);
  }
  return breaker;
}

async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const answer = await breakerOf(incoming.url ?? "/").fire(incoming);
    response.writeHead(answer.statusCode, endToEnd(answer.headers));
    answer.body.pipe(response);
  } catch (error) {
    const isOpen = error instanceof Error && error.message === "Breaker is open";
    response.writeHead(isOpen ? 503 : 502, { "content-type": "text/plain" });
    response.end(isOpen ? "open" : "failed");
  }
}

createServer((incoming, response) => void handle(incoming, response)).listen(
  Number(port),
  "127.0.0.1",
);
