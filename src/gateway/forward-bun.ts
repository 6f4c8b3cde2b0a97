// The gateway on Bun: `Bun.serve` in front, `fetch` behind. See server.ts for what differs from
// Node. `fetch` is told to leave everything alone: redirects, compression, idle connections.

import type { Call } from "./call.ts";
import { isTimeoutError } from "./classify.ts";
import { stripRequestHeaders, stripResponseHeaders } from "./headers.ts";
import { REASON_HEADER } from "./headers.ts";
import type { GatewayOptions } from "./ports.ts";
import type { Problem } from "./problem.ts";
import {
  PROBLEM_CONTENT_TYPE,
  bodyTooLargeProblem,
  internalProblem,
  timeoutProblem,
  upstreamErrorProblem,
} from "./problem.ts";
import type { FrontDesk, Reception } from "./reception.ts";
import { fitsOnePiece, isBodiless, isFinalStatus } from "./reception.ts";
import type { Transport } from "./transport.ts";

/** Bun would answer a longer body itself, without a reason; the limit that counts is ours. */
const BUN_BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

export async function startBunTransport(
  desk: FrontDesk,
  options: GatewayOptions,
): Promise<Transport> {
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    // Bodies that pause are bounded by the call's deadline, not by the socket's idle time.
    idleTimeout: 0,
    maxRequestBodySize: BUN_BODY_BYTES_MAX,
    development: false,
    fetch: (request) => handle(desk, request),
    error: () => toResponse(internalProblem(), "GET"),
  });
  return {
    port: server.port ?? options.port,
    // Resolves when its connections are gone, which keep-alive puts off: not to be awaited.
    stopAccepting: () => void server.stop(false),
    close: () => server.stop(true),
  };
}

function handle(desk: FrontDesk, request: Request): Response | Promise<Response> {
  const { method, headers } = request;
  const reception = desk.receive({
    method,
    target: originForm(request.url),
    header: (name) => headers.get(name),
  });
  return reception.kind === "answer"
    ? toResponse(reception.problem, method)
    : forward(desk, request, reception);
}

/** Path and query as Bun left them. With a `Host` that makes no URL it gives the target alone. */
function originForm(url: string): string {
  if (url.startsWith("/")) return url;
  const pathAt = url.indexOf("/", url.indexOf("://") + 3);
  return pathAt === -1 ? "/" : url.slice(pathAt);
}

function toResponse(problem: Problem, method: string): Response {
  const headers: Record<string, string> = {
    "content-type": PROBLEM_CONTENT_TYPE,
    [REASON_HEADER]: problem.reason,
  };
  if (problem.retryAfter !== undefined) headers["retry-after"] = problem.retryAfter;
  if (problem.allow !== undefined) headers["allow"] = problem.allow;
  return new Response(method === "HEAD" ? null : problem.body, { status: problem.status, headers });
}

/** One function on purpose: further `async` frames are paid by every proxied call. */
async function forward(
  desk: FrontDesk,
  request: Request,
  { call, lane, target }: Extract<Reception, { kind: "forward" }>,
): Promise<Response> {
  const cut = new AbortController();
  call.abort = () => cut.abort();
  request.signal.addEventListener("abort", () => call.end("caller_left"), { once: true });

  try {
    const { headers } = request;
    const body = bodyOf(desk, request, call);
    stripRequestHeaders(headers, lane.rules);
    const response = await fetch(lane.destination.origin + target, {
      method: call.method,
      headers,
      body,
      redirect: "manual",
      decompress: false,
      signal: cut.signal,
    });
    const { status } = response;
    if (call.ending !== undefined) return failed(desk, call, undefined);
    if (!isFinalStatus(status)) {
      cut.abort();
      return failed(desk, call, new Error(`upstream answered with status ${status}`));
    }
    call.headersArrived(status);
    stripResponseHeaders(response.headers);
    if (isBodiless(call.method, status)) {
      call.complete();
      return response;
    }
    if (!fitsOnePiece(response.headers.get("content-length"))) {
      call.streams();
      return new Response(watched(response.body, call), { status, headers: response.headers });
    }
    const whole = await response.bytes();
    if (call.ending !== undefined) return failed(desk, call, undefined);
    call.complete();
    return new Response(whole, { status, headers: response.headers });
  } catch (error) {
    return failed(desk, call, error);
  }
}

/** A call without an answer of the upstream's: ended early, or failed by `error`. */
function failed(desk: FrontDesk, call: Call, error: unknown): Response {
  const { ending, method } = call;
  // 499 is never seen: the caller has left.
  if (ending === "caller_left") return new Response(null, { status: 499 });
  if (ending !== undefined) return toResponse(desk.endingProblem(call, ending), method);
  const problem = isTimeoutError(error)
    ? timeoutProblem(call.destination, call.operation, call.deadlineMs)
    : upstreamErrorProblem(call.destination, call.operation);
  call.fail(error, problem);
  return toResponse(problem, method);
}

/** The request's body, counted when its length was not declared. */
function bodyOf(desk: FrontDesk, request: Request, call: Call): ReadableStream | null {
  const { body } = request;
  if (body === null || request.headers.has("content-length")) return body;
  let left = desk.maxBodyBytes;
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        left -= chunk.byteLength;
        if (left >= 0) {
          controller.enqueue(chunk);
          return;
        }
        call.end("body_too_large");
        controller.error(new Error(bodyTooLargeProblem(desk.maxBodyBytes).reason));
      },
    }),
  );
}

/** The answer's body, passed on as it comes and at the caller's pace; its end settles the call. */
function watched(
  body: ReadableStream<Uint8Array> | null,
  call: Call,
): ReadableStream<Uint8Array> | null {
  if (body === null) {
    call.complete();
    return null;
  }
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
          call.complete();
          controller.close();
        } catch (error) {
          call.fail(error, undefined);
          controller.error(error);
        }
      },
      cancel() {
        call.end("caller_left");
      },
    },
    // Nothing is read ahead: a caller that does not read holds one chunk, not a body.
    { highWaterMark: 0 },
  );
}
