// Starts the real programs of this package, on the runtime that runs the tests, and ends them.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";

export const ROOT = resolve(import.meta.dirname, "../..");
export const TOKEN = "a-token-for-tests-only";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout(): string;
  stderr(): string;
}

/** Nothing a test starts outlives this. */
const PROGRAM_MS_MAX = 60_000;

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Descriptors that it writes to; what it is not given is read here. */
  readonly stdout?: number;
  readonly stderr?: number;
  /** What starts it, such as a shell that closes a descriptor. */
  readonly through?: readonly [string, ...string[]];
}

export function start(
  command: readonly [string, ...string[]],
  options: StartOptions = {},
): Program {
  const [program, ...args] =
    options.through === undefined ? command : [...options.through, ...command];
  const child = spawn(program, args, {
    stdio: ["ignore", options.stdout ?? "pipe", options.stderr ?? "pipe"],
    timeout: PROGRAM_MS_MAX,
    killSignal: "SIGKILL",
    cwd: options.cwd ?? ROOT,
    env: { ...bareEnvironment(), ...options.env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Ended>((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done({ code, stdout, stderr }));
  });
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

/** The command line itself, on this runtime. */
export function switchgear(args: readonly string[], options: StartOptions = {}): Program {
  return start([process.execPath, join(ROOT, "src/cli/main.ts"), ...args], options);
}

/** Without what a developer's shell may have set for Switchgear. */
function bareEnvironment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith("SWITCHGEAR_")) env[name] = value;
  }
  return env;
}

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-e2e-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

type PortServer = ReturnType<typeof createServer>;

function listen(port: number): Promise<PortServer> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(port, "127.0.0.1", () => done(server));
  });
}

async function release(servers: readonly PortServer[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listen(0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await release(servers);
  return ports;
}

/** A port that was free a moment ago, and whose successor was too. */
export async function freePortPair(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1);
    const tried = await Promise.allSettled([listen(port), listen(port + 1)]);
    const servers = tried.flatMap((result) =>
      result.status === "fulfilled" ? [result.value] : [],
    );
    await release(servers);
    if (servers.length === tried.length) return port;
  }
}

export interface Serving {
  readonly program: Program;
  readonly gateway: string;
  readonly admin: string;
  /** Runs a client command against it. */
  run(...args: string[]): Promise<Ended>;
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}

/** `switchgear serve` with this configuration, ready to answer. */
export async function serve(
  t: TestContext,
  folder: string,
  config: string,
  env: Readonly<Record<string, string>> = {},
  how: Pick<StartOptions, "stdout" | "stderr" | "through"> = {},
): Promise<Serving> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const file = join(folder, "switchgear.yaml");
  writeFileSync(file, config);
  const program = switchgear(["serve", "--config", file], {
    ...how,
    cwd: folder,
    env: {
      SWITCHGEAR_PORT: String(port),
      SWITCHGEAR_ADMIN_PORT: String(adminPort),
      SWITCHGEAR_ADMIN_TOKEN: TOKEN,
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65000",
      ...env,
    },
  });
  const admin = `http://127.0.0.1:${adminPort}`;
  t.after(() => program.child.kill("SIGKILL"));
  await ready(program, `${admin}/livez`);
  return {
    program,
    admin,
    gateway: `http://127.0.0.1:${port}`,
    run: (...args) =>
      switchgear(args, {
        env: { SWITCHGEAR_URL: admin, SWITCHGEAR_ADMIN_TOKEN: TOKEN, USER: "ann" },
      }).ended,
    // A person's signal: SIGTERM first waits for load balancers, of which a test has none.
    stop: (signal = "SIGINT") => {
      program.child.kill(signal);
      return program.ended;
    },
  };
}

export async function ready(program: Program, url: string): Promise<void> {
  let isOver = false;
  void program.ended.then(() => (isOver = true));
  for (;;) {
    if (isOver) throw new Error(`it ended instead: ${program.stderr()}${program.stdout()}`);
    try {
      const answer = await fetch(url, { headers: { connection: "close" } });
      await answer.body?.cancel();
      if (answer.ok) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((done) => setTimeout(done, 20));
  }
}
