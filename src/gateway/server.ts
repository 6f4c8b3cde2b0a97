// The HTTP egress gateway: `ANY /{upstream}/{rest…}` → the configured upstream's base URL + rest.
//
// Two transports, one behaviour, held by one contract suite (test/contract/gateway.contract.ts) and by a
// fuzzer that shows both the same exchanges (test/fuzz). Parsing and writing HTTP is the runtimes' business;
// what they do differently, and why, is listed in docs/transports.md, made from test/fuzz/differences.ts.
//
// On both, targets that would begin with `//` at the upstream get a 400, trailers stay here, and answers of a
// short declared length are sent in one piece. The servers' own answers (400 to unparsable heads and
// smuggled framing, 408, 431) carry no `x-switchgear-reason`: no request was understood.

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
    reload(upstreams, maxCriticality = desk.maxCriticality) {
      desk.maxCriticality = maxCriticality;
      desk.junctions.replace(upstreams);
      transport.reloaded();
    },
    windDown: () => transport.windDown(),
    stop: (graceMs) => (stopping ??= stop(graceMs)),
    inFlight: () => desk.book.size,
    answers: () => desk.book.answers,
  };
}

/** For answers that are complete here and not yet written: a few turns of the event loop. */
const FLUSH_MS = 20;
