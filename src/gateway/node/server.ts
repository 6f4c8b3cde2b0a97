// The gateway on Node: `node:http` in front, undici behind. See ../server.ts for what differs from Bun.

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { GatewayOptions } from "../ports.ts";
import {
  headerProblem,
  internalProblem,
  targetProblem,
  versionProblem,
  type Problem,
} from "../problem.ts";
import type { Decided, FrontDesk, Reception } from "../reception.ts";
import { ownAbsoluteTarget } from "../route.ts";
import { reportFault, type Transport } from "../transport.ts";
import { sendBare, sendProblem } from "./answers.ts";
import { ConnectionTable } from "./connections.ts";
import { Exchange } from "./exchange.ts";

/** A caller has this long to send its head; bodies are bounded by the call's deadline. */
const HEAD_TIMEOUT_MS = 60_000;

/** Longer than the idle time of common clients' pools, so that they close first. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Longest head of an answer, at least: sites set dozens of cookies and policies of many kilobytes, while
 * callers' heads are ours to bound.
 */
const ANSWER_HEAD_BYTES_MAX = 65_536;

export async function startNodeTransport(
  desk: FrontDesk,
  options: GatewayOptions,
): Promise<Transport> {
  const undici = await import("undici");
  const headBytesMax = Math.max(options.maxHeaderBytes, ANSWER_HEAD_BYTES_MAX);
  const connections = new ConnectionTable(undici, desk.book.clock, headBytesMax);
  let isWindingDown = false;

  const handle = (request: IncomingMessage, response: ServerResponse, expects: boolean): void => {
    if (isWindingDown) response.shouldKeepAlive = false;
    try {
      const fault = request.httpVersion === "1.1" ? undefined : versionFault(request);
      if (fault !== undefined) response.shouldKeepAlive = false;
      const reception =
        fault === undefined ? receive(desk, request) : desk.answer(request.method ?? "", fault);
      if (reception.kind !== "waits") go(reception, request, response, expects);
      else {
        reception.decided.then(
          (decided) => go(decided, request, response, expects),
          (error: unknown) => fail(error, request, response),
        );
      }
    } catch (error) {
      fail(error, request, response);
    }
  };
  const go = (
    decided: Decided,
    request: IncomingMessage,
    response: ServerResponse,
    expects: boolean,
  ): void => {
    if (decided.kind === "answer") {
      sendProblem(request, response, decided.problem);
      return;
    }
    if (expects) response.writeContinue();
    const { destination } = decided.lane;
    new Exchange(desk, connections.of(destination), request, response, decided).start();
  };
  const fail = (error: unknown, request: IncomingMessage, response: ServerResponse): void => {
    reportFault(options.onError, error);
    sendProblem(request, response, internalProblem());
  };
  const server = createServer({
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  });
  server.on("request", (request, response) => handle(request, response, false));
  // Refused before the caller sends a body that it announced with `Expect: 100-continue`.
  server.on("checkContinue", (request, response) => handle(request, response, true));
  // Nobody here does what a caller expects beyond that, and the upstream is not told.
  server.on("checkExpectation", (request, response) => handle(request, response, false));
  server.on("connect", (_request, socket) => {
    const reception = desk.receive({ method: "CONNECT", target: "/", header: () => undefined });
    if (reception.kind === "answer") sendBare(socket, reception.problem);
    else socket.destroy();
  });
  // Heads have a bound in bytes; fields beyond a count would be lost without a word.
  server.maxHeadersCount = 0;
  await listen(server, options);

  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    reloaded: () => connections.keep(desk.junctions.destinations()),
    windDown() {
      isWindingDown = true;
    },
    stopAccepting() {
      isWindingDown = true;
      server.close();
    },
    async close() {
      server.closeAllConnections();
      await connections.destroy();
    },
  };
}

function listen(
  server: ReturnType<typeof createServer>,
  { host, port }: GatewayOptions,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port }, () => {
    server.off("error", reject);
    resolve();
  });
  return promise;
}

/** What a request of another version than 1.1 may not be. */
function versionFault({ httpVersion, headers }: IncomingMessage): Problem | undefined {
  if (httpVersion !== "1.0") return versionProblem();
  // Framed by what its version does not know (RFC 9112 §6.1).
  return headers["transfer-encoding"] === undefined
    ? undefined
    : headerProblem("transfer-encoding", "is not known to HTTP/1.0");
}

function receive(desk: FrontDesk, request: IncomingMessage): Reception {
  const { method = "", headers } = request;
  const given = request.url ?? "";
  const target = given.startsWith("/") ? given : ownAbsoluteTarget(given, headers.host);
  if (target === undefined) {
    return desk.answer(method, targetProblem("it names another host, or no path"));
  }
  return desk.receive({
    method,
    target,
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
  });
}
