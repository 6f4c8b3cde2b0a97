// The HTTP egress gateway: `ANY /{upstream}/{rest…}` → the configured upstream's base URL + rest.
//
// Two transports, one behaviour, held by one contract suite (test/contract/gateway.contract.ts).
// Parsing and writing HTTP is the runtimes' business. On both, targets that would begin with `//`
// at the upstream get a 400, trailers stay here, and answers of a short declared length are sent
// in one piece. What they do differently:
//
//   on Bun                                          on Node
//   dot segments and `\` are resolved before we     the raw target is seen: dot segments, `\` and
//   see the target; what is left decides            absolute forms of other hosts get a 400
//   an absolute form is answered as its path        only with the authority of its own `Host`
//   head limit: Bun's own, about 16 kB, 431         `maxHeaderBytes`, 431
//   FOO, CONNECT and other unparsable methods:      400 by the server, CONNECT: closed
//   the connection closes
//   a second request sent before the first is       answered in their order
//   answered (pipelining): the connection closes
//   equal header lines arrive joined by `, `        lines, their order and case are kept
//   bodies of GET and HEAD are not passed on        they are
//   `Accept: */*` is added when there is none       nothing is added
//   streamed answers lose `Content-Length`, and     both exact
//   one-piece answers without a type become
//   `application/octet-stream`
//   at most 256 upstream requests at a time,        no bound
//   unless BUN_CONFIG_MAX_HTTP_REQUESTS says more
//   *before the process starts*: setting it in
//   the process has no effect (1.4.5)
//   HTTP_PROXY, HTTPS_PROXY, ALL_PROXY: ignored     ignored by undici's pools
//   by setting no_proxy for the whole process
//
// The servers' own answers (400 to unparsable heads and smuggled framing, 408, 431) carry no
// `x-switchgear-reason`: no request was understood.

import { startBunTransport } from "./bun/server.ts";
import { startNodeTransport } from "./node/server.ts";
import type { Gateway, GatewayOptions } from "./ports.ts";
import { FrontDesk } from "./reception.ts";

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const desk = new FrontDesk(options);
  const kind = options.transport ?? ("Bun" in globalThis ? "bun" : "node");
  const transport =
    kind === "bun"
      ? await startBunTransport(desk, options)
      : await startNodeTransport(desk, options);
  let stopping: Promise<void> | undefined;

  async function stop(graceMs: number): Promise<void> {
    transport.stopAccepting();
    const isDrained = await desk.book.drained(graceMs);
    if (!isDrained) desk.book.abortAll();
    // Answers just made are on their way to the sockets: one turn of the loop lets them out.
    await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    await transport.close();
    desk.book.deadlines.clear();
  }

  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    url: `http://${host}:${transport.port}`,
    port: transport.port,
    reload(upstreams) {
      desk.junctions.replace(upstreams);
      transport.reloaded();
    },
    windDown: () => transport.windDown(),
    stop: (graceMs) => (stopping ??= stop(graceMs)),
    inFlight: () => desk.book.size,
  };
}

/** For answers that are complete here and not yet written: a few turns of the event loop. */
const FLUSH_MS = 20;
