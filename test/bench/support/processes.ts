// Child processes of a benchmark: started on a core of their own, read from /proc, ended by their id.

import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";

const TERM_MS_MAX = 4000;

/**
 * The unit of /proc/PID/stat on Linux. The kernel rounds what it knows exactly, so readings of one
 * process add up: the error of a sum of rounds is that of one reading.
 */
const TICKS_PER_SECOND = 100;

export interface Started {
  readonly name: string;
  readonly pid: number;
  /** The last of what it wrote to standard error, for people. */
  complaints(): string;
  hasEnded(): boolean;
  stop(): Promise<void>;
}

export interface Command {
  readonly name: string;
  readonly command: readonly string[];
  /** Which core it runs on; undefined leaves the choice to the kernel. */
  readonly core: number | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function start({ name, command, core, env, cwd }: Command): Started {
  // taskset replaces itself by the program, so the id is the program's.
  const [file = "", ...args] =
    core === undefined ? command : ["taskset", "-c", String(core), ...command];
  const child = spawn(file, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let complaints = "";
  let failed: Error | undefined;
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaints = (complaints + text).slice(-2000);
  });
  child.once("error", (error) => (failed = error));
  return {
    name,
    pid: child.pid ?? -1,
    complaints: () => failed?.message ?? complaints.trim(),
    hasEnded: () => failed !== undefined || child.exitCode !== null || child.signalCode !== null,
    stop: () => end(child),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  child.once("exit", () => resolve());
  // Workers are children of their master, which ends them; if it must be killed, so must they.
  const tree = processTree(child.pid);
  child.kill("SIGTERM");
  const timer = setTimeout(() => {
    for (const pid of tree) killQuietly(pid);
  }, TERM_MS_MAX);
  await promise;
  clearTimeout(timer);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** The process and all that it started. */
function processTree(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    const each = Number(entry);
    if (Number.isNaN(each)) continue;
    const parent = statFields(each)?.[1];
    if (parent !== undefined) parents.set(each, Number(parent));
  }
  const found = [pid];
  for (const parent of found) {
    for (const [each, its] of parents) if (its === parent) found.push(each);
  }
  return found;
}

/** The fields of /proc/PID/stat after the name, which is in brackets and may hold spaces. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    // It ended while it was looked at.
    return undefined;
  }
}

/** User and system time so far of a process, its threads and its children, ended ones included. */
export function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const each of processTree(pid)) {
    const times = statFields(each)?.slice(11, 15) ?? [];
    for (const time of times) ticks += Number(time);
  }
  return ticks / TICKS_PER_SECOND;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  await closed.promise;
  return address.port;
}
