// Programs that a run starts, and ends again.

import { spawn, type ChildProcess } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { endsWithUs } from "./children.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

/** A program that does not end when it is told to is killed after this. */
const STOP_MS_MAX = 8000;
const START_MS_MAX = 20_000;
const COMPLAINT_CHARS = 2000;

export interface Running {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves with the first match of what it writes to standard output; rejects when it ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves when the address answers well; rejects when it ends before. */
  answers(url: string): Promise<void>;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export function binary(name: string): string {
  return join(ROOT, "node_modules/.bin", name);
}

export function startProgram({ name, command, cwd, env }: StartOptions): Running {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: cwd ?? ROOT,
    env: { ...process.env, ...env },
  });
  endsWithUs(child);
  let stdout = "";
  let complaints = "";
  // Only the beginning is read for a pattern; a log may be long.
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (stdout.length < COMPLAINT_CHARS) stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-COMPLAINT_CHARS);
  });
  let failure: Error | undefined;
  child.once("error", (error) => (failure = error));
  const poll = async <T>(probe: () => T | undefined | Promise<T | undefined>): Promise<T> => {
    const endMs = performance.now() + START_MS_MAX;
    for (;;) {
      const found = await probe();
      if (found !== undefined) return found;
      if (failure !== undefined) throw new Error(`${name}: ${failure.message}`);
      if (hasEnded(child)) throw new Error(`${name} ended instead: ${complaints}${stdout}`);
      if (performance.now() > endMs) throw new Error(`${name} is not ready: ${complaints}`);
      await new Promise((done) => setTimeout(done, 30));
    }
  };
  return {
    name,
    pid: child.pid,
    said: (pattern) => poll(() => pattern.exec(stdout) ?? undefined),
    answers: (url) => poll(async () => ((await isGood(url)) ? true : undefined)).then(() => {}),
    stop: () => stop(child),
  };
}

async function isGood(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { headers: { connection: "close" } });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    // Not listening yet.
    return false;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.pid === undefined || hasEnded(child)) return done();
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    child.once("exit", () => {
      clearTimeout(timer);
      done();
    });
    // A person's signal: SIGTERM would first wait for load balancers.
    child.kill("SIGINT");
  });
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((done, fail) => {
          const server = createServer().on("error", fail);
          server.listen(0, "127.0.0.1", () => done(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
