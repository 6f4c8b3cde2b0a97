// A program of the stack that a test may end and start again at the same address.

import { ready, startProcess, type Running, type StartOptions } from "./processes.ts";

export interface Part {
  /** Resolves when it answers. */
  start(): Promise<void>;
  /** With a farewell. */
  stop(): Promise<void>;
  /** At once. */
  kill(): Promise<void>;
  isOver(): boolean;
}

export interface PartOptions extends StartOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Answers 2xx when it is ready. */
  readonly readyUrl: string;
}

export function createPart({ name, command, readyUrl, ...options }: PartOptions): Part {
  let running: Running | undefined;
  return {
    start: async () => {
      running = startProcess(name, command, options);
      await ready(running, readyUrl);
    },
    stop: async () => running?.stop(),
    kill: async () => running?.kill(),
    isOver: () => running === undefined || running.isOver(),
  };
}

export interface Replica extends Part {
  readonly url: string;
  readonly adminUrl: string;
  readonly adminPort: number;
}

export interface ReplicaOptions extends StartOptions {
  readonly name: string;
  /** Which runtime serves. */
  readonly runtime: string;
  readonly main: string;
  readonly config: string;
  readonly ports: readonly [number, number];
  /** Where its log goes. Default: to this process. */
  readonly logTo?: string | undefined;
}

/** A gateway; its database is in its own folder. */
export function createReplica(options: ReplicaOptions): Replica {
  const { name, runtime, main, config, ports, logTo, cwd, env, msMax } = options;
  const [port, adminPort] = ports;
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const part = createPart({
    name,
    command:
      logTo === undefined
        ? [runtime, main, "serve", "--config", config]
        : ["sh", "-c", 'exec "$@" > "$0"', logTo, runtime, main, "serve", "--config", config],
    readyUrl: `${adminUrl}/livez`,
    cwd,
    msMax,
    env: {
      ...env,
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65000",
    },
  });
  return { ...part, url: `http://127.0.0.1:${port}`, adminUrl, adminPort };
}
