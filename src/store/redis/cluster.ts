// The commands' way to a Cluster: which node has which slot, one connection to each node that is needed, and the
// table read anew when a node says that a slot has moved or cannot be reached. One node that is away costs its own
// upstreams their store, and no others.

import type { StoreError } from "../../core/errors.ts";
import type { Dialler } from "./dialler.ts";
import { isMoved, redisError, toStoreError } from "./errors.ts";
import { shownAddress, type Address } from "./place.ts";
import type { Line, Wire } from "./wire.ts";

const SLOTS = 16_384;

/** A slot that moves twice while it is asked for is waited for by whoever asked. */
const REDIRECTS_MAX = 3;

export class ClusterLine implements Line {
  readonly #dialler: Dialler;
  readonly #seeds: readonly Address[];
  readonly #lost: (error: StoreError) => void;
  readonly #wires = new Map<string, Promise<Wire>>();
  #owners: readonly (Address | undefined)[] = [];
  #isStale = false;
  #reading: Promise<void> | undefined = undefined;
  #isEnded = false;
  #isHeld = false;

  private constructor(
    dialler: Dialler,
    seeds: readonly Address[],
    lost: (error: StoreError) => void,
  ) {
    this.#dialler = dialler;
    this.#seeds = seeds;
    this.#lost = lost;
  }

  static async open(
    dialler: Dialler,
    seeds: readonly Address[],
    lost: (error: StoreError) => void,
  ): Promise<ClusterLine> {
    const line = new ClusterLine(dialler, seeds, lost);
    await line.#read();
    return line;
  }

  async send(key: string | undefined, args: readonly string[]): Promise<unknown> {
    if (this.#isStale) await this.#readAgain();
    let failure: unknown;
    for (let left = REDIRECTS_MAX; left > 0; left -= 1) {
      const wire = await this.#wireTo(this.#ownerOf(key));
      try {
        return await wire.send(key, args);
      } catch (error) {
        if (!isMoved(error)) throw error;
        failure = error;
        const other = askedFor(error);
        if (other !== undefined) return await this.#askOther(other, key, args);
        await this.#readAgain();
      }
    }
    throw failure;
  }

  hold(): void {
    this.#isHeld = true;
    for (const wire of this.#wires.values()) wire.then((found) => found.hold(), ignore);
  }

  destroy(): void {
    this.#isEnded = true;
    for (const wire of this.#wires.values()) wire.then((found) => found.destroy(), ignore);
    this.#wires.clear();
  }

  async #askOther(
    other: Address,
    key: string | undefined,
    args: readonly string[],
  ): Promise<unknown> {
    const wire = await this.#wireTo(other);
    // One after the other on one connection: the leave holds for the next command alone.
    const leave = wire.send(key, ["ASKING"]);
    const answer = wire.send(key, args);
    await Promise.all([leave, answer]);
    return answer;
  }

  #ownerOf(key: string | undefined): Address {
    const owner =
      key === undefined
        ? this.#owners.find((address) => address !== undefined)
        : this.#owners[slotOf(key)];
    if (owner !== undefined) return owner;
    this.#isStale = true;
    throw redisError("REDIS_UNREACHABLE", this.#dialler.subject, "a command", "no node has it");
  }

  #wireTo(address: Address): Promise<Wire> {
    if (this.#isEnded) {
      return Promise.reject(redisError("REDIS_UNREACHABLE", this.#dialler.subject, "a command"));
    }
    const name = shownAddress(address);
    const known = this.#wires.get(name);
    if (known !== undefined) return known;
    const wire = this.#dialler.to(address, () => this.#forget(name));
    this.#wires.set(name, wire);
    wire.then(
      (found) => {
        if (this.#isEnded) found.destroy();
        else if (this.#isHeld) found.hold();
      },
      () => this.#forget(name),
    );
    return wire;
  }

  #forget(name: string): void {
    this.#wires.delete(name);
    this.#isStale = true;
  }

  #readAgain(): Promise<void> {
    this.#reading ??= this.#read()
      .catch((error: unknown) => {
        const failure = toStoreError(error, this.#dialler.subject, "asking for the slots");
        this.destroy();
        this.#lost(failure);
        throw failure;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  /** From the first node that answers. */
  async #read(): Promise<void> {
    const known = new Map<string, Address>();
    for (const address of [...this.#owners, ...this.#seeds]) {
      if (address !== undefined) known.set(shownAddress(address), address);
    }
    let failure: unknown;
    for (const address of known.values()) {
      try {
        const wire = await this.#wireTo(address);
        const owners = ownersOf(await wire.send(undefined, ["CLUSTER", "SLOTS"]), address);
        if (owners.length === 0) continue;
        this.#owners = owners;
        this.#isStale = false;
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure ?? redisError("REDIS_UNREACHABLE", this.#dialler.subject, "asking for the slots");
  }
}

/** Empty where it serves none. A node that does not know its own host is the one that was asked. */
function ownersOf(answer: unknown, asked: Address): (Address | undefined)[] {
  const owners: (Address | undefined)[] = [];
  if (!Array.isArray(answer)) return owners;
  for (const range of answer as unknown[]) {
    if (!Array.isArray(range)) continue;
    const [from, to, master] = range as unknown[];
    if (!Array.isArray(master)) continue;
    const [host, port] = master as unknown[];
    const isNamed = typeof host === "string" && host !== "" && host !== "?";
    const address = { host: isNamed ? host : asked.host, port: Number(port) };
    const last = Math.min(Number(to), SLOTS - 1);
    for (let slot = Number(from); slot <= last; slot += 1) owners[slot] = address;
  }
  return owners;
}

function askedFor(error: unknown): Address | undefined {
  const match = /\bASK \d+ ([^\s)]+):(\d+)/.exec((error as Error).message);
  return match === null ? undefined : { host: match[1] ?? "", port: Number(match[2]) };
}

/** CRC16 (XMODEM) of what is between the first braces, https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec. */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = key.indexOf("}", open + 1);
  const hashed = open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
    }
  }
  return crc % SLOTS;
}

function ignore(): void {
  // Whoever asked for it was told.
}
