// Programs of the stack: each bounded in time, ended by the handle it was started with, and taken
// along when this process ends.

import { spawn } from "node:child_process";
import { endsWithUs } from "../../loadtest/run/children.ts";

export interface Running {
  readonly name: string;
  /** What it said so far, both streams. */
  output(): string;
  isOver(): boolean;
  /** SIGTERM, and SIGKILL when it does not heed it. Resolves when it has ended. */
  stop(): Promise<void>;
  /** At once, without a farewell. */
  kill(): Promise<void>;
}

/** Prometheus writes its log away, the gateway drains: both take less. */
const HEED_MS_MAX = 10_000;

export interface StartOptions {
  readonly cwd: string;
  /** In place of this process's own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly msMax: number;
}

export function startProcess(
  name: string,
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env, msMax }: StartOptions,
): Running {
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  endsWithUs(child);
  const bound = setTimeout(() => child.kill("SIGKILL"), msMax);
  bound.unref();
  let output = "";
  let isOver = false;
  const listen = (chunk: Buffer): void => void (output += chunk.toString());
  child.stdout.on("data", listen);
  child.stderr.on("data", listen);
  const ended = new Promise<void>((done) => {
    const end = (): void => {
      isOver = true;
      clearTimeout(bound);
      done();
    };
    child.on("error", (error) => {
      output += String(error);
      end();
    });
    child.on("close", end);
  });
  return {
    name,
    output: () => output,
    isOver: () => isOver,
    stop: async () => {
      if (isOver) return;
      const hurry = setTimeout(() => child.kill("SIGKILL"), HEED_MS_MAX);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(hurry);
    },
    kill: async () => {
      if (!isOver) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** How often what is waited for is looked at. */
const LOOK_MS = 50;

/** Waits for what `look` finds, and fails with a sentence when it does not come. */
export async function until<Found>(
  what: string,
  look: () => Promise<Found | undefined> | Found | undefined,
  msMax: number,
  tell: () => string = () => "",
): Promise<Found> {
  const giveUpMs = performance.now() + msMax;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > giveUpMs) {
      throw new Error(`waited ${msMax} ms in vain: ${what}\n${tell()}`);
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

/** Ready when its page answers; one that ended before has said why. */
export function ready(running: Running, url: string, msMax = 30_000): Promise<true> {
  return until(
    `${running.name} answers at ${url}`,
    async () => {
      if (running.isOver()) throw new Error(`${running.name} ended: ${running.output()}`);
      try {
        const answer = await fetch(url, { headers: { connection: "close" } });
        await answer.body?.cancel();
        return answer.ok ? true : undefined;
      } catch {
        return undefined;
      }
    },
    msMax,
    () => running.output(),
  );
}
