// Real servers on ports of this machine: one Redis, or a master, a follower and three Sentinels.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProgram, type Running } from "../../loadtest/run/processes.ts";
import { sleep } from "./report.ts";

const MASTER = "main";
/** A master that does not answer for so long is taken for dead. */
const DOWN_AFTER_MS = 1000;
const READY_MS_MAX = 20_000;

export class Redis {
  readonly port: number;
  readonly #folder: string;
  readonly #options: readonly string[];
  #running: Running | undefined;

  constructor(port: number, folder: string, options: readonly string[] = []) {
    this.port = port;
    this.#folder = join(folder, String(port));
    this.#options = options;
    mkdirSync(this.#folder);
  }

  async start(): Promise<void> {
    const where = ["--port", String(this.port), "--bind", "127.0.0.1"];
    const kept = ["--dir", this.#folder, "--save", ""];
    this.#running = startProgram({
      name: `redis ${this.port}`,
      command: ["redis-server", ...where, ...kept, ...this.#options],
    });
    await this.#running.said(/Ready to accept connections/);
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.#running?.pid ?? 0, signal);
  }

  async stop(): Promise<void> {
    if (this.#running?.pid !== undefined) await this.#running.stop();
  }

  cli(...args: readonly string[]): string {
    return execFileSync("redis-cli", ["-p", String(this.port), ...args], { encoding: "utf8" });
  }

  /** Scripts and pings that clients have asked for so far: what scripts do in between is no command of theirs. */
  commands(): number {
    const stats = this.cli("info", "commandstats");
    let count = 0;
    for (const [, calls] of stats.matchAll(/^cmdstat_(?:evalsha|eval|ping):calls=(\d+)/gm)) {
      count += Number(calls);
    }
    return count;
  }

  /** Bytes of all keys; the server is this program's own. */
  usedMemory(): number {
    const keys = this.cli("--scan").trim().split("\n");
    return keys.reduce((sum, key) => sum + Number(this.cli("memory", "usage", key)), 0);
  }
}

export interface Watched {
  readonly options: { readonly master: string; readonly nodes: readonly string[] };
  readonly servers: readonly Redis[];
  /** The port of the server that the Sentinels call the master. */
  masterPort(): number;
  stop(): Promise<void>;
}

/** Of two servers and three Sentinels on these ports. */
export async function startWatched(ports: readonly number[], folder: string): Promise<Watched> {
  const [first = 0, second = 0, ...watching] = ports;
  const follows = ["--replicaof", `127.0.0.1 ${first}`];
  const servers = [new Redis(first, folder), new Redis(second, folder, follows)];
  for (const server of servers) await server.start();
  const sentinels: Running[] = [];
  for (const port of watching) {
    const file = join(folder, `sentinel-${port}.conf`);
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${folder}`,
      `sentinel monitor ${MASTER} 127.0.0.1 ${first} 2`,
      `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER} 5000`,
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const command = ["redis-server", file, "--sentinel"] as const;
    const sentinel = startProgram({ name: `sentinel ${port}`, command });
    await sentinel.said(/Sentinel ID is/);
    sentinels.push(sentinel);
  }
  const [watcher = 0] = watching;
  const ask = (...args: readonly string[]): string =>
    execFileSync("redis-cli", ["-p", String(watcher), ...args], { encoding: "utf8" });
  const endMs = performance.now() + READY_MS_MAX;
  while (!ask("info", "sentinel").includes("slaves=1,sentinels=3")) {
    if (performance.now() > endMs) throw new Error("the Sentinels do not find each other");
    await sleep(100);
  }
  return {
    options: { master: MASTER, nodes: watching.map((port) => `127.0.0.1:${port}`) },
    servers,
    masterPort: () =>
      Number(ask("sentinel", "get-master-addr-by-name", MASTER).trim().split("\n")[1]),
    stop: async () => {
      for (const one of [...sentinels, ...servers]) await one.stop();
    },
  };
}
