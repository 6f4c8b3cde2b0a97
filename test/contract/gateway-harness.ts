// A gateway between a raw client and a real upstream, with a guard that records settlements.

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import type { Server, Socket } from "node:net";
import type { Outcome } from "../../src/core/outcome.ts";
import type {
  AccessEntry,
  Gateway,
  GatewayOptions,
  GatewayUpstream,
} from "../../src/gateway/ports.ts";
import type { Admission, CallOptions, Refused } from "../../src/pipeline/call/admission.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { systemClock } from "../../src/runtime/system-clock.ts";

/** Admits all, or refuses all with `refusal`; remembers what it was asked and told. */
export class RecordingGuard {
  readonly asked: CallOptions[] = [];
  readonly settled: Outcome[] = [];
  refusal: Partial<Refused> | undefined;

  tryAcquire(options: CallOptions): Admission {
    this.asked.push(options);
    if (this.refusal !== undefined) {
      return {
        admitted: false,
        reason: "tripped",
        upstream: "draftkings",
        operation: options.operation ?? "unknown",
        retryAfterMs: undefined,
        remainingMs: 0,
        manual: false,
        systemLoad: undefined,
        operationLoad: undefined,
        ...this.refusal,
      };
    }
    return { admitted: true, settle: (outcome) => this.settled.push(outcome) };
  }
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface Upstream {
  readonly url: string;
  readonly server: ReturnType<typeof createServer>;
  readonly requests: string[];
  readonly sockets: Set<Socket>;
  close(): void;
}

export async function startUpstream(handler: Handler): Promise<Upstream> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    request.on("error", () => {});
    response.on("error", () => {});
    handler(request, response);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    requests,
    sockets,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}

export interface Bench {
  readonly gateway: Gateway;
  readonly guard: RecordingGuard;
  readonly access: AccessEntry[];
}

export type UpstreamChanges = Partial<Omit<GatewayUpstream, "url">> & { readonly url: string };

/** A gateway to `draftkings`, and to any others given. */
export async function startBench(
  changes: UpstreamChanges,
  options: Partial<GatewayOptions> = {},
  others: readonly UpstreamChanges[] = [],
): Promise<Bench> {
  const guard = new RecordingGuard();
  const access: AccessEntry[] = [];
  const upstreams = new Map<string, GatewayUpstream>();
  for (const each of [changes, ...others]) {
    const name = each.name ?? "draftkings";
    upstreams.set(name, {
      deadlineMs: 5_000,
      status429: "neutral",
      operations: [],
      guard,
      ...each,
      name,
      url: new URL(each.url),
    });
  }
  const gateway = await startGateway({
    host: "127.0.0.1",
    port: 0,
    upstreams,
    maxBodyBytes: 64 * 1024 * 1024,
    maxHeaderBytes: 16_384,
    scheduler: systemClock,
    onAccess: (entry) => access.push(entry),
    version: "1.2.3",
    ...options,
  });
  return { gateway, guard, access };
}

export interface RawAnswer {
  readonly text: string;
  readonly status: number;
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
  /** Whether the connection was closed by the other side. */
  readonly isClosed: boolean;
}

/** Sends bytes as they are and reads until the answer is whole, the peer closes, or `waitMs`. */
export function raw(port: number, text: string, waitMs = 3_000): Promise<RawAnswer> {
  const { promise, resolve } = Promise.withResolvers<RawAnswer>();
  const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
  let seen = "";
  const done = (isClosed: boolean): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve({ ...parse(seen), isClosed });
  };
  const timer = setTimeout(() => done(false), waitMs);
  socket.on("data", (chunk) => {
    seen += chunk.toString("latin1");
    if (isWhole(seen, text.startsWith("HEAD"))) done(false);
  });
  socket.on("error", () => {});
  socket.on("close", () => done(true));
  return promise;
}

function isWhole(text: string, isHead: boolean): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1 || text.startsWith("HTTP/1.1 100")) return false;
  const head = text.slice(0, end).toLowerCase();
  if (isHead || / (?:204|304) /.test(head.slice(0, 14))) return true;
  const length = /\r\ncontent-length: (\d+)/.exec(head);
  if (length !== null) return text.length >= end + 4 + Number(length[1]);
  return head.includes("chunked") ? text.endsWith("0\r\n\r\n") : false;
}

function parse(text: string): Omit<RawAnswer, "isClosed"> {
  const end = text.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = text.slice(0, end === -1 ? text.length : end).split("\r\n");
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    // Not `trim`, which takes bytes beyond ASCII, too.
    const value = line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, "");
    headers.set(name, [...(headers.get(name) ?? []), value]);
  }
  return {
    text,
    status: Number(statusLine.split(" ")[1] ?? 0),
    headers,
    body: end === -1 ? "" : text.slice(end + 4),
  };
}

/** Waits for something that other events bring about, for at most two seconds. */
export async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + 2_000;
  while (!isTrue()) {
    if (performance.now() > untilMs) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
