// A bare proxy with a deadline, as a service writes it in an afternoon: what a run looks like without
// Switchgear. It answers in the gateway's words, so that one script reads both.

import { Agent, createServer, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What an upstream answered, to its last byte. */
export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/** What stands around the calls of one upstream. */
export type Guard = (send: () => Promise<Reply>) => Promise<Reply>;

export class TimedOut extends Error {}
/** The guard let nothing through. */
export class Refused extends Error {}

/** Arguments: the deadline in milliseconds, then `name=url` of each upstream. Says where it listens. */
export function serveControl(
  name: string,
  args: readonly string[],
  guardFor: (deadlineMs: number) => Guard,
): void {
  const [deadline, ...pairs] = args;
  const deadlineMs = Number(deadline);
  const agent = new Agent({ keepAlive: true });
  const upstreams = new Map(
    pairs.map((pair) => {
      const [upstream = "", url = ""] = pair.split(/=(.*)/);
      return [upstream, { url, guard: guardFor(deadlineMs) }];
    }),
  );
  const server = createServer((request, response) => {
    request.resume();
    const [, upstreamName = "", rest = ""] = /^\/([^/]+)(.*)$/.exec(request.url ?? "") ?? [];
    const upstream = upstreams.get(upstreamName);
    if (upstream === undefined) return refuse(response, 404, "unknown_upstream");
    upstream
      .guard(() => send(`${upstream.url}${rest}`, agent, deadlineMs))
      .then(
        ({ status, type, body }) => {
          response.writeHead(status, { "content-type": type, "content-length": body.length });
          response.end(body);
        },
        (error: unknown) => {
          if (error instanceof TimedOut) refuse(response, 504, "upstream_timeout");
          else if (error instanceof Refused) refuse(response, 503, "tripped");
          else refuse(response, 502, "upstream_error");
        },
      );
  });
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo;
    process.stdout.write(`${name} on http://127.0.0.1:${port}\n`);
  });
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  response.writeHead(status, { "x-switchgear-reason": reason, "content-length": 0 });
  response.end();
}

function send(url: string, agent: Agent, deadlineMs: number): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(deadlineMs);
    const fail = (error: Error): void => reject(signal.aborted ? new TimedOut() : error);
    const request = httpRequest(url, { agent, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 502,
          type: response.headers["content-type"] ?? "application/octet-stream",
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.on("error", fail);
    request.end();
  });
}
