// Stands before a gateway and spoils its answers: what a claim about them must notice.

import { Agent, createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of an answer that has come: it may wait, or be put aside for a refusal. */
export type Spoil = (path: string, answer: IncomingMessage) => Promise<"pass" | "refuse">;

export interface Front {
  readonly address: string;
  stop(): Promise<void>;
}

export async function startSpoiler(gateway: string, spoil: Spoil): Promise<Front> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    request.resume();
    const { method, headers } = request;
    const asked = httpRequest(`${gateway}${path}`, { agent, method, headers }, (answer) => {
      void spoil(path, answer).then((verdict) => {
        if (verdict === "pass") {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        } else {
          answer.resume();
          response.writeHead(503, { "x-switchgear-reason": "tripped", "content-length": 0 }).end();
        }
      });
    });
    asked.on("error", () => response.destroy());
    asked.end();
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
        agent.destroy();
      }),
  };
}
