// A gateway whose metrics are wrong, as seen from outside: passes the admin address through, and writes
// every breaker down as closed.

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Defect {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export async function startDefect(adminUrl: string): Promise<Defect> {
  const pass = async (path: string, response: ServerResponse): Promise<void> => {
    const answer = await fetch(`${adminUrl}${path}`);
    const text = await answer.text();
    response.writeHead(answer.status, {
      "content-type": answer.headers.get("content-type") ?? "text/plain",
    });
    response.end(text.replaceAll(/^(circuit_breaker_tripped\{.*\}) 1$/gm, "$1 0"));
  };
  const server = createServer((request, response) => {
    pass(request.url ?? "/", response).catch(() => response.destroy());
  });
  await new Promise<void>((done, fail) => {
    server.on("error", fail);
    server.listen(0, "127.0.0.1", done);
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
