// Gateways whose metrics are wrong, as seen from outside.

import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Defect {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Passes the admin address through, and writes every breaker down as closed. */
export function startDefect(adminUrl: string): Promise<Defect> {
  const pass = async (path: string, response: ServerResponse): Promise<void> => {
    const answer = await fetch(`${adminUrl}${path}`);
    const text = await answer.text();
    response.writeHead(answer.status, {
      "content-type": answer.headers.get("content-type") ?? "text/plain",
    });
    response.end(text.replaceAll(/^(circuit_breaker_tripped\{.*\}) 1$/gm, "$1 0"));
  };
  return serve(0, (request, response) => {
    pass(request.url ?? "/", response).catch(() => response.destroy());
  });
}

/** Answers a scrape with 200 and nothing in it. */
export function startEmpty(port: number): Promise<Defect> {
  return serve(port, (_, response) => {
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end();
  });
}

async function serve(wanted: number, answer: RequestListener): Promise<Defect> {
  const server = createServer(answer);
  await new Promise<void>((done, fail) => {
    server.on("error", fail);
    server.listen(wanted, "127.0.0.1", done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
