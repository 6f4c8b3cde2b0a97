// A bookmaker that can be made to fail: an HTTP server of finite capacity for the demo, the tests and the load tests.
//
// One implementation on `node:http` for Node and Bun. Checked on Bun 1.4.5: a caller that leaves closes the response,
// and `socket.resetAndDestroy()` sends a real RST, as on Node.
//
// Accounting: a request is received once, then it is queued, then in flight (it holds a worker), and ends as served
// (answered as asked), failed (answered with an error or reset) or abandoned (the caller left first). Abandoned is
// counted when the caller leaves, while the request may still hold its worker. What is refused without a worker
// (a bad `?bytes`, a full queue) is received and failed.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, STATUS_CODES } from "node:http";

import type { Body } from "./body.ts";
import { dribbleBody, oddsBody, requestedBytes, textBody, writeBody } from "./body.ts";
import { logNormalTimes, seededRandom } from "./chance.ts";
import type { Control, ControlFault, ControlPatch } from "./control.ts";
import { applyPatch } from "./control.ts";
import type { Job } from "./workers.ts";
import { Workers } from "./workers.ts";

export interface BookmakerOptions {
  /** 0 takes a free one. Default: 0. */
  readonly port?: number;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Default: draftkings. */
  readonly name?: string;
  /** Requests that are worked on at once. Default: 20. */
  readonly workers?: number;
  /** Mean service time in milliseconds. Default: 20. */
  readonly serviceMs?: number;
  /** Default: 1. */
  readonly seed?: number;
  /** How long `slowBody` takes for one body. Default: 5000. */
  readonly slowBodyMs?: number;
}

export interface BookmakerStats {
  readonly received: number;
  readonly served: number;
  readonly failed: number;
  readonly abandoned: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly maxInFlight: number;
}

export interface Bookmaker {
  readonly port: number;
  readonly url: string;
  /** Sets behaviour like `PUT /__control` and returns all of it; without an order it only returns. Throws RangeError. */
  control(patch?: ControlPatch): Control;
  /** Like `DELETE /__control`. */
  restore(): void;
  stats(): BookmakerStats;
  /** Like `DELETE /__stats`. */
  clearStats(): void;
  /** Stops listening, gives work in hand a moment, then cuts what is left. Done within a second. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 500;
const CONTROL_BYTES_MAX = 64 * 1024;
// Longer than any gateway keeps an idle connection: else the two would close and reuse one at the same moment.
const KEEP_ALIVE_MS = 75_000;

interface Counts {
  received: number;
  served: number;
  failed: number;
  abandoned: number;
  maxInFlight: number;
}

const ZERO: Readonly<Counts> = { received: 0, served: 0, failed: 0, abandoned: 0, maxInFlight: 0 };

function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const text = `${JSON.stringify(value)}\n`;
  const length = Buffer.byteLength(text);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": length,
    ...headers,
  });
  response.end(text);
}

function faultsText(faults: readonly ControlFault[]): string {
  return faults.map(({ key, message }) => (key === "" ? message : `${key}: ${message}`)).join("; ");
}

/** The body, or `undefined` when it is longer than a control order can be. */
async function readSmallBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= CONTROL_BYTES_MAX) chunks.push(chunk);
  }
  return length > CONTROL_BYTES_MAX ? undefined : Buffer.concat(chunks).toString("utf8");
}

function resetConnection(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null) response.destroy();
  else socket.resetAndDestroy();
}

type Verdict = { readonly isError: boolean; readonly status: number };

class Simulation {
  readonly #name: string;
  readonly #workers: Workers;
  readonly #serviceTime: () => number;
  readonly #errorChance: () => number;
  readonly #slowBodyMs: number;
  readonly #closing = new AbortController();
  #control: Control = {};
  #counts: Counts = { ...ZERO };

  constructor(options: BookmakerOptions) {
    const seed = options.seed ?? 1;
    this.#name = options.name ?? "draftkings";
    this.#workers = new Workers(options.workers ?? 20);
    this.#serviceTime = logNormalTimes(options.serviceMs ?? 20, seededRandom(seed));
    // A sequence of its own: which answers are errors must not depend on how many times were drawn.
    this.#errorChance = seededRandom(seed ^ 0x5bd1e995);
    this.#slowBodyMs = options.slowBodyMs ?? 5000;
  }

  get control(): Control {
    return this.#control;
  }

  get isIdle(): boolean {
    return this.#workers.busy === 0;
  }

  set(control: Control): void {
    this.#control = Object.freeze({ ...control });
    if (control.hang !== true) this.#workers.release();
  }

  stats(): BookmakerStats {
    const { maxInFlight, ...counts } = this.#counts;
    return { ...counts, inFlight: this.#workers.busy, queued: this.#workers.queued, maxInFlight };
  }

  /** Requests still under way keep the old counts, so that the new ones never show more ends than beginnings. */
  clearStats(): void {
    this.#counts = { ...ZERO, maxInFlight: this.#workers.busy };
  }

  stop(): void {
    this.#closing.abort();
    this.#workers.close();
  }

  serve(request: IncomingMessage, response: ServerResponse, target: URL): void {
    const counts = this.#counts;
    counts.received += 1;
    request.on("error", () => undefined);
    request.resume();
    if (this.#control.reset === true) {
      counts.failed += 1;
      resetConnection(response);
      return;
    }
    const bytes = requestedBytes(target.searchParams);
    if (typeof bytes === "string") {
      counts.failed += 1;
      sendJson(response, 400, { error: bytes });
      return;
    }
    const body = oddsBody({ bookmaker: this.#name, path: target.pathname, bytes });
    const job = this.#job(response, { body, counts, isHead: request.method === "HEAD" });
    if (this.#workers.submit(job)) {
      counts.maxInFlight = Math.max(counts.maxInFlight, this.#workers.busy);
      return;
    }
    counts.failed += 1;
    response.removeAllListeners("close");
    sendJson(response, 503, { error: "the queue is full" });
  }

  #job(response: ServerResponse, answer: { body: Body; counts: Counts; isHead: boolean }): Job {
    const { counts } = answer;
    let isSettled = false;
    let verdict: Verdict = { isError: false, status: 200 };
    const settle = (end: "served" | "failed" | "abandoned"): void => {
      if (!isSettled) counts[end] += 1;
      isSettled = true;
    };
    response.on("error", () => undefined);
    response.on("close", () => {
      if (!response.writableFinished) settle("abandoned");
      else settle(verdict.isError ? "failed" : "served");
    });
    return {
      start: () => {
        const { hang, slowdown = 1, latencyMs = 0, slowBody } = this.#control;
        if (hang === true) return undefined;
        verdict = this.#verdict();
        if (slowBody === true) this.#writeHead(response, verdict, answer.body);
        return this.#serviceTime() * slowdown + latencyMs;
      },
      finish: () => {
        if (response.destroyed) return undefined;
        if (this.#control.reset === true) {
          settle("failed");
          return resetConnection(response);
        }
        const body = verdict.isError ? errorBody(verdict.status) : answer.body;
        const isSlow = response.headersSent || this.#control.slowBody === true;
        if (!response.headersSent) this.#writeHead(response, verdict, answer.body);
        if (answer.isHead || isBodiless(verdict.status)) return void response.end();
        if (isSlow)
          return dribbleBody(response, body, {
            totalMs: this.#slowBodyMs,
            signal: this.#closing.signal,
          });
        return writeBody(response, body);
      },
    };
  }

  #verdict(): Verdict {
    const { status, errorRate } = this.#control;
    if (errorRate !== undefined && this.#errorChance() >= errorRate)
      return { isError: false, status: 200 };
    const actual = status ?? (errorRate === undefined ? 200 : 500);
    return { isError: actual >= 400, status: actual };
  }

  #writeHead(response: ServerResponse, verdict: Verdict, healthy: Body): void {
    if (response.destroyed) return;
    const body = verdict.isError ? errorBody(verdict.status) : healthy;
    const headers = isBodiless(verdict.status)
      ? {}
      : { "content-type": "application/json", "content-length": body.length };
    response.writeHead(verdict.status, headers);
    response.flushHeaders();
  }
}

function errorBody(status: number): Body {
  return textBody(JSON.stringify({ error: STATUS_CODES[status] ?? "simulated error", status }));
}

function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

async function serveControl(
  simulation: Simulation,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const text = await readSmallBody(request);
  if (request.method === "DELETE") simulation.set({});
  else if (request.method === "PUT") {
    if (text === undefined) {
      sendJson(response, 413, { error: `the body is longer than ${CONTROL_BYTES_MAX} bytes` });
      return;
    }
    let patch: unknown;
    try {
      patch = JSON.parse(text);
    } catch {
      sendJson(response, 400, { error: "the body is not valid JSON", faults: [] });
      return;
    }
    const result = applyPatch(simulation.control, patch);
    if ("faults" in result) {
      sendJson(response, 400, { error: faultsText(result.faults), faults: result.faults });
      return;
    }
    simulation.set(result.control);
  } else if (request.method !== "GET") {
    sendJson(response, 405, { error: "use GET, PUT or DELETE" }, { allow: "GET, PUT, DELETE" });
    return;
  }
  sendJson(response, 200, simulation.control);
}

function serveStats(
  simulation: Simulation,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  request.resume();
  if (request.method === "DELETE") simulation.clearStats();
  else if (request.method !== "GET") {
    sendJson(response, 405, { error: "use GET or DELETE" }, { allow: "GET, DELETE" });
    return;
  }
  sendJson(response, 200, simulation.stats());
}

function route(simulation: Simulation, request: IncomingMessage, response: ServerResponse): void {
  const base = "http://bookmaker.invalid";
  // `//x` would be read as a host; the path is only echoed, so anything unreadable is the root.
  const raw = `${base}${(request.url ?? "/").replace(/^[^/]*/, "")}`;
  const target = URL.canParse(raw) ? new URL(raw) : new URL(base);
  if (target.pathname === "/__stats") serveStats(simulation, request, response);
  else if (target.pathname === "/__control") {
    serveControl(simulation, request, response).catch(() => response.destroy());
  } else simulation.serve(request, response, target);
}

function checkOptions(options: BookmakerOptions): void {
  const faults: string[] = [];
  const check = (
    name: keyof BookmakerOptions,
    min: number,
    max: number,
    isWhole: boolean,
  ): void => {
    const value = options[name];
    if (value === undefined) return;
    const isFine = typeof value === "number" && value >= min && value <= max;
    if (!isFine || (isWhole && !Number.isInteger(value)))
      faults.push(
        `${name}: expected a ${isWhole ? "whole number" : "number"} from ${min} to ${max}`,
      );
  };
  check("port", 0, 65_535, true);
  check("workers", 1, 100_000, true);
  check("serviceMs", 0, 60_000, false);
  check("seed", 0, 2 ** 32 - 1, true);
  check("slowBodyMs", 0, 600_000, false);
  if (options.name === "") faults.push("name: expected a name");
  if (faults.length > 0) throw new RangeError(faults.join("; "));
}

/** Starts listening. Rejects with RangeError on bad options and with the system's error when the port is in use. */
export async function startBookmaker(options: BookmakerOptions = {}): Promise<Bookmaker> {
  checkOptions(options);
  const host = options.host ?? "127.0.0.1";
  const simulation = new Simulation(options);
  const server = createServer((request, response) => route(simulation, request, response));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: options.port ?? 0, host }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("listening without a port");
  const { port } = address;
  let closed: Promise<void> | undefined;

  const close = async (): Promise<void> => {
    const isDown = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    simulation.set({});
    server.closeIdleConnections();
    const cutAtMs = performance.now() + CLOSE_GRACE_MS;
    while (!simulation.isIdle && performance.now() < cutAtMs)
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    simulation.stop();
    server.closeAllConnections();
    await isDown;
  };

  return {
    port,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    control: (patch) => {
      if (patch === undefined) return simulation.control;
      const result = applyPatch(simulation.control, patch);
      if ("faults" in result) throw new RangeError(faultsText(result.faults));
      simulation.set(result.control);
      return simulation.control;
    },
    restore: () => simulation.set({}),
    stats: () => simulation.stats(),
    clearStats: () => simulation.clearStats(),
    close: () => (closed ??= close()),
  };
}
