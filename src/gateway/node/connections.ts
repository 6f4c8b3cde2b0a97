// Connections to upstreams. One connection is one undici `Client`, taken by one call at a time: so it is
// known whether it has answered before, when it was made, and that a second try gets a fresh one, which a
// pool would not tell. The one used last is taken first, so that few stay open; where HTTP/2 is offered,
// a pool of undici's shares connections among calls.

import type { Socket } from "node:net";
import type * as Undici from "undici";
import type { Client, Dispatcher, Pool, buildConnector } from "undici";
import type { Clock } from "../../core/clock.ts";
import type { Destination } from "../route.ts";
import { AGE_MS_MAX_DEFAULT, type GatewayConnection } from "../ports.ts";
import { skipInterim, type Listening } from "./interim.ts";

/** Idle connections kept for each base URL; of more, the longest unused are closed. */
const IDLE_MAX = 256;

export interface Connection extends Listening {
  readonly dispatcher: Dispatcher;
  readonly bornMs: number;
  /** Whether the socket has carried an answer before: then the other side may have let go of it since. */
  isReused: boolean;
  awaitsHead: boolean;
  /** The one in use, or that was; undefined where calls share it, and before it is there. */
  socket?: Socket;
}

/** To one base URL. */
export class Connections {
  readonly #undici: typeof Undici;
  readonly #destination: Destination;
  readonly #clock: Clock;
  readonly #headBytesMax: number;
  readonly #settings: GatewayConnection | undefined;
  readonly #ageMsMax: number;
  readonly #idle: Connection[] = [];
  #shared: Connection | undefined;
  #isClosed = false;

  constructor(undici: typeof Undici, destination: Destination, clock: Clock, headBytesMax: number) {
    this.#undici = undici;
    this.#destination = destination;
    this.#clock = clock;
    this.#headBytesMax = headBytesMax;
    this.#settings = destination.upstream.connection;
    this.#ageMsMax = this.#settings?.ageMsMax ?? AGE_MS_MAX_DEFAULT;
  }

  take(): Connection {
    if (this.#settings?.http2 === true) return (this.#shared ??= this.#pool());
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) return this.fresh();
      if (!this.#isOld(idle)) return idle;
      close(idle);
    }
  }

  /** One that has carried nothing yet. */
  fresh(): Connection {
    if (this.#settings?.http2 === true) return this.take();
    const connect = this.#connector(false);
    const { Client: ClientOfUndici } = this.#undici;
    const client: Client = new ClientOfUndici(this.#destination.origin, {
      ...this.#options(),
      pipelining: 1,
      connect: (options, callback) => {
        connect(options, (...results) => {
          // One argument alone when it failed.
          const socket = results[1] ?? null;
          if (socket !== null) {
            connection.isReused = false;
            connection.socket = socket;
            skipInterim(socket, connection);
          }
          callback(...results);
        });
      },
    });
    const connection: Connection = {
      dispatcher: client,
      bornMs: this.#clock.monotonic(),
      isReused: false,
      awaitsHead: false,
      hasHeard: false,
    };
    return connection;
  }

  /** Its answer was whole: another call may take it. */
  give(connection: Connection): void {
    if (connection === this.#shared) return;
    connection.isReused = true;
    if (this.#isClosed || this.#isOld(connection)) {
      close(connection);
      return;
    }
    this.#idle.push(connection);
    if (this.#idle.length > IDLE_MAX) close(this.#idle.shift());
  }

  /** It broke, or was cut. */
  drop(connection: Connection): void {
    if (connection !== this.#shared) void connection.dispatcher.destroy();
  }

  /** Calls under way end where they are; nothing is taken any more. */
  retire(): void {
    this.#isClosed = true;
    for (const idle of this.#idle.splice(0)) close(idle);
    close(this.#shared);
  }

  async destroy(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#idle.splice(0), ...(this.#shared === undefined ? [] : [this.#shared])];
    await Promise.all(all.map(({ dispatcher }) => dispatcher.destroy()));
  }

  #isOld({ bornMs }: Connection): boolean {
    return this.#clock.monotonic() - bornMs >= this.#ageMsMax;
  }

  #pool(): Connection {
    const pool: Pool = new this.#undici.Pool(this.#destination.origin, {
      ...this.#options(),
      connections: null,
      allowH2: true,
      clientTtl: this.#ageMsMax,
      connect: this.#connector(true),
    });
    return { dispatcher: pool, bornMs: 0, isReused: false, awaitsHead: false, hasHeard: false };
  }

  #options(): Client.Options {
    return {
      allowH2: false,
      maxHeaderSize: this.#headBytesMax,
      // The call's deadline covers both.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
  }

  #connector(allowH2: boolean): buildConnector.connector {
    const { ca, cert, key, serverName } = this.#settings ?? {};
    return this.#undici.buildConnector({
      allowH2,
      // Said in so many words: by default an environment variable could turn it off.
      rejectUnauthorized: true,
      // The call's deadline is shorter, or as long.
      timeout: this.#destination.deadlineMsMax,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert, key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    });
  }
}

function close(connection: Connection | undefined): void {
  // After the call that is just ending on it.
  void connection?.dispatcher.close();
}

/** To all base URLs, made when they are first asked. */
export class ConnectionTable {
  readonly #make: (destination: Destination) => Connections;
  readonly #byKey = new Map<string, Connections>();

  constructor(undici: typeof Undici, clock: Clock, headBytesMax: number) {
    this.#make = (destination) => new Connections(undici, destination, clock, headBytesMax);
  }

  of(destination: Destination): Connections {
    const key = destination.connectionKey;
    let found = this.#byKey.get(key);
    if (found === undefined) {
      found = this.#make(destination);
      this.#byKey.set(key, found);
    }
    return found;
  }

  /** Lets go of connections to all others. */
  keep(destinations: Iterable<Destination>): void {
    const kept = new Set([...destinations].map((each) => each.connectionKey));
    for (const [key, connections] of this.#byKey) {
      if (kept.has(key)) continue;
      this.#byKey.delete(key);
      connections.retire();
    }
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#byKey.values()].map((each) => each.destroy()));
  }
}
