// The gateway on Bun: `Bun.serve` in front, `fetch` behind. See ../server.ts for what differs from Node.

import { HeaderSurvey } from "../headers.ts";
import type { GatewayOptions } from "../ports.ts";
import { internalProblem, targetProblem } from "../problem.ts";
import type { Decided, FrontDesk } from "../reception.ts";
import { reportFault, type Transport } from "../transport.ts";
import { AgingTable } from "./aging.ts";
import { toResponse } from "./answers.ts";
import { Exchange } from "./exchange.ts";
import { ControllerPool, IDLE_SECONDS, type Front } from "./front.ts";

/** Bun would answer a longer body itself, without a reason; the limit that counts is ours. */
const BUN_BODY_BYTES_MAX = Number.MAX_SAFE_INTEGER;

export async function startBunTransport(
  desk: FrontDesk,
  options: GatewayOptions,
): Promise<Transport> {
  ignoreProxies(process.env);
  const front: Front = {
    desk,
    controllers: new ControllerPool(),
    aging: new AgingTable(),
    isWindingDown: false,
  };
  const server = Bun.serve({
    hostname: options.host,
    port: options.port,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: BUN_BODY_BYTES_MAX,
    development: false,
    fetch: (request, server) =>
      handle(front, request, (seconds) => server.timeout(request, seconds)),
    error: (error) => {
      reportFault(options.onError, error);
      return toResponse(internalProblem(), "GET");
    },
  });
  return {
    port: server.port ?? options.port,
    reloaded: () => front.aging.keep(desk.junctions.destinations()),
    windDown() {
      front.isWindingDown = true;
    },
    // Resolves when its connections are gone, which keep-alive puts off: not to be awaited.
    stopAccepting() {
      front.isWindingDown = true;
      void server.stop(false);
    },
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

function handle(
  front: Front,
  request: Request,
  holdFor: (seconds: number) => void,
): Response | Promise<Response> {
  const { method } = request;
  const survey = new HeaderSurvey(request.headers);
  const target = originForm(request.url);
  const reception = target.includes(NO_CHARACTER)
    ? front.desk.answer(method, targetProblem("it holds bytes that are no characters"))
    : front.desk.receive({
        method,
        target,
        header: (name) => survey.get(name),
        anyHeader: (name) => request.headers.get(name),
      });
  const go = (decided: Decided): Response | Promise<Response> =>
    decided.kind === "answer"
      ? toResponse(decided.problem, method)
      : new Exchange(front, { request, survey, reception: decided, holdFor }).start();
  return reception.kind === "waits" ? reception.decided.then(go) : go(reception);
}

/** What Bun makes of bytes that are not UTF-8: passed on, it would name something else (1.4.5). */
const NO_CHARACTER = "%EF%BF%BD";

/** Path and query as Bun left them. With a `Host` that makes no URL it gives the target alone. */
function originForm(url: string): string {
  if (url.startsWith("/")) return url;
  const pathAt = url.indexOf("/", url.indexOf("://") + 3);
  return pathAt === -1 ? "/" : url.slice(pathAt);
}
