// Real servers for tests: each on a free port of the loopback, with a folder of its own, ended by its pid. And stores
// on them, whose listener a test waits on by event.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FleetRow } from "../../src/core/fleet/row.ts";
import type { FleetStore } from "../../src/pipeline/fleet-port.ts";
import { redisStore, type RedisStoreOptions } from "../../src/store/redis.ts";
import { freePorts } from "./programs.ts";

/** Nothing that a test waits for takes longer, unless it never comes. */
const WAIT_MS_MAX = 10_000;

export interface TestContext {
  after(fn: () => unknown): void;
}

export class RedisServer {
  readonly port: number;
  readonly folder: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined = undefined;

  constructor(port: number, args: readonly string[]) {
    this.port = port;
    this.folder = mkdtempSync(join(tmpdir(), "switchgear-redis-"));
    this.#args = args;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const fixed = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.folder];
    const quick = ["--save", "", "--loglevel", "warning"];
    const child = spawn("redis-server", [...this.#args, ...fixed, ...quick], { stdio: "ignore" });
    this.#child = child;
    await answers(this.port);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Gone when this returns. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("close", done));
    child.kill("SIGCONT");
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** One command on a connection of its own; an error of the server is thrown. */
  ask(...args: readonly string[]): Promise<unknown> {
    return askServer(this.port, args);
  }
}

/** A server that listens when this returns, and is gone after the test. */
export async function startRedis(t: TestContext, ...args: readonly string[]): Promise<RedisServer> {
  const [port = 0] = await freePorts(1);
  const server = new RedisServer(port, args);
  t.after(() => server.remove());
  await server.start();
  return server;
}

async function answers(port: number): Promise<void> {
  const until = performance.now() + WAIT_MS_MAX;
  for (;;) {
    try {
      await askServer(port, ["PING"]);
      return;
    } catch (error) {
      // It listens and wants a password, or TLS: it is there.
      if (error instanceof Answer) return;
      if (performance.now() > until) throw error;
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

/** An error that a server answered with. */
export class Answer extends Error {}

export async function askServer(port: number, args: readonly string[]): Promise<unknown> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  try {
    return await new Promise<unknown>((done, fail) => {
      let text = "";
      socket.setEncoding("latin1");
      socket.on("error", fail);
      socket.on("close", () => fail(new Answer("closed")));
      socket.on("data", (chunk: string) => {
        text += chunk;
        const found = replyAt(text, 0);
        if (found === undefined) return;
        if (found.value instanceof Error) fail(found.value);
        else done(found.value);
      });
      const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
      socket.write(`*${args.length}\r\n${parts.join("")}`);
    });
  } finally {
    socket.destroy();
  }
}

/** One reply of the protocol, or undefined when it is not all there. Bytes are units: Latin-1. */
function replyAt(text: string, at: number): { value: unknown; end: number } | undefined {
  const line = text.indexOf("\r\n", at);
  if (line < 0) return undefined;
  const [kind, rest, next] = [text[at], text.slice(at + 1, line), line + 2];
  if (kind === "+") return { value: rest, end: next };
  if (kind === "-") return { value: new Answer(rest), end: next };
  if (kind === ":") return { value: Number(rest), end: next };
  const length = Number(rest);
  if (length < 0) return { value: null, end: next };
  if (kind === "$") {
    const end = next + length + 2;
    if (text.length < end) return undefined;
    const value = Buffer.from(text.slice(next, next + length), "latin1").toString();
    return { value, end };
  }
  const items: unknown[] = [];
  let end = next;
  for (let index = 0; index < length; index += 1) {
    const item = replyAt(text, end);
    if (item === undefined) return undefined;
    items.push(item.value);
    end = item.end;
  }
  return { value: items, end };
}

export type Told =
  | { readonly what: "changed"; readonly row: FleetRow; readonly receipt: string | undefined }
  | { readonly what: "received"; readonly id: string; readonly replica: string }
  | { readonly what: "connected" }
  | { readonly what: "missed" }
  | { readonly what: "failed"; readonly code: string; readonly message: string };

/** What a store told its listener, and waiting for it. */
export class Ears {
  readonly told: Told[] = [];
  readonly #waiting = new Set<() => void>();

  tell(told: Told): void {
    this.told.push(told);
    for (const look of this.#waiting) look();
  }

  /** The first that fits among those told since `from`, as soon as it is told. */
  async hear<What extends Told["what"]>(
    what: What,
    fits: (told: Extract<Told, { what: What }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<Told, { what: What }>> {
    let look: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((done, fail) => {
        timer = setTimeout(() => {
          const all = JSON.stringify(this.told.slice(from)).slice(0, 1000);
          fail(new Error(`${what} was not told, but ${all}`));
        }, WAIT_MS_MAX);
        look = () => {
          const found = this.told
            .slice(from)
            .find((told) => told.what === what && fits(told as Extract<Told, { what: What }>));
          if (found !== undefined) done(found as Extract<Told, { what: What }>);
        };
        this.#waiting.add(look);
        look();
      });
    } finally {
      clearTimeout(timer);
      if (look !== undefined) this.#waiting.delete(look);
    }
  }

  count(what: Told["what"]): number {
    return this.told.filter((told) => told.what === what).length;
  }
}

export interface Opened {
  readonly store: FleetStore;
  readonly ears: Ears;
}

/** Opens a store; ended after the test. */
export function openStore(t: TestContext, store: FleetStore): Opened {
  const ears = new Ears();
  t.after(() => store.close());
  store.open({
    changed: (row, receipt) => ears.tell({ what: "changed", row, receipt }),
    received: (id, replica) => ears.tell({ what: "received", id, replica }),
    connected: () => ears.tell({ what: "connected" }),
    missed: () => ears.tell({ what: "missed" }),
    failed: (error) => {
      const { storeCode, message } = error as { storeCode: string; message: string };
      ears.tell({ what: "failed", code: storeCode, message });
    },
  });
  return { store, ears };
}

/** A Redis store that is connected. */
export async function connectedStore(t: TestContext, options: RedisStoreOptions): Promise<Opened> {
  const opened = openStore(t, redisStore(options));
  await opened.ears.hear("connected");
  return opened;
}

/** What takes the servers themselves a moment, and tells nobody. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let left = 400; left > 0; left -= 1) {
    if (await isSo().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error("it did not come about");
}
