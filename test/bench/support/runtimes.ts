// The pinned runtimes, and how programs are run on them.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dirname, "../../..");

export type Runtime = "node" | "bun";

export const CURRENT_RUNTIME: Runtime = "Bun" in globalThis ? "bun" : "node";

/** The runtime's program: the one that runs this, or the pinned package. */
export function runtimePath(runtime: Runtime): string {
  if (runtime === CURRENT_RUNTIME) return process.execPath;
  const pinned = join(ROOT, "node_modules/.bin", runtime);
  if (!existsSync(pinned)) throw new Error(`${pinned} is missing; run npm install first`);
  return pinned;
}

/** Runs a program of ours to its end and answers what it printed. */
export async function runProgram(
  runtime: Runtime,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const child = spawn(runtimePath(runtime), args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const printed: string[] = [];
  const complaints: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => printed.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => complaints.push(text));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", reject);
  child.once("close", resolve);
  const code = await promise;
  if (code === 0) return printed.join("");
  throw new Error(
    `${runtime} ${args.join(" ")} ended with ${code ?? "a signal"}: ${complaints.join("").trim()}`,
  );
}

/** Node and Bun as they call themselves. */
export async function runtimeVersions(): Promise<Record<Runtime, string>> {
  const print = "process.stdout.write(process.versions.bun ?? process.versions.node)";
  const node = await runProgram("node", ["-e", print], 20_000);
  const bun = await runProgram("bun", ["-e", print], 20_000);
  if (Number.parseInt(node, 10) < 24) throw new Error(`Node ${node} is older than 24`);
  return { node, bun };
}

/** The folder of the program itself, for relative paths to workers beside it. */
export function beside(file: string, name: string): string {
  return join(dirname(file), name);
}
