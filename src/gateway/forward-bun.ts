// The gateway on Bun: `Bun.serve` in front, `fetch` behind. See server.ts for what differs from
// Node. `fetch` is told to leave everything alone: redirects, compression, idle connections.

import type { DeadlineEntry, DeadlineQueue, Expiring } from "../pipeline/call/deadline.ts";
import type { Call, Line } from "./call.ts";
import { isTimeoutError } from "./classify.ts";
import {
  HeaderSurvey,
  REASON_HEADER,
  stripRequestHeaders,
  stripResponseHeaders,
} from "./headers.ts";
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
import { mayAskToWait } from "./retry-after.ts";
import { fitsOnePiece, isBodiless, isFinalStatus } from "./reception.ts";
import { reportFault, type Transport } from "./transport.ts";

/** Bun would answer a longer body itself, without a reason; the limit that counts is ours. */
const BUN_BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

export async function startBunTransport(
  desk: FrontDesk,
  options: GatewayOptions,
): Promise<Transport> {
  ignoreProxies(process.env);
  const lines = new LinePool(desk.book.deadlines);
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    // Bodies that pause are bounded by the call's deadline, not by the socket's idle time.
    idleTimeout: 0,
    maxRequestBodySize: BUN_BODY_BYTES_MAX,
    development: false,
    fetch: (request) => handle(desk, lines, request),
    error: (error) => {
      reportFault(options.onError, error);
      return toResponse(internalProblem(), "GET");
    },
  });
  return {
    port: server.port ?? options.port,
    // Resolves when its connections are gone, which keep-alive puts off: not to be awaited.
    stopAccepting: () => void server.stop(false),
    close: () => server.stop(true),
  };
}

/**
 * Bun's `fetch` obeys `HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` in either case, and `proxy: ""`
 * does not stop it (1.4.5); undici's pools do not. A variable meant for another program must not
 * hand callers' credentials to a proxy that no upstream's configuration names. `no_proxy` is read
 * anew by each `fetch`, and so can be set here; it then holds for the whole process.
 */
function ignoreProxies(env: NodeJS.ProcessEnv): void {
  const isSet = ["http_proxy", "https_proxy", "all_proxy"].some(
    (name) => env[name] !== undefined || env[name.toUpperCase()] !== undefined,
  );
  if (!isSet) return;
  // The lower case wins over the upper.
  env["no_proxy"] = "*";
}

function handle(desk: FrontDesk, lines: LinePool, request: Request): Response | Promise<Response> {
  const { method } = request;
  const survey = new HeaderSurvey(request.headers);
  const reception = desk.receive({
    method,
    target: originForm(request.url),
    header: (name) => survey.get(name),
    anyHeader: (name) => request.headers.get(name),
  });
  return reception.kind === "answer"
    ? toResponse(reception.problem, method)
    : forward(desk, lines, request, survey, reception);
}

/** Path and query as Bun left them. With a `Host` that makes no URL it gives the target alone. */
function originForm(url: string): string {
  if (url.startsWith("/")) return url;
  const pathAt = url.indexOf("/", url.indexOf("://") + 3);
  return pathAt === -1 ? "/" : url.slice(pathAt);
}

/** What shared problems look like: a copy took 1–2 µs less than making it anew, of about 13. */
const shared = new WeakMap<Problem, Response>();

function toResponse(problem: Problem, method: string): Response {
  if (method === "HEAD") return makeResponse(problem, null);
  if (problem.isShared !== true) return makeResponse(problem, problem.body);
  let original = shared.get(problem);
  if (original === undefined) {
    original = makeResponse(problem, problem.body);
    shared.set(problem, original);
  }
  return original.clone();
}

function makeResponse(problem: Problem, body: string | null): Response {
  const { status, reason, retryAfter, allow } = problem;
  const headers: Record<string, string> = {
    "content-type": PROBLEM_CONTENT_TYPE,
    [REASON_HEADER]: reason,
  };
  if (retryAfter !== undefined) headers["retry-after"] = retryAfter;
  if (allow !== undefined) headers["allow"] = allow;
  return new Response(body, { status, headers });
}

/**
 * The means to let go of one call's upstream. It is used again once a call's answer was whole: an
 * `AbortController` per call costs about 2 % of it. What an earlier call left on the signal is over, so
 * that no call can be cut with another; a line that was cut, or whose call failed, is thrown away.
 */
class BunLine implements Line, Expiring {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  #call: Call | undefined;
  #request: Request | undefined;
  #watch: DeadlineEntry | undefined;

  hold(call: Call, request: Request, deadlines: DeadlineQueue): void {
    this.#call = call;
    this.#request = request;
    this.#watch = deadlines.add(this, CALLER_WATCH_MS, call.startedMs);
    call.line = this;
  }

  cut(): void {
    this.#controller.abort();
  }

  /** From now on the caller's leaving ends the call at once. */
  expire(): void {
    const call = this.#call;
    const signal = this.#request?.signal;
    if (call === undefined || signal === undefined || call.isSettled) return;
    if (signal.aborted) call.end("caller_left");
    else signal.addEventListener("abort", () => call.end("caller_left"), { once: true });
  }

  /** The answer streams: it will take its time. */
  expireNow(deadlines: DeadlineQueue): void {
    if (this.#watch !== undefined) deadlines.remove(this.#watch);
    this.expire();
  }

  /** The call is over, and so is its `fetch`. */
  release(deadlines: DeadlineQueue): void {
    if (this.#watch !== undefined) deadlines.remove(this.#watch);
    this.#call = undefined;
    this.#request = undefined;
  }
}

/**
 * A caller's leaving is looked for after this: most answers from near are whole before, and need
 * no listener; its cost was within the noise of what could be measured. A caller who leaves earlier is noticed then, or its answer is counted.
 */
const CALLER_WATCH_MS = 10;

/** Lines kept for later calls, about a kilobyte each. */
const LINES_KEPT_MAX = 1024;

class LinePool {
  readonly #free: BunLine[] = [];
  readonly #deadlines: DeadlineQueue;

  constructor(deadlines: DeadlineQueue) {
    this.#deadlines = deadlines;
  }

  take(call: Call, request: Request): BunLine {
    const line = this.#free.pop() ?? new BunLine();
    line.hold(call, request, this.#deadlines);
    return line;
  }

  giveBack(line: BunLine): void {
    line.release(this.#deadlines);
    if (this.#free.length < LINES_KEPT_MAX) this.#free.push(line);
  }
}

/** One function on purpose: further `async` frames are paid by every proxied call. */
async function forward(
  desk: FrontDesk,
  lines: LinePool,
  request: Request,
  survey: HeaderSurvey,
  { call, lane, target, traceHeaders }: Extract<Reception, { kind: "forward" }>,
): Promise<Response> {
  const line = lines.take(call, request);
  try {
    const { headers } = request;
    const body = bodyOf(desk, request, call);
    stripRequestHeaders(headers, lane.rules, survey);
    for (const name in traceHeaders) headers.set(name, traceHeaders[name] ?? "");
    const response = await fetch(lane.destination.origin + target, {
      method: call.method,
      headers,
      body,
      redirect: "manual",
      decompress: false,
      signal: line.signal,
    });
    const { status } = response;
    if (call.ending !== undefined) return failed(desk, request, call, undefined);
    if (!isFinalStatus(status)) {
      line.cut();
      return failed(desk, request, call, new Error(`upstream answered with status ${status}`));
    }
    if (mayAskToWait(status)) call.headersArrived(status, response.headers.get("retry-after"));
    else call.headersArrived(status);
    stripResponseHeaders(response.headers);
    if (isBodiless(call.method, status)) {
      call.complete();
      lines.giveBack(line);
      return response;
    }
    if (!fitsOnePiece(response.headers.get("content-length"))) {
      call.streams();
      line.expireNow(desk.book.deadlines);
      return new Response(watched(response.body, call), { status, headers: response.headers });
    }
    const whole = await response.bytes();
    if (call.ending !== undefined) return failed(desk, request, call, undefined);
    call.complete();
    lines.giveBack(line);
    return new Response(whole, { status, headers: response.headers });
  } catch (error) {
    return failed(desk, request, call, error);
  }
}

/** A call without an answer of the upstream's: ended early, or failed by `error`. */
function failed(desk: FrontDesk, request: Request, call: Call, error: unknown): Response {
  // A body that its caller breaks off fails the `fetch`; that the caller left is why.
  if (call.ending === undefined && request.signal.aborted) call.end("caller_left");
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
