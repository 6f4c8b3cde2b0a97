// The gateway on Node: `node:http` in front, undici's `dispatch` behind, which costs half of
// `http.request`. See server.ts for what differs from Bun.

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Transform } from "node:stream";
import type { Dispatcher } from "undici";
import type { Pool } from "undici";
import type { Call, Line } from "./call.ts";
import { isTimeoutError } from "./classify.ts";
import type { Ending } from "./classify.ts";
import { REASON_HEADER, requestPairs, responsePairs } from "./headers.ts";
import type { GatewayOptions } from "./ports.ts";
import type { Problem } from "./problem.ts";
import {
  PROBLEM_CONTENT_TYPE,
  internalProblem,
  targetProblem,
  timeoutProblem,
  upstreamErrorProblem,
} from "./problem.ts";
import type { FrontDesk, Reception } from "./reception.ts";
import { fitsOnePiece, isBodiless, isFinalStatus } from "./reception.ts";
import { mayAskToWait } from "./retry-after.ts";
import { ownAbsoluteTarget, type Destination } from "./route.ts";
import { reportFault, type Transport } from "./transport.ts";

/**
 * What is still read of a body after its request was answered, so that the caller gets to read the
 * answer: closing at once would reset the connection, and the answer with it. Beyond that it is
 * cut off.
 */
const DRAIN_BYTES_MAX = 16 * 1024 * 1024;

/** A caller has this long to send its head; bodies are bounded by the call's deadline. */
const HEAD_TIMEOUT_MS = 60_000;

/** Longer than the idle time of common clients' pools, so that they close first. */
const KEEP_ALIVE_MS = 75_000;

export async function startNodeTransport(
  desk: FrontDesk,
  options: GatewayOptions,
): Promise<Transport> {
  const { Pool: PoolOfUndici } = await import("undici");
  const pools = new Map<Destination, Pool>();
  for (const { destination } of desk.lanes()) {
    const pool = new PoolOfUndici(destination.origin, {
      // Like `fetch` on Bun: no bound on connections, HTTP/1.1 only.
      connections: null,
      allowH2: false,
      pipelining: 1,
      connectTimeout: destination.upstream.deadlineMs,
      // The call's deadline covers both.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    pools.set(destination, pool);
  }

  let isStopping = false;
  const handle = (request: IncomingMessage, response: ServerResponse, expects: boolean): void => {
    if (isStopping) response.shouldKeepAlive = false;
    try {
      const reception = receive(desk, request);
      if (reception.kind === "answer") {
        sendProblem(request, response, reception.problem);
        return;
      }
      const pool = pools.get(reception.lane.destination);
      if (pool === undefined) throw new Error("an upstream without a pool");
      if (expects) response.writeContinue();
      new Exchange(desk, request, response, reception).start(pool);
    } catch (error) {
      reportFault(options.onError, error);
      sendProblem(request, response, internalProblem());
    }
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
  await listen(server, options);

  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    stopAccepting() {
      isStopping = true;
      server.close();
    },
    async close() {
      server.closeAllConnections();
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
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

function sendProblem(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  if (response.headersSent || response.destroyed) return;
  drain(request);
  const headers = [
    "content-type",
    PROBLEM_CONTENT_TYPE,
    REASON_HEADER,
    problem.reason,
    "content-length",
    String(Buffer.byteLength(problem.body)),
  ];
  if (problem.retryAfter !== undefined) headers.push("retry-after", problem.retryAfter);
  if (problem.allow !== undefined) headers.push("allow", problem.allow);
  response.writeHead(problem.status, headers);
  response.end(request.method === "HEAD" ? undefined : problem.body);
}

function drain(request: IncomingMessage): void {
  if (!hasBody(request) || request.complete) return;
  let left = DRAIN_BYTES_MAX;
  request.unpipe();
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.destroy();
  });
  request.resume();
}

function hasBody({ headers }: IncomingMessage): boolean {
  if (headers["transfer-encoding"] !== undefined) return true;
  const length = headers["content-length"];
  return length !== undefined && length !== "0";
}

/** One request passed on and its answer passed back. */
class Exchange implements Dispatcher.DispatchHandler, Line {
  readonly #desk: FrontDesk;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #reception: Extract<Reception, { kind: "forward" }>;
  readonly #call: Call;
  #controller: Dispatcher.DispatchController | undefined;
  #body: Transform | undefined;
  /** The answer's head, kept while its body is collected; undefined once it streams. */
  #head: { readonly status: number; readonly headers: string[] } | undefined;
  #pieces: Buffer[] = [];

  constructor(
    desk: FrontDesk,
    request: IncomingMessage,
    response: ServerResponse,
    reception: Extract<Reception, { kind: "forward" }>,
  ) {
    this.#desk = desk;
    this.#request = request;
    this.#response = response;
    this.#reception = reception;
    this.#call = reception.call;
  }

  start(pool: Pool): void {
    const call = this.#call;
    call.line = this;
    // Nothing, for a call that is over.
    this.#response.once("close", () => call.end("caller_left"));
    if (hasBody(this.#request)) this.#body = this.#counted();
    try {
      pool.dispatch(
        {
          path: this.#reception.target,
          method: call.method,
          headers: requestPairs(
            this.#request.rawHeaders,
            this.#reception.lane.rules,
            this.#reception.traceHeaders,
          ),
          body: this.#body ?? null,
        },
        this,
      );
    } catch (error) {
      this.onResponseError(undefined, error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It ended while it waited for a connection.
    if (this.#call.isSettled) controller.abort(new Error("the call is over"));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200) return;
    const call = this.#call;
    if (call.isSettled) return;
    if (!isFinalStatus(status)) {
      controller.abort(new Error(`upstream answered with status ${status}`));
      return;
    }
    const headers = responsePairs(flat(controller.rawHeaders));
    if (mayAskToWait(status)) call.headersArrived(status, headerOf(headers, "retry-after"));
    else call.headersArrived(status);
    const isWhole =
      isBodiless(call.method, status) || fitsOnePiece(headerOf(headers, "content-length"));
    if (isWhole) {
      this.#head = { status, headers };
      return;
    }
    call.streams();
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#call.isSettled) return;
    if (this.#head !== undefined) {
      this.#pieces.push(chunk);
    } else if (!this.#response.write(chunk)) {
      // The upstream is read at the caller's pace.
      controller.pause();
      this.#response.once("drain", () => controller.resume());
    }
  }

  onResponseEnd(): void {
    const call = this.#call;
    if (call.isSettled) return;
    call.complete();
    const head = this.#head;
    if (head !== undefined) this.#response.writeHead(head.status, head.headers);
    const [first] = this.#pieces;
    this.#response.end(this.#pieces.length > 1 ? Buffer.concat(this.#pieces) : first);
    drain(this.#request);
  }

  onResponseError(_controller: unknown, error: unknown): void {
    const call = this.#call;
    if (call.isSettled) return;
    // A caller that broke off its body makes undici fail before `close` says so.
    if (this.#request.errored !== null || this.#response.destroyed) {
      call.end("caller_left");
      return;
    }
    if (this.#response.headersSent) {
      call.fail(error, undefined);
      this.#response.destroy();
      return;
    }
    const problem = isTimeoutError(error)
      ? timeoutProblem(call.destination, call.operation, call.deadlineMs)
      : upstreamErrorProblem(call.destination, call.operation);
    call.fail(error, problem);
    sendProblem(this.#request, this.#response, problem);
  }

  cut(ending: Ending): void {
    this.#controller?.abort(new Error(`the call ended: ${ending}`));
    this.#request.unpipe();
    this.#body?.destroy();
    if (ending === "caller_left" || this.#response.headersSent) this.#response.destroy();
    else sendProblem(this.#request, this.#response, this.#desk.endingProblem(this.#call, ending));
  }

  /**
   * The request's body, counted. Never the request itself: undici destroys what it is given when
   * the upstream fails, and with the request would go the connection that is to carry the answer.
   */
  #counted(): Transform {
    let left = this.#desk.maxBodyBytes;
    const counted = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        left -= chunk.length;
        if (left >= 0) {
          done(null, chunk);
          return;
        }
        this.#call.end("body_too_large");
        done();
      },
    });
    counted.on("error", () => this.#request.unpipe());
    return this.#request.pipe(counted);
  }
}

function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() === name) return headers[at + 1];
  }
  return undefined;
}

/** Header fields as they came, in Latin-1 as HTTP has them, and as `writeHead` takes them. */
function flat(raw: Dispatcher.DispatchController["rawHeaders"]): string[] {
  if (!Array.isArray(raw)) return [];
  return raw.map((item) => (typeof item === "string" ? item : item.toString("latin1")));
}
