// The floor on Node: `node:http` in front, undici's `dispatch` behind, bodies streamed, and nothing else.
//
//   node test/bench/gateway/proxy-node.ts PORT UPSTREAM_URL

import { createServer, type ServerResponse } from "node:http";
import { Pool, type Dispatcher } from "undici";

const [, , port, upstream = ""] = process.argv;

const pool = new Pool(upstream, {
  connections: null,
  allowH2: false,
  pipelining: 1,
  headersTimeout: 0,
  bodyTimeout: 0,
});

class Handler implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(): void {}

  onResponseStart({ rawHeaders }: Dispatcher.DispatchController, status: number): void {
    const headers = Array.isArray(rawHeaders) ? rawHeaders.map(String) : [];
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return;
    controller.pause();
    this.#response.once("drain", () => controller.resume());
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    this.#response.destroy();
  }
}

createServer({ noDelay: true }, (request, response) => {
  const { url = "/", method = "GET", rawHeaders } = request;
  // The cheapest refusal there can be here, for comparison.
  if (url.startsWith("/fanduel/")) {
    response.writeHead(503);
    response.end("refused");
    return;
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  pool.dispatch(
    { path: url, method, headers: rawHeaders, body: hasBody ? request : null },
    new Handler(response),
  );
}).listen(Number(port), "127.0.0.1");
