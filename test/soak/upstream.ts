// A bookmaker in good health: whatever its callers do, each request that it understands is answered well.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HealthyUpstream {
  readonly url: string;
  close(): void;
}

const LONG_BYTES = 3_000_000;
const LONG = Buffer.alloc(LONG_BYTES, "odds ");
const EVENT_MS = 200;

export const LONG_LENGTH = LONG_BYTES;

export async function startHealthyUpstream(): Promise<HealthyUpstream> {
  const server = createServer((request, response) => {
    request.on("error", () => {});
    response.on("error", () => {});
    answer(request, response);
  });
  // Connections of a gateway that was killed must not hold the soak up.
  server.requestTimeout = 0;
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "/";
  if (path.startsWith("/events")) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => response.write("data: 1\n\n"), EVENT_MS);
    response.once("close", () => clearInterval(timer));
    return;
  }
  let length = 0;
  request.on("data", (piece: Buffer) => (length += piece.length));
  request.once("end", () => {
    // Some milliseconds, as a service near by takes.
    setTimeout(() => send(path, length, response), 3 + (length % 9));
  });
}

function send(path: string, length: number, response: ServerResponse): void {
  if (path.startsWith("/long")) response.end(LONG);
  else response.end(JSON.stringify({ path, length }));
}
