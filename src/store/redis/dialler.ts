// Where to connect, and as whom: to the one address, to the master that Sentinels name, or to nodes of a Cluster.

import type { StoreError } from "../../core/errors.ts";
import { redisError, toStoreError, type ErrorSubject } from "./errors.ts";
import type { Secret } from "./options.ts";
import { shownAddress, type Address } from "./place.ts";
import { secretOf, type Settings } from "./settings.ts";
import { Wire } from "./wire.ts";

type Lost = (error: StoreError) => void;

/** What is kept from errors: the password, that of the Sentinels, and those before they were changed. */
const SECRETS_MAX = 8;

export class Dialler {
  readonly subject: ErrorSubject;
  readonly #settings: Settings;
  #secrets: readonly string[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
    const { location, username } = settings;
    this.subject = { location, username, secrets: () => this.#secrets };
  }

  /** To whom takes writes; of a Cluster, to any of its nodes. */
  async open(lost: Lost): Promise<Wire> {
    const { route } = this.#settings;
    if (route.kind === "single") return this.to(route.address, lost);
    return route.kind === "cluster" ? this.toAny(route.nodes, lost) : this.#toMaster(lost);
  }

  to(address: Address, lost: Lost): Promise<Wire> {
    const settings = this.#settings;
    const { username, database } = settings;
    const password = this.#noted(settings.password);
    const { subject } = this;
    return Wire.open({ address, settings, subject, username, password, database }, lost);
  }

  /** To the first that answers, in an order of chance, so that replicas spread. */
  async toAny(nodes: readonly Address[], lost: Lost): Promise<Wire> {
    let failure: unknown;
    for (const address of shuffled(nodes)) {
      try {
        return await this.to(address, lost);
      } catch (error) {
        failure = error;
      }
    }
    throw toStoreError(failure, this.subject, "connecting");
  }

  /** Undefined where there are no Sentinels. Rejects with `StoreError` where none names a master. */
  async master(): Promise<Address | undefined> {
    const { route } = this.#settings;
    if (route.kind !== "sentinel") return undefined;
    let failure = redisError("REDIS_NO_MASTER", this.subject, "asking the Sentinels");
    for (const node of shuffled(route.nodes)) {
      try {
        const found = await this.#ask(node, route.master);
        if (found !== undefined) return found;
      } catch (error) {
        failure = toStoreError(error, this.subject, "asking the Sentinels");
      }
    }
    throw failure;
  }

  async #ask(node: Address, master: string): Promise<Address | undefined> {
    const settings = this.#settings;
    const secret = settings.route.kind === "sentinel" ? settings.route.password : undefined;
    const password = this.#noted(secret);
    const options = { settings, subject: this.subject, username: undefined, database: 0 };
    const wire = await Wire.open({ ...options, address: node, password }, ignore);
    try {
      const answer = await wire.send(undefined, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master]);
      if (!Array.isArray(answer)) return undefined;
      const [host, port] = answer as unknown[];
      return typeof host === "string" ? { host, port: Number(port) } : undefined;
    } finally {
      wire.destroy();
    }
  }

  /** The same, and no error shows it from then on. */
  #noted(secret: Secret | undefined): Secret | undefined {
    if (secret === undefined) return undefined;
    return () => {
      const found = secretOf(secret) ?? "";
      if (found !== "" && !this.#secrets.includes(found)) {
        this.#secrets = [found, ...this.#secrets].slice(0, SECRETS_MAX);
      }
      return found;
    };
  }

  async #toMaster(lost: Lost): Promise<Wire> {
    const address = await this.master();
    if (address === undefined) {
      throw redisError("REDIS_NO_MASTER", this.subject, "asking the Sentinels");
    }
    const wire = await this.to(address, lost);
    try {
      // Just after a fail-over Sentinels may still name who is none any more.
      const role = await wire.send(undefined, ["ROLE"]);
      if (Array.isArray(role) && role[0] === "master") return wire;
      throw redisError("REDIS_NOT_MASTER", this.subject, "connecting", shownAddress(address));
    } catch (error) {
      wire.destroy();
      throw error;
    }
  }
}

export function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function ignore(): void {
  // A connection for one question.
}
