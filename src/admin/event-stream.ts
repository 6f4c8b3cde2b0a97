// Server-sent events of what happens to breakers, for the status page and `watch`. Calls are not
// among them: a stream that grows with traffic would be the first thing to fall over.
//
// Bounded on both sides: so many clients, and so many bytes that one may leave unread. Who falls
// behind is cut off and comes back by itself, as event sources do, to a state it reads anew.

import type { SwitchgearEvent } from "../core/events.ts";
import type { Switchgear } from "../pipeline/registry.ts";
import { problem } from "./answers.ts";

export interface EventStreamLimits {
  readonly clients?: number | undefined;
  readonly bufferBytes?: number | undefined;
  readonly heartbeatMs?: number | undefined;
}

/** Each costs a socket; a team's dashboards fit. */
const CLIENTS_MAX = 32;

/** Some hundred events: a hundred upstreams that trip at once must not cost anybody the stream. */
const BUFFER_BYTES_MAX = 256 * 1024;

/** Proxies close what is silent for half a minute. */
const HEARTBEAT_MS = 10_000;

const RETRY_MS = 2000;

const TYPES = [
  "transition",
  "trip",
  "reset",
  "reset-denied",
  "recovery",
  "limit",
  "mode",
  "store-error",
  "store-recovered",
] as const;

interface Client {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  readonly cut: (() => void) | undefined;
}

const encoder = new TextEncoder();

export class EventStream {
  readonly #gear: Pick<Switchgear, "on">;
  readonly #limits: {
    readonly clients: number;
    readonly bufferBytes: number;
    readonly heartbeatMs: number;
  };
  readonly #clients = new Set<Client>();
  #subscriptions: (() => void)[] = [];
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #id = 0;

  constructor(gear: Pick<Switchgear, "on">, limits: EventStreamLimits = {}) {
    this.#gear = gear;
    this.#limits = {
      clients: limits.clients ?? CLIENTS_MAX,
      bufferBytes: limits.bufferBytes ?? BUFFER_BYTES_MAX,
      heartbeatMs: limits.heartbeatMs ?? HEARTBEAT_MS,
    };
  }

  get clients(): number {
    return this.#clients.size;
  }

  /**
   * One more client, or 503 when there are enough. `cut` closes its connection, where failing the
   * stream is not the way to do that.
   */
  open(signal: AbortSignal, cut?: () => void): Response {
    if (this.#clients.size >= this.#limits.clients) {
      const detail = `${this.#limits.clients} clients listen already; close one, or poll the status`;
      return problem(503, "too_many_clients", "Too many listeners", detail, {
        "retry-after": "10",
      });
    }
    let client: Client | undefined;
    const leave = (): void => {
      if (client !== undefined) this.#remove(client);
    };
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          client = { controller, cut };
          this.#add(client);
        },
        cancel: leave,
      },
      // Room is counted in bytes: what is enqueued and not read yet.
      { highWaterMark: this.#limits.bufferBytes, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    signal.addEventListener("abort", leave, { once: true });
    return new Response(body, {
      headers: { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" },
    });
  }

  #add(client: Client): void {
    this.#clients.add(client);
    if (this.#clients.size === 1) this.#start();
    this.#send(client, encoder.encode(`retry: ${RETRY_MS}\n: listening\n\n`));
  }

  #remove(client: Client): void {
    if (!this.#clients.delete(client)) return;
    try {
      client.controller.close();
    } catch {
      // It was cancelled by its reader, and is closed.
    }
    if (this.#clients.size === 0) this.#stop();
  }

  #start(): void {
    this.#subscriptions = TYPES.map((type) => this.#gear.on(type, (event) => this.#publish(event)));
    this.#heartbeat = setInterval(() => this.#broadcast(": ping\n\n"), this.#limits.heartbeatMs);
    this.#heartbeat.unref();
  }

  #stop(): void {
    for (const end of this.#subscriptions) end();
    this.#subscriptions = [];
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }

  #publish(event: SwitchgearEvent): void {
    this.#id += 1;
    const data =
      "upstream" in event ? { ...event, upstream: undefined, bookmaker: event.upstream } : event;
    this.#broadcast(`id: ${this.#id}\nevent: ${event.type}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #broadcast(text: string): void {
    const bytes = encoder.encode(text);
    for (const client of this.#clients) this.#send(client, bytes);
  }

  #send(client: Client, bytes: Uint8Array): void {
    const { desiredSize } = client.controller;
    if (desiredSize === null || desiredSize < bytes.byteLength) {
      this.#drop(client);
      return;
    }
    try {
      client.controller.enqueue(bytes);
    } catch {
      this.#drop(client);
    }
  }

  /** Cut off rather than closed: what it has not read is thrown away. */
  #drop(client: Client): void {
    if (!this.#clients.delete(client)) return;
    try {
      if (client.cut === undefined) client.controller.error(new Error("reads too slowly"));
      else client.cut();
    } catch {
      // It is gone already.
    }
    if (this.#clients.size === 0) this.#stop();
  }
}
