// Serves the admin interface on this runtime's own server.

import { Server } from "node:http";

export interface AdminServer {
  /** For people on this machine. */
  readonly url: string;
  readonly port: number;
  /** Takes no more requests, lets those under way end, and cuts off what stays, such as listeners. */
  stop(): Promise<void>;
}

export interface AdminServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly app: { fetch(request: Request, bindings?: object): Response | Promise<Response> };
}

/** Longer than the pause between two heartbeats of an event stream, which keeps it open. */
const IDLE_SECONDS = 30;

/** A body this size is refused by the routes with a problem; the server's own bound is the last line. */
const BODY_BYTES_MAX = 1024 * 1024;

const STOP_MS_MAX = 500;

/** Rejects with one sentence, and the runtime's code, when the port is not to be had. */
export async function startAdmin(options: AdminServerOptions): Promise<AdminServer> {
  try {
    return await (process.versions.bun === undefined ? startOnNode(options) : startOnBun(options));
  } catch (error) {
    throw startError(error, options);
  }
}

function startOnBun({ host, port, app }: AdminServerOptions): AdminServer {
  const server = Bun.serve({
    hostname: host,
    port,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: BODY_BYTES_MAX,
    fetch: (request) => app.fetch(request),
  });
  const bound = server.port ?? port;
  return {
    port: bound,
    url: urlOf(host, bound),
    stop: () =>
      withinStopTime(server.stop(false), () => {
        void server.stop(true);
      }),
  };
}

async function startOnNode({ host, port, app }: AdminServerOptions): Promise<AdminServer> {
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({
    fetch: (request, bindings) => app.fetch(request, bindings),
    overrideGlobalObjects: false,
    serverOptions: { requestTimeout: IDLE_SECONDS * 1000, keepAliveTimeout: IDLE_SECONDS * 1000 },
  });
  if (!(server instanceof Server)) throw new TypeError("the adaptor made no HTTP/1.1 server");
  // Of a reader that does not read, since nothing moves on its connection.
  server.timeout = 2 * IDLE_SECONDS * 1000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  const bound = typeof address === "object" && address !== null ? address.port : port;
  return {
    port: bound,
    url: urlOf(host, bound),
    stop: () =>
      withinStopTime(
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeIdleConnections();
        }),
        () => server.closeAllConnections(),
      ),
  };
}

async function withinStopTime(stopped: Promise<void>, force: () => void): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      force();
      resolve();
    }, STOP_MS_MAX);
  });
  await Promise.race([stopped, late]);
  clearTimeout(timer);
}

function urlOf(host: string, port: number): string {
  // An address that means "all of them" is none to go to.
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use by another program",
  EACCES: "may not be opened by this user",
  EADDRNOTAVAIL: "belongs to no address of this machine",
};

function startError(error: unknown, { host, port }: AdminServerOptions): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why =
    REASONS[code] ?? `cannot be opened (${error instanceof Error ? error.message : code})`;
  const failure = new Error(
    `the admin interface cannot start: port ${port} on ${host} ${why}; set admin.port or SWITCHGEAR_ADMIN_PORT to another`,
    { cause: error },
  );
  return Object.assign(failure, { code });
}
