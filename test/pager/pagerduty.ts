// PagerDuty's Events API v2, as far as Alertmanager speaks it: the only imitation in the proof of the
// page. It judges events, keeps incidents by their key, and refuses on order. It wakes nobody.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { judge, type PagerEvent } from "./event.ts";

/** One request, as it came and as it was answered. */
export interface Delivery {
  /** Epoch milliseconds. */
  readonly atMs: number;
  readonly status: number;
  /** Undefined when the body was no valid event. */
  readonly event: PagerEvent | undefined;
  /** What was wrong with it. */
  readonly errors: readonly string[];
}

/** PagerDuty makes one incident of all triggers with one key until a resolve closes it. */
export interface Incident {
  readonly key: string;
  readonly openedAtMs: number;
  resolvedAtMs: number | undefined;
  /** The first is what paged; later ones only add to its log. */
  readonly triggers: PagerEvent[];
}

export interface PagerDuty {
  /** For Alertmanager's `pagerduty_url`. */
  readonly url: string;
  readonly routingKey: string;
  deliveries(): readonly Delivery[];
  /** In the order in which they were opened. */
  incidents(): readonly Incident[];
  /** The next valid events are answered with these statuses, one each. */
  answerNext(...statuses: readonly number[]): void;
  close(): Promise<void>;
}

const PATH = "/v2/enqueue";

/** Alertmanager cuts what it sends at this size. */
const BODY_BYTES_MAX = 512_000;

export interface PagerDutyOptions {
  /** Default: this host alone, on a free port. */
  readonly host?: string;
  readonly port?: number;
  readonly nowMs?: () => number;
}

/** `routingKey` is the one that leads to a service; another well-formed one is refused. */
export async function startPagerDuty(
  routingKey: string,
  { host = "127.0.0.1", port: wanted = 0, nowMs = Date.now }: PagerDutyOptions = {},
): Promise<PagerDuty> {
  const desk = new Desk(routingKey, nowMs);
  const server = createServer((request, response) => {
    desk.answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((done, fail) => {
    server.on("error", fail);
    server.listen(wanted, host, done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${PATH}`,
    routingKey,
    deliveries: () => desk.deliveries,
    incidents: () => desk.incidents,
    answerNext: (...statuses) => void desk.ordered.push(...statuses),
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

class Desk {
  readonly deliveries: Delivery[] = [];
  readonly incidents: Incident[] = [];
  readonly ordered: number[] = [];
  readonly #routingKey: string;
  readonly #nowMs: () => number;

  constructor(routingKey: string, nowMs: () => number) {
    this.#routingKey = routingKey;
    this.#nowMs = nowMs;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url !== PATH) return send(response, 404, { status: "not found" });
    if (request.method !== "POST") return send(response, 405, { status: "method not allowed" });
    const text = await bodyOf(request);
    if (text === undefined) return send(response, 413, { status: "too large" });
    const judgement = judge(text);
    if ("errors" in judgement) return this.#refuse(response, undefined, judgement.errors);
    const { event } = judgement;
    if (event.routing_key !== this.#routingKey) {
      return this.#refuse(response, event, ["Invalid routing key"]);
    }
    const status = this.ordered.shift() ?? 202;
    this.#note(status, event, []);
    if (status !== 202) return send(response, status, REFUSALS[status] ?? { status: "error" });
    const key = this.#keep(event);
    return send(response, 202, { status: "success", message: "Event processed", dedup_key: key });
  }

  #refuse(
    response: ServerResponse,
    event: PagerEvent | undefined,
    errors: readonly string[],
  ): void {
    this.#note(400, event, errors);
    send(response, 400, { status: "invalid event", message: "Event object is invalid", errors });
  }

  #note(status: number, event: PagerEvent | undefined, errors: readonly string[]): void {
    this.deliveries.push({ atMs: this.#nowMs(), status, event, errors });
  }

  #keep(event: PagerEvent): string {
    const key = event.dedup_key ?? `made-here-${this.incidents.length}`;
    const open = this.incidents.find((one) => one.key === key && one.resolvedAtMs === undefined);
    if (event.event_action === "resolve") {
      if (open !== undefined) open.resolvedAtMs = this.#nowMs();
    } else if (event.event_action === "trigger") {
      if (open !== undefined) open.triggers.push(event);
      else {
        const openedAtMs = this.#nowMs();
        this.incidents.push({ key, openedAtMs, resolvedAtMs: undefined, triggers: [event] });
      }
    }
    return key;
  }
}

/** PagerDuty's own words, as clients have quoted them. */
const REFUSALS: Readonly<Record<number, object>> = {
  429: {
    status: "throttle exceeded",
    message: "Requests for this service are arriving too quickly.  Please retry later.",
    errors: ["Enhance Your Calm."],
  },
};

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  return length > BODY_BYTES_MAX ? undefined : Buffer.concat(chunks).toString("utf8");
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
