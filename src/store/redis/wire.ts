// One connection, until it is lost. Every command has a deadline, whatever the server does: one that is stopped, or
// a network that swallows packets, keeps sockets open for hours. Connecting anew is not done here.

import { createClient } from "@redis/client";
import type { StoreError } from "../../core/errors.ts";
import { redisError, toStoreError, type ErrorSubject } from "./errors.ts";
import type { Secret } from "./options.ts";
import { shownAddress, type Address } from "./place.ts";
import { secretOf, type Settings } from "./settings.ts";

/** Commands that wait for their answer; a storm of trips is smaller, and a server that stands still refuses more. */
const UNDER_WAY_MAX = 4096;

/** What commands are sent to: one connection, or those of a Cluster. */
export interface Line {
  /** `key` decides the node where there are several. Rejects with `StoreError`. */
  send(key: string | undefined, args: readonly string[]): Promise<unknown>;
  /** Until it ends it keeps the process alive, too. */
  hold(): void;
  /** What is under way is rejected. */
  destroy(): void;
}

export interface WireOptions {
  readonly address: Address;
  readonly settings: Settings;
  readonly subject: ErrorSubject;
  readonly username: string | undefined;
  readonly password: Secret | undefined;
  readonly database: number;
}

type Client = ReturnType<typeof clientOf>;

export class Wire implements Line {
  readonly address: Address;
  readonly #client: Client;
  readonly #timeoutMs: number;
  readonly #subject: ErrorSubject;
  readonly #lost: (error: StoreError) => void;
  #underWay = 0;
  #heardMs = performance.now();
  #isUp = true;

  private constructor(client: Client, options: WireOptions, lost: (error: StoreError) => void) {
    this.#client = client;
    this.address = options.address;
    this.#timeoutMs = options.settings.commandTimeoutMs;
    this.#subject = { ...options.subject, location: locationOf(options) };
    this.#lost = lost;
    client.on("error", (error: unknown) => {
      this.#end(toStoreError(error, this.#subject, "the connection"));
    });
  }

  /** `lost` is called once at most, and not after `destroy`. Rejects with `StoreError`. */
  static async open(options: WireOptions, lost: (error: StoreError) => void): Promise<Wire> {
    const subject = { ...options.subject, location: locationOf(options) };
    const { connectTimeoutMs } = options.settings;
    let client: Client;
    try {
      client = clientOf(options);
    } catch (error) {
      throw redisError("REDIS_PASSWORD", subject, "connecting", reason(error));
    }
    // Without a listener an 'error' ends the process; what matters rejects `connect`.
    client.on("error", ignore);
    client.unref();
    let timer: NodeJS.Timeout | undefined;
    try {
      await Promise.race([
        client.connect(),
        new Promise<never>((_, fail) => {
          timer = setTimeout(
            () => fail(redisError("REDIS_TIMEOUT", subject, "connecting")),
            connectTimeoutMs,
          ).unref();
        }),
      ]);
      return new Wire(client, options, lost);
    } catch (error) {
      client.destroy();
      throw toStoreError(error, subject, "connecting");
    } finally {
      clearTimeout(timer);
    }
  }

  /** When it last answered, as `performance.now()` counts. */
  get heardMs(): number {
    return this.#heardMs;
  }

  send(_key: string | undefined, args: readonly string[]): Promise<unknown> {
    const operation = args[0] ?? "";
    if (this.#underWay >= UNDER_WAY_MAX) {
      return Promise.reject(redisError("REDIS_BUSY_HERE", this.#subject, operation));
    }
    return this.#bounded(operation, this.#client.sendCommand(args as string[]));
  }

  subscribe(
    channels: string[],
    listener: (message: string, channel: string) => void,
  ): Promise<void> {
    return this.#bounded("SUBSCRIBE", this.#client.subscribe(channels, listener));
  }

  hold(): void {
    this.#client.ref();
  }

  destroy(): void {
    this.#isUp = false;
    this.#client.destroy();
  }

  #bounded<Answer>(operation: string, answer: Promise<Answer>): Promise<Answer> {
    this.#underWay += 1;
    const sentMs = performance.now();
    return new Promise((resolve, reject) => {
      let isDone = false;
      const end = (): boolean => {
        if (isDone) return false;
        isDone = true;
        this.#underWay -= 1;
        clearTimeout(timer);
        return true;
      };
      const expire = (): void => {
        if (!end()) return;
        const error = redisError("REDIS_TIMEOUT", this.#subject, operation);
        reject(error);
        // Slow is one thing; a connection on which nothing at all has come back since is dead.
        if (this.#heardMs < sentMs) this.#end(error);
      };
      // After a pause of our own the answers that came meanwhile are read first.
      const timer = setTimeout(() => void setImmediate(expire), this.#timeoutMs).unref();
      answer.then(
        (value) => {
          this.#heardMs = performance.now();
          if (end()) resolve(value);
        },
        (error: unknown) => {
          // Also when it was the connection that failed: `#end` was called then.
          this.#heardMs = performance.now();
          if (end()) reject(toStoreError(error, this.#subject, operation));
        },
      );
    });
  }

  #end(error: StoreError): void {
    if (!this.#isUp) return;
    this.destroy();
    this.#lost(error);
  }
}

function locationOf({ address, subject, settings }: WireOptions): string {
  const { route, location } = settings;
  const isIt = route.kind === "single" && route.address === address;
  return isIt ? location : `${subject.location} (${shownAddress(address)})`;
}

function clientOf({ address, settings, username, password, database }: WireOptions) {
  const { tls, connectTimeoutMs } = settings;
  const secret = secretOf(password);
  const base = { ...address, connectTimeout: connectTimeoutMs, reconnectStrategy: false as const };
  return createClient({
    // All servers speak it, and it asks no right to say HELLO.
    RESP: 2,
    socket: tls === undefined ? base : { ...base, ...tlsOptions(tls, address) },
    database,
    ...(secret === undefined ? {} : { password: secret }),
    ...(username === undefined ? {} : { username }),
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    // Its own are for commands that were not sent yet: here those have no deadline but ours.
    commandOptions: { timeout: 0 },
  });
}

function tlsOptions(
  { ca, cert, key, serverName, rejectUnauthorized }: NonNullable<Settings["tls"]>,
  { host }: Address,
) {
  const isName = /[^0-9.:]/.test(host) && !host.includes(":");
  const name = serverName ?? (isName ? host : undefined);
  const texts = { ca: secretOf(ca), cert: secretOf(cert), key: secretOf(key) };
  return {
    tls: true as const,
    ...(texts.ca === undefined ? {} : { ca: texts.ca }),
    ...(texts.cert === undefined ? {} : { cert: texts.cert }),
    ...(texts.key === undefined ? {} : { key: texts.key }),
    ...(name === undefined ? {} : { servername: name }),
    rejectUnauthorized: rejectUnauthorized ?? true,
  };
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ignore(): void {
  // `connect` rejects with the same.
}
